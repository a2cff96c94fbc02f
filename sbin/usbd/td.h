/* A transfer as blocks of a ring (xHCI 1.2, 4.11), and how far it came. Pure.
 *
 *     td_normal(&request, trbs, room)      bulk and interrupt; how many blocks
 *     td_control(&request, setup, trbs, room)
 *     td_moved(&request, control, place, left)   bytes, when the block at place ended with so many left
 *
 * Memory is pages, wherever they lie; a block does not cross 64 KiB. Blocks of the data have to say how many packets follow.
 */
#pragma once

#include "sbin/usbd/ring.h"

struct td_request {
    const uint64_t *pages; /* the address of each page; the data begin at offset */
    uint64_t offset;
    uint32_t length;
    uint16_t packet; /* the most in one */
    bool in;         /* from the device */
};

/* The most blocks a transfer of this length takes, wherever its memory lies. */
static inline uint32_t td_most(uint32_t length)
{
    return length / 4096 + 2;
}

/* -E_TOO_BIG: more than room. */
MUST_CHECK int64_t td_normal(const struct td_request *request, struct trb *trbs, uint32_t room);
/* setup: as USB_SETUP makes it (abi/usb.h). */
MUST_CHECK int64_t td_control(const struct td_request *request, uint64_t setup, struct trb *trbs,
                              uint32_t room);

/* How much of the data had come or gone when the block at `place` ended with so many bytes left. control: the first is a setup. */
uint32_t td_moved(const struct td_request *request, bool control, uint32_t place, uint32_t left);
