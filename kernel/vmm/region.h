/* Regions of a space: the tree, splitting and merging. For vmm only; the space's lock is held.
 *
 * A region with memory is on memory->regions. Places in that list matter to mapping.c: a region that may
 * have got page-table entries from another one (the upper part of a split, a merged one, a fork's child) goes to the
 * end, where a walk that is under way still comes by; a new one has no entries and goes to the front.
 */
#pragma once

#include "kernel/vmm/space.h"

/* Zeroed and linked nowhere; NULL: no memory. */
struct region *region_new(void);
/* Not in the tree or on any list any more. The reference to memory is put: no locks held. */
void region_free(struct region *region);
void region_free_list(struct list *regions); /* linked by mapping; no locks held */

struct region *region_find(struct space *space,
                           uint64_t address); /* the one with address in it, or NULL */
struct region *region_above(struct space *space,
                            uint64_t address); /* the first that ends above address */
struct region *region_next(const struct region *region);
struct region *region_previous(const struct region *region);

void region_insert(struct space *space, struct region *region); /* into the tree */
/* Without a search: its place is right below `above`, the first region that ends above it (NULL: none does). */
void region_insert_below(struct space *space, struct region *region, struct region *above);
void region_append(
    struct space *space,
    struct region *region); /* known to be the highest, and `recent` the one before */
void region_remove(struct space *space, struct region *region);
void region_link(struct region *region, bool fresh); /* to memory->regions, if there is memory */
void region_unlink(struct region *region);
void region_place(struct region *region, uint64_t start, uint64_t end, uint64_t offset);

/* Make address a border, if it lies in a region. E_NO_MEMORY. */
int region_split(struct space *space, uint64_t address) MUST_CHECK;
/* A new region, without entries, to its place in the tree and on its memory's list, or joined with its neighbours: which one
 * it is part of now. What is not needed any more goes to unused. */
struct region *region_add(struct space *space, struct region *region, struct region *above,
                          struct list *unused);
/* Join what can be one region at each border in [start, end]. */
void region_merge(struct space *space, uint64_t start, uint64_t end, struct list *unused);
bool region_joins(const struct region *low, const struct region *high);

/* No hole in [start, end)? */
bool region_covers(struct space *space, uint64_t start, uint64_t end);
/* PAGE_* of an entry of the region, without PAGE_WRITE and PAGE_OWNED. */
unsigned region_page_flags(const struct region *region);

static inline uint64_t region_index(const struct region *region, uint64_t address)
{
    return (region->offset + (address - region->start)) / PAGE_SIZE;
}
