// sources: tests/host/fat_disk.c lib/fat/attributes.c lib/fat/bits.c lib/fat/boot.c lib/fat/buffer.c lib/fat/call.c lib/fat/chain.c lib/fat/check.c
// sources: lib/fat/commit.c lib/fat/directory.c lib/fat/file.c lib/fat/index.c lib/fat/kept.c lib/fat/name.c lib/fat/names.c
// sources: lib/fat/node.c lib/fat/rename.c lib/fat/repair.c lib/fat/short.c lib/fat/slot.c lib/fat/space.c lib/fat/stamp.c
// sources: lib/fat/table.c lib/fat/volume.c
/* Random calls beside a model of plain arrays; the process dies in the middle of some, in front of a store to kept memory or in a call of the
 * device, and then the call is done or not done, nothing else. fsck.fat at points. */
#include "abi/errors.h"
#include "tests/host/fat_disk.h"
#include "tests/host/test.h"

/* The processes that die leave their memory behind. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return 1;
}

#define THINGS    400
#define SIZE_MAX_ 40000u
#define DEPTH     4
#define HELD      8

static const char *const spellings[][2] = {
    {"a", "A"},
    {"README.TXT", "readme.txt"},
    {"lower.c", "LOWER.C"},
    {"a name that is rather long.html", "A Name That Is Rather Long.html"},
    {"a name that is rather long.htm", "a NAME that is rather long.HTM"},
    {"A NAME~1.HTM", "a name~1.htm"},
    {"\xc3\xa4rger", "\xc3\x84RGER"},
    {"\xce\xb1\xce\xb2\xce\xb3 \xf0\x9f\x98\x80", "\xce\x91\xce\x92\xce\x93 \xf0\x9f\x98\x80"},
    {".hidden", ".HIDDEN"},
    {"x.y.z", "X.Y.Z"},
    {"thirteenunits", "THIRTEENUNITS"},
    {"name+with,signs;=[]", "NAME+with,signs;=[]"},
    {"12345678.123", "12345678.123"},
    {"a space", "A SPACE"},
};
#define NAMES ((int)ARRAY_SIZE(spellings))

struct thing {
    bool used, folder;
    int parent; /* -1: the root; -2: it has no name any more */
    int name, spelling;
    uint32_t size;
    uint8_t *bytes;
};

static struct thing things[THINGS];
static struct {
    int thing;
    uint64_t id;
    struct fat_node *node;
} held[HELD];
static uint64_t seed;
static bool tight; /* the volume is small: E_NO_SPACE may be */

static uint32_t below(uint32_t limit)
{
    return (uint32_t)(test_random(&seed) >> 33) % limit;
}

static int find(int parent, int name)
{
    for (int i = 0; i < THINGS; i++)
        if (things[i].used && things[i].parent == parent && things[i].name == name)
            return i;
    return -1;
}

static int any(bool folder)
{
    int from = (int)below(THINGS);
    for (int i = 0; i < THINGS; i++) {
        const struct thing *thing = &things[(from + i) % THINGS];
        if (thing->used && thing->folder == folder && thing->parent != -2)
            return (from + i) % THINGS;
    }
    return -1;
}

static int any_folder(void)
{
    return below(3) ? any(true) : -1;
}

static int depth(int thing)
{
    return thing < 0 ? 0 : 1 + depth(things[thing].parent);
}

static bool lies_in(int thing, int folder)
{
    while (thing >= 0 && thing != folder)
        thing = things[thing].parent;
    return thing == folder;
}

static bool empty(int folder)
{
    for (int i = 0; i < THINGS; i++)
        if (things[i].used && things[i].parent == folder)
            return false;
    return true;
}

static int fresh(void)
{
    for (int i = 0; i < THINGS; i++)
        if (!things[i].used) {
            memset(&things[i], 0, sizeof(things[i]));
            return i;
        }
    return -1;
}

static struct fat_node *open_thing(int thing)
{
    struct fat_node *node, *parent;
    if (thing < 0)
        return fat_get(disk.root);
    parent = open_thing(things[thing].parent);
    const char *name = spellings[things[thing].name][below(2)];
    CHECK_EQUAL(fat_lookup(parent, name, strlen(name), &node), 0);
    CHECK_EQUAL(fat_is_directory(node), things[thing].folder);
    fat_put(parent);
    return node;
}

/* --- Calls, as many times as it takes --- */

