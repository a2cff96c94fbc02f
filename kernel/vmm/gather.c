/* Taking pages out of page tables: see gather.h. */
#include "kernel/vmm/gather.h"

#include "kernel/cpu.h"
#include "kernel/vmm/region.h"

static void keep_frame(struct gather *gather, struct frame *frame)
{
    gather->space->owned_pages--;
    if (gather->dead) {
        frame_put(frame);
    } else if (frame_owners(frame) == 1) {
        chain_push(&gather->frames, &frame->link);
    } else {
        if (gather->shared_count == GATHER_SHARED)
            gather_flush(gather);
        gather->shared[gather->shared_count++] = frame;
    }
}

static inline void take(struct gather *gather, uint64_t address, pte_t *entry, unsigned what)
{
    pte_t old = *entry;
    bool owned = pte_owned(old);

    if (!(what & (owned ? GATHER_OWNED : GATHER_BORROWED)))
        return;
    *entry = 0;
    gather_touch(gather, address);
    if (owned)
        keep_frame(gather, frame_of(pte_paddr(old)));
}

/* Of a huge page. */
static void keep_block(struct gather *gather, struct frame *block)
{
    gather->space->owned_pages -= TABLE_PAGES;
    if (gather->dead) {
        frame_block_put(block, HUGE_ORDER);
    } else if (frame_block_alone(block)) {
        chain_push(&gather->blocks, &block->link);
    } else {
        gather_flush(gather);
        frame_block_put(block, HUGE_ORDER);
    }
}

static COLD void take_huge(struct gather *gather, uint64_t address, pte_t *entry, unsigned what)
{
    pte_t old = *entry;

    if (!(what & (pte_owned(old) ? GATHER_OWNED : GATHER_BORROWED)))
        return;
    *entry = 0;
    cpu_self()->huge_pages--;
    gather_touch_range(gather, address, TABLE_SPAN);
    if (pte_owned(old))
        keep_block(gather, frame_of(pte_paddr(old)));
}

/* All of the range lies in the table of `entry`, or in a huge page that is entry's. */
static void unmap_in_table(struct gather *gather, uint64_t start, uint64_t end, pte_t *entry,
                           unsigned what)
{
    pte_t *stop = entry + (end - start) / PAGE_SIZE;

    gather->tables_met = true;
    if (unlikely(pte_huge(*entry))) {
        take_huge(gather, start, entry, what);
        return;
    }
    for (pte_t *at = entry; (at = pte_scan(at, stop)) < stop; at++) {
        take(gather, start + (uint64_t)(at - entry) * PAGE_SIZE, at, what);
        if (++gather->steps % WALK_BATCH == 0)
            arch_preempt_window();
    }
}

void gather_unmap(struct gather *gather, uint64_t start, uint64_t end, unsigned what)
{
    struct walk walk = WALK(&gather->space->arch, start, end);
    pte_t *entry;

    if (start / TABLE_SPAN == (end - 1) / TABLE_SPAN) {
        entry = arch_pte(walk.space, start, false);
        if (entry)
            unmap_in_table(gather, start, end, entry, what);
        return;
    }
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

void gather_flush(struct gather *gather)
{
    if (gather->start < gather->end && !gather->dead)
        arch_tlb_flush(&gather->space->arch, gather->start, gather->end);
    gather->start = UINT64_MAX;
    gather->end = 0;
    while (gather->shared_count > 0)
        frame_put(gather->shared[--gather->shared_count]);
}

void gather_finish(struct gather *gather)
{
    struct frame *frame;

    while ((frame = chain_pop(&gather->frames, struct frame, link)) != NULL)
        frame_put(frame);
    while ((frame = chain_pop(&gather->blocks, struct frame, link)) != NULL)
        frame_block_put(frame, HUGE_ORDER);
    region_free_chain(gather->regions);
    if (gather->tables)
        arch_tables_free(gather->tables);
}
