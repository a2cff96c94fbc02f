/* Taking pages out of page tables: see gather.h. */
#include "kernel/vmm/gather.h"

#include "kernel/cpu.h"
#include "kernel/vmm/region.h"

void gather_start(struct gather *gather, struct space *space)
{
    gather->space = space;
    gather->start = UINT64_MAX;
    gather->end = 0;
    list_init(&gather->frames);
    list_init(&gather->blocks);
    list_init(&gather->regions);
    list_init(&gather->tables);
    gather->shared_count = 0;
    gather->steps = 0;
    gather->dead = gather->tables_met = false;
}

static void keep_frame(struct gather *gather, struct frame *frame)
{
    gather->space->owned_pages--;
    if (gather->dead) {
        frame_put(frame);
    } else if (frame_owners(frame) == 1) {
        list_append(&gather->frames, &frame->link);
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
        list_append(&gather->blocks, &block->link);
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

void gather_unmap(struct gather *gather, uint64_t start, uint64_t end, unsigned what)
{
    struct walk walk = WALK(&gather->space->arch, start, end);
    pte_t *entry;

    if (start / TABLE_SPAN == (end - 1) / TABLE_SPAN) {
        entry = arch_pte(walk.space, start, false);
        if (!entry)
            return;
        if (pte_huge(*entry)) {
            gather->tables_met = true;
            take_huge(gather, start, entry, what);
            return;
        }
        if (end - start == PAGE_SIZE) {
            gather->tables_met = true;
            if (*entry)
                take(gather, start, entry, what);
            return;
        }
        walk_begin(&walk, entry);
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
    list_for_each (struct frame, frame, &gather->frames, link)
        frame_put(frame);
    list_for_each (struct frame, block, &gather->blocks, link)
        frame_block_put(block, HUGE_ORDER);
    region_free_list(&gather->regions);
    if (!list_empty(&gather->tables))
        arch_tables_free(&gather->tables);
}
