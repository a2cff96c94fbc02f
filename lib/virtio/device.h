/* A virtio device on PCI (Virtual I/O Device 1.2, 3.1 and 4.1), of today or of before virtio 1.0: from its claim to its queues at work.
 *
 *     virtio_open(&device, "pci:///00:04.0", VIRTIO_RNG)        claimed by way of pcid, found, reset
 *     virtio_negotiate(&device, wanted)                         device.features: what both sides want
 *     virtio_interrupts(&device, 1)                             device.irqs: to wait for, or to bind to a port
 *     virtio_queue_open(&device, 0, 64, 0, &queue)              its completions fire device.irqs[0]
 *     virtio_start(&device)
 *
 *     virtqueue_add(&queue.ring, ...), virtio_queue_send(&queue)
 *     on an interrupt: virtio_interrupt_ack(&device, 0), then virtqueue_take(&queue.ring, ...) until it finds nothing
 *
 * Whatever happens to the driver, its claim's end makes the device quiet: a driver that finds its device at fault (a queue that is broken, an
 * answer that makes no sense) says so and exits. One that only does not answer may be restarted (virtio_restart).
 * Results are 0 or -E_*. One thread at a time for each queue, and one for the rest.
 */
#pragma once

#include "lib/pci/driver.h"
#include "lib/virtio/virtqueue.h"

#define VIRTIO_VENDOR 0x1af4u

/* Device types (5). */
#define VIRTIO_BLOCK 2u
#define VIRTIO_RNG   4u
#define VIRTIO_GPU   16u
#define VIRTIO_INPUT 18u

/* Features of every device (6). They are negotiated by themselves. */
#define VIRTIO_F_EVENT_IDX (UINT64_C(1) << 29)
#define VIRTIO_F_VERSION_1 (UINT64_C(1) << 32)
#define VIRTIO_F_ACCESS_PLATFORM \
    (UINT64_C(1) << 33) /* it reaches what pcid's addresses say, by an IOMMU if there is one */

struct virtio_common_config;
struct virtio_transport;

struct virtio_device {
    struct pci_device pci;
    const struct virtio_transport *transport;
    /* of today */
    volatile struct virtio_common_config *common;
    volatile uint8_t *notify;
    volatile uint8_t *isr;
    volatile uint8_t *config; /* the device type's own; NULL: it has none */
    uint32_t notify_length, notify_multiplier, config_length;
    /* of before */
    uint16_t ports;
    uint32_t ports_length;

    uint64_t features;
    handle_t *irqs;
    uint16_t irq_count;
    bool messages; /* they are MSI-X vectors, not the one line */
};

struct virtio_queue {
    struct virtqueue ring;
    volatile uint16_t *bell; /* NULL: bell_port */
    uint16_t bell_port;
    uint16_t index, vector;
    struct pci_dma memory;
};

/* E_NOT_FOUND: it is no virtio device of this type. E_TIMED_OUT: it cannot be reset. */
MUST_CHECK int64_t virtio_open(struct virtio_device *device, const char *function, uint32_t type);
/* The same with a claim that is there, as in pci_attach. */
MUST_CHECK int64_t virtio_attach(struct virtio_device *device, handle_t claim, const char *function,
                                 uint32_t type);

/* wanted: features of the type that the driver knows. E_NOT_SUPPORTED: they do not agree. */
MUST_CHECK int64_t virtio_negotiate(struct virtio_device *device, uint64_t wanted);

/* Up to this many interrupts, at least one. The first tells of changes of the configuration, too. */
MUST_CHECK int64_t virtio_interrupts(struct virtio_device *device, uint16_t wanted);

/* size: at most so many descriptors, a power of two; the device may have fewer, and one of before virtio 1.0 as many as it likes. irq: which interrupt tells of completions, the
 * last one where there are not so many. E_NOT_FOUND: it has no such queue. */
MUST_CHECK int64_t virtio_queue_open(struct virtio_device *device, uint16_t index, uint16_t size,
                                     uint16_t irq, struct virtio_queue *queue);

MUST_CHECK int64_t virtio_start(struct virtio_device *device);

/* A device that is at work is reset, and has its features, interrupts and these queues, which are all it had, as before; what was under way is
 * forgotten by both sides. -E_*: it is not what it was. May wait. */
MUST_CHECK int64_t virtio_restart(struct virtio_device *device, struct virtio_queue *const *queues,
                                  uint32_t count);

/* What was added is the device's, which is told if it sleeps. */
void virtio_queue_send(struct virtio_queue *queue);

/* First thing when it has fired. What the device does from now on fires it again. */
void virtio_interrupt_ack(struct virtio_device *device, uint16_t irq);

/* Fields of the device's configuration, of `width` bytes each (1, 2 or 4), none of which changed meanwhile. E_RANGE: it is not that
 * long; E_IO: it changes all the time. */
MUST_CHECK int64_t virtio_config_read(struct virtio_device *device, uint32_t offset, void *fields,
                                      uint32_t length, uint32_t width);
MUST_CHECK int64_t virtio_config_write(struct virtio_device *device, uint32_t offset,
                                       uint8_t value);
