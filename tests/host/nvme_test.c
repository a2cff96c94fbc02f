// sources: sbin/nvmed/driver.c sbin/nvmed/disks.c sbin/nvmed/controller.c sbin/nvmed/command.c sbin/nvmed/identify.c sbin/nvmed/queue.c sbin/nvmed/status.c
/* nvmed against a controller that keeps the rules, one that does not, and one that fails. fuzz_nvme.c has one that does anything. */
#include "abi/errors.h"
#include "sbin/nvmed/command.h"
#include "sbin/nvmed/driver.h"
#include "sbin/nvmed/identify.h"
#include "sbin/nvmed/status.h"
#include "tests/host/fake_nvme.h"
#include "tests/host/test.h"

static void begin(void)
{
    fake_nvme_plug();
    CHECK_EQUAL(nvmed_serve("pci:///00:12.0"), 0);
    CHECK_EQUAL(fake_disk_count, 1);
}

/* The controller goes, and with it everything: nothing is left. */
static void end(void)
{
    fake_nvme.gone = true;
    if (fake_disk_count)
        CHECK(fake_reset(fake_disks[0]) < 0);
    fake_nvme_interrupts();
    CHECK_EQUAL(fake_disk_count, 0);
    CHECK(!fake_master);
    fake_nvme_unplug();
}

static int64_t carried_out(uint32_t op, uint64_t sector, uint32_t count)
{
    return fake_carried_out(fake_nvme_interrupts, op, sector, count);
}

TEST(what_a_disk_is)
{
    begin();
    const struct disk *disk = fake_disks[0];
    CHECK_STRING(disk->name, "nvme0");
    CHECK_STRING(disk->geometry.serial, "serial 1");
    CHECK_STRING(disk->geometry.model, "model?");
    CHECK_EQUAL(disk->geometry.size, FAKE_BLOCKS * 512);
    CHECK_EQUAL(disk->geometry.sector, 512);
    CHECK_EQUAL(disk->geometry.physical_sector, 512);
    CHECK_EQUAL(disk->geometry.flags, DISK_HAS_CACHE | DISK_HAS_ZERO);
    CHECK_EQUAL(disk->geometry.discard, 512);
    CHECK_EQUAL(disk->bytes, 128 << 10);
    CHECK_EQUAL(disk->geometry.depth, 2 * 63);
    end();
}

TEST(there_and_back)
{
    begin();
    for (uint32_t sectors = 1; sectors <= 40; sectors += 3) {
        struct fake_request *write = fake_request(fake_disks[0], DISK_WRITE, 7, sectors);
        struct fake_request *read = fake_request(fake_disks[0], DISK_READ, 7, sectors);

        for (uint32_t i = 0; i < sectors * 512; i++)
            write->bytes[i] = (uint8_t)(i * 7 + sectors);
        CHECK_EQUAL(fake_start(write), 0);
        fake_nvme_interrupts();
        CHECK_EQUAL(write->status, 0);
        CHECK_EQUAL(fake_start(read), 0);
        fake_nvme_interrupts();
        CHECK_EQUAL(read->done, 1);
        CHECK(memcmp(write->bytes, read->bytes, sectors * 512) == 0);
    }
    CHECK_EQUAL(carried_out(OP_SYNC, 0, 0), 0);
    CHECK_EQUAL(fake_nvme.flushes, 1);
    CHECK_EQUAL(carried_out(DISK_DISCARD, 8, 1000), 0);
    CHECK_EQUAL(fake_nvme.discards, 1000);
    end();
}

