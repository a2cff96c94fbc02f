#include "sbin/fbd/gpu.h"
#include "lib/sys/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define QUEUE_CONTROL 0u
#define QUEUE_SIZE    64u /* two requests of two pieces for each output */
#define PATIENCE      (INT64_C(5) * 1000 * 1000 * 1000)
#define SIDE_MAX      16384u /* of a side, pixels */
#define FORMAT_BGRX   2u
#define PIXEL         4u

enum request_type {
    GET_DISPLAY_INFO = 0x0100,
    RESOURCE_CREATE_2D = 0x0101,
    SET_SCANOUT = 0x0103,
    RESOURCE_FLUSH = 0x0104,
    TRANSFER_TO_HOST_2D = 0x0105,
    RESOURCE_ATTACH_BACKING = 0x0106,
};

enum answer_type { OK_NODATA = 0x1100, OK_DISPLAY_INFO = 0x1101 };

/* 5.7.6.7 and on; all fields in little endian. */
struct header {
    uint32_t type, flags;
    uint64_t fence;
    uint32_t context, ring;
};

struct area {
    uint32_t x, y, width, height;
};

struct create_2d {
    struct header header;
    uint32_t resource, format, width, height;
};

struct attach_backing {
    struct header header;
    uint32_t resource, count;
};

struct backing {
    uint64_t address;
    uint32_t length, reserved;
};

struct set_scanout {
    struct header header;
    struct area area;
    uint32_t scanout, resource;
};

struct flush {
    struct header header;
    struct area area;
    uint32_t resource, reserved;
};

struct transfer {
    struct header header;
    struct area area;
    uint64_t offset;
    uint32_t resource, reserved;
};

struct display_info {
    struct header header;
    struct {
        struct area area;
        uint32_t enabled, flags;
    } outputs[GPU_OUTPUTS];
};

/* What the device reads and writes: the requests of the start, one after the other, and those of each output. */
struct gpu_memory {
    union {
        struct header header;
        struct create_2d create;
        struct attach_backing attach;
        struct set_scanout scanout;
    } request;
    union {
        struct header header;
        struct display_info info;
    } answer;
    struct {
        struct transfer transfer;
        struct flush flush;
        struct header answers[2];
    } outputs[GPU_OUTPUTS];
};

_Static_assert(sizeof(struct gpu_memory) <= PAGE_SIZE, "");

static volatile struct gpu_memory *memory_of(const struct gpu *gpu)
{
    return (volatile struct gpu_memory *)(volatile void *)gpu->memory.bytes;
}

static struct virtqueue_buffer buffer_of(const struct gpu *gpu, volatile void *at, size_t length)
{
    uint64_t offset = (uint64_t)((volatile uint8_t *)at - gpu->memory.bytes);
    return (struct virtqueue_buffer){pci_dma_address(&gpu->memory, offset), (uint32_t)length};
}

static uint32_t resource_of(uint32_t output)
{
    return output + 1;
}

/* --- Damage ------------------------------------------------------------------------------------------------------- */

static void send(struct gpu *gpu, struct gpu_output *output, volatile void *request, size_t length,
                 volatile struct header *answer)
{
    struct virtqueue_buffer buffers[2] = {buffer_of(gpu, request, length),
                                          buffer_of(gpu, answer, sizeof(*answer))};
    answer->type = 0;
    /* There is room: an output's requests are sent when it has none under way. */
    if (virtqueue_add(&gpu->queue.ring, buffers, 1, 1, output) >= 0)
        output->under_way++;
}

static void damage_send(struct gpu *gpu, uint32_t index)
{
    struct gpu_output *output = &gpu->outputs[index];
    const struct gpu_rectangle *damage = &output->damage;
    struct area area = {damage->left, damage->top, damage->right - damage->left,
                        damage->bottom - damage->top};
    if (output->under_way || damage->left == damage->right)
        return;
    volatile struct gpu_memory *memory = memory_of(gpu);
    memory->outputs[index].transfer = (struct transfer){
        .header.type = TRANSFER_TO_HOST_2D,
        .area = area,
        .offset = ((uint64_t)damage->top * output->width + damage->left) * PIXEL,
        .resource = resource_of(index),
    };
    memory->outputs[index].flush =
        (struct flush){.header.type = RESOURCE_FLUSH, .area = area, .resource = resource_of(index)};
    output->damage = (struct gpu_rectangle){0};
    send(gpu, output, &memory->outputs[index].transfer, sizeof(struct transfer),
         &memory->outputs[index].answers[0]);
    send(gpu, output, &memory->outputs[index].flush, sizeof(struct flush),
         &memory->outputs[index].answers[1]);
    virtio_queue_send(&gpu->queue);
}

