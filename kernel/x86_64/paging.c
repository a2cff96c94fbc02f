/* Page tables: four levels of 512 entries (SDM volume 3, 4.5), 9 bits of the address each.
 *
 *     47..39 PML4   38..30 PDPT   29..21 PD   20..12 PT        level 3, 2, 1, 0 below
 *
 *     PML4[0..255]   a space's own; 4 KiB leaves only. Its lock protects them
 *     PML4[256..511] the kernel's, the same in every space: every table that an entry here may ever point to exists
 *                    before the first space does, so that nothing has to be copied later
 *
 * Everything of the kernel is global and, but for its text, not executable; nothing is writable and executable, the
 * direct map included: text and read-only data are read-only there, too.
 *
 * Tables of the kernel's half are made when first needed and never freed. Those of a space are freed by
 * arch_tables_trim, when nothing in them is left.
 */
#include "abi/errors.h"
#include "kernel/boot.h"
#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/vmm/frame.h"
#include "kernel/x86_64/machine.h"
#include "lib/base/string.h"

#define ENTRIES     512u
#define LEVEL_PML4  3u
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

/* --- Spaces --- */

int arch_space_init(struct arch_space *space)
{
    struct frame *frame;
    int error = frame_alloc(FRAME_ZERO | FRAME_KERNEL, &frame);

    if (error)
        return error;
    *space = (struct arch_space){
        .root = frame_paddr(frame),
        .id = __atomic_add_fetch(&last_space_id, 1, __ATOMIC_RELAXED),
    };
    list_init(&space->tables);
    memcpy((pte_t *)direct_map(space->root) + KERNEL_HALF,
           (pte_t *)direct_map(kernel_root) + KERNEL_HALF, KERNEL_HALF * sizeof(pte_t));
    return 0;
}

void arch_space_destroy(struct arch_space *space)
{
    tlb_forget(space);
    list_for_each (struct frame, table, &space->tables, link)
        frame_put(table);
    frame_put(frame_of(space->root));
    space->root = PADDR(0);
}

pte_t *arch_pte(struct arch_space *space, uint64_t address, bool create)
{
    pte_t *entry = (pte_t *)direct_map(space->root) + entry_index(address, LEVEL_PML4);

    for (unsigned level = LEVEL_PML4; level > 0; level--) {
        if (!pte_present(*entry)) {
            struct frame *frame;

            if (!create || frame_alloc(FRAME_ZERO | FRAME_KERNEL, &frame))
                return NULL;
            /* The zeros must be there before a CPU's page walk can find the table: x86 keeps stores in order, the
             * compiler is told to. */
            __atomic_store_n(entry, frame_paddr(frame).value | PTE_PRESENT | PTE_WRITE | PTE_USER,
                             __ATOMIC_RELEASE);
            list_append(&space->tables, &frame->link);
        }
        entry = table_of(*entry) + entry_index(address, level - 1);
    }
    return entry;
}

pte_t *arch_pte_next(struct arch_space *space, uint64_t *address, uint64_t end)
{
    uint64_t at = *address;

    while (at < end) {
        pte_t *entry = (pte_t *)direct_map(space->root) + entry_index(at, LEVEL_PML4);
        unsigned level = LEVEL_PML4;

        while (level > 0 && pte_present(*entry)) {
            level--;
            entry = table_of(*entry) + entry_index(at, level);
        }
        if (level == 0 && *entry) {
            *address = at;
            return entry;
        }
        /* Go along this table to its next entry in use, or to its end. */
        uint64_t size = level_size(level), from = ALIGN_DOWN(at, size);
        uint64_t count = MIN(ENTRIES - entry_index(at, level), (end - from + size - 1) / size), i;

        for (i = 1; i < count && !entry[i]; i++)
            ;
        at = from + i * size;
    }
    return NULL;
}

static bool table_empty(const pte_t *table)
{
    for (unsigned i = 0; i < ENTRIES; i += 4)
        if (table[i] | table[i + 1] | table[i + 2] | table[i + 3])
            return false;
    return true;
}

/* Unhooks the empty tables below `table` (of the given level) that lie wholly in [start, end), and chains their
 * frames. base: the address of the table's first entry. */
static void unhook_tables(pte_t *table, unsigned level, uint64_t base, uint64_t start, uint64_t end,
                          struct list *unhooked)
{
    uint64_t size = level_size(level);
    uint64_t first = start > base ? ALIGN_DOWN(start, size) : base;

    for (uint64_t at = first; at < end && at < base + size * ENTRIES; at += size) {
        pte_t *entry = &table[entry_index(at, level)];

        if (!pte_present(*entry))
            continue;
        if (level > 1)
            unhook_tables(table_of(*entry), level - 1, at, start, end, unhooked);
        if (at >= start && at + size <= end && table_empty(table_of(*entry))) {
            struct frame *frame = frame_of(pte_paddr(*entry));

            list_remove(&frame->link); /* from the space's */
            list_append(unhooked, &frame->link);
            *entry = 0;
        }
    }
}

void arch_tables_trim(struct arch_space *space, uint64_t start, uint64_t end)
{
    struct list unhooked = LIST_INIT(unhooked);

    /* To the end of the lower half: the last table covers a page more than programs may use. */
    unhook_tables(direct_map(space->root), LEVEL_PML4, 0, start, MIN(end, USER_LIMIT + PAGE_SIZE),
                  &unhooked);
    if (list_empty(&unhooked))
        return;
    /* CPUs cache the upper entries, too; flushing any one page drops all of these (SDM volume 3, 4.10.4.1). */
    arch_tlb_flush(space, start, start + PAGE_SIZE);
    list_for_each (struct frame, frame, &unhooked, link) {
        list_remove(&frame->link);
        frame_put(frame);
    }
}
