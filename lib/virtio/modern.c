/* Devices of virtio 1.x: structures in their BARs of memory (Virtual I/O Device 1.2, 4.1.4). */
#include <string.h>

#include "lib/virtio/capabilities.h"
#include "lib/virtio/transport.h"

/* 4.1.4.3 */
struct virtio_common_config {
    uint32_t device_feature_select, device_feature, driver_feature_select, driver_feature;
    uint16_t msix_config, queue_count;
    uint8_t status, generation;
    uint16_t queue_select;
    uint16_t queue_size, queue_msix_vector, queue_enable, queue_notify_offset;
    uint32_t queue_descriptors[2], queue_available[2], queue_used[2];
};

_Static_assert(sizeof(struct virtio_common_config) == 56, "");

/* --- Status and features ---------------------------------------------------------------------------------------- */

static uint8_t status(const struct virtio_device *device)
{
    return device->common->status;
}

static void status_write(const struct virtio_device *device, uint8_t status)
{
    device->common->status = status;
}

static uint8_t interrupt_status(const struct virtio_device *device)
{
    return *device->isr;
}

static uint64_t features(const struct virtio_device *device)
{
    device->common->device_feature_select = 0;
    uint64_t low = device->common->device_feature;
    device->common->device_feature_select = 1;
    return low | (uint64_t)device->common->device_feature << 32;
}

static int64_t features_accept(const struct virtio_device *device)
{
    if (!(device->features & VIRTIO_F_VERSION_1))
        return -E_NOT_SUPPORTED;
    device->common->driver_feature_select = 0;
    device->common->driver_feature = (uint32_t)device->features;
    device->common->driver_feature_select = 1;
    device->common->driver_feature = (uint32_t)(device->features >> 32);
    device->common->status = device->common->status | VIRTIO_STATUS_FEATURES_OK;
    return device->common->status & VIRTIO_STATUS_FEATURES_OK ? 0 : -E_NOT_SUPPORTED;
}

/* --- Queues ----------------------------------------------------------------------------------------------------- */

static bool config_vector(const struct virtio_device *device)
{
    device->common->msix_config = 0;
    return device->common->msix_config == 0;
}

/* The power of two that both can have. */
static uint16_t size_choose(uint16_t wanted, uint16_t offered)
{
    uint16_t size = 1;
    while (size < VIRTQUEUE_SIZE_MAX && size * 2 <= MIN(wanted, offered))
        size = (uint16_t)(size * 2);
    return size;
}

static int64_t queue_select(const struct virtio_device *device, uint16_t index, uint16_t wanted)
{
    if (index >= device->common->queue_count)
        return -E_NOT_FOUND;
    device->common->queue_select = index;
    uint16_t offered = device->common->queue_size;
    return offered ? size_choose(wanted, offered) : -E_NOT_FOUND;
}

static void address_write(volatile uint32_t *words, uint64_t address)
{
    words[0] = (uint32_t)address;
    words[1] = (uint32_t)(address >> 32);
}

static int64_t bell_find(const struct virtio_device *device, struct virtio_queue *queue)
{
    uint64_t at = (uint64_t)device->common->queue_notify_offset * device->notify_multiplier;
    if (at % sizeof(uint16_t) || at > device->notify_length - sizeof(uint16_t))
        return -E_IO;
    queue->bell = (volatile uint16_t *)(volatile void *)(device->notify + at);
    return 0;
}

static int64_t queue_place(const struct virtio_device *device, struct virtio_queue *queue)
{
    volatile struct virtio_common_config *common = device->common;
    const uint8_t *bytes = queue->memory.bytes;
    int64_t result = bell_find(device, queue);
    if (result < 0)
        return result;
    uint64_t address = pci_dma_address(&queue->memory, 0);
    common->queue_size = queue->ring.size;
    address_write(common->queue_descriptors, address);
    address_write(common->queue_available,
                  address + (uint64_t)((const uint8_t *)queue->ring.available - bytes));
    address_write(common->queue_used,
                  address + (uint64_t)((const uint8_t *)queue->ring.used - bytes));
    if (queue->vector != VIRTIO_NO_VECTOR) {
        common->queue_msix_vector = queue->vector;
        if (common->queue_msix_vector != queue->vector)
            return -E_NO_MEMORY; /* the device has none left (4.1.5.1.2.1) */
    }
    common->queue_enable = 1;
    return 0;
}

/* --- Configuration ---------------------------------------------------------------------------------------------- */

/* Each field in one access (4.1.3.1). */
static void fields_copy(volatile const uint8_t *from, void *to, uint32_t length, uint32_t width)
{
    uint8_t *bytes = to;
    for (uint32_t at = 0; at < length; at += width) {
        uint32_t field = width == 4   ? *(volatile const uint32_t *)(from + at)
                         : width == 2 ? *(volatile const uint16_t *)(from + at)
                                      : from[at];
        memcpy(bytes + at, &field, width);
    }
}

static int64_t config_read(const struct virtio_device *device, uint32_t offset, void *fields,
                           uint32_t length, uint32_t width)
{
    for (int i = 0; i < VIRTIO_CONFIG_TRIES; i++) {
        uint8_t generation = device->common->generation;
        fields_copy(device->config + offset, fields, length, width);
        if (device->common->generation == generation)
            return 0;
    }
    return -E_IO;
}

static void config_write(const struct virtio_device *device, uint32_t offset, uint8_t value)
{
    device->config[offset] = value;
}

static uint32_t config_length(const struct virtio_device *device)
{
    return device->config_length;
}

/* --- Found ------------------------------------------------------------------------------------------------------ */

static const struct virtio_transport modern = {
    .decoded = PCI_COMMAND_MEMORY,
    .alignment = VIRTQUEUE_ALIGNMENT,
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

static int64_t structure_map(const struct virtio_device *device, const struct virtio_place *place,
                             volatile void **at)
{
    return pci_map(&device->pci, place->bar, place->offset, place->length, CACHE_NONE, at);
}

int64_t virtio_modern_find(struct virtio_device *device, const char *function)
{
    uint8_t config[PCI_CONFIG_LEGACY];
    struct virtio_capabilities found;
    volatile void *at[VIRTIO_STRUCTURES] = {NULL};
    int64_t result = pci_config_copy(function, config);
    if (result >= 0 && !virtio_capabilities_find(config, &device->pci.description, &found))
        result = -E_NOT_FOUND;
    for (int i = VIRTIO_COMMON; result >= 0 && i < VIRTIO_STRUCTURES; i++)
        if (found.places[i].length)
            result = structure_map(device, &found.places[i], &at[i]);
    if (result < 0)
        return result;
    device->transport = &modern;
    device->common = at[VIRTIO_COMMON];
    device->notify = at[VIRTIO_NOTIFY];
    device->isr = at[VIRTIO_ISR];
    device->config = at[VIRTIO_CONFIG];
    device->notify_length = found.places[VIRTIO_NOTIFY].length;
    device->notify_multiplier = found.notify_multiplier;
    device->config_length = found.places[VIRTIO_CONFIG].length;
    return 0;
}
