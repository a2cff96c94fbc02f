// sources: tests/host/fat_disk.c lib/fat/attributes.c lib/fat/bits.c lib/fat/boot.c lib/fat/buffer.c lib/fat/call.c lib/fat/chain.c lib/fat/check.c
// sources: lib/fat/commit.c lib/fat/directory.c lib/fat/file.c lib/fat/index.c lib/fat/kept.c lib/fat/name.c lib/fat/names.c
// sources: lib/fat/node.c lib/fat/rename.c lib/fat/repair.c lib/fat/short.c lib/fat/slot.c lib/fat/space.c lib/fat/stamp.c
// sources: lib/fat/table.c lib/fat/volume.c
/* Names, directories and what is asked of them one by one: short names as the specification wants them, long ones of any characters, listings while
 * names come and go, times, attributes, full directories, full volumes, devices that fail. */
#include "abi/errors.h"
#include "tests/host/fat_disk.h"
#include "tests/host/test.h"

#define WHEN INT64_C(1700000001230000000) /* 2023-11-14 22:13:21.23 */

static int64_t create(struct fat_node *folder, const char *name)
{
    struct fat_node *node;
    int64_t result = fat_create(folder, name, strlen(name), FAT_ARCHIVE, WHEN, &node);
    if (result >= 0)
        fat_put(node);
    return result;
}

static int64_t unlink_name(struct fat_node *folder, const char *name)
{
    return fat_unlink(folder, name, strlen(name));
}

static void begin(const char *options, uint64_t kib)
{
    disk_make(options, kib);
    disk_mount();
}

static void end(void)
{
    disk_unmount();
    CHECK_EQUAL(disk_fsck(), 0);
}

static bool there(const char *path)
{
    struct fat_node *node = disk_open(path);
    fat_put(node);
    return node != NULL;
}

TEST(short_names)
{
    /* What is made, and by which other name it can be found. */
    static const char *const names[][2] = {
        {"A Name.txt", "ANAME~1.TXT"},
        {"A Name.text", "ANAME~1.TEX"},
        {"a name.TXT2", "ANAME~2.TXT"},
        {"fits.txt", "FITS.TXT"},
        {"longer than eight", "LONGER~1"},
        {"longer than ten", "LONGER~2"},
        {".profile", "PROFIL~1"},
        {"many.dots.in.it", "MANYDO~1.IT"},
        {"plus+sign", "PLUS_S~1"},
        {"\xc3\xa4\xc3\xb6\xc3\xbc", "___~1"},
        {"\xf0\x9f\x98\x80", "_~1"},
        {"x~1", "X~1"},
        {"x   ~  1 ", "X~1~1"},
    };
    begin("-F 16 -s 1", 10 << 10);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        CHECK_EQUAL(create(disk.root, names[i][0]), 0);
        if (!there(names[i][1]))
            FAIL("%s is not %s", names[i][0], names[i][1]);
        CHECK_EQUAL(create(disk.root, names[i][1]), -E_EXISTS);
    }
    CHECK_EQUAL(unlink_name(disk.root, "ANAME~1.TXT"), 0);
    CHECK(!there("A Name.txt") && there("a name.txt2"));
    end();
}

TEST(numbers_of_short_names)
{
    char name[40];
    begin("-F 32 -s 1", 40 << 10);
    for (int i = 1; i <= 1200; i++) {
        snprintf(name, sizeof(name), "the same beginning %d", i);
        CHECK_EQUAL(create(disk.root, name), 0);
    }
    CHECK(there("THESAM~9") && there("THESA~10") && there("THESA~99") && there("THES~100") &&
          there("THE~1200"));
    end();
}

TEST(names_that_are_none)
{
    static const char *const bad[] = {"",     ".",    "..",          "...",          " ",
                                      "a*b",  "a?",   "a:b",         "a|b",          "\"",
                                      "<",    ">",    "back\\slash", "a/b",          "tab\t",
                                      "\x7f", "\xff", "\xc3",        "\xed\xa0\x80", "\xc0\xaf"};
    struct fat_node *node;
    char text[800];
    begin("-F 16 -s 1", 10 << 10);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        CHECK_EQUAL(create(disk.root, bad[i]), -E_INVALID);
    memset(text, 'n', sizeof(text));
    CHECK_EQUAL(fat_create(disk.root, text, 256, 0, 0, &node), -E_TOO_LONG);
    CHECK_EQUAL(fat_create(disk.root, text, 255, 0, 0, &node), 0);
    fat_put(node);
    for (size_t i = 0; i < 255; i++)
        memcpy(text + 3 * i, "\xe2\x82\xac", 3);
    CHECK_EQUAL(fat_create(disk.root, text, 765, 0, 0, &node), 0);
    fat_put(node);
    CHECK_EQUAL(create(disk.root, "trailing dots... "), 0);
    CHECK(there("trailing dots"));
    end();
}

