/* Requests to endpoint 0: see device.h. */
#include <stdlib.h>
#include <string.h>

#include "lib/sys/clock.h"
#include "sbin/usbd/controller.h"
#include "sbin/usbd/lock.h"
#include "sbin/usbd/setup.h"
#include "sbin/usbd/slot.h"

#define REQUEST_NS (5000 * MILLISECOND) /* USB 2.0 9.2.6.1 */

struct request {
    struct transfer transfer;
    bool done;
    int64_t result;
};

static void request_done(struct transfer *transfer, int64_t result, uint32_t moved)
{
    struct request *request = container_of(transfer, struct request, transfer);
    request->done = true;
    request->result = result < 0 ? result : moved;
    usbd_changed();
}

/* Endpoint 0 goes on whatever a request came to. */
static int64_t request_run(struct device *device, struct request *request)
{
    int64_t deadline = clock_monotonic() + REQUEST_NS;
    int64_t result = endpoint_submit(&device->control, 0, &request->transfer);
    if (result < 0)
        return result;
    while (!request->done && clock_monotonic() < deadline)
        usbd_wait(deadline);
    if (!request->done || device->control.halted)
        (void)!endpoint_clear(&device->control, -E_TIMED_OUT);
    while (!request->done) /* the device was being removed meanwhile: that ends it */
        usbd_wait(DEADLINE_NEVER);
    return request->result;
}

/* Through memory that the controller reaches: the device's page, or for what is longer some of its own. */
static int64_t request_through(struct device *device, const struct pci_dma *memory, uint64_t offset,
                               uint64_t setup, void *data)
{
    uint32_t length = (uint32_t)(setup >> 48);
    bool in = setup & USB_TYPE_IN;
    struct request request = {
        .transfer = {.request = {memory->pages, offset, length, 0, in},
                     .setup = setup,
                     .done = request_done},
    };
    if (!in && length)
        memcpy(memory->bytes + offset, data, length);
    int64_t result = request_run(device, &request);
    if (in && result > 0)
        memcpy(data, memory->bytes + offset, (size_t)result);
    return result;
}

int64_t device_control(struct device *device, uint64_t setup, void *data)
{
    struct pci_dma memory = {.memory = HANDLE_NONE};
    uint32_t length = (uint32_t)(setup >> 48);
    int64_t result = 0;
    while (device->controlling)
        usbd_wait(DEADLINE_NEVER);
    if (device->gone)
        return -E_CLOSED;
    device->controlling = true;
    if (length > PAGE_SIZE)
        result = controller_memory(device->controller, length, &memory);
    if (result >= 0)
        result = length > PAGE_SIZE ? request_through(device, &memory, 0, setup, data)
                                    : request_through(device, &device->memory,
                                                      SLOT_BUFFER * PAGE_SIZE, setup, data);
    pci_dma_free(&device->controller->pci, &memory);
    device->controlling = false;
    usbd_changed();
    return result;
}

int64_t device_descriptor(struct device *device, uint8_t type, uint8_t index, uint16_t language,
                          void *bytes, uint16_t length)
{
    return device_control(
        device, USB_SETUP(USB_TYPE_IN, USB_GET_DESCRIPTOR, type << 8 | index, language, length),
        bytes);
}
