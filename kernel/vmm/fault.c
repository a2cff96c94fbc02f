/* Page faults: what a program may have at an address is made so; else it gets an exception.
 *
 *     space_fault:  guess -> lock the space -> resolve --done, or an error----------------------------> unlock, return
 *                                 ^                \--something is wanted--> unlock -> supply (may block) --+
 *                                 +-------------------------------------------------------------------------+
 *
 * Nothing is zeroed or waited for under the lock: resolve says what it lacks and starts from the beginning
 * once it was supplied, because by then anything may have changed. What there is to lack: a zeroed frame, kept across
 * rounds in fault->frame; or a page of a memory object, which the object's pager may have to bring (pager.h). A fault
 * close to the last one that wanted a zeroed frame most probably wants one too: guess gets it beforehand.
 *
 * What resolve does, by the entry and the region (P: private, S: shared mapping of an object; A: anonymous):
 *
 *     none,     A           a zeroed frame, OWNED
 *     none,     P S read    borrow the object's, and what is there of the 16 pages around it
 *     none,     P write     a copy of the object's page, OWNED
 *     none,     S write     borrow, once the object shares the page with no clone
 *     OWNED,    write       one owner: make it writable. More: copy (fork shared it)
 *     borrowed, P write     copy, OWNED
 *     borrowed, S write     make it writable, once the object shares the page with no clone
 *
 * Where nothing is mapped in the span of a table yet, a huge page may come into its place: of the object, if that lies in
 * one piece there (device and contiguous memory, shared); or a zeroed one, if huge.c says so and there is one. When
 * there is none, small pages do. A huge page of which a part must be copied is split first.
 *
 * A page of an object with a pager is mapped writable only while it is marked dirty; a shared write marks it.
 */
#include "kernel/vmm/fault.h"

#include "kernel/cpu.h"
#include "kernel/sched/thread.h"
#include "kernel/vmm/fail.h"
#include "kernel/vmm/gather.h"
#include "kernel/vmm/pager.h"
#include "kernel/vmm/region.h"
#include "lib/base/string.h"

#define AROUND     16u /* pages; a power of two, at most PAGE_TREE_WAYS */
#define ZERO_PAGES 16u /* of a huge page, between two windows for interrupts */

enum { WANT_ZERO_FRAME = 1, WANT_PAGE, WANT_BLOCK, NOT_HUGE };

struct fault {
    struct space *space;
    uint64_t address; /* of the page */
    bool write;
    struct frame *frame; /* spare: for what is resolved next */
    bool zeroed;         /* the spare is */
    struct frame *block; /* spare, zeroed: for a huge page */
    bool small;          /* none is to be had */
    bool populate;
    struct frame *unneeded; /* to be put once the lock is released */
    struct memory *memory;  /* WANT_PAGE: a reference, and which page */
    uint64_t index;
    unsigned how; /* PAGE_* */
};

static int want_page(struct fault *fault, struct memory *memory, uint64_t index, bool write)
{
    object_get(&memory->object);
    fault->memory = memory;
    fault->index = index;
    fault->how = (fault->how & PAGE_KICKABLE) | (write ? PAGE_FOR_WRITE : 0);
    return WANT_PAGE;
}

/* Use up the spare frame, which the space has been found able to pay for. */
static void install_owned(struct fault *fault, const struct region *region, pte_t *entry,
                          unsigned more)
{
    unsigned flags = region_page_flags(region) | PAGE_OWNED;

    if (region->protection & PROT_WRITE_)
        flags |= PAGE_WRITE;
    *entry = pte_make(frame_paddr(fault->frame), flags | more);
    if (fault->write)
        *entry = pte_touch(*entry);
    fault->frame = NULL;
    purse_spend(&fault->space->purse, PAGE_SIZE);
}

static unsigned frame_flags(const struct fault *fault)
{
    return fault->space->system ? FRAME_SYSTEM : 0;
}

