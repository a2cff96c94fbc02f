#include "sbin/ahcid/port.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/pci/registers.h"
#include "lib/sys/error.h"
#include "lib/sys/wait.h"

#define MILLISECOND   INT64_C(1000000)
#define STOP_MOST     (500 * MILLISECOND) /* 10.1.2 */
#define RESET_TIME    (1 * MILLISECOND)   /* 10.4.2 */
#define LINK_MOST     (1000 * MILLISECOND)
#define NONE_MOST     (100 * MILLISECOND) /* of it, where no device is seen */
#define LINK_LOOK     (5 * MILLISECOND)
#define WAKE_MOST     (30000 * MILLISECOND) /* platters want their time */
#define WAKE_LOOK     (10 * MILLISECOND)
#define ANSWER_MOST   (10000 * MILLISECOND)
#define FINISH_MOST   (1000 * MILLISECOND)
#define FAILURES_MOST 3u

#define TASK_BUSY 0x88u /* BSY and DRQ of the device's status */

/* In port->memory. */
#define LIST_AT     0u
#define FIS_AT      1024u
#define ANSWER_AT   2048u
#define TABLE_AT    2560u /* of IDENTIFY, whose slot may be a request's */
#define MEMORY_SIZE 4096u

_Static_assert(AHCI_LIST_SIZE <= FIS_AT && FIS_AT + AHCI_FIS_SIZE <= ANSWER_AT &&
                   ANSWER_AT + ATA_IDENTIFY_BYTES <= TABLE_AT && TABLE_AT % 128 == 0,
               "");

static uint32_t get(const struct ahci_port *port, enum ahci_port_register at)
{
    return register_read(port->registers, at);
}

static void set(struct ahci_port *port, enum ahci_port_register at, uint32_t value)
{
    register_write(port->registers, at, value);
}

static void enter(struct ahci_port *port, enum ahci_port_state state, int64_t deadline,
                  int64_t patience)
{
    port->state = state;
    port->deadline = deadline;
    port->patience = patience;
}

static bool device_is_there(const struct ahci_port *port)
{
    return AHCI_SSTS_DEVICE(get(port, AHCI_PORT_SSTS)) == AHCI_DEVICE_READY;
}

/* --- The engine ------------------------------------------------------------------------------------------------- */

/* Clears a bit of the command register and waits until the adapter has seen that. */
static void turn_off(struct ahci_port *port, uint32_t bit, uint32_t runs)
{
    int64_t deadline = sys_clock_get(CLOCK_MONOTONIC_) + STOP_MOST;
    set(port, AHCI_PORT_CMD, get(port, AHCI_PORT_CMD) & ~bit);
    for (;;) {
        uint32_t command = get(port, AHCI_PORT_CMD);
        if (!(command & runs) || command == AHCI_GONE)
            return;
        if (sys_clock_get(CLOCK_MONOTONIC_) > deadline)
            break;
        sleep_until(sys_clock_get(CLOCK_MONOTONIC_) + MILLISECOND);
    }
    fprintf(stderr, "port %u does not stop\n", port->number);
    port->owner->runaway(port);
}

/* Afterwards the adapter touches no memory of requests, but where the device's FIS is written to. */
static void engine_stop(struct ahci_port *port)
{
    turn_off(port, AHCI_CMD_START, AHCI_CMD_RUNS);
}

static void engine_start(struct ahci_port *port)
{
    set(port, AHCI_PORT_SERR, UINT32_MAX);
    set(port, AHCI_PORT_IS, UINT32_MAX);
    set(port, AHCI_PORT_CMD,
        AHCI_CMD_SPIN_UP | AHCI_CMD_POWER | AHCI_CMD_FIS_ON | AHCI_CMD_ACTIVE | AHCI_CMD_START);
}

/* --- Requests --------------------------------------------------------------------------------------------------- */

static struct ahci_header *header(const struct ahci_port *port, uint32_t slot)
{
    return (struct ahci_header *)(void *)(port->memory.bytes + LIST_AT) + slot;
}

static void header_write(struct ahci_port *port, uint32_t slot, const struct ahci_work *work,
                         uint64_t table)
{
    *header(port, slot) =
        (struct ahci_header){.flags = work->flags, .pieces = work->pieces, .table = table};
}

static bool is_transfer(const struct disk_request *request)
{
    return request->op == DISK_READ || request->op == DISK_WRITE;
}

int64_t ahci_port_start(struct ahci_port *port, struct disk_request *request)
{
    bool queued = is_transfer(request) && port->facts.depth > 1 && !port->careful;
    int slot = slots_take(&port->slots, request, queued);
    if (slot < 0)
        return -E_AGAIN;
    uint64_t at = (uint64_t)slot * AHCI_TABLE_SIZE;
    int64_t result = ahci_command_build(port->tables.bytes + at, pci_dma_address(&port->tables, at),
                                        request, queued, (uint32_t)slot, &port->work[slot]);
    if (result < 0)
        slots_end(&port->slots, (uint32_t)slot);
    return result;
}

