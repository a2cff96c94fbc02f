/* A disk behind the bulk-only transport, for lib/usb/storage.h: it does what it is told, but for the one thing that goes wrong with a command
 * that the test names.
 *
 *     struct fake_disk disk = {.blocks = 16};
 *     fake_disk_open(&disk, &bulk);
 *     disk.fault = FAULT_PHASE; disk.fault_times = 1;      with the next command that is no REQUEST SENSE
 */
#pragma once

#include "lib/usb/bulk_only.h"
#include "tests/host/fake_scsi.h"

#define FAKE_DATA BULK_PAGE /* where the memory behind the page begins */

enum fake_fault {
    FAULT_NONE,
    FAULT_COMMAND_STALL,
    FAULT_COMMAND_LOST, /* nobody answers */
    FAULT_DATA_STALL,   /* after half of them */
    FAULT_DATA_SHORT,
    FAULT_DATA_LOST,
    FAULT_DATA_BROKEN, /* a transaction error */
    FAULT_STATUS_STALL,
    FAULT_STATUS_STALL_TWICE,
    FAULT_STATUS_EMPTY, /* an empty packet in front */
    FAULT_STATUS_LOST,
    FAULT_STATUS_SHORT,
    FAULT_STATUS_LONG,
    FAULT_STATUS_SIGNATURE,
    FAULT_STATUS_TAG,
    FAULT_STATUS_RESIDUE, /* more than there was to be moved */
    FAULT_STATUS_LIE,     /* nothing was moved, it says */
    FAULT_STATUS_PHASE,
    FAULT_STATUS_UNKNOWN,
    FAULT_SENSE, /* the command fails, and this is why: */
    FAULT_PULLED,
    FAULTS,
};

enum fake_state { FAKE_IDLE, FAKE_IN, FAKE_OUT, FAKE_STATUS, FAKE_WEDGED };

struct fake_disk {
    enum fake_fault fault;
    uint32_t fault_times;
    struct scsi_sense sense; /* of FAULT_SENSE */
    uint8_t units;           /* the last; 0xff: Get Max LUN stalls */
    struct fake_scsi scsi;
    /* What it was asked for. */
    uint32_t resets, anew, pauses, clears[2], last_length;

    uint8_t memory[FAKE_DATA + FAKE_BLOCKS * FAKE_BLOCK];
    enum fake_state state;
    bool halted[2], ignores_reset;
    enum fake_fault now; /* with this command */
    uint8_t command[31];
    uint32_t moved, stalls;
    uint8_t status;
};

static int64_t fake_stall(struct fake_disk *disk, bool in)
{
    disk->halted[in] = true;
    disk->stalls++;
    return -E_NOT_SUPPORTED;
}

static int64_t fake_wedge(struct fake_disk *disk, bool in, int64_t error)
{
    disk->state = FAKE_WEDGED;
    disk->halted[in] = true;
    return error;
}

static int64_t fake_command_in(struct fake_disk *disk, const uint8_t *bytes, uint32_t length)
{
    if (length != 31 || memcmp(bytes, "USBC", 4) != 0)
        return fake_stall(disk, false);
    memcpy(disk->command, bytes, 31);
    bool special = bytes[15] == 0x03;
    disk->now = !special && disk->fault_times ? disk->fault : FAULT_NONE;
    if (disk->now)
        disk->fault_times--;
    if (disk->now == FAULT_COMMAND_STALL)
        return fake_stall(disk, false);
    if (disk->now == FAULT_COMMAND_LOST)
        return fake_wedge(disk, false, -E_TIMED_OUT);
    disk->moved = disk->stalls = 0;
    disk->last_length = bytes[14];
    disk->status = fake_scsi_run(&disk->scsi, bytes + 15);
    uint32_t wanted = bytes[8] | (uint32_t)bytes[9] << 8 | (uint32_t)bytes[10] << 16;
    if (disk->now == FAULT_SENSE) {
        disk->status = 1;
        disk->scsi.told = disk->sense;
    }
    if (disk->status)
        disk->scsi.length = 0;
    disk->scsi.length = MIN(disk->scsi.length, wanted);
    disk->state = !wanted ? FAKE_STATUS : bytes[12] & 0x80 ? FAKE_IN : FAKE_OUT;
    return 31;
}

static int64_t fake_data(struct fake_disk *disk, bool in, uint8_t *bytes, uint32_t length)
{
    const uint8_t *scsi = disk->command + 15;
    uint32_t count = MIN(length, disk->scsi.length);
    disk->state = FAKE_STATUS;
    switch (disk->now) {
    case FAULT_DATA_LOST:
        return fake_wedge(disk, in, -E_TIMED_OUT);
    case FAULT_DATA_BROKEN:
        return fake_wedge(disk, in, -E_IO);
    case FAULT_DATA_SHORT:
    case FAULT_DATA_STALL:
        count /= 2;
        break;
    default:
        break;
    }
    if (in)
        memcpy(bytes, disk->scsi.answer, count);
    else if (disk->scsi.length)
        fake_scsi_take(&disk->scsi, scsi, bytes, count);
    disk->moved = count;
    bool stalls = disk->now == FAULT_DATA_STALL || (!in && disk->status);
    return stalls ? fake_stall(disk, in) : count;
}