/* A short entry with case bits, as Windows NT writes them. */
TEST(case_bits)
{
    struct fat_entry entry;
    begin("-F 16 -s 1", 10 << 10);
    CHECK_EQUAL(create(disk.root, "LOWER.TXT"), 0);
    disk_unmount();
    for (uint8_t *at = disk.bytes; at < disk.bytes + disk.size; at += 32)
        if (!memcmp(at, "LOWER   TXT", 11))
            at[12] = 0x18;
    disk_mount();
    CHECK_EQUAL(fat_list(disk.root, 0, &entry), 1);
    CHECK_STRING(entry.name, "lower.txt");
    end();
}

TEST(a_listing_while_names_come_and_go)
{
    struct fat_entry entry;
    char name[40];
    uint8_t seen[200] = {0};
    begin("-F 32 -s 1", 40 << 10);
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "stays or goes %d", i);
        CHECK_EQUAL(create(disk.root, name), 0);
    }
    uint32_t position = 0;
    for (int n = 0; fat_list(disk.root, position, &entry) > 0; position = entry.next, n++) {
        int i;
        if (sscanf(entry.name, "stays or goes %d", &i) == 1)
            seen[i]++;
        if (n % 3 == 0 && n < 150) { /* odd ones go, others come */
            snprintf(name, sizeof(name), "stays or goes %d", n | 1);
            (void)!unlink_name(disk.root, name);
            snprintf(name, sizeof(name), "new %d", n);
            CHECK_EQUAL(create(disk.root, name), 0);
            CHECK_EQUAL(disk_sync(), 0);
        }
    }
    for (int i = 0; i < 200; i += 2)
        CHECK_EQUAL(seen[i], 1);
    end();
}

TEST(times_and_attributes)
{
    struct fat_node *node;
    struct fat_stat stat;
    begin("-F 32 -s 1", 40 << 10);
    CHECK_EQUAL(create(disk.root, "file"), 0);
    CHECK((node = disk_open("file")));
    CHECK_EQUAL(fat_set_attributes(node, FAT_READ_ONLY | FAT_HIDDEN | FAT_DIRECTORY,
                                   FAT_READ_ONLY | FAT_DIRECTORY),
                0);
    CHECK_EQUAL(fat_stat(node, &stat), 0);
    CHECK_EQUAL(stat.attributes, FAT_READ_ONLY | FAT_ARCHIVE);
    CHECK_EQUAL(stat.created, WHEN);
    CHECK_EQUAL(stat.modified, WHEN / 2000000000 * 2000000000);
    CHECK_EQUAL(stat.accessed, WHEN / 86400000000000 * 86400000000000);
    CHECK_EQUAL(fat_set_times(node, INT64_MIN, INT64_MIN, 0), 0);
    CHECK_EQUAL(fat_stat(node, &stat), 0);
    CHECK_EQUAL(stat.modified, INT64_C(315532800000000000));
    CHECK_EQUAL(fat_set_times(node, INT64_MIN, INT64_MIN, INT64_MAX), 0);
    CHECK_EQUAL(fat_stat(node, &stat), 0);
    CHECK_EQUAL(stat.modified, INT64_C(4354819198000000000));
    CHECK_EQUAL(stat.created, WHEN);
    fat_put(node);
    end();
}

/* As many slots as the specification allows. */
TEST(a_full_directory)
{
    struct fat_node *folder;
    char name[16];
    int64_t result = 0;
    int count = 0;
    begin("-F 32 -s 8", 300 << 10);
    CHECK_EQUAL(fat_mkdir(disk.root, "full", 4, 0, &folder), 0);
    for (; result >= 0; count += result >= 0) {
        snprintf(name, sizeof(name), "F%d", count);
        result = create(folder, name);
    }
    CHECK_EQUAL(result, -E_NO_SPACE);
    CHECK_EQUAL(count, 65534);
    CHECK_EQUAL(unlink_name(folder, "F77"), 0);
    CHECK_EQUAL(create(folder, "AGAIN"), 0); /* when that is on the platter */
    CHECK_EQUAL(create(folder, "MORE"), -E_NO_SPACE);
    fat_put(folder);
    disk_unmount();
    disk_mount();
    CHECK(there("full/f65533") && there("full/again") && !there("full/f77"));
    disk_unmount();
}