void ahci_port_send(struct ahci_port *port)
{
    uint32_t bits = port->state == PORT_LIVE ? slots_issue(&port->slots) : 0;
    if (!bits)
        return;
    for (uint32_t slot = 0; slot < AHCI_SLOTS; slot++)
        if (slots_bit(bits, slot))
            header_write(port, slot, &port->work[slot],
                         pci_dma_address(&port->tables, (uint64_t)slot * AHCI_TABLE_SIZE));
    if (port->slots.queued & bits)
        set(port, AHCI_PORT_SACT, bits);
    set(port, AHCI_PORT_CI, bits);
}

/* A read that was not queued says how much it has transferred. */
static bool is_whole(const struct ahci_port *port, uint32_t slot)
{
    const struct ahci_work *work = &port->work[slot];
    return slots_bit(port->slots.queued, slot) || work->flags & AHCI_HEADER_WRITE ||
           header(port, slot)->transferred == work->bytes;
}

static void request_end(struct ahci_port *port, uint32_t slot, int64_t status)
{
    bool alone = !slots_bit(port->slots.queued, slot);
    struct disk_request *request = slots_end(&port->slots, slot);
    if (alone && port->careful)
        port->careful--;
    port->owner->done(port, request, status);
}

static uint32_t finished(const struct ahci_port *port)
{
    return port->slots.issued & ~(get(port, AHCI_PORT_SACT) | get(port, AHCI_PORT_CI));
}

static void requests_finish(struct ahci_port *port, uint32_t bits)
{
    for (uint32_t slot = 0; slot < AHCI_SLOTS; slot++)
        if (slots_bit(bits, slot))
            request_end(port, slot, is_whole(port, slot) ? 0 : DISK_LOST);
    ahci_port_send(port);
}

/* --- There and back --------------------------------------------------------------------------------------------- */

static void slots_forget(struct ahci_port *port)
{
    port->slots = (struct slots){.count = port->slots.count};
}

/* Takes a millisecond. Afterwards nothing that was under way is, neither in the adapter nor in the disk. */
static void link_reset(struct ahci_port *port, int64_t now)
{
    engine_stop(port);
    set(port, AHCI_PORT_IE, 0);
    set(port, AHCI_PORT_SCTL, AHCI_SCTL_RESET);
    sleep_until(sys_clock_get(CLOCK_MONOTONIC_) + RESET_TIME);
    set(port, AHCI_PORT_SCTL, AHCI_SCTL_RUN);
    enter(port, PORT_LINKING, now, now + LINK_MOST);
}

void ahci_port_reset(struct ahci_port *port, int64_t now)
{
    port->careful += (uint32_t)__builtin_popcount(port->slots.issued);
    slots_forget(port);
    link_reset(port, now);
}

void ahci_port_begin(struct ahci_port *port, int64_t turn)
{
    enter(port, PORT_SLEEPING, turn, DEADLINE_NEVER);
}

/* No disk, then; the coming of one is waited for. */
static void settle(struct ahci_port *port, enum ahci_port_state state, int64_t now)
{
    bool known = port->known;
    engine_stop(port);
    slots_forget(port);
    port->careful = port->failures = 0;
    port->known = false;
    enter(port, state, DEADLINE_NEVER, DEADLINE_NEVER);
    set(port, AHCI_PORT_SERR, UINT32_MAX);
    set(port, AHCI_PORT_IS, UINT32_MAX);
    set(port, AHCI_PORT_IE, AHCI_INT_LINK);
    if (known)
        port->owner->went(port);
    if (state == PORT_EMPTY && device_is_there(port)) /* before that could interrupt */
        link_reset(port, now);
}

static void fail(struct ahci_port *port, const char *what, int64_t now)
{
    fprintf(stderr, "port %u: %s\n", port->number, what);
    if (++port->failures < FAILURES_MOST)
        link_reset(port, now);
    else
        settle(port, PORT_USELESS, now);
}

struct outcome {
    struct disk_request *request;
    int64_t status;
};

/* Of a command that failed alone. */
static int64_t verdict_of(struct ahci_port *port, const struct disk_request *request, uint32_t task)
{
    int64_t error;
    const char *cause;
    enum ata_verdict verdict = ata_error_judge(task, is_transfer(request), &error, &cause);
    fprintf(stderr, "%s: sector %" PRIu64 ", %u of them: %s (%04x)\n", request->disk->name,
            request->sector, request->count, cause, task & 0xffff);
    if (verdict == ATA_AGAIN)
        return DISK_LOST;
    port->careful -= MIN(port->careful, 1u);
    return error;
}

