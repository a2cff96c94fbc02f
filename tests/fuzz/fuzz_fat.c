// sources: lib/fat/attributes.c lib/fat/bits.c lib/fat/boot.c lib/fat/buffer.c lib/fat/call.c lib/fat/chain.c lib/fat/check.c
// sources: lib/fat/commit.c lib/fat/directory.c lib/fat/file.c lib/fat/index.c lib/fat/kept.c lib/fat/name.c lib/fat/names.c
// sources: lib/fat/node.c lib/fat/rename.c lib/fat/repair.c lib/fat/short.c lib/fat/slot.c lib/fat/space.c lib/fat/stamp.c
// sources: lib/fat/table.c lib/fat/volume.c
/* A small volume with some files, places of it changed, is mounted, looked through and changed. The input: which volume, how many changes, where and
 * what (4 bytes each); then calls, two bytes and what they need. No access outside the device, no end that is not reached. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "abi/errors.h"
#include "lib/fat/fat.h"
#include "lib/fat/format.h"
#include "tests/fuzz/input.h"

#define DISK    (2304u << 10) /* of the largest */
#define PIECE   4096u         /* of a disk: what was written is brought back by these */
#define VOLUMES 5
#define DEPTH   6
#define KEPT    ((size_t)512 << 10) /* enough for most: a mount looks at all of it */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static const struct shape {
    uint32_t size; /* bytes of the disk */
    uint16_t sector_size, table_sectors, root_entries;
    uint8_t cluster_sectors, bits;
} shapes[VOLUMES] = {
    {.size = 160u << 10,
     .sector_size = 512,
     .table_sectors = 2,
     .root_entries = 64,
     .cluster_sectors = 2,
     .bits = 12},
    {.size = 160u << 10,
     .sector_size = 512,
     .table_sectors = 2,
     .root_entries = 64,
     .cluster_sectors = 1,
     .bits = 12},
    {.size = 160u << 10, .sector_size = 512, .table_sectors = 4, .cluster_sectors = 1, .bits = 32},
    {.size = 160u << 10, .sector_size = 1024, .table_sectors = 4, .cluster_sectors = 1, .bits = 32},
    {.size = DISK,
     .sector_size = 512,
     .table_sectors = 18,
     .root_entries = 64,
     .cluster_sectors = 1,
     .bits = 16},
};

/* Of each volume what it is at first, and what became of it in this run; which pieces are to be brought back. */
static uint8_t bases[VOLUMES][DISK], disks[VOLUMES][DISK];
static uint8_t touched[DISK / PIECE];
static const struct shape *shape;
static uint8_t *disk;
static void *kept;
static struct fat_volume *volume;
static uint32_t steps; /* entries and runs seen: a walk ends */

static void touch(uint64_t offset, size_t length)
{
    for (uint64_t at = offset / PIECE; at * PIECE < offset + length; at++)
        touched[at] = 1;
}

static void disk_take(unsigned which)
{
    shape = &shapes[which];
    disk = disks[which];
}

static void disk_restore(void)
{
    for (size_t i = 0; i < shape->size / PIECE; i++) {
        if (touched[i])
            memcpy(disk + i * PIECE, bases[shape - shapes] + i * PIECE, PIECE);
        touched[i] = 0;
    }
}

static void check_place(uint64_t offset, size_t length)
{
    if (offset % 512 || length % 512 || offset > shape->size || length > shape->size - offset)
        abort();
}

static int64_t device_read(void *context, uint64_t offset, void *bytes, size_t length)
{
    (void)context;
    check_place(offset, length);
    memcpy(bytes, disk + offset, length);
    return 0;
}

static int64_t device_write(void *context, uint64_t offset, const void *bytes, size_t length)
{
    (void)context;
    check_place(offset, length);
    touch(offset, length);
    memcpy(disk + offset, bytes, length);
    return 0;
}

static int64_t device_flush(void *context)
{
    (void)context;
    return 0;
}

static int64_t write_back(void *context, struct fat_node *node)
{
    static uint8_t bytes[4096];
    (void)context;
    for (uint64_t at = 0; at < fat_size(node) && steps++ < 4096;) {
        struct fat_run run;
        int64_t result = fat_map_write(node, at, sizeof(bytes), &run);
        if (result < 0)
            return result;
        uint64_t piece = run.length;
        (void)device_write(NULL, run.device, bytes, piece);
        if (fat_wrote(node, at, piece) < 0)
            return -E_IO;
        at += piece;
    }
    return 0;
}

static void message(void *context, const char *text)
{
    (void)context;
    if (strlen(text) > 200)
        abort();
}

