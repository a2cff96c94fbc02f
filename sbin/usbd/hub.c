/* Hubs: see hub.h. */
#include "sbin/usbd/hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/clock.h"
#include "lib/sys/error.h"
#include "sbin/usbd/controller.h"
#include "sbin/usbd/device.h"
#include "sbin/usbd/io.h"
#include "sbin/usbd/lock.h"
#include "sbin/usbd/port.h"
#include "sbin/usbd/slot.h"
#include "sbin/usbd/watchers.h"

#define STABLE_NS  (100 * MILLISECOND) /* USB 2.0 7.1.7.3 */
#define RESET_NS   (800 * MILLISECOND)
#define RECOVER_NS (10 * MILLISECOND) /* behind a reset (7.1.7.5) */
#define LOOK_NS \
    (20 * MILLISECOND) /* between two looks at a port that resets, if it does not tell */
#define SETTLE_NS \
    (500 * MILLISECOND) /* by then a port has told of a device that was there at the start */
#define TRIES 3u

int64_t hub_init(struct hub *hub, struct controller *controller, struct device *device,
                 uint8_t ports)
{
    hub->controller = controller;
    hub->device = device;
    hub->ports = ports;
    hub->depth = device ? (uint8_t)(device->parent->depth + 1) : 0;
    hub->port = calloc(ports + 1u, sizeof(*hub->port));
    if (!hub->port)
        return -E_NO_MEMORY;
    list_append(&controller->hubs, &hub->link);
    return 0;
}

void hub_port_changed(struct hub *hub, uint32_t port)
{
    if (port == 0 || port > hub->ports)
        return;
    hub->port[port].pending = true;
    hub->port[port].due = 0;
    usbd_changed();
}

void hub_port_reset(struct hub *hub, uint8_t port)
{
    hub->port[port].reset = true;
    hub_port_changed(hub, port);
}

/* --- one port --- */

static void port_say(const struct hub *hub, uint8_t port, const char *what)
{
    if (hub->device)
        fprintf(stderr, "%s.%u: %s\n", hub->device->name, port, what);
    else
        fprintf(stderr, "%u-%u: %s\n", hub->controller->number, port, what);
}

/* Until the port says that it is over; it is enabled then. */
static int64_t reset_wait(struct hub *hub, uint8_t port, struct port_status *status)
{
    int64_t deadline = clock_monotonic() + RESET_NS;
    do {
        usbd_wait(MIN(deadline, clock_monotonic() + LOOK_NS));
        int64_t result = port_look(hub, port, status);
        if (result < 0)
            return result;
        if (!status->connected)
            return -E_CLOSED;
        if (!status->resetting && (status->reset_done || status->enabled))
            return status->enabled ? 0 : -E_IO;
    } while (clock_monotonic() < deadline);
    return -E_TIMED_OUT;
}

static int64_t device_bring_up(struct hub *hub, uint8_t port, struct port_status *status)
{
    int64_t result = 0;
    bool wanted = hub->port[port].reset;
    hub->port[port].reset = false;
    if (hub->depth > HUB_DEPTH)
        return -E_TOO_BIG;
    if (wanted || !port_trains(hub, port) || !status->enabled) {
        result = port_reset(hub, port);
        if (result >= 0)
            result = reset_wait(hub, port, status);
        usbd_sleep(RECOVER_NS);
    }
    return result < 0 ? result : device_create(hub, port, status->speed, &hub->port[port].device);
}

static void port_try(struct hub *hub, uint8_t port, struct port_status *status)
{
    char why[96];
    struct hub_port *here = &hub->port[port];
    int64_t result = device_bring_up(hub, port, status);
    if (result >= 0 || result == -E_CLOSED)
        return;
    bool again = ++here->failed < TRIES && result != -E_TOO_BIG && result != -E_BAD_FORMAT;
    snprintf(why, sizeof(why), "a device that cannot be set up: %s%s", error_text(result),
             again ? "" : "; left alone");
    port_say(hub, port, why);
    here->pending |= again;
    here->due = here->since = clock_monotonic();
}

static void port_clear(struct hub_port *here)
{
    struct device *device = here->device;
    here->device = NULL;
    here->failed = 0;
    if (device)
        device_remove(device);
}

/* Without its device in between nobody is to see the list. */
static void port_again(struct hub *hub, uint8_t port, struct port_status *status)
{
    watchers_doubt();
    port_clear(&hub->port[port]);
    port_try(hub, port, status);
    watchers_settle();
}

