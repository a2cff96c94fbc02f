/* lib/disk: commands of clients become requests of a device, which forgets some, refuses some, and ends them in any order. */
// sources: lib/disk/disk.c lib/disk/file.c lib/disk/hold.c lib/disk/job.c lib/disk/memory.c lib/disk/queue.c lib/disk/split.c lib/disk/control.c lib/sys/listing.c lib/sys/held.c
#include "tests/host/fake_disk.h"

/* --- Tests --------------------------------------------------------------------------------------------------------- */

TEST(a_disk_that_makes_no_sense)
{
    struct disk odd = {.geometry = {.sector = 100, .size = SIZE}};
    start();
    CHECK_EQUAL(disk_add(&host, &odd), -E_NOT_SUPPORTED);
    odd.geometry.sector = 8192;
    CHECK_EQUAL(disk_add(&host, &odd), -E_NOT_SUPPORTED);
    odd.geometry.sector = 4096;
    odd.segment_bytes = 512;
    CHECK_EQUAL(disk_add(&host, &odd), -E_NOT_SUPPORTED);
    disk_remove(&disk);
}

TEST(bytes_at_any_offset)
{
    start();
    struct disk_file *file = file_new("vd0/8+64", OPEN_READ | OPEN_WRITE);
    struct client *client = &clients[0];
    ask(client, file, OP_READ, (uint64_t[4]){100}, 0, 1000);
    device_finish();
    CHECK_EQUAL(client->value, 1000);
    CHECK(memcmp(client->window, model + 8 * SECTOR + 100, 1000) == 0);
    memset(client->window, 0xee, 2000);
    ask(client, file, OP_WRITE, (uint64_t[4]){700}, 2000, 0);
    device_finish();
    CHECK_EQUAL(client->value, 2000);
    memset(model + 8 * SECTOR + 700, 0xee, 2000);
    CHECK(memcmp(medium, model, SIZE) == 0);
    ask(client, file, OP_READ, (uint64_t[4]){64 * SECTOR - 10}, 0, 1000);
    device_finish();
    CHECK_EQUAL(client->value, 10);
    ask(client, file, OP_WRITE, (uint64_t[4]){64 * SECTOR}, 1, 0);
    CHECK_EQUAL(client->status, -E_NO_SPACE);
    finish(file);
}

TEST(flushes_before_and_behind_a_write)
{
    start();
    struct disk_file *file = file_new("vd0", OPEN_READ | OPEN_WRITE);
    ask(&clients[0], file, OP_WRITE, (uint64_t[4]){0, DISK_FIRST | DISK_THROUGH}, SECTOR, 0);
    queue_pump(&host);
    CHECK(started_count == 1 && started[0]->op == OP_SYNC);
    device_step(0);
    CHECK(started_count == 1 && started[0]->op == DISK_WRITE && !started[0]->flags);
    device_step(0);
    CHECK(started_count == 1 && started[0]->op == OP_SYNC);
    CHECK(clients[0].busy);
    device_step(0);
    CHECK(!clients[0].busy);
    disk.through = true;
    ask(&clients[0], file, OP_WRITE, (uint64_t[4]){0, DISK_THROUGH}, SECTOR, 0);
    queue_pump(&host);
    CHECK(started_count == 1 && started[0]->op == DISK_WRITE && started[0]->flags == DISK_THROUGH);
    device_finish();
    disk.geometry.flags = 0; /* no cache: nothing to do */
    ask(&clients[0], file, OP_SYNC, (uint64_t[4]){0}, 0, 0);
    CHECK(!clients[0].busy && !clients[0].status);
    finish(file);
}

TEST(what_the_device_forgets_is_started_again_four_times)
{
    start();
    struct disk_file *file = file_new("vd0", OPEN_READ);
    for (int tries = 1; tries <= 5; tries++) {
        ask(&clients[0], file, OP_READ, (uint64_t[4]){0}, 0, SECTOR);
        queue_pump(&host);
        for (int i = 1; i < tries; i++)
            device_step(100);
        CHECK_EQUAL(started_count, tries <= 4 ? 1 : 0);
        device_finish();
        CHECK_EQUAL(clients[0].status, tries <= 4 ? 0 : -E_IO);
    }
    finish(file);
}

TEST(a_device_that_does_not_answer_is_reset)
{
    start();
    struct disk_file *file = file_new("vd0", OPEN_READ);
    CHECK_EQUAL(queue_deadline(&host), DEADLINE_NEVER);
    now_ns = 1000;
    ask(&clients[0], file, OP_READ, (uint64_t[4]){0}, 0, SECTOR);
    queue_pump(&host);
    CHECK_EQUAL(queue_deadline(&host), 1000 + DISK_PATIENCE_NS);
    queue_expired(&host);
    CHECK_EQUAL(resets, 0);
    now_ns += DISK_PATIENCE_NS;
    queue_expired(&host);
    CHECK_EQUAL(resets, 1);
    CHECK_EQUAL(started_count, 1);
    device_finish();
    CHECK_EQUAL(clients[0].status, 0);
    finish(file);
}

