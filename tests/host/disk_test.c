/* lib/disk: commands of clients become requests of a device, which forgets some, refuses some, and ends them in any order. */
// sources: lib/disk/disk.c lib/disk/file.c lib/disk/hold.c lib/disk/job.c lib/disk/memory.c lib/disk/queue.c lib/disk/split.c lib/disk/control.c lib/sys/listing.c lib/sys/held.c
#include "lib/disk/internal.h"

#include "lib/sys/keep.h"
#include "lib/sys/pager.h"
#include "tests/host/test.h"

#define SECTOR  512u
#define SECTORS 256u
#define SIZE    (SECTORS * SECTOR)
#define CLIENTS 8u
#define MOST    (40 * SECTOR) /* bytes of a command */
#define STARTED 64u
#define LENT    (CLIENTS * 16 * PAGE_SIZE)

static struct disk_host host;
static struct disk disk, other_disk;
static uint8_t medium[SIZE], model[SIZE], lent[LENT] __attribute__((aligned(4096)));
static struct disk_request *started[STARTED];
static uint32_t started_count, room, flushes, resets, released;
static uint64_t bad_sector; /* cannot be read; 0: none */
static int64_t now_ns;
static uint64_t seed;

static uint32_t random_below(uint32_t limit)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % limit;
}

/* --- Clients: a token is a client's number and 1 ------------------------------------------------------------------- */

static struct client {
    bool busy;
    struct disk_file *file;
    uint32_t op;
    uint64_t offset, length, place;
    uint8_t window[MOST];
    int64_t status;
    uint64_t value;
} clients[CLIENTS];

/* Of abi/syscalls.def. */
#define CALL_PROTO_RETURN 0x2au
#define CALL_CMD_READ     0x2cu
#define CALL_CMD_WRITE    0x2du
#define CALL_FILE_READY   0x33u
#define CALL_PORT_KEEP    0x3au
#define CALL_PORT_KEPT    0x3bu
#define CALL_CLOCK_GET    0x4bu

/* --- What the relay has: files that clients have open still, and what lies with the port ----------------------------- */

#define FILES 16u

static bool known_files[FILES];
static struct kept {
    uint64_t key;
    uint8_t bytes[128];
} kept_here[FILES];

static struct kept *kept_find(uint64_t key)
{
    for (uint32_t i = 0; i < FILES; i++)
        if (kept_here[i].key == key)
            return &kept_here[i];
    return NULL;
}

void *keep_memory(handle_t port, uint64_t key, size_t length)
{
    struct kept *kept = kept_find(key);
    (void)port;
    CHECK(length <= sizeof(kept->bytes));
    if (!kept && (kept = kept_find(0)))
        kept->key = key;
    return kept ? kept->bytes : NULL;
}

void keep_release(void *memory, size_t length)
{
    (void)memory, (void)length;
}

int64_t kept_each(handle_t port, kept_visitor *found, void *context)
{
    (void)port;
    for (uint32_t i = 0; i < FILES; i++)
        if (kept_here[i].key) {
            struct abi_kept kept = {.key = kept_here[i].key, .handle = HANDLE_NONE};
            CHECK_EQUAL(found(context, &kept), 0);
        }
    return 0;
}

static int64_t keep_no_longer(uint64_t key)
{
    struct kept *kept = kept_find(key);
    if (kept)
        memset(kept, 0, sizeof(*kept));
    return 0;
}

int64_t syscall_raw(uint32_t number, uint64_t a, uint64_t token, uint64_t offset, uint64_t buffer,
                    uint64_t length, uint64_t f)
{
    struct abi_return *reply = (struct abi_return *)(uintptr_t)token;
    (void)f;
    switch (number) {
    case CALL_PROTO_RETURN:
        command_return((handle_t)a, reply->token, reply->status, reply);
        return 0;
    case CALL_CMD_READ:
        memcpy((void *)(uintptr_t)buffer, clients[token - 1].window + offset, length);
        return (int64_t)length;
    case CALL_CMD_WRITE:
        memcpy(clients[token - 1].window + offset, (void *)(uintptr_t)buffer, length);
        return (int64_t)length;
    case CALL_PORT_KEPT:
        return -E_NOT_FOUND;
    case CALL_PORT_KEEP:
        return (handle_t)offset == HANDLE_NONE ? keep_no_longer(token) : 0;
    case CALL_FILE_READY:
        return known_files[token % FILES] ? 0 : -E_NOT_FOUND;
    case CALL_CLOCK_GET:
        return now_ns;
    default:
        return 0;
    }
}

