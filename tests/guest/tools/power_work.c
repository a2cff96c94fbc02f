/* A file system at work, for power cuts: files made, written, cut, renamed, unlinked; files and directories synced (power_work.h).
 *
 *     power_work DIRECTORY JOURNAL SEED RECORDS      JOURNAL: the URI of a disk, DIRECTORY: empty
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/sys/error.h"
#include "lib/sys/file.h"
#include "tests/guest/tools/need.h"
#include "tests/guest/tools/power_work.h"

static struct live {
    uint32_t file; /* 0: none */
    uint32_t size;
} live[POWER_PLACES];
static handle_t journal;
static uint32_t records, file_count;
static uint64_t state;

static uint32_t below(uint32_t limit)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(state >> 33) % limit;
}

/* It is on the disk when this returns, though not on the platter. */
static uint32_t tell(struct power_record record)
{
    uint8_t sector[POWER_SECTOR] = {0};
    record.magic = POWER_MAGIC;
    record.number = records;
    memcpy(sector, &record, sizeof(record));
    int64_t result = file_write(journal, (uint64_t)records * POWER_SECTOR, sector, sizeof(sector));
    if (result != (int64_t)sizeof(sector)) {
        printf("the journal: %s\n", error_text(result));
        exit(1);
    }
    return records++;
}

static int place_open(uint32_t place, int flags)
{
    char path[64];
    int file = open(power_path(place, path), flags, 0644);
    NEED(file >= 0);
    return file;
}

static void write_at(uint32_t place, int flags, enum power_what what, uint32_t offset,
                     uint32_t length)
{
    static uint8_t bytes[POWER_SIZE];
    struct live *at = &live[place];
    uint32_t number = tell((struct power_record){
        .what = what, .file = at->file, .place = place, .offset = offset, .length = length});
    int file = place_open(place, O_WRONLY | flags);
    power_fill(bytes, at->file, number, offset, length);
    NEED(pwrite(file, bytes, length, offset) == (ssize_t)length);
    NEED(close(file) == 0);
    if (at->size < offset + length)
        at->size = offset + length;
}

static uint32_t some_length(void)
{
    return POWER_HEADER + (below(4) ? below(3000) : below(16000));
}

static void create_or_write(uint32_t place)
{
    struct live *at = &live[place];
    uint32_t length = some_length();
    if (!at->file) {
        *at = (struct live){.file = ++file_count};
        write_at(place, O_CREAT | O_EXCL, POWER_CREATE, 0, length);
        return;
    }
    uint32_t offset = below(2) ? at->size : POWER_HEADER + below(at->size);
    if (offset + length <= POWER_SIZE)
        write_at(place, 0, POWER_WRITE, offset, length);
}

static void cut(uint32_t place)
{
    struct live *at = &live[place];
    char path[64];
    if (!at->file)
        return;
    at->size = POWER_HEADER + below(2 * at->size);
    if (at->size > POWER_SIZE)
        at->size = POWER_SIZE;
    (void)tell((struct power_record){
        .what = POWER_TRUNCATE, .file = at->file, .place = place, .length = at->size});
    NEED(truncate(power_path(place, path), at->size) == 0);
}

static void move(uint32_t place, uint32_t to)
{
    char path[64], to_path[64];
    if (!live[place].file || place == to)
        return;
    (void)tell((struct power_record){
        .what = POWER_RENAME, .file = live[place].file, .place = place, .to = to});
    NEED(rename(power_path(place, path), power_path(to, to_path)) == 0);
    live[to] = live[place];
    live[place].file = 0;
}

static void unlink_one(uint32_t place)
{
    char path[64];
    if (!live[place].file)
        return;
    (void)tell(
        (struct power_record){.what = POWER_UNLINK, .file = live[place].file, .place = place});
    NEED(unlink(power_path(place, path)) == 0);
    live[place].file = 0;
}

/* Any file or directory: the volume is synced as a whole. */
static void sync_one(uint32_t place)
{
    char folder[8];
    snprintf(folder, sizeof(folder), "d%u", place / POWER_NAMES);
    int file = live[place].file ? place_open(place, O_RDONLY) : open(folder, O_RDONLY);
    NEED(file >= 0);
    NEED(fsync(file) == 0);
    (void)tell((struct power_record){.what = POWER_SYNCED});
    NEED(close(file) == 0);
}

static void one(void)
{
    uint32_t place = below(POWER_PLACES);
    switch (below(12)) {
    case 0 ... 4:
        create_or_write(place);
        break;
    case 5:
        cut(place);
        break;
    case 6 ... 8:
        move(place, below(POWER_PLACES));
        break;
    case 9:
        unlink_one(place);
        break;
    default:
        sync_one(place);
    }
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    state = strtoull(argv[3], NULL, 10);
    uint32_t wanted = (uint32_t)atoi(argv[4]);
    int64_t result = file_open(HANDLE_SELF, argv[2], OPEN_WRITE, &journal);
    if (result < 0) {
        printf("%s: %s\n", argv[2], error_text(result));
        return 1;
    }
    NEED(chdir(argv[1]) == 0);
    for (uint32_t i = 0; i < POWER_FOLDERS; i++) {
        char folder[8];
        snprintf(folder, sizeof(folder), "d%u", i);
        NEED(mkdir(folder, 0755) == 0);
    }
    sync_one(0);
    while (records < wanted)
        one();
    printf("%u records\n", records);
    return 0;
}
