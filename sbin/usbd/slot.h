/* What the controller is told of a device: its slot, its address, its endpoints (xHCI 1.2, 4.6). All of it waits (lock.h).
 *
 *     slot_open(device)               a slot, its contexts, endpoint 0
 *     slot_address(device)            the device has an address from then on
 *     slot_packet(device, packet)     endpoint 0 takes packets of that size
 *     slot_endpoints(device, drop, add, count)
 *     slot_place(device)              what is new in device->place
 *     slot_close(device)              the controller reaches nothing of it any more
 */
#pragma once

#include "sbin/usbd/device.h"

/* Of device->memory, in pages. */
enum { SLOT_CONTEXT, SLOT_INPUT, SLOT_BUFFER, SLOT_PAGES };

MUST_CHECK int64_t slot_open(struct device *device);
MUST_CHECK int64_t slot_address(struct device *device);
MUST_CHECK int64_t slot_packet(struct device *device, uint16_t packet);
/* drop: of the endpoints it has, by DCI (bits); add: what it has besides from then on, each open. On an error none has changed. */
MUST_CHECK int64_t slot_endpoints(struct device *device, uint32_t drop, struct endpoint *const *add,
                                  uint32_t count);
MUST_CHECK int64_t slot_place(struct device *device);
void slot_close(struct device *device);
