/* Where a virtio device's structures lie, by its vendor-specific PCI capabilities (Virtual I/O Device 1.2, 4.1.4). Pure.
 *
 * Configuration space is the device's word: lists may loop, lengths lie, BARs be none. What is found lies in a BAR of memory, whole
 * and aligned; of several structures of a kind the first such counts.
 */
#pragma once

#include "abi/pci.h"
#include "lib/base/base.h"

enum virtio_structure {
    VIRTIO_COMMON = 1,
    VIRTIO_NOTIFY = 2,
    VIRTIO_ISR = 3,
    VIRTIO_CONFIG = 4, /* the device type's own; may be absent: length 0 */
    VIRTIO_STRUCTURES
};

struct virtio_place {
    uint32_t bar, offset, length;
};

struct virtio_capabilities {
    struct virtio_place places[VIRTIO_STRUCTURES]; /* by enum virtio_structure */
    uint32_t notify_multiplier;
};

/* config: the first 256 bytes of configuration space. False: it is no virtio 1.x device. */
MUST_CHECK bool virtio_capabilities_find(const uint8_t *config,
                                         const struct pci_description *description,
                                         struct virtio_capabilities *found);
