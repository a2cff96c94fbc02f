/* Contexts: see context.h. */
#include "sbin/usbd/context.h"

#define CONTROL_TYPE   4u
#define ERRORS_ALLOWED 3u
#define CONTROL_LENGTH \
    8u /* what the average block of each kind is about: the controller plans with it (4.14.1.1) */
#define BULK_LENGTH 3072u

void context_control(uint32_t *control, uint32_t drop, uint32_t add)
{
    control[0] = drop;
    control[1] = add;
}

void context_slot(uint32_t *slot, const struct context_place *place)
{
    bool hub = place->hub_ports != 0;
    slot[0] = (place->route & 0xfffff) | (uint32_t)place->speed << 20 |
              (uint32_t)place->tt_multiple << 25 | (uint32_t)hub << 26 |
              (uint32_t)place->entries << 27;
    slot[1] = (uint32_t)place->root_port << 16 | (uint32_t)place->hub_ports << 24;
    slot[2] = place->tt_slot | (uint32_t)place->tt_port << 8 | (uint32_t)place->think_time << 16;
    slot[3] = 0;
}

/* Bytes that a periodic endpoint moves in its interval at most (4.14.2). */
static uint32_t payload(const struct usb_endpoint *endpoint, enum usb_speed speed)
{
    if (endpoint->type != USB_INTERRUPT && endpoint->type != USB_ISOCHRONOUS)
        return 0;
    if (speed >= USB_SUPER && endpoint->bytes_an_interval)
        return endpoint->bytes_an_interval;
    return (uint32_t)endpoint->packet * endpoint->transactions * endpoint->burst;
}

void context_endpoint(uint32_t *context, const struct usb_endpoint *endpoint, enum usb_speed speed,
                      uint64_t dequeue)
{
    bool control = endpoint->type == USB_CONTROL_PIPE, in = endpoint->address & USB_ENDPOINT_IN;
    uint32_t type = control ? CONTROL_TYPE : endpoint->type + (in ? 4u : 0u);
    uint32_t bytes = payload(endpoint, speed),
             interval = control ? 0 : usb_interval(endpoint, speed);
    uint32_t errors = endpoint->type == USB_ISOCHRONOUS ? 0 : ERRORS_ALLOWED;
    uint32_t burst = speed >= USB_SUPER ? endpoint->burst - 1u : endpoint->transactions - 1u;
    uint32_t multiple = speed >= USB_SUPER ? endpoint->transactions - 1u : 0;
    uint32_t average = control ? CONTROL_LENGTH : bytes ? bytes : BULK_LENGTH;
    context[0] = multiple << 8 | interval << 16 | bytes >> 16 << 24;
    context[1] = errors << 1 | type << 3 | burst << 8 | (uint32_t)endpoint->packet << 16;
    context[2] = (uint32_t)dequeue;
    context[3] = (uint32_t)(dequeue >> 32);
    context[4] = (average & 0xffff) | (bytes & 0xffff) << 16;
}

#define STREAMS_LINEAR 0x8000u /* no arrays behind the array */

void context_streams(uint32_t *context, uint16_t streams, uint64_t array)
{
    uint32_t exponent = 1;
    while (2u << exponent <= streams)
        exponent++;
    context[0] |= exponent << 10 | STREAMS_LINEAR;
    context[2] = (uint32_t)array;
    context[3] = (uint32_t)(array >> 32);
}
