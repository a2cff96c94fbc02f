// sources: sbin/virtiod/request.c sbin/virtiod/config.c lib/virtio/device.c lib/virtio/legacy.c lib/virtio/modern.c
// sources: lib/virtio/capabilities.c lib/virtio/virtqueue.c
/* virtiod as a whole, against a device of before virtio 1.0: one that keeps the rules, one that loses requests, one that does not. */
#include "abi/errors.h"
#include "tests/host/fake_virtio_blk.h"
#include "tests/host/test.h"

#include "sbin/virtiod/driver.c" /* last: its names are short */

/* What lives as long as the process, whose end it is. */
static void end(void)
{
    virtqueue_destroy(&queue.ring);
    free(device.irqs);
    fake_blk_unplug();
}

static void begin(uint16_t vectors)
{
    fake_blk_plug(vectors);
    fake_fired = fake_blk_fired;
    CHECK_EQUAL(virtiod_serve("pci:///00:02.0"), 0);
    CHECK_EQUAL(fake_disk_count, 1);
}

static int64_t carried_out(uint32_t op, uint64_t sector, uint32_t count)
{
    return fake_carried_out(fake_blk_settle, op, sector, count);
}

static void check_works(void)
{
    struct fake_request *write = fake_request(fake_disks[0], DISK_WRITE, 8, 24);

    for (size_t i = 0; i < 24 * (size_t)VIRTIO_SECTOR; i++)
        write->bytes[i] = (uint8_t)(i * 7 + i / 512);
    CHECK_EQUAL(fake_start(write), 0);
    fake_blk_settle();
    CHECK_EQUAL(write->done, 1);
    CHECK_EQUAL(write->status, 0);
    struct fake_request *read = fake_started(DISK_READ, 8, 24);
    fake_blk_settle();
    CHECK_EQUAL(read->status, 0);
    CHECK(memcmp(read->bytes, write->bytes, 24 * (size_t)VIRTIO_SECTOR) == 0);
    CHECK(memcmp(fake_blk.medium + 8 * (size_t)VIRTIO_SECTOR, write->bytes,
                 24 * (size_t)VIRTIO_SECTOR) == 0);
    unsigned flushes = fake_blk.flushes;
    CHECK_EQUAL(carried_out(OP_SYNC, 0, 0), 0);
    CHECK_EQUAL(fake_blk.flushes, flushes + 1);
}

static void works(uint16_t vectors)
{
    begin(vectors);
    const struct disk *found = fake_disks[0];
    CHECK_STRING(found->name, "vd0");
    CHECK_STRING(found->geometry.serial, "a serial/1");
    CHECK_EQUAL(found->geometry.size, FAKE_BLOCKS * VIRTIO_SECTOR);
    CHECK_EQUAL(found->geometry.flags, DISK_HAS_CACHE);
    CHECK_EQUAL(fake_blk.status, 7);
    CHECK_EQUAL(fake_blk.taken, VIRTIO_BLK_FLUSH | VIRTIO_BLK_SEG_MAX);
    for (int i = 0; i < 300; i++) /* its rings go round */
        check_works();
    end();
}

TEST(with_vectors)
{
    works(2);
}

TEST(with_one_vector)
{
    works(1);
}

TEST(with_a_line)
{
    works(0);
}

static void change_capacity(void)
{
    fake_blk.config.capacity = 2 * FAKE_BLOCKS;
    fake_blk_interrupt(0);
    fake_blk_settle();
    CHECK_EQUAL(fake_changes, 1);
    CHECK_EQUAL(fake_disks[0]->geometry.size, 2 * FAKE_BLOCKS * VIRTIO_SECTOR);
}

TEST(another_capacity)
{
    begin(0);
    change_capacity();
    end();
}

TEST(a_line_that_is_another_device_s)
{
    begin(0);
    fake_blk_settle();
    unsigned before = fake_not_mine;
    fake_interrupt(VIRTIOD_KEY_CONFIG);
    CHECK_EQUAL(fake_not_mine, before + 1);
    end();
}

