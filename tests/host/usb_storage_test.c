// sources: lib/usb/bulk_only.c lib/usb/scsi.c lib/usb/storage.c
/* Units of USB disks, and everything that may go wrong on the way to them. */
#include "tests/host/fake_usb_disk.h"

static struct fake_disk disk;
static struct bulk_only bulk;
static struct storage_unit unit;

static void open_with(struct fake_disk with)
{
    disk = with;
    fake_disk_open(&disk, &bulk);
    CHECK_EQUAL(storage_open(&unit, &bulk.lane, 0), 0);
    CHECK_EQUAL(storage_load(&unit, &bulk.lane), 0);
}

static void fail_with(enum fake_fault fault, uint32_t times)
{
    disk.fault = fault;
    disk.fault_times = times;
}

static void sense(uint8_t key, uint8_t code, uint8_t qualifier, uint32_t times)
{
    disk.sense = (struct scsi_sense){key, code, qualifier};
    fail_with(FAULT_SENSE, times);
}

static int64_t blocks_read(uint64_t block, uint32_t count)
{
    memset(disk.memory + FAKE_DATA, 0xee, count * FAKE_BLOCK);
    return storage_transfer(&unit, &bulk.lane, false, block, count, FAKE_DATA);
}

static void check_blocks(uint64_t block, uint32_t count)
{
    CHECK(memcmp(disk.memory + FAKE_DATA, disk.scsi.content + block * FAKE_BLOCK,
                 count * FAKE_BLOCK) == 0);
}

TEST(what_it_says)
{
    open_with((struct fake_disk){.scsi.mode = {11, 0, 0x80, 0, 8, 6, 4}, .scsi.mode_length = 12});
    CHECK_STRING(unit.inquiry.vendor, "FAKE");
    CHECK_STRING(unit.inquiry.product, "A disk");
    CHECK_STRING(unit.inquiry.revision, "1.0");
    CHECK_EQUAL(unit.capacity.blocks, FAKE_BLOCKS);
    CHECK_EQUAL(unit.capacity.block, FAKE_BLOCK);
    CHECK(unit.mode.read_only && unit.mode.cache && unit.loaded && !unit.inquiry.removable);
    open_with((struct fake_disk){.scsi.mode = {11, 0, 0, 0, 8, 6, 0}, .scsi.mode_length = 12});
    CHECK(!unit.mode.read_only && !unit.mode.cache);
    CHECK_EQUAL(storage_flush(&unit, &bulk.lane), 0);
    CHECK_EQUAL(disk.scsi.flushes, 0);
}

TEST(read_and_written)
{
    open_with((struct fake_disk){0});
    CHECK_EQUAL(blocks_read(3, 5), 0);
    check_blocks(3, 5);
    memset(disk.memory + FAKE_DATA, 0x5a, FAKE_BLOCK);
    CHECK_EQUAL(storage_transfer(&unit, &bulk.lane, true, 7, 1, FAKE_DATA), 0);
    CHECK_EQUAL(disk.scsi.content[7 * FAKE_BLOCK + 511], 0x5a);
    CHECK_EQUAL(disk.scsi.content[8 * FAKE_BLOCK], (uint8_t)(8 * FAKE_BLOCK * 7 + 8));
    CHECK_EQUAL(storage_flush(&unit, &bulk.lane), 0);
    CHECK_EQUAL(disk.scsi.flushes, 1);
    CHECK_EQUAL(disk.resets, 0);
}

TEST(large_disks_are_spoken_to_in_16_bytes)
{
    open_with((struct fake_disk){.scsi.blocks = UINT64_C(1) << 33});
    CHECK_EQUAL(unit.capacity.blocks, INT64_C(1) << 33);
    CHECK_EQUAL(unit.capacity.physical, 4096);
    CHECK_EQUAL(blocks_read(5, 1), 0);
    CHECK_EQUAL(disk.last_length, 10);
    CHECK_EQUAL(blocks_read(UINT32_MAX, 1), 0);
    CHECK_EQUAL(disk.last_length, 16);
    check_blocks(UINT32_MAX % FAKE_BLOCKS, 1);
}

