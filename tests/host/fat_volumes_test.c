// sources: tests/host/fat_disk.c lib/fat/attributes.c lib/fat/bits.c lib/fat/boot.c lib/fat/buffer.c lib/fat/call.c lib/fat/chain.c lib/fat/check.c
// sources: lib/fat/commit.c lib/fat/directory.c lib/fat/file.c lib/fat/index.c lib/fat/kept.c lib/fat/name.c lib/fat/names.c
// sources: lib/fat/node.c lib/fat/rename.c lib/fat/repair.c lib/fat/short.c lib/fat/slot.c lib/fat/space.c lib/fat/stamp.c
// sources: lib/fat/table.c lib/fat/volume.c
/* Volumes of every shape that mkfs.fat makes: what mtools wrote is read, what we wrote is read by mtools, and fsck.fat finds nothing. */
#include "abi/errors.h"
#include "tests/host/fat_disk.h"
#include "tests/host/test.h"

#define WHEN INT64_C(1700000000000000000) /* 2023-11-14 22:13:20 */

static struct fat_node *create(struct fat_node *directory, const char *name)
{
    struct fat_node *node;
    CHECK_EQUAL(fat_create(directory, name, strlen(name), FAT_ARCHIVE, WHEN, &node), 0);
    return node;
}

static struct fat_node *make(struct fat_node *directory, const char *name)
{
    struct fat_node *node;
    CHECK_EQUAL(fat_mkdir(directory, name, strlen(name), WHEN, &node), 0);
    return node;
}

static void fill(uint8_t *bytes, size_t length, uint32_t seed)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)((seed = seed * 1103515245 + 12345) >> 16);
}

static uint8_t pattern[300000], seen[300001];

/* Files of a few lengths and names, in two directories. */
static void write_some(void)
{
    static const char *const names[] = {
        "a", "README.TXT", "lower.txt", "A long name with spaces.text",
        "\xc3\xa4\xc3\xb6\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80.dat"};
    struct fat_node *folder = make(disk.root, "Folder of ours");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct fat_node *node = create(i % 2 ? folder : disk.root, names[i]);
        size_t length = i * 17000 + i;
        fill(pattern, length, (uint32_t)i);
        if (length)
            file_write(node, 0, pattern, length);
        fat_put(node);
    }
    fat_put(folder);
}

static void check_some(void)
{
    static const char *const paths[] = {
        "A", "folder OF ours/readme.txt", "lower.TXT",
        "Folder of ours/a long NAME with spaces.text",
        "\xc3\x84\xc3\x96\xc3\x9c \xe2\x82\xac \xf0\x9f\x98\x80.dat"};
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        struct fat_node *node = disk_open(paths[i]);
        size_t length = i * 17000 + i;
        CHECK(node);
        fill(pattern, length, (uint32_t)i);
        CHECK_EQUAL(fat_size(node), length);
        CHECK_EQUAL(file_read(node, 0, seen, sizeof(seen)), length);
        CHECK(!memcmp(seen, pattern, length));
        fat_put(node);
    }
}

static void mtools_writes(void)
{
    const char *path = disk_image(), *file = disk_path("file");
    FILE *out = fopen(file, "wb");
    fill(pattern, 50000, 99);
    fwrite(pattern, 1, 50000, out);
    fclose(out);
    CHECK_EQUAL(disk_run("mcopy -Q -i %s %s '::Written by mtools.bin'", path, file), 0);
    CHECK_EQUAL(disk_run("mmd -i %s ::dir", path), 0);
    CHECK_EQUAL(disk_run("mcopy -Q -i %s %s ::dir/SHORT.BIN", path, file), 0);
}

static void mtools_reads(void)
{
    const char *path = disk_image(), *file = disk_path("file");
    CHECK_EQUAL(disk_run("mcopy -Q -n -i %s '::Folder of ours/A long name with spaces.text' %s",
                         path, file),
                0);
    FILE *in = fopen(file, "rb");
    size_t length = fread(seen, 1, sizeof(seen), in);
    fclose(in);
    fill(pattern, 3 * 17000 + 3, 3);
    CHECK_EQUAL(length, 3 * 17000 + 3);
    CHECK(!memcmp(seen, pattern, length));
}

static void check_mtools(void)
{
    static const char *const paths[] = {"Written by mtools.bin", "dir/short.bin"};
    fill(pattern, 50000, 99);
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        struct fat_node *node = disk_open(paths[i]);
        CHECK(node);
        CHECK_EQUAL(file_read(node, 0, seen, sizeof(seen)), 50000);
        CHECK(!memcmp(seen, pattern, 50000));
        fat_put(node);
    }
}

static void try_volume(const char *options, uint32_t kib)
{
    disk_make(options, kib);
    mtools_writes();
    disk_mount();
    check_mtools();
    write_some();
    check_some();
    disk_unmount();
    CHECK_EQUAL(disk_fsck(), 0);
    mtools_reads();
    disk_mount();
    check_mtools();
    check_some();
    disk_unmount();
    CHECK_EQUAL(disk_fsck(), 0);
}

/* So many clusters of so many sectors of so many bytes. */
static void try_shape(unsigned bits, unsigned sectors, unsigned size)
{
    static const uint32_t clusters[] = {[12] = 2000, [16] = 6000, [32] = 68000};
    char options[64];
    snprintf(options, sizeof(options), "-F %u -s %u -S %u", bits, sectors, size);
    try_volume(options, (uint32_t)((uint64_t)clusters[bits] * sectors * size >> 10));
}

static void try_shapes(unsigned bits)
{
    for (unsigned sectors = 1; sectors <= 128; sectors *= 2)
        try_shape(bits, sectors, 512);
    for (unsigned size = 1024; size <= 4096; size *= 2) {
        try_shape(bits, 1, size);
        try_shape(bits, 128, size);
    }
}

TEST(fat12)
{
    try_shapes(12);
}

TEST(fat16)
{
    try_shapes(16);
}

TEST(fat32)
{
    try_shapes(32);
}

TEST(odd_shapes)
{
    try_volume("-F 12", 1440);
    try_volume("-F 12 -S 1024 -f 1 -r 512", 3000);
    try_volume("-F 16 -s 4 -R 7", 20 << 10);
    try_volume("-F 32 -s 8 -f 1 -R 50 -b 9", 300 << 10);
}

/* mtools goes by the number of clusters, fsck.fat and Linux do not. */
TEST(fat32_smaller_than_it_ought_to_be)
{
    disk_make("-F 32 -s 1 -f 1", 5 << 10);
    disk_mount();
    write_some();
    disk_unmount();
    CHECK_EQUAL(disk_fsck(), 0);
    disk_mount();
    check_some();
    disk_unmount();
}

/* The second boot sector will do. */
TEST(backup_boot_sector)
{
    try_volume("-F 32 -s 1", 40 << 10);
    memset(disk.bytes, 0, 512);
    disk_mount();
    check_some();
    fat_put(disk.root);
    (void)fat_unmount(disk.volume);
}
