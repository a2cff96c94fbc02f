#include "lib/virtio/device.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/virtio/capabilities.h"

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

enum virtio_status {
    STATUS_RESET = 0,
    STATUS_ACKNOWLEDGE = 1,
    STATUS_DRIVER = 2,
    STATUS_DRIVER_OK = 4,
    STATUS_FEATURES_OK = 8,
};

#define NO_VECTOR       0xffffu
#define FIRST_ID        0x1000u /* of transitional devices, whose subsystem is their type */
#define FIRST_MODERN_ID 0x1040u /* + the type */
#define LAST_ID         0x107fu
#define RESET_TRIES     1000 /* a millisecond apart */
#define CONFIG_TRIES    8
#define ORDER_PLATFORM \
    (UINT64_C(1) << 36) /* memory is ordered as this machine orders it: x86 does */
#define FEATURES_OF_ALL (VIRTIO_F_EVENT_IDX | VIRTIO_F_ACCESS_PLATFORM | ORDER_PLATFORM)

/* --- Found ------------------------------------------------------------------------------------------------------ */

static bool type_is(const struct pci_description *description, uint32_t type)
{
    uint32_t id = description->device;
    if (description->vendor != VIRTIO_VENDOR || id < FIRST_ID || id > LAST_ID)
        return false;
    return (id >= FIRST_MODERN_ID ? id - FIRST_MODERN_ID : description->subsystem) == type;
}

static int64_t structure_map(const struct virtio_device *device, const struct virtio_place *place,
                             volatile void **at)
{
    return pci_map(&device->pci, place->bar, place->offset, place->length, CACHE_NONE, at);
}

static int64_t structures_map(struct virtio_device *device, const char *function)
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
    device->common = at[VIRTIO_COMMON];
    device->notify = at[VIRTIO_NOTIFY];
    device->isr = at[VIRTIO_ISR];
    device->config = at[VIRTIO_CONFIG];
    device->notify_length = found.places[VIRTIO_NOTIFY].length;
    device->notify_multiplier = found.notify_multiplier;
    device->config_length = found.places[VIRTIO_CONFIG].length;
    return 0;
}

