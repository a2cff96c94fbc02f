/* Rings: bytes from one producer to one consumer through shared memory, with a system call only when the other side
 * sleeps. The road for bulk data between processes that need not trust each other.
 *
 *     ring_create(size, &memory)                        one of the two; the other is sent a handle to the memory
 *     ring_open(&ring, memory, RING_PRODUCER), ring_open(&ring, memory, RING_CONSUMER)
 *     ring_write(&ring, data, length)   ring_read(&ring, buffer, length)       what goes now
 *     ring_room(&ring, &at)             ring_data(&ring, &at)                   the same in place, then ring_advance
 *     ring_wait(&ring, deadline)                        until there is room, or data
 *     ring_arm(&ring)                                   or: be rung later, while waiting for something else too
 *     ring_close(&ring)
 *
 * Memory: a page of words, each on a cache line of its own, then the bytes, a power of two. An index counts all bytes
 * ever and wraps with 32 bits; it is masked when it is used. Each side writes its own index and reads the other's.
 *
 * Nothing that lies in the memory is trusted. Whoever is at the other end may write anything anywhere at any moment, and
 * can at most change the bytes, be silent, or be found out (E_RANGE, and from then on always): each side keeps its own
 * index and what it last saw of the other's in memory of its own, and takes a new one only if it lies between that and
 * what can be. No loop here runs on what is read there. The memory's size is fixed (MEMORY_FIXED), or
 * ring_open refuses it: a page that is taken away would be a fault. Bytes seen in place (ring_data) may change while they
 * are looked at: what is checked must be copied first.
 *
 * One thread at a time on each side. Fences:
 *
 *     producer                                      consumer
 *     bytes; tail = (release)              pairs    tail (acquire); bytes
 *     head (acquire); bytes again          pairs    bytes; head = (release)
 *     index =; fence; bell?                pairs    bell = 1; fence; index?          (and the other way round)
 */
#pragma once

#include "abi/abi.h"
#include "lib/base/base.h"

#define RING_SIZE_MIN 4096u
#define RING_SIZE_MAX (1u << 30)
#define RING_LINE     64u

enum ring_side { RING_PRODUCER, RING_CONSUMER };

struct ring_words {
    struct {
        uint32_t index; /* bytes ever written (producer), read (consumer) */
        uint32_t closed;
        uint32_t bell
            ALIGNED(RING_LINE); /* 1: this side sleeps, or will: ring. The other side's to clear */
        uint32_t padding[RING_LINE / 4 - 1];
    } ALIGNED(RING_LINE) side[2];
};

struct ring;

/* How the other side is woken, and this one sleeps; ring_futex by default. */
struct ring_bell {
    void (*wake)(struct ring *ring, uint32_t *word);
    /* While *word is 1; may return early. 0 or -E_*. */
    int64_t (*sleep)(struct ring *ring, uint32_t *word, int64_t deadline);
};

struct ring {
    struct ring_words *words;
    uint8_t *bytes;
    uint32_t mask; /* size - 1 */
    enum ring_side side;
    uint32_t own;   /* our index */
    uint32_t other; /* the other side's, as last seen and found good */
    bool broken;
    const struct ring_bell *bell;
    void *context;   /* the bell's */
    uint64_t mapped; /* bytes, by ring_open */
};

/* Over memory that is there: words, then `size` bytes, a power of two. For tests, and memory mapped otherwise. */
void ring_init(struct ring *ring, void *memory, uint32_t size, enum ring_side side,
               const struct ring_bell *bell, void *context);

/* How many bytes went, at least 1; -E_AGAIN: none go now; -E_CLOSED: the other side has closed (and, reading, all was
 * read); -E_RANGE: it broke the rules. length is not 0. */
MUST_CHECK int64_t ring_write(struct ring *ring, const void *data, size_t length);
MUST_CHECK int64_t ring_read(struct ring *ring, void *buffer, size_t length);

/* Bytes in one piece at *at, to write or to read; the same errors. Then ring_advance says how many were. */
MUST_CHECK int64_t ring_room(struct ring *ring, void **at);
MUST_CHECK int64_t ring_data(struct ring *ring, const void **at);
void ring_advance(struct ring *ring, uint32_t length);

/* 0: there is something to do. -E_AGAIN: the other side rings once it has done something. -E_CLOSED, -E_RANGE. */
MUST_CHECK int64_t ring_arm(struct ring *ring);
/* 0, -E_TIMED_OUT, -E_INTERRUPTED, -E_CLOSED, -E_RANGE. */
MUST_CHECK int64_t ring_wait(struct ring *ring, int64_t deadline);
/* No more from this side. The memory stays mapped until ring_unmap. */
void ring_close(struct ring *ring);

/* ring_memory.c: rings between processes. */
MUST_CHECK int64_t ring_create(uint32_t size, handle_t *memory);
MUST_CHECK int64_t ring_open(struct ring *ring, handle_t memory, enum ring_side side);
void ring_unmap(struct ring *ring);
extern const struct ring_bell ring_futex;
/* Rings a port with RIGHT_SEND (`context`: handle_t *) for a side that waits in proto_accept; it arms its ring first. */
extern const struct ring_bell ring_port;
