/* Rings: see ring.h. */
#include "sbin/usbd/ring.h"

#define POINTER_CYCLE UINT64_C(1)

void ring_init(struct ring *ring, void *memory, uint64_t address, uint32_t size)
{
    *ring = (struct ring){.trbs = memory, .address = address, .size = size, .cycle = TRB_CYCLE};
    ring->trbs[size - 1].parameter = address;
}

static void trb_write(struct ring *ring, uint32_t index, const struct trb *trb, uint32_t cycle)
{
    ring->trbs[index].parameter = trb->parameter;
    ring->trbs[index].status = trb->status;
    __atomic_store_n(&ring->trbs[index].control, (trb->control & ~TRB_CYCLE) | cycle,
                     __ATOMIC_RELEASE);
}

/* Behind the last block stands the link; within a transfer it is one of its blocks. */
static void ring_step(struct ring *ring, bool chained)
{
    if (++ring->enqueue < ring->size - 1)
        return;
    uint32_t control = TRB_OF(TRB_LINK) | TRB_TOGGLE | (chained ? TRB_CHAIN : 0) | ring->cycle;
    __atomic_store_n(&ring->trbs[ring->enqueue].control, control, __ATOMIC_RELEASE);
    ring->enqueue = 0;
    ring->cycle ^= TRB_CYCLE;
}

/* The first becomes the controller's last: it never sees a part of them. */
uint32_t ring_put(struct ring *ring, const struct trb *trbs, uint32_t count)
{
    uint32_t first = ring->enqueue, cycle = ring->cycle;
    for (uint32_t i = 0; i < count; i++) {
        trb_write(ring, ring->enqueue, &trbs[i], ring->cycle ^ (i == 0 ? TRB_CYCLE : 0));
        ring_step(ring, trbs[i].control & TRB_CHAIN);
    }
    trb_write(ring, first, &trbs[0], cycle);
    ring->used += count;
    return first;
}

static uint32_t index_at(const struct ring *ring, uint32_t place)
{
    return (ring->dequeue + place) % (ring->size - 1);
}

bool ring_find(const struct ring *ring, uint64_t address, uint32_t *place)
{
    uint64_t offset = address - ring->address, index = offset / sizeof(struct trb);
    if (address == ring_link(ring))
        index = 0;
    if (offset % sizeof(struct trb) || index >= ring->size - 1)
        return false;
    *place = ((uint32_t)index + ring->size - 1 - ring->dequeue) % (ring->size - 1);
    return *place < ring->used;
}

void ring_retire(struct ring *ring, uint32_t count)
{
    count = MIN(count, ring->used);
    ring->dequeue = index_at(ring, count);
    ring->used -= count;
}

uint64_t ring_skip(struct ring *ring)
{
    ring_retire(ring, ring->used);
    return (ring->address + ring->enqueue * sizeof(struct trb)) | (ring->cycle ? POINTER_CYCLE : 0);
}

void events_init(struct events *events, const void *memory, uint64_t address, uint32_t size)
{
    *events = (struct events){.trbs = memory, .address = address, .size = size, .cycle = TRB_CYCLE};
}

bool events_take(struct events *events, struct trb *event)
{
    const volatile struct trb *trb = &events->trbs[events->dequeue];
    event->control = __atomic_load_n(&trb->control, __ATOMIC_ACQUIRE);
    if ((event->control & TRB_CYCLE) != events->cycle)
        return false;
    event->parameter = trb->parameter;
    event->status = trb->status;
    if (++events->dequeue == events->size) {
        events->dequeue = 0;
        events->cycle ^= TRB_CYCLE;
    }
    return true;
}

uint64_t events_address(const struct events *events)
{
    return events->address + events->dequeue * sizeof(struct trb);
}
