/* Devices come and go: see device.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* asprintf */
#endif
#include "sbin/usbd/device.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/clock.h"
#include "lib/sys/error.h"
#include "sbin/usbd/claim.h"
#include "sbin/usbd/controller.h"
#include "sbin/usbd/hub.h"
#include "sbin/usbd/lock.h"
#include "sbin/usbd/slot.h"

#define REQUEST_NS (5000 * MILLISECOND) /* USB 2.0 9.2.6.1 */
#define ADDRESS_NS (10 * MILLISECOND)   /* a device has 2 ms to take its address */
#define ENGLISH    0x0409u

struct list devices = LIST_INIT(devices);
void (*devices_changed)(void);
static uint64_t next_number;

void devices_start(uint64_t first_number)
{
    next_number = first_number;
}

struct device *device_find(uint64_t number)
{
    list_for_each (struct device, device, &devices, link)
        if (device->number == number)
            return device;
    return NULL;
}

struct interface *device_interface(struct device *device, uint8_t number)
{
    for (uint32_t i = 0; i < device->interface_count; i++)
        if (device->interfaces[i].number == number)
            return &device->interfaces[i];
    return NULL;
}

/* --- requests --- */

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
    int64_t result = endpoint_submit(&device->control, &request->transfer);
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

static int64_t descriptor_read(struct device *device, uint8_t type, uint8_t index,
                               uint16_t language, void *bytes, uint16_t length)
{
    return device_control(
        device, USB_SETUP(USB_TYPE_IN, USB_GET_DESCRIPTOR, type << 8 | index, language, length),
        bytes);
}

/* --- what it is --- */

static int64_t device_describe(struct device *device)
{
    enum { PACKET = 7, BEGINNING = 8 };
    uint8_t *bytes = device->head;
    int64_t got = descriptor_read(device, USB_DEVICE, 0, 0, bytes, BEGINNING);
    if (got < BEGINNING)
        return got < 0 ? got : -E_BAD_FORMAT;
    if (device->speed == USB_FULL) {
        int64_t result = slot_packet(device, bytes[PACKET] ? bytes[PACKET] : BEGINNING);
        if (result < 0)
            return result;
    }
    got = descriptor_read(device, USB_DEVICE, 0, 0, bytes, USB_DEVICE_LENGTH);
    return got < 0 ? got : usb_device_parse(bytes, (size_t)got, device->speed, &device->described);
}

static int64_t configuration_read(struct device *device, uint8_t index)
{
    uint8_t head[USB_CONFIGURATION_LENGTH];
    int64_t got = descriptor_read(device, USB_CONFIGURATION, index, 0, head, sizeof(head));
    int64_t length = got < 0 ? got : usb_configuration_length(head, (size_t)got);
    if (length < 0)
        return length;
    free(device->bytes);
    device->bytes = calloc(1, (size_t)length);
    if (!device->bytes)
        return -E_NO_MEMORY;
    got = descriptor_read(device, USB_CONFIGURATION, index, 0, device->bytes, (uint16_t)length);
    if (got < 0)
        return got;
    device->length = (size_t)got;
    return usb_configuration_parse(device->bytes, device->length, device->speed,
                                   &device->configuration);
}

/* The first one that can be understood: the one its maker puts in front. */
static int64_t configuration_choose(struct device *device)
{
    int64_t result = -E_BAD_FORMAT;
    for (uint8_t i = 0; i < device->described.configurations && result == -E_BAD_FORMAT; i++)
        result = configuration_read(device, i);
    return result;
}

/* No string is worth a device. */
static void string_read(struct device *device, uint8_t index, uint16_t language, char *text)
{
    uint8_t bytes[USB_STRING_LENGTH];
    int64_t got =
        index ? descriptor_read(device, USB_STRING, index, language, bytes, sizeof(bytes)) : 0;
    if (got > 0)
        (void)!usb_string_parse(bytes, (size_t)got, text, USB_NAME_SIZE);
}

static void strings_read(struct device *device)
{
    const struct usb_device *described = &device->described;
    uint8_t bytes[USB_STRING_LENGTH];
    if (!described->manufacturer_string && !described->product_string && !described->serial_string)
        return;
    int64_t got = descriptor_read(device, USB_STRING, 0, 0, bytes, sizeof(bytes));
    uint16_t language = got >= 4 && bytes[1] == USB_STRING ? usb_get16(bytes + 2) : ENGLISH;
    string_read(device, described->manufacturer_string, language, device->manufacturer);
    string_read(device, described->product_string, language, device->product);
    string_read(device, described->serial_string, language, device->serial);
}

/* --- its endpoints --- */

static void endpoints_free(struct endpoint *const *endpoints, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        endpoint_close(endpoints[i]);
        free(endpoints[i]);
    }
}

