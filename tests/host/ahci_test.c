// sources: sbin/ahcid/driver.c sbin/ahcid/adapter.c sbin/ahcid/port.c sbin/ahcid/slots.c sbin/ahcid/command.c sbin/ahcid/ata.c
/* ahcid against an adapter that keeps the rules, and against disks that fail, come and go. fuzz_ahci.c has adapters that do anything. */
#include "abi/errors.h"
#include "sbin/ahcid/slots.h"
#include "tests/host/fake_ahci.h"
#include "tests/host/test.h"

static void serve(void)
{
    CHECK_EQUAL(ahcid_serve("pci:///00:1f.2"), 0);
    fake_ahci_settle();
}

/* The disk is there before anybody is served. */
static void begin(void)
{
    fake_ahci_plug();
    CHECK_EQUAL(ahcid_serve("pci:///00:1f.2"), 0);
    CHECK_EQUAL(fake_disk_count, 1);
}

/* The adapter goes, and with it everything. */
static void end(void)
{
    fake_ahci.gone = true;
    fake_interrupt(AHCID_KEY_IRQ);
    CHECK_EQUAL(fake_disk_count, 0);
    fake_ahci_unplug();
}

static int64_t carried_out(uint32_t op, uint64_t sector, uint32_t count)
{
    return fake_carried_out(fake_ahci_settle, op, sector, count);
}

TEST(what_a_disk_is)
{
    begin();
    const struct disk *disk = fake_disks[0];
    CHECK_STRING(disk->name, "ahci0.0");
    CHECK_STRING(disk->geometry.serial, "first");
    CHECK_EQUAL(disk->geometry.size, FAKE_SECTORS * 512);
    CHECK_EQUAL(disk->geometry.sector, 512);
    CHECK_EQUAL(disk->geometry.physical_sector, 4096);
    CHECK_EQUAL(disk->geometry.flags, DISK_HAS_CACHE);
    CHECK_EQUAL(disk->geometry.depth, 32);
    CHECK_EQUAL(disk->geometry.discard, 512);
    CHECK_EQUAL(fake_ahci.handoff, AHCI_BOHC_OS); /* the firmware has let go */
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
        fake_ahci_settle();
        CHECK_EQUAL(write->status, 0);
        CHECK_EQUAL(fake_start(read), 0);
        fake_ahci_settle();
        CHECK_EQUAL(read->done, 1);
        CHECK(memcmp(write->bytes, read->bytes, sectors * 512) == 0);
    }
    CHECK_EQUAL(carried_out(OP_SYNC, 0, 0), 0);
    CHECK_EQUAL(fake_ahci.ports[0].flushes, 1);
    CHECK_EQUAL(carried_out(DISK_DISCARD, 8, 100000), 0);
    CHECK_EQUAL(fake_ahci.ports[0].trims, 100000);
    CHECK_EQUAL(fake_ahci.ports[0].resets, 1);
    end();
}

static void complete_all(uint32_t number, uint64_t *state)
{
    struct fake_port *port = &fake_ahci.ports[number];

    while (port->held) {
        uint32_t slot = (uint32_t)(test_random(state) % AHCI_SLOTS);

        if (fake_bit(port->held, slot))
            fake_ahci_complete(number, slot, TASK_READY);
    }
}

TEST(many_at_once_in_any_order)
{
    uint64_t state = 1;

    begin();
    fake_ahci.hold = true;
    for (unsigned round = 0; round < 50; round++) {
        struct fake_request *requests[AHCI_SLOTS + 1];
        unsigned count = 0;

        for (;;) {
            requests[count] = fake_request(fake_disks[0], DISK_READ, count, 1);
            if (fake_start(requests[count]) < 0)
                break;
            count++;
        }
        CHECK_EQUAL(count, AHCI_SLOTS);
        CHECK_EQUAL(fake_ahci.ports[0].most_held, AHCI_SLOTS);
        complete_all(0, &state);
        fake_ahci_settle();
        for (unsigned i = 0; i < count; i++)
            CHECK(requests[i]->done == 1 && requests[i]->status == 0);
    }
    end();
}

