/* A directory's slots, and the index of its names.
 *
 *     directory_scan(node, &position, &found)     the entries one after the other
 *     directory_find(node, &name, &found)         by hash, of the long name and of the short one
 *     directory_add(node, &name, &entry, &slot)   an entry in free slots; the directory grows if there are none
 *     directory_remove(node, &found, phase)
 *
 * The index is made when the first name is looked up, and made anew after a call was aborted. Slots of names that were removed are
 * not used again until that is on the platter, but by the same name: then nobody ever sees two of it.
 */
#pragma once

#include "lib/fat/buffer.h"
#include "lib/fat/name.h"
#include "lib/fat/node.h"

struct found {
    uint32_t slot;  /* of the short entry, counted from the directory's start */
    uint32_t first; /* of the entry's slots */
    struct slot entry;
    struct name name;
};

/* 1: the first entry in or behind slot *position, which is moved behind it; 0: there is none. "." and ".." and volume labels are left
 * out. */
MUST_CHECK int64_t directory_scan(struct fat_node *node, uint32_t *position, struct found *found);
/* 1, or 0: no such name. */
MUST_CHECK int64_t directory_find(struct fat_node *node, const struct name *name,
                                  struct found *found);
/* The name must not be there. Its short name is put into *entry. slot: device offset / 32. E_NO_SPACE. */
MUST_CHECK int64_t directory_add(struct fat_node *node, const struct name *name, struct slot *entry,
                                 uint64_t *slot);
/* PHASE_LEAVING: it has got another name. */
MUST_CHECK int64_t directory_remove(struct fat_node *node, const struct found *found,
                                    uint32_t leaving);
/* 1: no names in it; 0. */
MUST_CHECK int64_t directory_is_empty(struct fat_node *node);
/* 1: the name may be made. 0: what was changed must be written first, as the platter would have the name twice in between. */
MUST_CHECK int64_t directory_admits(struct fat_node *node, const struct name *name);
void directory_forget(struct fat_node *node);

/* A short entry by its place; its bytes may be changed by slot_write only. */
MUST_CHECK int64_t slot_read(struct fat_volume *volume, uint64_t slot, struct slot *entry);
MUST_CHECK int64_t slot_write(struct fat_volume *volume, uint64_t slot, const struct slot *entry,
                              uint32_t phase);
/* Device offset / 32 of a directory's slot: 1, or 0: the directory ends before. */
MUST_CHECK int64_t slot_place(struct fat_node *node, uint32_t number, uint64_t *slot);

static inline uint32_t slots_of_sector(const struct fat_volume *volume)
{
    return volume->sector_size / SLOT_SIZE;
}

static inline uint32_t slot_cluster(const struct fat_volume *volume, const struct slot *entry)
{
    uint32_t high = volume->bits == 32 ? (uint32_t)entry->cluster_high << 16 : 0;
    return high | entry->cluster_low;
}

static inline void slot_set_cluster(struct slot *entry, uint32_t cluster)
{
    entry->cluster_low = (uint16_t)cluster;
    entry->cluster_high = (uint16_t)(cluster >> 16);
}

/* Writes zeros over a cluster that nothing leads to. */
MUST_CHECK int64_t cluster_clear(struct fat_volume *volume, uint32_t cluster,
                                 const struct slot *first, uint32_t count);
