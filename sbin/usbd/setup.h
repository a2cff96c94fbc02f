/* The steps of setting a device up, one file each; device.c takes them in this order. All of them wait (lock.h).
 *
 *     slot.h                         a slot and an address
 *     device_describe(device)        describe.c: its descriptors and strings
 *     device_configure(device)       configure.c: its interfaces and endpoints, and it is told to be so
 */
#pragma once

#include "sbin/usbd/device.h"

MUST_CHECK int64_t device_describe(struct device *device);
MUST_CHECK int64_t device_configure(struct device *device);

/* request.c: how many bytes came. */
MUST_CHECK int64_t device_descriptor(struct device *device, uint8_t type, uint8_t index,
                                     uint16_t language, void *bytes, uint16_t length);
void device_endpoints_free(struct endpoint *const *endpoints, uint32_t count);
