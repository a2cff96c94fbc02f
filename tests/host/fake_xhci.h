/* The controller's side of rings (sbin/usbd/ring.h) for tests: it follows cycle bits and links as hardware does.
 *
 *     fake_xhci_get(&reader, &trb, &address)     the next block it was given; false: none
 *     fake_xhci_put(&writer, &event)             an event; false: the ring is full
 *
 * A ring's addresses are `base` + offset.
 */
#pragma once

#include <string.h>

#include "sbin/usbd/ring.h"

struct fake_xhci {
    struct trb *trbs;
    uint64_t base;
    uint32_t at, size, cycle;
};

/* Its own dequeue pointer's move: over links, which tell it to turn its cycle bit. */
static inline bool fake_xhci_get(struct fake_xhci *reader, struct trb *trb, uint64_t *address)
{
    for (;;) {
        *trb = reader->trbs[reader->at];
        if ((trb->control & TRB_CYCLE) != reader->cycle)
            return false;
        if (TRB_TYPE(trb->control) != TRB_LINK)
            break;
        if (trb->control & TRB_TOGGLE)
            reader->cycle ^= TRB_CYCLE;
        reader->at = (uint32_t)((trb->parameter - reader->base) / sizeof(*trb));
    }
    *address = reader->base + reader->at * sizeof(*trb);
    reader->at++;
    return true;
}

/* As Set TR Dequeue Pointer. */
static inline void fake_xhci_set(struct fake_xhci *reader, uint64_t pointer)
{
    reader->cycle = pointer & 1;
    reader->at = (uint32_t)(((pointer & ~UINT64_C(15)) - reader->base) / sizeof(struct trb));
}

static inline bool fake_xhci_put(struct fake_xhci *writer, const struct trb *event,
                                 uint64_t dequeue)
{
    uint32_t next = (writer->at + 1) % writer->size;
    if (writer->base + next * sizeof(*event) == dequeue)
        return false;
    writer->trbs[writer->at] = *event;
    writer->trbs[writer->at].control = (event->control & ~TRB_CYCLE) | writer->cycle;
    writer->at = next;
    if (next == 0)
        writer->cycle ^= TRB_CYCLE;
    return true;
}
