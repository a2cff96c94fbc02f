/* An NVMe controller with namespaces in memory, for tests of nvmed as a whole. It keeps the rules, unless it is told otherwise.
 *
 *     fake_nvme_plug()                    a controller with one namespace; then nvmed_serve(...)
 *     fake_nvme.hold = true               requests stay with it until fake_nvme_complete(index, status)
 *     fake_nvme_interrupts()              those that it has raised reach the driver
 */
#pragma once

#include "sbin/nvmed/driver.h"
#include "sbin/nvmed/nvme.h"
#include "tests/host/fake_driver.h"

#define FAKE_QUEUES     4u /* with the admin queues */
#define FAKE_HELD       256u
#define FAKE_NAMESPACES 3u
#define FAKE_BLOCKS     4096u

struct fake_nvme_queue {
    const struct nvme_command *submissions;
    struct nvme_completion *completions;
    uint32_t entries, head, tail, completed, consumed;
    uint16_t phase, vector;
};

struct fake_nvme {
    uint32_t registers[0x40 / 4];
    struct fake_nvme_queue queues[FAKE_QUEUES];
    uint64_t blocks[FAKE_NAMESPACES + 1]; /* by number; 0: none */
    uint8_t *bytes[FAKE_NAMESPACES + 1];
    uint32_t interrupts; /* a bit for each vector */
    bool hold, dead, gone, never_ready;
    struct {
        struct nvme_command command;
        uint16_t queue;
    } held[FAKE_HELD];
    unsigned held_count, most_held, enabled, events_wanted;
    uint16_t event_ids[8];
    uint64_t flushes, zeroes, discards;
    void (*corrupt)(uint8_t *identify);
    uint16_t admin_status; /* of all admin commands but those that ask for events */
};

static struct fake_nvme fake_nvme;

static inline void fake_nvme_plug(void)
{
    static uint8_t bar[0x2000];

    fake_driver_start();
    fake_nvme = (struct fake_nvme){.blocks = {0, FAKE_BLOCKS}};
    fake_nvme.registers[NVME_CAP / 4] = 255 | 1u << 24; /* entries less one, half a second */
    fake_nvme.registers[NVME_CAP / 4 + 1] = NVME_CAP_NVM >> 32;
    fake_nvme.registers[NVME_VS / 4] = 0x10400;
    fake_bar = bar;
    fake_description = (struct pci_description){.class_code = 0x010802, .msix_count = FAKE_QUEUES};
    fake_description.bars[0].length = sizeof(bar);
}

static inline void fake_nvme_unplug(void)
{
    fake_driver_end();
    for (unsigned i = 1; i <= FAKE_NAMESPACES; i++)
        free(fake_nvme.bytes[i]);
}

static inline void fake_nvme_put(uint16_t queue, uint16_t id, uint16_t status, uint32_t result)
{
    struct fake_nvme_queue *to = &fake_nvme.queues[queue];
    struct nvme_completion *entry = &to->completions[to->completed];

    *entry = (struct nvme_completion){
        .result = result,
        .id = id,
        .submission_queue = queue,
        .status = (uint16_t)(status << 1 | to->phase),
    };
    to->completed = (to->completed + 1) % to->entries;
    to->phase ^= !to->completed;
    fake_nvme.interrupts |= 1u << to->vector;
}

/* --- Admin -------------------------------------------------------------------------------------------------------- */

static inline void fake_nvme_identify(const struct nvme_command *command)
{
    uint8_t *to = (uint8_t *)(uintptr_t)command->prp[0];
    uint32_t *numbers = (uint32_t *)(void *)to, count = 0;

    memset(to, 0, NVME_PAGE);
    switch (command->args[0]) {
    case NVME_IDENTIFY_CONTROLLER:
        memcpy(to + 4, "  serial 1          ", 20);
        memcpy(to + 24, "model\1", 6);
        to[77] = 5; /* 128 KiB */
        to[93] = 1; /* tells of namespaces */
        to[512] = 0x66;
        to[513] = 0x44;
        to[516] = FAKE_NAMESPACES;
        to[520] = 0x0c; /* dataset management, write zeroes */
        to[525] = 1;
        break;
    case NVME_IDENTIFY_NAMESPACE:
        if (command->namespace <= FAKE_NAMESPACES)
            memcpy(to, &fake_nvme.blocks[command->namespace], 8);
        to[130] = 9;
        break;
    default:
        for (uint32_t i = command->namespace + 1; i <= FAKE_NAMESPACES; i++)
            if (fake_nvme.blocks[i])
                numbers[count++] = i;
    }
    if (fake_nvme.corrupt)
        fake_nvme.corrupt(to);
}

