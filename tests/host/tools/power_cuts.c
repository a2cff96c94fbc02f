// sources: tests/host/fat_disk.c lib/fat/attributes.c lib/fat/bits.c lib/fat/boot.c lib/fat/buffer.c lib/fat/call.c lib/fat/chain.c lib/fat/check.c
// sources: lib/fat/commit.c lib/fat/directory.c lib/fat/file.c lib/fat/index.c lib/fat/kept.c lib/fat/name.c lib/fat/names.c
// sources: lib/fat/node.c lib/fat/rename.c lib/fat/repair.c lib/fat/short.c lib/fat/slot.c lib/fat/space.c lib/fat/stamp.c
// sources: lib/fat/table.c lib/fat/volume.c
/* What a machine's disk has after a power cut.
 *
 *     power_cuts DISK LOG POINTS SEED     the disk before, and the log of all writes since (QEMU's blklogwrites)
 *     power_cuts DISK                     a disk as a machine left it that was ended
 *
 * The disk has two partitions: a volume, and the journal of who worked on it (tests/guest/tools/power_work.h). The log is replayed up to
 * POINTS places, from its beginning to its end, so that what is settled at one of them need not be told again at the next; of what is behind the last
 * flush 512 bytes are there or not, each by themselves, or all of it is. At each place
 *
 *     fsck.fat -n        finds nothing but what a cut may leave: clusters nobody has, parts of long names, marks
 *     lib/fat mounts     what was synced is there, and nothing that nobody wrote; fsck.fat -n finds nothing any more
 *     fsck.fat -a        instead of our mount, at each fourth place: the same bytes
 */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/guest/tools/power_work.h"
#include "tests/host/fat_disk.h"

#define FILES 4000u

static size_t cut;     /* where we are: records of the log */
static size_t settled; /* of these, those in front of the last flush: the volume has them */

#define FAIL(...)                                           \
    do {                                                    \
        printf("cut behind %zu of %zu: ", cut, disk.count); \
        printf(__VA_ARGS__);                                \
        printf("\n");                                       \
        exit(1);                                            \
    } while (0)

