/* A disk behind UAS, for lib/usb/storage.h: it does what it is told, but for the one thing that goes wrong with a command that the test names. It
 * watches whether tags are used twice at once.
 *
 *     struct fake_uas disk = {.streams = 4};
 *     fake_uas_open(&disk);      disk.uas.lanes[0].lane
 *     disk.fault = UAS_FAULT_TAG; disk.fault_times = 1;      with the next command
 */
#pragma once

#include "lib/usb/uas.h"
#include "tests/host/fake_scsi.h"

#define FAKE_LANES 4u
#define FAKE_TAGS  16u
#define FAKE_DATA  (FAKE_LANES * UAS_PAGE) /* where the memory behind the pages begins */

enum fake_uas_fault {
    UAS_FAULT_NONE,
    UAS_FAULT_COMMAND_STALL,
    UAS_FAULT_COMMAND_LOST, /* nobody answers */
    UAS_FAULT_DATA_LOST,
    UAS_FAULT_DATA_SHORT,
    UAS_FAULT_DATA_STALL,
    UAS_FAULT_STATUS_LATE, /* it comes when nobody waits any more */
    UAS_FAULT_STATUS_SHORT,
    UAS_FAULT_STATUS_EMPTY,
    UAS_FAULT_STATUS_STALL,
    UAS_FAULT_STATUS_BROKEN, /* a transaction error */
    UAS_FAULT_UNIT,          /* an information unit that there is not */
    UAS_FAULT_TAG,
    UAS_FAULT_RESPONSE, /* "invalid information unit" */
    UAS_FAULT_READY,    /* for the other direction; with streams: at all */
    UAS_FAULT_BUSY,
    UAS_FAULT_SENSE_LONG, /* more sense data than came */
    UAS_FAULT_SENSE,      /* the command fails, and this is why: */
    UAS_FAULT_SENSE_NONE, /* ... and that it does not say unasked */
    UAS_FAULT_REFUSED,    /* a reservation of somebody else's */
    UAS_FAULT_PULLED,
    UAS_FAULTS,
};

/* An information unit that waits for who reads its stream. */
struct fake_unit {
    uint16_t stream;
    uint8_t length, bytes[40];
};

struct fake_uas {
    enum fake_uas_fault fault;
    uint32_t fault_times;
    struct scsi_sense sense; /* of UAS_FAULT_SENSE */
    uint16_t streams;
    struct fake_scsi scsi;
    /* Of tasks: what it answers to aborts and to resets of units; 0xff: nothing. */
    uint8_t abort_answer, reset_answer;
    uint32_t aborts, unit_resets, anew, pauses, clears, commands;
    int alone;

    struct uas uas;
    struct uas_pipes pipes;
    struct uas_lane lanes[FAKE_LANES];
    uint8_t memory[FAKE_DATA + FAKE_BLOCKS * FAKE_BLOCK];
    bool halted[UAS_PIPES], busy[FAKE_TAGS];
    struct fake_unit units[FAKE_TAGS];
    uint32_t unit_count;
    uint8_t waiting[32]; /* the command that waits for its data, without streams */
};

static void fake_uas_say(struct fake_uas *disk, uint16_t tag, const uint8_t *bytes, uint8_t length)
{
    CHECK(disk->unit_count < ARRAY_SIZE(disk->units));
    struct fake_unit *unit = &disk->units[disk->unit_count++];
    *unit = (struct fake_unit){.stream = disk->streams ? tag : 0, .length = length};
    memcpy(unit->bytes, bytes, length);
}

/* False: there is none for the stream. */
static bool fake_uas_hear(struct fake_uas *disk, struct uas_move *status)
{
    for (uint32_t i = 0; i < disk->unit_count; i++) {
        if (disk->units[i].stream != status->stream)
            continue;
        CHECK(status->length >= 512 && disk->units[i].length <= status->length);
        memcpy(disk->memory + status->address, disk->units[i].bytes, disk->units[i].length);
        status->moved = disk->units[i].length;
        memmove(&disk->units[i], &disk->units[i + 1],
                (--disk->unit_count - i) * sizeof(disk->units[0]));
        return true;
    }
    return false;
}

