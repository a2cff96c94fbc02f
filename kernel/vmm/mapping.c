/* From a memory object back to the page tables that map it.
 *
 * The order of locks is space, then object; here we come from the object. So its list of regions is walked with
 * the object's lock dropped at each one, and a cursor (a region without a space) keeps the place:
 *
 *     under memory->lock: the region behind the cursor, a reference to its space
 *     lock the space, then memory->lock again: is there still a region of that space behind the cursor?
 *         no:  it changed meanwhile; look again
 *         yes: move the cursor behind it, release memory->lock, change the entries, flush, release the space
 *
 * Nothing is lost. Entries come into being by a fault, which looks at the object under its space's lock and so sees
 * what was changed there before the walk; or from other entries: of a fork's parent, or by merging and splitting
 * regions. Then the region goes to the end of the list (region.h), ahead of every cursor. A space whose last
 * reference is gone is passed over: no program can use its entries any more, and taking it down touches no
 * frame that it borrows. Cursors of other walks are passed over too.
 */
#include "kernel/vmm/gather.h"
#include "kernel/vmm/region.h"

static void move_behind(struct region *cursor, struct region *region)
{
    list_remove(&cursor->mapping);
    list_prepend(&region->mapping, &cursor->mapping);
}

/* The region behind the cursor that maps some of the pages, with a reference to its space; NULL: the end. The
 * memory's lock is held. */
static struct region *next_region(struct memory *memory, struct region *cursor, uint64_t first,
                                  uint64_t end)
{
    struct list *link;

    while ((link = cursor->mapping.next) != &memory->regions) {
        struct region *region = container_of(link, struct region, mapping);

        if (region->space && region_index(region, region->start) < end &&
            region_index(region, region->end) > first && space_try_get(region->space))
            return region;
        move_behind(cursor, region);
    }
    return NULL;
}

static void protect(struct gather *gather, uint64_t start, uint64_t end)
{
    struct walk walk = WALK(&gather->space->arch, start, end);
    pte_t *entry;

    while ((entry = walk_next(&walk)) != NULL) {
        if (!pte_writable(*entry) || pte_owned(*entry))
            continue;
        *entry = pte_protect(*entry);
        gather_touch_range(gather, walk.address, walk_size(&walk));
    }
}

/* The space's lock is held. */
static void change_region(struct gather *gather, const struct region *region, uint64_t first,
                          uint64_t end, enum mapping_change change)
{
    uint64_t base = region->offset / PAGE_SIZE, low = MAX(first, base);
    uint64_t high = MIN(end, base + (region->end - region->start) / PAGE_SIZE);

    if (low >= high)
        return;

    uint64_t from = region->start + (low - base) * PAGE_SIZE;
    uint64_t to = region->start + (high - base) * PAGE_SIZE;

    if (change == MAPPING_PROTECT)
        protect(gather, from, to);
    else
        gather_unmap(gather, from, to, change == MAPPING_UNMAP ? GATHER_BORROWED : GATHER_ALL);
    gather_flush(gather);
}

void mapping_change(struct memory *memory, uint64_t first, uint64_t end, enum mapping_change change)
{
    struct region cursor = {.space = NULL};
    struct region *region;

    list_init(&cursor.mapping);
    lock_acquire(&memory->lock);
    list_prepend(&memory->regions, &cursor.mapping);
    while ((region = next_region(memory, &cursor, first, end)) != NULL) {
        struct space *space = region->space;
        struct gather gather;

        lock_release(&memory->lock);
        gather_start(&gather, space);
        lock_acquire(&space->lock);
        lock_acquire(&memory->lock);

        struct list *link = cursor.mapping.next;

        region = link != &memory->regions ? container_of(link, struct region, mapping) : NULL;
        if (region && region->space == space)
            move_behind(&cursor, region);
        else
            region = NULL;
        lock_release(&memory->lock);
        if (region) /* the space's lock keeps it */
            change_region(&gather, region, first, end, change);
        lock_release(&space->lock);
        gather_finish(&gather);
        space_put(space);
        arch_preempt_window();
        lock_acquire(&memory->lock);
    }
    list_remove(&cursor.mapping);
    lock_release(&memory->lock);
}