/* How everything ends that was issued. What was not waits in its slot. */
static uint32_t outcomes_collect(struct ahci_port *port, struct outcome *outcomes)
{
    uint32_t task = get(port, AHCI_PORT_TFD), issued = port->slots.issued;
    uint32_t queued = issued & port->slots.queued, done = finished(port) & queued, count = 0;
    port->careful += (uint32_t)__builtin_popcount(queued & ~done);
    for (uint32_t slot = 0; slot < AHCI_SLOTS; slot++) {
        if (!slots_bit(issued, slot))
            continue;
        struct disk_request *request = slots_end(&port->slots, slot);
        outcomes[count++] =
            (struct outcome){request, slots_bit(done, slot)     ? 0
                                      : slots_bit(queued, slot) ? DISK_LOST
                                                                : verdict_of(port, request, task)};
    }
    return count;
}

/* The adapter has stopped before anybody is told; `start` keeps what comes then for later. */
static void error_take(struct ahci_port *port, int64_t now)
{
    struct outcome outcomes[AHCI_SLOTS];
    uint32_t count = outcomes_collect(port, outcomes);
    link_reset(port, now);
    for (uint32_t i = 0; i < count; i++)
        port->owner->done(port, outcomes[i].request, outcomes[i].status);
}

/* --- States ----------------------------------------------------------------------------------------------------- */

/* A command of our own, while no others are under way. */
static struct ahci_table *own_table(const struct ahci_port *port)
{
    return (struct ahci_table *)(void *)(port->memory.bytes + TABLE_AT);
}

static void own_issue(struct ahci_port *port, const struct ahci_work *work)
{
    header_write(port, 0, work, pci_dma_address(&port->memory, TABLE_AT));
    engine_start(port);
    set(port, AHCI_PORT_CI, 1);
}

static void ask(struct ahci_port *port, int64_t now)
{
    struct ahci_work work;
    memset(port->memory.bytes + ANSWER_AT, 0, ATA_IDENTIFY_BYTES);
    ahci_identify_build(own_table(port), pci_dma_address(&port->memory, ANSWER_AT), &work);
    enter(port, PORT_ASKED, now + ANSWER_MOST, now + ANSWER_MOST);
    own_issue(port, &work);
    set(port, AHCI_PORT_IE, AHCI_INT_ALL);
}

/* Ports without disks have no tables. */
static bool tables_open(struct ahci_port *port)
{
    uint64_t length = (uint64_t)port->slots_most * AHCI_TABLE_SIZE;
    return port->tables.bytes || pci_dma_alloc(port->pci, length, 0, &port->tables) >= 0;
}

/* Where nothing is at all one does not wait long: what comes later interrupts. */
static void linking(struct ahci_port *port, int64_t now)
{
    uint32_t device = AHCI_SSTS_DEVICE(get(port, AHCI_PORT_SSTS));
    int64_t left = port->patience - now;
    if (device == AHCI_DEVICE_READY) {
        set(port, AHCI_PORT_SERR, UINT32_MAX); /* or the device's status is not let through */
        enter(port, PORT_WAKING, now, now + WAKE_MOST);
    } else if (left <= 0 || (device == AHCI_DEVICE_NONE && left <= LINK_MOST - NONE_MOST)) {
        settle(port, PORT_EMPTY, now);
    } else {
        port->deadline = now + LINK_LOOK;
    }
}

static void woken(struct ahci_port *port, int64_t now)
{
    uint32_t signature = get(port, AHCI_PORT_SIG);
    if (signature == AHCI_SIG_DISK) {
        if (tables_open(port))
            ask(port, now);
        else
            fail(port, "no memory for its commands", now);
        return;
    }
    fprintf(stderr, "port %u: %s is left alone\n", port->number,
            signature == AHCI_SIG_PACKET       ? "a packet device (CD, DVD)"
            : signature == AHCI_SIG_MULTIPLIER ? "a port multiplier"
                                               : "a device that is no disk");
    settle(port, PORT_USELESS, now);
}

static void waking(struct ahci_port *port, int64_t now)
{
    if (!device_is_there(port))
        settle(port, PORT_EMPTY, now);
    else if (!(get(port, AHCI_PORT_TFD) & TASK_BUSY))
        woken(port, now);
    else if (now >= port->patience)
        fail(port, "the device stays busy", now);
    else
        port->deadline = now + WAKE_LOOK;
}