/* Those of an alternate setting, opened; isochronous ones are not offered. */
static int64_t endpoints_make(struct device *device, const struct usb_interface *interface,
                              struct endpoint **made, uint32_t *count)
{
    int64_t result = 0;
    for (uint32_t i = 0; i < interface->endpoint_count && result >= 0; i++) {
        const struct usb_endpoint *described =
            &device->configuration.endpoints[interface->endpoint + i];
        if (described->type == USB_ISOCHRONOUS)
            continue;
        struct endpoint *endpoint = calloc(1, sizeof(*endpoint));
        if (!endpoint)
            return -E_NO_MEMORY;
        result = endpoint_open(endpoint, device, described);
        if (result < 0)
            free(endpoint);
        else
            made[(*count)++] = endpoint;
    }
    return result;
}

static void endpoints_set(struct device *device, struct endpoint *const *made, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        device->endpoints[made[i]->dci] = made[i];
}

static int64_t interfaces_make(struct device *device)
{
    const struct usb_configuration *configuration = &device->configuration;
    device->interfaces = calloc(configuration->interface_count, sizeof(*device->interfaces));
    if (!device->interfaces)
        return -E_NO_MEMORY;
    for (uint32_t i = 0; i < configuration->interface_count; i++) {
        uint8_t number = configuration->interfaces[i].number;
        if (configuration->interfaces[i].alternate || device_interface(device, number))
            continue;
        struct interface *interface = &device->interfaces[device->interface_count++];
        interface->number = number;
        list_init(&interface->memories);
    }
    return device->interface_count ? 0 : -E_BAD_FORMAT;
}

/* The controller first: it may not have the bandwidth (USB 2.0 9.1.1.5, xHCI 4.3.5). */
static int64_t device_configure(struct device *device)
{
    struct endpoint *made[CONTEXT_ENDPOINTS];
    uint32_t count = 0;
    int64_t result = interfaces_make(device);
    for (uint32_t i = 0; i < device->interface_count && result >= 0; i++)
        result = endpoints_make(
            device, usb_interface_find(&device->configuration, device->interfaces[i].number, 0),
            made, &count);
    if (result >= 0)
        result = slot_endpoints(device, 0, made, count);
    if (result < 0) {
        endpoints_free(made, count);
        return result;
    }
    endpoints_set(device, made, count);
    result = device_control(
        device, USB_SETUP(0, USB_SET_CONFIGURATION, device->configuration.value, 0, 0), NULL);
    return result < 0 ? result : 0;
}

/* Its endpoints now, taken off the device; what was under way has ended. */
static uint32_t endpoints_take(struct device *device, const struct interface *interface,
                               struct endpoint **taken)
{
    const struct usb_interface *now =
        usb_interface_find(&device->configuration, interface->number, interface->alternate);
    uint32_t count = 0;
    for (uint32_t i = 0; i < now->endpoint_count; i++) {
        uint8_t dci = context_dci(device->configuration.endpoints[now->endpoint + i].address);
        if (device->endpoints[dci])
            taken[count++] = device->endpoints[dci];
    }
    return count;
}

int64_t device_alternate(struct device *device, struct interface *interface, uint8_t alternate)
{
    const struct usb_interface *other =
        usb_interface_find(&device->configuration, interface->number, alternate);
    struct endpoint *made[CONTEXT_ENDPOINTS], *old[CONTEXT_ENDPOINTS];
    uint32_t count = 0, drop = 0;
    if (!other)
        return -E_NOT_FOUND;
    uint32_t old_count = endpoints_take(device, interface, old);
    for (uint32_t i = 0; i < old_count; i++) {
        drop |= UINT32_C(1) << old[i]->dci;
        (void)!endpoint_clear(old[i], -E_CANCELLED);
    }
    int64_t result = endpoints_make(device, other, made, &count);
    if (result >= 0)
        result = slot_endpoints(device, drop, made, count);
    if (result < 0 || device->gone) {
        endpoints_free(made, count);
        return result < 0 ? result : -E_CLOSED;
    }
    for (uint32_t i = 0; i < old_count; i++)
        device->endpoints[old[i]->dci] = NULL;
    endpoints_free(old, old_count);
    endpoints_set(device, made, count);
    interface->alternate = alternate;
    result = device_control(
        device, USB_SETUP(USB_TYPE_INTERFACE, USB_SET_INTERFACE, alternate, interface->number, 0),
        NULL);
    return result < 0 ? result : 0;
}

/* --- its thread --- */

static void *device_thread(void *argument)
{
    struct device *device = argument;
    usbd_lock();
    for (;;) {
        struct job *job = list_first(&device->jobs, struct job, link);
        if (job) {
            list_remove(&job->link);
            job->run(device, job);
        } else if (device->gone) {
            break;
        } else {
            usbd_wait(DEADLINE_NEVER);
        }
    }
    device->works = false;
    usbd_changed();
    usbd_unlock();
    return NULL;
}

