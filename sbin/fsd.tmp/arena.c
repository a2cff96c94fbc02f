/* See arena.h. Free blocks of a size are a list through their first words. */
#include "sbin/fsd.tmp/arena.h"

#include <stdlib.h>
#include <string.h>

#define ARENA_MAGIC UINT64_C(0x31616e6572617074)
#define SMALL_UNITS 32u /* up to here there is a list for each size, then for each power of two */
#define GROWTH      65536u
#define FREED_MAX   64u

struct arena *arena;

/* What is to be freed when the transaction ends: until then it is what an abort goes back to. */
static struct freed {
    ref_t ref;
    unsigned class;
} freed[FREED_MAX];
static unsigned freed_count;

/* Stores are made in the order of the program; a process that dies has made the first ones of them. */
static void stores_ordered(void)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static unsigned class_of(size_t size)
{
    uint64_t units = MAX((size + ARENA_UNIT - 1) / ARENA_UNIT, UINT64_C(1));
    if (units <= SMALL_UNITS)
        return (unsigned)units - 1;
    return SMALL_UNITS + 63u - (unsigned)__builtin_clzll(units - 1) - 5u;
}

static uint64_t class_size(unsigned class)
{
    return class < SMALL_UNITS ? (class + UINT64_C(1)) * ARENA_UNIT
                               : UINT64_C(64) << (class - SMALL_UNITS) << 4;
}

static void remember(uint32_t *word)
{
    if (arena->undo_count == ARENA_UNDO)
        abort(); /* no command changes that much */
    arena->undo[arena->undo_count] =
        (struct undo){.offset = (uint64_t)((char *)word - (char *)arena), .value = *word};
    stores_ordered();
    arena->undo_count++;
    stores_ordered();
}

void arena_set32(uint32_t *word, uint32_t value)
{
    remember(word);
    *word = value;
}

static ref_t take_new(uint64_t size)
{
    uint64_t end = arena->end, needed = end + size;
    if (needed + ARENA_SLACK > arena->size) {
        uint64_t wanted = ALIGN_UP(needed + ARENA_SLACK, (uint64_t)GROWTH);
        if (wanted > ARENA_LIMIT || !arena_grow(wanted))
            return 0;
        arena->size = wanted; /* an abort does not give it back */
    }
    arena_set(&arena->end, needed);
    return (ref_t)(end / ARENA_UNIT);
}

ref_t arena_alloc(size_t size)
{
    unsigned class = class_of(size);
    if (class >= ARENA_CLASSES)
        return 0;
    ref_t ref = arena->free[class];
    if (!ref)
        return take_new(class_size(class));
    uint32_t *next = arena_at(ref);
    remember(next); /* the block's user writes there unasked */
    arena_set(&arena->free[class], *next);
    return ref;
}

void arena_free(ref_t ref, size_t size)
{
    if (!ref)
        return;
    if (freed_count == FREED_MAX)
        abort();
    freed[freed_count++] = (struct freed){ref, class_of(size)};
}

void arena_commit(void)
{
    for (unsigned i = 0; i < freed_count; i++) {
        arena_set32(arena_at(freed[i].ref), arena->free[freed[i].class]);
        arena_set32(&arena->free[freed[i].class], freed[i].ref);
    }
    freed_count = 0;
    stores_ordered();
    arena->undo_count = 0;
    stores_ordered();
}

void arena_abort(void)
{
    freed_count = 0;
    while (arena->undo_count) {
        const struct undo *undo = &arena->undo[arena->undo_count - 1];
        memcpy((char *)arena + undo->offset, &undo->value, sizeof(undo->value));
        stores_ordered();
        arena->undo_count--;
        stores_ordered();
    }
}

static bool undo_valid(void)
{
    if (arena->undo_count > ARENA_UNDO)
        return false;
    for (uint32_t i = 0; i < arena->undo_count; i++)
        if (arena->undo[i].offset > arena->size - sizeof(uint32_t))
            return false;
    return true;
}

bool arena_open(void *memory, uint64_t size)
{
    arena = memory;
    freed_count = 0;
    if (arena->magic == 0) {
        arena->end = ALIGN_UP(sizeof(*arena), (size_t)ARENA_UNIT);
        arena->size = size;
        stores_ordered();
        arena->magic = ARENA_MAGIC;
    }
    if (arena->magic != ARENA_MAGIC || arena->size > size || arena->end > arena->size ||
        !undo_valid())
        return false;
    arena_abort();
    arena->epoch++;
    return true;
}