TEST(all_in_front_of_a_bad_sector_is_read)
{
    start();
    struct disk_file *file = file_new("vd0", OPEN_READ);
    bad_sector = 9;
    ask(&clients[0], file, OP_READ, (uint64_t[4]){2 * SECTOR + 3}, 0, 20 * SECTOR);
    device_finish();
    CHECK_EQUAL(clients[0].status, 0);
    CHECK_EQUAL(clients[0].value, 7 * SECTOR - 3);
    CHECK(memcmp(clients[0].window, model + 2 * SECTOR + 3, 7 * SECTOR - 3) == 0);
    ask(&clients[0], file, OP_READ, (uint64_t[4]){9 * SECTOR}, 0, 20 * SECTOR);
    device_finish();
    CHECK_EQUAL(clients[0].status, -E_MEDIUM);
    finish(file);
}

TEST(a_disk_that_goes_ends_everything)
{
    start();
    struct disk_file *file = file_new("vd0", OPEN_READ | OPEN_WRITE);
    room = 2;
    for (uint32_t i = 0; i < CLIENTS; i++)
        ask(&clients[i], file, i % 2 ? OP_READ : OP_WRITE, (uint64_t[4]){100}, i % 2 ? 0 : 600,
            i % 2 ? MOST : 0);
    queue_pump(&host);
    started_count = 0;
    disk_remove(&disk);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        CHECK(!clients[i].busy);
        CHECK_EQUAL(clients[i].status, -E_NO_DEVICE);
    }
    check_idle();
    ask(&clients[0], file, OP_READ, (uint64_t[4]){0}, 0, SECTOR);
    CHECK_EQUAL(clients[0].status, -E_NO_DEVICE);
    CHECK_EQUAL(released, 0);
    file_closed(&host, (uintptr_t)file);
    CHECK_EQUAL(released, 1);
    CHECK(list_empty(&host.disks));
    chunks_free();
}

/* Those who had the only memory for windows, and who waited for it in front of others, go with their disk. */
TEST(a_disk_that_goes_leaves_its_memory_to_others)
{
    start();
    other_disk =
        (struct disk){.name = "vd1", .segments = 5, .bytes = disk.bytes, .geometry = disk.geometry};
    CHECK_EQUAL(disk_add(&host, &other_disk), 0);
    host.chunk_count = CHUNKS_MAX - 1;
    struct disk_file *file = file_new("vd0", OPEN_READ), *other = file_new("vd1", OPEN_READ);
    ask(&clients[0], file, OP_READ, (uint64_t[4]){0}, 0, SECTOR);
    ask(&clients[1], file, OP_READ, (uint64_t[4]){0}, 0, SECTOR);
    ask(&clients[2], other, OP_READ, (uint64_t[4]){0}, 0, SECTOR);
    queue_pump(&host);
    CHECK_EQUAL(started_count, 1);
    started_count = 0;
    disk_remove(&disk);
    CHECK(!clients[0].busy && !clients[1].busy && clients[2].busy);
    device_finish();
    CHECK(!clients[2].busy && clients[2].status == 0 && clients[2].value == SECTOR);
    file_closed(&host, (uintptr_t)file);
    file_closed(&host, (uintptr_t)other);
    disk_remove(&other_disk);
    CHECK_EQUAL(released, 2);
    chunks_free();
}

TEST(a_disk_goes_whose_only_client_has_left)
{
    start();
    struct disk_file *file = file_new("vd0", OPEN_READ | OPEN_WRITE);
    ask(&clients[0], file, OP_READ, (uint64_t[4]){0}, 0, SECTOR);
    queue_pump(&host);
    file_closed(&host, (uintptr_t)file);
    started_count = 0;
    disk_remove(&disk);
    CHECK(!clients[0].busy);
    CHECK_EQUAL(released, 1);
    CHECK(list_empty(&host.disks));
    chunks_free();
}

/* What a client that died had begun is done before the next one has the memory. */
TEST(memory_is_given_when_those_before_are_done)
{
    start();
    struct disk_file *file = file_new("vd0", OPEN_READ);
    const uint64_t wanted[4] = {LENT}, piece[4] = {0, 0, 0, SECTOR};
    ask(&clients[0], file, DISK_MEMORY, wanted, 0, 0);
    CHECK(!clients[0].busy && clients[0].status == 0);
    ask(&clients[1], file, DISK_READ, piece, 0, 0);
    queue_pump(&host);
    ask(&clients[2], file, DISK_MEMORY, wanted, 0, 0);
    ask(&clients[3], file, DISK_READ, piece, 0, 0);
    queue_pump(&host);
    CHECK_EQUAL(started_count, 2);
    CHECK(clients[2].busy);
    struct disk_request *first = started[0];
    started[0] = started[--started_count];
    disk_done(first, carry_out(first));
    CHECK(!clients[1].busy && !clients[2].busy && clients[3].busy);
    CHECK(clients[2].status == 0 && clients[2].value == LENT);
    ask(&clients[4], file, DISK_MEMORY, wanted, 0, 0);
    CHECK(clients[4].busy);
    file_cancel(&host, 5);
    CHECK(!clients[4].busy && clients[4].status == -E_INTERRUPTED);
    device_finish();
    CHECK(!clients[3].busy);
    finish(file);
}

