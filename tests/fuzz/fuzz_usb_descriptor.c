/* Descriptors of any kind: the first byte says of which, and at what speed. */
// sources: lib/usb/descriptor.c
#include <stdlib.h>
#include <string.h>

#include "lib/usb/descriptor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool condition)
{
    if (!condition)
        abort();
}

/* What every user of a configuration goes by. */
static void configuration_check(const struct usb_configuration *configuration, size_t length)
{
    uint32_t endpoints = 0;
    for (uint32_t i = 0; i < configuration->interface_count; i++) {
        const struct usb_interface *interface = &configuration->interfaces[i];
        check(interface->endpoint == endpoints);
        endpoints += interface->endpoint_count;
        check(interface->endpoint_count <= USB_ENDPOINTS);
        check(interface->extra <= length && interface->extra_length <= length - interface->extra);
        check(usb_interface_find(configuration, interface->number, interface->alternate) ==
              interface);
    }
    check(endpoints == configuration->endpoint_count);
    for (uint32_t i = 0; i < endpoints; i++) {
        const struct usb_endpoint *endpoint = &configuration->endpoints[i];
        check((endpoint->address & 0x0f) && !(endpoint->address & 0x70) && endpoint->type);
        check(endpoint->packet <= 1024 && endpoint->burst - 1u < 16 &&
              endpoint->transactions - 1u < 3);
    }
}

static void configuration_try(const uint8_t *bytes, size_t length, enum usb_speed speed)
{
    struct usb_configuration configuration;
    if (usb_configuration_parse(bytes, length, speed, &configuration) < 0)
        return;
    configuration_check(&configuration, length);
    for (uint32_t i = 0; i < configuration.endpoint_count; i++)
        check(usb_interval(&configuration.endpoints[i], speed) <= 18);
    usb_configuration_destroy(&configuration);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum usb_speed speed = size ? (enum usb_speed)(data[0] % 5 + 1) : USB_FULL;
    size_t length = size ? size - 1 : 0;
    uint8_t *bytes = malloc(length + !length);
    char text[20];
    struct usb_device device;
    struct usb_hub hub;
    struct usb_bos bos;

    if (length)
        memcpy(bytes, data + 1, length);
    if (usb_device_parse(bytes, length, speed, &device) >= 0)
        check(device.packet >= 8 && device.packet <= 512);
    configuration_try(bytes, length, speed);
    if (usb_hub_parse(bytes, length, speed, &hub) >= 0)
        check(hub.ports > 0);
    (void)!usb_bos_parse(bytes, length, &bos);
    if (usb_string_parse(bytes, length, text, sizeof(text)))
        check(strlen(text) < sizeof(text));
    free(bytes);
    return 0;
}
