/* Hubs and what is plugged into them (USB 2.0 11, USB 3.2 10, xHCI 1.2 4.19): a controller's own ports are a hub, too.
 *
 *     hub_init(&hub, controller, device, ports)    device NULL: the root; in the controller's list from then on
 *     hub_port_changed(&hub, port)                 anybody: there is something to look at
 *     hubs_thread(controller)                      looks, debounces, resets, and has devices made and removed
 *     hub_start(device)                            a device that is a hub; hub_stop(hub)
 *
 * One thread for each controller: only one device at a time answers to address 0.
 *
 *     change --> pending --is it stable for STABLE_NS?--> reset --> device_create
 *                   |                                        |
 *                   |-- nothing is there: device_remove      '-- TRIES times
 *                   '-- a driver wants it (hub_port_reset): device_remove, reset, device_create
 */
#pragma once

#include "lib/base/list.h"
#include "sbin/usbd/endpoint.h"

#define HUB_DEPTH 5u /* hubs between a controller and a device: the route has no more tiers */

struct controller;

struct hub_port {
    struct device *device;
    bool pending;
    int64_t due;    /* when it is to be looked at */
    int64_t since;  /* the last change of its connection */
    uint8_t failed; /* times that its device could not be set up */
    bool reset;     /* its driver wants the device to begin anew */
};

struct hub {
    struct list link; /* of the controller's hubs */
    struct controller *controller;
    struct device *device; /* NULL: the root */
    uint8_t ports, depth;  /* depth: 0 for the root */
    struct usb_hub described;
    struct hub_port *port; /* by number, from 1 */
    /* Of a hub that is a device: */
    struct endpoint *changes;
    struct transfer listening; /* for changes */
    bool heard;                /* something, which is to be looked at before it listens again */
    uint8_t errors;            /* times in a row that it could not be heard */
};

MUST_CHECK int64_t hub_init(struct hub *hub, struct controller *controller, struct device *device,
                            uint8_t ports);
void hub_port_changed(struct hub *hub, uint32_t port);
/* What is there begins anew: another device under the same name. */
void hub_port_reset(struct hub *hub, uint8_t port);
void *hubs_thread(void *controller);

/* 0 or -E_*; the device's endpoints are there. */
MUST_CHECK int64_t hub_start(struct device *device);
/* Its devices go first. */
void hub_stop(struct hub *hub);
