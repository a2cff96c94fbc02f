#include "sbin/nvmed/queue.h"

#include <stdlib.h>

#include "abi/errors.h"

bool nvme_queue_init(struct nvme_queue *queue, void *submissions, const void *completions,
                     uint16_t entries)
{
    *queue = (struct nvme_queue){
        .submissions = submissions,
        .completions = completions,
        .slots = calloc(entries, sizeof(*queue->slots)),
        .entries = entries,
        .phase = NVME_PHASE,
    };
    for (uint16_t i = 0; queue->slots && i < entries; i++)
        queue->slots[i].next = i + 1;
    return queue->slots != NULL;
}

void nvme_queue_destroy(struct nvme_queue *queue)
{
    free(queue->slots);
    *queue = (struct nvme_queue){.broken = true};
}

/* --- Out -------------------------------------------------------------------------------------------------------- */

static uint16_t index_after(const struct nvme_queue *queue, uint16_t index)
{
    return index + 1u == queue->entries ? 0 : index + 1;
}

int64_t nvme_queue_add(struct nvme_queue *queue, const struct nvme_command *command, void *request)
{
    uint16_t id = nvme_queue_next(queue);
    if (id == NVME_NO_ID)
        return queue->broken ? -E_IO : -E_AGAIN;
    struct nvme_command *entry = &queue->submissions[queue->tail];
    *entry = *command;
    entry->id = id;
    queue->free = queue->slots[id].next;
    queue->slots[id].request = request;
    queue->under_way++;
    queue->tail = index_after(queue, queue->tail);
    return 0;
}

bool nvme_queue_publish(struct nvme_queue *queue)
{
    bool news = queue->published != queue->tail && !queue->broken;
    queue->published = queue->tail;
    return news;
}

/* --- In --------------------------------------------------------------------------------------------------------- */

static void *slot_free(struct nvme_queue *queue, uint16_t id)
{
    void *request = queue->slots[id].request;
    queue->slots[id] = (struct nvme_slot){.next = queue->free};
    queue->free = id;
    queue->under_way--;
    return request;
}

bool nvme_queue_take(struct nvme_queue *queue, struct nvme_done *done)
{
    if (queue->broken)
        return false;
    const struct nvme_completion *entry = &queue->completions[queue->head];
    uint16_t status = __atomic_load_n(&entry->status, __ATOMIC_ACQUIRE);
    if ((status & NVME_PHASE) != queue->phase)
        return false;
    uint16_t id = __atomic_load_n(&entry->id, __ATOMIC_RELAXED);
    if (id >= queue->entries || !queue->slots[id].request) {
        queue->broken = true;
        return false;
    }
    *done = (struct nvme_done){
        .result = __atomic_load_n(&entry->result, __ATOMIC_RELAXED),
        .status = status >> 1,
        .id = id,
    };
    done->request = slot_free(queue, id);
    queue->head = index_after(queue, queue->head);
    queue->phase ^= queue->head ? 0 : NVME_PHASE;
    return true;
}

bool nvme_queue_consume(struct nvme_queue *queue)
{
    bool news = queue->consumed != queue->head && !queue->broken;
    queue->consumed = queue->head;
    return news;
}
