/* A device: found on a port, addressed, described, configured (USB 2.0 9.1.2, xHCI 1.2 4.3); and removed.
 *
 *     device_create(hub, port, speed, &device)    waits; in the list, and what it is can be read, from its end on
 *     device_remove(device)                       waits for whoever is at work for it; hubs remove theirs first
 *     device_control(device, setup, data)         a request to endpoint 0; waits, at most REQUEST_NS
 *     device_alternate(device, interface, alternate, streams)
 *     device_job(device, job)                     to be done by the device's own thread, one after the other
 *
 *     create: slot, address, descriptors, strings, configuration --> in the list, its thread does jobs
 *     remove: gone, slot given back, transfers end (E_CLOSED), jobs end, --> memory given back
 *
 * `number` is of this connection, and of no other since the machine started: what is plugged in again is another device.
 */
#pragma once

#include "lib/base/list.h"
#include "sbin/usbd/context.h"
#include "sbin/usbd/endpoint.h"

struct controller;
struct hub;

#define INTERFACE_IS_HUB UINT64_MAX /* owner: usbd itself */

struct interface {
    uint8_t number, alternate;
    uint16_t streams;     /* of each of its endpoints that knows some; 0: they are used without */
    uint64_t owner;       /* process; 0: nobody has claimed it */
    uint64_t file;        /* ... by this file, by its id */
    bool closing;         /* the claim is at its end: nothing new is begun for it */
    struct list memories; /* struct claim_memory, claim.c */
    uint64_t memory_count, memory_bytes;
};

struct job {
    struct list link;
    void (*run)(struct device *device, struct job *job); /* may free it; the device may be gone */
};

struct device {
    struct list link; /* of all devices, by number */
    uint64_t number;
    char *name; /* "1-2.3": controller, ports on the way */
    struct controller *controller;
    struct hub *parent;
    uint8_t port, slot;
    enum usb_speed speed;
    struct context_place place;

    struct usb_device described;
    struct usb_bos capabilities;
    uint8_t *bytes; /* of the configuration */
    size_t length;
    struct usb_configuration configuration;
    char manufacturer[USB_NAME_SIZE], product[USB_NAME_SIZE], serial[USB_NAME_SIZE];
    uint8_t head[USB_DEVICE_LENGTH]; /* the device descriptor's bytes */

    struct pci_dma memory; /* DEVICE_* pages */
    struct endpoint control;
    bool controlling;                              /* a request is under way */
    struct endpoint *endpoints[CONTEXT_ENDPOINTS]; /* by DCI, from 2 */
    struct interface *interfaces;                  /* one for each number */
    uint32_t interface_count;
    struct hub *hub; /* of a hub */

    bool gone;
    struct list jobs;
    bool works; /* its thread is there */
};

extern struct list devices;
/* Of a connection; 0 was none. */
void devices_start(uint64_t first_number);
/* The list has changed: set by whoever serves it. */
extern void (*devices_changed)(void);

MUST_CHECK int64_t device_create(struct hub *hub, uint8_t port, uint8_t speed,
                                 struct device **device);
void device_remove(struct device *device);

/* data: as long as the setup says, in or out. How many bytes, or -E_*. */
MUST_CHECK int64_t device_control(struct device *device, uint64_t setup, void *data);
/* streams: how many are wanted; how many there are stands in interface->streams. */
MUST_CHECK int64_t device_alternate(struct device *device, struct interface *interface,
                                    uint8_t alternate, uint16_t streams);
void device_job(struct device *device, struct job *job);

/* NULL: there is none. */
struct device *device_find(uint64_t number);
struct interface *device_interface(struct device *device, uint8_t number);
/* How many alternate settings the interface has. */
uint8_t device_settings(const struct device *device, uint8_t number);

static inline struct endpoint *device_endpoint(struct device *device, uint8_t dci)
{
    return dci == 1                         ? &device->control
           : dci && dci < CONTEXT_ENDPOINTS ? device->endpoints[dci]
                                            : NULL;
}
