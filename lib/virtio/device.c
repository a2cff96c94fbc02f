#include "lib/virtio/device.h"

#include <stdlib.h>
#include <time.h>

#include "lib/sys/ports.h"
#include "lib/virtio/legacy.h"
#include "lib/virtio/transport.h"

#define FIRST_MODERN_ID 0x1040u /* + the type */
#define LAST_ID         0x107fu
#define RESET_TRIES     1000 /* a millisecond apart */
#define ORDER_PLATFORM \
    (UINT64_C(1) << 36) /* memory is ordered as this machine orders it: x86 does */
#define FEATURES_OF_ALL \
    (VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1 | VIRTIO_F_ACCESS_PLATFORM | ORDER_PLATFORM)

/* --- Found ------------------------------------------------------------------------------------------------------ */

static bool type_is(const struct pci_description *description, uint32_t type)
{
    uint32_t id = description->device;
    if (description->vendor != VIRTIO_VENDOR || id < VIRTIO_LEGACY_FIRST_ID || id > LAST_ID)
        return false;
    return (id >= FIRST_MODERN_ID ? id - FIRST_MODERN_ID : description->subsystem) == type;
}

/* A device that has the structures of today is never spoken to as one of before. */
static int64_t transport_find(struct virtio_device *device, const char *function)
{
    int64_t result = virtio_modern_find(device, function);
    return result == -E_NOT_FOUND ? virtio_legacy_find(device) : result;
}