void gpu_damage(struct gpu *gpu, uint32_t index, const struct gpu_rectangle *rectangle)
{
    struct gpu_output *output = &gpu->outputs[index];
    struct gpu_rectangle *damage = &output->damage;
    struct gpu_rectangle add = {rectangle->left, rectangle->top,
                                MIN(rectangle->right, output->width),
                                MIN(rectangle->bottom, output->height)};
    if (add.left >= add.right || add.top >= add.bottom)
        return;
    if (damage->left == damage->right)
        *damage = add;
    else
        *damage =
            (struct gpu_rectangle){MIN(damage->left, add.left), MIN(damage->top, add.top),
                                   MAX(damage->right, add.right), MAX(damage->bottom, add.bottom)};
    damage_send(gpu, index);
}

/* The device's refusals are its own affair: told once, for whoever wonders why nothing is seen. */
static void answers_check(struct gpu *gpu, uint32_t index)
{
    for (int i = 0; i < 2 && !gpu->complained; i++) {
        uint32_t type = memory_of(gpu)->outputs[index].answers[i].type;
        gpu->complained = type != OK_NODATA;
        if (gpu->complained)
            fprintf(stderr, "the display refuses to show output %u: %04x\n", index, type);
    }
}

/* Whether the answer to `ask` is among them. */
static bool completions_take(struct gpu *gpu)
{
    void *request;
    uint32_t written;
    bool answered = false;
    while (virtqueue_take(&gpu->queue.ring, &request, &written)) {
        struct gpu_output *output = request;
        answered |= request == gpu;
        if (request == gpu || --output->under_way)
            continue;
        uint32_t index = (uint32_t)(output - gpu->outputs);
        answers_check(gpu, index);
        damage_send(gpu, index);
    }
    return answered;
}

bool gpu_interrupt(struct gpu *gpu)
{
    virtio_interrupt_ack(&gpu->device, 0);
    completions_take(gpu);
    return !gpu->queue.ring.broken;
}

/* --- At the start: one request, and its answer -------------------------------------------------------------------- */

static int64_t answer_wait(struct gpu *gpu)
{
    int64_t deadline = clock_monotonic() + PATIENCE;
    struct abi_wait wait = {.handle = gpu->device.irqs[0], .signals = SIGNAL_READABLE};
    while (!completions_take(gpu)) {
        int64_t result = gpu->queue.ring.broken ? -E_IO : sys_wait_many(&wait, 1, deadline);
        if (result < 0 && result != -E_INTERRUPTED)
            return result;
        virtio_interrupt_ack(&gpu->device, 0);
    }
    return 0;
}

/* The request that was written to memory->request; `more` goes behind it if it has a length. */
static int64_t ask(struct gpu *gpu, size_t length, struct virtqueue_buffer more,
                   enum answer_type wanted)
{
    volatile struct gpu_memory *memory = memory_of(gpu);
    struct virtqueue_buffer buffers[3] = {buffer_of(gpu, &memory->request, length)};
    uint16_t readable = 1;
    if (more.length)
        buffers[readable++] = more;
    buffers[readable] = buffer_of(gpu, &memory->answer, sizeof(memory->answer));
    memory->answer.header.type = 0;
    int64_t result = virtqueue_add(&gpu->queue.ring, buffers, readable, 1, gpu);
    if (result < 0)
        return result;
    virtio_queue_send(&gpu->queue);
    result = answer_wait(gpu);
    if (result < 0)
        return result;
    return memory->answer.header.type == wanted ? 0 : -E_IO;
}

static const struct virtqueue_buffer nothing;

static int64_t outputs_ask(struct gpu *gpu)
{
    volatile struct gpu_memory *memory = memory_of(gpu);
    memory->request.header = (struct header){.type = GET_DISPLAY_INFO};
    int64_t result = ask(gpu, sizeof(struct header), nothing, OK_DISPLAY_INFO);
    for (uint32_t i = 0; result >= 0 && i < GPU_OUTPUTS; i++) {
        uint32_t width = memory->answer.info.outputs[i].area.width;
        uint32_t height = memory->answer.info.outputs[i].area.height;
        bool good =
            memory->answer.info.outputs[i].enabled && width <= SIDE_MAX && height <= SIDE_MAX;
        gpu->outputs[i] = (struct gpu_output){good ? width : 0, good ? height : 0, {0}, 0};
    }
    return result;
}

/* --- Started ------------------------------------------------------------------------------------------------------ */

/* What a gpu of a driver before us had goes, now that the device is reset; ours is noted for the next. */
static int64_t memories_make(struct gpu *gpu, struct gpu_kept *kept)
{
    for (size_t i = 0; i < ARRAY_SIZE(kept->memories); i++) {
        if (kept->memories[i])
            pci_dma_forget(&gpu->device.pci, kept->memories[i] - 1);
        kept->memories[i] = 0;
    }
    int64_t result =
        pci_dma_alloc(&gpu->device.pci, sizeof(struct gpu_memory), MEMORY_CONTIGUOUS, &gpu->memory);
    if (result < 0)
        return result;
    kept->memories[0] = gpu->memory.number + 1;
    result = virtio_queue_open(&gpu->device, QUEUE_CONTROL, QUEUE_SIZE, 0, &gpu->queue);
    if (result >= 0)
        kept->memories[1] = gpu->queue.memory.number + 1;
    return result;
}

