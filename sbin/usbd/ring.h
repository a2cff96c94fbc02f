/* Rings of transfer request blocks (xHCI 1.2, 4.9): how the controller is told, and tells. Pure.
 *
 *     ring_init(&ring, memory, address, size)     commands, or an endpoint's transfers: one segment that leads back to itself
 *     ring_put(&ring, trbs, count)                all of them at once; where the first is
 *     ring_find(&ring, address, &index)           what an event is about: only what was put and not retired
 *     ring_retire(&ring, count)                   the oldest are done with
 *     ring_skip(&ring)                            all of them are
 *
 *     events_init(&events, memory, address, size)
 *     events_take(&events, &trb), events_address(&events)
 *
 * Who owns a block is told by its cycle bit, which changes with each lap. A ring is written, and never read back: what the
 * controller writes there misleads nobody. Of an event, each word is read once.
 *
 *       0                                size - 1
 *     [ done | under way       | free  | link ]
 *              dequeue          enqueue
 */
#pragma once

#include "lib/base/base.h"

struct trb {
    uint64_t parameter;
    uint32_t status, control;
};

enum trb_type {
    TRB_NORMAL = 1,
    TRB_SETUP = 2,
    TRB_DATA = 3,
    TRB_STATUS = 4,
    TRB_LINK = 6,
    TRB_ENABLE_SLOT = 9,
    TRB_DISABLE_SLOT = 10,
    TRB_ADDRESS_DEVICE = 11,
    TRB_CONFIGURE_ENDPOINT = 12,
    TRB_EVALUATE_CONTEXT = 13,
    TRB_RESET_ENDPOINT = 14,
    TRB_STOP_ENDPOINT = 15,
    TRB_SET_DEQUEUE = 16,
    TRB_TRANSFER_EVENT = 32,
    TRB_COMMAND_EVENT = 33,
    TRB_PORT_EVENT = 34,
    TRB_HOST_EVENT = 37,
};

/* Of an event: how it went (6.4.5). */
enum trb_code {
    CODE_SUCCESS = 1,
    CODE_DATA_BUFFER = 2,
    CODE_BABBLE = 3,
    CODE_TRANSACTION = 4,
    CODE_TRB = 5,
    CODE_STALL = 6,
    CODE_RESOURCE = 7,
    CODE_BANDWIDTH = 8,
    CODE_NO_SLOTS = 9,
    CODE_STREAM_TYPE = 10,
    CODE_SLOT_NOT_ENABLED = 11,
    CODE_ENDPOINT_NOT_ENABLED = 12,
    CODE_SHORT = 13,
    CODE_CONTEXT_STATE = 19,
    CODE_COMMAND_STOPPED = 24,
    CODE_COMMAND_ABORTED = 25,
    CODE_STOPPED = 26,
    CODE_STOPPED_LENGTH = 27,
    CODE_STOPPED_SHORT = 28,
    CODE_STREAM_ID = 34,
};

#define TRB_CYCLE             0x0001u
#define TRB_TOGGLE            0x0002u  /* of a link: the cycle bit changes */
#define TRB_SHORT             0x0004u  /* tell when the device sent less */
#define TRB_CHAIN             0x0010u  /* the next one is of the same transfer */
#define TRB_TELL              0x0020u  /* tell when it is done */
#define TRB_IMMEDIATE         0x0040u  /* the parameter is the data */
#define TRB_IN                0x10000u /* of a data or status stage */
#define TRB_OF(type)          ((uint32_t)(type) << 10)
#define TRB_TYPE(control)     ((control) >> 10 & 0x3f)
#define TRB_SLOT(control)     ((control) >> 24)
#define TRB_ENDPOINT(control) ((control) >> 16 & 0x1f)
#define TRB_CODE(status)      ((status) >> 24)
#define TRB_LENGTH(status)    ((status)&0xffffff) /* of a transfer event: what is left of the block */

struct ring {
    volatile struct trb *trbs;
    uint64_t address;
    uint32_t size, enqueue, dequeue, used;
    uint32_t cycle; /* of what is put next */
};

/* memory: zeroes, size blocks of it, which do not cross 64 KiB. */
void ring_init(struct ring *ring, void *memory, uint64_t address, uint32_t size);

/* How many more there is room for. */
static inline uint32_t ring_room(const struct ring *ring)
{
    return ring->size - 2 - ring->used;
}

/* The most there is ever room for. */
static inline uint32_t ring_capacity(const struct ring *ring)
{
    return ring->size - 2;
}

/* The index of the first. count: 1 to ring_room(). Cycle bits are the ring's business. The doorbell is the caller's. */
uint32_t ring_put(struct ring *ring, const struct trb *trbs, uint32_t count);

/* Where an endpoint may have been stopped, too, which is then about to go on at the ring's first block. */
static inline uint64_t ring_link(const struct ring *ring)
{
    return ring->address + (ring->size - 1) * sizeof(struct trb);
}

/* False: the address is of no block that is under way. *place: how many are before it in the ring, from the oldest on. The link's stands
 * for the first block's. */
MUST_CHECK bool ring_find(const struct ring *ring, uint64_t address, uint32_t *place);

void ring_retire(struct ring *ring, uint32_t count);

/* Nothing is under way any more; where an endpoint that stood still goes on, and the cycle bit there: for Set TR Dequeue Pointer. */
uint64_t ring_skip(struct ring *ring);

struct events {
    const volatile struct trb *trbs;
    uint64_t address;
    uint32_t size, dequeue, cycle;
};

void events_init(struct events *events, const void *memory, uint64_t address, uint32_t size);
/* False: there is none. */
MUST_CHECK bool events_take(struct events *events, struct trb *event);
/* Of the next one: what the controller is told. */
uint64_t events_address(const struct events *events);
