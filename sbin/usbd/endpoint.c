/* Transfers of an endpoint: see endpoint.h. */
#include "sbin/usbd/endpoint.h"

#include <stdlib.h>

#include "sbin/usbd/controller.h"
#include "sbin/usbd/device.h"
#include "sbin/usbd/lock.h"

#define RING_SIZE (PAGE_SIZE / sizeof(struct trb))

static void stream_init(struct endpoint *endpoint, struct stream *stream, uint16_t id)
{
    uint64_t at = (uint64_t)(id ? ENDPOINT_PAGES + id - 1 : 0) * PAGE_SIZE;
    *stream = (struct stream){.id = id};
    list_init(&stream->transfers);
    ring_init(&stream->ring, endpoint->memory.bytes + at, pci_dma_address(&endpoint->memory, at),
              RING_SIZE);
}

/* Stream ids begin at 1. */
static int64_t streams_open(struct endpoint *endpoint, uint16_t count)
{
    endpoint->has_streams = count;
    endpoint->stream_count = MAX(count, 1);
    endpoint->streams = count ? calloc(count, sizeof(*endpoint->streams)) : &endpoint->only;
    if (!endpoint->streams) {
        endpoint->stream_count = 0;
        return -E_NO_MEMORY;
    }
    for (uint32_t i = 0; i < endpoint->stream_count; i++)
        stream_init(endpoint, &endpoint->streams[i], (uint16_t)(count ? i + 1 : 0));
    return 0;
}

int64_t endpoint_open(struct endpoint *endpoint, struct device *device,
                      const struct usb_endpoint *described, uint16_t streams)
{
    *endpoint = (struct endpoint){
        .device = device, .described = *described, .dci = context_dci(described->address)};
    if (described->type == USB_CONTROL_PIPE)
        endpoint->dci = 1;
    int64_t result = controller_memory(
        device->controller, (uint64_t)(ENDPOINT_PAGES + streams) * PAGE_SIZE, &endpoint->memory);
    if (result < 0)
        return result;
    result = streams_open(endpoint, streams);
    if (result < 0)
        pci_dma_free(&device->controller->pci, &endpoint->memory);
    return result;
}

void endpoint_close(struct endpoint *endpoint)
{
    endpoint_drop(endpoint, -E_CLOSED);
    pci_dma_free(&endpoint->device->controller->pci, &endpoint->memory);
    if (endpoint->has_streams)
        free(endpoint->streams);
    endpoint->stream_count = 0;
}

struct stream *endpoint_stream(struct endpoint *endpoint, uint32_t stream)
{
    uint32_t index = stream - endpoint->has_streams;
    return index < endpoint->stream_count ? &endpoint->streams[index] : NULL;
}

bool endpoint_is_idle(const struct endpoint *endpoint)
{
    for (uint32_t i = 0; i < endpoint->stream_count; i++)
        if (!list_empty(&endpoint->streams[i].transfers))
            return false;
    return true;
}

uint64_t endpoint_array(struct endpoint *endpoint)
{
    for (uint32_t i = 0; i < endpoint->stream_count; i++) {
        struct stream *stream = &endpoint->streams[i];
        *(volatile uint64_t *)(void *)(endpoint->memory.bytes +
                                       (size_t)stream->id * CONTEXT_STREAM) =
            context_stream(ring_skip(&stream->ring));
    }
    return pci_dma_address(&endpoint->memory, 0);
}

/* --- onto the ring --- */

static int64_t blocks_make(const struct transfer *transfer, bool control, struct trb *trbs,
                           uint32_t room)
{
    return control ? td_control(&transfer->request, transfer->setup, trbs, room)
                   : td_normal(&transfer->request, trbs, room);
}

static void transfers_push(struct endpoint *endpoint, struct stream *stream)
{
    static struct trb trbs[RING_SIZE]; /* under the lock */
    bool any = false, control = endpoint->described.type == USB_CONTROL_PIPE;
    if (endpoint->still || endpoint->halted)
        return;
    list_for_each (struct transfer, transfer, &stream->transfers, link) {
        if (transfer->blocks)
            continue;
        int64_t count = blocks_make(transfer, control, trbs, ring_room(&stream->ring));
        if (count < 0)
            break; /* it fits as soon as those before it are done */
        transfer->blocks = (uint32_t)count;
        ring_put(&stream->ring, trbs, transfer->blocks);
        any = true;
    }
    if (any)
        controller_doorbell(endpoint->device->controller, endpoint->device->slot, endpoint->dci,
                            stream->id);
}

