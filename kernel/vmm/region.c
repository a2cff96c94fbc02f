/* Regions of a space: see region.h. */
#include "kernel/vmm/region.h"

#include "kernel/panic.h"
#include "kernel/vmm/heap.h"

static struct cache region_cache = CACHE_INIT("region", sizeof(struct region), 64);

struct region *region_new(void)
{
    struct region *region = cache_alloc(&region_cache);

    if (region)
        list_init(&region->mapping);
    return region;
}

void region_free(struct region *region)
{
    if (region->memory)
        object_put(&region->memory->object);
    cache_free(&region_cache, region);
}

void region_free_list(struct list *regions)
{
    list_for_each (struct region, region, regions, mapping) {
        list_remove(&region->mapping);
        region_free(region);
    }
}

/* --- Looking ----------------------------------------------------------------------------------------------- */

struct region *region_above(struct space *space, uint64_t address)
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

struct region *region_find(struct space *space, uint64_t address)
{
    struct region *region = space->recent;

    if (likely(region && address >= region->start && address < region->end))
        return region;
    region = region_above(space, address);
    if (!region || address < region->start)
        return NULL;
    space->recent = region;
    return region;
}

struct region *region_next(const struct region *region)
{
    return rb_entry(rb_next(&region->node), struct region, node);
}

struct region *region_previous(const struct region *region)
{
    return rb_entry(rb_previous(&region->node), struct region, node);
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

unsigned region_page_flags(const struct region *region)
{
    return PAGE_USER | (region->protection & PROT_EXECUTE_ ? PAGE_EXECUTE : 0);
}

/* --- The tree and the list of the object --------------------------------------------------------------------- */

void region_insert(struct space *space, struct region *region)
{
    struct rb_node **place = &space->regions.root, *parent = NULL;

    while (*place) {
        parent = *place;
        place = region->start < container_of(parent, struct region, node)->start ? &parent->left
                                                                                 : &parent->right;
    }
    region->space = space;
    rb_insert(&space->regions, &region->node, parent, place);
    space->region_count++;
}

void region_insert_below(struct space *space, struct region *region, struct region *above)
{
    struct rb_node *below = above ? rb_previous(&above->node) : rb_last(&space->regions);

    region->space = space;
    /* Of two neighbours in a tree one has room on the other's side. */
    if (!below)
        rb_insert(&space->regions, &region->node, above ? &above->node : NULL,
                  above ? &above->node.left : &space->regions.root);
    else if (!below->right)
        rb_insert(&space->regions, &region->node, below, &below->right);
    else
        rb_insert(&space->regions, &region->node, &above->node, &above->node.left);
    space->region_count++;
}

void region_append(struct space *space, struct region *region)
{
    struct rb_node *last = space->recent ? &space->recent->node : NULL;

    region->space = space;
    rb_insert(&space->regions, &region->node, last, last ? &last->right : &space->regions.root);
    space->region_count++;
    space->recent = region;
}

void region_remove(struct space *space, struct region *region)
{
    if (space->recent == region)
        space->recent = NULL;
    rb_remove(&space->regions, &region->node);
    space->region_count--;
}

void region_link(struct region *region, bool fresh)
{
    struct memory *memory = region->memory;

    if (!memory)
        return;
    lock_acquire(&memory->lock);
    if (fresh)
        list_prepend(&memory->regions, &region->mapping);
    else
        list_append(&memory->regions, &region->mapping);
    lock_release(&memory->lock);
}

void region_unlink(struct region *region)
{
    if (!region->memory)
        return;
    lock_acquire(&region->memory->lock);
    list_remove(&region->mapping);
    lock_release(&region->memory->lock);
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

    struct region *high = region_new();

    if (!high)
        return -E_NO_MEMORY;
    high->start = address;
    high->end = low->end;
    high->offset = low->memory ? low->offset + (address - low->start) : 0;
    high->protection = low->protection;
    high->maximum = low->maximum;
    high->shared = low->shared;
    high->huge = low->huge;
    high->memory = low->memory;
    high->space = space;
    if (high->memory) {
        object_get(&high->memory->object);
        lock_acquire(&high->memory->lock);
        low->end = address;
        list_append(&high->memory->regions, &high->mapping);
        lock_release(&high->memory->lock);
    } else {
        low->end = address;
    }
    region_insert(space, high);
    return 0;
}

bool region_joins(const struct region *low, const struct region *high)
{
    return low->end == high->start && low->memory == high->memory &&
           low->protection == high->protection && low->maximum == high->maximum &&
           low->huge == high->huge && low->shared == high->shared &&
           (!low->memory || low->offset + (low->end - low->start) == high->offset);
}

static void join(struct space *space, struct region *low, struct region *high, struct list *unused)
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
    list_append(unused, &high->mapping);
}

struct region *region_add(struct space *space, struct region *region, struct region *above,
                          struct list *unused)
{
    struct region *below =
        above ? region_previous(above) : rb_entry(rb_last(&space->regions), struct region, node);

    if (below && region_joins(below, region)) {
        region_place(below, below->start, region->end, below->offset);
        list_append(unused, &region->mapping);
        region = below;
    } else {
        region_insert_below(space, region, above);
        region_link(region, true);
    }
    if (above && region_joins(region, above))
        join(space, region, above, unused);
    return region;
}

void region_merge(struct space *space, uint64_t start, uint64_t end, struct list *unused)
{
    struct region *low = region_above(space, start > 0 ? start - 1 : 0);

    while (low && low->end <= end) {
        struct region *high = region_next(low);

        if (high && region_joins(low, high))
            join(space, low, high, unused);
        else
            low = high;
    }
}