/* What goes wrong once is not seen by whoever reads, and what is read is right. */
TEST(each_fault_once)
{
    for (enum fake_fault fault = FAULT_COMMAND_STALL; fault < FAULT_SENSE; fault++) {
        open_with((struct fake_disk){0});
        fail_with(fault, 1);
        int64_t result = blocks_read(9, 4);
        if (result)
            FAIL("fault %d: %d", fault, (int)result);
        check_blocks(9, 4);
        CHECK_EQUAL(disk.anew, 0);
        fail_with(fault, 1);
        memset(disk.memory + FAKE_DATA, 0x33, FAKE_BLOCK);
        CHECK_EQUAL(storage_transfer(&unit, &bulk.lane, true, 2, 1, FAKE_DATA), 0);
        CHECK_EQUAL(disk.scsi.content[2 * FAKE_BLOCK], 0x33);
    }
}

/* Always: an error, after the port was reset if the transport is broken. */
TEST(each_fault_for_ever)
{
    for (enum fake_fault fault = FAULT_COMMAND_STALL; fault < FAULT_SENSE; fault++) {
        open_with((struct fake_disk){0});
        fail_with(fault, UINT32_MAX);
        bool harmless = fault == FAULT_STATUS_STALL || fault == FAULT_STATUS_EMPTY;
        CHECK_EQUAL(blocks_read(9, 4), harmless ? 0 : -E_IO);
        bool broken = fault != FAULT_DATA_STALL && fault != FAULT_DATA_SHORT &&
                      fault != FAULT_STATUS_LIE && !harmless;
        CHECK_EQUAL(disk.anew > 0, broken);
        fail_with(FAULT_NONE, 0);
        CHECK_EQUAL(blocks_read(1, 1), 0);
        check_blocks(1, 1);
    }
}

TEST(recovery_by_the_book)
{
    open_with((struct fake_disk){0});
    uint32_t clears[2] = {disk.clears[0], disk.clears[1]};
    fail_with(FAULT_STATUS_PHASE, 1);
    CHECK_EQUAL(blocks_read(0, 1), 0);
    CHECK_EQUAL(disk.resets, 1);
    CHECK(disk.clears[0] > clears[0] && disk.clears[1] > clears[1]);
    disk.ignores_reset = true;
    fail_with(FAULT_STATUS_PHASE, 1);
    CHECK_EQUAL(blocks_read(0, 1), 0);
    CHECK_EQUAL(disk.anew, 1);
}

TEST(pulled_out)
{
    open_with((struct fake_disk){0});
    fail_with(FAULT_PULLED, 1);
    CHECK_EQUAL(blocks_read(0, 1), -E_CLOSED);
    fail_with(FAULT_NONE, 0);
    CHECK_EQUAL(blocks_read(0, 1), -E_CLOSED);
    CHECK_EQUAL(storage_look(&unit, &bulk.lane), -E_CLOSED);
    CHECK_EQUAL(disk.resets, 0);
}

TEST(causes)
{
    static const struct {
        uint8_t key, code, qualifier;
        int64_t error;
    } causes[] = {
        {0x3, 0x11, 0x00, -E_MEDIUM},    {0x4, 0x44, 0x00, -E_IO},
        {0x5, 0x21, 0x00, -E_IO},        {0x5, 0x20, 0x00, -E_NOT_SUPPORTED},
        {0x7, 0x27, 0x00, -E_READ_ONLY}, {0x7, 0x27, 0x07, -E_NO_SPACE},
        {0xd, 0x00, 0x00, -E_NO_SPACE},  {0xb, 0x00, 0x06, -E_IO},
        {0x2, 0x3a, 0x00, -E_NO_DEVICE}, {0x2, 0x04, 0x01, -E_IO},
        {0x2, 0x30, 0x00, -E_IO},        {0xe, 0x1d, 0x00, -E_IO},
    };
    for (size_t i = 0; i < ARRAY_SIZE(causes); i++) {
        open_with((struct fake_disk){0});
        sense(causes[i].key, causes[i].code, causes[i].qualifier, UINT32_MAX);
        CHECK_EQUAL(blocks_read(0, 1), causes[i].error);
        CHECK_EQUAL(disk.resets, 0);
    }
}

