/* What a USB device says of itself (USB 2.0 and 3.2, chapter 9; hubs: 11.23.2 and 10.15.2), read and checked. Pure.
 *
 *     usb_device_parse(bytes, length, speed, &device)
 *     usb_configuration_length(bytes, length)                     how long the whole of it is, from its first 9 bytes
 *     usb_configuration_parse(bytes, length, speed, &configuration), usb_configuration_destroy(&configuration)
 *     usb_interface_find(&configuration, number, alternate)
 *     usb_hub_parse, usb_bos_parse, usb_string_parse
 *
 * A device that breaks a rule that anybody relies on is E_BAD_FORMAT as a whole: a descriptor that ends outside what was read, an
 * endpoint without an interface, two endpoints under one address, packets longer than the bus knows. What nobody relies
 * on (reserved bits, counts that can be counted) is passed over.
 */
#pragma once

#include "abi/usb.h"
#include "lib/base/base.h"

enum usb_descriptor_type {
    USB_DEVICE = 1,
    USB_CONFIGURATION = 2,
    USB_STRING = 3,
    USB_INTERFACE = 4,
    USB_ENDPOINT = 5,
    USB_BOS = 15,
    USB_CAPABILITY = 16,
    USB_HID = 0x21,
    USB_REPORT = 0x22,
    USB_HUB = 0x29,
    USB_SUPER_HUB = 0x2a,
    USB_COMPANION = 0x30,
};

#define USB_DEVICE_LENGTH        18u
#define USB_CONFIGURATION_LENGTH 9u
#define USB_BOS_LENGTH           5u
#define USB_HUB_LENGTH           71u /* the longest there is */
#define USB_STRING_LENGTH        255u

#define USB_CLASS_HID 0x03u
#define USB_CLASS_HUB 0x09u

struct usb_device {
    uint16_t version; /* 0x0210: 2.1 */
    uint8_t class_code, subclass, protocol;
    uint16_t packet; /* of endpoint 0, bytes */
    uint16_t vendor, product, release;
    uint8_t manufacturer_string, product_string, serial_string; /* indexes; 0: none */
    uint8_t configurations;
};

struct usb_endpoint {
    uint8_t address, type;      /* USB_ENDPOINT_IN | number; USB_* */
    uint16_t packet;            /* the most bytes in one */
    uint8_t transactions;       /* in a microframe: 1 to 3 */
    uint8_t burst;              /* packets, 1 to 16 */
    uint8_t streams;            /* 2 to the power of it; 0: none */
    uint8_t interval;           /* as it stands there; usb_interval */
    uint16_t bytes_an_interval; /* SuperSpeed: 0: as many as fit */
};

struct usb_interface {
    uint8_t number, alternate, class_code, subclass, protocol, string;
    uint32_t endpoint, endpoint_count; /* in the configuration's table */
    uint32_t extra, extra_length;      /* its class's descriptors, in the configuration's bytes */
};

struct usb_configuration {
    uint8_t value, string;
    bool self_powered, wakes;
    uint16_t milliamperes;
    struct usb_interface
        *interfaces; /* in the order of the device: alternates are entries of their own */
    struct usb_endpoint *endpoints;
    uint32_t interface_count, endpoint_count;
};

struct usb_hub {
    uint8_t ports;
    bool power_by_port, current_by_port, current_seen;
    uint8_t think_time; /* 0 to 3: 8, 16, 24, 32 bit times (USB 2) */
    uint16_t power_ms;  /* from switching a port's power on until it is good */
};

struct usb_bos {
    bool link_power; /* USB 2.0 extension: LPM */
    bool super;      /* it knows SuperSpeed */
    bool super_plus;
};

MUST_CHECK int64_t usb_device_parse(const uint8_t *bytes, size_t length, enum usb_speed speed,
                                    struct usb_device *device);
/* -E_BAD_FORMAT: not the beginning of a configuration. */
MUST_CHECK int64_t usb_configuration_length(const uint8_t *bytes, size_t length);
/* *configuration is to be destroyed when this has succeeded. */
MUST_CHECK int64_t usb_configuration_parse(const uint8_t *bytes, size_t length,
                                           enum usb_speed speed,
                                           struct usb_configuration *configuration);
void usb_configuration_destroy(struct usb_configuration *configuration);
/* NULL: there is none. */
const struct usb_interface *usb_interface_find(const struct usb_configuration *configuration,
                                               uint8_t number, uint8_t alternate);

/* The next of the descriptors in [*at, end) of bytes, which *at moves behind. NULL: the end, or what is no descriptor. */
const uint8_t *usb_descriptor_next(const uint8_t *bytes, size_t *at, size_t end);

MUST_CHECK int64_t usb_hub_parse(const uint8_t *bytes, size_t length, enum usb_speed speed,
                                 struct usb_hub *hub);
MUST_CHECK int64_t usb_bos_parse(const uint8_t *bytes, size_t length, struct usb_bos *bos);
/* As UTF-8, terminated, cut at size; what cannot be shown becomes '?'. False: no such descriptor. */
MUST_CHECK bool usb_string_parse(const uint8_t *bytes, size_t length, char *text, size_t size);

/* How often the device is asked at the most: every 125 us times 2 to the power of this. */
uint8_t usb_interval(const struct usb_endpoint *endpoint, enum usb_speed speed);

static inline uint16_t usb_get16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}
