/* What is in memory of a directory: which names lie where, and which slots are free. */
#pragma once

#include "lib/fat/scan.h"

struct key {
    uint32_t hash;
    uint32_t slot;  /* of the short entry */
    uint32_t slots; /* with it; 0: the key is of nothing any more */
    uint32_t gone;  /* removed, and the platter may still have it */
};

struct slot_range {
    uint32_t first, count;
};

struct directory {
    struct key *keys;
    uint32_t count, room;    /* a power of two, or 0 */
    uint32_t *table;         /* 2 * room, by hash: 0, or a key's number + 1 */
    uint32_t names;          /* entries */
    uint64_t *used;          /* slots, of DIRECTORY_SLOTS_MAX */
    uint32_t end;            /* behind the last slot that was ever used */
    uint32_t capacity;       /* slots there are */
    uint32_t holes;          /* free ones in front of end */
    uint32_t hole;           /* none lies in front of this one */
    struct slot_range *gone; /* used by names that are gone, until `turn` has passed */
    uint32_t gone_count, gone_room;
    uint64_t turn;
    uint64_t aborts;      /* volume->aborts when it was made */
    uint32_t numbers[64]; /* the highest of short names, by how they begin */
};

/* node->directory is there, and right. E_NO_MEMORY, E_IO. */
MUST_CHECK int64_t index_load(struct fat_node *node);
/* Room for an entry's two keys, and one slot_range. E_NO_MEMORY. */
MUST_CHECK int64_t index_prepare(struct directory *directory);
void index_enter(struct directory *directory, const struct found *found);
void index_leave(struct directory *directory, const struct found *found);
/* The next key with the hash, *at 0 at first; NULL: no more. */
struct key *index_next(const struct directory *directory, uint32_t hash, uint32_t *at);
/* `count` free slots in a row, in front of directory->end or from there on. */
uint32_t index_place(struct directory *directory, uint32_t count);
/* The highest number of short names made of bases that begin like this one, or of others that fall together with them: where to go on from. */
uint32_t *index_number(struct directory *directory, const char *basis);
void index_free(struct directory *directory);