/* Replace what the entry shows, wherever that comes from, by a private copy. */
static int copy_page(struct fault *fault, const struct region *region, pte_t *entry,
                     const void *source)
{
    if (!purse_has(&fault->space->purse, PAGE_SIZE) ||
        (!fault->frame && frame_alloc(frame_flags(fault), &fault->frame) != 0))
        return -E_NO_MEMORY;

    pte_t old = *entry;

    memcpy(frame_data(fault->frame), source, PAGE_SIZE);
    install_owned(fault, region, entry, pte_flags(old) & PAGE_OWNED ? PAGE_HOT : 0);
    if (old)
        arch_tlb_flush(&fault->space->arch, fault->address, fault->address + PAGE_SIZE);
    if (pte_flags(old) & PAGE_OWNED)
        fault->unneeded = frame_of(pte_paddr(old));
    else
        fault->space->owned_pages++;
    return 0;
}

static int write_owned(struct fault *fault, const struct region *region, pte_t *entry)
{
    struct frame *frame = frame_of(pte_paddr(*entry));

    if (frame_owners(frame) == 1) {
        *entry = pte_touch(pte_make(pte_paddr(*entry), pte_flags(*entry) | PAGE_WRITE | PAGE_HOT));
        return 0;
    }
    return copy_page(fault, region, entry, frame_data(frame));
}

/* A write to the object's page that is mapped read-only. The object may have another frame there by now. */
static int write_shared(struct fault *fault, const struct region *region, pte_t *entry)
{
    struct memory *memory = region->memory;
    uint64_t index = region_index(region, fault->address);
    pte_t old = *entry;

    lock_acquire(&memory->lock);

    struct frame **slot = page_tree_find(&memory->tree, index);
    bool ready = slot && *slot && frame_owners(*slot) == 1;

    if (ready) {
        *entry = pte_replacing(pte_make(frame_paddr(*slot), pte_flags(old) | PAGE_WRITE));
        if (memory->pager)
            page_tree_mark(&memory->tree, index, PAGE_DIRTY);
    }
    lock_release(&memory->lock);
    if (!ready)
        return want_page(fault, memory, index, true);
    if (pte_paddr(old).value != pte_paddr(*entry).value)
        arch_tlb_flush(&fault->space->arch, fault->address, fault->address + PAGE_SIZE);
    return 0;
}

/* A write to a huge page that is mapped read-only. */
static COLD int write_huge(struct fault *fault, const struct region *region, pte_t *entry)
{
    paddr_t block = pte_paddr(*entry);
    int result;

    if (!pte_owned(*entry) || frame_block_alone(frame_of(block))) {
        *entry = pte_replacing(pte_make_huge(block, pte_flags(*entry) | PAGE_WRITE));
        return 0;
    }
    result = huge_split(fault->space, fault->address);
    return result != 0
               ? result
               : write_owned(fault, region, arch_pte(&fault->space->arch, fault->address, false));
}

static int resolve_present(struct fault *fault, const struct region *region, pte_t *entry)
{
    unsigned flags = pte_flags(*entry);

    if (!pte_present(*entry)) { /* hidden, and the region is accessible again */
        flags = (flags & PAGE_OWNED) | region_page_flags(region);
        *entry = pte_make(pte_paddr(*entry), flags);
    }
    if (!fault->write || flags & PAGE_WRITE)
        return 0; /* another CPU was faster, or this one remembered the old entry */
    if (unlikely(pte_huge(*entry)))
        return write_huge(fault, region, entry);
    if (flags & PAGE_OWNED)
        return write_owned(fault, region, entry);
    if (region->shared && region->memory->flags & MEMORY_IS_PHYSICAL) {
        *entry = pte_replacing(pte_make(pte_paddr(*entry), flags | PAGE_WRITE));
        return 0;
    }
    if (region->shared)
        return write_shared(fault, region, entry);
    if (region->memory->flags & MEMORY_IS_PHYSICAL)
        return copy_page(fault, region, entry,
                         memory_boot_data(region->memory, region_index(region, fault->address)));
    return copy_page(fault, region, entry, frame_data(frame_of(pte_paddr(*entry))));
}

static int fill_anonymous(struct fault *fault, const struct region *region, pte_t *entry)
{
    if (!fault->frame)
        return WANT_ZERO_FRAME;
    if (!purse_has(&fault->space->purse, PAGE_SIZE))
        return -E_NO_MEMORY;
    if (!fault->zeroed)
        memset(frame_data(fault->frame), 0, PAGE_SIZE);
    install_owned(fault, region, entry, 0);
    fault->space->owned_pages++;
    __atomic_store_n(&fault->space->fresh_start, region->start, __ATOMIC_RELAXED);
    __atomic_store_n(&fault->space->fresh_end, region->end, __ATOMIC_RELAXED);
    return 0;
}

