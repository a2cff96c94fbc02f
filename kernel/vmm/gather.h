/* Walking page-table entries, and taking pages out of them so that nobody can still use what is freed.
 *
 *     struct gather gather;
 *     gather_start(&gather, space);
 *     gather_unmap(&gather, start, end, GATHER_ALL)        entries cleared, frames kept aside
 *     gather_trim(&gather, start, end)                     no region is left there: tables may be empty (trim.c)
 *     gather_flush(&gather)                                one TLB flush over all that was touched
 *     (release the space's lock)
 *     gather_finish(&gather)                               frames are put
 *
 * A huge page in the range must be wholly in it (huge_split, huge.c). What no CPU has accessed, fault-around and
 * MAP_POPULATE having put it there in vain, is in no TLB either (SDM volume 3, 4.10.2.3), so it is not flushed.
 *
 * A frame whose only owner is this space is chained by its own link, however many there are. One
 * that is shared has its link in use elsewhere perhaps, so it waits in a small array; when that is full, a flush comes
 * early. All but gather_finish under the space's lock.
 */
#pragma once

#include "kernel/vmm/space.h"

#define WALK_BATCH 512u /* entries a loop handles before it lets interrupts in */

#define GATHER_OWNED    0x1u /* private pages */
#define GATHER_BORROWED 0x2u /* the memory object's pages */
#define GATHER_ALL      0x3u
#define GATHER_SHARED   32u

struct gather {
    struct space *space;
    uint64_t start, end; /* to be flushed; start >= end: nothing */
    /* Chains, for gather_finish: */
    struct list *frames;
    struct list *blocks;  /* of huge pages */
    struct list *regions; /* unmapped */
    struct list *tables;  /* unhooked */
    uint64_t freed;       /* pages that nobody has any more, for the purse */
    unsigned shared_count, steps;
    bool tables_met; /* there are page tables where entries were looked for */
    bool dead; /* no CPU uses the space any more: frames are put at once, nothing is flushed */
    struct frame *shared[GATHER_SHARED];
};

static inline void gather_start(struct gather *gather, struct space *space)
{
    gather->space = space;
    gather->start = UINT64_MAX;
    gather->end = 0;
    gather->frames = gather->blocks = gather->regions = gather->tables = NULL;
    gather->freed = 0;
    gather->shared_count = gather->steps = 0;
    gather->dead = gather->tables_met = false;
}

void gather_unmap(struct gather *gather, uint64_t start, uint64_t end, unsigned what);
void gather_trim(struct gather *gather, uint64_t start, uint64_t end);
void gather_flush(struct gather *gather);
void gather_free(struct gather *gather); /* gather_finish's: there is something */

static inline void gather_finish(struct gather *gather)
{
    if (gather->regions || gather->frames || gather->blocks || gather->tables)
        gather_free(gather);
}

/* An entry loses something other CPUs may have cached. */
static inline void gather_touch_range(struct gather *gather, uint64_t address, uint64_t size)
{
    gather->start = MIN(gather->start, address);
    gather->end = MAX(gather->end, address + size);
}

static inline void gather_touch(struct gather *gather, uint64_t address)
{
    gather_touch_range(gather, address, PAGE_SIZE);
}

/* The entries in use in [address, end), in order:
 *     struct walk walk = WALK(&space->arch, start, end);
 *     while ((entry = walk_next(&walk)) != NULL) ... walk.address ... */
struct walk {
    struct arch_space *space;
    uint64_t address, end;
    pte_t *entry, *stop; /* stop: one past the last of entry's table that is to be looked at */
    bool huge; /* the entry is that of a huge page, all of which is address .. + TABLE_SPAN */
};

#define WALK(space_, start_, end_)                    \
    {                                                 \
        (space_), (start_), (end_), NULL, NULL, false \
    }

static inline pte_t *walk_next(struct walk *walk)
{
    if (walk->entry) {
        pte_t *entry = pte_scan(walk->entry + 1, walk->stop);

        walk->address += (uint64_t)(entry - walk->entry) * PAGE_SIZE;
        walk->entry = entry;
        if (entry < walk->stop)
            return entry;
        if (walk->huge)
            walk->address = ALIGN_UP(walk->address, TABLE_SPAN);
        if (walk->address >= walk->end)
            return NULL;
    }
    walk->entry = arch_pte_next(walk->space, &walk->address, walk->end);
    if (!walk->entry)
        return NULL;
    walk->huge = pte_huge(*walk->entry);
    walk->stop = walk->entry + 1;
    if (!walk->huge)
        walk->stop +=
            MIN(TABLE_SPAN - walk->address % TABLE_SPAN, walk->end - walk->address) / PAGE_SIZE - 1;
    return walk->entry;
}

static inline uint64_t walk_size(const struct walk *walk)
{
    return walk->huge ? TABLE_SPAN : PAGE_SIZE;
}

/* --- huge.c --- */

/* Is the span that begins at start, wholly in the anonymous region, to be one huge page? Nothing is mapped in it. populate:
 * the caller will want all of it at once. */
bool huge_wanted(const struct region *region, uint64_t start, bool populate);

/* The huge page that address lies in, if there is one, becomes small ones. E_NO_MEMORY. */
int huge_split(struct space *space, uint64_t address) MUST_CHECK;
/* All that reach over a border of the range. */
int huge_split_borders(struct space *space, uint64_t start, uint64_t end) MUST_CHECK;
/* All of the range. */
int huge_split_range(struct space *space, uint64_t start, uint64_t end) MUST_CHECK;
