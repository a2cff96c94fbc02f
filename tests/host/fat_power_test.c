// sources: tests/host/fat_disk.c lib/fat/attributes.c lib/fat/bits.c lib/fat/boot.c lib/fat/buffer.c lib/fat/call.c lib/fat/chain.c lib/fat/check.c
// sources: lib/fat/commit.c lib/fat/directory.c lib/fat/file.c lib/fat/index.c lib/fat/kept.c lib/fat/name.c lib/fat/names.c
// sources: lib/fat/node.c lib/fat/rename.c lib/fat/repair.c lib/fat/short.c lib/fat/slot.c lib/fat/space.c lib/fat/stamp.c
// sources: lib/fat/table.c lib/fat/volume.c
/* Power cuts. A workload's writes and flushes are recorded, then replayed up to a point, with the writes behind the last flush lost or
 * not, 512 bytes at a time. Then nothing that was synced is missing, no file has bytes that are not its own, a mount puts the volume right,
 * and fsck.fat finds nothing afterwards; or fsck.fat -a puts it right instead of us.
 *
 * What a file has is told by its bytes: its number first, then what follows from it. So a walk knows each file by what is in it. A file is only
 * appended to; one that is written anew has another number.
 */
#include "abi/errors.h"
#include "tests/host/fat_disk.h"
#include "tests/host/test.h"

/* The processes that die leave their memory behind. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return 1;
}

#define FILES   2000u
#define FOLDERS 6
#define NAMES   12
#define EVENTS  4000u
#define HEADER  8u

/* What happened, each with how many records there were then. */
enum what { GREW, NAMED, GONE, SYNCED };
static struct event {
    enum what what;
    size_t at;
    uint32_t file, size;
    int name;
} events[EVENTS];
static uint32_t event_count, file_count;

static struct live {
    uint32_t file; /* 0: none */
    uint32_t size;
} live[FOLDERS][NAMES];
static int folder_place[FOLDERS]; /* in which folder it lies; -1: the root */
static bool passing[FOLDERS];     /* it has a folder that comes and goes */
static uint64_t seed;

static uint32_t below(uint32_t limit)
{
    return (uint32_t)(test_random(&seed) >> 33) % limit;
}

static uint8_t byte_of(uint32_t file, uint32_t at)
{
    if (at < HEADER)
        return (uint8_t)((uint64_t)file << 8 >> at * 8) | (at == 0 ? 0xb7 : 0);
    return (uint8_t)((file * 2654435761u + at * 40503u) >> 11);
}

static void tell(enum what what, uint32_t file, uint32_t size, int name)
{
    CHECK(event_count < EVENTS);
    events[event_count++] = (struct event){what, disk.count, file, size, name};
}

static const char *name_of(int name)
{
    static char text[4][64];
    static unsigned next;
    char *at = text[next++ % 4];
    snprintf(at, 64,
             name % 3 == 0   ? "N%d"
             : name % 3 == 1 ? "name of file %d.data"
                             : "rather a long name, of more than 26 units %d",
             name);
    return at;
}

static struct fat_node *open_folder(int folder)
{
    char text[24];
    struct fat_node *parent, *node;
    if (folder < 0)
        return fat_get(disk.root);
    parent = open_folder(folder_place[folder]);
    snprintf(text, sizeof(text), "dir %d", folder);
    CHECK_EQUAL(fat_lookup(parent, text, strlen(text), &node), 0);
    fat_put(parent);
    return node;
}

/* --- Calls, in which the process may die --- */

static struct call {
    int from, name, to, to_name; /* folders, and names in them */
    const char *text, *to_text;
    uint32_t file, offset, length;
} call;
static uint32_t deaths; /* one in so many calls; 0: none */

/* Carried out once, by whoever is alive then. */
static int64_t carry_out(int64_t (*make)(void))
{
    static volatile uint64_t number = 1;
    number += 2;
    if (sigsetjmp(disk.death, 1)) {
        disk_live();
        disk_restart();
        if (fat_numbered(disk.volume)->number == number)
            return 0;
    }
    if (deaths && below(deaths) == 0) {
        if (below(2))
            disk_die_at_store(1 + below(300));
        else
            disk.die_at = 1 + below(20);
    }
    fat_number(disk.volume, &(struct numbered){.number = number});
    int64_t result = make();
    disk_live();
    return result;
}