/* The pages around the fault that lie in the same page table, region and group of AROUND: the first, and one past
 * the last, as distances from the faulting page. */
static void window(const struct fault *fault, const struct region *region, uint64_t index,
                   int64_t *low, int64_t *high)
{
    uint64_t before = index % AROUND, after = AROUND - before;
    uint64_t in_table = fault->address / PAGE_SIZE % TABLE_PAGES;

    before = MIN(before, in_table);
    before = MIN(before, (fault->address - region->start) / PAGE_SIZE);
    after = MIN(after, TABLE_PAGES - in_table);
    after = MIN(after, (region->end - fault->address) / PAGE_SIZE);
    *low = -(int64_t)before;
    *high = (int64_t)after;
}

/* For an entry of physical memory. */
static unsigned physical_flags(const struct region *region)
{
    static const unsigned caching[] = {
        [CACHE_BACK] = 0, [CACHE_NONE] = PAGE_NOCACHE, [CACHE_COMBINING] = PAGE_COMBINE};
    unsigned flags = region_page_flags(region) | caching[region->memory->cache];

    return region->shared && region->protection & PROT_WRITE_ ? flags | PAGE_WRITE : flags;
}

static int borrow_physical(struct fault *fault, const struct region *region, pte_t *entry)
{
    const struct memory *memory = region->memory;
    uint64_t index = region_index(region, fault->address);
    unsigned flags = physical_flags(region);
    int64_t low, high;

    if (index >= memory->pages)
        return -E_RANGE;
    if (fault->write && !region->shared)
        return copy_page(fault, region, entry, memory_boot_data(memory, index));
    window(fault, region, index, &low, &high);
    for (int64_t i = low; i < high && (int64_t)index + i < (int64_t)memory->pages; i++)
        if (entry[i] == 0)
            entry[i] = pte_make(
                PADDR(memory->base.value + (uint64_t)((int64_t)index + i) * PAGE_SIZE), flags);
    return 0;
}

/* Whether an entry for the object's page may let it be written to, if the region does. The object's lock is held. */
static inline bool may_write(const struct memory *memory, uint64_t index, const struct frame *frame)
{
    return frame_owners(frame) == 1 &&
           (!memory->pager || page_tree_marked(&memory->tree, index, PAGE_DIRTY));
}

/* The object's lock is held; slot is the faulting page's, and in use. */
static void borrow_around(struct fault *fault, const struct region *region, uint64_t index,
                          struct frame **slot, pte_t *entry)
{
    bool writable = region->shared && region->protection & PROT_WRITE_;
    unsigned flags = region_page_flags(region);
    pte_t read = pte_make(PADDR(0), flags);
    pte_t write = writable ? pte_make(PADDR(0), flags | PAGE_WRITE) : read;
    int64_t low, high;

    window(fault, region, index, &low, &high);
    for (int64_t i = low; i < high; i++) {
        if (likely(entry[i] != 0) || !slot[i])
            continue;

        bool now = writable && may_write(region->memory, (uint64_t)((int64_t)index + i), slot[i]);

        entry[i] = pte_move(now ? write : read, frame_paddr(slot[i]));
    }
}

uint64_t fault_populate(const struct region *region, uint64_t start, uint64_t end)
{
    struct memory *memory = region->memory;
    bool write = region->protection & PROT_WRITE_;
    struct frame **slot = NULL;
    pte_t *entry = NULL, pattern;
    uint64_t at = start, index = region_index(region, start);

    if (!memory || memory->flags & MEMORY_IS_PHYSICAL || region->protection == 0 ||
        (write && !region->shared))
        return start;
    pattern = pte_make(PADDR(0), region_page_flags(region) | (write ? PAGE_WRITE : 0));
    lock_acquire(&memory->lock);
    for (; at < end; at += PAGE_SIZE, index++, slot++, entry++) {
        if (!slot || index % PAGE_TREE_WAYS == 0)
            slot = page_tree_find(&memory->tree, index);
        if (!slot || !*slot || (write && !may_write(memory, index, *slot)))
            break;
        if (!entry || at % TABLE_SPAN == 0)
            entry = space_entry(region->space, at);
        if (!entry)
            break;
        if (*entry == 0)
            *entry = pte_move(pattern, frame_paddr(*slot));
        if (index % PAGE_TREE_WAYS == PAGE_TREE_WAYS - 1)
            arch_preempt_window();
    }
    lock_release(&memory->lock);
    return at;
}