static struct call {
    int kind;
    int folder, to;
    int thing; /* the one that is written */
    const char *name, *to_name;
    uint64_t offset;
    uint32_t length;
} call;
enum { CREATE, MKDIR, UNLINK, RMDIR, RENAME, WRITE, TRUNCATE };

static uint8_t bytes[SIZE_MAX_ + 1];

static int64_t call_once(void)
{
    struct fat_node *folder = open_thing(call.folder), *node = NULL, *to;
    int64_t result;
    size_t length = strlen(call.name ? call.name : "");
    switch (call.kind) {
    case CREATE:
        result = fat_create(folder, call.name, length, FAT_ARCHIVE, 0, &node);
        break;
    case MKDIR:
        result = fat_mkdir(folder, call.name, length, 0, &node);
        break;
    case UNLINK:
        result = fat_unlink(folder, call.name, length);
        break;
    case RMDIR:
        result = fat_rmdir(folder, call.name, length);
        break;
    case RENAME:
        to = open_thing(call.to);
        result = fat_rename(folder, call.name, length, to, call.to_name, strlen(call.to_name), 0);
        fat_put(to);
        break;
    default:
        node = call.folder == -1 && call.thing < 0 ? fat_get(held[-1 - call.thing].node)
                                                   : open_thing(call.thing);
        result = call.kind == WRITE ? file_try_write(node, call.offset, bytes, call.length)
                                    : file_truncate(node, call.offset);
    }
    if (result >= 0 || call.kind >= WRITE)
        fat_put(node);
    fat_put(folder);
    return result;
}

static void reopen_held(void)
{
    for (int i = 0; i < HELD; i++)
        if (held[i].node) {
            held[i].node = disk_inherited(held[i].id);
            CHECK(held[i].node);
        }
}

/* *died: the result says nothing. */
static int64_t call_all(bool *died)
{
    *died = false;
    if (below(150))
        return call_once();
    if (sigsetjmp(disk.death, 1)) {
        disk_live();
        disk_restart();
        reopen_held();
        *died = true;
        return 0;
    }
    if (below(4))
        disk_die_at_store(1 + below(300));
    else
        disk.die_at = 1 + below(12);
    int64_t result = call_once();
    if (below(2) && disk_sync() < 0)
        FAIL("a sync fails");
    disk_live();
    return result;
}

static bool there(int folder, const char *name, bool *is_folder)
{
    struct fat_node *parent = open_thing(folder), *node;
    int64_t result = fat_lookup(parent, name, strlen(name), &node);
    if (result >= 0) {
        *is_folder = fat_is_directory(node);
        fat_put(node);
    }
    fat_put(parent);
    return result >= 0;
}

static void make_one(bool folder)
{
    int parent = any_folder(), name = (int)below((uint32_t)NAMES), spelling = (int)below(2);
    int taken = find(parent, name), made = fresh();
    bool died, is_folder;
    if (made < 0 || depth(parent) >= DEPTH)
        return;
    call = (struct call){
        .kind = folder ? MKDIR : CREATE, .folder = parent, .name = spellings[name][spelling]};
    int64_t result = call_all(&died);
    if (died && taken < 0)
        result = there(parent, call.name, &is_folder) ? 0 : -E_NO_SPACE;
    else if (died)
        result = -E_EXISTS;
    if (result == -E_NO_SPACE && (died || tight))
        return;
    CHECK_EQUAL(result, taken >= 0 ? -E_EXISTS : 0);
    if (taken >= 0)
        return;
    things[made] = (struct thing){
        .used = true, .folder = folder, .parent = parent, .name = name, .spelling = spelling};
}

static void forget(int thing)
{
    for (int i = 0; i < HELD; i++)
        if (held[i].node && held[i].thing == thing) {
            things[thing].parent = -2;
            return;
        }
    free(things[thing].bytes);
    things[thing].used = false;
}

static void remove_one(void)
{
    bool folder = below(4) == 0, died, is_folder;
    int parent = any_folder(), name = (int)below((uint32_t)NAMES), thing = find(parent, name);
    int64_t want = thing < 0                         ? -E_NOT_FOUND
                   : folder && !things[thing].folder ? -E_NOT_DIRECTORY
                   : !folder && things[thing].folder ? -E_IS_DIRECTORY
                   : folder && !empty(thing)         ? -E_NOT_EMPTY
                                                     : 0;
    call = (struct call){
        .kind = folder ? RMDIR : UNLINK, .folder = parent, .name = spellings[name][below(2)]};
    int64_t result = call_all(&died);
    if (died && (want || there(parent, call.name, &is_folder)))
        return;
    CHECK_EQUAL(result, want);
    if (!want)
        forget(thing);
}

