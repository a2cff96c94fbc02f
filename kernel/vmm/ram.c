/* The boot memory map, checked and cut to size: see ram.h. */
#include "kernel/vmm/ram.h"

#include "abi/abi.h"
#include "kernel/boot.h"
#include "kernel/log.h"

/* Each range that is cut out of another splits it at most once more. */
#define RANGES_MAX (BOOT_RANGES + 16u)

struct table {
    struct ram_range ranges[RANGES_MAX];
    unsigned count;
};

static struct table all, unused;

static void remove_at(struct table *table, unsigned i)
{
    table->count--;
    for (; i < table->count; i++)
        table->ranges[i] = table->ranges[i + 1];
}

/* False: no room; the caller loses the range, never gains one. */
static bool insert_at(struct table *table, unsigned i, uint64_t start, uint64_t end)
{
    if (table->count == RANGES_MAX)
        return false;
    for (unsigned j = table->count++; j > i; j--)
        table->ranges[j] = table->ranges[j - 1];
    table->ranges[i] = (struct ram_range){start, end};
    return true;
}

/* The union of the table and [start, end), page-aligned. */
static void add(struct table *table, uint64_t start, uint64_t end)
{
    unsigned i = 0;

    while (i < table->count && table->ranges[i].end < start)
        i++;
    while (i < table->count && table->ranges[i].start <= end) {
        start = MIN(start, table->ranges[i].start);
        end = MAX(end, table->ranges[i].end);
        remove_at(table, i);
    }
    if (!insert_at(table, i, start, end))
        log_warning("memory: too many ranges, 0x%lx to 0x%lx is not used", start, end);
}

/* The table without [start, end), page-aligned. */
static void subtract(struct table *table, uint64_t start, uint64_t end)
{
    for (unsigned i = 0; i < table->count;) {
        struct ram_range *range = &table->ranges[i];

        if (start >= end || range->end <= start || range->start >= end) {
            i++;
        } else if (range->start >= start && range->end <= end) {
            remove_at(table, i);
        } else if (range->start < start && range->end > end) {
            uint64_t tail = range->end;

            range->end = start;
            if (!insert_at(table, i + 1, end, tail))
                log_warning("memory: too many ranges, 0x%lx to 0x%lx is not used", end, tail);
            i += 2;
        } else {
            if (range->start < start)
                range->end = start;
            else
                range->start = end;
            i++;
        }
    }
}

/* The end of a range that may wrap or lie beyond what we use. */
static uint64_t clipped_end(uint64_t start, uint64_t length)
{
    return length > RAM_LIMIT - start ? RAM_LIMIT : start + length;
}

static void subtract_bytes(struct table *table, uint64_t start, uint64_t length)
{
    if (start < RAM_LIMIT && length)
        subtract(table, ALIGN_DOWN(start, (uint64_t)PAGE_SIZE),
                 ALIGN_UP(clipped_end(start, length), (uint64_t)PAGE_SIZE));
}

void ram_init(const struct boot_info *boot)
{
    all.count = 0;

    unsigned count = MIN(boot->range_count, BOOT_RANGES);

    for (unsigned i = 0; i < count; i++) {
        const struct boot_range *range = &boot->ranges[i];

        if (range->type != BOOT_RAM || range->base.value >= RAM_LIMIT)
            continue;

        uint64_t start = ALIGN_UP(range->base.value, (uint64_t)PAGE_SIZE);
        uint64_t end =
            ALIGN_DOWN(clipped_end(range->base.value, range->length), (uint64_t)PAGE_SIZE);

        if (start < end)
            add(&all, start, end);
    }
    for (unsigned i = 0; i < count; i++)
        if (boot->ranges[i].type != BOOT_RAM)
            subtract_bytes(&all, boot->ranges[i].base.value, boot->ranges[i].length);
    subtract(&all, 0, PAGE_SIZE); /* the firmware's interrupt table; and address 0 means "none" */

    unused = all;
    subtract_bytes(&unused, boot->kernel_start.value,
                   boot->kernel_end.value - boot->kernel_start.value);
    subtract_bytes(&unused, boot->module.value, boot->module_length);
    if (boot->info_end.value > boot->info_start.value)
        subtract_bytes(&unused, boot->info_start.value,
                       boot->info_end.value - boot->info_start.value);
    if (boot->ranges_cut)
        log_warning("memory: the loader reported more than %u ranges, the rest is not used",
                    BOOT_RANGES);
}

struct ram_map ram_all(void)
{
    return (struct ram_map){all.ranges, all.count};
}

struct ram_map ram_free(void)
{
    return (struct ram_map){unused.ranges, unused.count};
}

bool ram_overlaps(uint64_t base, uint64_t length)
{
    for (unsigned i = 0; i < all.count; i++)
        if (base < all.ranges[i].end && base + length > all.ranges[i].start)
            return true;
    return false;
}

bool ram_take(uint64_t length, paddr_t *base)
{
    length = ALIGN_UP(length, (uint64_t)PAGE_SIZE);
    for (unsigned i = unused.count; i-- > 0;) {
        struct ram_range *range = &unused.ranges[i];

        if (range->end - MIN(range->end, MAX(range->start, RAM_LOW)) < length)
            continue;
        *base = PADDR(range->end - length);
        subtract(&unused, range->end - length, range->end);
        return true;
    }
    return false;
}

bool ram_early(paddr_t *page)
{
    for (unsigned i = 0; i < unused.count; i++) {
        struct ram_range *range = &unused.ranges[i];

        if (range->end <= RAM_LOW)
            continue;
        *page = PADDR(MAX(range->start, RAM_LOW));
        subtract(&unused, page->value, page->value + PAGE_SIZE);
        return true;
    }
    return false;
}
