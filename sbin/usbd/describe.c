/* What a device says of itself: read, and parsed (lib/usb/descriptor.h). */
#include <stdlib.h>

#include "sbin/usbd/setup.h"
#include "sbin/usbd/slot.h"

#define ENGLISH 0x0409u

static int64_t device_read(struct device *device)
{
    enum { PACKET = 7, BEGINNING = 8 };
    uint8_t *bytes = device->head;
    int64_t got = device_descriptor(device, USB_DEVICE, 0, 0, bytes, BEGINNING);
    if (got < BEGINNING)
        return got < 0 ? got : -E_BAD_FORMAT;
    if (device->speed == USB_FULL) {
        int64_t result = slot_packet(device, bytes[PACKET] ? bytes[PACKET] : BEGINNING);
        if (result < 0)
            return result;
    }
    got = device_descriptor(device, USB_DEVICE, 0, 0, bytes, USB_DEVICE_LENGTH);
    return got < 0 ? got : usb_device_parse(bytes, (size_t)got, device->speed, &device->described);
}

static int64_t configuration_read(struct device *device, uint8_t index)
{
    uint8_t head[USB_CONFIGURATION_LENGTH];
    int64_t got = device_descriptor(device, USB_CONFIGURATION, index, 0, head, sizeof(head));
    int64_t length = got < 0 ? got : usb_configuration_length(head, (size_t)got);
    if (length < 0)
        return length;
    free(device->bytes);
    device->bytes = calloc(1, (size_t)length);
    if (!device->bytes)
        return -E_NO_MEMORY;
    got = device_descriptor(device, USB_CONFIGURATION, index, 0, device->bytes, (uint16_t)length);
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

/* No string is worth a device, nor is a capability. */
static void string_read(struct device *device, uint8_t index, uint16_t language, char *text)
{
    uint8_t bytes[USB_STRING_LENGTH];
    int64_t got =
        index ? device_descriptor(device, USB_STRING, index, language, bytes, sizeof(bytes)) : 0;
    if (got > 0)
        (void)!usb_string_parse(bytes, (size_t)got, text, USB_NAME_SIZE);
}

static void strings_read(struct device *device)
{
    const struct usb_device *described = &device->described;
    uint8_t bytes[USB_STRING_LENGTH];
    if (!described->manufacturer_string && !described->product_string && !described->serial_string)
        return;
    int64_t got = device_descriptor(device, USB_STRING, 0, 0, bytes, sizeof(bytes));
    uint16_t language = got >= 4 && bytes[1] == USB_STRING ? usb_get16(bytes + 2) : ENGLISH;
    string_read(device, described->manufacturer_string, language, device->manufacturer);
    string_read(device, described->product_string, language, device->product);
    string_read(device, described->serial_string, language, device->serial);
}

#define VERSION_BOS 0x0201u /* the first that has such a descriptor */
#define BOS_MOST    512u

static void capabilities_read(struct device *device)
{
    uint8_t bytes[BOS_MOST];
    if (device->described.version < VERSION_BOS)
        return;
    int64_t got = device_descriptor(device, USB_BOS, 0, 0, bytes, USB_BOS_LENGTH);
    if (got < (int64_t)USB_BOS_LENGTH)
        return;
    uint16_t length = usb_get16(bytes + 2);
    got = device_descriptor(device, USB_BOS, 0, 0, bytes, (uint16_t)MIN(length, BOS_MOST));
    if (got < 0 || usb_bos_parse(bytes, (size_t)got, &device->capabilities) < 0)
        device->capabilities = (struct usb_bos){0};
}

int64_t device_describe(struct device *device)
{
    int64_t result = device_read(device);
    if (result >= 0)
        result = configuration_choose(device);
    if (result < 0)
        return result;
    strings_read(device);
    capabilities_read(device);
    return 0;
}