int64_t gpu_start(struct gpu *gpu, handle_t claim, const char *function, struct gpu_kept *kept)
{
    *gpu = (struct gpu){.complained = false};
    int64_t result = claim == HANDLE_NONE
                         ? virtio_open(&gpu->device, function, VIRTIO_GPU)
                         : virtio_attach(&gpu->device, claim, function, VIRTIO_GPU);
    if (result < 0)
        return result;
    result = virtio_negotiate(&gpu->device, 0);
    if (result >= 0)
        result = virtio_interrupts(&gpu->device, 1);
    if (result >= 0)
        result = memories_make(gpu, kept);
    if (result >= 0)
        result = virtio_start(&gpu->device);
    if (result >= 0)
        result = outputs_ask(gpu);
    if (result < 0)
        pci_release(&gpu->device.pci);
    return result;
}

int64_t gpu_pixels(struct gpu *gpu, uint32_t width, uint32_t height, handle_t *memory)
{
    struct pci_dma dma;
    int64_t result = pci_dma_alloc(&gpu->device.pci, (uint64_t)width * PIXEL * height, 0, &dma);
    if (result < 0)
        return result;
    sys_ignore(sys_space_unmap(HANDLE_SELF, (uintptr_t)dma.bytes, dma.length));
    free(dma.pages);
    *memory = dma.memory;
    return 0;
}

/* The pages of the pixels as a list that the device reads. */
static int64_t backing_list(struct gpu *gpu, handle_t memory, uint64_t size, struct pci_dma *list)
{
    uint64_t count = ALIGN_UP(size, (uint64_t)PAGE_SIZE) / PAGE_SIZE;
    uint64_t *pages = calloc(count, sizeof(*pages));
    if (!pages)
        return -E_NO_MEMORY;
    int64_t result = sys_memory_op(memory, MEMORY_OP_PHYSICAL, 0, count * PAGE_SIZE, pages);
    if (result >= 0)
        result = pci_dma_alloc(&gpu->device.pci, count * sizeof(struct backing), MEMORY_CONTIGUOUS,
                               list);
    for (uint64_t i = 0; result >= 0 && i < count; i++)
        ((struct backing *)(void *)list->bytes)[i] = (struct backing){pages[i], PAGE_SIZE, 0};
    free(pages);
    return result;
}

static int64_t backing_attach(struct gpu *gpu, uint32_t output, handle_t memory, uint64_t size)
{
    struct pci_dma list;
    uint32_t count = (uint32_t)(ALIGN_UP(size, (uint64_t)PAGE_SIZE) / PAGE_SIZE);
    int64_t result = backing_list(gpu, memory, size, &list);
    if (result < 0)
        return result;
    memory_of(gpu)->request.attach = (struct attach_backing){
        .header.type = RESOURCE_ATTACH_BACKING, .resource = resource_of(output), .count = count};
    result = ask(gpu, sizeof(struct attach_backing),
                 (struct virtqueue_buffer){pci_dma_address(&list, 0),
                                           count * (uint32_t)sizeof(struct backing)},
                 OK_NODATA);
    if (result != -E_TIMED_OUT) /* else the device may still read it */
        pci_dma_free(&gpu->device.pci, &list);
    return result;
}

int64_t gpu_show(struct gpu *gpu, uint32_t output, uint32_t width, uint32_t height, handle_t memory)
{
    volatile struct gpu_memory *shared = memory_of(gpu);
    shared->request.create = (struct create_2d){.header.type = RESOURCE_CREATE_2D,
                                                .resource = resource_of(output),
                                                .format = FORMAT_BGRX,
                                                .width = width,
                                                .height = height};
    int64_t result = ask(gpu, sizeof(struct create_2d), nothing, OK_NODATA);
    if (result >= 0)
        result = backing_attach(gpu, output, memory, (uint64_t)width * PIXEL * height);
    if (result < 0)
        return result;
    shared->request.scanout = (struct set_scanout){.header.type = SET_SCANOUT,
                                                   .area = {0, 0, width, height},
                                                   .scanout = output,
                                                   .resource = resource_of(output)};
    result = ask(gpu, sizeof(struct set_scanout), nothing, OK_NODATA);
    if (result < 0)
        return result;
    gpu->outputs[output].width = width;
    gpu->outputs[output].height = height;
    gpu_damage(gpu, output, &(struct gpu_rectangle){0, 0, width, height});
    return 0;
}
