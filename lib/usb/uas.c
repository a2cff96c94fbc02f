/* USB Attached SCSI: see uas.h. */
#include "lib/usb/uas.h"

#include <string.h>

#define SECOND          INT64_C(1000000000)
#define MANAGE_NS       (5 * SECOND) /* of what manages a task */
#define RECOVERIES_MOST 3u           /* in a row, before the port is reset */
#define STALE_MOST      8u           /* what a device may have to say before it answers */
#define STATUS_ROOM     (UAS_DATA - UAS_STATUS) /* a whole packet, at least */

#define COMMAND_BYTES  32u
#define TASK_BYTES     16u
#define HEAD_BYTES     4u
#define SENSE_BYTES    16u /* before the sense data */
#define RESPONSE_BYTES 8u

/* Information units (UAS-3 6.2). */
enum unit {
    COMMAND_UNIT = 1,
    SENSE_UNIT = 3,
    RESPONSE_UNIT = 4,
    TASK_UNIT = 5,
    READ_READY_UNIT = 6,
    WRITE_READY_UNIT = 7,
};

enum task { ABORT_TASK = 1, LOGICAL_UNIT_RESET = 8 };

enum response {
    RESPONSE_COMPLETE = 0x00,
    RESPONSE_SUCCEEDED = 0x08,
    RESPONSE_NO_UNIT = 0x09,
};

/* SAM-5 5.3.1. */
enum status {
    GOOD = 0x00,
    CHECK_CONDITION = 0x02,
    CONDITION_MET = 0x04,
    BUSY = 0x08,
    TASK_SET_FULL = 0x28,
    TASK_ABORTED = 0x40,
};