static void fake_uas_respond(struct fake_uas *disk, uint16_t tag, uint8_t code)
{
    const uint8_t bytes[8] = {4, 0, (uint8_t)(tag >> 8), (uint8_t)tag, [7] = code};
    fake_uas_say(disk, tag, bytes, 8);
}

static void fake_uas_task(struct fake_uas *disk, const uint8_t *bytes)
{
    uint16_t tag = (uint16_t)(bytes[2] << 8 | bytes[3]),
             task = (uint16_t)(bytes[6] << 8 | bytes[7]);
    uint8_t answer = bytes[4] == 1 ? disk->abort_answer : disk->reset_answer;
    CHECK(tag && tag < FAKE_TAGS && task < FAKE_TAGS && !disk->busy[tag] && disk->alone == 1);
    *(bytes[4] == 1 ? &disk->aborts : &disk->unit_resets) += 1;
    if (answer == 0xff)
        return;
    if (answer == 0 || answer == 8) {
        if (bytes[4] == 1)
            disk->busy[task] = false;
        else
            memset(disk->busy, 0, sizeof(disk->busy));
    }
    fake_uas_respond(disk, tag, answer);
}

/* The status of a command, damaged as the test wants it. */
static void fake_uas_end(struct fake_uas *disk, uint16_t tag, enum fake_uas_fault fault,
                         bool failed)
{
    uint8_t bytes[34] = {3, 0, (uint8_t)(tag >> 8), (uint8_t)tag}, length = 16;
    struct scsi_sense sense = fault == UAS_FAULT_SENSE ? disk->sense : disk->scsi.told;
    if (failed || fault == UAS_FAULT_SENSE || fault == UAS_FAULT_SENSE_LONG) {
        const uint8_t told[18] = {0x70, 0, sense.key, [7] = 10, [12] = sense.code, sense.qualifier};
        bytes[6] = 2;
        bytes[15] = fault == UAS_FAULT_SENSE_LONG ? 0xff : 18;
        bytes[14] = fault == UAS_FAULT_SENSE_LONG ? 0xff : 0;
        memcpy(bytes + 16, told, 18);
        length = 34;
        disk->scsi.told = (struct scsi_sense){0};
    }
    switch (fault) {
    case UAS_FAULT_STATUS_SHORT:
        length = 9;
        break;
    case UAS_FAULT_STATUS_EMPTY:
        length = 0;
        break;
    case UAS_FAULT_UNIT:
        bytes[0] = 0x55;
        break;
    case UAS_FAULT_TAG:
        bytes[3]++;
        break;
    case UAS_FAULT_RESPONSE:
        fake_uas_respond(disk, tag, 2);
        return;
    case UAS_FAULT_BUSY:
        bytes[6] = 8;
        break;
    case UAS_FAULT_SENSE_NONE:
        bytes[6] = 2;
        disk->scsi.told = disk->sense;
        break;
    case UAS_FAULT_REFUSED:
        bytes[6] = 0x18;
        break;
    default:
        break;
    }
    disk->busy[tag] = false;
    fake_uas_say(disk, tag, bytes, length);
}

static void fake_uas_data(struct fake_uas *disk, const uint8_t *scsi, enum fake_uas_fault fault,
                          struct uas_move *data)
{
    uint32_t count = MIN(data->length, disk->scsi.length);
    if (fault == UAS_FAULT_DATA_SHORT)
        count /= 2;
    if (data->pipe == UAS_DATA_IN)
        memcpy(disk->memory + data->address, disk->scsi.answer, count);
    else if (count == data->length)
        fake_scsi_take(&disk->scsi, scsi, disk->memory + data->address, count);
    data->moved = count;
}

static struct uas_move *fake_uas_pipe(struct uas_move *moves, uint32_t count, enum uas_pipe pipe)
{
    for (uint32_t i = 0; i < count; i++)
        if (moves[i].pipe == pipe)
            return &moves[i];
    return NULL;
}