static bool is_same(const struct ata_facts *a, const struct ata_facts *b)
{
    return strcmp(a->serial, b->serial) == 0 && strcmp(a->model, b->model) == 0 &&
           a->sectors == b->sectors && a->sector_shift == b->sector_shift && a->depth == b->depth;
}

static void answered(struct ahci_port *port, int64_t now)
{
    uint8_t copy[ATA_IDENTIFY_BYTES];
    struct ata_facts facts;
    memcpy(copy, port->memory.bytes + ANSWER_AT, sizeof(copy));
    int64_t result = ata_identify_parse(copy, &facts);
    if (result < 0) {
        fprintf(stderr, "port %u: %s\n", port->number, error_text(result));
        fail(port, "what the disk says of itself is of no use", now);
        return;
    }
    if (!port->queues)
        facts.depth = 1;
    if (port->known && !is_same(&facts, &port->facts)) {
        slots_forget(port);
        port->owner->went(port);
    }
    port->facts = facts;
    port->known = true;
    port->failures = 0;
    /* A tag is less than the depth, and is the slot's number. */
    port->slots.count = facts.depth > 1 ? MIN(port->slots_most, facts.depth) : port->slots_most;
    enter(port, PORT_LIVE, DEADLINE_NEVER, DEADLINE_NEVER);
    port->owner->came(port);
    ahci_port_send(port);
}

void ahci_port_tick(struct ahci_port *port, int64_t now)
{
    if (now < port->deadline)
        return;
    switch (port->state) {
    case PORT_SLEEPING:
        set(port, AHCI_PORT_CMD,
            AHCI_CMD_SPIN_UP | AHCI_CMD_POWER | AHCI_CMD_FIS_ON | AHCI_CMD_ACTIVE);
        link_reset(port, now);
        break;
    case PORT_LINKING:
        linking(port, now);
        break;
    case PORT_WAKING:
        waking(port, now);
        break;
    case PORT_ASKED:
        fail(port, "the disk does not say what it is", now);
        break;
    case PORT_EMPTY:
    case PORT_LIVE:
    case PORT_USELESS:
        port->deadline = DEADLINE_NEVER;
        break;
    }
}

bool ahci_port_is_pending(const struct ahci_port *port)
{
    return get(port, AHCI_PORT_IS) & get(port, AHCI_PORT_IE);
}

/* In the states in which the link comes up by our doing nothing interrupts. */
void ahci_port_interrupt(struct ahci_port *port, int64_t now)
{
    uint32_t causes = get(port, AHCI_PORT_IS);
    set(port, AHCI_PORT_IS, causes);
    if (causes & AHCI_INT_LINK) {
        set(port, AHCI_PORT_SERR, UINT32_MAX); /* or it would go on saying so */
        if (!device_is_there(port) && port->state >= PORT_ASKED)
            settle(port, PORT_EMPTY, now);
        else if (port->state == PORT_LIVE)
            error_take(port, now);
        else if (port->state == PORT_EMPTY || port->state >= PORT_ASKED)
            link_reset(port, now);
    } else if (port->state == PORT_LIVE) {
        if (causes & AHCI_INT_ERRORS)
            error_take(port, now);
        else
            requests_finish(port, finished(port));
    } else if (port->state == PORT_ASKED) {
        if (causes & AHCI_INT_ERRORS)
            fail(port, "the disk does not want to say what it is", now);
        else if (!(get(port, AHCI_PORT_CI) & 1))
            answered(port, now);
    }
}

int64_t ahci_port_open(struct ahci_port *port)
{
    int64_t result = pci_dma_alloc(port->pci, MEMORY_SIZE, 0, &port->memory);
    if (result < 0)
        return result;
    port->state = PORT_EMPTY;
    port->deadline = DEADLINE_NEVER;
    port->slots.count = port->slots_most;
    set(port, AHCI_PORT_IE, 0);
    engine_stop(port);
    turn_off(port, AHCI_CMD_FIS_ON, AHCI_CMD_FIS_RUNS);
    register_write64(port->registers, AHCI_PORT_LIST, pci_dma_address(&port->memory, LIST_AT));
    register_write64(port->registers, AHCI_PORT_FIS, pci_dma_address(&port->memory, FIS_AT));
    return 0;
}

void ahci_port_finish(struct ahci_port *port)
{
    int64_t deadline = sys_clock_get(CLOCK_MONOTONIC_) + FINISH_MOST;
    struct ahci_work work;
    if (port->state != PORT_LIVE)
        return;
    engine_stop(port);
    ahci_flush_build(own_table(port), &work);
    own_issue(port, &work);
    while (get(port, AHCI_PORT_CI) & 1 && sys_clock_get(CLOCK_MONOTONIC_) < deadline)
        sleep_until(sys_clock_get(CLOCK_MONOTONIC_) + MILLISECOND);
}