int64_t endpoint_submit(struct endpoint *endpoint, uint32_t id, struct transfer *transfer)
{
    struct stream *stream = endpoint_stream(endpoint, id);
    if (endpoint->device->gone)
        return -E_CLOSED;
    if (!stream)
        return -E_NOT_FOUND;
    if (endpoint->halted)
        return endpoint->halted;
    if (td_most(transfer->request.length) + 2 > ring_capacity(&stream->ring))
        return -E_TOO_BIG;
    transfer->stream = stream;
    transfer->request.packet = endpoint->described.packet;
    transfer->blocks = transfer->before = transfer->moved = 0;
    transfer->measured = transfer->unwanted = false;
    list_append(&stream->transfers, &transfer->link);
    transfers_push(endpoint, stream);
    return 0;
}

/* --- off the ring --- */

static void transfer_end(struct transfer *transfer, int64_t result)
{
    ring_retire(&transfer->stream->ring, transfer->blocks);
    list_remove(&transfer->link);
    transfer->done(transfer, result, transfer->before + transfer->moved);
}

/* Onto a list of their own: `done` may submit anew. */
static void transfers_take(struct endpoint *endpoint, struct list *taken)
{
    list_init(taken);
    for (uint32_t i = 0; i < endpoint->stream_count; i++)
        list_splice(taken, &endpoint->streams[i].transfers);
}

void endpoint_drop(struct endpoint *endpoint, int64_t error)
{
    struct list taken;
    transfers_take(endpoint, &taken);
    while (!list_empty(&taken))
        transfer_end(list_first(&taken, struct transfer, link), error);
}

static void halt(struct endpoint *endpoint, int64_t error)
{
    endpoint->halted = error;
    endpoint_drop(endpoint, error);
}

/* Whose ring lies there: each is a page. */
static const struct stream *stream_at(const struct endpoint *endpoint, uint64_t address)
{
    for (uint32_t i = 0; i < endpoint->stream_count; i++)
        if (address - endpoint->streams[i].ring.address < PAGE_SIZE)
            return &endpoint->streams[i];
    return NULL;
}

/* The transfer that the block at `address` is of, and its place in it; NULL: of none. */
static struct transfer *transfer_at(const struct endpoint *endpoint, uint64_t address,
                                    uint32_t *place)
{
    const struct stream *stream = stream_at(endpoint, address);
    if (!stream || !ring_find(&stream->ring, address, place))
        return NULL;
    list_for_each (struct transfer, transfer, &stream->transfers, link) {
        if (*place < transfer->blocks)
            return transfer;
        *place -= transfer->blocks;
    }
    return NULL;
}

/* Each transfer tells when it is done, in order: one that was passed over has got lost. */
static void transfers_lost(struct transfer *until)
{
    struct transfer *transfer;
    while ((transfer = list_first(&until->stream->transfers, struct transfer, link)) != until)
        transfer_end(transfer, -E_IO);
}

static void measure(struct endpoint *endpoint, struct transfer *transfer, uint32_t place,
                    uint32_t left)
{
    bool control = endpoint->described.type == USB_CONTROL_PIPE;
    if (!transfer->measured)
        transfer->moved = td_moved(&transfer->request, control, place, left);
    transfer->measured = true;
}

/* What the controller stopped at: whoever stopped it goes on with it. */
static void stopped(struct endpoint *endpoint, struct transfer *transfer, uint32_t place,
                    const struct trb *event)
{
    uint32_t code = TRB_CODE(event->status), length = TRB_LENGTH(event->status);
    bool begun = event->parameter != ring_link(&transfer->stream->ring);
    if (code == CODE_STOPPED && begun)
        measure(endpoint, transfer, place, length);
    else if (code != CODE_STOPPED_SHORT) /* nothing is known of this block */
        measure(endpoint, transfer, place, UINT32_MAX);
    else if (!transfer->measured) {
        transfer->moved = MIN(length, transfer->request.length);
        transfer->measured = true;
    }
}

static int64_t code_error(uint32_t code)
{
    return code == CODE_STALL ? -E_NOT_SUPPORTED : -E_IO;
}

/* An endpoint with streams may come to a halt before one of them is at work, so that there is no block to name (4.17.4). */
static bool is_nobodys_error(const struct endpoint *endpoint, const struct trb *event)
{
    uint32_t code = TRB_CODE(event->status);
    return endpoint->has_streams && event->parameter == 0 &&
           (code == CODE_STALL || code == CODE_TRANSACTION || code == CODE_STREAM_TYPE ||
            code == CODE_STREAM_ID);
}

