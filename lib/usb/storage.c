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

static struct scsi_command *begin(struct scsi_command *command, const struct storage_unit *unit)
{
    *command = (struct scsi_command){.unit = unit->number, .patience = SHORT_NS};
    return command;
}

static void loaded_set(struct storage_unit *unit, bool loaded)
{
    __atomic_store_n(&unit->loaded, loaded, __ATOMIC_RELEASE);
}

/* --- why it failed --- */

static int64_t sense_ask(const struct storage_unit *unit, struct lane *lane,
                         struct scsi_sense *sense)
{
    struct scsi_command command;
    begin(&command, unit)->length = scsi_request_sense(command.bytes, SCSI_SENSE_BYTES);
    command.in = true;
    command.address = lane->address;
    command.count = SCSI_SENSE_BYTES;
    memset(lane->data, 0, SCSI_SENSE_BYTES);
    int64_t result = lane->transport->command(lane, &command);
    if (result < 0)
        return result;
    uint32_t length = command.moved ? command.moved : command.used;
    return scsi_sense_parse(lane->data, length, sense) ? 0 : -E_IO;
}

static int64_t sense_get(struct storage_unit *unit, struct lane *lane,
                         const struct scsi_command *failed, struct scsi_sense *sense)
{
    int64_t result = 0;
    if (!failed->sense_length || !scsi_sense_parse(failed->sense, failed->sense_length, sense))
        result = sense_ask(unit, lane, sense);
    if (result >= 0)
        __atomic_store_n(&unit->sense,
                         (uint32_t)sense->key << 16 | (uint32_t)sense->code << 8 | sense->qualifier,
                         __ATOMIC_RELAXED);
    return result;
}

/* Whether it did is seen when the command is sent once more. */
static void start(const struct storage_unit *unit, struct lane *lane)
{
    struct scsi_command command;
    begin(&command, unit)->length = scsi_start(command.bytes);
    command.patience = PATIENCE_NS;
    (void)!lane->transport->command(lane, &command);
}

static bool emptied(struct storage_unit *unit, int64_t *result)
{
    loaded_set(unit, false);
    *result = -E_NO_DEVICE;
    return false;
}

/* In a while once more. */
static bool wait(struct lane *lane, struct tries *tries, int64_t *result)
{
    tries->sent--;
    lane->transport->pause(lane, WAIT_NS);
    *result = -E_IO;
    return tries->waits++ < WAITS;
}

/* False: *result is the answer; else the command is to be sent once more. */
static bool failed(struct storage_unit *unit, struct lane *lane, const struct scsi_command *command,
                   struct tries *tries, int64_t *result)
{
    struct scsi_sense sense;
    *result = sense_get(unit, lane, command, &sense);
    if (*result < 0)
        return true;
    switch (scsi_verdict(&sense)) {
    case SCSI_DONE:
        return false;
    case SCSI_AGAIN:
        return true;
    case SCSI_START:
        start(unit, lane);
        return true;
    case SCSI_WAIT:
        return wait(lane, tries, result);
    case SCSI_EMPTY:
        return emptied(unit, result);
    case SCSI_CHANGED:
        return !storage_is_loaded(unit) || !unit->inquiry.removable || emptied(unit, result);
    default:
        *result = scsi_error(&sense);
        return false;
    }
}

/* --- a command until it is done --- */

/* False: *result, the outcome, has become the answer. */
static bool again(struct storage_unit *unit, struct lane *lane, const struct scsi_command *command,
                  struct tries *tries, int64_t *result)
{
    switch (*result) {
    case -E_IO: /* the device was made ready for that */
        return true;
    case TRANSPORT_FAILED:
        return failed(unit, lane, command, tries, result);
    case TRANSPORT_BUSY:
        return wait(lane, tries, result);
    case TRANSPORT_REFUSED:
        *result = -E_IO;
        return false;
    default:
        return false;
    }
}

/* whole: with all of its data. */
static int64_t run(struct storage_unit *unit, struct lane *lane, struct scsi_command *command,
                   bool whole)
{
    struct tries tries = {0};
    while (tries.sent++ < TRIES) {
        int64_t result = lane->transport->command(lane, command);
        bool more = again(unit, lane, command, &tries, &result);
        if (transport_over(lane->transport))
            return transport_over(lane->transport);
        bool all = command->moved == command->count && command->used == command->count;
        if (!more && (result < 0 || all || !whole))
            return result;
    }
    return -E_IO;
}