static int fill_from_object(struct fault *fault, const struct region *region, pte_t *entry)
{
    struct memory *memory = region->memory;
    uint64_t index = region_index(region, fault->address);

    if (memory->flags & MEMORY_IS_PHYSICAL)
        return borrow_physical(fault, region, entry);
    lock_acquire(&memory->lock);
    if (index >= memory->pages) {
        lock_release(&memory->lock);
        return -E_RANGE;
    }

    struct frame **slot = page_tree_find(&memory->tree, index);
    struct frame *frame = slot ? *slot : NULL;
    bool ready = frame && !(fault->write && region->shared && frame_owners(frame) > 1);

    if (ready && fault->write && region->shared && memory->pager)
        page_tree_mark(&memory->tree, index, PAGE_DIRTY);
    if (ready && !(fault->write && !region->shared))
        borrow_around(fault, region, index, slot, entry);
    lock_release(&memory->lock);
    if (!ready)
        return want_page(fault, memory, index, fault->write && region->shared);
    if (fault->write && !region->shared) /* the space's lock keeps the frame: memory.h, step 2 */
        return copy_page(fault, region, entry, frame_data(frame));
    return 0;
}

/* Where the object's pages from index on are, if they lie in one piece and stay there. */
static bool in_one_piece(struct memory *memory, uint64_t index, paddr_t *base)
{
    if (index + TABLE_PAGES > memory->pages)
        return false;
    if (memory->flags & MEMORY_IS_PHYSICAL)
        *base = PADDR(memory->base.value + index * PAGE_SIZE);
    else if (memory->flags & MEMORY_CONTIGUOUS)
        *base = frame_paddr(*page_tree_find(&memory->tree, index)); /* pinned: no lock */
    else
        return false;
    return IS_ALIGNED(base->value, TABLE_SPAN);
}

static pte_t *huge_entry_make(struct space *space, uint64_t address)
{
    if (!space_affords_tables(space))
        return NULL;

    pte_t *entry = arch_huge_entry(&space->arch, address);

    space_tables_made(space);
    return entry;
}

/* There is no table for the page yet. 0; WANT_BLOCK; or NOT_HUGE: a small page will do. */
static COLD int fill_huge(struct fault *fault, const struct region *region)
{
    struct space *space = fault->space;
    uint64_t start = ALIGN_DOWN(fault->address, TABLE_SPAN);
    paddr_t base;
    pte_t *entry;

    if (fault->small || start < region->start || region->end - start < TABLE_SPAN)
        return NOT_HUGE;
    if (region->memory) {
        if (!region->shared || !in_one_piece(region->memory, region_index(region, start), &base))
            return NOT_HUGE;
        entry = huge_entry_make(space, start);
        if (!entry)
            return NOT_HUGE;
        *entry = pte_make_huge(base, physical_flags(region));
    } else {
        if (!huge_wanted(region, start, fault->populate))
            return NOT_HUGE;
        if (!fault->block)
            return WANT_BLOCK;
        entry = huge_entry_make(space, start);
        if (!entry || !purse_pay(&space->purse, TABLE_SPAN))
            return NOT_HUGE;
        *entry = pte_make_huge(frame_paddr(fault->block),
                               region_page_flags(region) | PAGE_OWNED | PAGE_WRITE);
        fault->block = NULL;
        space->owned_pages += TABLE_PAGES;
    }
    cpu_self()->huge_pages++;
    return 0;
}

static bool allowed(const struct region *region, unsigned access)
{
    if (access & FAULT_WRITE)
        return region->protection & PROT_WRITE_;
    if (access & FAULT_EXECUTE)
        return region->protection & PROT_EXECUTE_;
    return region->protection != 0;
}

