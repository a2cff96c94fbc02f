#include "sbin/virtioinputd/device.h"

#include <string.h>

#include "lib/sys/wait.h"

/* The device's configuration (5.8.4): what `select` and `subselect` ask for is in `data`, `size` bytes of it. */
#define SELECT    0u
#define SUBSELECT 1u
#define SIZE      2u
#define DATA      8u
#define DATA_MAX  128u

enum { SELECT_NAME = 0x01, SELECT_CODES = 0x11, SELECT_AXIS = 0x12 };

enum { QUEUE_EVENTS, QUEUE_STATUS };

struct device_memory {
    struct events_event said[DEVICE_EVENTS], lights[EVENTS_LIGHTS];
};

static struct device_memory *memory_of(const struct device *device)
{
    return (struct device_memory *)(void *)device->memory.bytes;
}

/* --- What it is --------------------------------------------------------------------------------------------------- */

/* Up to `room` bytes of an answer, the rest zero; how many there are. */
static int64_t ask(struct device *device, uint8_t select, uint8_t subselect, void *bytes,
                   uint32_t room, uint32_t width)
{
    uint8_t size = 0;
    memset(bytes, 0, room);
    int64_t result = virtio_config_write(&device->virtio, SELECT, select);
    if (result >= 0)
        result = virtio_config_write(&device->virtio, SUBSELECT, subselect);
    if (result >= 0)
        result = virtio_config_read(&device->virtio, SIZE, &size, sizeof(size), sizeof(size));
    uint32_t length = MIN((uint32_t)size, DATA_MAX);
    length = MIN(length, room);
    length -= length % width;
    if (result >= 0 && length)
        result = virtio_config_read(&device->virtio, DATA, bytes, length, width);
    return result < 0 ? result : length;
}

static int64_t axes_ask(struct device *device)
{
    int32_t limits[2];
    for (uint8_t axis = 0; axis < EVENTS_AXES; axis++) {
        if (!(device->events.positions[axis / 8] >> axis % 8 & 1))
            continue;
        int64_t result = ask(device, SELECT_AXIS, axis, limits, sizeof(limits), sizeof(limits[0]));
        if (result < 0)
            return result;
        device->events.axes[axis].least = limits[0];
        device->events.axes[axis].most = limits[1];
    }
    return 0;
}

static int64_t capabilities_ask(struct device *device)
{
    const struct {
        uint8_t type, *bits;
    } kinds[] = {{INPUT_KEY, device->events.keys},
                 {INPUT_REL, device->events.movements},
                 {INPUT_ABS, device->events.positions},
                 {INPUT_LED, device->events.lights}};
    int64_t result = ask(device, SELECT_NAME, 0, device->name, DEVICE_NAME_MAX, 1);
    for (size_t i = 0; result >= 0 && i < ARRAY_SIZE(kinds); i++)
        result = ask(device, SELECT_CODES, kinds[i].type, kinds[i].bits, EVENTS_BITS, 1);
    return result < 0 ? result : axes_ask(device);
}

/* --- Buffers ------------------------------------------------------------------------------------------------------ */

static struct virtqueue_buffer buffer_of(const struct device *device,
                                         const struct events_event *event)
{
    uint64_t offset = (uint64_t)((const uint8_t *)event - device->memory.bytes);
    return (struct virtqueue_buffer){pci_dma_address(&device->memory, offset), sizeof(*event)};
}

static int64_t said_lend(struct device *device, struct events_event *event)
{
    struct virtqueue_buffer buffer = buffer_of(device, event);
    return virtqueue_add(&device->said.ring, &buffer, 0, 1, event);
}

static int64_t buffers_lend(struct device *device)
{
    int64_t result = pci_dma_alloc(&device->virtio.pci, sizeof(struct device_memory),
                                   MEMORY_CONTIGUOUS, &device->memory);
    for (size_t i = 0; result >= 0 && i < DEVICE_EVENTS; i++)
        result = said_lend(device, &memory_of(device)->said[i]);
    return result == -E_AGAIN ? 0 : result; /* its queue is shorter */
}

int64_t device_start(struct device *device, const char *function)
{
    *device = (struct device){.lock = PTHREAD_MUTEX_INITIALIZER};
    int64_t result = virtio_open(&device->virtio, function, VIRTIO_INPUT);
    if (result >= 0)
        result = virtio_negotiate(&device->virtio, 0);
    if (result >= 0)
        result = capabilities_ask(device);
    if (result >= 0)
        result = virtio_interrupts(&device->virtio, 1);
    if (result >= 0)
        result = virtio_queue_open(&device->virtio, QUEUE_EVENTS, DEVICE_EVENTS, 0, &device->said);
    if (result >= 0)
        result =
            virtio_queue_open(&device->virtio, QUEUE_STATUS, DEVICE_EVENTS, 0, &device->lights);
    if (result >= 0)
        result = buffers_lend(device);
    if (result >= 0)
        result = virtio_start(&device->virtio);
    if (result >= 0)
        virtio_queue_send(&device->said);
    return result;
}

/* --- At work ------------------------------------------------------------------------------------------------------ */

static int64_t said_take(struct device *device,
                         void (*heard)(void *context, const struct input_event *event),
                         void *context)
{
    void *request;
    uint32_t written;
    while (virtqueue_take(&device->said.ring, &request, &written)) {
        struct events_event said =
            *(volatile struct events_event *)request; /* once: it may change */
        struct input_event event;
        int64_t result = said_lend(device, request);
        if (result < 0)
            return result;
        if (written == sizeof(said) && events_translate(&device->events, &said, &event))
            heard(context, &event);
    }
    virtio_queue_send(&device->said);
    return device->said.ring.broken ? -E_IO : 0;
}

/* The mask that is wanted goes out when the one before has arrived. */
static void lights_send(struct device *device)
{
    struct events_event *events = memory_of(device)->lights;
    if (device->lights_under_way || device->wanted == device->sent)
        return;
    device->sent = device->wanted;
    uint32_t count = events_lights(&device->events, device->sent, events);
    for (uint32_t i = 0; i < count; i++) {
        struct virtqueue_buffer buffer = buffer_of(device, &events[i]);
        if (virtqueue_add(&device->lights.ring, &buffer, 1, 0, &events[i]) >= 0)
            device->lights_under_way++;
    }
    virtio_queue_send(&device->lights);
}

static void lights_take(struct device *device)
{
    void *request;
    uint32_t written;
    pthread_mutex_lock(&device->lock);
    while (virtqueue_take(&device->lights.ring, &request, &written))
        device->lights_under_way--;
    lights_send(device);
    pthread_mutex_unlock(&device->lock);
}

void device_light(struct device *device, uint32_t mask)
{
    pthread_mutex_lock(&device->lock);
    device->wanted = mask;
    lights_send(device);
    pthread_mutex_unlock(&device->lock);
}

int64_t device_listen(struct device *device,
                      void (*heard)(void *context, const struct input_event *event), void *context)
{
    int64_t result = 0;
    while (result >= 0) {
        result = said_take(device, heard, context);
        lights_take(device);
        if (result < 0)
            break;
        result = handle_wait(device->virtio.irqs[0], SIGNAL_READABLE, DEADLINE_NEVER);
        virtio_interrupt_ack(&device->virtio, 0);
    }
    return result;
}
