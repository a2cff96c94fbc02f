/* Page tables, a TLB and user memory for host tests: see fake_arch.h. The tables take their frames from the frame
 * allocator, so tests that count frames count them too. */
#include <pthread.h>
#include <string.h>

#include "kernel/arch.h"
#include "kernel/panic.h"
#include "kernel/sched/thread.h"
#include "kernel/vmm/frame.h"
#include "kernel/vmm/space.h"

#define WEAK     __attribute__((weak))
#define ENTRIES  (1u << TABLE_BITS)
#define LEVELS   12u /* 36 bits of page number, TABLE_BITS each */
#define TLB_SIZE 1024u

struct tlb_entry {
    uint64_t space, page; /* ids and page addresses; space 0: empty */
    pte_t pte;
};

static struct tlb_entry tlb[TLB_SIZE];
static pthread_mutex_t tlb_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t next_id = 1;
struct arch_space *fake_space_loaded;

WEAK bool fault_resolve(uint64_t address, unsigned access);

WEAK bool fault_resolve(uint64_t address, unsigned access)
{
    (void)address;
    (void)access;
    return false;
}

WEAK struct arch_space *fake_current_space(void)
{
    struct thread *thread = thread_current();

    return thread && thread->process && thread->process->space ? &thread->process->space->arch
                                                               : fake_space_loaded;
}

static unsigned index_at(uint64_t address, unsigned level)
{
    return (unsigned)(address >> (12 + TABLE_BITS * level)) % ENTRIES;
}

static uint64_t span(unsigned level)
{
    return UINT64_C(1) << (12 + TABLE_BITS * level);
}

static uint64_t *table_new(paddr_t *at)
{
    struct frame *frame;

    if (frame_alloc(FRAME_KERNEL | FRAME_ZERO, &frame) != 0)
        return NULL;
    *at = frame_paddr(frame);
    return frame_data(frame);
}

int arch_space_init(struct arch_space *space)
{
    paddr_t root;

    if (!table_new(&root))
        return -E_NO_MEMORY;
    space->root = root.value;
    space->id = __atomic_fetch_add(&next_id, 1, __ATOMIC_RELAXED);
    return 0;
}

static void free_tables(uint64_t *table, unsigned level)
{
    for (unsigned i = 0; i < ENTRIES; i++) {
        if (!table[i])
            continue;
        if (level == 0)
            panic("arch_space_destroy: a page is mapped");
        if (pte_huge(table[i]))
            panic("arch_space_destroy: a huge page is mapped");
        free_tables(direct_map(PADDR(table[i])), level - 1);
    }
    frame_put(frame_of(direct_map_paddr(table)));
}

void arch_space_destroy(struct arch_space *space)
{
    free_tables(direct_map(PADDR(space->root)), LEVELS - 1);
}

pte_t *arch_pte(struct arch_space *space, uint64_t address, bool create)
{
    uint64_t *table = direct_map(PADDR(space->root));

    for (unsigned level = LEVELS - 1; level > 0; level--) {
        uint64_t *entry = &table[index_at(address, level)];

        if (level == 1 && pte_huge(*entry))
            return entry;
        if (!*entry) {
            paddr_t fresh;

            if (!create || !table_new(&fresh))
                return NULL;
            *entry = fresh.value;
        }
        table = direct_map(PADDR(*entry));
    }
    return &table[index_at(address, 0)];
}

pte_t *arch_huge_entry(struct arch_space *space, uint64_t address)
{
    uint64_t *table = direct_map(PADDR(space->root));

    for (unsigned level = LEVELS - 1; level > 1; level--) {
        uint64_t *entry = &table[index_at(address, level)];

        if (!*entry) {
            paddr_t fresh;

            if (!table_new(&fresh))
                return NULL;
            *entry = fresh.value;
        }
        table = direct_map(PADDR(*entry));
    }
    return table[index_at(address, 1)] ? NULL : &table[index_at(address, 1)];
}

int arch_huge_split(struct arch_space *space, uint64_t address)
{
    pte_t *entry = arch_pte(space, address, false), old = *entry;
    paddr_t fresh;

    if (!pte_huge(old))
        panic("arch_huge_split: 0x%lx is small", address);
    if (!table_new(&fresh))
        return -E_NO_MEMORY;
    for (unsigned i = 0; i < ENTRIES; i++)
        ((pte_t *)direct_map(fresh))[i] = pte_replacing(old & ~(pte_t)FAKE_HUGE) + i * PAGE_SIZE;
    *entry = fresh.value;
    return 0;
}