static inline void fake_nvme_create(const struct nvme_command *command)
{
    uint16_t number = command->args[0] & 0xffff;
    struct fake_nvme_queue *queue = &fake_nvme.queues[number];

    fake_require(number && number < FAKE_QUEUES, "no such queue");
    if (command->op == NVME_COMPLETION_CREATE) {
        *queue = (struct fake_nvme_queue){
            .completions = (struct nvme_completion *)(uintptr_t)command->prp[0],
            .entries = (command->args[0] >> 16) + 1,
            .phase = 1,
            .vector = (uint16_t)(command->args[1] >> 16),
        };
        return;
    }
    fake_require(queue->completions && command->args[1] >> 16 == number, "completes nowhere");
    queue->submissions = (const struct nvme_command *)(uintptr_t)command->prp[0];
}

static inline void fake_nvme_admin(const struct nvme_command *command)
{
    uint32_t result = 0;

    switch (command->op) {
    case NVME_IDENTIFY:
        fake_nvme_identify(command);
        break;
    case NVME_SUBMISSION_CREATE:
    case NVME_COMPLETION_CREATE:
        fake_nvme_create(command);
        break;
    case NVME_SET_FEATURES:
        if (command->args[0] == NVME_FEATURE_QUEUES)
            result = (FAKE_QUEUES - 2) << 16 | (FAKE_QUEUES - 2);
        break;
    case NVME_EVENT_REQUEST:
        fake_nvme.event_ids[fake_nvme.events_wanted++ % 8] = command->id;
        return;
    default:
        break;
    }
    fake_nvme_put(0, command->id, fake_nvme.admin_status, result);
}

static inline void fake_nvme_event(uint32_t event)
{
    fake_require(fake_nvme.events_wanted == 1, "nobody has asked for events, or more than one has");
    fake_nvme.events_wanted = 0;
    fake_nvme_put(0, fake_nvme.event_ids[0], 0, event);
}

/* --- Requests ----------------------------------------------------------------------------------------------------- */

/* It is there when it is used. */
static inline uint8_t *fake_nvme_medium(uint32_t namespace)
{
    uint8_t **bytes = &fake_nvme.bytes[namespace];

    if (!*bytes)
        *bytes = calloc(FAKE_BLOCKS, 512);
    return *bytes;
}

static inline void fake_nvme_transfer(const struct nvme_command *command, uint32_t length)
{
    const uint64_t *list = (const uint64_t *)(uintptr_t)command->prp[1];
    uint8_t *medium = fake_nvme_medium(command->namespace) + 512 * (uint64_t)command->args[0];
    uint32_t first = (uint32_t)(NVME_PAGE - command->prp[0] % NVME_PAGE);
    bool two = length <= first + NVME_PAGE;

    for (uint32_t at = 0, i = 0; at < length; i++) {
        uint64_t address = i == 0 ? command->prp[0] : two ? command->prp[1] : list[i - 1];
        uint32_t part = MIN(length - at, i == 0 ? first : NVME_PAGE);

        fake_require(i == 0 || address % NVME_PAGE == 0, "a page that is none");
        if (command->op == NVME_READ)
            memcpy((void *)(uintptr_t)address, medium + at, part);
        else
            memcpy(medium + at, (const void *)(uintptr_t)address, part);
        at += part;
    }
}

static inline uint16_t fake_nvme_carry_out(const struct nvme_command *command)
{
    uint64_t first = command->args[0] | (uint64_t)command->args[1] << 32;
    uint32_t count = (command->args[2] & 0xffff) + 1;
    const struct nvme_range *range = (const struct nvme_range *)(uintptr_t)command->prp[0];

    if (!command->namespace || command->namespace > FAKE_NAMESPACES)
        return 0x0b;
    switch (command->op) {
    case NVME_FLUSH:
        fake_nvme.flushes++;
        return 0;
    case NVME_DATASET:
        fake_nvme.discards += range->blocks;
        return 0;
    case NVME_WRITE_ZEROES:
        fake_nvme.zeroes += count;
        break;
    default:
        break;
    }
    if (first + count > fake_nvme.blocks[command->namespace])
        return 0x80;
    if (command->op != NVME_WRITE_ZEROES)
        fake_nvme_transfer(command, count * 512);
    return 0;
}