static int64_t fake_uas_stall(struct fake_uas *disk, struct uas_move *move, int64_t error)
{
    disk->halted[move->pipe] = true;
    return move->moved = error;
}

static void fake_uas_ready(struct fake_uas *disk, uint16_t tag, bool in)
{
    const uint8_t bytes[4] = {in ? 6 : 7, 0, (uint8_t)(tag >> 8), (uint8_t)tag};
    fake_uas_say(disk, tag, bytes, 4);
}

/* What the command comes to, as far as its data are at hand; -E_*: nobody hears more of it. */
static int64_t fake_uas_run(struct fake_uas *disk, const uint8_t *command, struct uas_move *data,
                            struct uas_move *status, enum fake_uas_fault fault)
{
    uint16_t tag = (uint16_t)(command[2] << 8 | command[3]);
    if (fault == UAS_FAULT_COMMAND_LOST)
        return -E_TIMED_OUT;
    if (fault == UAS_FAULT_READY) {
        fake_uas_ready(disk, tag, command[16] & 2);
        return 0;
    }
    bool failed = fake_scsi_run(&disk->scsi, command + 16);
    bool sense = fault == UAS_FAULT_SENSE || fault == UAS_FAULT_SENSE_NONE ||
                 fault == UAS_FAULT_REFUSED || fault == UAS_FAULT_BUSY ||
                 fault == UAS_FAULT_SENSE_LONG;
    if (fault == UAS_FAULT_DATA_LOST && disk->scsi.length)
        return -E_TIMED_OUT;
    if (fault == UAS_FAULT_DATA_STALL && data)
        return fake_uas_stall(disk, data, -E_NOT_SUPPORTED), 0;
    if (data && !failed && !sense)
        fake_uas_data(disk, command + 16, fault, data);
    if (fault == UAS_FAULT_STATUS_STALL)
        return fake_uas_stall(disk, status, -E_NOT_SUPPORTED), 0;
    if (fault == UAS_FAULT_STATUS_BROKEN)
        return fake_uas_stall(disk, status, -E_IO), 0;
    fake_uas_end(disk, tag, fault, failed);
    return fault == UAS_FAULT_STATUS_LATE ? -E_TIMED_OUT : 0;
}

static enum fake_uas_fault fake_uas_fault(const struct fake_uas *disk, const uint8_t *command)
{
    return disk->fault_times && command[16] != 0x03 ? disk->fault : UAS_FAULT_NONE;
}

static int64_t fake_uas_command(struct fake_uas *disk, const uint8_t *bytes, struct uas_move *data,
                                struct uas_move *status)
{
    uint16_t tag = (uint16_t)(bytes[2] << 8 | bytes[3]);
    enum fake_uas_fault fault = fake_uas_fault(disk, bytes);
    CHECK(tag && tag < FAKE_TAGS && !disk->busy[tag]);
    CHECK(!disk->streams || (status->stream == tag && tag < disk->streams));
    disk->busy[tag] = true;
    disk->commands++;
    if (disk->streams || fault == UAS_FAULT_COMMAND_LOST) {
        disk->fault_times -= fault ? 1 : 0;
        return fake_uas_run(disk, bytes, data, status, fault);
    }
    memcpy(disk->waiting, bytes, 32);
    uint8_t operation = bytes[16];
    bool out = operation == 0x2a || operation == 0x8a || operation == 0x42;
    bool in = !out && operation != 0x00 && operation != 0x1b && operation != 0x35;
    bool early = fault == UAS_FAULT_SENSE || fault == UAS_FAULT_SENSE_NONE ||
                 fault == UAS_FAULT_READY || fault == UAS_FAULT_BUSY || fault == UAS_FAULT_REFUSED;
    if ((in || out) && !early) {
        fake_uas_ready(disk, tag, in);
        return 0;
    }
    disk->fault_times -= fault ? 1 : 0;
    return fake_uas_run(disk, bytes, NULL, status, fault);
}

