/* A split virtqueue (Virtual I/O Device 1.2, 2.7), the driver's side: requests out, completions in, in any order.
 *
 *     virtqueue_init(&queue, memory, size, alignment, event_index)      memory: virtqueue_bytes(size, alignment), that the device reaches
 *     virtqueue_add(&queue, buffers, readable, writable, request)      any number, then
 *     virtqueue_publish(&queue)         true: the device is to be notified
 *     ... the device's interrupt ...
 *     while (virtqueue_take(&queue, &request, &written)) ...           false: none, and an interrupt will tell of the next
 *
 * A request is a list of pieces of memory, first those that the device reads, then those that it writes, and a pointer
 * that comes back with its completion. As many are under way as there is room for.
 *
 * The device is not trusted. It may write anything anywhere into the queue's memory at any moment; so everything the driver
 * goes by (which descriptors are free, what is under way, how far both sides are) lies in memory of its own, descriptors
 * are written and never read, and each word of the device's is read once and checked before it is used: an index, against the
 * requests that are under way, a number, against those that were asked for. What does not fit breaks the queue for good
 * (queue->broken): nothing is taken any more. A driver then ends; its successor starts with a device that was reset.
 *
 * One thread at a time. Fences:
 *
 *     driver                                        device
 *     descriptors; available.index = (release)      available.index (acquire); descriptors
 *     used.index (acquire); bytes                   bytes; used.index = (release)
 *     available.index =; fence; notify?             notify =; fence; available.index?
 *     interrupt =; fence; used.index?               used.index =; fence; interrupt?
 */
#pragma once

#include "lib/base/base.h"

#define VIRTQUEUE_SIZE_MAX 32768u

/* What lies in the memory, each number in little endian. */
struct virtqueue_descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags, next;
};

struct virtqueue_available {
    uint16_t flags, index;
    uint16_t ring[]; /* size of them, then the used event */
};

struct virtqueue_used {
    uint16_t flags, index;
    struct virtqueue_completion {
        uint32_t id, written;
    } ring[]; /* size of them, then the available event */
};

#define VIRTQUEUE_NEXT         0x1u /* of a descriptor */
#define VIRTQUEUE_WRITE        0x2u
#define VIRTQUEUE_NO_INTERRUPT 0x1u /* available.flags */
#define VIRTQUEUE_NO_NOTIFY    0x1u /* used.flags */

/* A piece of memory, at the address that the device knows it by. */
struct virtqueue_buffer {
    uint64_t address;
    uint32_t length;
};

/* What is known of a descriptor: of the first of a request all, of the others and of free ones only `next`. */
struct virtqueue_slot {
    void *request;     /* NULL: no request under way begins here */
    uint32_t writable; /* bytes the device may write */
    uint16_t next, count;
};

struct virtqueue {
    struct virtqueue_descriptor *descriptors;
    struct virtqueue_available *available;
    struct virtqueue_used *used;
    struct virtqueue_slot *slots;
    uint16_t size;
    uint16_t free, free_count; /* the list of free descriptors */
    uint16_t added, published; /* indexes, which wrap */
    uint16_t taken;
    uint16_t under_way; /* requests */
    bool event_index, interrupts, broken;
};

/* Of the used ring: no two sides write to one cache line. */
#define VIRTQUEUE_ALIGNMENT 64u

/* Where the three parts lie. alignment: a power of two. */
static inline size_t virtqueue_available_at(uint16_t size)
{
    return size * sizeof(struct virtqueue_descriptor);
}

static inline size_t virtqueue_used_at(uint16_t size, uint32_t alignment)
{
    return ALIGN_UP(virtqueue_available_at(size) + (3u + size) * sizeof(uint16_t),
                    (size_t)alignment);
}

static inline size_t virtqueue_bytes(uint16_t size, uint32_t alignment)
{
    return virtqueue_used_at(size, alignment) + 3 * sizeof(uint16_t) +
           size * sizeof(struct virtqueue_completion);
}

/* size: a power of two up to VIRTQUEUE_SIZE_MAX; event_index: VIRTIO_F_EVENT_IDX was negotiated. False: no memory. */
MUST_CHECK bool virtqueue_init(struct virtqueue *queue, void *memory, uint16_t size,
                               uint32_t alignment, bool event_index);
void virtqueue_destroy(struct virtqueue *queue);
/* As after virtqueue_init, of a device that was reset: nothing is under way. */
void virtqueue_reset(struct virtqueue *queue);

/* Adds a request: buffers[0 .. readable) the device reads, `writable` more it writes. request is not NULL. -E_AGAIN: no room until
 * something is taken; -E_RANGE: more pieces than there ever is room for, or 4 GiB; -E_IO: the queue is broken. */
MUST_CHECK int64_t virtqueue_add(struct virtqueue *queue, const struct virtqueue_buffer *buffers,
                                 uint16_t readable, uint16_t writable, void *request);

/* What was added is the device's. True: it wants to be notified. */
MUST_CHECK bool virtqueue_publish(struct virtqueue *queue);

/* The next request that is done, and how much the device says it has written: at most what it was given to write. False: none is
 * (the device will interrupt), or the queue is broken. */
MUST_CHECK bool virtqueue_take(struct virtqueue *queue, void **request, uint32_t *written);