static void rename_one(void)
{
    int from = any_folder(), to = any_folder(), name = (int)below((uint32_t)NAMES),
        to_name = (int)below((uint32_t)NAMES);
    int spelling = (int)below(2), thing = find(from, name), target = find(to, to_name);
    bool died, is_folder;
    int64_t want = 0;
    if (thing < 0)
        want = -E_NOT_FOUND;
    else if (things[thing].folder && lies_in(to, thing))
        want = -E_INVALID;
    else if (target >= 0 && target != thing && things[thing].folder != things[target].folder)
        want = things[thing].folder ? -E_NOT_DIRECTORY : -E_IS_DIRECTORY;
    else if (target >= 0 && target != thing && things[target].folder &&
             (lies_in(from, target) || !empty(target)))
        want = -E_NOT_EMPTY;
    if (!want && things[thing].folder && depth(to) >= DEPTH - 1)
        return;
    call = (struct call){.kind = RENAME,
                         .folder = from,
                         .to = to,
                         .name = spellings[name][below(2)],
                         .to_name = spellings[to_name][spelling]};
    int64_t result = call_all(&died);
    if (died && (want || (thing != target && there(from, call.name, &is_folder))))
        return;
    if (died && thing == target)
        things[thing].spelling = -1;
    if (result == -E_NO_SPACE && tight)
        return;
    CHECK_EQUAL(result, want);
    if (want)
        return;
    if (target >= 0 && target != thing)
        spelling = things[target].spelling, forget(target);
    things[thing].parent = to;
    things[thing].name = to_name;
    things[thing].spelling = died && thing == target ? -1 : spelling;
}

static void resize(struct thing *thing, uint32_t size)
{
    thing->bytes = realloc(thing->bytes, size + 1);
    if (size > thing->size)
        memset(thing->bytes + thing->size, 0, size - thing->size);
    thing->size = size;
}

static void check_bytes(struct fat_node *node, const struct thing *thing)
{
    CHECK_EQUAL(fat_size(node), thing->size);
    CHECK_EQUAL(file_read(node, 0, bytes, sizeof(bytes)), thing->size);
    CHECK(!thing->size || !memcmp(bytes, thing->bytes, thing->size));
}

static void write_one(void)
{
    int thing = any(false), which = (int)below(HELD);
    bool died;
    call = (struct call){.kind = below(4) ? WRITE : TRUNCATE,
                         .folder = -1,
                         .offset = below(SIZE_MAX_),
                         .length = 1 + below(2000)};
    if (below(3) == 0 && held[which].node) {
        call.thing = -1 - which;
        thing = held[which].thing;
    } else if (thing < 0) {
        return;
    } else {
        call.thing = thing;
    }
    if (call.kind == WRITE && below(2))
        call.offset = things[thing].size;
    if (call.kind == TRUNCATE && below(3) == 0)
        call.offset = 0;
    if (call.offset + call.length > SIZE_MAX_)
        return;
    memset(bytes, 1 + (int)below(255), call.length);
    int64_t result = call_all(&died);
    if (died) /* once more: it is the same */
        result = call_once();
    if (result == -E_NO_SPACE && tight)
        return;
    CHECK_EQUAL(result, 0);
    uint64_t end =
        call.kind == WRITE ? MAX(call.offset + call.length, things[thing].size) : call.offset;
    resize(&things[thing], (uint32_t)end);
    if (call.kind == WRITE)
        memcpy(things[thing].bytes + call.offset, bytes, call.length);
}

static void hold_one(void)
{
    int which = (int)below(HELD), thing = any(false);
    if (held[which].node) {
        int was = held[which].thing;
        fat_put(held[which].node);
        held[which].node = NULL;
        if (things[was].parent == -2)
            forget(was);
        return;
    }
    if (thing < 0)
        return;
    held[which].thing = thing;
    held[which].node = open_thing(thing);
    held[which].id = fat_id(held[which].node);
    check_bytes(held[which].node, &things[thing]); /* its cache is what finds it again */
}

/* spelling -1: either, as the process died while it was changed. */
static bool is_spelled(const struct thing *thing, const char *name)
{
    for (int i = 0; i < 2; i++)
        if ((thing->spelling < 0 || thing->spelling == i) &&
            !strcmp(spellings[thing->name][i], name))
            return true;
    return false;
}

