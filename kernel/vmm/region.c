/* Regions of a space: see region.h. */
#include "kernel/vmm/region.h"

#include "kernel/panic.h"
#include "kernel/vmm/heap.h"

static struct cache region_cache = {
    .name = "region",
    .size = sizeof(struct region),
    .alignment = 64,
    .flags = CACHE_RAW,
    .lock = LOCK_INIT(RANK_HEAP, "region"),
};

struct region *region_new(void)
{
    struct region *region = cache_alloc(&region_cache);

    if (region)
        list_init(&region->mapping);
    return region;
}

struct region *region_copy(const struct region *like)
{
    struct region *region = region_new();

    if (!region)
        return NULL;
    region->start = like->start;
    region->end = like->end;
    region->offset = like->offset;
    region->protection = like->protection;
    region->maximum = like->maximum;
    region->shared = like->shared;
    region->huge = like->huge;
    region->memory = like->memory;
    if (region->memory)
        object_get(&region->memory->object);
    return region;
}

void region_free(struct region *region)
{
    if (region->memory)
        object_put(&region->memory->object);
    cache_free(&region_cache, region);
}

/* --- Looking ----------------------------------------------------------------------------------------------- */

static struct region *search(struct space *space, uint64_t address)
{
    struct rb_node *node = space->regions.root;
    struct region *best = NULL;

    while (node) {
        struct region *region = container_of(node, struct region, node);

        if (address < region->end) {
            best = region;
            if (address >= region->start)
                break;
            node = node->left;
        } else {
            node = node->right;
        }
    }
    return best;
}

struct region *region_above(struct space *space, uint64_t address)
{
    struct region *recent = space->recent, *found;

    if (likely(recent && address >= recent->start)) {
        if (address < recent->end)
            return recent;
        found = region_next(recent);
        if (!found || address < found->end)
            return found;
    }
    found = search(space, address);
    space->recent = found && address >= found->start ? found : region_below(space, found);
    return found;
}

bool region_covers(struct space *space, uint64_t start, uint64_t end)
{
    struct region *region = region_above(space, start);

    while (region && region->start <= start) {
        if (region->end >= end)
            return true;
        start = region->end;
        region = region_next(region);
    }
    return false;
}

/* --- The tree and the list of the object --------------------------------------------------------------------- */

static inline void insert_between(struct space *space, struct region *region, struct region *below,
                                  struct region *above)
{
    struct rb_node *parent = NULL, **place = &space->regions.root;

    /* Of two neighbours in a tree one has room on the other's side. */
    if (below && !below->node.right) {
        parent = &below->node;
        place = &parent->right;
    } else if (above) {
        parent = &above->node;
        place = &parent->left;
    }
    region->space = space;
    rb_insert(&space->regions, &region->node, parent, place);
    list_insert_before(above ? &above->order : &space->order, &region->order);
    space->region_count++;
    purse_spend(&space->purse, sizeof(struct region));
    space->recent = region;
}

void region_insert(struct space *space, struct region *region, struct region *above)
{
    insert_between(space, region, region_below(space, above), above);
}

void region_remove(struct space *space, struct region *region)
{
    if (space->recent == region)
        space->recent = region_previous(region);
    rb_remove(&space->regions, &region->node);
    list_unlink(&region->order);
    space->region_count--;
    purse_regain(&space->purse, sizeof(struct region));
}

void region_place(struct region *region, uint64_t start, uint64_t end, uint64_t offset)
{
    if (region->memory)
        lock_acquire(&region->memory->lock);
    region->start = start;
    region->end = end;
    region->offset = offset;
    if (region->memory)
        lock_release(&region->memory->lock);
}

/* --- Splitting and merging ------------------------------------------------------------------------------------- */

int region_split(struct space *space, uint64_t address)
{
    struct region *low = region_find(space, address);

    if (!low || low->start == address)
        return 0;

    struct region *high = space_affords_regions(space, 1) ? region_copy(low) : NULL;

    if (!high)
        return -E_NO_MEMORY;
    high->start = address;
    if (high->memory) {
        high->offset += address - low->start;
        lock_acquire(&high->memory->lock);
        low->end = address;
        list_append(&high->memory->regions, &high->mapping);
        lock_release(&high->memory->lock);
    } else {
        low->end = address;
    }
    region_insert(space, high, region_next(low));
    return 0;
}

static inline bool joins(const struct region *low, const struct region *high)
{
    return low->end == high->start && low->memory == high->memory &&
           (!low->memory || low->offset + (low->end - low->start) == high->offset) &&
           low->protection == high->protection && low->maximum == high->maximum &&
           low->huge == high->huge && low->shared == high->shared;
}

static void join(struct space *space, struct region *low, struct region *high, struct list **unused)
{
    region_remove(space, high);
    if (low->memory) {
        lock_acquire(&low->memory->lock);
        low->end = high->end;
        list_remove(&high->mapping);
        list_remove(&low->mapping);
        list_append(&low->memory->regions, &low->mapping);
        lock_release(&low->memory->lock);
    } else {
        low->end = high->end;
    }
    chain_push(unused, &high->mapping);
}

struct region *region_add(struct space *space, struct region *region, struct region *above,
                          struct list **unused)
{
    struct region *below = region_below(space, above);

    if (below && joins(below, region)) {
        region_place(below, below->start, region->end, below->offset);
        chain_push(unused, &region->mapping);
        region = below;
    } else {
        insert_between(space, region, below, above);
        region_link(region, true);
    }
    if (above && joins(region, above))
        join(space, region, above, unused);
    return region;
}

void region_merge(struct space *space, uint64_t start, uint64_t end, struct list **unused)
{
    struct region *low = region_above(space, start > 0 ? start - 1 : 0);

    while (low && low->end <= end) {
        struct region *high = region_next(low);

        if (high && joins(low, high))
            join(space, low, high, unused);
        else
            low = high;
    }
}
