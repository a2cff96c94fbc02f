/* An NVMe controller: from its claim to its queues at work, and back there when it has lost its way.
 *
 *     nvme_open(&controller, "pci:///00:12.0", cpus)     claimed, its memory and interrupts are there
 *     nvme_start(&controller)                            reset, identified, a pair of queues for each interrupt but the first
 *
 *     nvme_pair_choose(&controller)                      the pair for the next request; NULL: all are full
 *     nvme_queue_add(&pair->ring, ...), nvme_send(&controller)
 *     on an interrupt: nvme_pair_take(&controller, pair, &done) until it finds nothing, nvme_interrupt_ack(&controller, irq, mine)
 *
 *     nvme_start(&controller)                            once more: nothing of what was under way is any more
 *
 *     disabled --enable--> ready --admin commands--> queues made --requests--> ...
 *        ^                                                            |
 *        +------------------------- nvme_start ----------------------+       a request is not done in time, a queue is broken
 *
 * The first interrupt tells of the admin queue: of answers to what is asked here, which is waited for, and of events (5.2), of which
 * nvme_event_next tells. Results are 0 or -E_*. E_NO_DEVICE: the function is not there any more. One thread.
 */
#pragma once

#include "lib/pci/driver.h"
#include "sbin/nvmed/identify.h"
#include "sbin/nvmed/queue.h"

#define NVME_PAIRS_MAX 16u /* of I/O queues */
#define NVME_ENTRIES   64u /* of each queue: a page of commands */

struct nvme_pair {
    struct nvme_queue ring;
    struct pci_dma entries; /* a page of commands, a page of completions */
    struct pci_dma pages;   /* of I/O: one for each command, by its identifier */
    uint16_t number;        /* 0: the admin queues */
    uint16_t irq;           /* its index */
};

struct nvme_controller {
    struct pci_device pci;
    volatile void *registers;
    uint64_t registers_length, capabilities;
    handle_t irqs[NVME_PAIRS_MAX + 1];
    uint16_t irq_count;
    struct pci_dma page; /* what the admin commands answer with */
    struct nvme_pair admin, pairs[NVME_PAIRS_MAX];
    uint16_t pair_wanted, pair_count;
    struct nvme_controller_facts facts;
    bool given_up;
    bool event_is_new;
    uint32_t event; /* the result of its command */
};

MUST_CHECK int64_t nvme_open(struct nvme_controller *controller, const char *function,
                             uint32_t cpus);
MUST_CHECK int64_t nvme_start(struct nvme_controller *controller);
/* What lies in its caches goes to the media (7.6.2), and then it is given up. Waits, but not for long. */
void nvme_shut_down(struct nvme_controller *controller);
bool nvme_is_there(const struct nvme_controller *controller);
/* It reaches no memory any more, and takes nothing. */
void nvme_give_up(struct nvme_controller *controller);
/* It does not keep the rules: only nvme_start helps. */
bool nvme_is_broken(const struct nvme_controller *controller);

/* One admin command, whose answer is waited for; its data is in controller->page. E_IO: it failed; *result may be NULL. */
MUST_CHECK int64_t nvme_admin(struct nvme_controller *controller,
                              const struct nvme_command *command, uint32_t *result);
/* Into controller->page. */
MUST_CHECK int64_t nvme_identify(struct nvme_controller *controller, enum nvme_identify_what what,
                                 uint32_t namespace);

/* The event that came, if one did; the next one is asked for. */
MUST_CHECK bool nvme_event_next(struct nvme_controller *controller, uint32_t *event);

struct nvme_pair *nvme_pair_choose(struct nvme_controller *controller);
/* What was added to any of the pairs is the controller's. */
void nvme_send(struct nvme_controller *controller);
MUST_CHECK bool nvme_pair_take(struct nvme_controller *controller, struct nvme_pair *pair,
                               struct nvme_done *done);
void nvme_interrupt_ack(struct nvme_controller *controller, uint16_t irq, bool mine);