static pte_t *next_in(uint64_t *table, unsigned level, uint64_t *address, uint64_t end)
{
    for (unsigned i = index_at(*address, level); i < ENTRIES && *address < end; i++) {
        if (table[i] && (level == 0 || pte_huge(table[i])))
            return &table[i];
        if (table[i]) {
            pte_t *found = next_in(direct_map(PADDR(table[i])), level - 1, address, end);

            if (found || *address >= end)
                return found;
            if (index_at(*address, level) != i)
                continue;
        }
        *address = ALIGN_DOWN(*address, span(level)) + span(level);
    }
    return NULL;
}

pte_t *arch_pte_next(struct arch_space *space, uint64_t *address, uint64_t end)
{
    return *address < end ? next_in(direct_map(PADDR(space->root)), LEVELS - 1, address, end)
                          : NULL;
}

static bool table_empty(const uint64_t *table)
{
    for (unsigned i = 0; i < ENTRIES; i++)
        if (table[i])
            return false;
    return true;
}

static void unhook(uint64_t *table, unsigned level, uint64_t base, const uint64_t touch[2],
                   const uint64_t inside[2], struct list **unhooked)
{
    for (unsigned i = 0; level > 0 && i < ENTRIES; i++) {
        uint64_t at = base + i * span(level), end = at + span(level);

        if (!table[i] || pte_huge(table[i]) || at >= touch[1] || end <= touch[0])
            continue;
        unhook(direct_map(PADDR(table[i])), level - 1, at, touch, inside, unhooked);
        if (at < inside[0] || end > inside[1])
            continue;
        if (!table_empty(direct_map(PADDR(table[i]))) && level > 1)
            continue;
        if (!table_empty(direct_map(PADDR(table[i]))))
            panic("arch_tables_unhook: a page is mapped above 0x%lx", at);
        chain_push(unhooked, &frame_of(PADDR(table[i]))->link);
        table[i] = 0;
    }
}

void arch_tables_unhook(struct arch_space *space, uint64_t start, uint64_t end, uint64_t low,
                        uint64_t high, struct list **unhooked)
{
    /* The fake walker caches no tables, but it may be on its way through them. */
    pthread_mutex_lock(&tlb_lock);
    unhook(direct_map(PADDR(space->root)), LEVELS - 1, 0, (uint64_t[]){start, end},
           (uint64_t[]){low, high}, unhooked);
    pthread_mutex_unlock(&tlb_lock);
}

void arch_tables_free(struct list *unhooked)
{
    struct frame *frame;

    while ((frame = chain_pop(&unhooked, struct frame, link)) != NULL)
        frame_put(frame);
}

static unsigned count_tables(uint64_t *table, unsigned level)
{
    unsigned count = 1;

    for (unsigned i = 0; level > 0 && i < ENTRIES; i++)
        if (table[i] && !pte_huge(table[i]))
            count += count_tables(direct_map(PADDR(table[i])), level - 1);
    return count;
}

unsigned fake_tables(const struct arch_space *space)
{
    return count_tables(direct_map(PADDR(space->root)), LEVELS - 1);
}

void arch_tlb_flush(struct arch_space *space, uint64_t start, uint64_t end)
{
    pthread_mutex_lock(&tlb_lock);
    fake_flushes++;
    for (unsigned i = 0; i < TLB_SIZE; i++)
        if (tlb[i].space == space->id && (end == 0 || (tlb[i].page >= start && tlb[i].page < end)))
            tlb[i].space = 0;
    pthread_mutex_unlock(&tlb_lock);
}

/* --- User memory ------------------------------------------------------------------------------------------ */

static bool allowed(pte_t pte, unsigned access)
{
    unsigned flags = pte_flags(pte);

    return pte_present(pte) && (flags & PAGE_USER) &&
           (!(access & FAULT_WRITE) || (flags & PAGE_WRITE)) &&
           (!(access & FAULT_EXECUTE) || (flags & PAGE_EXECUTE));
}

