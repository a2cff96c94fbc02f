/* Interfaces and their endpoints: as the configuration has them, and other settings of an interface. */
#include <stdlib.h>

#include "sbin/usbd/controller.h"
#include "sbin/usbd/setup.h"
#include "sbin/usbd/slot.h"

void device_endpoints_free(struct endpoint *const *endpoints, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        endpoint_close(endpoints[i]);
        free(endpoints[i]);
    }
}

/* How many each endpoint of the setting that knows streams can have, of those that are wanted; 0: none knows any. */
static uint16_t streams_count(const struct device *device, const struct usb_interface *interface,
                              uint16_t wanted)
{
    uint32_t most = MIN(wanted, device->controller->streams);
    bool any = false;
    for (uint32_t i = 0; i < interface->endpoint_count; i++) {
        uint8_t said = device->configuration.endpoints[interface->endpoint + i].streams;
        most = said ? MIN(most, UINT32_C(1) << said) : most;
        any |= said;
    }
    return (uint16_t)(any ? most : 0);
}

/* Those of an alternate setting, opened; isochronous ones are not offered. */
static int64_t endpoints_make(struct device *device, const struct usb_interface *interface,
                              uint16_t streams, struct endpoint **made, uint32_t *count)
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
        result = endpoint_open(endpoint, device, described, described->streams ? streams : 0);
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
int64_t device_configure(struct device *device)
{
    struct endpoint *made[CONTEXT_ENDPOINTS];
    uint32_t count = 0;
    int64_t result = interfaces_make(device);
    for (uint32_t i = 0; i < device->interface_count && result >= 0; i++)
        result = endpoints_make(
            device, usb_interface_find(&device->configuration, device->interfaces[i].number, 0), 0,
            made, &count);
    if (result >= 0)
        result = slot_endpoints(device, 0, made, count);
    if (result < 0) {
        device_endpoints_free(made, count);
        return result;
    }
    endpoints_set(device, made, count);
    result = device_control(
        device, USB_SETUP(0, USB_SET_CONFIGURATION, device->configuration.value, 0, 0), NULL);
    return result < 0 ? result : 0;
}

uint8_t device_settings(const struct device *device, uint8_t number)
{
    uint8_t count = 0;
    for (uint32_t i = 0; i < device->configuration.interface_count; i++)
        count += device->configuration.interfaces[i].number == number;
    return count;
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

/* A device may refuse to be told of the only setting there is (USB 2.0 9.4.10). It counts packets anew after a halt's end, too. */
static int64_t alternate_tell(struct device *device, const struct interface *interface,
                              struct endpoint *const *endpoints, uint32_t count)
{
    int64_t result = device_control(device,
                                    USB_SETUP(USB_TYPE_INTERFACE, USB_SET_INTERFACE,
                                              interface->alternate, interface->number, 0),
                                    NULL);
    if (result != -E_NOT_SUPPORTED || device_settings(device, interface->number) > 1)
        return MIN(result, (int64_t)0);
    result = 0;
    for (uint32_t i = 0; i < count && result >= 0; i++)
        result = device_control(device,
                                USB_SETUP(USB_TYPE_ENDPOINT, USB_CLEAR_FEATURE, USB_FEATURE_HALT,
                                          endpoints[i]->described.address, 0),
                                NULL);
    return MIN(result, (int64_t)0);
}

int64_t device_alternate(struct device *device, struct interface *interface, uint8_t alternate,
                         uint16_t wanted)
{
    const struct usb_interface *other =
        usb_interface_find(&device->configuration, interface->number, alternate);
    struct endpoint *made[CONTEXT_ENDPOINTS], *old[CONTEXT_ENDPOINTS];
    uint32_t count = 0, drop = 0;
    if (!other)
        return -E_NOT_FOUND;
    uint16_t streams = streams_count(device, other, wanted);
    uint32_t old_count = endpoints_take(device, interface, old);
    for (uint32_t i = 0; i < old_count; i++) {
        drop |= UINT32_C(1) << old[i]->dci;
        (void)!endpoint_clear(old[i], -E_CANCELLED);
    }
    int64_t result = endpoints_make(device, other, streams, made, &count);
    if (result >= 0)
        result = slot_endpoints(device, drop, made, count);
    if (result < 0 || device->gone) {
        device_endpoints_free(made, count);
        return result < 0 ? result : -E_CLOSED;
    }
    for (uint32_t i = 0; i < old_count; i++)
        device->endpoints[old[i]->dci] = NULL;
    device_endpoints_free(old, old_count);
    endpoints_set(device, made, count);
    interface->alternate = alternate;
    interface->streams = streams;
    return alternate_tell(device, interface, made, count);
}
