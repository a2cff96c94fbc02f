/* What lib/disk has around it, for its tests: clients with commands under way, the relay, memory, and a device that forgets, refuses and
 * fails as the test wants. */
#pragma once

#include "lib/disk/internal.h"

#include "lib/sys/keep.h"
#include "lib/sys/pager.h"
#include "tests/host/fake_command.h"
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

static inline uint32_t random_below(uint32_t limit)
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

static inline struct kept *kept_find(uint64_t key)
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

static inline int64_t keep_no_longer(uint64_t key)
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

const char *error_text(int64_t code)
{
    (void)code;
    return "an error";
}

/* --- Memory: a device's address is the host's ---------------------------------------------------------------------- */

static inline int64_t dma_make(uint8_t *bytes, uint64_t length, struct pci_dma *dma)
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

static inline int64_t device_start(struct disk *of, struct disk_request *request)
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

static inline int64_t device_reset(struct disk *of)
{
    (void)of;
    started_count = 0;
    resets++;
    return 0;
}

static inline void device_released(struct disk *of)
{
    CHECK(of == &disk || of == &other_disk);
    released++;
}

static const struct disk_driver driver = {
    .start = device_start, .reset = device_reset, .released = device_released};

static inline int64_t carry_out(const struct disk_request *request)
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
static inline void device_step(uint32_t forgets)
{
    if (!started_count)
        return;
    uint32_t which = random_below(started_count);
    struct disk_request *request = started[which];
    started[which] = started[--started_count];
    disk_done(request, random_below(100) < forgets ? DISK_LOST : carry_out(request));
    queue_pump(&host);
}

static inline void device_finish(void)
{
    queue_pump(&host);
    while (started_count)
        device_step(0);
}

/* --- Commands ------------------------------------------------------------------------------------------------------ */

static inline int64_t file_open_as(uint64_t id, const char *path, uint32_t flags,
                                   struct disk_file **file)
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

static inline struct disk_file *file_new(const char *path, uint32_t flags)
{
    struct disk_file *file;
    CHECK_EQUAL(file_open_as(1, path, flags, &file), 0);
    return file;
}

/* Its last handle is gone; the driver hears of it later, or never. */
static inline void file_left(uint64_t id)
{
    known_files[id % FILES] = false;
}

/* What the handler says at once is the status, too. */
static inline void ask(struct client *client, struct disk_file *file, uint32_t op,
                       const uint64_t args[4], uint64_t in_length, uint64_t out_length)
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

static inline void start(void)
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
static inline void check_idle(void)
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

static inline void chunks_free(void)
{
    list_for_each (struct disk_chunk, chunk, &host.chunks, link) {
        free(chunk->dma.bytes);
        free(chunk->dma.pages);
        free(chunk);
    }
}

/* The end of a test. */
static inline void finish(struct disk_file *file)
{
    device_finish();
    check_idle();
    file_closed(&host, (uintptr_t)file);
    disk_remove(&disk);
    CHECK_EQUAL(released, 1);
    chunks_free();
}
