/* Regions of a space: the tree, splitting and merging. For vmm only; the space's lock is held.
 *
 * A region with memory is on memory->regions. Places in that list matter to mapping.c: a region that may
 * have got page-table entries from another one (the upper part of a split, a merged one, a fork's child) goes to the
 * end, where a walk that is under way still comes by; a new one has no entries and goes to the front.
 */
#pragma once

#include "kernel/vmm/space.h"

/* Linked nowhere, and nothing of it is set but that. NULL: no memory. */
struct region *region_new(void);
/* With the extent, the protection and the memory of `like`. */
struct region *region_copy(const struct region *like);
/* Not in the tree or on any list any more. The reference to memory, if any, is put: no locks held. */
void region_free(struct region *region);

static inline void region_free_chain(struct list *regions) /* by mapping */
{
    struct region *region;

    while ((region = chain_pop(&regions, struct region, mapping)) != NULL)
        region_free(region);
}

/* The first that ends above address, or NULL. */
struct region *region_above(struct space *space, uint64_t address);

/* The one with address in it, or NULL. */
static inline struct region *region_find(struct space *space, uint64_t address)
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

static inline struct region *region_first(const struct space *space)
{
    return list_first(&space->order, struct region, order);
}

/* The regions beside one; NULL: it is the highest, the lowest. */
static inline struct region *region_next(const struct region *region)
{
    struct list *link = region->order.next;

    return link == &region->space->order ? NULL : container_of(link, struct region, order);
}

static inline struct region *region_previous(const struct region *region)
{
    struct list *link = region->order.previous;

    return link == &region->space->order ? NULL : container_of(link, struct region, order);
}

/* The highest one that is below that place; above: as of region_above. */
static inline struct region *region_below(const struct space *space, const struct region *above)
{
    return above ? region_previous(above) : list_last(&space->order, struct region, order);
}

/* Into the tree, right below `above`, the first region that ends above it (NULL: none does). */
void region_insert(struct space *space, struct region *region, struct region *above);
void region_remove(struct space *space, struct region *region);

/* To memory->regions, if there is memory. */
static inline void region_link(struct region *region, bool fresh)
{
    struct memory *memory = region->memory;

    if (!memory)
        return;
    lock_acquire(&memory->lock);
    list_insert_before(fresh ? memory->regions.next : &memory->regions, &region->mapping);
    lock_release(&memory->lock);
}

static inline void region_unlink(struct region *region)
{
    if (!region->memory)
        return;
    lock_acquire(&region->memory->lock);
    list_unlink(&region->mapping);
    lock_release(&region->memory->lock);
}

void region_place(struct region *region, uint64_t start, uint64_t end, uint64_t offset);

/* Make address a border, if it lies in a region. E_NO_MEMORY. */
int region_split(struct space *space, uint64_t address) MUST_CHECK;
/* A new region, without entries, to its place in the tree and on its memory's list, or joined with its neighbours: which one
 * it is part of now. What is not needed any more goes to the chain. */
struct region *region_add(struct space *space, struct region *region, struct region *above,
                          struct list **unused);
/* Join what can be one region at each border in [start, end]. */
void region_merge(struct space *space, uint64_t start, uint64_t end, struct list **unused);

/* No hole in [start, end)? */
bool region_covers(struct space *space, uint64_t start, uint64_t end);
/* PAGE_* of an entry of the region, without PAGE_WRITE and PAGE_OWNED. */
static inline unsigned region_page_flags(const struct region *region)
{
    return PAGE_USER | (region->protection & PROT_EXECUTE_ ? PAGE_EXECUTE : 0);
}

/* --- What the space's purse pays for: each of these is a no when its account has no more ------------------------ */

/* Before so many regions are inserted. */
static inline MUST_CHECK bool space_affords_regions(struct space *space, uint32_t count)
{
    return purse_has(&space->purse, count * sizeof(struct region));
}

/* Before arch_pte, arch_huge_entry or arch_huge_split make tables, and after, whether or not they failed. */
static inline MUST_CHECK bool space_affords_tables(struct space *space)
{
    return purse_has(&space->purse, TABLES_MADE_MAX * PAGE_SIZE);
}

static inline void space_tables_made(struct space *space)
{
    uint64_t count = arch_table_count(&space->arch);

    purse_spend(&space->purse, (count - space->tables_paid) * PAGE_SIZE);
    space->tables_paid = count;
}

/* After some were unhooked. */
static inline void space_tables_gone(struct space *space)
{
    uint64_t count = arch_table_count(&space->arch);

    purse_earn(&space->purse, (space->tables_paid - count) * PAGE_SIZE);
    space->tables_paid = count;
}

/* The entry for address, with the tables on the way to it; they are missing most probably. NULL: no memory. */
pte_t *space_entry_make(struct space *space, uint64_t address);
/* ... or they are there. */
static inline pte_t *space_entry(struct space *space, uint64_t address)
{
    pte_t *entry = arch_pte(&space->arch, address, false);

    return likely(entry) ? entry : space_entry_make(space, address);
}

static inline uint64_t region_index(const struct region *region, uint64_t address)
{
    return (region->offset + (address - region->start)) / PAGE_SIZE;
}
