/* Directories: names in the order they came, found by hash.
 *
 * A name's position only grows, so a listing that goes on at a position misses nothing that stays and shows nothing twice,
 * whatever else comes and goes meanwhile. Slots of removed names stay until their array is full; then it is made anew, and
 * the index with it.
 */
#pragma once

#include "sbin/fsd.tmp/inode.h"

#define NAME_LENGTH_MAX 255u

struct slot {
    uint64_t position;
    ref_t entry; /* 0: the name was removed */
    uint32_t hash;
};

struct entry {
    ref_t inode;
    uint8_t length;
    char name[]; /* terminated */
};

/* NULL: no such name. Names are as words.h wants them. */
struct slot *directory_find(const struct inode *directory, const char *name, size_t length);
/* A name that is not there yet. E_NO_SPACE. */
MUST_CHECK int64_t directory_add(struct inode *directory, const char *name, size_t length,
                                 struct inode *inode);
void directory_remove(struct inode *directory, struct slot *slot);
/* The name leads to another inode from now on. */
void directory_replace(struct inode *directory, struct slot *slot, struct inode *inode);
/* The first name at or behind a position; NULL: none. */
const struct slot *directory_next(const struct inode *directory, uint64_t position);
/* Its memory, when it goes. */
void directory_free(struct inode *directory);

static inline const struct entry *slot_entry(const struct slot *slot)
{
    return arena_at(slot->entry);
}
