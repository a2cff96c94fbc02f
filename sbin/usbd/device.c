/* Devices come and go: see device.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* asprintf */
#endif
#include "sbin/usbd/device.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sbin/usbd/claim.h"
#include "sbin/usbd/controller.h"
#include "sbin/usbd/hub.h"
#include "sbin/usbd/lock.h"
#include "sbin/usbd/setup.h"
#include "sbin/usbd/slot.h"

#define ADDRESS_NS (10 * MILLISECOND) /* a device has 2 ms to take its address */

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
            device_endpoints_free(&device->endpoints[dci], 1);
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