/* What is there to do; the port is no longer pending unless there is more. */
static void port_serve(struct hub *hub, uint8_t port)
{
    struct hub_port *here = &hub->port[port];
    struct port_status status;
    here->pending = false;
    if (port_look(hub, port, &status) < 0)
        return; /* the hub is going, or beyond words */
    if (status.current_changed) {
        port_say(hub, port, status.over_current ? "over-current" : "no over-current any more");
        if (!status.over_current)
            (void)!port_power(hub, port);
    }
    /* A port that has an error disables itself: what is there is as if it had been pulled out, and in again. */
    if (status.connection_changed || (here->device && !(status.connected && status.enabled))) {
        here->since = clock_monotonic();
        port_clear(here);
        here->reset = false;
    }
    if (here->device && here->reset) {
        port_again(hub, port, &status);
        return;
    }
    if (!status.connected || here->device || here->failed >= TRIES)
        return;
    if (clock_monotonic() < here->since + STABLE_NS) {
        here->pending = true;
        here->due = here->since + STABLE_NS;
        return;
    }
    port_try(hub, port, &status);
}

/* --- changes of a hub that is a device --- */

/* An error may be its last word before its own port tells that it is gone. */
static void listen(struct hub *hub)
{
    bool quiet;
    hub->heard = false;
    if (hub->changes->halted && (++hub->errors >= TRIES || io_clear(hub->changes, &quiet) < 0))
        fprintf(stderr, "%s: does not tell of changes any more\n", hub->device->name);
    else if (endpoint_submit(hub->changes, 0, &hub->listening) < 0)
        fprintf(stderr, "%s: cannot be listened to\n", hub->device->name);
}

static void changes_heard(struct transfer *transfer, int64_t result, uint32_t moved)
{
    struct hub *hub = container_of(transfer, struct hub, listening);
    const uint8_t *bits = endpoint_copy(hub->changes);
    hub->heard = !hub->device->gone;
    if (result >= 0)
        hub->errors = 0;
    for (uint32_t port = 1; port <= hub->ports && result >= 0 && port / 8 < moved; port++)
        if (bits[port / 8] >> port % 8 & 1)
            hub_port_changed(hub, port);
    usbd_changed();
}

/* The hub as a whole has something to say: its power, its current. What it says is on its ports as well. */
static void hub_look_after(struct hub *hub)
{
    uint8_t bytes[4];
    enum { C_POWER, C_CURRENT };
    uint64_t status = USB_SETUP(USB_TYPE_IN | USB_TYPE_CLASS, USB_GET_STATUS, 0, 0, sizeof(bytes));
    if (hub->changes->halted || !(endpoint_copy(hub->changes)[0] & 1) ||
        device_control(hub->device, status, bytes) < (int64_t)sizeof(bytes))
        return;
    for (uint16_t change = C_POWER; change <= C_CURRENT; change++)
        if (usb_get16(bytes + 2) >> change & 1)
            (void)!device_control(hub->device,
                                  USB_SETUP(USB_TYPE_CLASS, USB_CLEAR_FEATURE, change, 0, 0), NULL);
}

/* --- the thread --- */

static bool has_pending(const struct hub *hub)
{
    for (uint32_t port = 1; port <= hub->ports; port++)
        if (hub->port[port].pending)
            return true;
    return false;
}

/* The next port that is due; NULL: none is before *deadline. */
static struct hub *port_due(const struct controller *controller, uint8_t *port, int64_t *deadline)
{
    int64_t now = clock_monotonic();
    list_for_each (struct hub, hub, &controller->hubs, link) {
        for (uint32_t i = 1; i <= hub->ports; i++) {
            if (!hub->port[i].pending)
                continue;
            *port = (uint8_t)i;
            if (hub->port[i].due <= now)
                return hub;
            *deadline = MIN(*deadline, hub->port[i].due);
        }
    }
    return NULL;
}

/* Hubs whose changes were all looked at listen for the next. */
static void hubs_listen(const struct controller *controller)
{
    list_for_each (struct hub, hub, &controller->hubs, link) {
        if (!hub->heard || has_pending(hub))
            continue;
        hub_look_after(hub);
        listen(hub);
        return; /* the list may be another one */
    }
}

static void root_start(struct hub *hub)
{
    for (uint32_t port = 1; port <= hub->ports; port++) {
        if (hub->controller->powers_ports)
            (void)!port_power(hub, (uint8_t)port);
        hub_port_changed(hub, port);
        hub->port[port].since = clock_monotonic();
    }
}

/* All that was plugged in before us has been found. */
static bool hubs_settled(const struct controller *controller, int64_t start)
{
    if (clock_monotonic() < start + SETTLE_NS)
        return false;
    list_for_each (struct hub, hub, &controller->hubs, link)
        if (has_pending(hub))
            return false;
    return true;
}

