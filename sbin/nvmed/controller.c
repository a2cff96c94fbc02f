#include "sbin/nvmed/controller.h"

#include <stdio.h>
#include <string.h>

#include "lib/pci/registers.h"
#include "lib/sys/wait.h"

#define MILLISECOND     INT64_C(1000000)
#define TIMEOUT_UNIT    (500 * MILLISECOND)
#define ADMIN_PATIENCE  (10000 * MILLISECOND)
#define SHUTDOWN_MOST   (1000 * MILLISECOND)
#define REGISTERS_MOST  0x10000u
#define REGISTERS_LEAST (NVME_BELLS + 4 * 4u) /* with the doorbells of two pairs */
#define EVENT           ((void *)1) /* the request of an event's command; those of others are pointers */

static int64_t now(void)
{
    return sys_clock_get(CLOCK_MONOTONIC_);
}

static volatile void *registers(const struct nvme_controller *controller)
{
    return controller->registers;
}

bool nvme_is_there(const struct nvme_controller *controller)
{
    return register_read(registers(controller), NVME_CSTS) != NVME_GONE;
}

/* --- Claimed ---------------------------------------------------------------------------------------------------- */

static int64_t registers_map(struct nvme_controller *controller)
{
    uint64_t length = MIN(controller->pci.description.bars[0].length, (uint64_t)REGISTERS_MOST);
    volatile void *at;
    if (length < REGISTERS_LEAST)
        return -E_NOT_SUPPORTED;
    int64_t result = pci_map(&controller->pci, 0, 0, length, CACHE_NONE, &at);
    if (result < 0)
        return result;
    controller->registers = at;
    controller->registers_length = length;
    controller->capabilities = register_read64(registers(controller), NVME_CAP);
    uint64_t capabilities = controller->capabilities;
    return capabilities == UINT64_MAX ? -E_NO_DEVICE
           : !(capabilities & NVME_CAP_NVM) || NVME_CAP_PAGE_MIN(capabilities) != 0 ||
                   NVME_CAP_ENTRIES(capabilities) < NVME_ENTRIES
               ? -E_NOT_SUPPORTED
               : 0;
}

/* How many pairs have doorbells within the registers. */
static uint32_t pairs_with_bells(const struct nvme_controller *controller)
{
    uint64_t room = controller->registers_length - NVME_BELLS;
    uint64_t pairs = room / (2 * NVME_CAP_STRIDE(controller->capabilities));
    return pairs ? (uint32_t)MIN(pairs - 1, (uint64_t)NVME_PAIRS_MAX) : 0;
}

/* A message for the admin queues and one for each pair; fewer are shared, and one is enough. */
static int64_t interrupts_open(struct nvme_controller *controller)
{
    uint16_t wanted = controller->pair_wanted + 1;
    uint16_t messages = MIN(wanted, controller->pci.description.msix_count);
    int64_t result = 0;
    for (uint16_t i = 0; i < messages && result >= 0; i++) {
        result = pci_interrupt(&controller->pci, PCI_INTERRUPT_MSIX, i, &controller->irqs[i]);
        controller->irq_count += result >= 0;
    }
    if (controller->irq_count)
        return 0;
    result = pci_interrupt(&controller->pci, PCI_INTERRUPT_ANY, 0, &controller->irqs[0]);
    controller->irq_count = result >= 0;
    return result;
}

static int64_t pair_open(struct nvme_controller *controller, struct nvme_pair *pair,
                         uint16_t number)
{
    uint16_t others = controller->irq_count - 1;
    pair->number = number;
    pair->irq = number && others ? (uint16_t)(1 + (number - 1) % others) : 0;
    int64_t result = pci_dma_alloc(&controller->pci, 2 * NVME_PAGE, 0, &pair->entries);
    if (result >= 0 && number)
        result =
            pci_dma_alloc(&controller->pci, (uint64_t)NVME_ENTRIES * NVME_PAGE, 0, &pair->pages);
    return result;
}

