/* Units of USB disks: see storage.h. */
#include "lib/usb/storage.h"

#include <string.h>

#define SECOND INT64_C(1000000000)
#define PATIENCE_NS \
    (20 * SECOND) /* of a transfer: a disk may have to find the place, or to write what it has */
#define SHORT_NS (5 * SECOND) /* ... of a command that moves nothing */
#define TRIES    6u /* a unit may have several things to say before it does what it is told */
#define WAIT_NS  (SECOND / 10)
#define WAITS    300u /* until a unit is ready that says it is becoming so */

/* How often a command is sent. */
struct tries {
    uint32_t sent, waits;
};

static struct bulk_command *begin(struct bulk_command *command, const struct storage_unit *unit)
{
    *command = (struct bulk_command){.unit = unit->number, .patience = SHORT_NS};
    return command;
}

/* --- why it failed --- */

static int64_t sense_get(struct storage_unit *unit)
{
    struct bulk_command command;
    uint8_t *bytes = bulk_data(unit->bulk);
    begin(&command, unit)->length = scsi_request_sense(command.bytes, SCSI_SENSE_BYTES);
    command.in = true;
    command.address = unit->bulk->address + BULK_DATA;
    command.count = SCSI_SENSE_BYTES;
    memset(bytes, 0, SCSI_SENSE_BYTES);
    int64_t result = bulk_only_command(unit->bulk, &command);
    if (result < 0)
        return result;
    uint32_t length = command.moved ? command.moved : command.used;
    return scsi_sense_parse(bytes, length, &unit->sense) ? 0 : -E_IO;
}

/* Whether it did is seen when the command is sent once more. */
static void start(const struct storage_unit *unit)
{
    struct bulk_command command;
    begin(&command, unit)->length = scsi_start(command.bytes);
    command.patience = PATIENCE_NS;
    (void)!bulk_only_command(unit->bulk, &command);
}

static bool emptied(struct storage_unit *unit, int64_t *result)
{
    unit->loaded = false;
    *result = -E_NO_DEVICE;
    return false;
}

/* False: *result is the answer; else the command is to be sent once more. */
static bool failed(struct storage_unit *unit, struct tries *tries, int64_t *result)
{
    const struct bulk_pipes *pipes = unit->bulk->pipes;
    *result = sense_get(unit);
    if (*result < 0)
        return true;
    switch (scsi_verdict(&unit->sense)) {
    case SCSI_DONE:
        return false;
    case SCSI_AGAIN:
        return true;
    case SCSI_START:
        start(unit);
        return true;
    case SCSI_WAIT:
        tries->sent--;
        pipes->pause(pipes->context, WAIT_NS);
        *result = -E_IO;
        return tries->waits++ < WAITS;
    case SCSI_EMPTY:
        return emptied(unit, result);
    case SCSI_CHANGED:
        return !unit->loaded || !unit->inquiry.removable || emptied(unit, result);
    default:
        *result = scsi_error(&unit->sense);
        return false;
    }
}

/* --- a command until it is done --- */

/* whole: with all of its data. */
static int64_t run(struct storage_unit *unit, struct bulk_command *command, bool whole)
{
    struct tries tries = {0};
    while (tries.sent++ < TRIES) {
        int64_t result = bulk_only_command(unit->bulk, command);
        bool again = result == -E_IO; /* the device was made ready for that */
        if (result == BULK_FAILED)
            again = failed(unit, &tries, &result);
        if (unit->bulk->over)
            return unit->bulk->over;
        bool all = command->moved == command->count && command->used == command->count;
        if (!again && (result < 0 || all || !whole))
            return result;
    }
    return -E_IO;
}

/* For a short answer, which lies in bulk_data; how many bytes of it, the rest is zeros. */
static int64_t ask(struct storage_unit *unit, struct bulk_command *command, uint32_t count)
{
    uint8_t *bytes = bulk_data(unit->bulk);
    command->in = true;
    command->address = unit->bulk->address + BULK_DATA;
    command->count = count;
    memset(bytes, 0, BULK_PAGE - BULK_DATA);
    int64_t result = run(unit, command, false);
    return result < 0 ? result : command->moved ? command->moved : command->used;
}

