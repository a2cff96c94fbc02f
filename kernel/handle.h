/* Handle tables: numbers a process has for kernel objects, each with rights.
 *
 *     handle_table_new(account, &table), handle_table_clear, handle_table_free
 *     handle_install(table, object, rights, &handle)    takes over one handle's worth of interest (object.h)
 *     handle_lookup(table, handle, type, rights, &object, &had)   adds a reference
 *     handle_take(table, handle, rights, &transfer)     out of the table, for sending
 *     handle_clone(from, &to)                           fork: the same numbers
 *
 * A handle is index + 1 in the low 16 bits and a generation in the 15 above, so that a number given back does not
 * soon name something else. Entries lie in chunks made on demand. How many there may be is up to the account
 * (account.h), from which the table takes HANDLE_BATCH at a time.
 * Lock: table->lock (RANK_HANDLES).
 */
#pragma once

#include "kernel/object.h"

struct handle_entry {
    struct object *object; /* NULL: free */
    uint32_t rights;
    uint16_t generation;
    uint16_t next_free; /* index + 1 */
};

#define HANDLE_CHUNK  128u
#define HANDLE_CHUNKS 512u
#define HANDLE_LIMIT  (HANDLE_CHUNK * HANDLE_CHUNKS - 1)

#define HANDLE_BATCH 16u
#define HANDLE_TABLE_BYTES \
    (sizeof(struct handle_table) + HANDLE_CHUNK * sizeof(struct handle_entry))

struct handle_table {
    struct lock lock;
    uint32_t count;
    uint32_t limit;          /* how many have been taken from */
    uint32_t floor;          /* with fewer, some are given back to */
    struct account *account; /* a reference, or NULL: HANDLE_LIMIT */
    uint32_t used;           /* entries ever handed out: the next fresh index */
    uint16_t free;           /* index + 1 of the first free entry */
    struct handle_entry *chunks[HANDLE_CHUNKS];
};

#define HANDLE_INDEX_BITS 16u
#define HANDLE_INDEX_MASK ((1u << HANDLE_INDEX_BITS) - 1)

static inline struct handle_entry *handle_entry_at(struct handle_table *table, uint32_t index)
{
    return &table->chunks[index / HANDLE_CHUNK][index % HANDLE_CHUNK];
}

/* The entry a handle names; NULL: none. Table locked. */
static inline struct handle_entry *handle_entry_find(struct handle_table *table, handle_t handle)
{
    uint32_t index = ((uint32_t)handle & HANDLE_INDEX_MASK) - 1;

    if (unlikely(index >= table->used)) /* so is that of no handle */
        return NULL;

    struct handle_entry *entry = handle_entry_at(table, index);

    /* Generations have 15 bits: a negative handle has none of them. */
    if (unlikely(!entry->object || entry->generation != (uint32_t)handle >> HANDLE_INDEX_BITS))
        return NULL;
    return entry;
}

/* A handle in flight: in a command or a stream. Holds one handle's worth of interest. */
struct transfer {
    struct object *object; /* NULL: none */
    uint32_t rights;
};

int handle_table_new(struct account *account, struct handle_table **table) MUST_CHECK;
void handle_table_clear(struct handle_table *table); /* closes every handle */
void handle_table_free(struct handle_table *table);
int handle_table_clone(struct handle_table *from, struct handle_table **to) MUST_CHECK;
/* As object_held. */
bool handle_table_held(struct handle_table *table, uint64_t *position, object_visitor *visit);
/* Every handle that names `from` names `to` from now on. */
void handle_table_replace(struct handle_table *table, struct object *from, struct object *to);

/* On success the table owns the caller's handle interest in object; on error the caller keeps it. */
int handle_install(struct handle_table *table, struct object *object, uint32_t rights,
                   handle_t *handle) MUST_CHECK;
/* A new object with its single reference becomes a handle of the current process; on error the reference is put. */
int64_t handle_return(struct object *object, uint32_t rights) MUST_CHECK;
/* The same with two, whose numbers go to the handle_t[2] at `to`; 0, or both are put. */
int64_t handle_return_two(struct object *first, uint32_t first_rights, struct object *second,
                          uint32_t second_rights, uaddr_t to) MUST_CHECK;
/* type: OBJECT_ANY for any. had may be NULL. */
int handle_lookup(struct handle_table *table, handle_t handle, enum object_type type,
                  uint32_t rights, struct object **object, uint32_t *had) MUST_CHECK;
/* A second handle with those of its rights that `rights` lists. Needs RIGHT_DUPLICATE. */
int handle_duplicate(struct handle_table *table, handle_t handle, uint32_t rights,
                     handle_t *copy) MUST_CHECK;
int handle_remove(struct handle_table *table, handle_t handle) MUST_CHECK;
int handle_take(struct handle_table *table, handle_t handle, struct transfer *transfer) MUST_CHECK;
/* A handle in flight that names what `handle` does, which stays. Needs RIGHT_DUPLICATE and RIGHT_TRANSFER. */
int transfer_copy(struct handle_table *table, handle_t handle,
                  struct transfer *transfer) MUST_CHECK;

/* Many at once, all or none. handles in and out are kernel memory. */
int transfer_take(struct handle_table *table, const handle_t *handles, uint32_t count,
                  struct transfer *transfers) MUST_CHECK;
/* ... if `admit`, which is shown the transfers with the table locked, has no objection. */
int transfer_take_if(struct handle_table *table, const handle_t *handles, uint32_t count,
                     struct transfer *transfers, int (*admit)(uint32_t count, void *context),
                     void *context) MUST_CHECK;
int transfer_install(struct handle_table *table, struct transfer *transfers, uint32_t count,
                     handle_t *handles) MUST_CHECK;
/* The first becomes a handle of the current process, which is returned, and the others are dropped; all of them on error. */
int64_t transfer_install_first(struct transfer *transfers, uint32_t count) MUST_CHECK;
void transfer_drop(struct transfer *transfers, uint32_t count);

uint64_t handle_count_all(void); /* in every table */