/* It says so itself when it is reset, and has no interrupt for that. */
static int64_t reset(struct virtio_device *device)
{
    device->transport->status_write(device, VIRTIO_STATUS_RESET);
    for (int i = 0; i < RESET_TRIES; i++) {
        if (device->transport->status(device) == VIRTIO_STATUS_RESET)
            return 0;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return -E_TIMED_OUT;
}

static void status_add(struct virtio_device *device, enum virtio_status status)
{
    uint8_t now = device->transport->status(device);
    device->transport->status_write(device, (uint8_t)(now | status));
}

/* Of a device that is claimed. */
static int64_t begin(struct virtio_device *device, const char *function, uint32_t type)
{
    int64_t result =
        type_is(&device->pci.description, type) ? transport_find(device, function) : -E_NOT_FOUND;
    if (result >= 0)
        result = reset(device);
    if (result >= 0)
        result = pci_enable(&device->pci, device->transport->decoded | PCI_COMMAND_MASTER);
    if (result < 0) {
        pci_release(&device->pci);
        return result;
    }
    status_add(device, VIRTIO_STATUS_ACKNOWLEDGE);
    status_add(device, VIRTIO_STATUS_DRIVER);
    return 0;
}

int64_t virtio_open(struct virtio_device *device, const char *function, uint32_t type)
{
    *device = (struct virtio_device){.features = 0};
    int64_t result = pci_claim(&device->pci, function);
    return result < 0 ? result : begin(device, function, type);
}

int64_t virtio_attach(struct virtio_device *device, handle_t claim, const char *function,
                      uint32_t type)
{
    *device = (struct virtio_device){.features = 0};
    int64_t result = pci_attach(&device->pci, claim);
    return result < 0 ? result : begin(device, function, type);
}

/* --- Made ready ------------------------------------------------------------------------------------------------- */

int64_t virtio_negotiate(struct virtio_device *device, uint64_t wanted)
{
    device->features = device->transport->features(device) & (wanted | FEATURES_OF_ALL);
    return device->transport->features_accept(device);
}

int64_t virtio_interrupts(struct virtio_device *device, uint16_t wanted)
{
    uint16_t count = MIN(wanted, device->pci.description.msix_count);
    int64_t result = 0;
    device->irqs = calloc(MAX(count, 1), sizeof(*device->irqs));
    if (!device->irqs)
        return -E_NO_MEMORY;
    while (device->irq_count < count && result >= 0) {
        result = pci_interrupt(&device->pci, PCI_INTERRUPT_MSIX, device->irq_count,
                               &device->irqs[device->irq_count]);
        device->irq_count += result >= 0;
    }
    device->messages = device->irq_count != 0;
    if (!device->messages) {
        result = pci_interrupt(&device->pci, PCI_INTERRUPT_LINE, 0, &device->irqs[0]);
        device->irq_count = result >= 0;
        return result;
    }
    return device->transport->config_vector(device) ? 0 : -E_NO_MEMORY;
}

/* Its memory is the device's from now on. */
static int64_t queue_give(struct virtio_device *device, struct virtio_queue *queue, uint16_t size)
{
    uint32_t alignment = device->transport->alignment;
    int64_t result = pci_dma_alloc(&device->pci, virtqueue_bytes(size, alignment),
                                   MEMORY_CONTIGUOUS, &queue->memory);
    if (result < 0)
        return result;
    result = virtqueue_init(&queue->ring, queue->memory.bytes, size, alignment,
                            device->features & VIRTIO_F_EVENT_IDX)
                 ? device->transport->queue_place(device, queue)
                 : -E_NO_MEMORY;
    if (result < 0) {
        virtqueue_destroy(&queue->ring);
        pci_dma_free(&device->pci, &queue->memory);
    }
    return result;
}

int64_t virtio_queue_open(struct virtio_device *device, uint16_t index, uint16_t size, uint16_t irq,
                          struct virtio_queue *queue)
{
    int64_t chosen = device->transport->queue_select(device, index, size);
    if (chosen < 0)
        return chosen;
    *queue = (struct virtio_queue){.index = index, .vector = VIRTIO_NO_VECTOR};
    if (device->messages)
        queue->vector = MIN(irq, (uint16_t)(device->irq_count - 1));
    return queue_give(device, queue, (uint16_t)chosen);
}

int64_t virtio_start(struct virtio_device *device)
{
    status_add(device, VIRTIO_STATUS_DRIVER_OK);
    return device->transport->status(device) & VIRTIO_STATUS_DRIVER_OK ? 0 : -E_IO;
}

static int64_t queue_again(struct virtio_device *device, struct virtio_queue *queue)
{
    int64_t size = device->transport->queue_select(device, queue->index, queue->ring.size);
    if (size != queue->ring.size)
        return -E_IO;
    virtqueue_reset(&queue->ring);
    return device->transport->queue_place(device, queue);
}

int64_t virtio_restart(struct virtio_device *device, struct virtio_queue *const *queues,
                       uint32_t count)
{
    int64_t result = reset(device);
    if (result < 0)
        return result;
    status_add(device, VIRTIO_STATUS_ACKNOWLEDGE);
    status_add(device, VIRTIO_STATUS_DRIVER);
    if (device->features & ~device->transport->features(device))
        return -E_IO;
    result = device->transport->features_accept(device);
    if (result >= 0 && device->messages && !device->transport->config_vector(device))
        result = -E_IO;
    for (uint32_t i = 0; result >= 0 && i < count; i++)
        result = queue_again(device, queues[i]);
    return result < 0 ? result : virtio_start(device);
}

/* --- At work ---------------------------------------------------------------------------------------------------- */

void virtio_queue_send(struct virtio_queue *queue)
{
    if (!virtqueue_publish(&queue->ring))
        return;
    if (queue->bell)
        *queue->bell = queue->index;
    else
        port_write(queue->bell_port, 2, queue->index);
}

/* The line stays up until the device's status is read, which takes it back; a message is nobody else's. */
void virtio_interrupt_ack(struct virtio_device *device, uint16_t irq)
{
    bool mine = device->messages || device->transport->interrupt_status(device);
    sys_ignore(sys_irq_ack(device->irqs[irq], mine ? 0 : IRQ_NOT_MINE));
}

int64_t virtio_config_read(struct virtio_device *device, uint32_t offset, void *fields,
                           uint32_t length, uint32_t width)
{
    uint32_t has = device->transport->config_length(device);
    if (offset % width || length % width)
        return -E_INVALID;
    if (offset > has || length > has - offset)
        return -E_RANGE;
    return device->transport->config_read(device, offset, fields, length, width);
}

int64_t virtio_config_write(struct virtio_device *device, uint32_t offset, uint8_t value)
{
    if (offset >= device->transport->config_length(device))
        return -E_RANGE;
    device->transport->config_write(device, offset, value);
    return 0;
}