/* One that is held, with this status; 0: it is carried out. */
static inline void fake_nvme_complete(unsigned index, uint16_t status)
{
    fake_require(index < fake_nvme.held_count, "none is held there");
    struct nvme_command command = fake_nvme.held[index].command;
    uint16_t queue = fake_nvme.held[index].queue;

    fake_nvme.held[index] = fake_nvme.held[--fake_nvme.held_count];
    fake_nvme_put(queue, command.id, status ? status : fake_nvme_carry_out(&command), 0);
}

static inline void fake_nvme_fetch(uint16_t number)
{
    struct fake_nvme_queue *queue = &fake_nvme.queues[number];

    fake_require(queue->submissions, "a doorbell of no queue");
    while (queue->head != queue->tail) {
        struct nvme_command command = queue->submissions[queue->head];

        queue->head = (queue->head + 1) % queue->entries;
        if (number == 0) {
            fake_nvme_admin(&command);
            continue;
        }
        fake_require(fake_nvme.held_count < FAKE_HELD, "more than can be under way");
        fake_nvme.held[fake_nvme.held_count].queue = number;
        fake_nvme.held[fake_nvme.held_count++].command = command;
        fake_nvme.most_held = MAX(fake_nvme.most_held, fake_nvme.held_count);
        if (!fake_nvme.hold)
            fake_nvme_complete(fake_nvme.held_count - 1, 0);
    }
}

/* --- Registers ---------------------------------------------------------------------------------------------------- */

static inline void fake_nvme_enable(uint32_t value)
{
    const uint32_t *registers = fake_nvme.registers;

    if (value & NVME_CC_SHUTDOWN) {
        fake_nvme.registers[NVME_CSTS / 4] |= NVME_CSTS_SHUTDOWN_DONE;
        return;
    }
    memset(fake_nvme.queues, 0, sizeof(fake_nvme.queues));
    fake_nvme.held_count = fake_nvme.events_wanted = 0;
    fake_nvme.registers[NVME_CSTS / 4] = value & NVME_CC_ENABLE && !fake_nvme.never_ready;
    if (!(value & NVME_CC_ENABLE))
        return;
    fake_nvme.enabled++;
    fake_nvme.queues[0] = (struct fake_nvme_queue){
        .submissions = (const void *)(uintptr_t)(registers[NVME_ASQ / 4] |
                                                 (uint64_t)registers[NVME_ASQ / 4 + 1] << 32),
        .completions = (void *)(uintptr_t)(registers[NVME_ACQ / 4] |
                                           (uint64_t)registers[NVME_ACQ / 4 + 1] << 32),
        .entries = (registers[NVME_AQA / 4] & 0xfff) + 1,
        .phase = 1,
    };
}

uint32_t register_raw_read(const volatile void *base, uint32_t at)
{
    fake_require(base == fake_bar && at < 0x40, "a register that is none");
    return fake_nvme.gone ? UINT32_MAX : fake_nvme.registers[at / 4];
}

void register_raw_write(volatile void *base, uint32_t at, uint32_t value)
{
    uint32_t number = (at - NVME_BELLS) / 8;

    fake_require(base == fake_bar && at < fake_description.bars[0].length, "no such register");
    if (fake_nvme.gone || fake_nvme.dead)
        return;
    if (at < NVME_BELLS) {
        fake_nvme.registers[at / 4] = value;
        if (at == NVME_CC)
            fake_nvme_enable(value);
        return;
    }
    fake_require(number < FAKE_QUEUES, "no such queue");
    fake_require(value < fake_nvme.queues[number].entries, "behind the end of a queue");
    if (at & 4) {
        fake_nvme.queues[number].consumed = value;
    } else {
        fake_nvme.queues[number].tail = value;
        fake_nvme_fetch((uint16_t)number);
    }
}

static inline void fake_nvme_interrupts(void)
{
    while (fake_nvme.interrupts) {
        uint32_t vector = (uint32_t)__builtin_ctz(fake_nvme.interrupts);

        fake_nvme.interrupts &= fake_nvme.interrupts - 1;
        fake_interrupt(vector);
    }
    if (fake_timer) {
        fake_timer = 0;
        fake_interrupt(NVMED_KEY_LATER);
    }
}