TEST(a_full_root)
{
    char name[16];
    int count = 0;
    begin("-F 12 -r 112", 720);
    for (; count < 200; count++) {
        snprintf(name, sizeof(name), "F%d", count);
        if (create(disk.root, name) < 0)
            break;
    }
    CHECK_EQUAL(count, 112);
    end();
}

TEST(a_full_volume)
{
    static const uint8_t byte[1] = {7};
    struct fat_statfs about;
    struct fat_node *node;
    begin("-F 16 -s 4", 20 << 10);
    CHECK_EQUAL(create(disk.root, "big"), 0);
    CHECK((node = disk_open("big")));
    CHECK_EQUAL(fat_statfs(disk.volume, &about), 0);
    uint64_t all = (uint64_t)about.clusters_free * about.cluster_size;
    CHECK_EQUAL(fat_resize(node, all + 1, 0), -E_NO_SPACE);
    CHECK_EQUAL(fat_size(node), 0);
    CHECK_EQUAL(fat_resize(node, all, 0), 0);
    CHECK_EQUAL(fat_statfs(disk.volume, &about), 0);
    CHECK_EQUAL(about.clusters_free, 0);
    CHECK_EQUAL(create(disk.root, "small"), 0);
    struct fat_node *small = disk_open("small");
    CHECK_EQUAL(fat_resize(small, 1, 0), -E_NO_SPACE);
    CHECK_EQUAL(fat_resize(node, all - about.cluster_size, 0), 0); /* comes with the next sync */
    CHECK_EQUAL(file_try_write(small, 0, byte, 1), 0);
    fat_put(small);
    CHECK_EQUAL(unlink_name(disk.root, "big"), 0);
    fat_put(node);
    CHECK_EQUAL(fat_statfs(disk.volume, &about), 0);
    CHECK_EQUAL((uint64_t)about.clusters_free * about.cluster_size, all - about.cluster_size);
    end();
}

/* Two files that grow together stay in long runs; one after the other in one. */
TEST(runs)
{
    static uint8_t bytes[4096];
    struct fat_node *nodes[2];
    struct fat_run run;
    begin("-F 32 -s 8", 300 << 10);
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(create(disk.root, i ? "one" : "other"), 0);
        CHECK((nodes[i] = disk_open(i ? "one" : "other")));
    }
    for (int n = 0; n < 2000; n++)
        file_write(nodes[n % 2], (uint64_t)n / 2 * sizeof(bytes), bytes, sizeof(bytes));
    for (int i = 0; i < 2; i++) {
        int runs = 0;
        for (uint64_t at = 0; fat_map_write(nodes[i], at, FAT_FILE_MAX, &run) >= 0;
             at += run.length)
            runs++;
        CHECK(runs <= 1000 / 64 + 3);
        fat_put(nodes[i]);
    }
    end();
}

/* To the last byte a file can have, of which only the first and the last were written. */
TEST(the_longest_file)
{
    struct fat_node *node;
    struct fat_run run;
    begin("-F 32 -s 64", UINT64_C(8) << 20);
    CHECK_EQUAL(create(disk.root, "long"), 0);
    CHECK((node = disk_open("long")));
    CHECK_EQUAL(fat_resize(node, UINT64_C(1) << 32, 0), -E_FILE_TOO_BIG);
    CHECK_EQUAL(fat_resize(node, FAT_FILE_MAX, 0), 0);
    CHECK_EQUAL(fat_map(node, FAT_FILE_MAX - 1, 1, &run), 0);
    CHECK(run.device == FAT_ZEROS && run.length == 1);
    CHECK_EQUAL(fat_map(node, FAT_FILE_MAX, 1, &run), -E_RANGE);
    CHECK_EQUAL(fat_resize(node, 5, 0), 0);
    CHECK_EQUAL(fat_map(node, 0, 100, &run), 0);
    CHECK(run.device == FAT_ZEROS && run.length == 5);
    fat_put(node);
    end();
}

/* Errors of the device are errors of calls, and all is there when it works again. */
TEST(a_device_that_fails)
{
    static uint8_t bytes[20000];
    char name[32];
    begin("-F 32 -s 1", 40 << 10);
    for (int i = 0; i < 60; i++) {
        struct fat_node *node;
        snprintf(name, sizeof(name), "file number %d", i);
        CHECK_EQUAL(fat_create(disk.root, name, strlen(name), 0, 0, &node), 0);
        file_write(node, 0, bytes, sizeof(bytes));
        fat_put(node);
        if (i % 3 == 0)
            continue;
        *(i % 3 == 1 ? &disk.fail_writes : &disk.fail_reads) = 1 + i % 7;
        int64_t result = disk_sync();
        CHECK(result == 0 || result == -E_IO);
        CHECK(i % 3 == 2 || i % 7 || result == -E_IO);
        disk.fail_writes = disk.fail_reads = 0;
    }
    CHECK_EQUAL(disk_sync(), 0);
    for (int i = 0; i < 60; i++) {
        snprintf(name, sizeof(name), "file number %d", i);
        CHECK(there(name));
    }
    end();
}

