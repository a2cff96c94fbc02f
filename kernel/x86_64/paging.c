/* Page tables: four levels of 512 entries (SDM volume 3, 4.5), 9 bits of the address each.
 *
 *     47..39 PML4   38..30 PDPT   29..21 PD   20..12 PT        level 3, 2, 1, 0 below
 *
 *     PML4[0..255]   a space's own. Its lock protects them
 *     PML4[256..511] the kernel's, the same in every space: every table that an entry here may ever point to exists
 *                    before the first space does, so that nothing has to be copied later
 *
 * Everything of the kernel is global and, but for its text, not executable; nothing is writable and executable, the
 * direct map included: text and read-only data are read-only there, too.
 *
 * Tables of the kernel's half are made when first needed and never freed. Those of a space are unhooked
 * when nothing in them is left (arch_tables_unhook), and freed when no CPU's walker can be in them any more.
 */
#include "abi/errors.h"
#include "abi/time.h"
#include "kernel/boot.h"
#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/vmm/fail.h"
#include "kernel/vmm/frame.h"
#include "kernel/x86_64/machine.h"
#include "lib/base/string.h"

#define ENTRIES     512u
#define LEVEL_PML4  3u
#define LEVEL_PD    1u
#define KERNEL_HALF 256u /* first PML4 entry of it */

#define HUGE_PAGE  (UINT64_C(1) << 30)
#define LARGE_PAGE (UINT64_C(1) << 21)
#define LOW_MEMORY (UINT64_C(1) << 20)

extern const char kernel_text_start[], kernel_rodata_start[], kernel_data_start[],
    kernel_image_end[];

paddr_t kernel_root;
uint64_t kernel_tables;

static uint64_t last_space_id;

static pte_t *table_of(pte_t entry)
{
    return direct_map(pte_paddr(entry));
}

static unsigned entry_index(uint64_t address, unsigned level)
{
    return address >> (12 + 9 * level) & (ENTRIES - 1);
}

static uint64_t level_size(unsigned level)
{
    return UINT64_C(1) << (12 + 9 * level);
}

/* --- The kernel's half, at boot --- */

static pte_t *early_table(pte_t *entry)
{
    if (!pte_present(*entry)) {
        paddr_t frame = frame_early();

        memset(direct_map(frame), 0, PAGE_SIZE);
        *entry = frame.value | PTE_PRESENT | PTE_WRITE;
    }
    return table_of(*entry);
}

static unsigned leaf_level(uint64_t virtual, uint64_t physical, uint64_t length)
{
    if (cpu_features.huge_pages && IS_ALIGNED(virtual | physical, HUGE_PAGE) && length >= HUGE_PAGE)
        return 2;
    if (IS_ALIGNED(virtual | physical, LARGE_PAGE) && length >= LARGE_PAGE)
        return 1;
    return 0;
}

/* Maps with the largest pages that fit. What is mapped already stays as it is: firmware's ranges may overlap. */
static void early_map(uint64_t virtual, uint64_t physical, uint64_t length, unsigned flags)
{
    while (length) {
        unsigned level = leaf_level(virtual, physical, length), at = LEVEL_PML4;
        pte_t *entry = (pte_t *)direct_map(kernel_root) + entry_index(virtual, at);

        while (at > level && !(pte_present(*entry) && *entry & PTE_LARGE)) {
            at--;
            entry = early_table(entry) + entry_index(virtual, at);
        }
        if (!pte_present(*entry)) {
            *entry = pte_make(PADDR(physical), flags | PAGE_GLOBAL) | (at ? PTE_LARGE : 0);
        } else if (at && !(*entry & PTE_LARGE)) {
            /* Smaller pages are there already: fill in what is missing between them. */
            uint64_t half = level_size(at - 1);

            early_map(virtual, physical, half, flags);
            level = at - 1;
        }
        /* After a larger leaf than ours, too, a step of our size makes progress. */
        uint64_t step = MIN(length, level_size(level));
        virtual += step;
        physical += step;
        length -= step;
    }
}

static void map_image(const char *start, const char *end, unsigned flags)
{
    early_map((uint64_t)start, direct_map_paddr(start).value, (uint64_t)(end - start), flags);
}

static void map_direct(uint64_t start, uint64_t end)
{
    uint64_t fixed_start = direct_map_paddr(kernel_text_start).value;
    uint64_t fixed_end = direct_map_paddr(kernel_data_start).value;
    const struct {
        uint64_t start, end;
        unsigned flags;
    } parts[] = {
        {0, fixed_start, PAGE_WRITE},
        {fixed_start, fixed_end, 0},
        {fixed_end, UINT64_MAX, PAGE_WRITE},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
        uint64_t from = MAX(start, parts[i].start), to = MIN(end, parts[i].end);

        if (from < to)
            early_map(DIRECT_MAP_BASE + from, from, to - from, parts[i].flags);
    }
}