static int64_t create_call(void)
{
    struct fat_node *parent = open_folder(call.from), *node;
    int64_t result = fat_create(parent, call.text, strlen(call.text), FAT_ARCHIVE, 0, &node);
    if (result >= 0)
        fat_put(node);
    fat_put(parent);
    return result;
}

static struct fat_node *open_file(void)
{
    struct fat_node *parent = open_folder(call.from), *node;
    CHECK_EQUAL(fat_lookup(parent, call.text, strlen(call.text), &node), 0);
    fat_put(parent);
    return node;
}

static int64_t truncate_call(void)
{
    struct fat_node *node = open_file();
    int64_t result = file_truncate(node, 0);
    fat_put(node);
    return result;
}

static int64_t append_call(void)
{
    static uint8_t bytes[70000];
    struct fat_node *node = open_file();
    for (uint32_t i = 0; i < call.length; i++)
        bytes[i] = byte_of(call.file, call.offset + i);
    file_write(node, call.offset, bytes, call.length);
    fat_put(node);
    return 0;
}

static int64_t unlink_call(void)
{
    struct fat_node *parent = open_folder(call.from);
    int64_t result = fat_unlink(parent, call.text, strlen(call.text));
    fat_put(parent);
    return result;
}

static int64_t rename_call(void)
{
    struct fat_node *from = open_folder(call.from), *to = open_folder(call.to);
    int64_t result =
        fat_rename(from, call.text, strlen(call.text), to, call.to_text, strlen(call.to_text), 0);
    fat_put(from);
    fat_put(to);
    return result;
}

static int64_t mkdir_call(void)
{
    struct fat_node *parent = open_folder(call.from), *node;
    int64_t result = fat_mkdir(parent, call.text, strlen(call.text), 0, &node);
    if (result >= 0)
        fat_put(node);
    fat_put(parent);
    return result;
}

static int64_t rmdir_call(void)
{
    struct fat_node *parent = open_folder(call.from);
    int64_t result = fat_rmdir(parent, call.text, strlen(call.text));
    fat_put(parent);
    return result;
}

/* --- The workload --- */

static void write_one(int folder, int name)
{
    struct live *file = &live[folder][name];
    call = (struct call){.from = folder,
                         .text = name_of(name),
                         .length = HEADER + (below(4) ? below(3000) : below(60000))};
    if (!file->file) {
        CHECK_EQUAL(carry_out(create_call), 0);
    } else if (below(3) == 0 || file->size > 150000) { /* anew */
        CHECK_EQUAL(carry_out(truncate_call), 0);
        tell(GONE, file->file, 0, name);
        file->file = 0;
    }
    if (!file->file) {
        *file = (struct live){.file = ++file_count};
        tell(NAMED, file->file, 0, name);
    }
    call.file = file->file;
    call.offset = file->size;
    CHECK_EQUAL(carry_out(append_call), 0);
    file->size += call.length;
    tell(GREW, file->file, file->size, -1);
}

static void unlink_one(int folder, int name)
{
    struct live *file = &live[folder][name];
    if (!file->file)
        return;
    call = (struct call){.from = folder, .text = name_of(name)};
    tell(GONE, file->file, 0, name);
    CHECK_EQUAL(carry_out(unlink_call), 0);
    file->file = 0;
}

static void rename_one(int from, int name, int to, int to_name)
{
    struct live *source = &live[from][name], *target = &live[to][to_name];
    if (!source->file || source == target)
        return;
    call =
        (struct call){.from = from, .to = to, .text = name_of(name), .to_text = name_of(to_name)};
    if (target->file)
        tell(GONE, target->file, 0, to_name);
    CHECK_EQUAL(carry_out(rename_call), 0);
    tell(NAMED, source->file, 0, to_name);
    *target = *source;
    source->file = 0;
}