void device_job(struct device *device, struct job *job)
{
    list_append(&device->jobs, &job->link);
    usbd_changed();
}

static int64_t device_work(struct device *device)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, device_thread, device))
        return -E_NO_MEMORY;
    pthread_detach(thread);
    device->works = true;
    return 0;
}

/* --- coming and going --- */

/* The transaction translator is that of the last hub on the way that speaks high speed, for what is slower (USB 2.0 11.14). */
static void place_find(struct device *device, const struct hub *hub, uint8_t port, uint8_t speed)
{
    struct context_place *place = &device->place;
    const struct device *above = hub->device;
    *place = (struct context_place){.root_port = port, .speed = speed};
    if (!above)
        return;
    place->root_port = above->place.root_port;
    place->route = above->place.route | (uint32_t)MIN(port, 15) << (4 * (hub->depth - 1));
    if (device->speed != USB_LOW && device->speed != USB_FULL)
        return;
    if (above->speed == USB_HIGH) {
        place->tt_slot = above->slot;
        place->tt_port = port;
        place->tt_multiple = above->place.tt_multiple;
    } else {
        place->tt_slot = above->place.tt_slot;
        place->tt_port = above->place.tt_port;
        place->tt_multiple = above->place.tt_multiple;
    }
}

static int64_t name_make(struct device *device)
{
    const struct hub *hub = device->parent;
    int length = hub->device
                     ? asprintf(&device->name, "%s.%u", hub->device->name, device->port)
                     : asprintf(&device->name, "%u-%u", device->controller->number, device->port);
    if (length < 0)
        device->name = NULL;
    return length < 0 ? -E_NO_MEMORY : 0;
}

static void device_free(struct device *device)
{
    endpoint_drop(&device->control, -E_CLOSED);
    for (uint8_t dci = 2; dci < CONTEXT_ENDPOINTS; dci++)
        if (device->endpoints[dci])
            endpoints_free(&device->endpoints[dci], 1);
    if (device->control.device)
        endpoint_close(&device->control);
    pci_dma_free(&device->controller->pci, &device->memory);
    usb_configuration_destroy(&device->configuration);
    free(device->interfaces);
    free(device->bytes);
    free(device->name);
    free(device);
}

static int64_t device_set_up(struct device *device)
{
    int64_t result = slot_open(device);
    if (result >= 0)
        result = slot_address(device);
    if (result < 0)
        return result;
    usbd_sleep(ADDRESS_NS);
    result = device_describe(device);
    if (result >= 0)
        result = configuration_choose(device);
    if (result < 0)
        return result;
    strings_read(device);
    result = device_configure(device);
    if (result >= 0 && device->described.class_code == USB_CLASS_HUB)
        result = hub_start(device);
    if (result >= 0)
        result = device_work(device);
    return result;
}

int64_t device_create(struct hub *hub, uint8_t port, uint8_t speed, struct device **created)
{
    struct device *device = calloc(1, sizeof(*device));
    if (!device)
        return -E_NO_MEMORY;
    device->controller = hub->controller;
    device->parent = hub;
    device->port = port;
    device->speed = (enum usb_speed)MIN(MAX(speed, (uint8_t)USB_FULL), (uint8_t)USB_SUPER_PLUS);
    device->memory.memory = device->control.memory.memory = HANDLE_NONE;
    list_init(&device->jobs);
    place_find(device, hub, port, speed);
    int64_t result = name_make(device);
    if (result >= 0)
        result = device_set_up(device);
    if (result < 0) {
        device->gone = true;
        if (device->hub)
            hub_stop(device->hub);
        slot_close(device);
        device_free(device);
        return result;
    }
    device->number = next_number++;
    list_append(&devices, &device->link);
    fprintf(stderr, "%s: %04x:%04x %s %s\n", device->name, device->described.vendor,
            device->described.product, device->manufacturer, device->product);
    devices_changed();
    *created = device;
    return 0;
}

void device_remove(struct device *device)
{
    device->gone = true;
    list_remove(&device->link);
    fprintf(stderr, "%s: gone\n", device->name);
    devices_changed();
    if (device->hub)
        hub_stop(device->hub);
    slot_close(device);
    endpoint_drop(&device->control, -E_CLOSED);
    for (uint8_t dci = 2; dci < CONTEXT_ENDPOINTS; dci++)
        if (device->endpoints[dci])
            endpoint_drop(device->endpoints[dci], -E_CLOSED);
    usbd_changed();
    while (device->works || device->controlling)
        usbd_wait(DEADLINE_NEVER);
    claims_end(device);
    device_free(device);
}