/* Tables for every PML4 entry the vmap area may use. */
static void reserve_tables(uint64_t start, uint64_t size)
{
    for (uint64_t address = start; address < start + size; address += level_size(LEVEL_PML4))
        early_table((pte_t *)direct_map(kernel_root) + entry_index(address, LEVEL_PML4));
}

void arch_memory_init(const struct boot_info *boot)
{
    kernel_root = frame_early();
    memset(direct_map(kernel_root), 0, PAGE_SIZE);

    map_direct(0,
               LOW_MEMORY); /* real-mode data, firmware's tables, the code that starts other CPUs */
    for (uint32_t i = 0; i < boot->range_count; i++) {
        const struct boot_range *range = &boot->ranges[i];
        uint64_t start = ALIGN_DOWN(range->base.value, PAGE_SIZE);
        uint64_t end = MIN(range->base.value + range->length, DIRECT_MAP_SIZE);

        if (range->type != BOOT_RESERVED && start < end)
            map_direct(start, ALIGN_UP(end, PAGE_SIZE));
    }
    map_image(kernel_text_start, kernel_rodata_start, PAGE_EXECUTE);
    map_image(kernel_rodata_start, kernel_data_start, 0);
    map_image(kernel_data_start, kernel_image_end, PAGE_WRITE);
    reserve_tables(VMAP_BASE, VMAP_SIZE);
    reserve_tables(STACKS_BASE, STACKS_SIZE);
    cpu_paging_load();
}

/* --- The kernel's half, later --- */

pte_t *kernel_pte(uint64_t address, bool create)
{
    pte_t *entry = (pte_t *)direct_map(kernel_root) + entry_index(address, LEVEL_PML4);

    for (unsigned level = LEVEL_PML4; level > 0; level--) {
        pte_t value = __atomic_load_n(entry, __ATOMIC_ACQUIRE);

        if (!pte_present(value)) {
            struct frame *frame;

            if (!create || frame_alloc(FRAME_ZERO | FRAME_KERNEL, &frame))
                return NULL;
            /* Another CPU may be doing the same: the first table stays. */
            pte_t fresh = frame_paddr(frame).value | PTE_PRESENT | PTE_WRITE;
            if (__atomic_compare_exchange_n(entry, &value, fresh, false, __ATOMIC_ACQ_REL,
                                            __ATOMIC_ACQUIRE)) {
                value = fresh;
                __atomic_fetch_add(&kernel_tables, 1, __ATOMIC_RELAXED);
            } else {
                frame_put(frame);
            }
        }
        entry = table_of(value) + entry_index(address, level - 1);
    }
    return entry;
}

void arch_show_page(const void *page)
{
    pte_t *entry = kernel_pte(TIME_PAGE, true);

    if (!entry)
        panic("no memory for the time page");
    *entry = pte_make(direct_map_paddr(page), PAGE_USER | PAGE_GLOBAL);
    entry = (pte_t *)direct_map(kernel_root) + entry_index(TIME_PAGE, LEVEL_PML4);
    for (unsigned level = LEVEL_PML4; level > 0; level--) {
        *entry |= PTE_USER; /* nothing else lies below it */
        entry = table_of(*entry) + entry_index(TIME_PAGE, level - 1);
    }
}

/* --- Tables of spaces --- */

/* The frame of a table says in `own` what it maps: the address of its first entry in units of LARGE_PAGE, and the level
 * of its entries. */
#define OWN_LEVEL_BITS 2u

static uint32_t own_make(uint64_t base, unsigned level)
{
    return (uint32_t)(base / LARGE_PAGE) << OWN_LEVEL_BITS | level;
}

static uint64_t own_base(const struct frame *table)
{
    return (uint64_t)(table->own >> OWN_LEVEL_BITS) * LARGE_PAGE;
}

static unsigned own_level(const struct frame *table)
{
    return table->own & ((1u << OWN_LEVEL_BITS) - 1);
}

/* What is given up is all zeros (a PML4: in the user's half), so each CPU keeps some for the next space. */
static struct frame *pool_take(struct cpu *cpu, struct table_pool *pool)
{
    struct frame *frame;

    if (fail_now())
        return NULL;
    if (likely(pool->count > 0))
        frame = pool->frames[--pool->count];
    else if (frame_alloc(FRAME_ZERO | FRAME_KERNEL | FRAME_ASKED, &frame))
        return NULL;
    cpu->page_tables++;
    return frame;
}

