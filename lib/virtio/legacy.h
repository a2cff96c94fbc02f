/* The registers of a legacy device, from the first port of BAR 0 on (Virtual I/O Device 1.2, 4.1.4.10; virtio 0.9.5, 2.3): what transitional
 * devices have beside the modern structures, and older ones alone.
 */
#pragma once

#include "abi/pci.h"
#include "lib/base/base.h"

#define VIRTIO_LEGACY_BAR 0u

#define VIRTIO_LEGACY_DEVICE_FEATURES  0u
#define VIRTIO_LEGACY_DRIVER_FEATURES  4u
#define VIRTIO_LEGACY_QUEUE_FRAME      8u /* its address / PAGE_SIZE */
#define VIRTIO_LEGACY_QUEUE_SIZE       12u
#define VIRTIO_LEGACY_QUEUE_SELECT     14u
#define VIRTIO_LEGACY_QUEUE_NOTIFY     16u
#define VIRTIO_LEGACY_STATUS           18u
#define VIRTIO_LEGACY_INTERRUPT_STATUS 19u
/* The type's own configuration, unless MSI-X is on: then these are in front of it. */
#define VIRTIO_LEGACY_CONFIG        20u
#define VIRTIO_LEGACY_CONFIG_VECTOR 20u
#define VIRTIO_LEGACY_QUEUE_VECTOR  22u
#define VIRTIO_LEGACY_CONFIG_MSIX   24u

#define VIRTIO_LEGACY_FIRST_ID 0x1000u /* of devices whose subsystem is their type */
#define VIRTIO_LEGACY_LAST_ID  0x103fu

/* Whether it says that it has them all; `length` ports from `base` on, with whatever configuration is behind. */
static inline bool virtio_legacy_fits(uint16_t device, uint8_t revision, uint32_t bar_flags,
                                      uint64_t base, uint64_t length)
{
    return device >= VIRTIO_LEGACY_FIRST_ID && device <= VIRTIO_LEGACY_LAST_ID && revision == 0 &&
           bar_flags & PCI_BAR_PORTS && length >= VIRTIO_LEGACY_CONFIG_MSIX && length <= 0x10000 &&
           base <= 0x10000 - length;
}
