/* A pair of NVMe queues (4.1): commands out, completions in, in any order.
 *
 *     nvme_queue_init(&queue, submissions, completions, entries)    memory the controller reaches, zero
 *     nvme_queue_add(&queue, &command, request)                     any number, then
 *     nvme_queue_publish(&queue)                                    true: `tail` is to be written to its doorbell
 *     ... the interrupt ...
 *     while (nvme_queue_take(&queue, &done)) ...
 *     nvme_queue_consume(&queue)        true: something was, and `head` is to be written to the other doorbell
 *
 * The controller is not trusted. It may write anything anywhere into the memory at any moment; so what is under way lies in
 * memory of our own, commands are written and never read, and each word of a completion is read once and checked: an identifier
 * of no command that is under way breaks the queue for good (queue->broken), and the controller is to be reset. How far the
 * controller says it has come with the submissions is not looked at: with fewer commands under way than there are entries, no
 * entry is written that it has not fetched.
 *
 * One thread at a time. Fences:
 *
 *     driver                                   controller
 *     command; doorbell = tail (release)       doorbell; command
 *     status with its phase (acquire); rest    rest; status with its phase
 */
#pragma once

#include "sbin/nvmed/nvme.h"

struct nvme_slot {
    void *request; /* NULL: free */
    uint16_t next; /* of the free ones */
};

struct nvme_queue {
    struct nvme_command *submissions;
    const struct nvme_completion *completions;
    struct nvme_slot *slots; /* by the command's identifier */
    uint16_t entries, tail, published, head, consumed;
    uint16_t free, under_way;
    uint16_t phase; /* of a completion that is new */
    bool broken;
};

struct nvme_done {
    void *request;
    uint32_t result;
    uint16_t status; /* without the phase */
    uint16_t id;
};

/* entries: of both, 2 to 65536 / 2. False: no memory. */
MUST_CHECK bool nvme_queue_init(struct nvme_queue *queue, void *submissions,
                                const void *completions, uint16_t entries);
/* Broken from then on; also of one that never was. */
void nvme_queue_destroy(struct nvme_queue *queue);

/* The identifier that the next command will have; NVME_NO_ID: there is no room. What belongs to a command (a list of pages) is
 * found by it. */
#define NVME_NO_ID UINT16_MAX
static inline uint16_t nvme_queue_next(const struct nvme_queue *queue)
{
    return queue->broken || queue->under_way + 1u >= queue->entries ? NVME_NO_ID : queue->free;
}

/* The command, with the next identifier. request is not NULL. -E_AGAIN: no room; -E_IO: the queue is broken. */
MUST_CHECK int64_t nvme_queue_add(struct nvme_queue *queue, const struct nvme_command *command,
                                  void *request);

/* What was added is the controller's from the next store on. True: the doorbell is to be written. */
MUST_CHECK bool nvme_queue_publish(struct nvme_queue *queue);

/* The next command that is done; false: none is, or the queue is broken. */
MUST_CHECK bool nvme_queue_take(struct nvme_queue *queue, struct nvme_done *done);

/* What was taken is the controller's to write to. True: the doorbell is to be written. */
MUST_CHECK bool nvme_queue_consume(struct nvme_queue *queue);