#define NEED(condition)                                                    \
    do {                                                                   \
        if (!(condition)) {                                                \
            printf("%s does not hold: %s\n", #condition, strerror(errno)); \
            exit(1);                                                       \
        }                                                                  \
    } while (0)

/* --- What is read --- */

struct bytes {
    uint8_t *at;
    uint64_t size;
};

static struct bytes disk_before;
static struct bytes volume, journal; /* their partitions of it */

static struct event {
    struct power_record record;
    size_t at; /* how many writes of the volume and flushes came before */
} * events;
static uint32_t event_count;

static struct bytes file_load(const char *path)
{
    FILE *stream = fopen(path, "rb");
    NEED(stream && fseek(stream, 0, SEEK_END) == 0);
    struct bytes file = {.size = (uint64_t)ftell(stream)};
    NEED(file.size && (file.at = malloc(file.size)) != NULL);
    rewind(stream);
    NEED(fread(file.at, 1, file.size, stream) == file.size);
    fclose(stream);
    return file;
}

static struct bytes partition(uint32_t number)
{
    uint32_t place[2]; /* first sector, sectors */
    memcpy(place, disk_before.at + 446 + 16 * number + 8, sizeof(place));
    struct bytes part = {disk_before.at + (uint64_t)place[0] * 512, (uint64_t)place[1] * 512};
    NEED(part.size && part.at + part.size <= disk_before.at + disk_before.size);
    return part;
}

static void event_add(const void *sector)
{
    struct power_record record;
    memcpy(&record, sector, sizeof(record));
    NEED(record.magic == POWER_MAGIC);
    if (event_count && record.number == event_count - 1)
        return; /* a driver that died did not know that it was written */
    NEED(record.number == event_count);
    NEED(record.file < FILES && record.place < POWER_PLACES && record.to < POWER_PLACES);
    events = realloc(events, (event_count + 1) * sizeof(*events));
    NEED(events);
    events[event_count++] = (struct event){record, disk.count};
}

static void journal_load(void)
{
    for (uint64_t at = 0; at < journal.size; at += POWER_SECTOR)
        if (*(uint64_t *)(journal.at + at) == POWER_MAGIC)
            event_add(journal.at + at);
}

/* --- The log: include/linux/dm-log-writes of the kernel's documentation. A sector for each entry, its bytes behind it. --- */

#define LOG_MAGIC UINT64_C(0x6a736677736872)
#define LOG_FLUSH UINT64_C(1) /* others (FUA, discards) nobody asks for here */

struct log_super {
    uint64_t magic, version, entries;
    uint32_t sector_size;
} __attribute__((packed));

struct log_entry {
    uint64_t sector, sectors, flags, data_length;
};

static void log_write(uint64_t offset, const uint8_t *bytes, uint64_t length)
{
    uint64_t in_volume = offset - (uint64_t)(volume.at - disk_before.at);
    uint64_t in_journal = offset - (uint64_t)(journal.at - disk_before.at);
    if (in_volume < volume.size) {
        disk_record_write(in_volume, bytes, length);
    } else {
        NEED(in_journal < journal.size && length == POWER_SECTOR);
        event_add(bytes);
    }
}

static void log_load(const char *path)
{
    struct bytes log = file_load(path);
    struct log_super super;
    memcpy(&super, log.at, sizeof(super));
    NEED(super.magic == LOG_MAGIC && super.version == 1 && super.sector_size == 512);
    uint64_t at = 512;
    for (uint64_t i = 0; i < super.entries; i++) {
        struct log_entry entry;
        NEED(at + 512 <= log.size);
        memcpy(&entry, log.at + at, sizeof(entry));
        uint64_t length = entry.sectors * 512;
        NEED((entry.flags & ~LOG_FLUSH) == 0 && at + 512 + length <= log.size);
        if (entry.flags & LOG_FLUSH)
            disk_record_write(0, NULL, 0);
        if (length)
            log_write(entry.sector * 512, log.at + at + 512, length);
        at += 512 + length;
    }
    free(log.at);
}

/* --- What may be there: each file's states since the last time that all was synced --- */

struct state {
    bool alive;
    uint32_t place, size;
    uint8_t *bytes;
};

static struct file {
    struct state *states;
    uint32_t count;
} files[FILES];
static uint32_t file_at[POWER_PLACES]; /* 0: none */
static bool always[POWER_PLACES];      /* some file was there */
static bool ever[POWER_PLACES];
static bool synced;

static struct state *last(struct file *file)
{
    return &file->states[file->count - 1];
}

/* Another state of it, like its last one. */
static struct state *state_add(uint32_t number)
{
    struct file *file = &files[number];
    struct state next = file->count ? *last(file) : (struct state){0};
    uint8_t *bytes = calloc(1, POWER_SIZE);
    if (next.bytes)
        memcpy(bytes, next.bytes, POWER_SIZE);
    next.bytes = bytes;
    file->states = realloc(file->states, (file->count + 1) * sizeof(next));
    NEED(bytes && file->states);
    file->states[file->count++] = next;
    return last(file);
}

/* All but the last. */
static void states_forget(struct file *file)
{
    for (uint32_t i = 0; i + 1 < file->count; i++)
        free(file->states[i].bytes);
    if (file->count)
        file->states[0] = *last(file);
    file->count = MIN(file->count, 1u);
}

static void model_sync(void)
{
    for (uint32_t i = 0; i < FILES; i++)
        states_forget(&files[i]);
    for (uint32_t place = 0; place < POWER_PLACES; place++)
        always[place] = ever[place] = file_at[place] != 0;
    synced = true;
}

static void model_write(const struct power_record *record)
{
    struct state *state = state_add(record->file);
    if (record->what == POWER_CREATE) { /* empty at first */
        state->alive = true;
        state->place = record->place;
        file_at[record->place] = record->file;
        ever[record->place] = true;
        state = state_add(record->file);
    }
    NEED(record->offset + record->length <= POWER_SIZE);
    power_fill(state->bytes + record->offset, record->file, record->number, record->offset,
               record->length);
    state->size = MAX(state->size, record->offset + record->length);
}

static void model_truncate(const struct power_record *record)
{
    struct state *state = state_add(record->file);
    if (record->length < state->size)
        memset(state->bytes + record->length, 0, POWER_SIZE - record->length);
    state->size = record->length;
}

static void model_leave(uint32_t place)
{
    if (file_at[place])
        state_add(file_at[place])->alive = false;
    file_at[place] = 0;
}

static void model_rename(const struct power_record *record)
{
    struct state *state;
    model_leave(record->to);
    state = state_add(record->file);
    state->place = record->to;
    file_at[record->to] = record->file;
    file_at[record->place] = 0;
    always[record->place] = false;
    ever[record->to] = true;
}

static void model_apply(const struct power_record *record)
{
    switch ((enum power_what)record->what) {
    case POWER_CREATE:
    case POWER_WRITE:
        model_write(record);
        break;
    case POWER_TRUNCATE:
        model_truncate(record);
        break;
    case POWER_RENAME:
        model_rename(record);
        break;
    case POWER_UNLINK:
        model_leave(record->place);
        always[record->place] = false;
        break;
    case POWER_SYNCED:
        model_sync();
    }
}

/* --- What is there --- */

static struct seen {
    uint32_t count, place, size;
    uint8_t *bytes;
} seen[FILES];
static bool bound[POWER_PLACES];

static void see(struct fat_node *node, uint32_t place)
{
    static uint8_t bytes[POWER_SIZE + 1];
    uint32_t number = 0, size = (uint32_t)file_read(node, 0, bytes, sizeof(bytes));
    bound[place] = true;
    if (!ever[place] && synced)
        FAIL("place %u has a file", place);
    if (!size) /* made and not yet written; which one it is nobody can tell */
        return;
    if (size < POWER_HEADER || size > POWER_SIZE || bytes[0] != 0xb7)
        FAIL("place %u has %u bytes that are nobody's", place, size);
    memcpy(&number, bytes + 1, sizeof(number));
    if (!number || number >= FILES || !files[number].count)
        FAIL("place %u has file %u, which there is not", place, number);
    seen[number] = (struct seen){seen[number].count + 1, place, size, malloc(size)};
    memcpy(seen[number].bytes, bytes, size);
}

static void look(void)
{
    char path[64];
    for (uint32_t i = 0; i < FILES; i++)
        free(seen[i].bytes);
    memset(seen, 0, sizeof(seen));
    memset(bound, 0, sizeof(bound));
    for (uint32_t place = 0; place < POWER_PLACES; place++) {
        struct fat_node *node = disk_open(power_path(place, path));
        if (!node)
            continue;
        see(node, place);
        files_drop();
        fat_put(node);
    }
}

/* A sector of it is as in one of its states; behind the end of that are zeros. */
static bool sector_right(const struct file *file, const struct seen *found, uint32_t at)
{
    uint32_t length = MIN(POWER_SECTOR, found->size - at);
    for (uint32_t i = 0; i < file->count; i++)
        if (file->states[i].size > at &&
            !memcmp(file->states[i].bytes + at, found->bytes + at, length))
            return true;
    return false;
}

static void check_file(uint32_t number, bool names)
{
    const struct file *file = &files[number];
    const struct seen *found = &seen[number];
    bool stays = true, size = false, place = false;
    for (uint32_t i = 0; i < file->count; i++) {
        const struct state *state = &file->states[i];
        stays &= state->alive && state->size;
        size |= state->size == found->size;
        place |= state->alive && state->place == found->place;
    }
    if (!synced)
        return;
    if (!found->count && file->count && stays)
        FAIL("file %u is missing", number);
    if (found->count > 1)
        FAIL("file %u is there %u times", number, found->count);
    if (!found->count)
        return;
    if (!size)
        FAIL("file %u has %u bytes", number, found->size);
    if (names && !place)
        FAIL("file %u is at place %u", number, found->place);
    for (uint32_t at = 0; at < found->size; at += POWER_SECTOR)
        if (!sector_right(file, found, at))
            FAIL("file %u has bytes at %u that were never there", number, at);
}

/* As our mount finds it. names: nobody else has repaired it, so a file has one of its names, and a name that was replaced is there. */
static void check_mounted(bool names)
{
    struct fat_statfs about;
    disk_lose_kept();
    disk_mount();
    NEED(fat_statfs(disk.volume, &about) == 0);
    if (about.read_only)
        FAIL("our mount finds it damaged");
    look();
    disk_unmount();
    for (uint32_t number = 1; number < FILES; number++)
        check_file(number, names);
    for (uint32_t place = 0; names && synced && place < POWER_PLACES; place++)
        if (always[place] && !bound[place])
            FAIL("place %u has nothing", place);
    if (disk_fsck())
        FAIL("fsck.fat -n finds something behind our mount");
}

/* --- What fsck.fat may say --- */

static const char *const harmless[] = {
    "fsck.fat *",
    "*: * files, */* clusters",
    "",
    "Warning: Filesystem is FAT32 according to fat_length and fat32_length fields,",
    "  but has only * clusters, less than the required minimum of *",
    "  This may lead to problems on some systems.",
    /* the mark of a volume in use */
    "*Dirty bit is set. Fs was not properly unmounted and some data may be corrupt.",
    " Automatically removing dirty bit.",
    "There are differences between boot sector and its backup.",
    "This is mostly harmless. Differences: (offset:original/backup)",
    "  65:01/00",
    "  Not automatically fixing this.",
    /* clusters nobody has, or that are behind their file's end */
    "Reclaimed * unused cluster*",
    "Reclaiming unconnected clusters.",
    "  File size is * bytes, cluster chain length is > * bytes.",
    "  Truncating file to * bytes.",
    "Free cluster summary wrong (*",
    "  Auto-correcting.",
    /* one copy of the FAT is newer */
    "FATs differ but appear to be intact.",
    "  Using first FAT.",
    /* parts of long names that no entry has */
    "Orphaned long file name part *",
    "Long filename fragment * found outside a LFN sequence.",
    "  (Maybe the start bit is missing on the last fragment)",
    "  Not auto-correcting this.",
    "  Auto-deleting.",
    "Leaving filesystem unchanged.",
    "/*",
};

static bool among(const char *line, const char *const *patterns, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fnmatch(patterns[i], line, 0) == 0)
            return true;
    return false;
}