/* --- what it is --- */

int64_t storage_open(struct storage_unit *unit, struct bulk_only *bulk, uint8_t number)
{
    struct bulk_command command;
    *unit = (struct storage_unit){.bulk = bulk, .number = number};
    begin(&command, unit)->length = scsi_inquiry(command.bytes, SCSI_INQUIRY_BYTES);
    int64_t length = ask(unit, &command, SCSI_INQUIRY_BYTES);
    if (length < 0)
        return length;
    if (!scsi_inquiry_parse(bulk_data(bulk), (size_t)length, &unit->inquiry))
        return -E_BAD_FORMAT;
    uint8_t type = unit->inquiry.type;
    bool blocks =
        type == SCSI_DISK || type == SCSI_CD || type == SCSI_OPTICAL || type == SCSI_SIMPLE_DISK;
    return unit->inquiry.present && blocks ? 0 : -E_NOT_SUPPORTED;
}

/* --- its medium --- */

static int64_t test(struct storage_unit *unit)
{
    struct bulk_command command;
    begin(&command, unit)->length = scsi_test_ready(command.bytes);
    return run(unit, &command, false);
}

static int64_t capacity_read(struct storage_unit *unit)
{
    struct bulk_command command;
    begin(&command, unit)->length = scsi_capacity_10(command.bytes);
    int64_t length = ask(unit, &command, SCSI_CAPACITY_10_BYTES);
    if (length < 0)
        return length;
    int result = scsi_capacity_10_parse(bulk_data(unit->bulk), (size_t)length, &unit->capacity);
    if (result != -E_AGAIN)
        return result;
    begin(&command, unit)->length = scsi_capacity_16(command.bytes, SCSI_CAPACITY_16_BYTES);
    length = ask(unit, &command, SCSI_CAPACITY_16_BYTES);
    return length < 0
               ? length
               : scsi_capacity_16_parse(bulk_data(unit->bulk), (size_t)length, &unit->capacity);
}

/* Many know no such command, or not these pages: then it is as if it had a cache, and could be written. */
static int64_t mode_read(struct storage_unit *unit)
{
    static const uint8_t pages[] = {SCSI_PAGE_ALL, SCSI_PAGE_CACHE};
    unit->mode = (struct scsi_mode){.cache = true};
    for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
        struct bulk_command command;
        begin(&command, unit)->length = scsi_mode_sense(command.bytes, pages[i], SCSI_MODE_BYTES);
        int64_t length = ask(unit, &command, SCSI_MODE_BYTES);
        if (unit->bulk->over || length == -E_NO_DEVICE)
            return length;
        if (length > 0 && scsi_mode_parse(bulk_data(unit->bulk), (size_t)length, &unit->mode))
            break;
    }
    unit->mode.read_only |= unit->inquiry.type == SCSI_CD;
    return 0;
}

int64_t storage_load(struct storage_unit *unit)
{
    unit->loaded = false;
    int64_t result = test(unit);
    if (result >= 0)
        result = capacity_read(unit);
    if (result >= 0)
        result = mode_read(unit);
    unit->loaded = result >= 0;
    return result;
}

int64_t storage_look(struct storage_unit *unit)
{
    return test(unit);
}

/* --- its blocks --- */

int64_t storage_transfer(struct storage_unit *unit, bool write, uint64_t block, uint32_t count,
                         uint64_t address)
{
    struct bulk_command command;
    begin(&command, unit)->length = scsi_transfer(command.bytes, write, block, count);
    command.patience = PATIENCE_NS;
    command.in = !write;
    command.address = address;
    command.count = count * unit->capacity.block;
    return run(unit, &command, true);
}

int64_t storage_flush(struct storage_unit *unit)
{
    struct bulk_command command;
    if (!unit->mode.cache)
        return 0;
    begin(&command, unit)->length = scsi_synchronize(command.bytes);
    command.patience = PATIENCE_NS;
    int64_t result = run(unit, &command, false);
    if (result != -E_NOT_SUPPORTED)
        return result;
    unit->mode.cache = false; /* a device that knows no such command has none to speak of */
    return 0;
}
