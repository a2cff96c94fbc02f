// sources: lib/usb/uas.c lib/usb/uas_find.c lib/usb/descriptor.c lib/usb/scsi.c lib/usb/storage.c
/* Units of USB disks that speak UAS, with streams and without, and everything that may go wrong on the way to them. */
#include "lib/usb/descriptor.h"
#include "tests/host/fake_uas.h"

static struct fake_uas disk;
static struct storage_unit unit;
static struct lane *lane;

static const uint16_t ways[] = {0, 4}; /* numbers of streams */

static void open_with(struct fake_uas with)
{
    disk = with;
    fake_uas_open(&disk);
    lane = &disk.lanes[0].lane;
    CHECK_EQUAL(storage_open(&unit, lane, 0), 0);
    CHECK_EQUAL(storage_load(&unit, lane), 0);
}

static void fail_with(enum fake_uas_fault fault, uint32_t times)
{
    disk.fault = fault;
    disk.fault_times = times;
}

static void sense(uint8_t key, uint8_t code, uint8_t qualifier, uint32_t times)
{
    disk.sense = (struct scsi_sense){key, code, qualifier};
    fail_with(UAS_FAULT_SENSE, times);
}

static int64_t blocks_read(uint64_t block, uint32_t count)
{
    memset(disk.memory + FAKE_DATA, 0xee, count * FAKE_BLOCK);
    return storage_transfer(&unit, lane, false, block, count, FAKE_DATA);
}

static void check_blocks(uint64_t block, uint32_t count)
{
    CHECK(memcmp(disk.memory + FAKE_DATA, disk.scsi.content + block * FAKE_BLOCK,
                 count * FAKE_BLOCK) == 0);
}

TEST(read_and_written)
{
    for (size_t way = 0; way < ARRAY_SIZE(ways); way++) {
        open_with((struct fake_uas){.streams = ways[way], .scsi.unmap_most = 16});
        CHECK_EQUAL(unit.capacity.blocks, FAKE_BLOCKS);
        for (uint32_t i = 0; i < disk.uas.lane_count; i++) {
            lane = &disk.lanes[i].lane;
            CHECK_EQUAL(blocks_read(3, 5), 0);
            check_blocks(3, 5);
            memset(disk.memory + FAKE_DATA, 0x5a + (int)i, FAKE_BLOCK);
            CHECK_EQUAL(storage_transfer(&unit, lane, true, 7, 1, FAKE_DATA), 0);
            CHECK_EQUAL(disk.scsi.content[7 * FAKE_BLOCK + 511], 0x5a + i);
            CHECK_EQUAL(storage_discard(&unit, lane, 7, 2), 0);
            CHECK_EQUAL(disk.scsi.content[7 * FAKE_BLOCK + 511], 0);
            CHECK_EQUAL(storage_flush(&unit, lane), 0);
        }
        CHECK_EQUAL(disk.uas.lane_count, ways[way] ? 3 : 1);
        CHECK_EQUAL(disk.scsi.flushes, disk.uas.lane_count);
        CHECK_EQUAL(disk.aborts + disk.unit_resets + disk.anew, 0);
    }
}

static bool is_answer(enum fake_uas_fault fault)
{
    return fault == UAS_FAULT_SENSE || fault == UAS_FAULT_SENSE_NONE || fault == UAS_FAULT_REFUSED;
}

/* What goes wrong once is not seen by whoever reads, and what is read is right: in this lane and in the others. */
TEST(each_fault_once)
{
    for (size_t way = 0; way < ARRAY_SIZE(ways); way++) {
        for (enum fake_uas_fault fault = 1; fault < UAS_FAULT_PULLED; fault++) {
            if (is_answer(fault))
                continue;
            open_with((struct fake_uas){.streams = ways[way]});
            for (uint32_t i = 0; i < disk.uas.lane_count; i++) {
                lane = &disk.lanes[i].lane;
                fail_with(fault, 1);
                int64_t result = blocks_read(9, 4);
                if (result)
                    FAIL("%u streams, fault %d: %d", ways[way], fault, (int)result);
                check_blocks(9, 4);
                fail_with(fault, 1);
                memset(disk.memory + FAKE_DATA, 0x33, FAKE_BLOCK);
                CHECK_EQUAL(storage_transfer(&unit, lane, true, 2, 1, FAKE_DATA), 0);
                CHECK_EQUAL(disk.scsi.content[2 * FAKE_BLOCK], 0x33);
                for (uint32_t other = 0; other < disk.uas.lane_count; other++) {
                    lane = &disk.lanes[other].lane;
                    CHECK_EQUAL(blocks_read(11, 3), 0);
                    check_blocks(11, 3);
                }
            }
            CHECK_EQUAL(disk.anew, 0);
            CHECK_EQUAL(disk.alone, 0);
        }
    }
}