void command_return(handle_t port, uint64_t token, int64_t status, struct abi_return *reply)
{
    struct client *client = &clients[token - 1];
    (void)port;
    CHECK(client->busy);
    if (reply->data_length)
        memcpy(client->window, (void *)(uintptr_t)reply->data, reply->data_length);
    client->status = status;
    client->value = reply->values[0];
    client->busy = false;
}

size_t command_name(const struct command *command, const char **name)
{
    *name = command->path;
    return command->path_length;
}

int64_t command_read_exactly(const struct command *command, void *buffer, size_t length)
{
    if (command->in_length != length)
        return -E_INVALID;
    memcpy(buffer, command->data, length);
    return 0;
}

int64_t command_answer_handle(struct command *command, int64_t handle)
{
    (void)command;
    return handle < 0 ? handle : 0;
}

const char *error_text(int64_t code)
{
    (void)code;
    return "an error";
}

/* --- Memory: a device's address is the host's ---------------------------------------------------------------------- */

static int64_t dma_make(uint8_t *bytes, uint64_t length, struct pci_dma *dma)
{
    *dma = (struct pci_dma){.bytes = bytes, .length = length, .memory = 1};
    dma->pages = malloc(length / PAGE_SIZE * sizeof(*dma->pages));
    for (uint64_t i = 0; i < length / PAGE_SIZE; i++)
        dma->pages[i] = (uintptr_t)bytes + i * PAGE_SIZE;
    return 0;
}

int64_t pci_dma_alloc(const struct pci_device *device, uint64_t length, uint32_t flags,
                      struct pci_dma *dma)
{
    (void)device, (void)flags;
    return dma_make(aligned_alloc(PAGE_SIZE, length), length, dma);
}

int64_t pci_dma_lend(const struct pci_device *device, uint64_t length, uint32_t flags,
                     struct pci_dma *dma)
{
    (void)device, (void)flags;
    return dma_make(lent, length, dma);
}

int64_t pci_dma_again(const struct pci_device *device, handle_t memory, struct pci_dma *dma)
{
    (void)device, (void)memory, (void)dma;
    return -E_INVALID;
}

void pci_dma_free(const struct pci_device *device, struct pci_dma *dma)
{
    (void)device;
    free(dma->pages);
    dma->memory = HANDLE_NONE;
}

/* --- The device ---------------------------------------------------------------------------------------------------- */

static int64_t device_start(struct disk *of, struct disk_request *request)
{
    uint64_t bytes = 0;
    CHECK((of == &disk || of == &other_disk) && request->disk == of && started_count < STARTED);
    CHECK(request->sector + request->count <= SECTORS);
    CHECK(request->segment_count <= of->segments);
    CHECK(!request->segment_count || request->count * SECTOR <= of->bytes);
    for (uint32_t i = 0; i < request->segment_count; i++)
        bytes += request->segments[i].length;
    CHECK(!request->segment_count || bytes == request->count * SECTOR);
    if (started_count >= room)
        return -E_AGAIN;
    started[started_count++] = request;
    return 0;
}

static int64_t device_reset(struct disk *of)
{
    (void)of;
    started_count = 0;
    resets++;
    return 0;
}

static void device_released(struct disk *of)
{
    CHECK(of == &disk || of == &other_disk);
    released++;
}

static const struct disk_driver driver = {
    .start = device_start, .reset = device_reset, .released = device_released};

static int64_t carry_out(const struct disk_request *request)
{
    uint8_t *at = medium + request->sector * SECTOR;
    if (request->op == OP_SYNC)
        flushes++;
    if (request->op == DISK_DISCARD)
        memset(at, 0, request->count * SECTOR);
    if (request->op == DISK_READ && bad_sector && request->sector <= bad_sector &&
        bad_sector < request->sector + request->count)
        return -E_MEDIUM;
    for (uint32_t i = 0; i < request->segment_count; i++) {
        uint8_t *memory = (uint8_t *)(uintptr_t)request->segments[i].address;
        memcpy(request->op == DISK_READ ? memory : at, request->op == DISK_READ ? at : memory,
               request->segments[i].length);
        at += request->segments[i].length;
    }
    return 0;
}

