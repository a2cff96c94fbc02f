/* Slots: see slot.h. */
#include "sbin/usbd/slot.h"

#include <string.h>

#include "sbin/usbd/controller.h"

#define SLOT_BIT    1u
#define CONTROL_BIT 2u

static void *page_at(const struct device *device, uint32_t page)
{
    return device->memory.bytes + (size_t)page * PAGE_SIZE;
}

/* Of the input context: 0 its control context, 1 the slot's, 1 + DCI an endpoint's. */
static uint32_t *input_at(const struct device *device, uint32_t index)
{
    return context_of(page_at(device, SLOT_INPUT), device->controller->context_size, index);
}

static int64_t input_give(struct device *device, enum trb_type type)
{
    return controller_command(device->controller, type, device->slot, 0,
                              pci_dma_address(&device->memory, SLOT_INPUT * PAGE_SIZE), NULL);
}

static void input_begin(struct device *device, uint32_t drop, uint32_t add)
{
    memset(page_at(device, SLOT_INPUT), 0, PAGE_SIZE);
    context_control(input_at(device, 0), drop, add);
    context_slot(input_at(device, 1), &device->place);
}

static void input_endpoint(struct device *device, struct endpoint *endpoint)
{
    context_endpoint(input_at(device, 1u + endpoint->dci), &endpoint->described, device->speed,
                     ring_skip(&endpoint->streams[0].ring));
    if (endpoint->has_streams)
        context_streams(input_at(device, 1u + endpoint->dci), endpoint->stream_count,
                        endpoint_array(endpoint));
}

/* Before the device says itself: low speed has 8 bytes, and full speed at least as many (4.3). */
static uint16_t first_packet(enum usb_speed speed)
{
    return speed >= USB_SUPER ? 512 : speed == USB_HIGH ? 64 : 8;
}

int64_t slot_open(struct device *device)
{
    struct controller *controller = device->controller;
    const struct usb_endpoint control = {.type = USB_CONTROL_PIPE,
                                         .packet = first_packet(device->speed),
                                         .burst = 1,
                                         .transactions = 1};
    uint8_t slot;
    int64_t result = controller_memory(controller, SLOT_PAGES * PAGE_SIZE, &device->memory);
    if (result >= 0)
        result = endpoint_open(&device->control, device, &control, 0);
    if (result >= 0)
        result = controller_command(controller, TRB_ENABLE_SLOT, 0, 0, 0, &slot);
    if (result < 0)
        return result;
    if (slot == 0 || slot > controller->slots || controller->devices[slot])
        return -E_IO;
    device->slot = slot;
    controller->devices[slot] = device;
    controller_slot_set(controller, slot,
                        pci_dma_address(&device->memory, SLOT_CONTEXT * PAGE_SIZE));
    return 0;
}

int64_t slot_address(struct device *device)
{
    device->place.entries = 1;
    input_begin(device, 0, SLOT_BIT | CONTROL_BIT);
    input_endpoint(device, &device->control);
    return input_give(device, TRB_ADDRESS_DEVICE);
}

int64_t slot_packet(struct device *device, uint16_t packet)
{
    if (device->control.described.packet == packet)
        return 0;
    device->control.described.packet = packet;
    input_begin(device, 0, CONTROL_BIT);
    input_endpoint(device, &device->control);
    return input_give(device, TRB_EVALUATE_CONTEXT);
}

int64_t slot_endpoints(struct device *device, uint32_t drop, struct endpoint *const *add,
                       uint32_t count)
{
    uint32_t bits = SLOT_BIT;
    uint8_t entries = 1, before = device->place.entries;
    for (uint8_t dci = 2; dci < CONTEXT_ENDPOINTS; dci++)
        if (device->endpoints[dci] && !(drop >> dci & 1))
            entries = dci;
    for (uint32_t i = 0; i < count; i++) {
        entries = MAX(entries, add[i]->dci);
        bits |= UINT32_C(1) << add[i]->dci;
    }
    device->place.entries = entries;
    input_begin(device, drop, bits);
    for (uint32_t i = 0; i < count; i++)
        input_endpoint(device, add[i]);
    int64_t result = input_give(device, TRB_CONFIGURE_ENDPOINT);
    if (result < 0)
        device->place.entries = before;
    return result;
}

int64_t slot_place(struct device *device)
{
    input_begin(device, 0, SLOT_BIT);
    return input_give(device, TRB_CONFIGURE_ENDPOINT);
}

void slot_close(struct device *device)
{
    struct controller *controller = device->controller;
    if (device->slot) {
        /* One that is refused was none: the controller does not look at it. */
        (void)!controller_command(controller, TRB_DISABLE_SLOT, device->slot, 0, 0, NULL);
        controller_slot_set(controller, device->slot, 0);
        controller->devices[device->slot] = NULL;
        device->slot = 0;
    }
}