/* The space's lock is held. 0, an error, or WANT_*. */
static int resolve(struct fault *fault, unsigned access)
{
    struct region *region = region_find(fault->space, fault->address);

    if (!region || !allowed(region, access))
        return -E_FAULT;

    pte_t *entry = arch_pte(&fault->space->arch, fault->address, false);

    if (unlikely(!entry)) {
        int result = fill_huge(fault, region);

        if (result != NOT_HUGE)
            return result;
        entry = space_entry_make(fault->space, fault->address);
        if (!entry)
            return -E_NO_MEMORY;
    }
    if (*entry)
        return resolve_present(fault, region, entry);
    if (!region->memory)
        return fill_anonymous(fault, region, entry);
    return fill_from_object(fault, region, entry);
}

static void supply_block(struct fault *fault)
{
    if (frame_alloc_order(HUGE_ORDER, FRAME_EASY, &fault->block) != 0) {
        fault->small = true;
        return;
    }
    for (unsigned page = 0; page < TABLE_PAGES; page++) {
        memset(frame_data(fault->block + page), 0, PAGE_SIZE);
        if (page % ZERO_PAGES == ZERO_PAGES - 1)
            arch_preempt_window();
    }
}

/* No lock is held; this may block. */
static int supply(struct fault *fault, int want)
{
    if (want == WANT_PAGE) {
        struct memory *memory = fault->memory;
        bool absent = memory->pager && !(fault->how & PAGE_FOR_WRITE); /* or was, a moment ago */
        int result = absent ? pager_fetch(memory, fault->index, fault->how)
                            : memory_supply(memory, fault->index, fault->how);

        object_put(&fault->memory->object);
        return result;
    }
    if (want == WANT_BLOCK) {
        supply_block(fault);
        return 0;
    }
    fault->zeroed = true;
    return frame_alloc(FRAME_ZERO | frame_flags(fault), &fault->frame);
}

/* Without the lock, so the range may be gone already; then the frame is put again. */
static void guess(struct fault *fault)
{
    const struct space *space = fault->space;

    if (fault->address >= __atomic_load_n(&space->fresh_start, __ATOMIC_RELAXED) &&
        fault->address < __atomic_load_n(&space->fresh_end, __ATOMIC_RELAXED))
        fault->zeroed = frame_alloc(FRAME_ZERO | frame_flags(fault), &fault->frame) == 0;
}

int space_fault(struct space *space, uint64_t address, unsigned access)
{
    struct fault fault = {
        .space = space,
        .address = ALIGN_DOWN(address, (uint64_t)PAGE_SIZE),
        .write = access & FAULT_WRITE,
        .how = access & FAULT_USER ? PAGE_KICKABLE : 0,
        .populate = access & FAULT_POPULATE,
    };
    int result;

    if (access & FAULT_ABSENT)
        guess(&fault);
    do {
        lock_acquire(&space->lock);
        result = resolve(&fault, access);
        lock_release(&space->lock);
        if (result <= 0)
            break;
        result = supply(&fault, result);
    } while (result == 0);

    if (fault.unneeded && unlikely(frame_put(fault.unneeded))) /* its other owners went meanwhile */
        account_give(space->purse.account, QUOTA_MEMORY, PAGE_SIZE);
    if (fault.frame)
        frame_put(fault.frame);
    if (fault.block)
        frame_free_order(fault.block, HUGE_ORDER);
    return result;
}

/* 0: the access may be tried again. */
static int resolve_here(struct process *process, uint64_t address, unsigned access)
{
    if (likely(!fail_armed) || !(access & FAULT_USER))
        return space_fault(process->space, address, access);

    /* Injected failures are for system calls. */
    uint64_t countdown = __atomic_exchange_n(&process->fail_countdown, 0, __ATOMIC_RELAXED);
    int result = space_fault(process->space, address, access);

    __atomic_store_n(&process->fail_countdown, countdown, __ATOMIC_RELAXED);
    return result;
}

bool fault_resolve(uint64_t address, unsigned access)
{
    struct thread *self = thread_current();
    struct process *process = process_current();
    int result = -E_FAULT;

    if (address >= SPACE_START && address < SPACE_END && process && process->space) {
        cpu_self()->page_faults++;
        result = resolve_here(process, address, access);
    }
    if (unlikely(result == -E_AGAIN)) {
        self->missed_page = address;
        self->missed_access = access;
    }
    self->fault_cause = (uint32_t)-result;
    /* Killed or kicked while it waited for a page: that comes first, then the program tries again. */
    return result == 0 || (result == -E_INTERRUPTED && access & FAULT_USER);
}
