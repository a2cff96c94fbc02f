/* Indexes, bytes, bells. See ring.h. */
#include "lib/ring/ring.h"

#include <string.h>

#include "abi/errors.h"

void ring_init(struct ring *ring, void *memory, uint32_t size, enum ring_side side,
               const struct ring_bell *bell, void *context)
{
    *ring = (struct ring){
        .words = memory,
        .bytes = (uint8_t *)memory + PAGE_SIZE,
        .mask = size - 1,
        .side = side,
        .bell = bell,
        .context = context,
    };
}

_Static_assert(sizeof(struct ring_words) <= PAGE_SIZE, "");

static uint32_t *word_index(struct ring *ring, enum ring_side side)
{
    return &ring->words->side[side].index;
}

/* What this side may do as far as it knows: bytes of room, or of data. Never more than the size. */
static uint32_t known(const struct ring *ring)
{
    return ring->side == RING_PRODUCER ? ring->mask + 1 - (ring->own - ring->other)
                                       : ring->other - ring->own;
}

/* Looks how far the other side is. It can only have gone on, and no further than the bytes between us. */
static bool look(struct ring *ring)
{
    /* Acquire: pairs with the release in ring_advance. What it has written is there, what it has read is free. */
    uint32_t now = __atomic_load_n(word_index(ring, !ring->side), __ATOMIC_ACQUIRE);
    uint32_t most = ring->mask + 1 - known(ring);

    if (now - ring->other > most)
        ring->broken = true;
    else
        ring->other = now;
    return !ring->broken;
}

static bool other_closed(struct ring *ring)
{
    return __atomic_load_n(&ring->words->side[!ring->side].closed, __ATOMIC_ACQUIRE);
}

/* Bytes this side may have now, at least 1, or the error. */
static int64_t available(struct ring *ring)
{
    if (unlikely(ring->broken))
        return -E_RANGE;
    if (ring->side == RING_PRODUCER && unlikely(other_closed(ring)))
        return -E_CLOSED;
    if (known(ring))
        return known(ring);

    /* Before the index: what was written before the closing is seen. */
    bool closed = other_closed(ring);

    if (unlikely(!look(ring)))
        return -E_RANGE;
    if (known(ring))
        return known(ring);
    return closed ? -E_CLOSED : -E_AGAIN;
}

/* It is told only if it sleeps. */
static void ring_other(struct ring *ring)
{
    uint32_t *bell = &ring->words->side[!ring->side].bell;

    /* Pairs with the fence in ring_arm: either it sees what we did, or we see that it wants to be rung. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (unlikely(__atomic_load_n(bell, __ATOMIC_RELAXED)) &&
        __atomic_exchange_n(bell, 0, __ATOMIC_RELAXED))
        ring->bell->wake(ring, bell);
}

void ring_advance(struct ring *ring, uint32_t length)
{
    ring->own += MIN(length, known(ring));
    /* Release: pairs with the acquire in look. The bytes first. */
    __atomic_store_n(word_index(ring, ring->side), ring->own, __ATOMIC_RELEASE);
    ring_other(ring);
}

/* Where our index points, and how far it is to the end of the memory. */
static int64_t piece(struct ring *ring, uint8_t **at)
{
    int64_t length = available(ring);
    uint32_t offset = ring->own & ring->mask;

    *at = ring->bytes + offset;
    return MIN(length, (int64_t)ring->mask + 1 - offset);
}

int64_t ring_room(struct ring *ring, void **at)
{
    return piece(ring, (uint8_t **)at);
}

int64_t ring_data(struct ring *ring, const void **at)
{
    uint8_t *bytes;
    int64_t length = piece(ring, &bytes);

    *at = bytes;
    return length;
}

/* Two copies at most: up to the end of the memory, and from its start. */
static int64_t transfer(struct ring *ring, uint8_t *user, size_t length)
{
    int64_t there = available(ring);

    if (there < 0)
        return there;
    /* All that fits, not only what was known: fewer bells, larger pieces. */
    if ((uint64_t)there < length && !look(ring))
        return -E_RANGE;

    uint32_t count = (uint32_t)MIN(length, (size_t)known(ring));
    uint32_t offset = ring->own & ring->mask, first = MIN(count, ring->mask + 1 - offset);

    if (ring->side == RING_PRODUCER) {
        memcpy(ring->bytes + offset, user, first);
        memcpy(ring->bytes, user + first, count - first);
    } else {
        memcpy(user, ring->bytes + offset, first);
        memcpy(user + first, ring->bytes, count - first);
    }
    ring_advance(ring, count);
    return count;
}

int64_t ring_write(struct ring *ring, const void *data, size_t length)
{
    return transfer(ring, (uint8_t *)(uintptr_t)data, length);
}

int64_t ring_read(struct ring *ring, void *buffer, size_t length)
{
    return transfer(ring, buffer, length);
}

int64_t ring_arm(struct ring *ring)
{
    uint32_t *bell = &ring->words->side[ring->side].bell;
    int64_t there = available(ring);

    if (there != -E_AGAIN)
        return MIN(there, INT64_C(0));
    __atomic_store_n(bell, 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* pairs with the one in ring_other */
    there = available(ring);
    if (there != -E_AGAIN)
        __atomic_store_n(bell, 0, __ATOMIC_RELAXED);
    return there == -E_AGAIN ? there : MIN(there, INT64_C(0));
}

int64_t ring_wait(struct ring *ring, int64_t deadline)
{
    int64_t result;

    while ((result = ring_arm(ring)) == -E_AGAIN) {
        result = ring->bell->sleep(ring, &ring->words->side[ring->side].bell, deadline);
        if (result < 0)
            return result;
    }
    return result;
}

void ring_close(struct ring *ring)
{
    __atomic_store_n(&ring->words->side[ring->side].closed, 1, __ATOMIC_RELEASE);
    ring_other(ring);
}
