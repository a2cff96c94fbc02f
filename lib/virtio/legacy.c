/* Devices of before virtio 1.0: registers behind I/O ports (legacy.h). What is different from those of today:
 *
 * - how long a queue is the device says, and where it lies is the number of one page, behind which all of it follows
 * - the used ring begins on a page; numbers are as the machine has them, which here is little endian, too
 * - there are 32 features, which the device does not confirm
 * - nothing tells that configuration changed while it was read: it is read until it is twice the same
 */
#include "lib/virtio/legacy.h"

#include <string.h>

#include "lib/sys/ports.h"
#include "lib/virtio/transport.h"

static uint32_t get(const struct virtio_device *device, uint32_t at, uint32_t width)
{
    return port_read((uint16_t)(device->ports + at), width);
}

static void put(const struct virtio_device *device, uint32_t at, uint32_t width, uint32_t value)
{
    port_write((uint16_t)(device->ports + at), width, value);
}

/* --- Status and features ---------------------------------------------------------------------------------------- */

static uint8_t status(const struct virtio_device *device)
{
    return (uint8_t)get(device, VIRTIO_LEGACY_STATUS, 1);
}

static void status_write(const struct virtio_device *device, uint8_t status)
{
    put(device, VIRTIO_LEGACY_STATUS, 1, status);
}

static uint8_t interrupt_status(const struct virtio_device *device)
{
    return (uint8_t)get(device, VIRTIO_LEGACY_INTERRUPT_STATUS, 1);
}

static uint64_t features(const struct virtio_device *device)
{
    return get(device, VIRTIO_LEGACY_DEVICE_FEATURES, 4);
}

static int64_t features_accept(const struct virtio_device *device)
{
    put(device, VIRTIO_LEGACY_DRIVER_FEATURES, 4, (uint32_t)device->features);
    return 0;
}

/* --- Queues ----------------------------------------------------------------------------------------------------- */

static bool vector_write(const struct virtio_device *device, uint32_t at, uint16_t vector)
{
    put(device, at, 2, vector);
    return get(device, at, 2) == vector;
}

static bool config_vector(const struct virtio_device *device)
{
    return vector_write(device, VIRTIO_LEGACY_CONFIG_VECTOR, 0);
}

static int64_t queue_select(const struct virtio_device *device, uint16_t index, uint16_t wanted)
{
    (void)wanted;
    put(device, VIRTIO_LEGACY_QUEUE_SELECT, 2, index);
    uint32_t size = get(device, VIRTIO_LEGACY_QUEUE_SIZE, 2);
    if (!size)
        return -E_NOT_FOUND;
    return size > VIRTQUEUE_SIZE_MAX || size & (size - 1) ? -E_IO : (int64_t)size;
}

static int64_t queue_place(const struct virtio_device *device, struct virtio_queue *queue)
{
    uint64_t frame = pci_dma_address(&queue->memory, 0) / PAGE_SIZE;
    if (frame > UINT32_MAX)
        return -E_RANGE;
    if (queue->vector != VIRTIO_NO_VECTOR &&
        !vector_write(device, VIRTIO_LEGACY_QUEUE_VECTOR, queue->vector))
        return -E_NO_MEMORY;
    queue->bell_port = (uint16_t)(device->ports + VIRTIO_LEGACY_QUEUE_NOTIFY);
    put(device, VIRTIO_LEGACY_QUEUE_FRAME, 4, (uint32_t)frame);
    return 0;
}

/* --- Configuration ---------------------------------------------------------------------------------------------- */

/* Its registers move when MSI-X goes on. */
static uint32_t config_at(const struct virtio_device *device)
{
    return device->messages ? VIRTIO_LEGACY_CONFIG_MSIX : VIRTIO_LEGACY_CONFIG;
}

static uint32_t config_length(const struct virtio_device *device)
{
    return device->ports_length - config_at(device);
}

/* True: it is what `fields` had already. */
static bool fields_copy(const struct virtio_device *device, uint32_t offset, uint8_t *fields,
                        uint32_t length, uint32_t width)
{
    bool same = true;
    for (uint32_t at = 0; at < length; at += width) {
        uint32_t field = get(device, config_at(device) + offset + at, width);
        same &= memcmp(fields + at, &field, width) == 0;
        memcpy(fields + at, &field, width);
    }
    return same;
}

static int64_t config_read(const struct virtio_device *device, uint32_t offset, void *fields,
                           uint32_t length, uint32_t width)
{
    (void)fields_copy(device, offset, fields, length, width);
    for (int i = 0; i < VIRTIO_CONFIG_TRIES; i++)
        if (fields_copy(device, offset, fields, length, width))
            return 0;
    return -E_IO;
}

static void config_write(const struct virtio_device *device, uint32_t offset, uint8_t value)
{
    put(device, config_at(device) + offset, 1, value);
}

/* --- Found ------------------------------------------------------------------------------------------------------ */

static const struct virtio_transport legacy = {
    .decoded = PCI_COMMAND_PORTS,
    .alignment = PAGE_SIZE,
    .status = status,
    .status_write = status_write,
    .interrupt_status = interrupt_status,
    .features = features,
    .features_accept = features_accept,
    .config_vector = config_vector,
    .queue_select = queue_select,
    .queue_place = queue_place,
    .config_read = config_read,
    .config_write = config_write,
    .config_length = config_length,
};

int64_t virtio_legacy_find(struct virtio_device *device)
{
    const struct pci_description *is = &device->pci.description;
    uint64_t base = is->bars[VIRTIO_LEGACY_BAR].base, length = is->bars[VIRTIO_LEGACY_BAR].length;
    if (!virtio_legacy_fits(is->device, is->revision, is->bars[VIRTIO_LEGACY_BAR].flags, base,
                            length))
        return -E_NOT_FOUND;
    int64_t result = pci_ports(&device->pci, VIRTIO_LEGACY_BAR);
    if (result < 0)
        return result;
    device->transport = &legacy;
    device->ports = (uint16_t)base;
    device->ports_length = (uint32_t)length;
    return 0;
}
