/* Memory that outlives the service, changed by transactions: whoever finds it finds it as it was before or after a command.
 *
 *     struct inode *inode = arena_at(ref);          a reference is what lies in the arena in place of a pointer
 *     ref = arena_alloc(size)                       fresh: written to freely until the transaction ends
 *     arena_set(&inode->links, 2)                   what lay there before it began is changed by these
 *     arena_free(ref, size)                         at the transaction's end
 *     arena_commit(), arena_abort()                 all of it, or none
 *
 * Before a word is changed, where it lies and what it was goes into the undo log; its count is what makes an entry valid.
 * A process that is killed leaves a log, and the next one goes back by it (arena_open). So no change needs to be in any order.
 *
 * References are 16 bytes apart, 0 is none. The arena lies at one address as long as the process lives. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/base.h"

typedef uint32_t ref_t;

#define ARENA_UNIT    16u
#define ARENA_CLASSES 64u
#define ARENA_UNDO    1024u
#define ARENA_LIMIT   (UINT64_C(1) << 36) /* bytes a reference reaches */
#define ARENA_SLACK   8u                  /* bytes behind each block that can be read */

/* What the user keeps there. */
enum arena_root {
    ROOT_VOLUMES, /* the latest volume */
    ROOT_LAST_ID, /* of a volume; never used again */
    ROOT_NUMBER, /* struct numbered: of the last command that had one and was carried out (lib/fsd/numbers.h) */
    ROOT_DONE,
    ROOT_OFFSET,
    ARENA_ROOTS = 8
};

struct undo {
    uint64_t offset; /* of a word of four bytes */
    uint32_t value;
    uint32_t reserved;
};

struct arena {
    uint64_t magic;
    uint32_t epoch; /* how many processes have opened it */
    uint32_t undo_count;
    uint64_t end;  /* bytes in use, from the arena's start */
    uint64_t size; /* bytes there are */
    ref_t free[ARENA_CLASSES];
    uint64_t roots[ARENA_ROOTS];
    struct undo undo[ARENA_UNDO];
};

extern struct arena *arena;

static inline void *arena_at(ref_t ref)
{
    return (char *)arena + (uint64_t)ref * ARENA_UNIT;
}

static inline ref_t arena_ref(const void *pointer)
{
    return (ref_t)((uint64_t)((const char *)pointer - (const char *)arena) / ARENA_UNIT);
}

/* memory: zero, or what another process left; size bytes of it can be used, ARENA_LIMIT are reserved. False: it is not an
 * arena. */
MUST_CHECK bool arena_open(void *memory, uint64_t size);

/* 0: there is no memory. */
MUST_CHECK ref_t arena_alloc(size_t size);
void arena_free(ref_t ref, size_t size);

/* Two sizes, by the word's. */
void arena_set32(uint32_t *word, uint32_t value);
static inline void arena_set64(uint64_t *word, uint64_t value)
{
    uint32_t *half = (uint32_t *)(void *)word;
    arena_set32(&half[0], (uint32_t)value);
    arena_set32(&half[1], (uint32_t)(value >> 32));
}
#define arena_set(word, value)       \
    _Generic(*(word), uint32_t       \
             : arena_set32, uint64_t \
             : arena_set64, int64_t  \
             : arena_set_signed)(word, value)
static inline void arena_set_signed(int64_t *word, int64_t value)
{
    arena_set64((uint64_t *)word, (uint64_t)value);
}

/* The transaction is that of a command with this number. */
static inline void arena_number(uint64_t number, uint64_t done, uint64_t offset)
{
    arena_set(&arena->roots[ROOT_NUMBER], number);
    arena_set(&arena->roots[ROOT_DONE], done);
    arena_set(&arena->roots[ROOT_OFFSET], offset);
}

void arena_commit(void);
void arena_abort(void);

static inline bool arena_changed(void)
{
    return arena->undo_count != 0;
}

/* Provided by who links the arena: size bytes can be used from now on; false: there is no memory. */
MUST_CHECK bool arena_grow(uint64_t size);