static bool lies_in(int folder, int in)
{
    while (folder >= 0 && folder != in)
        folder = folder_place[folder];
    return folder == in;
}

static void move_folder(int folder, int to)
{
    char text[24];
    if (lies_in(to, folder) || folder_place[folder] == to)
        return;
    snprintf(text, sizeof(text), "dir %d", folder);
    call = (struct call){.from = folder_place[folder], .to = to, .text = text, .to_text = text};
    CHECK_EQUAL(carry_out(rename_call), 0);
    folder_place[folder] = to;
}

/* A folder that comes and goes. */
static void come_and_go(int folder)
{
    call = (struct call){.from = folder, .text = "passing by"};
    CHECK_EQUAL(carry_out(passing[folder] ? rmdir_call : mkdir_call), 0);
    passing[folder] = !passing[folder];
}

static void sync_all(void)
{
    CHECK_EQUAL(carry_out(disk_sync), 0);
    files_tidy();
    tell(SYNCED, 0, 0, -1);
}

static int64_t clean_call(void)
{
    int64_t result = disk_sync();
    return result < 0 ? result : fat_clean(disk.volume);
}

static void clean_all(void)
{
    CHECK_EQUAL(carry_out(clean_call), 0);
    files_tidy();
    tell(SYNCED, 0, 0, -1);
}

static void work(uint32_t calls)
{
    event_count = file_count = 0;
    memset(live, 0, sizeof(live));
    memset(passing, 0, sizeof(passing));
    for (int i = 0; i < FOLDERS; i++) {
        char text[24];
        struct fat_node *node;
        snprintf(text, sizeof(text), "dir %d", i);
        folder_place[i] = -1;
        CHECK_EQUAL(fat_mkdir(disk.root, text, strlen(text), 0, &node), 0);
        fat_put(node);
    }
    sync_all();
    for (uint32_t i = 0; i < calls; i++) {
        int folder = (int)below(FOLDERS), name = (int)below(NAMES);
        switch (below(12)) {
        case 0 ... 4:
            write_one(folder, name);
            break;
        case 5:
            unlink_one(folder, name);
            break;
        case 6 ... 8:
            rename_one(folder, name, below(2) ? folder : (int)below(FOLDERS), (int)below(NAMES));
            break;
        case 9:
            move_folder(folder, (int)below(FOLDERS + 1) - 1);
            break;
        case 10:
            come_and_go(folder);
            break;
        default:
            if (below(3) == 0)
                sync_all();
            else if (below(6) == 0)
                clean_all();
        }
    }
}

/* --- What is found after a cut --- */

static struct seen {
    uint32_t count, size;
    int name;
} seen[FILES];
static uint32_t folders_seen;

static void see_file(struct fat_node *node, const char *text)
{
    static uint8_t bytes[300000];
    size_t length = file_read(node, 0, bytes, sizeof(bytes));
    uint32_t file = 0;
    if (!length)
        return;
    CHECK(length >= HEADER);
    memcpy(&file, bytes + 1, sizeof(file));
    if (file < 1 || file > file_count)
        FAIL("%s has %zu bytes of file %u", text, length, file);
    for (uint32_t i = 0; i < length; i++)
        if (bytes[i] != byte_of(file, i))
            FAIL("%s, which is file %u of %zu bytes, has another's byte at %u", text, file, length,
                 i);
    seen[file].count++;
    seen[file].size = (uint32_t)length;
    for (int name = 0; name < NAMES; name++)
        if (!strcmp(name_of(name), text))
            seen[file].name = name;
}

static void see_folder(struct fat_node *folder)
{
    struct fat_entry entry;
    for (uint32_t position = 0; fat_list(folder, position, &entry) > 0; position = entry.next) {
        struct fat_node *node;
        CHECK_EQUAL(fat_lookup(folder, entry.name, entry.length, &node), 0);
        if (fat_is_directory(node)) {
            folders_seen++;
            see_folder(node);
        } else {
            see_file(node, entry.name);
        }
        fat_put(node);
    }
    files_drop();
}

