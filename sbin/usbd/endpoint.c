/* Transfers of an endpoint: see endpoint.h. */
#include "sbin/usbd/endpoint.h"

#include "sbin/usbd/controller.h"
#include "sbin/usbd/device.h"
#include "sbin/usbd/lock.h"

#define RING_SIZE (PAGE_SIZE / sizeof(struct trb))

int64_t endpoint_open(struct endpoint *endpoint, struct device *device,
                      const struct usb_endpoint *described)
{
    *endpoint = (struct endpoint){
        .device = device, .described = *described, .dci = context_dci(described->address)};
    if (described->type == USB_CONTROL_PIPE)
        endpoint->dci = 1;
    list_init(&endpoint->transfers);
    int64_t result =
        controller_memory(device->controller, ENDPOINT_PAGES * PAGE_SIZE, &endpoint->memory);
    if (result >= 0)
        ring_init(&endpoint->ring, endpoint->memory.bytes, pci_dma_address(&endpoint->memory, 0),
                  RING_SIZE);
    return result;
}

void endpoint_close(struct endpoint *endpoint)
{
    endpoint_drop(endpoint, -E_CLOSED);
    pci_dma_free(&endpoint->device->controller->pci, &endpoint->memory);
}

/* --- onto the ring --- */

static int64_t blocks_make(const struct transfer *transfer, bool control, struct trb *trbs,
                           uint32_t room)
{
    return control ? td_control(&transfer->request, transfer->setup, trbs, room)
                   : td_normal(&transfer->request, trbs, room);
}

static void transfers_push(struct endpoint *endpoint)
{
    static struct trb trbs[RING_SIZE]; /* under the lock */
    bool any = false, control = endpoint->described.type == USB_CONTROL_PIPE;
    if (endpoint->still || endpoint->halted)
        return;
    list_for_each (struct transfer, transfer, &endpoint->transfers, link) {
        if (transfer->blocks)
            continue;
        int64_t count = blocks_make(transfer, control, trbs, ring_room(&endpoint->ring));
        if (count < 0)
            break; /* it fits as soon as those before it are done */
        transfer->blocks = (uint32_t)count;
        ring_put(&endpoint->ring, trbs, transfer->blocks);
        any = true;
    }
    if (any)
        controller_doorbell(endpoint->device->controller, endpoint->device->slot, endpoint->dci);
}

int64_t endpoint_submit(struct endpoint *endpoint, struct transfer *transfer)
{
    if (endpoint->device->gone)
        return -E_CLOSED;
    if (endpoint->halted)
        return endpoint->halted;
    if (td_most(transfer->request.length) + 2 > ring_capacity(&endpoint->ring))
        return -E_TOO_BIG;
    transfer->request.packet = endpoint->described.packet;
    transfer->blocks = transfer->before = transfer->moved = 0;
    transfer->measured = transfer->unwanted = false;
    list_append(&endpoint->transfers, &transfer->link);
    transfers_push(endpoint);
    return 0;
}

/* --- off the ring --- */

static void transfer_end(struct endpoint *endpoint, struct transfer *transfer, int64_t result)
{
    ring_retire(&endpoint->ring, transfer->blocks);
    list_remove(&transfer->link);
    transfer->done(transfer, result, transfer->before + transfer->moved);
}

static void transfers_end(struct endpoint *endpoint, struct list *transfers, int64_t result)
{
    while (!list_empty(transfers))
        transfer_end(endpoint, list_first(transfers, struct transfer, link), result);
}

/* Onto a list of their own: `done` may submit anew. */
static void transfers_take(struct endpoint *endpoint, struct list *taken)
{
    struct transfer *transfer;
    list_init(taken);
    while ((transfer = list_first(&endpoint->transfers, struct transfer, link))) {
        list_remove(&transfer->link);
        list_append(taken, &transfer->link);
    }
}