/* Always: an error, after the port was reset if nothing else helps. */
TEST(each_fault_for_ever)
{
    for (size_t way = 0; way < ARRAY_SIZE(ways); way++) {
        for (enum fake_uas_fault fault = 1; fault < UAS_FAULT_PULLED; fault++) {
            open_with((struct fake_uas){.streams = ways[way]});
            fail_with(fault, UINT32_MAX);
            disk.sense = (struct scsi_sense){0x4, 0x44, 0};
            CHECK_EQUAL(blocks_read(9, 4), -E_IO);
            bool answered = is_answer(fault) || fault == UAS_FAULT_BUSY ||
                            fault == UAS_FAULT_DATA_SHORT || fault == UAS_FAULT_SENSE_LONG;
            if ((disk.anew > 0) == answered)
                FAIL("%u streams, fault %d: begun anew %u times", ways[way], fault, disk.anew);
            fail_with(UAS_FAULT_NONE, 0);
            CHECK_EQUAL(blocks_read(1, 1), 0);
            check_blocks(1, 1);
        }
    }
}

TEST(recovery_by_steps)
{
    static const struct {
        uint8_t abort, reset;
        bool unit_reset, anew;
    } steps[] = {
        {0, 0, false, false}, {8, 0, false, false},   {4, 0, true, false},   {5, 8, true, false},
        {4, 4, true, true},   {0xff, 0, false, true}, {4, 0xff, true, true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        open_with((struct fake_uas){.streams = 4});
        disk.abort_answer = steps[i].abort;
        disk.reset_answer = steps[i].reset;
        fail_with(UAS_FAULT_COMMAND_LOST, 1);
        CHECK_EQUAL(blocks_read(2, 1), 0);
        check_blocks(2, 1);
        CHECK(disk.aborts > 0);
        CHECK_EQUAL(disk.unit_resets > 0, steps[i].unit_reset);
        CHECK_EQUAL(disk.anew > 0, steps[i].anew);
    }
}

/* A driver that died left commands at work, and what they come to is said to the next one. */
TEST(what_others_left)
{
    for (size_t way = 0; way < ARRAY_SIZE(ways); way++) {
        disk = (struct fake_uas){.streams = ways[way]};
        fake_uas_open(&disk);
        disk.alone = 1; /* nobody else is there yet */
        for (uint16_t tag = 1; tag <= disk.uas.lane_count; tag++) {
            fake_uas_end(&disk, tag, UAS_FAULT_NONE, false);
            disk.busy[tag] = true;
        }
        disk.halted[UAS_DATA_IN] = true;
        CHECK_EQUAL(uas_quiet(&disk.uas), 0);
        CHECK_EQUAL(disk.anew, 0);
        CHECK_EQUAL(disk.unit_count, 0);
        disk.alone = 0;
        CHECK_EQUAL(storage_open(&unit, &disk.lanes[0].lane, 0), 0);
        disk.reset_answer = 4;
        disk.alone = 1;
        CHECK_EQUAL(uas_quiet(&disk.uas), 0);
        CHECK_EQUAL(disk.anew, 1);
    }
}

TEST(pulled_out)
{
    open_with((struct fake_uas){.streams = 4});
    fail_with(UAS_FAULT_PULLED, 1);
    CHECK_EQUAL(blocks_read(0, 1), -E_CLOSED);
    fail_with(UAS_FAULT_NONE, 0);
    lane = &disk.lanes[2].lane;
    CHECK_EQUAL(blocks_read(0, 1), -E_CLOSED);
    CHECK_EQUAL(disk.aborts + disk.anew, 0);
}

TEST(causes)
{
    for (size_t way = 0; way < ARRAY_SIZE(ways); way++) {
        open_with((struct fake_uas){.streams = ways[way]});
        sense(0x3, 0x11, 0, UINT32_MAX);
        CHECK_EQUAL(blocks_read(0, 1), -E_MEDIUM);
        disk.fault = UAS_FAULT_SENSE_NONE;
        CHECK_EQUAL(blocks_read(0, 1), -E_MEDIUM);
        sense(0x6, 0x29, 0, 3);
        CHECK_EQUAL(blocks_read(2, 1), 0);
        check_blocks(2, 1);
        sense(0x2, 0x3a, 0, 1);
        CHECK_EQUAL(blocks_read(2, 1), -E_NO_DEVICE);
        fail_with(UAS_FAULT_BUSY, 40);
        disk.pauses = 0;
        CHECK_EQUAL(blocks_read(2, 1), 0);
        CHECK_EQUAL(disk.pauses, 40);
        CHECK_EQUAL(disk.aborts, 0);
    }
}

TEST(units)
{
    uint32_t units, more;
    open_with((struct fake_uas){
        .streams = 4, .scsi.reported = {0, 3, 15, 16, 200}, .scsi.reported_count = 5});
    CHECK_EQUAL(storage_units(lane, &units, &more), 0);
    CHECK_EQUAL(units, 0x8009);
    CHECK_EQUAL(more, 2);
    disk.scsi.reported_count = 0;
    CHECK_EQUAL(storage_units(lane, &units, &more), 0);
    CHECK_EQUAL(units, 1);
}

/* A device of both transports, as they are sold. */
static const uint8_t both[] = {
    18, 1, 0x00, 3, 0, 0, 0, 9,    1,    2,  3, 4, 5, 6, 1,    2, 3, 1, /* device */
    9,  2, 121,  0, 1, 1, 0, 0x80, 10,                                  /* configuration */
    9,  4, 0,    0, 2, 8, 6, 0x50, 0,                                   /* interface 0: bulk-only */
    7,  5, 0x81, 2, 0, 4, 0, 6,    0x30, 15, 0, 0, 0,                   /* in */
    7,  5, 0x02, 2, 0, 4, 0, 6,    0x30, 15, 0, 0, 0,                   /* out */
    9,  4, 0,    1, 4, 8, 6, 0x62, 0,                                   /* setting 1: UAS */
    7,  5, 0x81, 2, 0, 4, 0, 6,    0x30, 15, 5, 0, 0, 4, 0x24, 3, 0,    /* data in */
    7,  5, 0x02, 2, 0, 4, 0, 6,    0x30, 15, 5, 0, 0, 4, 0x24, 4, 0,    /* data out */
    7,  5, 0x83, 2, 0, 4, 0, 6,    0x30, 15, 5, 0, 0, 4, 0x24, 2, 0,    /* status */
    7,  5, 0x04, 2, 0, 4, 0, 6,    0x30, 0,  0, 0, 0, 4, 0x24, 1, 0,    /* command */
};

TEST(what_a_device_offers)
{
    struct uas_settings settings;
    uint8_t bytes[sizeof(both)];
    uas_find(both, sizeof(both), 0, &settings);
    CHECK(settings.bulk_only && settings.attached);
    CHECK_EQUAL(settings.bulk_only_alternate, 0);
    CHECK_EQUAL(settings.attached_alternate, 1);
    CHECK_EQUAL(settings.pipes[UAS_COMMAND], 0x04);
    CHECK_EQUAL(settings.pipes[UAS_STATUS_IN], 0x83);
    CHECK_EQUAL(settings.pipes[UAS_DATA_IN], 0x81);
    CHECK_EQUAL(settings.pipes[UAS_DATA_OUT], 0x02);
    uas_find(both, sizeof(both), 1, &settings);
    CHECK(!settings.bulk_only && !settings.attached);
    for (size_t i = 18 + 9 + 9 + 26 + 9; i < sizeof(both);
         i++) { /* any byte of a pipe's use is wrong */
        memcpy(bytes, both, sizeof(both));
        bytes[i] ^= 0xff;
        uas_find(bytes, sizeof(bytes), 0, &settings);
        CHECK(settings.bulk_only);
        if (settings.attached)
            CHECK(settings.pipes[UAS_STATUS_IN] & 0x80 && settings.pipes[UAS_DATA_IN] & 0x80 &&
                  !(settings.pipes[UAS_COMMAND] & 0x80) && !(settings.pipes[UAS_DATA_OUT] & 0x80));
    }
    for (size_t length = 0; length < sizeof(both); length++) {
        uas_find(both, length, 0, &settings);
        CHECK(!settings.attached);
    }
}

TEST(streams_and_lanes)
{
    CHECK_EQUAL(uas_lanes(0), 1);
    CHECK_EQUAL(uas_lanes(1), 0); /* none for who manages tasks */
    CHECK_EQUAL(uas_lanes(2), 1);
    CHECK_EQUAL(uas_lanes(16), 15);
}