/* For a short answer, which lies in the lane's memory; how many bytes of it, the rest is zeros. */
static int64_t ask(struct storage_unit *unit, struct lane *lane, struct scsi_command *command,
                   uint32_t count)
{
    command->in = true;
    command->address = lane->address;
    command->count = count;
    memset(lane->data, 0, LANE_DATA);
    int64_t result = run(unit, lane, command, false);
    return result < 0 ? result : command->moved ? command->moved : command->used;
}

/* --- what it is --- */

/* Who does not know the question has one. */
int64_t storage_units(struct lane *lane, uint32_t *units, uint32_t *more)
{
    struct storage_unit first = {0};
    struct scsi_command command;
    *units = 1;
    *more = 0;
    if (lane->transport->units) {
        int64_t count = lane->transport->units(lane);
        *units = count < 0 ? 0 : (uint32_t)((UINT64_C(1) << count) - 1);
        return MIN(count, (int64_t)0);
    }
    begin(&command, &first)->length = scsi_report_units(command.bytes, LANE_DATA);
    int64_t length = ask(&first, lane, &command, LANE_DATA);
    if (transport_over(lane->transport))
        return transport_over(lane->transport);
    if (length < 0 || !scsi_units_parse(lane->data, (size_t)length, units, more))
        return 0;
    uint32_t high = *units >> STORAGE_UNITS << STORAGE_UNITS;
    *more += (uint32_t)__builtin_popcount(high);
    *units &= ~high;
    return 0;
}

int64_t storage_open(struct storage_unit *unit, struct lane *lane, uint8_t number)
{
    struct scsi_command command;
    *unit = (struct storage_unit){.number = number};
    begin(&command, unit)->length = scsi_inquiry(command.bytes, SCSI_INQUIRY_BYTES);
    int64_t length = ask(unit, lane, &command, SCSI_INQUIRY_BYTES);
    if (length < 0)
        return length;
    if (!scsi_inquiry_parse(lane->data, (size_t)length, &unit->inquiry))
        return -E_BAD_FORMAT;
    uint8_t type = unit->inquiry.type;
    bool blocks =
        type == SCSI_DISK || type == SCSI_CD || type == SCSI_OPTICAL || type == SCSI_SIMPLE_DISK;
    return unit->inquiry.present && blocks ? 0 : -E_NOT_SUPPORTED;
}

/* --- its medium --- */

static int64_t test(struct storage_unit *unit, struct lane *lane)
{
    struct scsi_command command;
    begin(&command, unit)->length = scsi_test_ready(command.bytes);
    return run(unit, lane, &command, false);
}

static int64_t capacity_read_long(struct storage_unit *unit, struct lane *lane,
                                  struct scsi_capacity *capacity)
{
    struct scsi_command command;
    begin(&command, unit)->length = scsi_capacity_16(command.bytes, SCSI_CAPACITY_16_BYTES);
    int64_t length = ask(unit, lane, &command, SCSI_CAPACITY_16_BYTES);
    return length < 0 ? length : scsi_capacity_16_parse(lane->data, (size_t)length, capacity);
}

/* The long answer says more, but sticks are known to choke on the question: who is that new a device is to know it. */
static int64_t capacity_read(struct storage_unit *unit, struct lane *lane)
{
    struct scsi_command command;
    struct scsi_capacity other;
    begin(&command, unit)->length = scsi_capacity_10(command.bytes);
    int64_t length = ask(unit, lane, &command, SCSI_CAPACITY_10_BYTES);
    if (length < 0)
        return length;
    int64_t result = scsi_capacity_10_parse(lane->data, (size_t)length, &unit->capacity);
    if (result == -E_AGAIN)
        return capacity_read_long(unit, lane, &unit->capacity);
    if (result < 0 || unit->inquiry.version < SCSI_SPC_3)
        return result;
    result = capacity_read_long(unit, lane, &other);
    if (result >= 0 && other.blocks == unit->capacity.blocks && other.block == unit->capacity.block)
        unit->capacity = other;
    return transport_over(lane->transport);
}