/* What fsck.fat said last, a line at a time. */
static struct said {
    FILE *stream;
    char line[512];
    char second[512]; /* the name it cuts off */
} said;

static bool said_next(void)
{
    if (!fgets(said.line, sizeof(said.line), said.stream))
        return false;
    said.line[strcspn(said.line, "\n")] = 0;
    return true;
}

static void said_wrong(void)
{
    (void)disk_run("cat %s", disk_fsck_log());
    FAIL("fsck.fat -n says: %s", said.line);
}

/* "/d1/N3  and": the place, whatever spaces are behind it. */
static uint32_t said_place(const char *text)
{
    char path[64];
    size_t length = strlen(text);
    while (length && text[length - 1] == ' ')
        length--;
    for (uint32_t place = 0; place < POWER_PLACES; place++)
        if (strlen(power_path(place, path)) + 1 == length && !memcmp(path, text + 1, length - 1))
            return place;
    said_wrong();
    return 0;
}

static bool had_both(uint32_t one, uint32_t other)
{
    for (uint32_t i = 1; i < FILES; i++) {
        unsigned names = 0;
        for (uint32_t j = 0; j < files[i].count; j++) {
            const struct state *state = &files[i].states[j];
            names |= !state->alive ? 0 : state->place == one ? 1 : state->place == other ? 2 : 0;
        }
        if (names == 3)
            return true;
    }
    return false;
}

