#include "lib/virtio/virtqueue.h"

#include <stdlib.h>
#include <string.h>

#include "abi/errors.h"

static uint16_t load(const uint16_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void store(uint16_t *word, uint16_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

/* Behind the available ring: the device interrupts when it has used the request with this number. */
static uint16_t *used_event(const struct virtqueue *queue)
{
    return &queue->available->ring[queue->size];
}

/* Behind the used ring: it is notified of the request with this number. */
static const uint16_t *available_event(const struct virtqueue *queue)
{
    return (const uint16_t *)(const void *)&queue->used->ring[queue->size];
}

bool virtqueue_init(struct virtqueue *queue, void *memory, uint16_t size, uint32_t alignment,
                    bool event_index)
{
    uint8_t *bytes = memory;
    *queue = (struct virtqueue){
        .descriptors = memory,
        .available = (void *)(bytes + virtqueue_available_at(size)),
        .used = (void *)(bytes + virtqueue_used_at(size, alignment)),
        .slots = calloc(size, sizeof(*queue->slots)),
        .size = size,
        .event_index = event_index,
    };
    if (!queue->slots)
        return false;
    virtqueue_reset(queue);
    return true;
}

void virtqueue_reset(struct virtqueue *queue)
{
    uint8_t *begin = (void *)queue->descriptors, *end = (void *)&queue->used->ring[queue->size];
    memset(begin, 0, (size_t)(end + sizeof(uint16_t) - begin));
    for (uint16_t i = 0; i < queue->size; i++)
        queue->slots[i] = (struct virtqueue_slot){.next = i + 1};
    queue->free = 0;
    queue->free_count = queue->size;
    queue->added = queue->published = queue->taken = queue->under_way = 0;
    queue->interrupts = true;
    queue->broken = false;
}

void virtqueue_destroy(struct virtqueue *queue)
{
    free(queue->slots);
    queue->slots = NULL;
}

/* --- Out -------------------------------------------------------------------------------------------------------- */

/* How much the device may write, if all of it is less than 4 GiB. */
static int64_t lengths_check(const struct virtqueue_buffer *buffers, uint16_t readable,
                             uint16_t count)
{
    uint64_t total = 0, writable = 0;
    for (uint16_t i = 0; i < count; i++) {
        if (!buffers[i].length)
            return -E_INVALID;
        total += buffers[i].length;
        writable += i < readable ? 0 : buffers[i].length;
    }
    return total > UINT32_MAX ? -E_RANGE : (int64_t)writable;
}

int64_t virtqueue_add(struct virtqueue *queue, const struct virtqueue_buffer *buffers,
                      uint16_t readable, uint16_t writable, void *request)
{
    uint32_t count = (uint32_t)readable + writable;
    if (queue->broken)
        return -E_IO;
    if (count == 0 || !request)
        return -E_INVALID;
    if (count > queue->size)
        return -E_RANGE;
    if (count > queue->free_count)
        return -E_AGAIN;
    int64_t length = lengths_check(buffers, readable, (uint16_t)count);
    if (length < 0)
        return length;
    uint16_t head = queue->free, at = head;
    for (uint16_t i = 0; i < count; i++, at = queue->slots[at].next)
        queue->descriptors[at] = (struct virtqueue_descriptor){
            .address = buffers[i].address,
            .length = buffers[i].length,
            .flags = (uint16_t)((i + 1u < count ? VIRTQUEUE_NEXT : 0) |
                                (i >= readable ? VIRTQUEUE_WRITE : 0)),
            .next = i + 1u < count ? queue->slots[at].next : 0,
        };
    queue->slots[head].request = request;
    queue->slots[head].writable = (uint32_t)length;
    queue->slots[head].count = (uint16_t)count;
    queue->free = at;
    queue->free_count -= (uint16_t)count;
    queue->under_way++;
    queue->available->ring[queue->added++ & (queue->size - 1)] = head;
    return 0;
}

bool virtqueue_publish(struct virtqueue *queue)
{
    uint16_t before = queue->published, now = queue->added;
    if (before == now || queue->broken)
        return false;
    __atomic_store_n(&queue->available->index, now, __ATOMIC_RELEASE);
    queue->published = now;
    /* Either the device sees the index before it waits, or we see that it wants to be told. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!queue->event_index)
        return !(load(&queue->used->flags) & VIRTQUEUE_NO_NOTIFY);
    return (uint16_t)(now - load(available_event(queue)) - 1) < (uint16_t)(now - before);
}

/* --- In --------------------------------------------------------------------------------------------------------- */

/* Whether there is a completion. No more can be there than requests are under way. */
static bool completion_is_there(struct virtqueue *queue)
{
    uint16_t index = __atomic_load_n(&queue->used->index, __ATOMIC_ACQUIRE);
    uint16_t there = index - queue->taken;
    if (there > queue->under_way)
        queue->broken = true;
    return there && !queue->broken;
}

/* From now on the next completion interrupts; true: it came before that could be seen. */
static bool interrupts_on(struct virtqueue *queue)
{
    queue->interrupts = true;
    if (queue->event_index)
        store(used_event(queue), queue->taken);
    else
        store(&queue->available->flags, 0);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return completion_is_there(queue);
}

/* While completions are taken none interrupts: with event_index anyhow, until interrupts_on names the next one. */
static void interrupts_off(struct virtqueue *queue)
{
    if (queue->interrupts && !queue->event_index)
        store(&queue->available->flags, VIRTQUEUE_NO_INTERRUPT);
    queue->interrupts = false;
}

static void slots_free(struct virtqueue *queue, uint16_t head)
{
    struct virtqueue_slot *first = &queue->slots[head];
    uint16_t last = head;
    for (uint16_t i = 1; i < first->count; i++)
        last = queue->slots[last].next;
    queue->slots[last].next = queue->free;
    queue->free = head;
    queue->free_count += first->count;
    queue->under_way--;
    first->request = NULL;
}

/* Whether there is one to take; if not, its interrupt will come. */
static bool completion_next(struct virtqueue *queue)
{
    if (queue->broken)
        return false;
    if (completion_is_there(queue))
        return true;
    return !queue->broken && !queue->interrupts && interrupts_on(queue);
}

bool virtqueue_take(struct virtqueue *queue, void **request, uint32_t *written)
{
    if (!completion_next(queue))
        return false;
    interrupts_off(queue);
    const struct virtqueue_completion *done = &queue->used->ring[queue->taken & (queue->size - 1)];
    uint32_t id = __atomic_load_n(&done->id, __ATOMIC_RELAXED);
    uint32_t length = __atomic_load_n(&done->written, __ATOMIC_RELAXED);
    if (id >= queue->size || !queue->slots[id].request) {
        queue->broken = true;
        return false;
    }
    *request = queue->slots[id].request;
    *written =
        MIN(length, queue->slots[id].writable); /* QEMU's input devices count what they read */
    queue->taken++;
    slots_free(queue, (uint16_t)id);
    return true;
}