static int64_t fake_uas_begun(struct fake_uas *disk, struct uas_move *moves, uint32_t count)
{
    struct uas_move *command = fake_uas_pipe(moves, count, UAS_COMMAND), *status = &moves[0];
    struct uas_move *data = fake_uas_pipe(moves, count, UAS_DATA_IN);
    if (!data)
        data = fake_uas_pipe(moves, count, UAS_DATA_OUT);
    if (!command && data) {
        enum fake_uas_fault fault = fake_uas_fault(disk, disk->waiting);
        disk->fault_times -= fault ? 1 : 0;
        return fake_uas_run(disk, disk->waiting, data, status, fault);
    }
    if (!command)
        return 0;
    const uint8_t *bytes = disk->memory + command->address;
    if (disk->fault == UAS_FAULT_COMMAND_STALL && disk->fault_times && bytes[0] == 1) {
        disk->fault_times--;
        return fake_uas_stall(disk, command, -E_NOT_SUPPORTED), 0;
    }
    command->moved = command->length;
    CHECK_EQUAL(command->length, bytes[0] == 1 ? 32 : 16);
    if (bytes[0] == 1)
        return fake_uas_command(disk, bytes, data, status);
    CHECK_EQUAL(bytes[0], 5);
    fake_uas_task(disk, bytes);
    return 0;
}

static int64_t fake_uas_move(void *context, struct uas_move *moves, uint32_t count,
                             int64_t patience)
{
    struct fake_uas *disk = context;
    CHECK(patience > 0 && count && count <= UAS_MOVES_MAX && moves[0].pipe == UAS_STATUS_IN);
    if (disk->fault == UAS_FAULT_PULLED && disk->fault_times)
        return -E_CLOSED;
    for (uint32_t i = 0; i < count; i++) {
        CHECK(moves[i].address + moves[i].length <= sizeof(disk->memory));
        CHECK((moves[i].stream != 0) == (disk->streams && moves[i].pipe != UAS_COMMAND));
        moves[i].moved = disk->halted[moves[i].pipe] ? -E_NOT_SUPPORTED : 0;
        if (moves[i].moved)
            return 0;
    }
    int64_t result = fake_uas_begun(disk, moves, count);
    if (result < 0)
        return result;
    for (uint32_t i = 0; i < count; i++)
        if (moves[i].moved < 0)
            return 0;
    return fake_uas_hear(disk, &moves[0]) ? 0 : -E_TIMED_OUT;
}

static int64_t fake_uas_clear(void *context, enum uas_pipe pipe)
{
    struct fake_uas *disk = context;
    disk->clears += disk->halted[pipe];
    disk->halted[pipe] = false;
    return 0;
}

static int64_t fake_uas_anew(void *context)
{
    struct fake_uas *disk = context;
    disk->anew++;
    disk->unit_count = 0;
    memset(disk->busy, 0, sizeof(disk->busy));
    memset(disk->halted, 0, sizeof(disk->halted));
    return 0;
}

static void fake_uas_pause(void *context, int64_t nanoseconds)
{
    struct fake_uas *disk = context;
    CHECK(nanoseconds > 0);
    disk->pauses++;
}

static void fake_uas_alone(void *context, bool begins)
{
    struct fake_uas *disk = context;
    disk->alone += begins ? 1 : -1;
    CHECK(disk->alone == 0 || disk->alone == 1);
}

static void fake_uas_open(struct fake_uas *disk)
{
    fake_scsi_init(&disk->scsi);
    disk->pipes = (struct uas_pipes){fake_uas_move,  fake_uas_clear, fake_uas_anew,
                                     fake_uas_pause, fake_uas_alone, disk};
    uint32_t lanes = uas_lanes(disk->streams);
    CHECK(lanes && lanes <= FAKE_LANES);
    uas_open(&disk->uas, &disk->pipes, disk->streams, disk->lanes, lanes, disk->memory, 0);
}