/* What goes alone waits for those that are under way, and those that come behind it for it: the fake disk sees to it. */
TEST(kinds_are_not_mixed)
{
    uint64_t state = 1;

    begin();
    fake_ahci.hold = true;
    for (unsigned round = 0; round < 200; round++) {
        struct fake_request *requests[20];

        for (unsigned i = 0; i < ARRAY_SIZE(requests); i++)
            requests[i] = fake_started(test_random(&state) % 4 ? DISK_WRITE : OP_SYNC, i, 1);
        for (unsigned i = 0; i < 40; i++) {
            complete_all(0, &state);
            fake_ahci_settle();
        }
        for (unsigned i = 0; i < ARRAY_SIZE(requests); i++)
            CHECK(requests[i]->done == 1 && requests[i]->status == 0);
    }
    end();
}

/* A disk that does not queue gets one after the other. */
TEST(a_disk_without_queue)
{
    fake_ahci_plug();
    fake_identify_word(&fake_ahci.ports[0], 76, 0);
    fake_identify_sum(&fake_ahci.ports[0]);
    serve();
    CHECK_EQUAL(fake_disks[0]->geometry.depth, 1);
    fake_ahci.hold = true;
    struct fake_request *one = fake_started(DISK_READ, 1, 1),
                        *other = fake_started(DISK_READ, 2, 1);
    CHECK_EQUAL(fake_ahci.ports[0].most_held, 1);
    fake_ahci_complete(0, 0, TASK_READY);
    fake_ahci_settle();
    CHECK(one->done == 1 && other->done == 0);
    fake_ahci_complete(0, 1, TASK_READY);
    fake_ahci_settle();
    CHECK_EQUAL(other->done, 1);
    end();
}

/* One of many queued commands fails: all are lost, and come again one by one, which shows whose fault it is. */
TEST(the_one_that_fails_is_found)
{
    begin();
    fake_ahci.hold = true;
    struct fake_request *requests[4];
    for (unsigned i = 0; i < 4; i++)
        requests[i] = fake_started(DISK_READ, 10 * i, 1);
    fake_ahci_complete(0, 1, TASK_READY);
    fake_ahci_complete(0, 2, TASK_UNREAD);
    fake_ahci_settle();
    CHECK_EQUAL(fake_ahci.ports[0].resets, 2);
    for (unsigned i = 0; i < 4; i++) {
        CHECK_EQUAL(requests[i]->done, 1);
        CHECK_EQUAL(requests[i]->status, i == 1 ? 0 : DISK_LOST);
    }
    fake_ahci.ports[0].alone = 0;
    for (unsigned i = 0; i < 4; i++)
        if (i != 1)
            CHECK_EQUAL(fake_start(requests[i]), 0);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQUAL(__builtin_popcount(fake_ahci.ports[0].held), 1);
        uint32_t slot = (uint32_t)__builtin_ctz(fake_ahci.ports[0].held);
        bool bad = slot == 1; /* the second that was started again */
        fake_ahci_complete(0, slot, bad ? TASK_UNREAD : TASK_READY);
        fake_ahci_settle();
    }
    CHECK_EQUAL(requests[0]->status, 0);
    CHECK_EQUAL(requests[2]->status, -E_MEDIUM);
    CHECK_EQUAL(requests[3]->status, 0);
    for (unsigned i = 0; i < 4; i++)
        CHECK_EQUAL(requests[i]->done, i == 1 ? 1 : 2);

    fake_ahci.ports[0].most_held = 0; /* and the next ones are queued again */
    for (unsigned i = 0; i < 4; i++)
        fake_started(DISK_READ, i, 1);
    CHECK_EQUAL(fake_ahci.ports[0].most_held, 4);
    end();
}

TEST(errors_have_causes)
{
    static const struct {
        uint32_t task;
        int64_t want;
    } cases[] = {
        {0x4051, -E_MEDIUM}, {0x1051, -E_RANGE}, {0x0451, -E_MEDIUM},
        {0x8051, DISK_LOST}, {0x0070, -E_IO},    {0x0050 | 0x80, DISK_LOST},
    };

    fake_ahci_plug();
    fake_identify_word(&fake_ahci.ports[0], 76, 0);
    fake_identify_sum(&fake_ahci.ports[0]);
    serve();
    fake_ahci.hold = true;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fake_request *request = fake_started(DISK_READ, 1, 1);

        fake_ahci_complete(0, 0, cases[i].task);
        fake_ahci_settle();
        CHECK_EQUAL(request->done, 1);
        CHECK_EQUAL(request->status, cases[i].want);
    }
    struct fake_request *flush = fake_started(OP_SYNC, 0, 0);
    fake_ahci_complete(0, 0, 0x0451);
    fake_ahci_settle();
    CHECK_EQUAL(flush->status, -E_IO);
    end();
}