/* The device is reset where it is: what it lost, and what it had done but not told, is begun anew, and it goes on as before. */
static void loses(uint16_t vectors)
{
    begin(vectors);
    unsigned resets = fake_blk.resets;
    for (int i = 0; i < 100; i++) {
        struct fake_request *lost[3];
        fake_blk.lose = 2;
        for (unsigned n = 0; n < 3; n++)
            lost[n] = fake_started(DISK_READ, n, 1);
        CHECK_EQUAL(fake_reset(fake_disks[0]), 0);
        for (unsigned n = 0; n < 3; n++) {
            CHECK_EQUAL(lost[n]->done, 1);
            CHECK_EQUAL(lost[n]->status, DISK_LOST);
        }
        fake_blk_settle(); /* nothing comes of what was there before */
        check_works();
    }
    CHECK_EQUAL(fake_blk.resets, resets + 100);
    change_capacity();
    CHECK_EQUAL(fake_blk.status, 7);
    end();
}

TEST(lost_requests_with_vectors)
{
    loses(2);
}

TEST(lost_requests_with_a_line)
{
    loses(0);
}

/* As many as there are: a reset gives all their places back. */
TEST(all_are_lost)
{
    begin(2);
    for (int round = 0; round < 3; round++) {
        fake_blk.lose = REQUESTS;
        for (unsigned i = 0; i < REQUESTS; i++)
            (void)fake_started(DISK_READ, i, 1);
        CHECK_EQUAL(fake_start(fake_request(fake_disks[0], DISK_READ, 0, 1)), -E_AGAIN);
        CHECK_EQUAL(fake_reset(fake_disks[0]), 0);
    }
    check_works();
    end();
}

TEST(devices_that_cannot_be_used)
{
    fake_blk_plug(2);
    fake_blk.never_ready = true;
    CHECK_EQUAL(virtiod_serve("pci:///00:02.0"), -E_TIMED_OUT);
    end();
    static const uint16_t sizes[] = {0, 3, 127, 32769, 65535};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        fake_blk_plug(2);
        fake_blk.size = sizes[i];
        CHECK_EQUAL(virtiod_serve("pci:///00:02.0"), sizes[i] ? -E_IO : -E_NOT_FOUND);
        end();
    }
    fake_blk_plug(2);
    fake_blk.unstable = true;
    CHECK_EQUAL(virtiod_serve("pci:///00:02.0"), -E_IO);
    end();
}

/* It has structures of today, in a BAR that nobody has placed. */
TEST(a_transitional_device)
{
    static const uint8_t capabilities[] = {9, 0x50, 16, 1, 4, 0, 0, 0, 0, 0, 0, 0, 56, 0, 0, 0,
                                           9, 0x60, 16, 3, 4, 0, 0, 0, 0, 1, 0, 0, 1,  0, 0, 0,
                                           9, 0,    20, 2, 4, 0, 0, 0, 0, 2, 0, 0, 4,  0, 0, 0};

    fake_space[6] = 0x10;
    fake_space[0x34] = 0x40;
    memcpy(fake_space + 0x40, capabilities, sizeof(capabilities));
    works(2);
    memset(fake_space, 0, sizeof(fake_space));
}

/* Without the structures of today it has to be one of before, with ports enough. */
TEST(devices_that_are_none)
{
    for (int i = 0; i < 7; i++) {
        fake_blk_plug(2);
        struct pci_description *is = &fake_description;
        *(i == 0   ? &is->vendor
          : i == 1 ? &is->device
          : i == 2 ? &is->subsystem
                   : &(uint16_t){0}) = 0x1042;
        is->revision = i == 3;
        is->bars[0].flags ^= i == 4 ? PCI_BAR_PORTS : 0;
        is->bars[0].length = i == 5 ? 16 : FAKE_LENGTH;
        is->bars[0].base = i == 6 ? 0xfff0 : FAKE_BASE;
        CHECK_EQUAL(virtiod_serve("pci:///00:02.0"), -E_NOT_FOUND);
        end();
    }
}