static void put16(uint8_t *bytes, uint16_t value)
{
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

static uint16_t get16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static struct uas_lane *lane_of(const struct lane *lane)
{
    return container_of(lane, struct uas_lane, lane);
}

/* --- what goes out --- */

static uint8_t *unit_begin(const struct uas_lane *lane, enum unit which, uint16_t tag,
                           uint32_t length)
{
    memset(lane->page, 0, length);
    lane->page[0] = which;
    put16(lane->page + 2, tag);
    return lane->page;
}

static struct uas_move command_move(const struct uas_lane *lane, const struct scsi_command *command)
{
    uint8_t *bytes = unit_begin(lane, COMMAND_UNIT, lane->tag, COMMAND_BYTES);
    bytes[9] = command->unit; /* the second byte of its address (SAM-5 4.7.7.1) */
    memcpy(bytes + 16, command->bytes, command->length);
    return (struct uas_move){
        .pipe = UAS_COMMAND, .length = COMMAND_BYTES, .address = lane->address};
}

static struct uas_move task_move(const struct uas_lane *lane, uint16_t tag, enum task what,
                                 uint8_t unit)
{
    uint8_t *bytes = unit_begin(lane, TASK_UNIT, tag, TASK_BYTES);
    bytes[4] = (uint8_t)what;
    if (what == ABORT_TASK)
        put16(bytes + 6, lane->tag);
    bytes[9] = unit;
    return (struct uas_move){.pipe = UAS_COMMAND, .length = TASK_BYTES, .address = lane->address};
}

static struct uas_move status_move(const struct uas_lane *lane, uint16_t tag)
{
    memset(lane->page + UAS_STATUS, 0, SENSE_BYTES);
    return (struct uas_move){
        .pipe = UAS_STATUS_IN,
        .stream = lane->uas->streams ? tag : 0,
        .length = STATUS_ROOM,
        .address = lane->address + UAS_STATUS,
    };
}

static struct uas_move data_move(const struct uas_lane *lane, const struct scsi_command *command)
{
    return (struct uas_move){
        .pipe = command->in ? UAS_DATA_IN : UAS_DATA_OUT,
        .stream = lane->uas->streams ? lane->tag : 0,
        .length = command->count,
        .address = command->address,
    };
}

/* 0, or what one of them failed with: what is the end of all goes before. */
static int64_t move(const struct uas_lane *lane, struct uas_move *moves, uint32_t count,
                    int64_t patience)
{
    const struct uas_pipes *pipes = lane->uas->pipes;
    int64_t result = pipes->move(pipes->context, moves, count, patience);
    if (result < 0)
        return result;
    result = 0;
    for (uint32_t i = 0; i < count && (result >= 0 || result == -E_IO); i++) {
        if (moves[i].moved < 0)
            result = moves[i].moved;
        else if (moves[i].moved > moves[i].length)
            result = -E_IO;
    }
    return result;
}

/* --- what comes in --- */

static const uint8_t *status_at(const struct uas_lane *lane)
{
    return lane->page + UAS_STATUS;
}

static bool is_unit(const struct uas_lane *lane, int64_t length, enum unit which, uint16_t tag)
{
    const uint8_t *bytes = status_at(lane);
    return length >= (int64_t)HEAD_BYTES && bytes[0] == which && get16(bytes + 2) == tag;
}

static int64_t sense_judge(const struct uas_lane *lane, struct scsi_command *command,
                           int64_t length)
{
    const uint8_t *bytes = status_at(lane);
    command->used = command->moved;
    switch (bytes[6]) {
    case GOOD:
    case CONDITION_MET:
        return TRANSPORT_DONE;
    case CHECK_CONDITION:
        command->sense = bytes + SENSE_BYTES;
        command->sense_length = MIN(get16(bytes + 14), (uint32_t)length - SENSE_BYTES);
        return TRANSPORT_FAILED;
    case BUSY:
    case TASK_SET_FULL:
    case TASK_ABORTED:
        return TRANSPORT_BUSY;
    default:
        return TRANSPORT_REFUSED;
    }
}

static int64_t judge(const struct uas_lane *lane, struct scsi_command *command, int64_t length)
{
    if (is_unit(lane, length, SENSE_UNIT, lane->tag) && length >= (int64_t)SENSE_BYTES)
        return sense_judge(lane, command, length);
    bool refused = is_unit(lane, length, RESPONSE_UNIT, lane->tag) &&
                   length >= (int64_t)RESPONSE_BYTES && status_at(lane)[7] == RESPONSE_NO_UNIT;
    return refused ? (int64_t)TRANSPORT_REFUSED : -E_IO;
}

/* --- a command --- */

/* The length of its status. */
static int64_t with_streams(const struct uas_lane *lane, struct scsi_command *command)
{
    struct uas_move moves[UAS_MOVES_MAX];
    uint32_t count = 0;
    moves[count++] = status_move(lane, lane->tag);
    if (command->count)
        moves[count++] = data_move(lane, command);
    moves[count++] = command_move(lane, command);
    int64_t result = move(lane, moves, count, command->patience);
    if (result < 0)
        return result;
    if (moves[count - 1].moved != COMMAND_BYTES)
        return -E_IO;
    if (command->count)
        command->moved = (uint32_t)moves[1].moved;
    return moves[0].moved;
}

/* The device says when it is ready for the data, if it comes to that. */
static int64_t without_streams(const struct uas_lane *lane, struct scsi_command *command)
{
    struct uas_move moves[] = {status_move(lane, 0), command_move(lane, command)};
    int64_t result = move(lane, moves, ARRAY_SIZE(moves), command->patience);
    if (result < 0)
        return result;
    if (moves[1].moved != COMMAND_BYTES)
        return -E_IO;
    if (!command->count ||
        !is_unit(lane, moves[0].moved, command->in ? READ_READY_UNIT : WRITE_READY_UNIT, lane->tag))
        return moves[0].moved;
    struct uas_move data[] = {status_move(lane, 0), data_move(lane, command)};
    result = move(lane, data, ARRAY_SIZE(data), command->patience);
    if (result < 0)
        return result;
    command->moved = (uint32_t)data[1].moved;
    return data[0].moved;
}

/* --- tasks --- */

static uint16_t manager_tag(const struct uas *uas)
{
    return (uint16_t)(uas->lane_count + 1);
}

/* What the device answers, RESPONSE_*; what it says before that was meant for somebody who does not wait for it any more. */
static int64_t manage(const struct uas_lane *lane, uint16_t tag, enum task what, uint8_t unit)
{
    struct uas_move moves[] = {status_move(lane, tag), task_move(lane, tag, what, unit)};
    int64_t result = move(lane, moves, ARRAY_SIZE(moves), MANAGE_NS);
    if (result >= 0 && moves[1].moved != TASK_BYTES)
        return -E_IO;
    for (uint32_t i = 0; result >= 0 && i < STALE_MOST; i++) {
        if (is_unit(lane, moves[0].moved, RESPONSE_UNIT, tag) &&
            moves[0].moved >= (int64_t)RESPONSE_BYTES)
            return status_at(lane)[7];
        moves[0] = status_move(lane, tag);
        result = move(lane, moves, 1, MANAGE_NS);
    }
    return result < 0 ? result : -E_IO;
}

static int64_t task_end(const struct uas_lane *lane, uint8_t unit)
{
    uint16_t manager = manager_tag(lane->uas);
    int64_t result = manage(lane, manager, ABORT_TASK, unit);
    if (result > 0 && result != RESPONSE_SUCCEEDED)
        result = manage(lane, manager, LOGICAL_UNIT_RESET, unit);
    if (result == RESPONSE_COMPLETE || result == RESPONSE_SUCCEEDED)
        result = lane->uas->streams ? manage(lane, lane->tag, ABORT_TASK, unit) : 0;
    else if (result > 0)
        result = -E_IO;
    return result;
}

static int64_t pipes_clear(const struct uas *uas)
{
    int64_t result = 0;
    for (uint32_t pipe = 0; pipe < UAS_PIPES && result >= 0; pipe++)
        result = uas->pipes->clear(uas->pipes->context, (enum uas_pipe)pipe);
    return result;
}

static int64_t begin_anew(struct uas *uas)
{
    int64_t result = uas->pipes->begin_anew(uas->pipes->context);
    return transport_is_over(&uas->transport, result) ? transport_over(&uas->transport) : -E_IO;
}

/* -E_IO: the device is ready for the lane's next command. */
static int64_t recover(struct uas_lane *lane, uint8_t unit)
{
    struct uas *uas = lane->uas;
    if (transport_over(&uas->transport))
        return transport_over(&uas->transport);
    if (lane->recoveries++ == RECOVERIES_MOST) {
        lane->recoveries = 0;
        return begin_anew(uas);
    }
    int64_t result = pipes_clear(uas);
    if (result >= 0)
        result = task_end(lane, unit);
    if (transport_is_over(&uas->transport, result))
        return transport_over(&uas->transport);
    return result < 0 ? begin_anew(uas) : -E_IO;
}

static int64_t uas_command(struct lane *any, struct scsi_command *command)
{
    struct uas_lane *lane = lane_of(any);
    struct uas *uas = lane->uas;
    command->moved = command->used = command->sense_length = 0;
    if (transport_over(&uas->transport))
        return transport_over(&uas->transport);
    int64_t result = uas->streams ? with_streams(lane, command) : without_streams(lane, command);
    if (result >= 0)
        result = judge(lane, command, result);
    if (result >= 0) {
        lane->recoveries = 0;
        return result;
    }
    if (transport_is_over(&uas->transport, result))
        return transport_over(&uas->transport);
    uas->pipes->alone(uas->pipes->context, true);
    result = recover(lane, command->unit);
    uas->pipes->alone(uas->pipes->context, false);
    return result;
}

static void uas_pause(const struct lane *lane, int64_t nanoseconds)
{
    const struct uas_pipes *pipes = lane_of(lane)->uas->pipes;
    pipes->pause(pipes->context, nanoseconds);
}

/* --- the beginning --- */

uint32_t uas_lanes(uint16_t streams)
{
    return streams ? streams - 1u : 1;
}

void uas_open(struct uas *uas, const struct uas_pipes *pipes, uint16_t streams,
              struct uas_lane *lanes, uint32_t count, uint8_t *pages, uint64_t address)
{
    *uas = (struct uas){
        .transport = {.command = uas_command, .pause = uas_pause},
        .pipes = pipes,
        .lanes = lanes,
        .lane_count = count,
        .streams = streams,
    };
    for (uint32_t i = 0; i < count; i++) {
        uint64_t at = (uint64_t)i * UAS_PAGE;
        lanes[i] = (struct uas_lane){
            .lane = {&uas->transport, pages + at + UAS_DATA, address + at + UAS_DATA},
            .uas = uas,
            .tag = (uint16_t)(i + 1),
            .page = pages + at,
            .address = address + at,
        };
    }
}

/* Units that are not there say so. */
static int64_t commands_end(const struct uas *uas)
{
    const struct uas_lane *lane = &uas->lanes[0];
    int64_t result = pipes_clear(uas);
    for (uint32_t unit = 0; unit < 16 && result >= 0; unit++) {
        result = manage(lane, manager_tag(uas), LOGICAL_UNIT_RESET, (uint8_t)unit);
        if (unit == 0 && result > 0 && result != RESPONSE_SUCCEEDED)
            result = -E_IO;
    }
    for (uint32_t i = 0; i < uas->lane_count && result >= 0 && uas->streams; i++)
        result = manage(&uas->lanes[i], uas->lanes[i].tag, ABORT_TASK, 0);
    return result;
}

int64_t uas_quiet(struct uas *uas)
{
    int64_t result = commands_end(uas);
    if (result >= 0)
        return 0;
    if (!transport_is_over(&uas->transport, result))
        (void)!begin_anew(uas);
    return transport_over(&uas->transport);
}