void endpoint_drop(struct endpoint *endpoint, int64_t error)
{
    struct list taken;
    if (!endpoint->device)
        return;
    transfers_take(endpoint, &taken);
    transfers_end(endpoint, &taken, error);
}

static void halt(struct endpoint *endpoint, int64_t error)
{
    endpoint->halted = error;
    endpoint_drop(endpoint, error);
}

/* The transfer that the block at *place is of, which becomes its place in it. */
static struct transfer *transfer_at(struct endpoint *endpoint, uint32_t *place)
{
    list_for_each (struct transfer, transfer, &endpoint->transfers, link) {
        if (*place < transfer->blocks)
            return transfer;
        *place -= transfer->blocks;
    }
    return NULL;
}

/* Each transfer tells when it is done, in order: one that was passed over has got lost. */
static void transfers_lost(struct endpoint *endpoint, const struct transfer *until)
{
    struct transfer *transfer;
    while ((transfer = list_first(&endpoint->transfers, struct transfer, link)) != until)
        transfer_end(endpoint, transfer, -E_IO);
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
                    uint32_t status)
{
    if (TRB_CODE(status) == CODE_STOPPED)
        measure(endpoint, transfer, place, TRB_LENGTH(status));
    else if (TRB_CODE(status) == CODE_STOPPED_LENGTH) /* nothing is known of this block */
        measure(endpoint, transfer, place, UINT32_MAX);
    else if (!transfer->measured) {
        transfer->moved = MIN(TRB_LENGTH(status), transfer->request.length);
        transfer->measured = true;
    }
}

void endpoint_event(struct endpoint *endpoint, const struct trb *event)
{
    uint32_t place, code = TRB_CODE(event->status);
    bool control = endpoint->described.type == USB_CONTROL_PIPE;
    struct transfer *transfer = NULL;
    if (ring_find(&endpoint->ring, event->parameter, &place))
        transfer = transfer_at(endpoint, &place);
    if (!transfer)
        return; /* a second word on what has ended, or the controller's fancy */
    transfers_lost(endpoint, transfer);
    bool last = place == transfer->blocks - 1;
    if (code >= CODE_STOPPED && code <= CODE_STOPPED_SHORT) {
        stopped(endpoint, transfer, place, event->status);
        return;
    }
    if (last || code != CODE_SUCCESS)
        measure(endpoint, transfer, place, TRB_LENGTH(event->status));
    if (code != CODE_SUCCESS && code != CODE_SHORT)
        halt(endpoint, code == CODE_STALL ? -E_NOT_SUPPORTED : -E_IO);
    else if (last || (code == CODE_SHORT && !control))
        transfer_end(endpoint, transfer, 0);
    transfers_push(endpoint);
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
static int64_t unload(struct endpoint *endpoint)
{
    struct device *device = endpoint->device;
    list_for_each (struct transfer, transfer, &endpoint->transfers, link) {
        transfer->blocks = 0;
        transfer->before += transfer->moved;
        transfer->request.offset += transfer->moved;
        transfer->request.length -= transfer->moved;
        transfer->moved = 0;
        transfer->measured = false;
    }
    return controller_command(device->controller, TRB_SET_DEQUEUE, device->slot, endpoint->dci,
                              ring_skip(&endpoint->ring), NULL);
}

void endpoint_settle(struct endpoint *endpoint)
{
    if (endpoint->halted || endpoint->device->gone)
        return; /* then nothing is under way */
    int64_t result = stop(endpoint);
    if (result >= 0)
        result = unload(endpoint);
    list_for_each (struct transfer, transfer, &endpoint->transfers, link)
        if (transfer->unwanted)
            transfer_end(endpoint, transfer, -E_CANCELLED);
    endpoint->still = false;
    if (result < 0)
        halt(endpoint, -E_IO);
    transfers_push(endpoint);
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
        result = unload(endpoint);
    endpoint->still = false;
    endpoint->halted = result < 0 ? -E_IO : 0;
    transfers_push(endpoint);
    return result;
}