static void check_folder(int folder)
{
    struct fat_node *node = open_thing(folder);
    struct fat_entry entry;
    int count = 0, want = 0;
    for (uint32_t position = 0; fat_list(node, position, &entry) > 0;
         position = entry.next, count++) {
        int thing = -1;
        for (int i = 0; i < THINGS && thing < 0; i++)
            if (things[i].used && things[i].parent == folder && is_spelled(&things[i], entry.name))
                thing = i;
        if (thing < 0)
            FAIL("%s is listed", entry.name);
        CHECK_EQUAL(!!(entry.attributes & FAT_DIRECTORY), things[thing].folder);
    }
    for (int i = 0; i < THINGS; i++)
        want += things[i].used && things[i].parent == folder;
    CHECK_EQUAL(count, want);
    fat_put(node);
}

static void check_all(void)
{
    check_folder(-1);
    for (int i = 0; i < THINGS; i++) {
        if (!things[i].used || things[i].parent == -2)
            continue;
        if (things[i].folder) {
            check_folder(i);
            continue;
        }
        struct fat_node *node = open_thing(i);
        check_bytes(node, &things[i]);
        fat_put(node);
    }
}

static void remount(void)
{
    for (int i = 0; i < HELD; i++)
        if (held[i].node) {
            fat_put(held[i].node);
            held[i].node = NULL;
            if (things[held[i].thing].parent == -2)
                forget(held[i].thing);
        }
    disk_unmount();
    CHECK_EQUAL(disk_fsck(), 0);
    disk_mount();
    check_all();
}

static void run(const char *options, uint32_t kib, uint32_t calls, uint64_t with)
{
    const char *round = getenv("SOAK_ROUND");
    seed = with + (round ? strtoull(round, NULL, 10) * 100 : 0);
    memset(things, 0, sizeof(things));
    memset(held, 0, sizeof(held));
    disk_make(options, kib);
    disk_mount();
    for (uint32_t i = 0; i < calls; i++) {
        switch (below(16)) {
        case 0 ... 2:
            make_one(false);
            break;
        case 3:
            make_one(true);
            break;
        case 4 ... 5:
            remove_one();
            break;
        case 6 ... 7:
            rename_one();
            break;
        case 8:
            hold_one();
            break;
        case 9:
            if (below(8) == 0) {
                CHECK_EQUAL(disk_sync(), 0);
                files_tidy();
                for (int h = 0; h < HELD; h++) /* a cache is what finds them after a death */
                    if (held[h].node)
                        check_bytes(held[h].node, &things[held[h].thing]);
            }
            break;
        case 10:
            check_folder(any_folder());
            break;
        default:
            write_one();
        }
        if (i % (calls / 8) == calls / 8 - 1)
            remount();
    }
    disk_unmount();
}

TEST(fat32)
{
    run("-F 32 -s 1", 40 << 10, 60000, 1);
}

TEST(fat16)
{
    run("-F 16 -s 4", 20 << 10, 25000, 2);
}

TEST(fat12_that_is_full)
{
    tight = true;
    run("-F 12", 720, 15000, 3);
    tight = false;
}

static uint32_t entries_on_disk(const char *short_name)
{
    uint32_t count = 0;
    for (const uint8_t *at = disk.bytes; at < disk.bytes + disk.size; at += 32)
        count += memcmp(at, short_name, 11) == 0;
    return count;
}

/* The platter has a name that has left until the new one is there: who comes back knows of it, and gives it to nobody before it is gone. */
TEST(names_that_are_gone_are_known_to_the_next)
{
    struct fat_node *node;
    disk_make("-F 16 -s 1", 10 << 10);
    disk_mount();
    CHECK_EQUAL(fat_create(disk.root, "A", 1, FAT_ARCHIVE, 0, &node), 0);
    fat_put(node);
    CHECK_EQUAL(disk_sync(), 0);
    CHECK_EQUAL(fat_rename(disk.root, "A", 1, disk.root, "B", 1, 0), 0);
    CHECK_EQUAL(entries_on_disk("A          "), 1);
    disk_restart();
    CHECK_EQUAL(fat_create(disk.root, "A", 1, FAT_ARCHIVE, 0, &node), 0);
    fat_put(node);
    CHECK_EQUAL(entries_on_disk("A          "), 0);
    CHECK_EQUAL(entries_on_disk("B          "), 1);
    CHECK_EQUAL(disk_sync(), 0);
    CHECK_EQUAL(entries_on_disk("A          "), 1);
    disk_unmount();
    CHECK_EQUAL(disk_fsck(), 0);
}
