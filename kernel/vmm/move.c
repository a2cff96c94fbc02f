/* Memory moves within its space: see space.h. */
#include "kernel/vmm/gather.h"
#include "kernel/vmm/range.h"

/* The page tables the moved entries need, so that moving them cannot fail. */
static int prepare_tables(struct space *space, uint64_t start, uint64_t end, uint64_t to)
{
    struct walk walk = WALK(&space->arch, start, end);
    uint64_t table = UINT64_MAX;

    while (walk_next(&walk)) {
        uint64_t target = to + (walk.address - start);

        if (target / TABLE_SPAN != table && !space_entry_make(space, target))
            return -E_NO_MEMORY;
        table = target / TABLE_SPAN;
    }
    return 0;
}

static void move_entries(struct gather *gather, uint64_t start, uint64_t end, uint64_t to)
{
    struct walk walk = WALK(&gather->space->arch, start, end);
    pte_t *entry;

    while ((entry = walk_next(&walk)) != NULL) {
        *arch_pte(walk.space, to + (walk.address - start), true) = *entry;
        *entry = 0;
        gather_touch(gather, walk.address);
        if (++gather->steps % WALK_BATCH == 0)
            arch_preempt_window();
    }
}

static void move_regions(struct space *space, uint64_t start, uint64_t end, uint64_t to)
{
    struct region *region = region_above(space, start);

    while (region && region->start >= start && region->start < end) {
        struct region *next = region_next(region);

        region_remove(space, region);
        region_place(region, region->start - start + to, region->end - start + to, region->offset);
        region_insert(space, region, region_above(space, region->start));
        region = next;
    }
}

static int move_locked(struct gather *gather, uint64_t start, uint64_t end, uint64_t to)
{
    struct space *space = gather->space;
    uint64_t to_end = to + (end - start);
    struct region *there = region_above(space, to);

    if (!region_covers(space, start, end))
        return -E_FAULT;
    if (there && there->start < to_end)
        return -E_EXISTS;

    int result = huge_split_range(space, start, end);

    if (result == 0)
        result = make_borders(space, start, end, &gather->regions);
    if (result != 0)
        return result;
    result = prepare_tables(space, start, end, to);
    if (result != 0) {
        region_merge(space, start, end, &gather->regions);
        gather->tables_met = true;
        gather_trim(gather, to, to_end);
        gather_flush(gather);
        return result;
    }
    move_entries(gather, start, end, to);
    move_regions(space, start, end, to);
    gather->tables_met = true;
    gather_trim(gather, start, end);
    gather_flush(gather);
    region_merge(space, to, to_end, &gather->regions);
    return 0;
}

int space_move(struct space *space, uint64_t start, uint64_t length, uint64_t to)
{
    uint64_t end, to_end;
    int result = check_range(start, length, &end);
    struct gather gather;

    if (result == 0)
        result = check_range(to, length, &to_end);
    if (result != 0)
        return result;
    if (start < to_end && to < end)
        return -E_INVALID;
    gather_start(&gather, space);
    lock_acquire(&space->lock);
    result = move_locked(&gather, start, end, to);
    lock_release(&space->lock);
    gather_finish(&gather);
    return result;
}