/* It says so itself when it is reset, and has no interrupt for that. */
static int64_t reset(struct virtio_device *device)
{
    device->common->status = STATUS_RESET;
    for (int i = 0; i < RESET_TRIES; i++) {
        if (device->common->status == STATUS_RESET)
            return 0;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return -E_TIMED_OUT;
}

static void status_add(struct virtio_device *device, enum virtio_status status)
{
    device->common->status = (uint8_t)(device->common->status | status);
}

/* Of a device that is claimed. */
static int64_t begin(struct virtio_device *device, const char *function, uint32_t type)
{
    int64_t result =
        type_is(&device->pci.description, type) ? structures_map(device, function) : -E_NOT_FOUND;
    if (result >= 0)
        result = reset(device);
    if (result >= 0)
        result = pci_enable(&device->pci, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    if (result < 0) {
        pci_release(&device->pci);
        return result;
    }
    status_add(device, STATUS_ACKNOWLEDGE);
    status_add(device, STATUS_DRIVER);
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

static uint64_t features_read(struct virtio_device *device)
{
    device->common->device_feature_select = 0;
    uint64_t low = device->common->device_feature;
    device->common->device_feature_select = 1;
    return low | (uint64_t)device->common->device_feature << 32;
}

static void features_write(struct virtio_device *device, uint64_t features)
{
    device->common->driver_feature_select = 0;
    device->common->driver_feature = (uint32_t)features;
    device->common->driver_feature_select = 1;
    device->common->driver_feature = (uint32_t)(features >> 32);
}

int64_t virtio_negotiate(struct virtio_device *device, uint64_t wanted)
{
    uint64_t offered = features_read(device);
    if (!(offered & VIRTIO_F_VERSION_1))
        return -E_NOT_SUPPORTED;
    device->features = offered & (wanted | FEATURES_OF_ALL | VIRTIO_F_VERSION_1);
    features_write(device, device->features);
    status_add(device, STATUS_FEATURES_OK);
    return device->common->status & STATUS_FEATURES_OK ? 0 : -E_NOT_SUPPORTED;
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
    device->common->msix_config = 0;
    return device->common->msix_config == 0 ? 0 : -E_NO_MEMORY;
}

/* The power of two that both can have. */
static uint16_t size_choose(uint16_t wanted, uint16_t offered)
{
    uint16_t size = 1;
    while (size < VIRTQUEUE_SIZE_MAX && size * 2 <= MIN(wanted, offered))
        size = (uint16_t)(size * 2);
    return offered ? size : 0;
}

static void address_write(volatile uint32_t *words, uint64_t address)
{
    words[0] = (uint32_t)address;
    words[1] = (uint32_t)(address >> 32);
}

/* Of the queue that is selected. */
static int64_t bell_find(struct virtio_device *device, struct virtio_queue *queue)
{
    uint64_t at = (uint64_t)device->common->queue_notify_offset * device->notify_multiplier;
    if (at % sizeof(uint16_t) || at > device->notify_length - sizeof(uint16_t))
        return -E_IO;
    queue->bell = (volatile uint16_t *)(volatile void *)(device->notify + at);
    return 0;
}

static int64_t queue_place(struct virtio_device *device, struct virtio_queue *queue, uint16_t irq)
{
    volatile struct virtio_common_config *common = device->common;
    uint64_t address = pci_dma_address(&queue->memory, 0);
    uint16_t size = queue->ring.size;
    common->queue_size = size;
    address_write(common->queue_descriptors, address);
    address_write(common->queue_available, address + virtqueue_available_at(size));
    address_write(common->queue_used, address + virtqueue_used_at(size));
    if (device->messages) {
        uint16_t vector = MIN(irq, (uint16_t)(device->irq_count - 1));
        common->queue_msix_vector = vector;
        if (common->queue_msix_vector != vector)
            return -E_NO_MEMORY; /* the device has none left (4.1.5.1.2.1) */
    }
    common->queue_enable = 1;
    return 0;
}

int64_t virtio_queue_open(struct virtio_device *device, uint16_t index, uint16_t size, uint16_t irq,
                          struct virtio_queue *queue)
{
    if (index >= device->common->queue_count)
        return -E_NOT_FOUND;
    device->common->queue_select = index;
    size = size_choose(size, device->common->queue_size);
    if (!size)
        return -E_NOT_FOUND;
    *queue = (struct virtio_queue){.index = index};
    int64_t result = bell_find(device, queue);
    if (result < 0)
        return result;
    result = pci_dma_alloc(&device->pci, virtqueue_bytes(size), MEMORY_CONTIGUOUS, &queue->memory);
    if (result < 0)
        return result;
    result = virtqueue_init(&queue->ring, queue->memory.bytes, size,
                            device->features & VIRTIO_F_EVENT_IDX)
                 ? queue_place(device, queue, irq)
                 : -E_NO_MEMORY;
    if (result < 0) {
        virtqueue_destroy(&queue->ring);
        pci_dma_free(&device->pci, &queue->memory);
    }
    return result;
}

int64_t virtio_start(struct virtio_device *device)
{
    status_add(device, STATUS_DRIVER_OK);
    return device->common->status & STATUS_DRIVER_OK ? 0 : -E_IO;
}

/* --- At work ---------------------------------------------------------------------------------------------------- */

void virtio_queue_send(struct virtio_queue *queue)
{
    if (virtqueue_publish(&queue->ring))
        *queue->bell = queue->index;
}

/* The line stays up until the device's status is read, which takes it back; a message is nobody else's. */
void virtio_interrupt_ack(struct virtio_device *device, uint16_t irq)
{
    bool mine = device->messages || *device->isr;
    sys_ignore(sys_irq_ack(device->irqs[irq], mine ? 0 : IRQ_NOT_MINE));
}

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

int64_t virtio_config_read(struct virtio_device *device, uint32_t offset, void *fields,
                           uint32_t length, uint32_t width)
{
    if (offset % width || length % width)
        return -E_INVALID;
    if (offset > device->config_length || length > device->config_length - offset)
        return -E_RANGE;
    for (int i = 0; i < CONFIG_TRIES; i++) {
        uint8_t generation = device->common->generation;
        fields_copy(device->config + offset, fields, length, width);
        if (device->common->generation == generation)
            return 0;
    }
    return -E_IO;
}

int64_t virtio_config_write(struct virtio_device *device, uint32_t offset, uint8_t value)
{
    if (offset >= device->config_length)
        return -E_RANGE;
    device->config[offset] = value;
    return 0;
}
