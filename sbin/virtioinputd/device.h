/* A virtio-input device at work: its buffers, its lights.
 *
 *     device_start(&device, "pci:///00:05.0")
 *     device_listen(&device, heard, context)     waits, and tells `heard` of each event; returns when the device fails
 *     device_light(&device, mask)                any thread, never waits: INPUT_LED_* are to be lit
 */
#pragma once

#include <pthread.h>

#include "lib/virtio/device.h"
#include "sbin/virtioinputd/events.h"

#define DEVICE_EVENTS   64u /* that the device may be ahead of us */
#define DEVICE_NAME_MAX 127u

struct device {
    struct virtio_device virtio;
    struct virtio_queue said, lights;
    struct events events;
    struct pci_dma memory; /* struct device_memory */
    char name[DEVICE_NAME_MAX + 1];
    pthread_mutex_t lock;      /* of the queue `lights`, and: */
    uint32_t wanted, sent;     /* masks */
    uint32_t lights_under_way; /* events of `sent` */
};

MUST_CHECK int64_t device_start(struct device *device, const char *function);
int64_t device_listen(struct device *device,
                      void (*heard)(void *context, const struct input_event *event), void *context);
void device_light(struct device *device, uint32_t mask);
