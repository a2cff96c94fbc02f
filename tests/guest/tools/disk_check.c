/* A client of disk:// without copies (abi/disk.h), by several threads.
 *
 *     disk_check write URI SEED     writes a pattern to all of it, in scattered pieces, and syncs
 *     disk_check verify URI SEED    reads it back and compares
 *     disk_check misuse URI         what must be refused, is
 *     disk_check discard URI        zeroes and discards its second half
 *     disk_check rescan URI         the table of partitions is read again
 *     disk_check bad URI SECTOR     this sector cannot be read, those beside it can
 *
 * The pattern: each 16 bytes are the seed and the number of the 512 bytes they lie in. A last line "... ok" says that all went well.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/disk.h"
#include "lib/sys/error.h"
#include "lib/sys/file.h"
#include "lib/sys/map.h"

#define THREADS 8u
#define STRIPE  0x20000u /* of memory and of the disk, for each thread */
#define PIECE   PAGE_SIZE
#define PIECES  (STRIPE / PIECE)

static handle_t file;
static struct disk_geometry geometry;
static uint8_t *memory;
static uint64_t seed;

static int64_t call(uint32_t op, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    struct abi_command command = {.op = op, .args = {a, b, c, d}};
    return file_command(file, &command);
}

static void must(const char *what, int64_t result)
{
    if (result >= 0)
        return;
    printf("%s: %s\n", what, error_text(result));
    exit(1);
}

static void refused(const char *what, int64_t result, int64_t wanted)
{
    if (result == wanted)
        return;
    printf("%s: %s instead of %s\n", what, result < 0 ? error_text(result) : "nothing",
           error_text(wanted));
    exit(1);
}

static void disk_open(const char *uri, uint32_t flags)
{
    must("open", file_open(HANDLE_SELF, uri, flags, &file));
    struct abi_command describe = {
        .op = DISK_GEOMETRY, .out = (uintptr_t)&geometry, .out_length = sizeof(geometry)};
    must("geometry", file_command(file, &describe));
}

static void memory_get(void)
{
    struct abi_command command = {.op = DISK_MEMORY, .args = {THREADS * STRIPE}};
    must("memory", file_command(file, &command));
    int64_t at = memory_map(command.receive[0], 0, THREADS * STRIPE, PROT_READ_ | PROT_WRITE_);
    must("map", at);
    memory = (uint8_t *)(uintptr_t)at;
    handle_drop(command.receive[0]);
}

/* Where in the thread's memory the n-th page of its stripe lies: the odd ones first. */
static uint64_t page_of(uint64_t n)
{
    return n % 2 ? n / 2 : PIECES / 2 + n / 2;
}

static void transfer(uint32_t op, uint64_t thread, uint64_t offset, uint64_t length)
{
    struct disk_piece pieces[PIECES];
    uint64_t count = 0;
    for (uint64_t at = 0; at < length; at += PIECE)
        pieces[count++] = (struct disk_piece){thread * STRIPE + page_of(at / PIECE) * PIECE,
                                              MIN(PIECE, length - at)};
    struct abi_command command = {.op = op,
                                  .args = {offset},
                                  .in = (uintptr_t)pieces,
                                  .in_length = count * sizeof(pieces[0])};
    must(op == DISK_READ ? "read" : "write", file_command(file, &command));
}

static uint64_t *words_at(uint64_t thread, uint64_t at)
{
    return (uint64_t *)(void *)(memory + thread * STRIPE + page_of(at / PIECE) * PIECE +
                                at % PIECE);
}

static void fill(uint64_t thread, uint64_t offset, uint64_t length)
{
    for (uint64_t at = 0; at < length; at += 16) {
        words_at(thread, at)[0] = seed;
        words_at(thread, at)[1] = (offset + at) / 512;
    }
}

static void compare(uint64_t thread, uint64_t offset, uint64_t length)
{
    for (uint64_t at = 0; at < length; at += 16) {
        const uint64_t *words = words_at(thread, at);
        if (words[0] == seed && words[1] == (offset + at) / 512)
            continue;
        printf("at %" PRIu64 ": %" PRIx64 " %" PRIu64 "\n", offset + at, words[0], words[1]);
        exit(1);
    }
}

static bool writing;

static void *work(void *argument)
{
    uint64_t thread = (uintptr_t)argument;
    for (uint64_t at = thread * STRIPE; at < geometry.size; at += THREADS * STRIPE) {
        uint64_t length = MIN(STRIPE, geometry.size - at);
        if (writing) {
            fill(thread, at, length);
            transfer(DISK_WRITE, thread, at, length);
        } else {
            memset(memory + thread * STRIPE, 0, STRIPE);
            transfer(DISK_READ, thread, at, length);
            compare(thread, at, length);
        }
    }
    return NULL;
}

static void work_all(void)
{
    pthread_t threads[THREADS];
    memory_get();
    for (uint64_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)i))
            must("thread", -E_NO_MEMORY);
    for (uint64_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    if (writing)
        must("sync", call(OP_SYNC, 0, 0, 0, 0));
}

/* --- Refusals --- */