/* The bytes of a page, whatever size its entry is of. */
static char *bytes_at(pte_t pte, uint64_t page)
{
    return (char *)direct_map(pte_paddr(pte)) + (pte_huge(pte) ? page % TABLE_SPAN : 0);
}

/* The bytes behind a page, through the TLB; NULL: a fault. The TLB's lock is held. */
static char *translate(struct arch_space *space, uint64_t page, unsigned access)
{
    struct tlb_entry *entry = &tlb[(page / PAGE_SIZE + space->id * 61) % TLB_SIZE];

    /* What was only read so far is walked to again, so that the entry becomes dirty. */
    if (entry->space == space->id && entry->page == page && allowed(entry->pte, access) &&
        (!(access & FAULT_WRITE) || pte_dirty(entry->pte)))
        return bytes_at(entry->pte, page);

    pte_t *pte = arch_pte(space, page, false);

    if (!pte || !allowed(*pte, access)) {
        if (entry->space == space->id && entry->page == page)
            entry->space = 0; /* SDM 4.10.4.1: a fault drops the translation that caused it */
        return NULL;
    }

    pte_t old = *pte, used = old | FAKE_ACCESSED | (access & FAULT_WRITE ? FAKE_DIRTY : 0);

    if (!allowed(old, access) ||
        !__atomic_compare_exchange_n(pte, &old, used, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return NULL; /* the kernel was faster: as after a fault */
    *entry = (struct tlb_entry){space->id, page, used};
    return bytes_at(used, page);
}

static int copy(uaddr_t user, void *kernel, size_t length, unsigned access, bool resolve)
{
    struct arch_space *space = fake_current_space();
    char *bytes = kernel;
    unsigned faults = 0;

    if (!user_range_ok(user, length))
        return -E_FAULT;
    for (size_t done = 0; done < length;) {
        uint64_t at = user.value + done, page = ALIGN_DOWN(at, (uint64_t)PAGE_SIZE);
        size_t piece = MIN(length - done, page + PAGE_SIZE - at);

        pthread_mutex_lock(&tlb_lock);

        char *memory = space ? translate(space, page, access) : NULL;

        if (memory && access & FAULT_WRITE)
            memcpy(memory + (at - page), bytes + done, piece);
        else if (memory)
            memcpy(bytes + done, memory + (at - page), piece);

        pte_t *pte = space ? arch_pte(space, page, false) : NULL;
        unsigned absent = pte && pte_present(*pte) ? 0 : FAULT_ABSENT;

        pthread_mutex_unlock(&tlb_lock);
        if (memory) {
            done += piece;
            faults = 0;
        } else if (!resolve || !fault_resolve(at, access | absent)) {
            return -E_FAULT;
        } else if (++faults > 1000) {
            panic("user access: 0x%lx faults for ever", at);
        }
    }
    return 0;
}

bool fake_user_access(uint64_t address, unsigned access, void *bytes, size_t length)
{
    return copy(UADDR(address), bytes, length, access | FAULT_USER, true) == 0;
}

WEAK int user_copy_in(void *to, uaddr_t from, size_t length)
{
    return copy(from, to, length, 0, true);
}

WEAK int user_copy_out(uaddr_t to, const void *from, size_t length)
{
    return copy(to, (void *)(uintptr_t)from, length, FAULT_WRITE, true);
}

WEAK int user_copy_in_nofault(void *to, uaddr_t from, size_t length)
{
    return copy(from, to, length, 0, false);
}

WEAK int user_copy_out_nofault(uaddr_t to, const void *from, size_t length)
{
    return copy(to, (void *)(uintptr_t)from, length, FAULT_WRITE, false);
}

WEAK int user_zero(uaddr_t to, size_t length)
{
    static const char zeros[PAGE_SIZE];

    for (size_t done = 0; done < length; done += MIN(length - done, PAGE_SIZE)) {
        int result = copy(UADDR(to.value + done), (void *)(uintptr_t)zeros,
                          MIN(length - done, PAGE_SIZE), FAULT_WRITE, true);

        if (result != 0)
            return result;
    }
    return 0;
}

WEAK int user_read_u32(uaddr_t from, uint32_t *value)
{
    return user_copy_in(value, from, sizeof(*value));
}

WEAK int user_read_u32_nofault(uaddr_t from, uint32_t *value)
{
    return user_copy_in_nofault(value, from, sizeof(*value));
}
