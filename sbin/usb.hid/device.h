/* A HID device at work: its report descriptor, its reports, its lights (HID 1.11).
 *
 *     device_start(&device, "usb:///1-2:0")
 *     device_listen(&device, emit, context)     waits, and tells `emit` of each event; returns when the device fails
 *     device_light(&device, mask)               waits for the device, one thread at a time: INPUT_LED_* are to be lit
 */
#pragma once

#include "lib/usb/driver.h"
#include "lib/usb/hid_input.h"
#include "lib/usb/hid_quirk.h"

struct device {
    struct usb_interface_claim claim;
    struct hid_input input;
    const struct hid_quirk *quirk; /* NULL: it says itself what its reports mean */
    handle_t reports;              /* its interrupt endpoint */
};

/* -E_NOT_SUPPORTED, -E_BAD_FORMAT: not a device for input://. */
MUST_CHECK int64_t device_start(struct device *device, const char *interface);
int64_t device_listen(struct device *device, hid_emit *emit, void *context);
void device_light(struct device *device, uint32_t mask);