TEST(many_at_once_in_any_order)
{
    uint64_t state = 1;

    begin();
    for (unsigned round = 0; round < 20; round++) {
        struct fake_request *requests[FAKE_HELD];
        unsigned count = 0;

        fake_nvme.hold = true;
        for (;;) {
            requests[count] = fake_request(fake_disks[0], DISK_READ, count, 1);
            if (fake_start(requests[count]) < 0)
                break;
            count++;
        }
        CHECK_EQUAL(count, 2 * 63); /* two pairs, an entry of each stays free */
        CHECK_EQUAL(fake_nvme.held_count, count);
        while (fake_nvme.held_count)
            fake_nvme_complete((unsigned)(test_random(&state) % fake_nvme.held_count), 0);
        fake_nvme_interrupts();
        for (unsigned i = 0; i < count; i++)
            CHECK(requests[i]->done == 1 && requests[i]->status == 0);
    }
    end();
}

TEST(errors_have_causes)
{
    static const struct {
        uint16_t status;
        int64_t want;
    } cases[] = {
        {0x281, -E_MEDIUM},        {0x280, -E_MEDIUM},    {0x080, -E_RANGE},  {0x020, -E_READ_ONLY},
        {0x00b, -E_NO_DEVICE},     {0x081, -E_NO_SPACE},  {0x006, DISK_LOST}, {0x4006, -E_IO},
        {0x001, -E_NOT_SUPPORTED}, {0x002, -E_INVALID},   {0x2ff, -E_MEDIUM}, {0x3ff, -E_IO},
        {0x022, DISK_LOST},        {0x182, -E_READ_ONLY},
    };

    begin();
    fake_nvme.hold = true;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fake_request *request = fake_started(DISK_READ, 1, 1);

        fake_nvme_complete(0, cases[i].status);
        fake_nvme_interrupts();
        CHECK_EQUAL(request->done, 1);
        CHECK_EQUAL(request->status, cases[i].want);
    }
    end();
}

TEST(what_it_loses_is_lost_once)
{
    begin();
    fake_nvme.hold = true;
    struct fake_request *one = fake_started(DISK_READ, 1, 1),
                        *other = fake_started(DISK_WRITE, 2, 1);
    CHECK_EQUAL(fake_nvme.held_count, 2);
    CHECK_EQUAL(fake_reset(fake_disks[0]), 0);
    CHECK_EQUAL(fake_nvme.enabled, 2);
    CHECK(one->done == 1 && one->status == DISK_LOST);
    CHECK(other->done == 1 && other->status == DISK_LOST);
    CHECK_EQUAL(fake_disk_count, 1);
    fake_nvme.hold = false;
    CHECK_EQUAL(carried_out(DISK_READ, 1, 1), 0);
    end();
}

/* Its queues broken in every way it can: it is reset, and goes on. */
TEST(a_controller_that_lies)
{
    for (unsigned way = 0; way < 3; way++) {
        begin();
        fake_nvme.hold = true;
        struct fake_request *request = fake_started(DISK_READ, 1, 1);
        uint16_t queue = fake_nvme.held[0].queue, id = fake_nvme.held[0].command.id;
        switch (way) {
        case 0: /* one that was never given */
            fake_nvme_put(queue, (uint16_t)(id + 1), 0, 0);
            break;
        case 1: /* beyond all */
            fake_nvme_put(queue, UINT16_MAX, 0, 0);
            break;
        default: /* twice */
            fake_nvme_put(queue, id, 0, 0);
            fake_nvme_put(queue, id, 0, 0);
        }
        fake_nvme_interrupts();
        CHECK_EQUAL(fake_nvme.enabled, 2);
        CHECK_EQUAL(request->done, 1);
        CHECK_EQUAL(request->status, way == 2 ? 0 : DISK_LOST);
        fake_nvme.hold = false;
        CHECK_EQUAL(carried_out(DISK_READ, 1, 1), 0);
        end();
    }
}

