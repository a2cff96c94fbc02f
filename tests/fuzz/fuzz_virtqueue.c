// sources: lib/virtio/virtqueue.c
/* A device that does anything: the input is a list of requests of ours, of completions, and of words that it writes
 * anywhere into the queue's memory at any moment. The memory is a block of its own, so any step outside is found. What
 * must hold: what is taken was added and not taken before, no more is written than was lent, and what is broken stays so. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "abi/abi.h"
#include "abi/errors.h"
#include "lib/virtio/virtqueue.h"
#include "tests/fuzz/input.h"

#define PIECES 5u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

struct request {
    bool under_way;
    uint32_t writable;
};

static struct request requests[256];

static void check(bool condition)
{
    if (!condition)
        abort();
}

static void add(struct virtqueue *queue, struct input *input)
{
    struct virtqueue_buffer buffers[2 * PIECES];
    struct request *request = &requests[next(input, 1)];
    uint16_t readable = (uint16_t)(next(input, 1) % PIECES);
    uint16_t writable = (uint16_t)(next(input, 1) % PIECES);
    uint64_t lent = 0;

    if (request->under_way)
        return;
    for (uint16_t i = 0; i < readable + writable; i++) {
        buffers[i] = (struct virtqueue_buffer){i, next(input, i & 1 ? 1 : 4)};
        lent += i >= readable ? buffers[i].length : 0;
    }
    int64_t result = virtqueue_add(queue, buffers, readable, writable, request);
    check(result <= 0 && (result < 0 || !queue->broken));
    if (result == 0)
        *request = (struct request){true, (uint32_t)lent};
}

static void take(struct virtqueue *queue)
{
    void *taken;
    uint32_t written;
    bool broken = queue->broken;

    if (!virtqueue_take(queue, &taken, &written))
        return;
    struct request *request = taken;
    check(!broken && request->under_way && written <= request->writable);
    request->under_way = false;
}

/* The words that matter most can be hit by few bytes of input. */
static void device_write(struct virtqueue *queue, struct input *input, uint8_t *memory,
                         size_t bytes)
{
    uint32_t what = next(input, 1);

    if (what & 1)
        queue->used->index = (uint16_t)(queue->taken + (what >> 1) % 8);
    else if (what & 2)
        queue->used->ring[(what >> 2) % queue->size] =
            (struct virtqueue_completion){next(input, 1), next(input, 2)};
    else
        memory[next(input, 2) % bytes] = (uint8_t)next(input, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    struct input input = {data, data + length};
    uint32_t kind = next(&input, 1);
    uint16_t size = (uint16_t)(1u << kind % 6);
    uint32_t alignment = kind & 0x40 ? PAGE_SIZE : VIRTQUEUE_ALIGNMENT;
    size_t bytes = virtqueue_bytes(size, alignment);
    uint8_t *memory = calloc(1, bytes);
    struct virtqueue queue;

    memset(requests, 0, sizeof(requests));
    check(virtqueue_init(&queue, memory, size, alignment, kind & 0x80));
    while (input.at < input.end) {
        uint16_t under_way = 0;

        switch (next(&input, 1) % 4) {
        case 0:
            add(&queue, &input);
            break;
        case 1:
            (void)!virtqueue_publish(&queue);
            break;
        case 2:
            take(&queue);
            break;
        default:
            device_write(&queue, &input, memory, bytes);
        }
        for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
            under_way += requests[i].under_way;
        check(under_way == queue.under_way && queue.free_count <= size);
    }
    virtqueue_destroy(&queue);
    free(memory);
    return 0;
}