/* Both names of a file that was being renamed lead to the same bytes. Other than our mount, fsck.fat does not know which is to go: it
 * leaves the second one empty. */
static void check_shared(void)
{
    said.line[strlen(said.line) - strlen("and")] = 0;
    uint32_t first = said_place(said.line);
    if (!said_next() || !had_both(first, said_place(said.line)))
        said_wrong();
    strcpy(said.second, said.line);
    if (!said_next() || strcmp(said.line, "  share clusters.") || !said_next() ||
        strcmp(said.line, "  Truncating second to 0 bytes."))
        said_wrong();
    if (!said_next() || strcmp(said.line, said.second) || !said_next() ||
        fnmatch("  File size is * bytes, cluster chain length is 0 bytes.", said.line, 0))
        said_wrong();
}

static void check_fsck_says(void)
{
    (void)disk_fsck();
    said.stream = fopen(disk_fsck_log(), "r");
    NEED(said.stream);
    while (said_next())
        if (fnmatch("/* and", said.line, 0) == 0)
            check_shared();
        else if (!among(said.line, harmless, ARRAY_SIZE(harmless)))
            said_wrong();
    fclose(said.stream);
}

static void check_fsck_repairs(void)
{
    if (disk_fsck_repair() > 1)
        FAIL("fsck.fat -a fails");
    if (disk_fsck())
        FAIL("fsck.fat -a leaves something");
    check_mounted(false);
}

