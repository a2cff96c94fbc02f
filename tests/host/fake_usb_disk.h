/* A disk behind the bulk-only transport, for lib/usb/storage.h: it does what it is told, but for the one thing that goes wrong with a command
 * that the test names.
 *
 *     struct fake_disk disk = {.blocks = 16};
 *     fake_disk_open(&disk, &bulk);
 *     disk.fault = FAULT_PHASE; disk.fault_times = 1;      with the next command that is no REQUEST SENSE
 */
#pragma once

#include <stdbool.h>

#include "lib/usb/storage.h"
#include "tests/host/test.h"

#define FAKE_BLOCK  512u
#define FAKE_BLOCKS 64u
#define FAKE_DATA   BULK_PAGE /* where the memory behind the page begins */

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
    uint8_t inquiry[36];
    uint64_t blocks;               /* as the capacity says; there are FAKE_BLOCKS */
    uint8_t mode[16], mode_length; /* 0: MODE SENSE is unknown */
    bool no_flush;
    /* What it was asked for. */
    uint32_t resets, anew, flushes, pauses, clears[2], starts, last_length;

    uint8_t memory[FAKE_DATA + FAKE_BLOCKS * FAKE_BLOCK], content[FAKE_BLOCKS * FAKE_BLOCK];
    enum fake_state state;
    bool halted[2], ignores_reset;
    enum fake_fault now; /* with this command */
    uint8_t command[31], answer[FAKE_BLOCKS * FAKE_BLOCK];
    uint32_t length, moved, stalls;
    uint8_t status;
    struct scsi_sense told;
};

static uint64_t fake_number(const uint8_t *bytes, size_t count)
{
    uint64_t value = 0;
    while (count--)
        value = value << 8 | *bytes++;
    return value;
}

/* What the command answers or takes; its status. */
static uint8_t fake_command(struct fake_disk *disk, const uint8_t *scsi)
{
    uint64_t block = scsi[0] & 0x80 ? fake_number(scsi + 2, 8) : fake_number(scsi + 2, 4);
    uint32_t count =
        (uint32_t)(scsi[0] & 0x80 ? fake_number(scsi + 10, 4) : fake_number(scsi + 7, 2));
    disk->last_length = disk->command[14];
    memset(disk->answer, 0, sizeof(disk->answer));
    disk->length = 0;
    switch (scsi[0]) {
    case 0x00:
        return 0;
    case 0x03:
        disk->answer[0] = 0x70;
        disk->answer[2] = disk->told.key;
        disk->answer[7] = 10;
        disk->answer[12] = disk->told.code;
        disk->answer[13] = disk->told.qualifier;
        disk->length = 18;
        disk->told = (struct scsi_sense){0};
        return 0;
    case 0x12:
        memcpy(disk->answer, disk->inquiry, disk->length = sizeof(disk->inquiry));
        return 0;
    case 0x1a:
        memcpy(disk->answer, disk->mode, disk->length = disk->mode_length);
        disk->told = (struct scsi_sense){5, 0x20, 0};
        return !disk->mode_length;
    case 0x1b:
        disk->starts++;
        return 0;
    case 0x25:
        for (int i = 0; i < 4; i++)
            disk->answer[i] =
                (uint8_t)(MIN(disk->blocks - 1, UINT64_C(0xffffffff)) >> (24 - 8 * i));
        disk->answer[6] = FAKE_BLOCK >> 8;
        disk->length = 8;
        return 0;
    case 0x9e:
        for (int i = 0; i < 8; i++)
            disk->answer[i] = (uint8_t)((disk->blocks - 1) >> (56 - 8 * i));
        disk->answer[10] = FAKE_BLOCK >> 8;
        disk->answer[13] = 3;
        disk->length = 32;
        return 0;
    case 0x28:
    case 0x88:
    case 0x2a:
    case 0x8a:
        disk->length = count * FAKE_BLOCK;
        if (!(scsi[0] & 2))
            memcpy(disk->answer, disk->content + block % FAKE_BLOCKS * FAKE_BLOCK, disk->length);
        return 0;
    case 0x35:
        disk->flushes++;
        disk->told = (struct scsi_sense){5, 0x20, 0};
        return disk->no_flush;
    default:
        disk->told = (struct scsi_sense){5, 0x20, 0};
        return 1;
    }
}

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
    disk->status = fake_command(disk, bytes + 15);
    uint32_t wanted = bytes[8] | (uint32_t)bytes[9] << 8 | (uint32_t)bytes[10] << 16;
    if (disk->now == FAULT_SENSE) {
        disk->status = 1;
        disk->told = disk->sense;
    }
    if (disk->status)
        disk->length = 0;
    disk->length = MIN(disk->length, wanted);
    disk->state = !wanted ? FAKE_STATUS : bytes[12] & 0x80 ? FAKE_IN : FAKE_OUT;
    return 31;
}

static int64_t fake_data(struct fake_disk *disk, bool in, uint8_t *bytes, uint32_t length)
{
    const uint8_t *scsi = disk->command + 15;
    uint32_t count = MIN(length, disk->length);
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
        memcpy(bytes, disk->answer, count);
    else if (disk->length)
        memcpy(disk->content +
                   fake_number(scsi + 2, scsi[0] & 0x80 ? 8 : 4) % FAKE_BLOCKS * FAKE_BLOCK,
               bytes, count);
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
    memcpy(disk->inquiry, "\0\0\5\2\37\0\0\0FAKE    A disk\x01         1.0 ", 36);
    for (uint32_t i = 0; i < sizeof(disk->content); i++)
        disk->content[i] = (uint8_t)(i * 7 + i / FAKE_BLOCK);
    if (!disk->blocks)
        disk->blocks = FAKE_BLOCKS;
    bulk_only_open(bulk, &fake_pipes, disk->memory, 0);
}
