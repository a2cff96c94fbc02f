/* Records that outlive procd: slots of one size in memory kept with proc://, in chunks that never move.
 *
 *     struct process *process = store_alloc(&processes);     zeroed; not a record yet
 *     ...fill it in...
 *     store_commit(process);                                  from here on it is one
 *     store_free(&processes, process);
 *
 * procd may end between any two instructions. So the first word of a slot says whether it is a record, and is written
 * last (store_commit) and first (store_free); a slot that was being filled is a free one. What a record says may be
 * half changed all the same: recover.c believes none of it.
 */
#pragma once

#include "lib/base/base.h"
#include "lib/base/list.h"
#include "lib/sys/keep.h"

/* Every record begins with this. */
struct slot {
    uint32_t used; /* SLOT_USED, or no record */
    struct list free;
};

#define SLOT_USED 0x64657375u

struct store {
    handle_t port;
    uint64_t key;     /* of the first chunk; the others follow */
    size_t slot_size; /* the record's */
    struct list free;
    uint8_t **chunks;
    size_t chunk_count;
};

/* Finds what a procd before left; false: not all of it could be mapped. */
bool store_open(struct store *store, handle_t port, uint64_t key, size_t slot_size);

void *store_alloc(struct store *store); /* NULL: no memory */
void store_free(struct store *store, void *record);

static inline void store_commit(void *record)
{
    keep_commit(&((struct slot *)record)->used, SLOT_USED);
}

/* The record at or behind *index, which moves behind it; NULL at the end. Start at 0. Records may be freed meanwhile. */
void *store_next(const struct store *store, size_t *index);
