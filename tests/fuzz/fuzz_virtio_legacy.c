// sources: lib/virtio/device.c lib/virtio/legacy.c lib/virtio/modern.c lib/virtio/capabilities.c lib/virtio/virtqueue.c
/* A device of before virtio 1.0 whose registers say anything: the input is how many ports it has, then what is read, one after the other. No
 * port but its own is touched, its queue lies where it was told and is no longer than its memory, it is never told to be quiet and then
 * spoken to of queues, and what it offers not is not taken. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/sys/ports.h"
#include "lib/virtio/device.h"
#include "lib/virtio/legacy.h"
#include "tests/fuzz/input.h"

#define BASE   0xc000u
#define MEMORY 0x80000000u /* where DMA memory is said to lie */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static struct input input;
static struct pci_description description;
static uint32_t offered, frame;
static uint8_t *memory;
static uint64_t memory_length;
static bool started;

static void check(bool condition)
{
    if (!condition)
        abort();
}

/* --- The device ----------------------------------------------------------------------------------------------------- */

static uint32_t at_of(uint16_t port, uint32_t width)
{
    uint32_t at = port - BASE;

    check(port >= BASE && at + width <= description.bars[0].length && at % width == 0);
    return at;
}

uint32_t port_read(uint16_t port, uint32_t width)
{
    uint32_t value = next(&input, width), at = at_of(port, width);

    if (at == VIRTIO_LEGACY_DEVICE_FEATURES)
        offered = value;
    return at == VIRTIO_LEGACY_STATUS && input.at >= input.end ? 0 : value;
}

void port_write(uint16_t port, uint32_t width, uint32_t value)
{
    uint32_t at = at_of(port, width);

    if (at == VIRTIO_LEGACY_DRIVER_FEATURES)
        check((value & ~offered) == 0);
    if (at == VIRTIO_LEGACY_STATUS && !value)
        started = false;
    if (at == VIRTIO_LEGACY_STATUS && value & 4)
        started = true;
    if (at == VIRTIO_LEGACY_QUEUE_NOTIFY)
        check(started);
    if (at == VIRTIO_LEGACY_QUEUE_FRAME)
        frame = value;
}

/* --- pcid and time -------------------------------------------------------------------------------------------------- */

int64_t pci_claim(struct pci_device *device, const char *function)
{
    (void)function;
    *device = (struct pci_device){.description = description};
    return 0;
}

int64_t pci_attach(struct pci_device *device, handle_t claim)
{
    (void)claim;
    return pci_claim(device, "");
}

void pci_release(struct pci_device *device)
{
    (void)device;
}

int64_t pci_config_copy(const char *function, uint8_t *bytes)
{
    (void)function;
    memset(bytes, 0, PCI_CONFIG_LEGACY);
    return 0;
}

int64_t pci_enable(const struct pci_device *device, uint32_t what)
{
    (void)device;
    check(what == (PCI_COMMAND_PORTS | PCI_COMMAND_MASTER));
    return 0;
}

int64_t pci_map(const struct pci_device *device, uint32_t bar, uint64_t offset, uint64_t length,
                uint32_t cache, volatile void **at)
{
    (void)device, (void)bar, (void)offset, (void)length, (void)cache, (void)at;
    abort();
}

int64_t pci_ports(const struct pci_device *device, uint32_t bar)
{
    (void)device;
    check(bar == 0);
    return 0;
}

int64_t pci_interrupt(const struct pci_device *device, uint32_t kind, uint32_t index, handle_t *irq)
{
    (void)device, (void)kind;
    *irq = index + 1;
    return next(&input, 1) % 8 ? 0 : -E_BUSY;
}

int64_t pci_dma_alloc(const struct pci_device *device, uint64_t length, uint32_t flags,
                      struct pci_dma *dma)
{
    static uint64_t page;

    (void)device;
    check(flags == MEMORY_CONTIGUOUS && !memory);
    page = next(&input, 1) % 8 ? MEMORY : UINT64_C(1) << 44;
    memory = calloc(1, length);
    memory_length = length;
    *dma = (struct pci_dma){.bytes = memory, .length = length, .pages = &page};
    return 0;
}

void pci_dma_free(const struct pci_device *device, struct pci_dma *dma)
{
    (void)device;
    free(memory);
    memory = NULL;
    *dma = (struct pci_dma){.memory = HANDLE_NONE};
}

int64_t syscall_raw(uint32_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                    uint64_t f)
{
    (void)number, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f;
    return 0;
}

int nanosleep(const struct timespec *wanted, struct timespec *left)
{
    (void)wanted, (void)left;
    return 0;
}

/* --- The driver ----------------------------------------------------------------------------------------------------- */

static void queue_check(const struct virtio_queue *queue)
{
    const uint8_t *used = (const uint8_t *)queue->ring.used;
    uint64_t used_end = (uint64_t)(used - memory) + 6 + queue->ring.size * UINT64_C(8);

    check(frame == MEMORY / 4096 && (used - memory) % 4096 == 0 && used_end <= memory_length);
    check(queue->ring.size && !(queue->ring.size & (queue->ring.size - 1)));
}

static void work(struct virtio_device *device, struct virtio_queue *queue)
{
    struct virtio_queue *queues[] = {queue};
    struct virtqueue_buffer buffer = {MEMORY, 1};
    uint8_t fields[64];
    void *request;
    uint32_t written;

    while (input.at < input.end)
        switch (next(&input, 1) % 6) {
        case 0:
            (void)!virtio_config_read(device, next(&input, 1), fields, next(&input, 1) % 65,
                                      1u << next(&input, 1) % 3);
            break;
        case 1:
            (void)!virtio_config_write(device, next(&input, 2), 1);
            break;
        case 2:
            (void)!virtqueue_add(&queue->ring, &buffer, 1, 0, fields);
            virtio_queue_send(queue);
            break;
        case 3:
            memory[next(&input, 3) % memory_length] = (uint8_t)next(&input, 1);
            (void)!virtqueue_take(&queue->ring, &request, &written);
            break;
        case 4:
            virtio_interrupt_ack(device, 0);
            break;
        default:
            if (virtio_restart(device, queues, 1) < 0)
                return;
            queue_check(queue);
            check(!queue->ring.under_way && !queue->ring.broken);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    struct virtio_device device;
    struct virtio_queue queue;

    input = (struct input){data, data + length};
    offered = frame = 0;
    started = false;
    description = (struct pci_description){
        .vendor = 0x1af4,
        .device = 0x1001,
        .subsystem = 2,
        .msix_count = (uint16_t)(next(&input, 1) % 4),
        .bars[0] = {.base = BASE, .length = next(&input, 1), .flags = PCI_BAR_PORTS}};
    if (virtio_open(&device, "pci:///00:02.0", VIRTIO_BLOCK) < 0)
        return 0;
    if (virtio_negotiate(&device, UINT64_MAX) >= 0 && virtio_interrupts(&device, 2) >= 0 &&
        virtio_queue_open(&device, 0, 256, 1, &queue) >= 0) {
        queue_check(&queue);
        if (virtio_start(&device) >= 0)
            work(&device, &queue);
        virtqueue_destroy(&queue.ring);
        pci_dma_free(&device.pci, &queue.memory);
    }
    check(!memory);
    free(device.irqs);
    return 0;
}
