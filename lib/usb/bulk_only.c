/* Bulk-only transport: see bulk_only.h. */
#include "lib/usb/bulk_only.h"

#include <string.h>

#define COMMAND_SIGNATURE 0x43425355u /* "USBC" */
#define STATUS_SIGNATURE  0x53425355u /* "USBS" */
#define COMMAND_BYTES     31u
#define STATUS_BYTES      13u
#define STATUS_ROOM \
    (BULK_DATA - BULK_STATUS) /* a whole packet: more than a status shows itself as such */
#define DIRECTION_IN 0x80u

#define STATUS_NS \
    INT64_C(5000000000)    /* of a status that is asked for by itself: the data have ended */
#define RECOVERIES_MOST 3u /* in a row, before the port is reset */

enum status { STATUS_PASSED, STATUS_FAILED, STATUS_PHASE };

struct command_wrapper {
    uint32_t signature, tag, count;
    uint8_t flags, unit, length, bytes[16];
} __attribute__((packed));

struct status_wrapper {
    uint32_t signature, tag, residue;
    uint8_t status;
} __attribute__((packed));

_Static_assert(sizeof(struct command_wrapper) == COMMAND_BYTES, "5.1");
_Static_assert(sizeof(struct status_wrapper) == STATUS_BYTES, "5.2");

/* --- recovery --- */

static int64_t begin_anew(struct bulk_only *bulk)
{
    bulk->recoveries = 0;
    int64_t result = bulk->pipes->begin_anew(bulk->pipes->context);
    return transport_is_over(&bulk->transport, result) ? transport_over(&bulk->transport) : -E_IO;
}

/* Whatever it was that went wrong (5.3.4); -E_IO: the device is ready for the next command. */
static int64_t recover(struct bulk_only *bulk)
{
    const struct bulk_pipes *pipes = bulk->pipes;
    if (bulk->recoveries++ == RECOVERIES_MOST)
        return begin_anew(bulk);
    int64_t result = pipes->reset(pipes->context);
    if (result >= 0)
        result = pipes->clear(pipes->context, true);
    if (result >= 0)
        result = pipes->clear(pipes->context, false);
    if (transport_is_over(&bulk->transport, result))
        return transport_over(&bulk->transport);
    return result < 0 ? begin_anew(bulk) : -E_IO;
}

/* --- a command --- */

static struct bulk_move command_move(struct bulk_only *bulk, const struct scsi_command *command)
{
    struct command_wrapper wrapper = {
        .signature = COMMAND_SIGNATURE,
        .tag = ++bulk->tag,
        .count = command->count,
        .flags = command->in ? DIRECTION_IN : 0,
        .unit = command->unit,
        .length = command->length,
    };
    memcpy(wrapper.bytes, command->bytes, command->length);
    memcpy(bulk->page, &wrapper, sizeof(wrapper));
    return (struct bulk_move){.address = bulk->address, .length = COMMAND_BYTES};
}

static struct bulk_move status_move(const struct bulk_only *bulk)
{
    memset(bulk->page + BULK_STATUS, 0, STATUS_BYTES);
    return (struct bulk_move){
        .in = true, .address = bulk->address + BULK_STATUS, .length = STATUS_ROOM};
}

static int64_t status_ask(const struct bulk_only *bulk, int64_t patience)
{
    struct bulk_move move = status_move(bulk);
    int64_t result = bulk->pipes->move(bulk->pipes->context, &move, 1, patience);
    return result < 0 ? result : move.moved;
}

/* length: what the first try brought. Once more after a stall (figure 2), and after the empty packet that some end their data
 * with. */
static int64_t status_receive(const struct bulk_only *bulk, int64_t length)
{
    if (length == -E_NOT_SUPPORTED) {
        length = bulk->pipes->clear(bulk->pipes->context, true);
        if (length < 0)
            return length;
    }
    return length == 0 ? status_ask(bulk, STATUS_NS) : length;
}