TEST(a_controller_that_does_not_come_back)
{
    begin();
    fake_nvme.hold = true;
    struct fake_request *request = fake_started(DISK_READ, 1, 1);
    fake_nvme.never_ready = true;
    CHECK_EQUAL(fake_reset(fake_disks[0]), -E_TIMED_OUT);
    CHECK(request->done == 1 && request->status == DISK_LOST);
    CHECK_EQUAL(fake_disk_count, 0);
    CHECK(!fake_master);
    end();

    begin();
    fake_nvme.hold = true;
    request = fake_started(DISK_READ, 1, 1);
    fake_nvme.dead = true; /* it does not even say that it is not ready */
    CHECK(fake_reset(fake_disks[0]) < 0);
    CHECK_EQUAL(request->done, 1);
    end();

    fake_nvme_plug();
    fake_nvme.registers[NVME_CAP / 4 + 1] = 0;
    CHECK_EQUAL(nvmed_serve("pci:///00:12.0"), -E_NOT_SUPPORTED);
    fake_nvme_unplug();
}

/* With one namespace go the others, and what is asked of them meanwhile is answered. */
TEST(all_disks_of_a_controller_go)
{
    fake_nvme_plug();
    fake_nvme.blocks[2] = 50;
    CHECK_EQUAL(nvmed_serve("pci:///00:12.0"), 0);
    CHECK_EQUAL(fake_disk_count, 2);
    fake_nvme.never_ready = true;
    CHECK_EQUAL(fake_reset(fake_disks[0]), -E_TIMED_OUT);
    CHECK_EQUAL(fake_disk_count, 1);
    CHECK_EQUAL(fake_start(fake_request(fake_disks[0], DISK_READ, 1, 1)), -E_NO_DEVICE);
    end();
}

TEST(namespaces_come_and_go)
{
    begin();
    fake_nvme.blocks[3] = 100;
    fake_nvme_event(NVME_EVENT_NOTICE | 4 << 16);
    fake_nvme_interrupts();
    CHECK_EQUAL(fake_disk_count, 2);
    CHECK_STRING(fake_disks[1]->name, "nvme0n3");
    CHECK_EQUAL(fake_disks[1]->geometry.size, 100 * 512);

    fake_nvme.blocks[3] = 200;
    fake_nvme_event(NVME_EVENT_NOTICE | 4 << 16);
    fake_nvme_interrupts();
    CHECK_EQUAL(fake_changes, 1);
    CHECK_EQUAL(fake_disks[1]->geometry.size, 200 * 512);

    fake_nvme.hold = true;
    struct fake_request *request = fake_started(DISK_READ, 1, 1);
    fake_nvme.blocks[1] = 0;
    fake_nvme_event(NVME_EVENT_NOTICE | 4 << 16);
    fake_nvme_interrupts();
    CHECK_EQUAL(fake_disk_count, 1);
    CHECK_EQUAL(request->status, -E_NO_DEVICE);
    fake_nvme_event(NVME_EVENT_HEALTH | 1 << 8 | 2 << 16);
    fake_nvme_interrupts();
    CHECK_EQUAL(fake_disk_count, 1);
    end();
}

TEST(the_end)
{
    begin();
    fake_driver->stopping(fake_disks[0]);
    CHECK(fake_nvme.registers[NVME_CSTS / 4] & NVME_CSTS_SHUTDOWN_DONE);
    CHECK(!fake_master);
    CHECK_EQUAL(fake_start(fake_request(fake_disks[0], DISK_READ, 1, 1)), -E_NO_DEVICE);
    end();
}

/* --- Pure parts --------------------------------------------------------------------------------------------------- */

static uint64_t words[NVME_PAGE / 8];
static const struct nvme_page page = {words, 0x7000};
static struct nvme_command command;

static int64_t built(const struct disk_segment *segments, uint32_t count, uint32_t sectors)
{
    struct disk_request request = {.op = DISK_WRITE,
                                   .flags = DISK_THROUGH,
                                   .sector = UINT64_C(0x123456789),
                                   .count = sectors,
                                   .segments = segments,
                                   .segment_count = count};

    return nvme_command_build(&command, &request, 5, &page);
}