/* --- Points --- */

static uint64_t random_state;

static uint64_t random_next(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return random_state >> 16;
}

struct point {
    size_t cut;
    uint64_t order; /* 0: the log's own */
    bool repair;
};

static int points_compare(const void *one, const void *other)
{
    size_t a = ((const struct point *)one)->cut, b = ((const struct point *)other)->cut;
    return a < b ? -1 : a > b;
}

/* Sorted by their cuts. */
static struct point *points_choose(uint32_t count)
{
    struct point *points = calloc(count, sizeof(*points));
    NEED(points);
    for (uint32_t i = 0; i < count; i++) {
        points[i].cut = random_next() % (disk.count + 1);
        points[i].order = random_next() % 4 ? random_next() : 0;
        points[i].repair = i % 4 == 0;
    }
    qsort(points, count, sizeof(*points), points_compare);
    return points;
}

/* What any cut from here on leaves: told to the model, and written to the volume as it was before. */
static void settle(void)
{
    static uint32_t told;
    size_t flushed = disk_flushed(cut);
    while (told < event_count && events[told].at <= cut)
        model_apply(&events[told++].record);
    for (; settled < flushed; settled++)
        if (disk.writes[settled].length)
            memcpy(volume.at + disk.writes[settled].offset, disk.writes[settled].bytes,
                   disk.writes[settled].length);
}

static void check_point(const struct point *point)
{
    cut = point->cut;
    settle();
    disk_replay(volume.at, settled, cut, point->order);
    check_fsck_says();
    check_mounted(true);
    if (!point->repair)
        return;
    disk_replay(volume.at, settled, cut, point->order);
    check_fsck_repairs();
}

int main(int argc, char **argv)
{
    if (argc != 2 && argc != 5)
        return 2;
    disk.quiet = true;
    disk_before = file_load(argv[1]);
    volume = partition(0);
    journal = partition(1);
    disk_record();
    if (argc == 5)
        log_load(argv[2]);
    else
        journal_load();
    disk.recording = false;
    disk_take(volume.at, volume.size);
    uint32_t count = argc == 5 ? (uint32_t)atoi(argv[3]) : 1;
    random_state = argc == 5 ? strtoull(argv[4], NULL, 10) : 0;
    struct point *points = points_choose(count);
    for (uint32_t i = 0; i < count; i++)
        check_point(&points[i]);
    free(points);
    printf("%u points, %zu writes and flushes, %u records: ok\n", count, disk.count, event_count);
    return 0;
}
