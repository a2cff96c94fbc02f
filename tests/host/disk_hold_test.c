/* lib/disk: what one file has for itself (lib/disk/hold.c), over deaths of the driver and of who held it. */
// sources: lib/disk/disk.c lib/disk/file.c lib/disk/hold.c lib/disk/job.c lib/disk/memory.c lib/disk/queue.c lib/disk/split.c lib/disk/control.c lib/sys/listing.c lib/sys/held.c
#include "tests/host/fake_disk.h"

#define READ_WRITE (OPEN_READ | OPEN_WRITE)

static int64_t open_status(uint64_t id, const char *path, uint32_t flags)
{
    struct disk_file *file;
    int64_t result = file_open_as(id, path, flags, &file);
    if (result == 0) {
        file_left(id);
        file_closed(&host, (uintptr_t)file);
    }
    return result;
}

static int64_t write_status(struct disk_file *file, uint64_t sector, uint64_t count)
{
    ask(&clients[0], file, OP_WRITE, (uint64_t[4]){sector * SECTOR}, count * SECTOR, 0);
    device_finish();
    return clients[0].status;
}

TEST(what_is_held_nobody_else_holds)
{
    struct disk_file *held;
    start();
    CHECK_EQUAL(file_open_as(2, "vd0/8+64", READ_WRITE | OPEN_EXCLUSIVE, &held), 0);
    CHECK_EQUAL(open_status(3, "vd0/8+64", OPEN_READ | OPEN_EXCLUSIVE), -E_BUSY);
    CHECK_EQUAL(open_status(3, "vd0", OPEN_READ | OPEN_EXCLUSIVE), -E_BUSY);
    CHECK_EQUAL(open_status(3, "vd0/0+9", READ_WRITE | OPEN_EXCLUSIVE), -E_BUSY);
    CHECK_EQUAL(open_status(3, "vd0/71+9", READ_WRITE | OPEN_EXCLUSIVE), -E_BUSY);
    CHECK_EQUAL(open_status(3, "vd0/0+8", READ_WRITE | OPEN_EXCLUSIVE), 0);
    CHECK_EQUAL(open_status(3, "vd0/72+8", READ_WRITE | OPEN_EXCLUSIVE), 0);
    CHECK_EQUAL(open_status(3, "vd0/8+64", OPEN_READ), 0);
    CHECK_EQUAL(open_status(3, "vd0/8+64", OPEN_PATH | OPEN_EXCLUSIVE), 0);
    file_left(2); /* which is not told yet */
    CHECK_EQUAL(open_status(3, "vd0", READ_WRITE | OPEN_EXCLUSIVE), 0);
    CHECK(list_empty(&host.holds));
    finish(held);
}

TEST(what_is_held_for_writing_nobody_else_writes)
{
    struct disk_file *before, *held, *whole;
    start();
    CHECK_EQUAL(file_open_as(1, "vd0/8+64", READ_WRITE, &before), 0);
    CHECK_EQUAL(file_open_as(2, "vd0/8+64", READ_WRITE | OPEN_EXCLUSIVE, &held), 0);
    CHECK_EQUAL(open_status(3, "vd0/8+64", READ_WRITE), -E_BUSY);
    CHECK_EQUAL(open_status(3, "vd0/10+2", OPEN_WRITE), -E_BUSY);
    CHECK_EQUAL(file_open_as(3, "vd0", READ_WRITE, &whole), 0);
    CHECK_EQUAL(write_status(whole, 0, 8), 0);
    CHECK_EQUAL(write_status(whole, 7, 2), -E_BUSY);
    CHECK_EQUAL(write_status(whole, 71, 2), -E_BUSY);
    CHECK_EQUAL(write_status(whole, 72, 2), 0);
    ask(&clients[0], whole, DISK_DISCARD, (uint64_t[4]){0, 16 * SECTOR}, 0, 0);
    CHECK_EQUAL(clients[0].status, -E_BUSY);
    ask(&clients[0], whole, DISK_MEMORY, (uint64_t[4]){PAGE_SIZE}, 0, 0);
    ask(&clients[0], whole, DISK_WRITE, (uint64_t[4]){8 * SECTOR, 0, 0, SECTOR}, 0, 0);
    CHECK_EQUAL(clients[0].status, -E_BUSY);
    CHECK_EQUAL(write_status(before, 0, 1), -E_BUSY);
    CHECK_EQUAL(write_status(held, 0, 64), 0);
    file_left(2);
    file_closed(&host, (uintptr_t)held);
    CHECK_EQUAL(write_status(whole, 7, 2), 0);
    file_closed(&host, (uintptr_t)before);
    finish(whole);
}

/* Linux's programs keep others away by a file to be read, and write by another. */
TEST(what_is_held_for_reading_others_write)
{
    struct disk_file *held, *writer;
    start();
    CHECK_EQUAL(file_open_as(1, "vd0", OPEN_READ | OPEN_EXCLUSIVE, &held), 0);
    CHECK_EQUAL(file_open_as(2, "vd0", READ_WRITE, &writer), 0);
    CHECK_EQUAL(write_status(writer, 0, 1), 0);
    file_closed(&host, (uintptr_t)writer);
    finish(held);
}