/* A stall is how a device ends its data early (6.7.2, 6.7.3). */
static int64_t data_stalled(const struct bulk_only *bulk, const struct scsi_command *command)
{
    int64_t result = bulk->pipes->clear(bulk->pipes->context, command->in);
    return result < 0 ? result : status_receive(bulk, status_ask(bulk, command->patience));
}

/* The length of the status. */
static int64_t phases(struct bulk_only *bulk, struct scsi_command *command)
{
    const struct bulk_pipes *pipes = bulk->pipes;
    struct bulk_move moves[BULK_MOVES_MAX];
    uint32_t count = 0;
    moves[count++] = command_move(bulk, command);
    if (command->count)
        moves[count++] = (struct bulk_move){
            .in = command->in, .address = command->address, .length = command->count};
    moves[count++] = status_move(bulk);
    const struct bulk_move *data = command->count ? &moves[1] : NULL, *status = &moves[count - 1];
    int64_t result = pipes->move(pipes->context, moves, count, command->patience);
    if (result < 0 && result != -E_NOT_SUPPORTED)
        return result;
    if (moves[0].moved != COMMAND_BYTES)
        return result < 0 ? result : -E_IO;
    if (data && data->moved == -E_NOT_SUPPORTED)
        return data_stalled(bulk, command);
    if (data && (data->moved < 0 || data->moved > command->count))
        return -E_IO;
    if (data)
        command->moved = (uint32_t)data->moved;
    return status_receive(
        bulk, !data || data->moved == command->count ? status->moved : status_ask(bulk, STATUS_NS));
}

/* Valid and meaningful (6.3); a phase error is neither of any use. */
static int64_t status_judge(const struct bulk_only *bulk, struct scsi_command *command,
                            int64_t length)
{
    struct status_wrapper status;
    memcpy(&status, bulk->page + BULK_STATUS, sizeof(status));
    if (length != STATUS_BYTES || status.signature != STATUS_SIGNATURE || status.tag != bulk->tag ||
        status.status >= STATUS_PHASE || status.residue > command->count)
        return -E_IO;
    command->used = command->count - status.residue;
    return status.status == STATUS_PASSED ? TRANSPORT_DONE : TRANSPORT_FAILED;
}

static struct bulk_only *bulk_of(const struct lane *lane)
{
    return container_of(lane->transport, struct bulk_only, transport);
}

static int64_t bulk_command(struct lane *lane, struct scsi_command *command)
{
    struct bulk_only *bulk = bulk_of(lane);
    command->moved = command->used = command->sense_length = 0;
    if (transport_over(&bulk->transport))
        return transport_over(&bulk->transport);
    int64_t result = phases(bulk, command);
    if (result >= 0)
        result = status_judge(bulk, command, result);
    if (result < 0)
        return transport_is_over(&bulk->transport, result) ? transport_over(&bulk->transport)
                                                           : recover(bulk);
    bulk->recoveries = 0;
    return result;
}

static void bulk_pause(const struct lane *lane, int64_t nanoseconds)
{
    const struct bulk_pipes *pipes = bulk_of(lane)->pipes;
    pipes->pause(pipes->context, nanoseconds);
}

static int64_t bulk_units(struct lane *lane)
{
    struct bulk_only *bulk = bulk_of(lane);
    uint8_t last = 0;
    int64_t result = bulk->pipes->units(bulk->pipes->context, &last);
    if (transport_is_over(&bulk->transport, result))
        return transport_over(&bulk->transport);
    return result < 0 || last >= BULK_UNITS_MAX ? 1 : last + 1; /* who stalls has one (3.2) */
}

void bulk_only_open(struct bulk_only *bulk, const struct bulk_pipes *pipes, uint8_t *page,
                    uint64_t address)
{
    *bulk = (struct bulk_only){
        .transport = {bulk_command, bulk_pause, bulk_units, 0},
        .lane = {&bulk->transport, page + BULK_DATA, address + BULK_DATA},
        .pipes = pipes,
        .page = page,
        .address = address,
    };
}
