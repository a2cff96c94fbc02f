/* Page tables that became empty.
 *
 * Entries lie within regions, so a table that lies wholly between two regions is empty: nothing has to be counted or
 * looked through. But a program that maps and unmaps the same page should keep its tables, so a range that was unmapped
 * is only noted, and looked at when TRIM_RANGES are noted, TRIM_TABLES tables may be empty, or a table full of pages was
 * unmapped (or, with the space, all at once). By then something else may be mapped there: what counts is the regions as they are.
 *
 * Under the space's lock. The tables are freed by gather_finish, after the flush.
 */
#include "kernel/vmm/gather.h"
#include "kernel/vmm/region.h"

#define TRIM_TABLES 16u

/* The tables that touch [start, end), in the gaps between regions. */
static void unhook(struct gather *gather, uint64_t start, uint64_t end)
{
    struct space *space = gather->space;
    struct region *above = region_above(space, start);
    struct region *below = region_below(space, above);
    uint64_t low = below ? below->end : 0;

    for (;;) {
        uint64_t high = above ? above->start : SPACE_END + PAGE_SIZE;

        if (ALIGN_UP(low, TABLE_SPAN) < ALIGN_DOWN(high, TABLE_SPAN))
            arch_tables_unhook(&space->arch, MAX(start, low), MIN(end, high), low, high,
                               &gather->tables);
        if (!above || above->start >= end)
            return;
        low = above->end;
        above = region_next(above);
    }
}

static COLD void look(struct gather *gather)
{
    struct space *space = gather->space;
    struct trim *trims = space->trims;

    for (unsigned i = 0; i < space->trim_count; i++)
        unhook(gather, trims[i].start, trims[i].end);
    if (gather->tables) /* walkers forget all tables with any page (arch.h) */
        gather_touch(gather, trims[space->trim_count - 1].start);
    space->trim_count = 0;
    space->trim_tables = 0;
    space_tables_gone(space);
}

void gather_trim(struct gather *gather, uint64_t start, uint64_t end)
{
    struct space *space = gather->space;
    bool whole =
        gather->steps >= TABLE_PAGES; /* worth it, and what comes next may be a huge page */

    if (!gather->tables_met)
        return;
    start = ALIGN_DOWN(start, TABLE_SPAN);
    end = ALIGN_UP(end, TABLE_SPAN);
    for (struct trim *trim = space->trims + space->trim_count; trim-- > space->trims && !whole;)
        if (start >= trim->start && end <= trim->end)
            return;
    space->trims[space->trim_count++] = (struct trim){start, end};
    space->trim_tables += (end - start) / TABLE_SPAN;
    if (space->trim_count == TRIM_RANGES || space->trim_tables > TRIM_TABLES || whole)
        look(gather);
}