/* Time-outs: the port is reset, and what is started meanwhile waits until it is back. */
TEST(what_it_loses_is_lost_once)
{
    begin();
    fake_ahci.hold = true;
    struct fake_request *one = fake_started(DISK_READ, 1, 1),
                        *other = fake_started(DISK_WRITE, 2, 1);
    CHECK_EQUAL(fake_reset(fake_disks[0]), 0);
    CHECK(one->status == DISK_LOST && other->status == DISK_LOST);
    fake_ahci.hold = false;
    CHECK_EQUAL(fake_start(one), 0);
    CHECK_EQUAL(one->done, 1);
    fake_ahci_settle();
    CHECK(one->done == 2 && one->status == 0);
    CHECK_EQUAL(fake_ahci.ports[0].resets, 2);
    CHECK_EQUAL(fake_disk_count, 1);
    end();
}

TEST(disks_come_and_go)
{
    begin();
    fake_ahci.hold = true;
    struct fake_request *request = fake_started(DISK_READ, 1, 1);
    fake_ahci_connect(1, true);
    fake_ahci_settle();
    CHECK_EQUAL(fake_disk_count, 2);
    CHECK_STRING(fake_disks[1]->name, "ahci0.1");
    CHECK_STRING(fake_disks[1]->geometry.serial, "second");
    CHECK_EQUAL(request->done, 0); /* the other port knows nothing of it */
    fake_ahci_connect(0, false);
    fake_ahci_settle();
    CHECK_EQUAL(fake_disk_count, 1);
    CHECK_EQUAL(request->status, -E_NO_DEVICE);

    fake_ahci.hold =
        false; /* the other one is pulled out while the link is reset after a failure */
    CHECK_EQUAL(carried_out(DISK_READ, 1, 1), 0);
    CHECK_EQUAL(fake_reset(fake_disks[0]), 0);
    request = fake_started(DISK_READ, 2, 1);
    fake_ahci_connect(1, false);
    fake_ahci_settle();
    CHECK_EQUAL(fake_disk_count, 0);
    CHECK_EQUAL(request->status, -E_NO_DEVICE);
    fake_ahci_connect(0, true);
    fake_ahci_settle();
    CHECK_EQUAL(fake_disk_count, 1);
    CHECK_EQUAL(carried_out(DISK_READ, 1, 1), 0);
    end();
}

/* Another disk where one was, without the link having been seen to go: what was meant for the first is not done to the second. */
TEST(a_disk_in_place_of_another)
{
    begin();
    CHECK_EQUAL(fake_reset(fake_disks[0]), 0);
    struct fake_request *request = fake_started(DISK_WRITE, 1, 1);
    fake_identify_start(&fake_ahci.ports[0], "another");
    fake_ahci_settle();
    CHECK_EQUAL(request->status, -E_NO_DEVICE);
    CHECK(!fake_ahci.ports[0].medium);
    CHECK_EQUAL(fake_disk_count, 1);
    CHECK_STRING(fake_disks[0]->geometry.serial, "another");
    end();
}

TEST(devices_of_no_use)
{
    fake_ahci_plug();
    fake_ahci.ports[0].signature = AHCI_SIG_PACKET;
    fake_ahci.ports[1].silent = fake_ahci.ports[1].present = true;
    serve();
    CHECK_EQUAL(fake_disk_count, 0);
    CHECK_EQUAL(fake_ahci.ports[0].resets, 1);
    CHECK_EQUAL(fake_ahci.ports[1].resets, 3);
    end();

    fake_ahci_plug();
    fake_ahci.ports[0].identify[3] ^= 1; /* a sum that is wrong */
    serve();
    CHECK_EQUAL(fake_disk_count, 0);
    CHECK_EQUAL(fake_ahci.ports[0].resets, 3);
    end();

    fake_ahci_plug();
    fake_ahci.capabilities &= ~AHCI_CAP_64;
    CHECK_EQUAL(ahcid_serve("pci:///00:1f.2"), -E_NOT_SUPPORTED);
    fake_ahci_unplug();
}

