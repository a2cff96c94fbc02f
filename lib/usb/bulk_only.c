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

#define STATUS_NS       INT64_C(5000000000) /* of a status that is asked for once more */
#define RECOVERIES_MOST 3u                  /* in a row, before the port is reset */

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

void bulk_only_open(struct bulk_only *bulk, const struct bulk_pipes *pipes, uint8_t *page,
                    uint64_t address)
{
    *bulk = (struct bulk_only){.pipes = pipes, .page = page, .address = address};
}

/* --- recovery --- */

/* Whether nothing more is to be tried. */
static bool is_over(struct bulk_only *bulk, int64_t result)
{
    if (result < 0 && result != -E_IO && result != -E_NOT_SUPPORTED && result != -E_TIMED_OUT)
        bulk->over = result;
    return bulk->over;
}

static int64_t begin_anew(struct bulk_only *bulk)
{
    bulk->recoveries = 0;
    return is_over(bulk, bulk->pipes->begin_anew(bulk->pipes->context)) ? bulk->over : -E_IO;
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
    if (is_over(bulk, result))
        return bulk->over;
    return result < 0 ? begin_anew(bulk) : -E_IO;
}

/* --- a command --- */

static int64_t command_send(struct bulk_only *bulk, const struct bulk_command *command)
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
    int64_t moved = bulk->pipes->move(bulk->pipes->context, false, bulk->address, COMMAND_BYTES,
                                      command->patience);
    return moved < 0 || moved == COMMAND_BYTES ? moved : -E_IO;
}

/* A stall is how a device ends its data early (6.7.2, 6.7.3). */
static int64_t data_move(struct bulk_only *bulk, struct bulk_command *command)
{
    const struct bulk_pipes *pipes = bulk->pipes;
    if (!command->count)
        return 0;
    int64_t moved = pipes->move(pipes->context, command->in, command->address, command->count,
                                command->patience);
    if (moved == -E_NOT_SUPPORTED)
        return pipes->clear(pipes->context, command->in);
    if (moved > (int64_t)command->count)
        return -E_IO;
    if (moved >= 0)
        command->moved = (uint32_t)moved;
    return moved;
}

static int64_t status_move(struct bulk_only *bulk, int64_t patience)
{
    memset(bulk->page + BULK_STATUS, 0, STATUS_BYTES);
    return bulk->pipes->move(bulk->pipes->context, true, bulk->address + BULK_STATUS, STATUS_ROOM,
                             patience);
}

/* Once more after a stall (figure 2), and after the empty packet that some end their data with. */
static int64_t status_receive(struct bulk_only *bulk, const struct bulk_command *command)
{
    int64_t length = status_move(bulk, command->patience);
    if (length == -E_NOT_SUPPORTED) {
        length = bulk->pipes->clear(bulk->pipes->context, true);
        if (length < 0)
            return length;
    }
    return length == 0 ? status_move(bulk, STATUS_NS) : length;
}

/* Valid and meaningful (6.3); a phase error is neither of any use. */
static int64_t status_judge(const struct bulk_only *bulk, struct bulk_command *command,
                            int64_t length)
{
    struct status_wrapper status;
    memcpy(&status, bulk->page + BULK_STATUS, sizeof(status));
    if (length != STATUS_BYTES || status.signature != STATUS_SIGNATURE || status.tag != bulk->tag ||
        status.status >= STATUS_PHASE || status.residue > command->count)
        return -E_IO;
    command->used = command->count - status.residue;
    return status.status == STATUS_PASSED ? 0 : BULK_FAILED;
}

int64_t bulk_only_command(struct bulk_only *bulk, struct bulk_command *command)
{
    command->moved = command->used = 0;
    if (bulk->over)
        return bulk->over;
    int64_t result = command_send(bulk, command);
    if (result >= 0)
        result = data_move(bulk, command);
    if (result >= 0)
        result = status_receive(bulk, command);
    if (result >= 0)
        result = status_judge(bulk, command, result);
    if (result < 0)
        return is_over(bulk, result) ? bulk->over : recover(bulk);
    bulk->recoveries = 0;
    return result;
}

int64_t bulk_only_units(struct bulk_only *bulk)
{
    uint8_t last = 0;
    int64_t result = bulk->pipes->units(bulk->pipes->context, &last);
    if (is_over(bulk, result))
        return bulk->over;
    return result < 0 || last >= BULK_UNITS_MAX ? 1 : last + 1; /* who stalls has one (3.2) */
}