static int64_t fake_status(struct fake_disk *disk, uint8_t *bytes, uint32_t length)
{
    uint32_t wanted =
        disk->command[8] | (uint32_t)disk->command[9] << 8 | (uint32_t)disk->command[10] << 16;
    uint32_t residue = wanted - disk->moved, size = 13;
    uint8_t status = disk->status;
    uint32_t stalls = disk->now == FAULT_STATUS_STALL         ? 1
                      : disk->now == FAULT_STATUS_STALL_TWICE ? 2
                                                              : 0;
    if (disk->stalls < stalls)
        return fake_stall(disk, true);
    if (disk->now == FAULT_STATUS_EMPTY && !disk->stalls++)
        return 0;
    if (disk->now == FAULT_STATUS_LOST)
        return fake_wedge(disk, true, -E_TIMED_OUT);
    CHECK(length >= 13);
    disk->state = FAKE_IDLE;
    memcpy(bytes, "USBS", 4);
    memcpy(bytes + 4, disk->command + 4, 4);
    switch (disk->now) {
    case FAULT_STATUS_SHORT:
        size = 12;
        break;
    case FAULT_STATUS_LONG:
        size = 14;
        break;
    case FAULT_STATUS_SIGNATURE:
        bytes[0] = 'X';
        break;
    case FAULT_STATUS_TAG:
        bytes[4]++;
        break;
    case FAULT_STATUS_RESIDUE:
        residue = wanted + 1;
        break;
    case FAULT_STATUS_LIE:
        residue = wanted;
        break;
    case FAULT_STATUS_PHASE:
        status = 2;
        disk->state = FAKE_WEDGED;
        break;
    case FAULT_STATUS_UNKNOWN:
        status = 3;
        break;
    default:
        break;
    }
    memcpy(bytes + 8, &residue, 4);
    bytes[12] = status;
    return size;
}

static int64_t fake_move_one(struct fake_disk *disk, bool in, uint64_t address, uint32_t length)
{
    CHECK(address <= sizeof(disk->memory) && length <= sizeof(disk->memory) - address);
    if (disk->fault == FAULT_PULLED && disk->fault_times)
        return -E_CLOSED;
    if (disk->halted[in])
        return -E_NOT_SUPPORTED;
    uint8_t *bytes = disk->memory + address;
    if (disk->state == FAKE_WEDGED)
        return fake_stall(disk, in);
    if (disk->state == FAKE_IDLE)
        return in ? fake_wedge(disk, true, -E_TIMED_OUT) : fake_command_in(disk, bytes, length);
    if (disk->state == FAKE_STATUS)
        return in ? fake_status(disk, bytes, length) : fake_stall(disk, false);
    return in == (disk->state == FAKE_IN) ? fake_data(disk, in, bytes, length)
                                          : fake_stall(disk, in);
}

static int64_t fake_move(void *context, struct bulk_move *moves, uint32_t count, int64_t patience)
{
    CHECK(patience > 0 && count && count <= BULK_MOVES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        moves[i].moved = fake_move_one(context, moves[i].in, moves[i].address, moves[i].length);
        if (moves[i].moved < 0)
            return moves[i].moved;
        if (moves[i].moved < moves[i].length)
            break;
    }
    return 0;
}

static int64_t fake_clear(void *context, bool in)
{
    struct fake_disk *disk = context;
    disk->halted[in] = false;
    disk->clears[in]++;
    return 0;
}

static int64_t fake_reset(void *context)
{
    struct fake_disk *disk = context;
    disk->resets++;
    if (disk->ignores_reset)
        return -E_TIMED_OUT;
    disk->state = FAKE_IDLE;
    return 0;
}

static int64_t fake_units(void *context, uint8_t *last)
{
    struct fake_disk *disk = context;
    *last = disk->units;
    return disk->units == 0xff ? -E_NOT_SUPPORTED : 0;
}

static int64_t fake_begin_anew(void *context)
{
    struct fake_disk *disk = context;
    disk->anew++;
    disk->state = FAKE_IDLE;
    disk->halted[0] = disk->halted[1] = false;
    return 0;
}

static void fake_pause(void *context, int64_t nanoseconds)
{
    struct fake_disk *disk = context;
    CHECK(nanoseconds > 0);
    disk->pauses++;
}

static struct bulk_pipes fake_pipes;

static void fake_disk_open(struct fake_disk *disk, struct bulk_only *bulk)
{
    fake_pipes = (struct bulk_pipes){fake_move,       fake_clear, fake_reset, fake_units,
                                     fake_begin_anew, fake_pause, disk};
    fake_scsi_init(&disk->scsi);
    bulk_only_open(bulk, &fake_pipes, disk->memory, 0);
}
