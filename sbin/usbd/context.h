/* Device contexts (xHCI 1.2, 6.2): what the controller is to know of a device and its endpoints. Pure.
 *
 * An input context is a control context, a slot's and those of endpoints, of 32 or 64 bytes each: context_of finds them.
 * An endpoint's number there is its DCI: 1 for endpoint 0, else twice its number, + 1 if it is in.
 *
 *     context_control(input, drop, add)             which contexts behind it count
 *     context_slot(slot, &place)
 *     context_endpoint(endpoint, &described, speed, dequeue), context_streams(endpoint, streams, array)
 */
#pragma once

#include "lib/usb/descriptor.h"

#define CONTEXT_ENDPOINTS 32u /* DCIs are below */

/* In a device's context its slot has index 0, DCI n index n; in an input context each stands one further. */
static inline uint32_t *context_of(void *contexts, uint32_t size, uint32_t index)
{
    return (uint32_t *)(void *)((uint8_t *)contexts + (size_t)size * index);
}

static inline uint8_t context_dci(uint8_t address)
{
    return (uint8_t)((address & 0x0f) * 2 + (address & USB_ENDPOINT_IN ? 1 : 0));
}

struct context_place {
    uint32_t route;           /* ports of the hubs from the root on, four bits each */
    uint8_t root_port;        /* from 1 */
    uint8_t speed;            /* as the port says it */
    uint8_t entries;          /* the highest DCI that is in use */
    uint8_t tt_slot, tt_port; /* of the hub whose transaction translator is used; 0: none */
    bool tt_multiple;
    uint8_t hub_ports; /* of a hub; 0: it is none */
    uint8_t think_time;
};

void context_control(uint32_t *control, uint32_t drop, uint32_t add);
void context_slot(uint32_t *slot, const struct context_place *place);
/* dequeue: ring_skip's. Endpoint 0 is described as a USB_CONTROL_PIPE. */
void context_endpoint(uint32_t *context, const struct usb_endpoint *endpoint, enum usb_speed speed,
                      uint64_t dequeue);

/* Streams 1 to `streams` in place of one ring (4.12.2): an array, in a page of its own, of CONTEXT_STREAM bytes each; entry 0 is nobody's.
 * How it reads: context_stream(ring_skip's pointer). */
void context_streams(uint32_t *context, uint16_t streams, uint64_t array);

#define CONTEXT_STREAM 16u

static inline uint64_t context_stream(uint64_t pointer)
{
    return pointer | 1u << 1; /* a primary transfer ring */
}