TEST(attention_and_patience)
{
    open_with((struct fake_disk){0});
    sense(0x6, 0x29, 0, 3);
    CHECK_EQUAL(blocks_read(2, 1), 0);
    check_blocks(2, 1);
    sense(0x2, 0x04, 0x01, 40);
    CHECK_EQUAL(blocks_read(4, 1), 0);
    CHECK_EQUAL(disk.pauses, 40);
    sense(0x2, 0x04, 0x02, 1);
    CHECK_EQUAL(blocks_read(4, 1), 0);
    CHECK_EQUAL(disk.scsi.starts, 1);
    sense(0x1, 0x17, 0x00, 1); /* recovered, but where are the data? */
    CHECK_EQUAL(blocks_read(4, 1), 0);
    check_blocks(4, 1);
}

TEST(media_come_and_go)
{
    open_with((struct fake_disk){0});
    disk.scsi.inquiry[1] = 0x80;
    CHECK_EQUAL(storage_open(&unit, &bulk.lane, 0), 0);
    sense(0x2, 0x3a, 0, 1);
    CHECK_EQUAL(storage_load(&unit, &bulk.lane), -E_NO_DEVICE);
    sense(0x6, 0x28, 0, 1);
    CHECK_EQUAL(storage_load(&unit, &bulk.lane), 0);
    CHECK(unit.loaded && unit.inquiry.removable);
    sense(0x6, 0x28, 0, 1);
    CHECK_EQUAL(storage_look(&unit, &bulk.lane), -E_NO_DEVICE);
    CHECK(!unit.loaded);
}

TEST(a_device_that_knows_no_flush)
{
    open_with((struct fake_disk){.scsi.no_flush = true});
    CHECK_EQUAL(storage_flush(&unit, &bulk.lane), 0);
    CHECK_EQUAL(storage_flush(&unit, &bulk.lane), 0);
    CHECK_EQUAL(disk.scsi.flushes, 1);
}

TEST(discards)
{
    open_with((struct fake_disk){.scsi.unmap_most = 32, .scsi.unmap_unit = 8});
    CHECK_EQUAL(unit.limits.most, 32);
    CHECK_EQUAL(unit.limits.unit, 8);
    sense(0x6, 0x29, 0, 1); /* the list goes out once more */
    CHECK_EQUAL(storage_discard(&unit, &bulk.lane, 8, 32), 0);
    CHECK_EQUAL(disk.scsi.content[8 * FAKE_BLOCK + 3], 0);
    CHECK_EQUAL(disk.scsi.content[40 * FAKE_BLOCK], (uint8_t)(40 * FAKE_BLOCK * 7 + 40));
    CHECK_EQUAL(disk.resets, 0);
    open_with((struct fake_disk){0});
    CHECK_EQUAL(unit.limits.most, 0);
}

static uint32_t units_count(void)
{
    uint32_t units, more;
    CHECK_EQUAL(storage_units(&bulk.lane, &units, &more), 0);
    CHECK_EQUAL(more, 0);
    return (uint32_t)__builtin_popcount(units);
}

TEST(units)
{
    disk = (struct fake_disk){.units = 3};
    fake_disk_open(&disk, &bulk);
    CHECK_EQUAL(units_count(), 4);
    disk.units = 0xff;
    CHECK_EQUAL(units_count(), 1);
    disk.units = 99;
    CHECK_EQUAL(units_count(), 1);
}

TEST(not_a_disk)
{
    disk = (struct fake_disk){0};
    fake_disk_open(&disk, &bulk);
    disk.scsi.inquiry[0] = 0x03;
    CHECK_EQUAL(storage_open(&unit, &bulk.lane, 0), -E_NOT_SUPPORTED);
    disk.scsi.inquiry[0] = 0x7f;
    CHECK_EQUAL(storage_open(&unit, &bulk.lane, 0), -E_NOT_SUPPORTED);
}
