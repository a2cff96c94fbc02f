/* An endpoint's transfers: in order, as many of them on its ring as there is room for. An endpoint with streams has a ring for each, which
 * know nothing of each other but that they stand still together.
 *
 *     endpoint_open(&endpoint, device, &described, streams), endpoint_close(&endpoint)    memory; the controller is told by others
 *     endpoint_submit(&endpoint, stream, &transfer)      transfer->done is called when it has ended, however that is
 *     endpoint_event(&endpoint, &event)          what the controller says of it
 *     endpoint_drop(&endpoint, error)            no more than that: all of them end; the controller has forgotten it
 * These wait (lock.h):
 *     endpoint_settle(&endpoint)                 those marked `unwanted` end with what they did, the others go on
 *     endpoint_clear(&endpoint, error)           all end; it stands as at the beginning, though the device may not know
 *
 *     submit --> waiting --room--> on the ring --event--> done
 *                   ^                   | stall, error: all that wait behind it end likewise, and it is halted
 *                   '-- settle ---------'
 */
#pragma once

#include "lib/base/list.h"
#include "lib/pci/driver.h"
#include "lib/usb/descriptor.h"
#include "sbin/usbd/td.h"

struct device;
struct transfer;

/* result: 0 or -E_*; moved: bytes, in either case. May free the transfer, and submit another. */
typedef void transfer_done(struct transfer *transfer, int64_t result, uint32_t moved);

/* Transfers of which each waits for the one before it, and their ring. */
struct stream {
    uint16_t id; /* 0: the only one of an endpoint without streams */
    struct ring ring;
    struct list transfers;
};

struct transfer {
    struct list link;
    struct td_request request;
    uint64_t setup; /* of endpoint 0 */
    transfer_done *done;
    bool unwanted;
    /* the endpoint's */
    struct stream *stream;
    uint32_t blocks; /* on the ring; 0: it waits */
    uint32_t before; /* bytes it moved before it was taken off the ring once */
    uint32_t moved;  /* ... and since, if that is known: */
    bool measured;
};

struct endpoint {
    struct device *device;
    struct usb_endpoint described;
    uint8_t dci;
    struct pci_dma
        memory; /* a page for the ring or the array of streams, one to copy from and to, one for each stream's ring */
    struct stream *streams;
    uint32_t stream_count;
    bool has_streams;
    struct stream only; /* where it has none */
    int64_t halted;     /* -E_*: until it is cleared; 0: it runs */
    bool copies;        /* somebody's bytes are in the page */
    bool still;         /* nothing goes on the ring */
};

/* streams: at most ENDPOINT_STREAMS; 0: it is used without. */
MUST_CHECK int64_t endpoint_open(struct endpoint *endpoint, struct device *device,
                                 const struct usb_endpoint *described, uint16_t streams);
void endpoint_close(struct endpoint *endpoint);

/* 0: done will be called. -E_CLOSED: the device is gone; -E_NOT_FOUND: no such stream; -E_TOO_BIG; what halted it. */
MUST_CHECK int64_t endpoint_submit(struct endpoint *endpoint, uint32_t stream,
                                   struct transfer *transfer);
/* NULL: it has no such stream. */
struct stream *endpoint_stream(struct endpoint *endpoint, uint32_t stream);
bool endpoint_is_idle(const struct endpoint *endpoint);
/* Where the array of its streams lies, which is made anew: for the controller, before it knows the endpoint. */
uint64_t endpoint_array(struct endpoint *endpoint);
void endpoint_event(struct endpoint *endpoint, const struct trb *event);
void endpoint_drop(struct endpoint *endpoint, int64_t error);

void endpoint_settle(struct endpoint *endpoint);
/* -E_*: the controller did not do as it was told. */
MUST_CHECK int64_t endpoint_clear(struct endpoint *endpoint, int64_t error);

#define ENDPOINT_PAGES   2u   /* besides rings of streams */
#define ENDPOINT_STREAMS 255u /* as many as an array of one page has */
static inline uint8_t *endpoint_copy(const struct endpoint *endpoint)
{
    return endpoint->memory.bytes + PAGE_SIZE;
}