static void pool_give(struct cpu *cpu, struct table_pool *pool, struct frame *frame)
{
    cpu->page_tables--;
    if (likely(pool->count < ARRAY_SIZE(pool->frames)))
        pool->frames[pool->count++] = frame;
    else
        frame_put(frame);
}

uint64_t tables_cached(void)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < CPU_MAX; i++)
        if (cpus[i])
            count += __atomic_load_n(&cpus[i]->arch.tables.count, __ATOMIC_RELAXED) +
                     __atomic_load_n(&cpus[i]->arch.roots.count, __ATOMIC_RELAXED);
    return count;
}

/* The entry of that level on the way to address; NULL: the way ends above it. */
static pte_t *entry_at(const struct arch_space *space, uint64_t address, unsigned level)
{
    pte_t *entry = (pte_t *)direct_map(space->root) + entry_index(address, LEVEL_PML4);

    for (unsigned at = LEVEL_PML4; at > level; at--) {
        if (!pte_present(*entry))
            return NULL;
        entry = table_of(*entry) + entry_index(address, at - 1);
    }
    return entry;
}

/* A table with entries of that level, one of them for address; not hooked anywhere yet. */
static inline struct frame *make_table(struct arch_space *space, uint64_t address, unsigned level)
{
    struct cpu *cpu = cpu_self();
    struct frame *frame = pool_take(cpu, &cpu->arch.tables);

    if (!frame)
        return NULL;
    frame->own = own_make(ALIGN_DOWN(address, level_size(level + 1)), level);
    list_append(&space->tables, &frame->link); /* behind the table it will hang on */
    space->table_count++;
    return frame;
}

static pte_t table_entry(const struct frame *table)
{
    return frame_paddr(table).value | PTE_PRESENT | PTE_WRITE | PTE_USER;
}

static bool hook_table(struct arch_space *space, pte_t *entry, uint64_t address, unsigned level)
{
    struct frame *table = make_table(space, address, level);

    if (!table)
        return false;
    /* The zeros must be there before a CPU's page walk can find the table: x86 keeps stores in order, the
     * compiler is told to. */
    __atomic_store_n(entry, table_entry(table), __ATOMIC_RELEASE);
    return true;
}

pte_t *arch_huge_entry(struct arch_space *space, uint64_t address)
{
    pte_t *entry = (pte_t *)direct_map(space->root) + entry_index(address, LEVEL_PML4);

    for (unsigned level = LEVEL_PML4; level > LEVEL_PD; level--) {
        if (!pte_present(*entry) && !hook_table(space, entry, address, level - 1))
            return NULL;
        entry = table_of(*entry) + entry_index(address, level - 1);
    }
    return *entry ? NULL : entry;
}

int arch_huge_split(struct arch_space *space, uint64_t address)
{
    pte_t *entry = entry_at(space, address, LEVEL_PD), old = *entry, *small;
    struct frame *table = make_table(space, address, LEVEL_PD - 1);

    if (!table)
        return -E_NO_MEMORY;
    small = frame_data(table);
    for (uint64_t i = 0; i < ENTRIES; i++)
        small[i] = pte_replacing(old & ~PTE_LARGE) + i * PAGE_SIZE;
    __atomic_store_n(entry, table_entry(table), __ATOMIC_RELEASE);
    return 0;
}

static bool table_empty(pte_t entry)
{
    pte_t *table = table_of(entry);

    return pte_scan(table, table + ENTRIES) == table + ENTRIES;
}

/* The table that the entry points to is empty. */
static void unhook_table(struct arch_space *space, pte_t *entry, struct list **unhooked)
{
    struct frame *frame = frame_of(pte_paddr(*entry));

    ASSERT(!DEBUG || table_empty(*entry));
    *entry = 0;
    space->recent = UINT64_MAX;
    space->table_count--;
    list_unlink(&frame->link);
    chain_push(unhooked, &frame->link);
}

void arch_tables_free(struct list *unhooked)
{
    struct cpu *cpu = cpu_self();
    struct frame *frame;

    while ((frame = chain_pop(&unhooked, struct frame, link)) != NULL)
        pool_give(cpu, &cpu->arch.tables, frame);
}