TEST(nothing_is_held_while_others_write_there)
{
    struct disk_file *writer;
    start();
    CHECK_EQUAL(file_open_as(1, "vd0", READ_WRITE, &writer), 0);
    ask(&clients[0], writer, OP_WRITE, (uint64_t[4]){9 * SECTOR}, SECTOR, 0);
    CHECK_EQUAL(open_status(2, "vd0/8+64", READ_WRITE | OPEN_EXCLUSIVE), -E_BUSY);
    CHECK_EQUAL(open_status(2, "vd0/0+8", READ_WRITE | OPEN_EXCLUSIVE), 0);
    device_finish();
    CHECK_EQUAL(open_status(2, "vd0/8+64", READ_WRITE | OPEN_EXCLUSIVE), 0);
    finish(writer);
}

/* Who held it is killed: it is held until the device has done what it was told. */
TEST(what_is_held_ends_with_its_last_command)
{
    struct disk_file *held;
    start();
    CHECK_EQUAL(file_open_as(1, "vd0", READ_WRITE | OPEN_EXCLUSIVE, &held), 0);
    ask(&clients[0], held, OP_WRITE, (uint64_t[4]){0}, SECTOR, 0);
    file_left(1);
    file_closed(&host, (uintptr_t)held);
    CHECK_EQUAL(open_status(2, "vd0", READ_WRITE | OPEN_EXCLUSIVE), -E_BUSY);
    device_finish();
    CHECK_EQUAL(open_status(2, "vd0", READ_WRITE | OPEN_EXCLUSIVE), 0);
    finish(file_new("vd0", OPEN_READ));
}

/* The next driver's memory is empty; the relay opens files again when they are used, and without the flag. */
static void driver_dies(void)
{
    list_for_each (struct disk_file, file, &disk.files, link) {
        list_remove(&file->link);
        free(file);
    }
    for (struct list *hold; (hold = host.holds.next) != &host.holds;) {
        list_remove(hold);
        free(hold); /* which begins with its link */
    }
    files_recover(&host);
}

TEST(what_is_held_outlives_the_driver)
{
    struct disk_file *held, *other;
    start();
    CHECK_EQUAL(file_open_as(2, "vd0/8+64", READ_WRITE | OPEN_EXCLUSIVE, &held), 0);
    CHECK_EQUAL(file_open_as(3, "vd0/80+64", READ_WRITE | OPEN_EXCLUSIVE, &other), 0);
    driver_dies();
    file_left(3); /* and nobody is told, as it was not opened again */
    CHECK_EQUAL(open_status(4, "vd0", READ_WRITE | OPEN_EXCLUSIVE), -E_BUSY);
    CHECK_EQUAL(open_status(4, "vd0/8+64", READ_WRITE), -E_BUSY);
    CHECK_EQUAL(open_status(4, "vd0/80+64", READ_WRITE | OPEN_EXCLUSIVE), 0);
    CHECK_EQUAL(file_open_as(1, "vd0/8+64", READ_WRITE, &other), 0); /* was open before */
    CHECK_EQUAL(write_status(other, 0, 1), -E_BUSY);
    CHECK_EQUAL(file_open_as(2, "vd0/8+64", READ_WRITE, &held), 0);
    CHECK_EQUAL(write_status(held, 0, 1), 0);
    CHECK_EQUAL(open_status(4, "vd0/8+64", OPEN_READ | OPEN_EXCLUSIVE), -E_BUSY);
    file_left(2);
    file_closed(&host, (uintptr_t)held);
    CHECK(list_empty(&host.holds));
    CHECK_EQUAL(write_status(other, 0, 1), 0);
    finish(other);
    for (uint32_t i = 0; i < FILES; i++)
        CHECK_EQUAL(kept_here[i].key, 0);
}

TEST(what_was_held_of_a_disk_that_is_gone)
{
    struct disk_file *held, *later;
    start();
    CHECK_EQUAL(file_open_as(1, "vd0", READ_WRITE | OPEN_EXCLUSIVE, &held), 0);
    disk_remove(&disk);
    other_disk = (struct disk){.name = "vd0", .geometry = {.size = SIZE, .sector = SECTOR}};
    CHECK_EQUAL(disk_add(&host, &other_disk), 0);
    CHECK_EQUAL(file_open_as(2, "vd0", READ_WRITE | OPEN_EXCLUSIVE, &later), 0);
    file_closed(&host, (uintptr_t)held);
    CHECK_EQUAL(open_status(3, "vd0", READ_WRITE | OPEN_EXCLUSIVE), -E_BUSY);
    file_closed(&host, (uintptr_t)later);
    disk_remove(&other_disk);
    chunks_free();
}
