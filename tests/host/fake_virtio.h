/* The device's side of a virtqueue (lib/virtio/virtqueue.h) for tests: addresses are pointers of the host.
 *
 *     struct fake_device device = {.queue = &queue, .event_index = ...}
 *     fake_get(&device, &request)              the next request it was given; false: none
 *     fake_put(&device, request.head, written) done; device.interrupts counts those it would raise
 */
#pragma once

#include <string.h>

#include "lib/virtio/virtqueue.h"

#define FAKE_PIECES 64u

struct fake_request {
    uint16_t head;
    unsigned readable, writable;
    struct virtqueue_buffer pieces[FAKE_PIECES];
};

struct fake_device {
    const struct virtqueue *queue;
    bool event_index;
    uint16_t seen, used;
    unsigned interrupts, notified;
};

/* With EVENT_IDX: tell me of the next request. */
static inline void fake_want_notification(const struct fake_device *device)
{
    uint16_t *event = (uint16_t *)(void *)&device->queue->used->ring[device->queue->size];

    *event = device->seen;
}

static inline bool fake_get(struct fake_device *device, struct fake_request *request)
{
    const struct virtqueue *queue = device->queue;
    const struct virtqueue_descriptor *descriptor;

    if (device->seen == queue->available->index)
        return false;
    *request = (struct fake_request){
        .head = queue->available->ring[device->seen++ & (queue->size - 1)],
    };
    descriptor = &queue->descriptors[request->head];
    for (unsigned n = 0; n < FAKE_PIECES; n++) {
        request->pieces[n] = (struct virtqueue_buffer){descriptor->address, descriptor->length};
        *(descriptor->flags & VIRTQUEUE_WRITE ? &request->writable : &request->readable) += 1;
        if (!(descriptor->flags & VIRTQUEUE_NEXT))
            break;
        descriptor = &queue->descriptors[descriptor->next];
    }
    return true;
}

static inline void fake_put(struct fake_device *device, uint32_t head, uint32_t written)
{
    const struct virtqueue *queue = device->queue;

    queue->used->ring[device->used & (queue->size - 1)] =
        (struct virtqueue_completion){head, written};
    queue->used->index = ++device->used;
    device->interrupts += device->event_index
                              ? queue->available->ring[queue->size] == (uint16_t)(device->used - 1)
                              : !(queue->available->flags & VIRTQUEUE_NO_INTERRUPT);
}
