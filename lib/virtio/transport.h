/* How a device is reached: by its modern structures (modern.c), or by the registers of the draft before virtio 1.0 (legacy.c). What both have
 * in common is device.c. Of lib/virtio alone.
 */
#pragma once

#include "lib/virtio/device.h"

#define VIRTIO_NO_VECTOR 0xffffu

enum virtio_status {
    VIRTIO_STATUS_RESET = 0,
    VIRTIO_STATUS_ACKNOWLEDGE = 1,
    VIRTIO_STATUS_DRIVER = 2,
    VIRTIO_STATUS_DRIVER_OK = 4,
    VIRTIO_STATUS_FEATURES_OK = 8,
};

struct virtio_transport {
    uint32_t decoded;   /* PCI_COMMAND_PORTS or _MEMORY */
    uint32_t alignment; /* of a queue's used ring */
    uint8_t (*status)(const struct virtio_device *device);
    void (*status_write)(const struct virtio_device *device, uint8_t status);
    /* Reading takes a line back. */
    uint8_t (*interrupt_status)(const struct virtio_device *device);

    uint64_t (*features)(const struct virtio_device *device);
    /* device->features are what both want. E_NOT_SUPPORTED: the device does not. */
    int64_t (*features_accept)(const struct virtio_device *device);

    /* Vector 0 tells of changes of the configuration. False: the device has none left. */
    bool (*config_vector)(const struct virtio_device *device);
    /* Selects it: how many descriptors it gets, which is `wanted` at most if that is the driver's to say. E_NOT_FOUND: there is no such
     * queue. */
    int64_t (*queue_select)(const struct virtio_device *device, uint16_t index, uint16_t wanted);
    /* Where it lies, and how it is told, of the one that is selected. */
    int64_t (*queue_place)(const struct virtio_device *device, struct virtio_queue *queue);

    /* Within config_length, of one moment. E_IO: it changes all the time. */
    int64_t (*config_read)(const struct virtio_device *device, uint32_t offset, void *fields,
                           uint32_t length, uint32_t width);
    void (*config_write)(const struct virtio_device *device, uint32_t offset, uint8_t value);
    uint32_t (*config_length)(const struct virtio_device *device);
};

#define VIRTIO_CONFIG_TRIES 8

/* Of a device that is claimed: device->transport and what it needs. E_NOT_FOUND: it has no such structures, no such registers. */
MUST_CHECK int64_t virtio_modern_find(struct virtio_device *device, const char *function);
MUST_CHECK int64_t virtio_legacy_find(struct virtio_device *device);