static void misuse(const char *uri)
{
    uint64_t sector = geometry.sector, size = geometry.size;
    struct abi_command window = {.op = DISK_READ, .in = (uintptr_t)uri, .in_length = 5};
    handle_t other = file;

    refused("no memory yet", call(DISK_READ, 0, 0, 0, sector), -E_RANGE);
    refused("no length", call(DISK_MEMORY, 0, 0, 0, 0), -E_RANGE);
    refused("too much memory", call(DISK_MEMORY, DISK_MEMORY_MAX + 1, 0, 0, 0), -E_RANGE);
    memory_get();
    must("the last sector", call(DISK_READ, size - sector, 0, 0, sector));
    refused("behind the end", call(DISK_READ, size, 0, 0, sector), -E_RANGE);
    refused("over the end", call(DISK_READ, size - sector, 0, 0, 2 * sector), -E_RANGE);
    refused("around the end", call(DISK_READ, UINT64_MAX - sector + 1, 0, 0, 2 * sector), -E_RANGE);
    refused("outside the memory", call(DISK_READ, 0, 0, THREADS * STRIPE, sector), -E_RANGE);
    refused("over the memory", call(DISK_WRITE, 0, 0, THREADS * STRIPE - sector, 2 * sector),
            -E_RANGE);
    refused("unaligned offset", call(DISK_READ, 1, 0, 0, sector), -E_INVALID);
    refused("unaligned place", call(DISK_READ, 0, 0, 8, sector), -E_INVALID);
    refused("unaligned length", call(DISK_READ, 0, 0, 0, sector - 1), -E_INVALID);
    refused("no bytes", call(DISK_READ, 0, 0, 0, 0), -E_INVALID);
    refused("flags of a read", call(DISK_READ, 0, DISK_THROUGH, 0, sector), -E_INVALID);
    refused("flags of a write", call(DISK_WRITE, 0, 0x80, 0, sector), -E_INVALID);
    refused("flags of a discard", call(DISK_DISCARD, 0, sector, 1, 0), -E_INVALID);
    refused("half a list", file_command(file, &window), -E_INVALID);
    refused("writing behind the end", file_write(file, size, uri, 4), -E_NO_SPACE);
    must("reading behind the end", file_read(file, size + 5, geometry.model, 4));

    must("open to read", file_open(HANDLE_SELF, uri, OPEN_READ, &file));
    refused("writing what is open to read", call(DISK_WRITE, 0, 0, 0, sector), -E_ACCESS);
    refused("... by bytes", file_write(file, 0, uri, 4), -E_ACCESS);
    refused("... by discarding", call(DISK_DISCARD, 0, sector, 0, 0), -E_ACCESS);
    handle_drop(file);
    file = other;
}

static void discard(void)
{
    uint64_t half = ALIGN_DOWN(geometry.size / 2, (uint64_t)PAGE_SIZE);
    if (geometry.flags & DISK_HAS_ZERO)
        must("zero", call(DISK_DISCARD, half, geometry.size - half, DISK_ZERO, 0));
    else
        refused("zero", call(DISK_DISCARD, half, geometry.size - half, DISK_ZERO, 0),
                -E_NOT_SUPPORTED);
    if (geometry.discard)
        must("discard", call(DISK_DISCARD, half, geometry.size - half, 0, 0));
    else
        refused("discard", call(DISK_DISCARD, half, geometry.size - half, 0, 0), -E_NOT_SUPPORTED);
}

static void bad(uint64_t number)
{
    uint64_t sector = geometry.sector, at = number * sector;
    memory_get();
    refused("the bad sector", call(DISK_READ, at, 0, 0, sector), -E_MEDIUM);
    refused("from in front of it", call(DISK_READ, at - sector, 0, 0, 3 * sector), -E_MEDIUM);
    must("in front of it", call(DISK_READ, at - sector, 0, 0, sector));
    must("behind it", call(DISK_READ, at + sector, 0, 0, sector));
}

static void rescan(const char *uri)
{
    struct abi_command command = {.op = DISK_RESCAN};
    must("rescan", path_command(HANDLE_SELF, uri, &command));
    command = (struct abi_command){.op = DISK_RESCAN};
    refused("a folder", path_command(HANDLE_SELF, "disk:///by-uuid", &command), -E_INVALID);
    command = (struct abi_command){.op = DISK_RESCAN};
    refused("no disk", path_command(HANDLE_SELF, "disk:///none", &command), -E_NOT_FOUND);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: disk_check write|verify|misuse|discard|rescan|bad URI [SEED]\n");
        return 2;
    }
    writing = strcmp(argv[1], "write") == 0;
    seed = argc > 3 ? strtoull(argv[3], NULL, 0) : 0;
    disk_open(argv[2], strcmp(argv[1], "verify") == 0 ? OPEN_READ : OPEN_READ | OPEN_WRITE);
    if (strcmp(argv[1], "misuse") == 0)
        misuse(argv[2]);
    else if (strcmp(argv[1], "discard") == 0)
        discard();
    else if (strcmp(argv[1], "rescan") == 0)
        rescan(argv[2]);
    else if (strcmp(argv[1], "bad") == 0)
        bad(seed);
    else
        work_all();
    printf("%s %" PRIu64 " bytes ok\n", argv[1], geometry.size);
    return 0;
}
