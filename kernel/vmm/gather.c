/* Taking pages out of page tables: see gather.h. */
#include "kernel/vmm/gather.h"

#include "kernel/cpu.h"
#include "kernel/vmm/region.h"

#define SCANNED 8u /* pages of which each entry is looked at: fewer instructions than the walk */

/* Nobody can reach it by the space any more. */
static COLD void put_at_once(struct gather *gather, struct frame *frame)
{
    gather->freed += frame_put(frame);
}

static void keep_frame(struct gather *gather, struct frame *frame)
{
    gather->space->owned_pages--;
    if (unlikely(gather->dead)) {
        put_at_once(gather, frame);
    } else if (frame_owners(frame) == 1) {
        chain_push(&gather->frames, &frame->link);
        gather->freed++;
    } else {
        if (gather->shared_count == GATHER_SHARED)
            gather_flush(gather);
        gather->shared[gather->shared_count++] = frame;
    }
}

static inline void take(struct gather *gather, uint64_t address, pte_t *entry, unsigned what)
{
    bool owned = pte_owned(*entry);

    if (!(what & (owned ? GATHER_OWNED : GATHER_BORROWED)))
        return;

    pte_t old = pte_clear(entry);

    if (pte_accessed(old))
        gather_touch(gather, address);
    if (owned)
        keep_frame(gather, frame_of(pte_paddr(old)));
}

/* Of a huge page. */
static void keep_block(struct gather *gather, struct frame *block)
{
    gather->space->owned_pages -= TABLE_PAGES;
    if (gather->dead) {
        gather->freed += frame_block_put(block, HUGE_ORDER);
    } else if (frame_block_alone(block)) {
        chain_push(&gather->blocks, &block->link);
        gather->freed += TABLE_PAGES;
    } else {
        gather_flush(gather);
        gather->freed += frame_block_put(block, HUGE_ORDER);
    }
}

static COLD void take_huge(struct gather *gather, uint64_t address, pte_t *entry, unsigned what)
{
    pte_t old = *entry;

    if (!(what & (pte_owned(old) ? GATHER_OWNED : GATHER_BORROWED)))
        return;
    old = pte_clear(entry);
    cpu_self()->huge_pages--;
    if (pte_accessed(old))
        gather_touch_range(gather, address, TABLE_SPAN);
    if (pte_owned(old))
        keep_block(gather, frame_of(pte_paddr(old)));
}

static void unmap_tables(struct gather *gather, uint64_t start, uint64_t end, unsigned what)
{
    struct walk walk = WALK(&gather->space->arch, start, end);
    pte_t *entry;

    gather->tables_met = true;
    while ((entry = walk_next(&walk)) != NULL) {
        if (unlikely(walk.huge))
            take_huge(gather, walk.address, entry, what);
        else
            take(gather, walk.address, entry, what);
        if (++gather->steps % WALK_BATCH == 0)
            arch_preempt_window();
    }
}

/* The range lies in one table, entry is of its first page; or is that of a huge page. */
static void unmap_in_table(struct gather *gather, uint64_t start, uint64_t end, pte_t *entry,
                           unsigned what)
{
    gather->tables_met = true;
    if (unlikely(pte_huge(*entry))) {
        take_huge(gather, start, entry, what);
        return;
    }
    for (uint64_t at = start; at < end; at += PAGE_SIZE, entry++) {
        if (!*entry)
            continue;
        take(gather, at, entry, what);
        if (++gather->steps % WALK_BATCH == 0)
            arch_preempt_window();
    }
}

void gather_unmap(struct gather *gather, uint64_t start, uint64_t end, unsigned what)
{
    pte_t *entry;

    /* Most ranges are of a few pages. */
    if (unlikely(end - start > SCANNED * PAGE_SIZE ||
                 start / TABLE_SPAN != (end - 1) / TABLE_SPAN)) {
        unmap_tables(gather, start, end, what);
        return;
    }
    entry = arch_pte(&gather->space->arch, start, false);
    if (entry)
        unmap_in_table(gather, start, end, entry, what);
}

void gather_flush(struct gather *gather)
{
    if (gather->start < gather->end && !gather->dead)
        arch_tlb_flush(&gather->space->arch, gather->start, gather->end);
    gather->start = UINT64_MAX;
    gather->end = 0;
    while (gather->shared_count > 0)
        gather->freed += frame_put(gather->shared[--gather->shared_count]);
    purse_earn(&gather->space->purse, gather->freed * PAGE_SIZE);
    gather->freed = 0;
}

void gather_free(struct gather *gather)
{
    struct frame *frame;

    region_free_chain(gather->regions);
    while ((frame = chain_pop(&gather->frames, struct frame, link)) != NULL)
        frame_put(frame);
    while ((frame = chain_pop(&gather->blocks, struct frame, link)) != NULL)
        frame_block_put(frame, HUGE_ORDER);
    if (gather->tables)
        arch_tables_free(gather->tables);
}