void *hubs_thread(void *argument)
{
    struct controller *controller = argument;
    int64_t start = clock_monotonic();
    bool settled = !controllers_again;
    usbd_lock();
    root_start(&controller->root);
    for (;;) {
        int64_t deadline = DEADLINE_NEVER;
        uint8_t port = 0;
        struct hub *hub = port_due(controller, &port, &deadline);
        hubs_listen(controller);
        if (hub) {
            port_serve(hub, port);
        } else if (!settled && hubs_settled(controller, start)) {
            settled = true;
            watchers_settle();
        } else {
            usbd_wait(settled ? deadline
                              : MIN(deadline, MAX(start + SETTLE_NS, clock_monotonic() + LOOK_NS)));
        }
    }
    return NULL;
}

/* --- a device that is a hub --- */

static int64_t hub_read(struct device *device, struct usb_hub *described)
{
    bool super = device->speed >= USB_SUPER;
    uint8_t bytes[USB_HUB_LENGTH];
    uint16_t type = super ? USB_SUPER_HUB : USB_HUB;
    int64_t got = device_control(device,
                                 USB_SETUP(USB_TYPE_IN | USB_TYPE_CLASS, USB_GET_DESCRIPTOR,
                                           type << 8, 0, super ? 12 : sizeof(bytes)),
                                 bytes);
    return got < 0 ? got : usb_hub_parse(bytes, (size_t)got, device->speed, described);
}

/* The one interrupt endpoint it has to have (USB 2.0 11.12.1). */
static struct endpoint *changes_endpoint(struct device *device)
{
    for (uint8_t dci = 2; dci < CONTEXT_ENDPOINTS; dci++) {
        struct endpoint *endpoint = device->endpoints[dci];
        if (endpoint && endpoint->described.type == USB_INTERRUPT &&
            endpoint->described.address & USB_ENDPOINT_IN)
            return endpoint;
    }
    return NULL;
}

#define PROTOCOL_MULTIPLE 2 /* of a hub's interface */

/* A translator for each port instead of one for all, where there is such a setting (USB 2.0 11.23.1). */
static void translators_choose(struct device *device)
{
    const struct usb_configuration *configuration = &device->configuration;
    struct interface *interface = &device->interfaces[0];
    for (uint32_t i = 0; i < configuration->interface_count && device->speed == USB_HIGH; i++) {
        const struct usb_interface *setting = &configuration->interfaces[i];
        if (setting->number == interface->number && setting->protocol == PROTOCOL_MULTIPLE)
            device->place.tt_multiple =
                device_alternate(device, interface, setting->alternate, 0) >= 0;
    }
}

/* The controller is to know that it is one, and how its translators work (xHCI 4.6.6). */
static int64_t hub_tell(struct device *device, const struct hub *hub)
{
    device->place.hub_ports = hub->ports;
    if (device->speed == USB_HIGH)
        device->place.think_time = hub->described.think_time;
    int64_t result = slot_place(device);
    if (result >= 0 && device->speed >= USB_SUPER)
        result = device_control(
            device, USB_SETUP(USB_TYPE_CLASS, USB_SET_HUB_DEPTH, hub->depth - 1, 0, 0), NULL);
    return result < 0 ? result : 0;
}

static int64_t ports_start(struct hub *hub)
{
    int64_t result = 0;
    for (uint32_t port = 1; port <= hub->ports && result >= 0; port++)
        result = port_power(hub, (uint8_t)port);
    if (result < 0)
        return result;
    usbd_sleep(hub->described.power_ms * MILLISECOND);
    for (uint32_t port = 1; port <= hub->ports; port++) {
        hub_port_changed(hub, port);
        hub->port[port].since = clock_monotonic();
    }
    return 0;
}

int64_t hub_start(struct device *device)
{
    struct hub *hub = calloc(1, sizeof(*hub));
    if (!hub)
        return -E_NO_MEMORY;
    list_init(&hub->link);
    translators_choose(device);
    hub->changes = changes_endpoint(device);
    int64_t result = hub->changes ? hub_read(device, &hub->described) : -E_BAD_FORMAT;
    if (result >= 0)
        result = hub_init(hub, device->controller, device, hub->described.ports);
    if (result < 0) {
        free(hub);
        return result;
    }
    device->hub = hub;
    for (uint32_t i = 0; i < device->interface_count; i++)
        device->interfaces[i].owner = INTERFACE_IS_HUB;
    uint32_t length = hub->ports / 8u + 1;
    hub->listening = (struct transfer){
        .request = {hub->changes->memory.pages, PAGE_SIZE, length, 0, true}, .done = changes_heard};
    result = hub_tell(device, hub);
    if (result >= 0)
        result = ports_start(hub);
    hub->heard = true; /* it listens as soon as its ports were looked at */
    return result;
}

void hub_stop(struct hub *hub)
{
    for (uint32_t port = 1; port <= hub->ports; port++)
        port_clear(&hub->port[port]);
    list_remove(&hub->link);
    endpoint_drop(hub->changes, -E_CLOSED);
    hub->device->hub = NULL;
    free(hub->port);
    free(hub);
}