void endpoint_event(struct endpoint *endpoint, const struct trb *event)
{
    uint32_t place, code = TRB_CODE(event->status);
    bool control = endpoint->described.type == USB_CONTROL_PIPE;
    struct transfer *transfer = transfer_at(endpoint, event->parameter, &place);
    if (!transfer && is_nobodys_error(endpoint, event))
        halt(endpoint, code_error(code));
    if (!transfer)
        return; /* a second word on what has ended, or the controller's fancy */
    struct stream *stream = transfer->stream;
    transfers_lost(transfer);
    bool last = place == transfer->blocks - 1;
    if (code >= CODE_STOPPED && code <= CODE_STOPPED_SHORT) {
        stopped(endpoint, transfer, place, event);
        return;
    }
    if (last || code != CODE_SUCCESS)
        measure(endpoint, transfer, place, TRB_LENGTH(event->status));
    if (code != CODE_SUCCESS && code != CODE_SHORT)
        halt(endpoint, code_error(code));
    else if (last || (code == CODE_SHORT && !control))
        transfer_end(transfer, 0);
    transfers_push(endpoint, stream);
}

/* --- standing still --- */

static int64_t stop(struct endpoint *endpoint)
{
    struct device *device = endpoint->device;
    endpoint->still = true;
    int64_t result = controller_command(device->controller, TRB_STOP_ENDPOINT, device->slot,
                                        endpoint->dci, 0, NULL);
    return result == -E_BUSY ? 0 : result; /* it does not run */
}

/* Nothing of it is on the ring any more; who had something there waits again, with what it had done. */
static int64_t unload(struct endpoint *endpoint, struct stream *stream)
{
    struct device *device = endpoint->device;
    list_for_each (struct transfer, transfer, &stream->transfers, link) {
        transfer->blocks = 0;
        transfer->before += transfer->moved;
        transfer->request.offset += transfer->moved;
        transfer->request.length -= transfer->moved;
        transfer->moved = 0;
        transfer->measured = false;
    }
    return controller_dequeue(device->controller, device->slot, endpoint->dci, stream->id,
                              ring_skip(&stream->ring));
}

static int64_t unload_all(struct endpoint *endpoint)
{
    int64_t result = 0;
    for (uint32_t i = 0; i < endpoint->stream_count && result >= 0; i++)
        result = unload(endpoint, &endpoint->streams[i]);
    return result;
}

/* All go on: those that stayed on their rings, too. */
static void run(struct endpoint *endpoint)
{
    endpoint->still = false;
    for (uint32_t i = 0; i < endpoint->stream_count && !endpoint->halted; i++) {
        struct stream *stream = &endpoint->streams[i];
        transfers_push(endpoint, stream);
        if (stream->ring.used)
            controller_doorbell(endpoint->device->controller, endpoint->device->slot, endpoint->dci,
                                stream->id);
    }
}

/* Whether a stream has to leave its ring: nobody wants it, or the controller said how far it came with it. One of which it said nothing
 * was not at work: it goes on by itself where it was (4.6.9). */
static bool stream_is_concerned(const struct stream *stream)
{
    list_for_each (const struct transfer, transfer, &stream->transfers, link)
        if (transfer->unwanted || transfer->measured)
            return true;
    return false;
}

/* If it was not at work, but had been before, its first transfer cannot go on, nor be begun again, as nobody knows how far it came. */
static void stream_leave(struct stream *stream)
{
    struct transfer *first = list_first(&stream->transfers, struct transfer, link);
    if (stream->id && first && first->blocks && !first->measured && !first->unwanted)
        transfer_end(first, -E_IO);
}

static void stream_settle(struct stream *stream)
{
    list_for_each (struct transfer, transfer, &stream->transfers, link)
        if (transfer->unwanted)
            transfer_end(transfer, -E_CANCELLED);
}

void endpoint_settle(struct endpoint *endpoint)
{
    if (endpoint->halted || endpoint->device->gone)
        return; /* then nothing is under way */
    int64_t result = stop(endpoint);
    for (uint32_t i = 0; i < endpoint->stream_count; i++) {
        struct stream *stream = &endpoint->streams[i];
        if (result >= 0 && stream_is_concerned(stream)) {
            stream_leave(stream);
            result = unload(endpoint, stream);
        }
        stream_settle(stream);
    }
    if (result < 0)
        halt(endpoint, -E_IO);
    run(endpoint);
}

int64_t endpoint_clear(struct endpoint *endpoint, int64_t error)
{
    struct device *device = endpoint->device;
    int64_t result;
    if (device->gone)
        return -E_CLOSED;
    if (endpoint->halted)
        result = controller_command(device->controller, TRB_RESET_ENDPOINT, device->slot,
                                    endpoint->dci, 0, NULL);
    else
        result = stop(endpoint);
    if (result == -E_BUSY)
        result = stop(endpoint); /* it was not halted after all */
    endpoint_drop(endpoint, error);
    if (result >= 0)
        result = unload_all(endpoint);
    endpoint->halted = 0;
    if (result < 0)
        halt(endpoint, -E_IO);
    run(endpoint);
    return result;
}