int arch_space_init(struct arch_space *space)
{
    struct cpu *cpu = cpu_self();
    struct frame *frame = pool_take(cpu, &cpu->arch.roots);

    if (!frame)
        return -E_NO_MEMORY;

    pte_t *root = frame_data(frame);

    if (!root[ENTRIES - 1]) /* not one that was a root before: the kernel's image is always there */
        memcpy(root + KERNEL_HALF, (pte_t *)direct_map(kernel_root) + KERNEL_HALF,
               KERNEL_HALF * sizeof(pte_t));
    *space = (struct arch_space){
        .root = frame_paddr(frame),
        .id = __atomic_add_fetch(&last_space_id, 1, __ATOMIC_RELAXED),
        .recent = UINT64_MAX,
    };
    list_init(&space->tables);
    return 0;
}

void arch_space_destroy(struct arch_space *space)
{
    struct cpu *cpu = cpu_self();
    struct list *unhooked = NULL;

    tlb_forget(space);
    arch_tables_unhook(space, 0, USER_LIMIT + PAGE_SIZE, 0, USER_LIMIT + PAGE_SIZE, &unhooked);
    ASSERT(list_empty(&space->tables));
    arch_tables_free(unhooked);
    pool_give(cpu, &cpu->arch.roots, frame_of(space->root));
    space->root = PADDR(0);
}

pte_t *arch_pte_search(struct arch_space *space, uint64_t address, bool create)
{
    pte_t *entry = (pte_t *)direct_map(space->root) + entry_index(address, LEVEL_PML4);

#pragma GCC unroll 3
    for (unsigned level = LEVEL_PML4; level > 0; level--) {
        if (level == LEVEL_PD && unlikely(pte_huge(*entry)))
            return entry;
        if (unlikely(!pte_present(*entry)) &&
            (!create || !hook_table(space, entry, address, level - 1)))
            return NULL;
        entry = table_of(*entry) + entry_index(address, level - 1);
    }
    space->recent = ALIGN_DOWN(address, LARGE_PAGE);
    space->recent_table = entry - entry_index(address, 0);
    return entry;
}

pte_t *arch_pte_next(struct arch_space *space, uint64_t *address, uint64_t end)
{
    uint64_t at = *address;

    while (at < end) {
        pte_t *entry = (pte_t *)direct_map(space->root) + entry_index(at, LEVEL_PML4);
        unsigned level = LEVEL_PML4;

        while (level > 0 && pte_present(*entry) && !pte_huge(*entry)) {
            level--;
            entry = table_of(*entry) + entry_index(at, level);
        }
        if (*entry && level <= LEVEL_PD) {
            *address = at;
            return entry;
        }
        /* Go along this table to its next entry in use, or to its end. */
        uint64_t size = level_size(level), from = ALIGN_DOWN(at, size);
        uint64_t count = MIN(ENTRIES - entry_index(at, level), (end - from + size - 1) / size);

        at = from + (uint64_t)(pte_scan(entry + 1, entry + count) - entry) * size;
    }
    return NULL;
}

/* Those of one level by their addresses. One above the lowest level may still lead to empty ones elsewhere. */
static void unhook_by_address(struct arch_space *space, uint64_t from, uint64_t to, unsigned level,
                              struct list **unhooked)
{
    uint64_t span = level_size(level + 1);

    for (uint64_t at = from; at < to; at += span) {
        pte_t *entry = entry_at(space, at, level + 1);

        if (entry && pte_present(*entry) && (level == 0 || table_empty(*entry)))
            unhook_table(space, entry, unhooked);
    }
}

/* All of [low, high), from the last one made: the ones that hang on others come first. */
static void unhook_by_list(struct arch_space *space, uint64_t low, uint64_t high,
                           struct list **unhooked)
{
    struct list *link = space->tables.previous;

    while (link != &space->tables) {
        struct frame *table = container_of(link, struct frame, link);
        uint64_t base = own_base(table);
        unsigned above = own_level(table) + 1;

        link = link->previous;
        if (base >= low && base + level_size(above) <= high)
            unhook_table(space, entry_at(space, base, above), unhooked);
    }
}

void arch_tables_unhook(struct arch_space *space, uint64_t start, uint64_t end, uint64_t low,
                        uint64_t high, struct list **unhooked)
{
    if ((end - start) / LARGE_PAGE > space->table_count) {
        unhook_by_list(space, low, high, unhooked);
        return;
    }
    for (unsigned level = 0; level < LEVEL_PML4; level++) {
        uint64_t span = level_size(level + 1);
        uint64_t from = MAX(ALIGN_DOWN(start, span), ALIGN_UP(low, span));
        uint64_t to = MIN(ALIGN_UP(end, span), ALIGN_DOWN(high, span));

        if (from >= to)
            break;
        unhook_by_address(space, from, to, level, unhooked);
    }
}
