#include "sbin/virtiod/driver.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/wait.h"
#include "lib/virtio/device.h"
#include "sbin/virtiod/config.h"
#include "sbin/virtiod/request.h"

#define QUEUE_SIZE 256u

#define DEVICE_OLD     0x1001u /* transitional */
#define DEVICE_MODERN  0x1042u
#define ID_PATIENCE_NS INT64_C(5000000000)

static struct virtio_device device;
static struct virtio_queue queue;
static struct requests requests;
static struct disk disk;
static struct disk_host host;

static void fault(const char *what)
{
    fprintf(stderr, "%s: %s\n", disk.name, what);
    exit(1);
}

/* --- Requests --- */

static int64_t device_start(struct disk *of, struct disk_request *request)
{
    (void)of;
    int64_t result = requests_start(&requests, &queue.ring, request);
    if (queue.ring.broken)
        fault("the device breaks its queue");
    return result;
}

static void device_send(struct disk *of)
{
    (void)of;
    virtio_queue_send(&queue);
}

/* What was under way is begun anew by lib/disk, but not for ever: a request that is lost each time fails, and the others go on. */
static int64_t device_reset(struct disk *of)
{
    struct virtio_queue *queues[] = {&queue};
    (void)of;
    if (virtio_restart(&device, queues, ARRAY_SIZE(queues)) < 0)
        fault("the device does not come back from a reset");
    requests_forget(&requests);
    return 0;
}

static void take_all(void)
{
    void *taken;
    uint32_t written;
    while (virtqueue_take(&queue.ring, &taken, &written))
        requests_end(&requests, taken);
    if (queue.ring.broken)
        fault("the device breaks its queue");
}

/* --- What it says of itself --- */

/* Each field in accesses of its width, if the device has it. */
static int64_t config_read(struct virtio_blk_config *config)
{
    static const struct {
        uint16_t at, length, width;
    } fields[] = {
#define FIELDS(first, last, width)                                                              \
    {offsetof(struct virtio_blk_config, first),                                                 \
     offsetof(struct virtio_blk_config, last) + sizeof(((struct virtio_blk_config *)0)->last) - \
         offsetof(struct virtio_blk_config, first),                                             \
     width}
        FIELDS(capacity, seg_max, 4),
        FIELDS(block_size, block_size, 4),
        FIELDS(physical_exponent, alignment_offset, 1),
        FIELDS(discard_sectors, zero_segments, 4),
#undef FIELDS
    };
    int64_t result = 0;
    *config = (struct virtio_blk_config){0};
    for (size_t i = 0; i < ARRAY_SIZE(fields) && result >= 0; i++) {
        result = virtio_config_read(&device, fields[i].at, (uint8_t *)config + fields[i].at,
                                    fields[i].length, fields[i].width);
        if (result == -E_RANGE && i > 0) /* an older device has less */
            result = 0;
    }
    return result;
}

/* Another capacity, at most. */
static void config_changed(void)
{
    struct virtio_blk_config config;
    uint64_t size = disk.geometry.size;
    if (config_read(&config) < 0)
        return;
    struct disk now = {0};
    virtio_blk_describe(&config, device.features, &now);
    if (now.geometry.size == size)
        return;
    disk.geometry.size = now.geometry.size;
    disk_changed(&disk);
}

static void device_notified(void *context, uint64_t key, uint64_t signals)
{
    (void)context, (void)signals;
    virtio_interrupt_ack(&device, key == VIRTIOD_KEY_QUEUE && device.irq_count > 1 ? 1 : 0);
    if (key == VIRTIOD_KEY_CONFIG)
        config_changed();
    take_all();
}

static const struct disk_driver driver = {
    .start = device_start,
    .send = device_send,
    .reset = device_reset,
    .notified = device_notified,
};

/* --- The beginning --- */

static bool is_block(uint32_t class_code, uint16_t vendor, uint16_t id)
{
    (void)class_code;
    return vendor == VIRTIO_VENDOR && (id == DEVICE_OLD || id == DEVICE_MODERN);
}

static int64_t device_open(const char *function)
{
    disk = (struct disk){.patience = 0};
    int64_t result = virtio_open(&device, function, VIRTIO_BLOCK);
    if (result >= 0)
        result = virtio_negotiate(&device, VIRTIO_BLK_FEATURES);
    if (result >= 0)
        result = virtio_interrupts(&device, 2);
    if (result >= 0)
        result = virtio_queue_open(&device, 0, QUEUE_SIZE, 1, &queue);
    if (result >= 0)
        result = requests_init(&requests, &device.pci);
    return result < 0 ? result : virtio_start(&device);
}

/* The first request, and the last that is waited for. */
static void serial_read(char *serial, size_t size)
{
    char id[VIRTIO_BLK_ID_BYTES + 1];
    handle_t irq = device.irqs[device.irq_count > 1];
    void *taken;
    uint32_t written;
    if (requests_ask_id(&requests, &queue.ring) < 0)
        return;
    virtio_queue_send(&queue);
    int64_t deadline = sys_clock_get(CLOCK_MONOTONIC_) + ID_PATIENCE_NS;
    while (!virtqueue_take(&queue.ring, &taken, &written)) {
        if (queue.ring.broken || handle_wait(irq, SIGNAL_READABLE, deadline) < 0)
            fault("the device does not say who it is");
        virtio_interrupt_ack(&device, device.irq_count > 1);
    }
    take_all(); /* none: and from here on the next interrupts */
    if (!requests_id(&requests, id))
        return;
    for (char *at = id; *at; at++)
        *at = isprint((unsigned char)*at) ? *at : '?';
    snprintf(serial, size, "%s", id);
}

static int64_t disk_describe(const char *function)
{
    struct virtio_blk_config config;
    int64_t result = config_read(&config);
    if (result < 0)
        return result;
    snprintf(disk.name, sizeof(disk.name), "vd%u", disk_ordinal(function, is_block));
    virtio_blk_describe(&config, device.features, &disk);
    disk.segments = MIN(disk.segments, queue.ring.size > 2 ? queue.ring.size - 2u : 1u);
    disk.geometry.depth = REQUESTS;
    snprintf(disk.geometry.model, sizeof(disk.geometry.model), "virtio");
    snprintf(disk.geometry.bus, sizeof(disk.geometry.bus), "virtio");
    requests.shift = (uint32_t)__builtin_ctz(disk.geometry.sector / VIRTIO_SECTOR);
    serial_read(disk.geometry.serial, sizeof(disk.geometry.serial));
    return 0;
}

static int64_t serve(const char *function)
{
    int64_t result = disk_host_open(&host, function, &device.pci, &driver, NULL);
    if (result >= 0)
        result = disk_add(&host, &disk);
    if (result >= 0)
        result = sys_port_bind(host.port, device.irqs[0], SIGNAL_READABLE, VIRTIOD_KEY_CONFIG, 0);
    if (result >= 0 && device.irq_count > 1)
        result = sys_port_bind(host.port, device.irqs[1], SIGNAL_READABLE, VIRTIOD_KEY_QUEUE, 0);
    return result < 0 ? result : disk_host_run(&host);
}

int64_t virtiod_serve(const char *function)
{
    int64_t result = device_open(function);
    if (result >= 0)
        result = disk_describe(function);
    return result < 0 ? result : serve(function);
}