TEST(pages)
{
    static const struct disk_segment one[] = {{0x1200, 0x200}}, two[] = {{0x1200, 0x1000}},
                                     three[] = {{0x1200, 0x1e00}, {0x8000, 0x400}},
                                     hole[] = {{0x1000, 0x200}, {0x1400, 0x200}},
                                     hole_behind[] = {{0x1000, 0x1000}, {0x8200, 0x200}},
                                     odd[] = {{0x1202, 0x200}}, large[] = {{0x1200, 0x200000}},
                                     larger[] = {{0x1200, 0x201000}};

    CHECK_EQUAL(built(one, 1, 1), 0);
    CHECK_EQUAL(command.prp[0], 0x1200);
    CHECK_EQUAL(command.prp[1], 0);
    CHECK_EQUAL(command.args[0], 0x23456789);
    CHECK_EQUAL(command.args[1], 1);
    CHECK_EQUAL(command.args[2], NVME_FUA);
    CHECK_EQUAL(command.namespace, 5);
    CHECK_EQUAL(built(two, 1, 8), 0);
    CHECK_EQUAL(command.prp[1], 0x2000);
    CHECK_EQUAL(built(three, 2, 17), 0);
    CHECK_EQUAL(command.prp[1], page.address);
    CHECK_EQUAL(words[0], 0x2000);
    CHECK_EQUAL(words[1], 0x8000);
    CHECK_EQUAL(built(hole, 2, 2), -E_INVALID);
    CHECK_EQUAL(built(hole_behind, 2, 9), -E_INVALID);
    CHECK_EQUAL(built(odd, 1, 1), -E_INVALID);
    CHECK_EQUAL(built(NULL, 0, 1), -E_INVALID);
    CHECK_EQUAL(built(large, 1, 4096), 0);
    CHECK_EQUAL(words[511], 0x201000);
    CHECK_EQUAL(built(larger, 1, 4104), -E_RANGE);
    CHECK_EQUAL(built(one, 1, 65537), -E_RANGE);
}

TEST(identify_that_lies)
{
    uint8_t bytes[NVME_PAGE];
    struct nvme_controller_facts controller;
    struct nvme_namespace_facts facts;

    memset(bytes, 0xff, sizeof(bytes));
    CHECK_EQUAL(nvme_controller_parse(bytes, 0, &controller), -E_NOT_SUPPORTED);
    CHECK_EQUAL(nvme_namespace_parse(bytes, &facts), -E_NOT_SUPPORTED);
    bytes[512] = 0x66;
    bytes[513] = 0x44;
    CHECK_EQUAL(nvme_controller_parse(bytes, 0x10000, &controller), 0);
    CHECK_EQUAL(controller.transfer_most, UINT32_MAX);
    CHECK_EQUAL(controller.namespaces, 0xfffffffd);
    CHECK(!controller.lists);
    CHECK_STRING(controller.serial, "????????????????????");

    memset(bytes, 0, sizeof(bytes));
    CHECK_EQUAL(nvme_namespace_parse(bytes, &facts), -E_NOT_FOUND);
    memset(bytes, 0xff, 8);
    bytes[130] = 12;
    CHECK_EQUAL(nvme_namespace_parse(bytes, &facts), 0);
    CHECK_EQUAL(facts.blocks, INT64_MAX >> 12);
    bytes[26] = 3; /* a format beyond those it has */
    CHECK_EQUAL(nvme_namespace_parse(bytes, &facts), -E_NOT_SUPPORTED);
    bytes[26] = 0;
    bytes[130] = 13;
    CHECK_EQUAL(nvme_namespace_parse(bytes, &facts), -E_NOT_SUPPORTED);
    bytes[130] = 9;
    bytes[128] = 8; /* metadata */
    CHECK_EQUAL(nvme_namespace_parse(bytes, &facts), -E_NOT_SUPPORTED);
    bytes[128] = 0;
    bytes[24] = 0x10;
    bytes[64] = 7;
    bytes[99] = 1;
    CHECK_EQUAL(nvme_namespace_parse(bytes, &facts), 0);
    CHECK_EQUAL(facts.physical_shift, 12);
    CHECK(facts.read_only);
}