TEST(the_end)
{
    begin();
    fake_started(DISK_WRITE, 1, 1);
    fake_driver->stopping(fake_disks[0]);
    CHECK_EQUAL(fake_ahci.ports[0].flushes, 1);
    end();
}

/* --- Pure parts ------------------------------------------------------------------------------------------------------ */

TEST(slots_take_turns)
{
    struct slots slots = {.count = 4};
    int requests[5];

    CHECK_EQUAL(slots_take(&slots, &requests[0], true), 0);
    CHECK_EQUAL(slots_issue(&slots), 1);
    CHECK_EQUAL(slots_take(&slots, &requests[1], false), 1);
    CHECK_EQUAL(slots_take(&slots, &requests[2], true), 2);
    CHECK_EQUAL(slots_take(&slots, &requests[3], false), 3);
    CHECK_EQUAL(slots_take(&slots, &requests[4], true), -1);
    CHECK_EQUAL(slots_issue(&slots), 0); /* one that goes alone waits: no more are queued */
    CHECK(slots_end(&slots, 0) == &requests[0]);
    uint32_t bit = slots_issue(&slots);
    CHECK(bit == 2 || bit == 8);
    CHECK_EQUAL(slots_issue(&slots), 0);
    slots_end(&slots, (uint32_t)__builtin_ctz(bit));
    CHECK_EQUAL(slots_issue(&slots), 4); /* then it is the queued one's turn */
    slots_end(&slots, 2);
    CHECK_EQUAL(slots_issue(&slots), 10 - bit);
}

TEST(commands)
{
    uint8_t fis[20];
    uint64_t words[4];

    ata_fis_build(fis, &(struct ata_command){ATA_WRITE_QUEUED, 0x0a0b0c0d0e0f, 0x1234}, 5);
    static const uint8_t queued[20] = {0x27, 0x80, 0x61, 0x34, 0x0f, 0x0e,  0x0d,
                                       0x40, 0x0c, 0x0b, 0x0a, 0x12, 5 << 3};
    CHECK(memcmp(fis, queued, sizeof(fis)) == 0);
    ata_fis_build(fis, &(struct ata_command){ATA_READ, 7, ATA_SECTORS_MAX}, 5);
    static const uint8_t plain[20] = {0x27, 0x80, 0x25, 0, 7, 0, 0, 0x40};
    CHECK(memcmp(fis, plain, sizeof(fis)) == 0);
    CHECK_EQUAL(ata_trim_build(words, 4, 100, 65535 * 2 + 1), 65535 * 2 + 1);
    CHECK_EQUAL(words[0], 100 | UINT64_C(65535) << 48);
    CHECK_EQUAL(words[2], (100 + 65535 * 2) | UINT64_C(1) << 48);
    CHECK_EQUAL(words[3], 0);
    CHECK_EQUAL(ata_trim_build(words, 4, 0, 1000000), 4 * 65535);
}

TEST(identify_that_lies)
{
    struct fake_port port;
    struct ata_facts facts;

    memset(port.identify, 0xff, sizeof(port.identify));
    CHECK_EQUAL(ata_identify_parse(port.identify, &facts), -E_NOT_SUPPORTED);
    memset(port.identify, 0, sizeof(port.identify));
    CHECK_EQUAL(ata_identify_parse(port.identify, &facts), -E_NOT_SUPPORTED);
    fake_identify_start(&port, "x");
    fake_identify_word(&port, 106, 0x500f); /* sectors of ... */
    fake_identify_word(&port, 117, 2048);
    fake_identify_sum(&port);
    CHECK_EQUAL(ata_identify_parse(port.identify, &facts), 0);
    CHECK_EQUAL(facts.sector_shift, 12);
    fake_identify_word(&port, 117, 2049);
    fake_identify_sum(&port);
    CHECK_EQUAL(ata_identify_parse(port.identify, &facts), -E_NOT_SUPPORTED);
    fake_identify_start(&port, "x");
    for (uint32_t i = 0; i < 4; i++)
        fake_identify_word(&port, 100 + i, 0xffff);
    fake_identify_sum(&port);
    CHECK_EQUAL(ata_identify_parse(port.identify, &facts), -E_NOT_SUPPORTED);
}