/* Between the last sync and the cut a file had these sizes and names; whether it was there all the time. */
static void check_file(uint32_t file, size_t cut)
{
    bool synced = false, always = false, size_right = !seen[file].count, name_right = size_right,
         ever = false;
    uint32_t size = 0;
    int name = -1;
    bool alive = false;
    for (uint32_t i = 0; i < event_count && events[i].at <= cut; i++) {
        const struct event *event = &events[i];
        if (event->what == SYNCED) { /* all before is as it was then, and nothing else */
            synced = true;
            ever = always = alive && size;
            size_right = !seen[file].count || (alive && seen[file].size == size);
            name_right = !seen[file].count || (alive && seen[file].name == name);
        }
        if (event->what == SYNCED || event->file != file)
            continue;
        if (event->what == GREW)
            size = event->size;
        if (event->what == NAMED)
            name = event->name, alive = true;
        if (event->what == GONE)
            always = alive = false;
        ever = true;
        size_right |= seen[file].size == size;
        name_right |= seen[file].name == name;
    }
    if (!synced)
        return;
    if (seen[file].count > 1 || (seen[file].count && !ever))
        FAIL("file %u is there %u times", file, seen[file].count);
    if (always && !seen[file].count)
        FAIL("file %u is missing", file);
    if (!size_right)
        FAIL("file %u has %u bytes", file, seen[file].size);
    if (!name_right)
        FAIL("file %u has name %d", file, seen[file].name);
}

static void check_cut(size_t cut)
{
    memset(seen, 0, sizeof(seen));
    folders_seen = 0;
    disk_lose_kept();
    disk_mount();
    struct fat_statfs about;
    CHECK_EQUAL(fat_statfs(disk.volume, &about), 0);
    CHECK(!about.read_only);
    see_folder(disk.root);
    disk_unmount();
    for (uint32_t file = 1; file <= file_count; file++)
        check_file(file, cut);
    CHECK(events[0].at > cut || folders_seen >= FOLDERS);
    CHECK_EQUAL(disk_fsck(), 0);
}

static uint8_t *copy_of(const uint8_t *from)
{
    uint8_t *to = malloc(disk.size);
    memcpy(to, from, disk.size);
    return to;
}

static void cut_points(const char *options, uint32_t kib, uint32_t workloads, uint32_t points)
{
    const char *round = getenv("SOAK_ROUND");
    seed = 77 + (round ? strtoull(round, NULL, 10) : 0) * 1000;
    points *= round ? 4 : 1;
    disk.quiet = true;
    for (uint32_t i = 0; i < workloads; i++) {
        disk_make(options, kib);
        uint8_t *base = copy_of(disk.bytes);
        disk_mount();
        disk_record();
        work(150);
        disk.recording = false;
        disk_unmount();
        size_t count = disk.count;
        for (uint32_t point = 0; point < points; point++) {
            size_t cut = below((uint32_t)count + 1);
            uint64_t order = below(4) ? test_random(&seed) : 0;
            disk_replay(base, 0, cut, order);
            if (below(4) == 0) {
                for (int again = 0; again < 3;
                     again++) /* a directory that is there twice takes it three rounds */
                    CHECK(disk_fsck_repair() <= 1);
                CHECK_EQUAL(disk_fsck(), 0);
                disk_replay(base, 0, cut, order);
            }
            check_cut(cut);
        }
        free(base);
        disk_forget();
    }
    disk.quiet = false;
}

TEST(fat32)
{
    cut_points("-F 32 -s 1", 3 << 10, 5, 24);
}

TEST(fat16)
{
    cut_points("-F 16 -s 2", 6 << 10, 5, 20);
}

TEST(fat12)
{
    cut_points("-F 12 -s 4", 6 << 10, 5, 20);
}

TEST(process_dies)
{
    deaths = 12;
    cut_points("-F 32 -s 1", 3 << 10, 10, 24);
    cut_points("-F 12 -s 4", 6 << 10, 5, 20);
    deaths = 0;
}