TEST(a_command_that_has_not_begun_can_be_withdrawn)
{
    start();
    struct disk_file *file = file_new("vd0", OPEN_READ);
    room = 1;
    ask(&clients[0], file, OP_READ, (uint64_t[4]){0}, 0, SECTOR);
    queue_pump(&host);
    job_cancel(&host, 1);
    CHECK(clients[0].busy); /* the device has it */
    disk.geometry.depth = 1;
    ask(&clients[1], file, OP_READ, (uint64_t[4]){0}, 0, SECTOR);
    queue_pump(&host);
    job_cancel(&host, 2);
    CHECK_EQUAL(clients[1].status, -E_INTERRUPTED);
    device_finish();
    CHECK_EQUAL(clients[0].status, 0);
    finish(file);
}

/* --- Anything, compared with a model ------------------------------------------------------------------------------- */

static bool overlaps_others(uint64_t offset, uint64_t length)
{
    for (uint32_t i = 0; i < CLIENTS; i++)
        if (clients[i].busy && offset < clients[i].offset + clients[i].length &&
            clients[i].offset < offset + length)
            return true;
    return false;
}

/* Ranges of bytes never overlap with others' that are under way; sectors do. */
static void random_command(struct client *client, struct disk_file *file)
{
    static const uint32_t ops[] = {OP_READ,   OP_WRITE,   OP_WRITE,
                                   DISK_READ, DISK_WRITE, DISK_DISCARD};
    uint64_t index = (uint64_t)(client - clients), args[4] = {0};
    uint32_t op = ops[random_below(ARRAY_SIZE(ops))];
    bool bytes = op == OP_READ || op == OP_WRITE, writes = op != OP_READ && op != DISK_READ;
    uint64_t offset = random_below(SIZE), length = 1 + random_below(MOST);
    if (!bytes) {
        offset = ALIGN_DOWN(offset, (uint64_t)SECTOR);
        length = ALIGN_UP(length, (uint64_t)SECTOR);
    }
    length = MIN(length, SIZE - offset);
    if (overlaps_others(offset, length))
        return;
    client->op = op;
    client->offset = offset;
    client->length = length;
    client->place = index * 16 * PAGE_SIZE + random_below(20) * SECTOR;
    uint8_t *data = bytes ? client->window : lent + client->place;
    if (writes && op != DISK_DISCARD)
        memset(data, (int)random_below(256), length);
    if (op == DISK_DISCARD)
        memset(model + offset, 0, length);
    else if (writes)
        memcpy(model + offset, data, length);
    args[0] = offset;
    if (op == DISK_DISCARD) {
        args[1] = length;
        args[2] = DISK_ZERO;
    } else if (!bytes) {
        args[2] = client->place;
        args[3] = length;
    }
    ask(client, file, op, args, op == OP_WRITE ? length : 0, op == OP_READ ? length : 0);
}

static void check_client(const struct client *client)
{
    CHECK_EQUAL(client->status, 0);
    const uint8_t *data = client->op == OP_READ ? client->window : lent + client->place;
    if (client->op == OP_READ || client->op == DISK_READ)
        CHECK(memcmp(data, model + client->offset, client->length) == 0);
}

TEST(many_at_once_in_any_order)
{
    start();
    struct disk_file *file = file_new("vd0", OPEN_READ | OPEN_WRITE);
    struct client *first = &clients[0];
    ask(first, file, DISK_MEMORY, (uint64_t[4]){LENT}, 0, 0);
    CHECK_EQUAL(file->memory.length, LENT);
    seed = 42;
    for (uint32_t step = 0; step < 40000; step++) {
        struct client *client = &clients[random_below(CLIENTS)];
        bool was_busy = client->busy;
        room = 1 + random_below(12);
        if (!was_busy)
            random_command(client, file);
        queue_pump(&host);
        bool busy[CLIENTS];
        for (uint32_t i = 0; i < CLIENTS; i++)
            busy[i] = clients[i].busy;
        device_step(random_below(10) ? 0 : 20);
        for (uint32_t i = 0; i < CLIENTS; i++)
            if (busy[i] && !clients[i].busy)
                check_client(&clients[i]);
    }
    room = STARTED;
    device_finish();
    CHECK(memcmp(medium, model, SIZE) == 0);
    finish(file);
}