static int64_t mount(bool read_only)
{
    const struct fat_config config = {.read = device_read,
                                      .write = device_write,
                                      .flush = device_flush,
                                      .write_back = write_back,
                                      .message = message,
                                      .size = shape->size,
                                      .block_size = 512,
                                      .read_only = read_only};
    int64_t result = -E_INVALID;
    if (!kept)
        kept = mmap(NULL, FAT_KEPT_MIN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (kept == MAP_FAILED)
        abort();
    for (size_t length = KEPT; result == -E_INVALID && length <= FAT_KEPT_MIN; length *= 8) {
        memset(kept, 0, sizeof(uint64_t)); /* nobody's */
        result = fat_mount(&config, kept, length, &volume);
    }
    return result;
}

/* --- The volumes --- */

static void format(uint8_t *bytes)
{
    struct boot_sector *boot = (struct boot_sector *)(void *)bytes;
    bool fat32 = shape->bits == 32;
    boot->sector_size = shape->sector_size;
    boot->cluster_sectors = shape->cluster_sectors;
    boot->reserved_sectors = fat32 ? 8 : 1;
    boot->tables = 2;
    boot->root_entries = shape->root_entries;
    boot->sectors32 = shape->size / shape->sector_size;
    boot->signature = BOOT_SIGNATURE;
    if (fat32) {
        boot->table_sectors32 = shape->table_sectors;
        boot->root_cluster = 2;
        boot->info_sector = 1;
        boot->backup_sector = 6;
        struct info_sector *info = (struct info_sector *)(void *)(bytes + boot->sector_size);
        *info = (struct info_sector){
            .lead = INFO_LEAD, .signature = INFO_SIGNATURE, .trail = INFO_TRAIL};
        memcpy(bytes + 6 * boot->sector_size, bytes, 512);
    } else {
        boot->table_sectors16 = shape->table_sectors;
    }
    for (unsigned i = 0; i < 2; i++)
        memset(bytes + (boot->reserved_sectors + i * shape->table_sectors) * boot->sector_size,
               0xff, (fat32 ? 3 : 2) * shape->bits / 8);
}

static struct fat_node *put_file(struct fat_node *folder, const char *name, uint32_t size)
{
    struct fat_node *node = NULL;
    if (fat_create(folder, name, strlen(name), 0, 0, &node) < 0 || fat_resize(node, size, 0) < 0)
        abort();
    return node;
}

static void prepare(void)
{
    for (unsigned i = 0; i < VOLUMES; i++) {
        struct fat_node *root, *folder, *inner;
        disk_take(i);
        format(disk);
        if (mount(false) < 0)
            abort();
        root = fat_root(volume);
        fat_put(put_file(root, "A.TXT", 700));
        if (fat_mkdir(root, "a folder", 8, 0, &folder) < 0 ||
            fat_mkdir(folder, "inner", 5, 0, &inner) < 0)
            abort();
        fat_put(put_file(folder, "a rather long name of a file.data", 3000));
        fat_put(put_file(inner, "\xc3\xa4", 10000));
        fat_put(inner);
        fat_put(folder);
        fat_put(root);
        if (fat_unmount(volume) < 0)
            abort();
        memcpy(bases[i], disk, DISK);
        disk_restore();
    }
}

/* --- What is wrong with them --- */

static void put16(uint32_t at, uint16_t value)
{
    at = MIN(at, shape->size - (uint32_t)sizeof(value));
    touch(at, sizeof(value));
    memcpy(disk + at, &value, sizeof(value));
}

/* An entry of one copy of the table, or of both. Small numbers are clusters there are, large ones the table's own. */
static void change_table(uint8_t which, uint8_t copies, uint8_t value)
{
    uint32_t start = shape->bits == 32 ? 8 : 1;
    uint32_t at = start * shape->sector_size + which * shape->bits / 8u;
    uint16_t word = value < 0xf0 ? value : (uint16_t)(0xff00 | value);
    for (unsigned i = 0; i < 2; i++, at += (uint32_t)shape->table_sectors * shape->sector_size) {
        if (!(copies & 1 << i))
            continue;
        put16(at, word);
        if (shape->bits == 32)
            put16(at + 2, value < 0xf0 ? 0 : 0x0fff);
    }
}

/* A word of a slot: where names, sizes and first clusters lie. */
static void change_slot(uint8_t which, uint8_t field, uint8_t value)
{
    uint32_t tables = (shape->bits == 32 ? 8u : 1u) + 2u * shape->table_sectors;
    put16(tables * shape->sector_size + which * SLOT_SIZE + field % (SLOT_SIZE - 1),
          field & 0x80 ? (uint16_t)(value << 8) : value);
}

/* Every other change is a byte anywhere in front; those between have a place and a meaning. */
static void spoil(struct input *input)
{
    for (unsigned count = next_byte(input) % 64; count; count--) {
        uint8_t a = next_byte(input), b = next_byte(input), c = next_byte(input);
        uint8_t value = next_byte(input);
        if (count % 2 == 0) {
            uint32_t at = ((uint32_t)a | (uint32_t)b << 8) % 16384;
            touch(at, 1);
            disk[at] = value;
        } else if (a % 4 == 0) {
            change_table(b, c, value);
        } else if (a % 4 == 3) {
            put16(b % 128, (uint16_t)(c << 8 | value));
        } else {
            change_slot(b, c, value);
        }
    }
}

/* --- What is done with them --- */

static void look(struct fat_node *folder, unsigned depth)
{
    struct fat_entry entry;
    for (uint32_t position = 0; steps++ < 2000 && fat_list(folder, position, &entry) > 0;
         position = entry.next) {
        struct fat_node *node;
        struct fat_stat stat;
        struct fat_run run;
        if (!entry.length || entry.length > FAT_NAME_MAX || memchr(entry.name, '/', entry.length) ||
            entry.next <= position)
            abort();
        if (fat_lookup(folder, entry.name, entry.length, &node) < 0)
            continue;
        (void)!fat_stat(node, &stat);
        for (uint64_t at = 0; fat_map(node, at, FAT_FILE_MAX, &run) >= 0 && steps++ < 2000;
             at += run.length)
            if (!run.length || (run.device != FAT_ZEROS && run.device + run.length > shape->size))
                abort();
        if (fat_is_directory(node) && depth < DEPTH)
            look(node, depth + 1);
        fat_put(node);
    }
}

static struct fat_node *any_folder(struct fat_node *root, struct input *input)
{
    static const char *const names[] = {"a folder", "inner", "new", "A.TXT"};
    struct fat_node *node = fat_get(root), *inner;
    for (uint8_t which = next_byte(input); which % 8 < 4; which /= 8) {
        if (fat_lookup(node, names[which % 4], strlen(names[which % 4]), &inner) < 0)
            break;
        fat_put(node);
        node = inner;
        if (which < 8)
            break;
    }
    return node;
}

static size_t any_name(struct input *input, char *name)
{
    static const char *const names[] = {"A.TXT",
                                        "new",
                                        "a rather long name of a file.data",
                                        "ARATHE~1.DAT",
                                        "inner",
                                        "\xc3\x84",
                                        "x",
                                        "some other name"};
    uint8_t which = next_byte(input);
    size_t length = which & 31;
    if (which < 128) {
        strcpy(name, names[which % ARRAY_SIZE(names)]);
        return strlen(name);
    }
    for (size_t i = 0; i < length; i++)
        name[i] = (char)next_byte(input);
    return length;
}

static void change(struct fat_node *root, struct input *input)
{
    struct fat_node *folder = any_folder(root, input), *to, *node = NULL;
    char name[64], to_name[64];
    size_t length = any_name(input, name), to_length;
    switch (next_byte(input) % 8) {
    case 0:
        if (fat_create(folder, name, length, 0, 0, &node) >= 0)
            fat_put(node);
        break;
    case 1:
        if (fat_mkdir(folder, name, length, 0, &node) >= 0)
            fat_put(node);
        break;
    case 2:
        (void)!fat_unlink(folder, name, length);
        break;
    case 3:
        (void)!fat_rmdir(folder, name, length);
        break;
    case 4:
        to = any_folder(root, input);
        to_length = any_name(input, to_name);
        (void)!fat_rename(folder, name, length, to, to_name, to_length, 0);
        fat_put(to);
        break;
    case 5:
        if (fat_lookup(folder, name, length, &node) >= 0) {
            uint32_t size = (uint32_t)next_byte(input) << 9;
            (void)!fat_resize(node, size, 0);
            (void)!fat_wrote(node, 512u * next_byte(input), 512);
            fat_put(node);
        }
        break;
    case 6:
        if (fat_lookup(folder, name, length, &node) >= 0) {
            (void)!fat_set_times(node, 0, 0, (int64_t)next_byte(input) << 55);
            (void)!fat_set_attributes(node, next_byte(input), next_byte(input));
            fat_put(node);
        }
        break;
    default:
        (void)!fat_sync(volume);
    }
    fat_put(folder);
}

static void use(struct input *input)
{
    struct fat_statfs about;
    struct fat_node *root = fat_root(volume);
    steps = 0;
    look(root, 0);
    for (unsigned i = 0; input->at < input->end && i < 64; i++)
        change(root, input);
    steps = 0;
    look(root, 0);
    (void)!fat_statfs(volume, &about);
    fat_put(root);
    (void)fat_unmount(volume);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    static bool prepared;
    struct input input = {data, data + length};
    if (!prepared)
        prepare();
    prepared = true;
    disk_take(next_byte(&input) % VOLUMES);
    spoil(&input);
    if (mount(false) >= 0)
        use(&input);
    if (mount(true) >= 0)
        use(&input);
    disk_restore();
    return 0;
}