TEST(read_only)
{
    struct fat_node *node;
    begin("-F 32 -s 1", 40 << 10);
    CHECK_EQUAL(create(disk.root, "file"), 0);
    CHECK_EQUAL(fat_set_read_only(disk.volume, true), 0);
    CHECK_EQUAL(disk_fsck(), 0); /* it is as it was left */
    CHECK_EQUAL(create(disk.root, "other"), -E_READ_ONLY);
    CHECK_EQUAL(unlink_name(disk.root, "file"), -E_READ_ONLY);
    CHECK((node = disk_open("file")));
    CHECK_EQUAL(fat_resize(node, 1, 0), -E_READ_ONLY);
    CHECK_EQUAL(fat_set_times(node, 0, 0, 0), -E_READ_ONLY);
    fat_put(node);
    CHECK_EQUAL(fat_set_read_only(disk.volume, false), 0);
    CHECK_EQUAL(create(disk.root, "other"), 0);
    end();
}

/* Mounted read-only it is not repaired, but when it is to be written. */
TEST(repaired_when_written)
{
    struct fat_node *node;
    begin("-F 16 -s 1", 10 << 10);
    CHECK_EQUAL(create(disk.root, "file"), 0);
    disk_unmount();
    disk.bytes[37] |= 1;
    disk.bytes[512 + 2 * 500] = 0xff; /* a cluster that nobody has */
    disk.bytes[512 + 2 * 500 + 1] = 0xff;
    disk.config.read_only = true;
    disk_mount();
    CHECK((node = disk_open("file")));
    disk.config.read_only = false;
    CHECK_EQUAL(fat_set_read_only(disk.volume, false), -E_BUSY);
    CHECK_EQUAL(create(disk.root, "other"), -E_READ_ONLY);
    fat_put(node);
    CHECK_EQUAL(fat_set_read_only(disk.volume, false), 0);
    CHECK_EQUAL(create(disk.root, "other"), 0);
    end();
}

/* A volume that says it is in use and is damaged is looked at, and not written. */
TEST(damage)
{
    begin("-F 16 -s 1", 10 << 10);
    static uint8_t bytes[3000];
    for (int i = 0; i < 2; i++) {
        struct fat_node *node;
        CHECK_EQUAL(fat_create(disk.root, i ? "A" : "B", 1, 0, 0, &node), 0);
        file_write(node, 0, bytes, sizeof(bytes));
        fat_put(node);
    }
    disk_unmount();
    uint8_t *first = NULL;
    for (uint8_t *at = disk.bytes; at < disk.bytes + disk.size; at += 32) {
        if (memcmp(at + 1, "          ", 10) != 0)
            continue;
        if (first)
            memcpy(at + 26, first + 26, 2); /* two files with the same clusters */
        first = at;
    }
    disk.bytes[37] |= 1;
    uint8_t *copy = malloc(disk.size);
    memcpy(copy, disk.bytes, disk.size);
    disk.quiet = true;
    disk_mount();
    CHECK_EQUAL(create(disk.root, "C"), -E_READ_ONLY);
    CHECK_EQUAL(fat_set_read_only(disk.volume, false), -E_READ_ONLY);
    CHECK(there("A") && there("B"));
    disk_unmount();
    disk.quiet = false;
    CHECK(!memcmp(copy, disk.bytes, disk.size));
    free(copy);
}

/* An empty file's first cluster means nothing, and frees nothing when it goes. */
TEST(a_first_cluster_that_is_none)
{
    begin("-F 16 -s 1", 10 << 10);
    CHECK_EQUAL(create(disk.root, "A"), 0);
    disk_unmount();
    for (uint8_t *at = disk.bytes; at < disk.bytes + disk.size; at += 32)
        if (memcmp(at, "A          ", 11) == 0)
            memset(at + 26, 0xee, 2);
    disk_mount();
    CHECK_EQUAL(fat_unlink(disk.root, "A", 1), 0);
    struct fat_statfs statfs;
    CHECK_EQUAL(fat_statfs(disk.volume, &statfs), 0);
    CHECK_EQUAL(statfs.clusters_free, statfs.clusters);
    end();
}