/* One of those it has: done, or forgotten (chance in 100). */
static void device_step(uint32_t forgets)
{
    if (!started_count)
        return;
    uint32_t which = random_below(started_count);
    struct disk_request *request = started[which];
    started[which] = started[--started_count];
    disk_done(request, random_below(100) < forgets ? DISK_LOST : carry_out(request));
    queue_pump(&host);
}

static void device_finish(void)
{
    queue_pump(&host);
    while (started_count)
        device_step(0);
}

/* --- Commands ------------------------------------------------------------------------------------------------------ */

static int64_t file_open_as(uint64_t id, const char *path, uint32_t flags, struct disk_file **file)
{
    struct command command = {.path = path, .path_length = strlen(path)};
    command.message.args[0] = flags;
    command.message.file = id;
    int64_t result = disk_file_operations[OP_OPEN](&host, &command);
    *file = (struct disk_file *)(uintptr_t)command.reply.values[0];
    if (result == 0)
        known_files[id % FILES] = true;
    return result;
}

static struct disk_file *file_new(const char *path, uint32_t flags)
{
    struct disk_file *file;
    CHECK_EQUAL(file_open_as(1, path, flags, &file), 0);
    return file;
}

/* Its last handle is gone; the driver hears of it later, or never. */
static void file_left(uint64_t id)
{
    known_files[id % FILES] = false;
}

/* What the handler says at once is the status, too. */
static void ask(struct client *client, struct disk_file *file, uint32_t op, const uint64_t args[4],
                uint64_t in_length, uint64_t out_length)
{
    struct command command = {.in_length = in_length, .data = client->window};
    command.message.op = op;
    command.message.file = 1;
    command.message.cookie = (uintptr_t)file;
    command.message.token = (uint64_t)(client - clients) + 1;
    command.message.out_length = out_length;
    memcpy(command.message.args, args, sizeof(command.message.args));
    client->busy = true;
    client->value = 0;
    int64_t result = disk_file_operations[SERVICE_INDEX(op)](&host, &command);
    if (result == COMMAND_HELD)
        return;
    client->busy = false;
    client->status = result;
}

static void start(void)
{
    memset(&host, 0, sizeof(host));
    memset(&disk, 0, sizeof(disk));
    memset(clients, 0, sizeof(clients));
    host.driver = &driver;
    struct list *lists[] = {&host.disks, &host.watchers, &host.holds, &host.chunks, &host.starving};
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        list_init(lists[i]);
    strcpy(disk.name, "vd0");
    disk.segments = 5;
    disk.bytes = 24 * SECTOR;
    disk.geometry = (struct disk_geometry){.size = SIZE + 1,
                                           .sector = SECTOR,
                                           .depth = 16,
                                           .discard = SECTOR,
                                           .flags = DISK_HAS_CACHE | DISK_HAS_ZERO};
    CHECK_EQUAL(disk_add(&host, &disk), 0);
    CHECK_EQUAL(disk.geometry.size, SIZE);
    CHECK_EQUAL(disk.geometry.physical_sector, SECTOR);
    started_count = flushes = resets = released = 0;
    room = STARTED;
    bad_sector = 0;
    for (uint32_t i = 0; i < SIZE; i++)
        medium[i] = model[i] = (uint8_t)(i * 7 + i / SECTOR);
}

/* Every chunk and request is there again, and nothing waits. */
static void check_idle(void)
{
    uint32_t spare = 0, chunks = 0;
    list_for_each (struct disk_request, request, &disk.spare, link)
        spare++;
    list_for_each (struct disk_chunk, chunk, &host.chunks, link)
        chunks++;
    CHECK_EQUAL(spare, disk.request_count);
    CHECK_EQUAL(chunks, host.chunk_count);
    CHECK(list_empty(&disk.jobs) && list_empty(&disk.waiting) && list_empty(&disk.blocked) &&
          list_empty(&host.starving) && list_empty(&disk.ready));
    CHECK_EQUAL(disk.unaligned, 0);
}

static void chunks_free(void)
{
    list_for_each (struct disk_chunk, chunk, &host.chunks, link) {
        free(chunk->dma.bytes);
        free(chunk->dma.pages);
        free(chunk);
    }
}

/* The end of a test. */
static void finish(struct disk_file *file)
{
    device_finish();
    check_idle();
    file_closed(&host, (uintptr_t)file);
    disk_remove(&disk);
    CHECK_EQUAL(released, 1);
    chunks_free();
}

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

/* --- What a file has for itself --- */

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
