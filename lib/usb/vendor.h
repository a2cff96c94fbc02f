/* Requests of a maker's own kind to a device of several interfaces, where the maker says in a request which of them it is for: by the book a request
 * to the device is for all of it. Pure.
 *
 *     rule = usb_vendor_rule(vendor, product)                NULL: nothing is known of its requests
 *     usb_vendor_is_for(rule, USB_SETUP(...), interface)     it reaches this interface, and nothing else
 */
#pragma once

#include "lib/base/base.h"

struct usb_vendor_rule {
    uint16_t vendor, product;
    uint8_t requests; /* those below are for an interface, the others for the device as a whole */
    uint8_t first;    /* what stands for interface 0 in the low byte of the index */
};

const struct usb_vendor_rule *usb_vendor_rule(uint16_t vendor, uint16_t product);
bool usb_vendor_is_for(const struct usb_vendor_rule *rule, uint64_t setup, uint8_t interface);