int64_t nvme_open(struct nvme_controller *controller, const char *function, uint32_t cpus)
{
    *controller = (struct nvme_controller){.event = 0};
    int64_t result = pci_claim(&controller->pci, function);
    if (result >= 0)
        result = registers_map(controller);
    if (result < 0)
        return result;
    controller->pair_wanted = (uint16_t)MIN(pairs_with_bells(controller), cpus);
    if (!controller->pair_wanted)
        return -E_NOT_SUPPORTED;
    result = interrupts_open(controller);
    if (result >= 0)
        result = pci_dma_alloc(&controller->pci, NVME_PAGE, 0, &controller->page);
    if (result >= 0)
        result = pair_open(controller, &controller->admin, 0);
    for (uint16_t i = 0; result >= 0 && i < controller->pair_wanted; i++)
        result = pair_open(controller, &controller->pairs[i], i + 1);
    return result < 0 ? result
                      : pci_enable(&controller->pci, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

/* --- At work ---------------------------------------------------------------------------------------------------- */

static uint32_t bell(const struct nvme_controller *controller, const struct nvme_pair *pair)
{
    return NVME_BELLS + 2u * pair->number * NVME_CAP_STRIDE(controller->capabilities);
}

static void pair_send(struct nvme_controller *controller, struct nvme_pair *pair)
{
    if (nvme_queue_publish(&pair->ring))
        register_write(registers(controller), bell(controller, pair), pair->ring.tail);
}

void nvme_send(struct nvme_controller *controller)
{
    for (uint16_t i = 0; i < controller->pair_count; i++)
        pair_send(controller, &controller->pairs[i]);
}

/* With one thread what several pairs bring is room: the one with most of it is taken. */
struct nvme_pair *nvme_pair_choose(struct nvme_controller *controller)
{
    struct nvme_pair *best = NULL;
    for (uint16_t i = 0; i < controller->pair_count; i++) {
        struct nvme_pair *pair = &controller->pairs[i];
        if (nvme_queue_next(&pair->ring) != NVME_NO_ID &&
            (!best || pair->ring.under_way < best->ring.under_way))
            best = pair;
    }
    return best;
}

/* The entry is the controller's again once it is told; told when there is none left, it is told once for all. */
bool nvme_pair_take(struct nvme_controller *controller, struct nvme_pair *pair,
                    struct nvme_done *done)
{
    if (nvme_queue_take(&pair->ring, done))
        return true;
    if (nvme_queue_consume(&pair->ring))
        register_write(registers(controller),
                       bell(controller, pair) + NVME_CAP_STRIDE(controller->capabilities),
                       pair->ring.head);
    return false;
}

void nvme_interrupt_ack(struct nvme_controller *controller, uint16_t irq, bool mine)
{
    sys_ignore(sys_irq_ack(controller->irqs[irq], mine ? 0 : IRQ_NOT_MINE));
}

/* --- Asked ------------------------------------------------------------------------------------------------------ */

struct question {
    bool answered;
    struct nvme_done done;
};

/* Whether there was anything. */
static bool admin_take(struct nvme_controller *controller)
{
    struct nvme_done done;
    bool any = false;
    while (nvme_pair_take(controller, &controller->admin, &done)) {
        any = true;
        if (done.request != EVENT) {
            struct question *question = done.request;
            *question = (struct question){true, done};
        } else if (done.status == 0) { /* else it has been asked for more events than it likes */
            controller->event = done.result;
            controller->event_is_new = true;
        }
    }
    return any;
}

/* Other pairs may have the same interrupt: it is acknowledged as ours, and they are looked at when it fires again. */
static int64_t answer_wait(struct nvme_controller *controller, const struct question *question,
                           int64_t deadline)
{
    handle_t irq = controller->irqs[controller->admin.irq];
    while (!admin_take(controller) || !question->answered) {
        if (controller->admin.ring.broken)
            return -E_IO;
        int64_t result = handle_wait(irq, SIGNAL_READABLE, deadline);
        if (result < 0)
            return result;
        sys_ignore(sys_irq_ack(irq, 0));
    }
    return 0;
}

int64_t nvme_admin(struct nvme_controller *controller, const struct nvme_command *command,
                   uint32_t *result)
{
    /* The controller may answer when nobody waits any more: no stack of ours may be meant then. */
    static struct question question;
    question.answered = false;
    int64_t error = nvme_queue_add(&controller->admin.ring, command, &question);
    if (error < 0)
        return error;
    pair_send(controller, &controller->admin);
    error = answer_wait(controller, &question, now() + ADMIN_PATIENCE);
    if (error < 0) {
        controller->admin.ring.broken = true;
        return error;
    }
    if (result)
        *result = question.done.result;
    return question.done.status == 0 ? 0 : -E_IO;
}

int64_t nvme_identify(struct nvme_controller *controller, enum nvme_identify_what what,
                      uint32_t namespace)
{
    struct nvme_command command = {.op = NVME_IDENTIFY,
                                   .namespace = namespace,
                                   .prp = {pci_dma_address(&controller->page, 0)},
                                   .args = {what}};
    memset(controller->page.bytes, 0, NVME_PAGE);
    return nvme_admin(controller, &command, NULL);
}

/* --- Events ----------------------------------------------------------------------------------------------------- */

static void event_ask(struct nvme_controller *controller)
{
    struct nvme_command command = {.op = NVME_EVENT_REQUEST};
    if (nvme_queue_add(&controller->admin.ring, &command, EVENT) >= 0)
        pair_send(controller, &controller->admin);
}

bool nvme_event_next(struct nvme_controller *controller, uint32_t *event)
{
    admin_take(controller);
    if (!controller->event_is_new)
        return false;
    controller->event_is_new = false;
    *event = controller->event;
    /* Its page of the log is to be read, or it does not come again. What it says is asked for by Identify, in full. */
    struct nvme_command command = {.op = NVME_GET_LOG,
                                   .namespace = UINT32_MAX,
                                   .prp = {pci_dma_address(&controller->page, 0)},
                                   .args = {NVME_EVENT_PAGE(*event) | (NVME_PAGE / 4 - 1) << 16}};
    if (NVME_EVENT_PAGE(*event) && nvme_admin(controller, &command, NULL) < 0)
        fprintf(stderr, "the log of an event cannot be read\n");
    event_ask(controller);
    return true;
}

/* --- Made ready ------------------------------------------------------------------------------------------------- */

/* It has no interrupt for that. */
static int64_t ready_wait(struct nvme_controller *controller, uint32_t ready)
{
    int64_t units = MAX(NVME_CAP_TIMEOUT(controller->capabilities), 1u);
    int64_t deadline = now() + units * TIMEOUT_UNIT;
    for (;;) {
        uint32_t status = register_read(registers(controller), NVME_CSTS);
        if (status == NVME_GONE)
            return -E_NO_DEVICE;
        if ((status & NVME_CSTS_READY) == ready)
            return 0;
        if (ready && status & NVME_CSTS_FATAL)
            return -E_IO;
        if (now() > deadline)
            return -E_TIMED_OUT;
        sleep_until(now() + MILLISECOND);
    }
}

static int64_t pair_reset(struct nvme_pair *pair)
{
    nvme_queue_destroy(&pair->ring);
    memset(pair->entries.bytes, 0, 2 * NVME_PAGE);
    return nvme_queue_init(&pair->ring, pair->entries.bytes, pair->entries.bytes + NVME_PAGE,
                           NVME_ENTRIES)
               ? 0
               : -E_NO_MEMORY;
}

void nvme_give_up(struct nvme_controller *controller)
{
    sys_ignore(pci_enable(&controller->pci, PCI_COMMAND_MEMORY));
    nvme_queue_destroy(&controller->admin.ring);
    for (uint16_t i = 0; i < controller->pair_wanted; i++)
        nvme_queue_destroy(&controller->pairs[i].ring);
    controller->pair_count = 0;
    controller->given_up = true;
}

void nvme_shut_down(struct nvme_controller *controller)
{
    int64_t deadline = now() + SHUTDOWN_MOST;
    register_write(registers(controller), NVME_CC,
                   NVME_CC_ENTRIES | NVME_CC_ENABLE | NVME_CC_SHUTDOWN);
    while ((register_read(registers(controller), NVME_CSTS) & NVME_CSTS_SHUTDOWN) !=
               NVME_CSTS_SHUTDOWN_DONE &&
           now() < deadline)
        sleep_until(now() + MILLISECOND);
    nvme_give_up(controller);
}

bool nvme_is_broken(const struct nvme_controller *controller)
{
    bool broken = controller->admin.ring.broken;
    for (uint16_t i = 0; i < controller->pair_count; i++)
        broken |= controller->pairs[i].ring.broken;
    return broken && !controller->given_up;
}

static int64_t disable(struct nvme_controller *controller)
{
    register_write(registers(controller), NVME_CC, 0);
    return ready_wait(controller, 0);
}

/* 7.6.1 */
static int64_t enable(struct nvme_controller *controller)
{
    const struct pci_dma *entries = &controller->admin.entries;
    register_write(registers(controller), NVME_AQA, (NVME_ENTRIES - 1) << 16 | (NVME_ENTRIES - 1));
    register_write64(registers(controller), NVME_ASQ, pci_dma_address(entries, 0));
    register_write64(registers(controller), NVME_ACQ, pci_dma_address(entries, NVME_PAGE));
    register_write(registers(controller), NVME_CC, NVME_CC_ENTRIES | NVME_CC_ENABLE);
    return ready_wait(controller, NVME_CSTS_READY);
}

static int64_t feature_set(struct nvme_controller *controller, enum nvme_feature feature,
                           uint32_t value, uint32_t *result)
{
    struct nvme_command command = {.op = NVME_SET_FEATURES, .args = {feature, value}};
    return nvme_admin(controller, &command, result);
}

/* A completion queue, and the submission queue that completes there (5.3, 5.4). */
static int64_t pair_create(struct nvme_controller *controller, struct nvme_pair *pair)
{
    uint32_t number = (NVME_ENTRIES - 1) << 16 | pair->number;
    struct nvme_command completions = {
        .op = NVME_COMPLETION_CREATE,
        .prp = {pci_dma_address(&pair->entries, NVME_PAGE)},
        .args = {number, (uint32_t)pair->irq << 16 | NVME_QUEUE_TELLS | NVME_QUEUE_LINEAR}};
    struct nvme_command submissions = {
        .op = NVME_SUBMISSION_CREATE,
        .prp = {pci_dma_address(&pair->entries, 0)},
        .args = {number, (uint32_t)pair->number << 16 | NVME_QUEUE_LINEAR}};
    int64_t result = pair_reset(pair);
    if (result >= 0)
        result = nvme_admin(controller, &completions, NULL);
    return result < 0 ? result : nvme_admin(controller, &submissions, NULL);
}

static int64_t pairs_create(struct nvme_controller *controller)
{
    uint32_t wanted = controller->pair_wanted, given = 0;
    int64_t result =
        feature_set(controller, NVME_FEATURE_QUEUES, (wanted - 1) << 16 | (wanted - 1), &given);
    given = MIN(given & 0xffff, given >> 16) + 1;
    wanted = MIN(wanted, given);
    for (uint16_t i = 0; result >= 0 && i < wanted; i++) {
        result = pair_create(controller, &controller->pairs[i]);
        controller->pair_count += result >= 0;
    }
    return controller->pair_count ? 0 : result;
}

static int64_t start(struct nvme_controller *controller)
{
    int64_t result = disable(controller);
    if (result >= 0)
        result = pair_reset(&controller->admin);
    if (result >= 0)
        result = enable(controller);
    if (result >= 0)
        result = nvme_identify(controller, NVME_IDENTIFY_CONTROLLER, 0);
    if (result < 0)
        return result;
    uint8_t copy[NVME_PAGE];
    memcpy(copy, controller->page.bytes, sizeof(copy));
    result = nvme_controller_parse(copy, register_read(registers(controller), NVME_VS),
                                   &controller->facts);
    return result < 0 ? result : pairs_create(controller);
}

int64_t nvme_start(struct nvme_controller *controller)
{
    controller->pair_count = 0;
    controller->event_is_new = false;
    int64_t result = start(controller);
    if (result < 0)
        return result;
    uint32_t events =
        NVME_TELL_HEALTH | (controller->facts.tells_namespaces ? NVME_TELL_NAMESPACES : 0);
    if (feature_set(controller, NVME_FEATURE_EVENTS, events, NULL) >= 0)
        event_ask(controller);
    return controller->admin.ring.broken ? -E_IO : 0;
}