static int64_t page_ask(struct storage_unit *unit, struct lane *lane, uint8_t page)
{
    struct scsi_command command;
    begin(&command, unit)->length = scsi_inquiry_page(command.bytes, page, SCSI_PAGE_BYTES);
    return ask(unit, lane, &command, SCSI_PAGE_BYTES);
}

/* What a unit that does not say it all cannot do is nothing to fail for. */
static int64_t limits_read(struct storage_unit *unit, struct lane *lane)
{
    bool unmaps = false;
    unit->limits = (struct scsi_limits){0, 1};
    if (!unit->capacity.provisioned)
        return 0;
    int64_t length = page_ask(unit, lane, SCSI_PAGE_PROVISIONING);
    if (length > 0 && scsi_provisioning_parse(lane->data, (size_t)length, &unmaps) && unmaps) {
        length = page_ask(unit, lane, SCSI_PAGE_LIMITS);
        if (length <= 0 || !scsi_limits_parse(lane->data, (size_t)length, &unit->limits))
            unit->limits = (struct scsi_limits){0, 1};
    }
    return length == -E_NO_DEVICE ? length : transport_over(lane->transport);
}

/* Many know no such command, or not these pages: then it is as if it had a cache, and could be written. */
static int64_t mode_read(struct storage_unit *unit, struct lane *lane)
{
    static const uint8_t pages[] = {SCSI_PAGE_ALL, SCSI_PAGE_CACHE};
    unit->mode = (struct scsi_mode){.cache = true};
    for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
        struct scsi_command command;
        begin(&command, unit)->length = scsi_mode_sense(command.bytes, pages[i], SCSI_MODE_BYTES);
        int64_t length = ask(unit, lane, &command, SCSI_MODE_BYTES);
        if (transport_over(lane->transport) || length == -E_NO_DEVICE)
            return length;
        if (length > 0 && scsi_mode_parse(lane->data, (size_t)length, &unit->mode))
            break;
    }
    unit->mode.read_only |= unit->inquiry.type == SCSI_CD;
    return 0;
}

int64_t storage_load(struct storage_unit *unit, struct lane *lane)
{
    loaded_set(unit, false);
    int64_t result = test(unit, lane);
    if (result >= 0)
        result = capacity_read(unit, lane);
    if (result >= 0)
        result = mode_read(unit, lane);
    if (result >= 0)
        result = limits_read(unit, lane);
    loaded_set(unit, result >= 0);
    return result;
}

int64_t storage_look(struct storage_unit *unit, struct lane *lane)
{
    return test(unit, lane);
}

/* --- its blocks --- */

int64_t storage_transfer(struct storage_unit *unit, struct lane *lane, bool write, uint64_t block,
                         uint32_t count, uint64_t address)
{
    struct scsi_command command;
    begin(&command, unit)->length = scsi_transfer(command.bytes, write, block, count);
    command.patience = PATIENCE_NS;
    command.in = !write;
    command.address = address;
    command.count = count * unit->capacity.block;
    return run(unit, lane, &command, true);
}

/* Asking why it failed takes the beginning of the lane's memory, so the list, which may have to go out once more, lies behind it. */
int64_t storage_discard(struct storage_unit *unit, struct lane *lane, uint64_t block,
                        uint32_t count)
{
    struct scsi_command command;
    begin(&command, unit)->length = scsi_unmap(command.bytes);
    command.patience = PATIENCE_NS;
    command.address = lane->address + LANE_DATA / 2;
    command.count = SCSI_UNMAP_BYTES;
    scsi_unmap_list(lane->data + LANE_DATA / 2, block, count);
    return run(unit, lane, &command, true);
}

int64_t storage_flush(struct storage_unit *unit, struct lane *lane)
{
    struct scsi_command command;
    if (!__atomic_load_n(&unit->mode.cache, __ATOMIC_RELAXED))
        return 0;
    begin(&command, unit)->length = scsi_synchronize(command.bytes);
    command.patience = PATIENCE_NS;
    int64_t result = run(unit, lane, &command, false);
    if (result != -E_NOT_SUPPORTED)
        return result;
    /* A device that knows no such command has none to speak of. */
    __atomic_store_n(&unit->mode.cache, false, __ATOMIC_RELAXED);
    return 0;
}
