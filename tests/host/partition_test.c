/* Tables of partitions, right and wrong, and what volumes say of themselves. */
// sources: sbin/diskd/partition.c sbin/diskd/gpt.c sbin/diskd/volume.c
#include "sbin/diskd/partition.h"

#include "abi/errors.h"
#include "sbin/diskd/volume.h"
#include "tests/host/test.h"

#define SECTORS     4096u
#define SECTOR      512u
#define TABLE       32u /* sectors of 128 entries */
#define LAST_USABLE (SECTORS - TABLE - 2)

static uint8_t bytes[SECTORS * SECTOR];
static uint64_t unreadable; /* a sector; 0: none */
static struct partition_table table;

static bool read_sectors(void *context, uint64_t first, uint32_t count, void *to)
{
    (void)context;
    CHECK(first + count <= SECTORS && count * SECTOR <= MEDIUM_READ_MAX);
    if (unreadable && first <= unreadable && unreadable < first + count)
        return false;
    memcpy(to, bytes + first * SECTOR, count * SECTOR);
    return true;
}

static const struct medium medium = {.sectors = SECTORS, .sector = SECTOR, .read = read_sectors};

static void read_table(void)
{
    partitions_free(&table);
    CHECK_EQUAL(partitions_read(&medium, &table), 0);
}

static void put(uint64_t at, uint64_t value, unsigned size)
{
    memcpy(bytes + at, &value, size);
}

static void put_mbr(uint64_t sector, unsigned entry, uint8_t type, uint32_t first, uint32_t count)
{
    uint64_t at = sector * SECTOR + 446 + entry * 16;
    bytes[at + 4] = type;
    put(at + 8, first, 4);
    put(at + 12, count, 4);
    put(sector * SECTOR + 510, 0xaa55, 2);
}

static void check_part(uint32_t index, uint32_t number, uint64_t first, uint64_t count)
{
    CHECK(index < table.count);
    CHECK_EQUAL(table.items[index].number, number);
    CHECK_EQUAL(table.items[index].first, first);
    CHECK_EQUAL(table.items[index].count, count);
}

/* --- MBR --- */

static void mbr_start(void)
{
    memset(bytes, 0, sizeof(bytes));
    unreadable = 0;
    put(440, 0x12345678, 4);
    put_mbr(0, 0, 0x0c, 64, 100);
    put_mbr(0, 1, 0x0f, 1000, 1000);
    put_mbr(0, 3, 0x83, 200, 50);
    put_mbr(1000, 0, 0x83, 10, 100);
    put_mbr(1000, 1, 0x05, 300, 200);
    put_mbr(1300, 0, 0x83, 10, 100);
}

TEST(primary_and_logical_partitions)
{
    mbr_start();
    read_table();
    CHECK_EQUAL(table.kind, PARTITIONS_MBR);
    CHECK_EQUAL(table.signature, 0x12345678);
    CHECK_EQUAL(table.count, 4);
    CHECK(!table.problem);
    check_part(0, 1, 64, 100);
    check_part(1, 4, 200, 50);
    check_part(2, 5, 1010, 100);
    check_part(3, 6, 1310, 100);
    CHECK_EQUAL(table.items[0].type, 0x0c);
}

TEST(a_disk_without_a_table)
{
    memset(bytes, 0, sizeof(bytes));
    read_table();
    CHECK_EQUAL(table.kind, PARTITIONS_NONE);
    CHECK_EQUAL(table.count, 0);
    struct medium none = medium;
    none.sectors = 0;
    CHECK_EQUAL(partitions_read(&none, &table), 0);
}

/* A file system's own first sector: the same last bytes, code where entries would be. */
TEST(code_is_no_table)
{
    mbr_start();
    bytes[446 + 32] = 0x33;
    read_table();
    CHECK_EQUAL(table.kind, PARTITIONS_NONE);
    CHECK_EQUAL(table.count, 0);
}

TEST(what_is_not_on_the_disk_is_left_out)
{
    mbr_start();
    put_mbr(0, 0, 0x0c, SECTORS - 10, 11);
    put_mbr(0, 3, 0x0c, 0, 20);
    read_table();
    CHECK_EQUAL(table.count, 2);
    CHECK(table.problem);
    check_part(0, 5, 1010, 100);
    mbr_start();
    put_mbr(0, 0, 0x0c, UINT32_MAX, UINT32_MAX);
    read_table();
    CHECK_EQUAL(table.count, 3);
}

TEST(what_overlaps_is_left_out)
{
    mbr_start();
    put_mbr(0, 3, 0x83, 163, 50);
    put_mbr(1300, 0, 0x83, 0, 100);
    bytes[1300 * SECTOR + 446 + 8] = 0; /* begins on its own table, which is not another's */
    read_table();
    CHECK_EQUAL(table.count, 3);
    check_part(0, 1, 64, 100);
    CHECK_STRING(table.problem, "partitions overlap");
}

TEST(a_chain_that_closes_a_circle_ends)
{
    mbr_start();
    put_mbr(1300, 1, 0x05, 300, 200); /* itself */
    read_table();
    CHECK_EQUAL(table.count, 4);
    CHECK(table.problem);
    put_mbr(1000, 0, 0, 0, 0); /* nothing in them to overlap */
    put_mbr(1300, 0, 0, 0, 0);
    read_table();
    CHECK_EQUAL(table.count, 2);
    CHECK_STRING(table.problem, "the chain of logical partitions does not end");
}

TEST(a_chain_that_leads_out_ends)
{
    mbr_start();
    put_mbr(1000, 1, 0x05, 1001, 200);
    read_table();
    CHECK_EQUAL(table.count, 3);
    CHECK(table.problem);
    put_mbr(0, 1, 0x0f, SECTORS + 5, 1000);
    read_table();
    CHECK_EQUAL(table.count, 2);
    mbr_start();
    unreadable = 1300;
    read_table();
    CHECK_EQUAL(table.count, 3);
    unreadable = 0;
}

static bool read_nothing(void *context, uint64_t first, uint32_t count, void *to)
{
    (void)context, (void)first, (void)count, (void)to;
    return false;
}

TEST(a_disk_that_cannot_be_read)
{
    struct medium dead = medium;
    dead.read = read_nothing;
    partitions_free(&table);
    CHECK_EQUAL(partitions_read(&dead, &table), -E_IO);
    CHECK_EQUAL(table.count, 0);
}

/* --- GPT --- */

static void put_entry(uint64_t table_at, uint32_t index, uint64_t first, uint64_t last,
                      const char *name)
{
    uint64_t at = table_at * SECTOR + index * 128;
    memset(bytes + at, 0, 128);
    memset(bytes + at, 0x11, 16);
    memset(bytes + at + 16, 0x20 + (int)index, 16);
    put(at + 32, first, 8);
    put(at + 40, last, 8);
    for (unsigned i = 0; name[i]; i++)
        put(at + 56 + 2 * i, (uint8_t)name[i], 2);
}

static void seal(uint64_t own, uint64_t other, uint64_t entries)
{
    uint64_t at = own * SECTOR;
    memset(bytes + at, 0, SECTOR);
    memcpy(bytes + at, "EFI PART", 8);
    put(at + 8, 0x10000, 4);
    put(at + 12, 92, 4);
    put(at + 24, own, 8);
    put(at + 32, other, 8);
    put(at + 40, 2 + TABLE, 8);
    put(at + 48, LAST_USABLE, 8);
    memset(bytes + at + 56, 0xab, 16);
    put(at + 72, entries, 8);
    put(at + 80, 128, 4);
    put(at + 84, 128, 4);
    put(at + 88, crc32_update(0, bytes + entries * SECTOR, 128 * 128), 4);
    put(at + 16, crc32_update(0, bytes + at, 92), 4);
}

static void seal_both(void)
{
    memcpy(bytes + (uint64_t)(SECTORS - 1 - TABLE) * SECTOR, bytes + 2 * SECTOR, TABLE * SECTOR);
    seal(1, SECTORS - 1, 2);
    seal(SECTORS - 1, 1, SECTORS - 1 - TABLE);
}

static void gpt_start(void)
{
    memset(bytes, 0, sizeof(bytes));
    unreadable = 0;
    put_mbr(0, 0, 0xee, 1, SECTORS - 1);
    put_entry(2, 0, 100, 199, "boot");
    put_entry(2, 2, 1000, 1999, "root");
    seal_both();
}

static void check_gpt(void)
{
    CHECK_EQUAL(table.kind, PARTITIONS_GPT);
    CHECK_EQUAL(table.count, 2);
    check_part(0, 1, 100, 100);
    check_part(1, 3, 1000, 1000);
    CHECK_STRING(table.items[1].name, "root");
    CHECK_EQUAL(table.items[1].guid[0], 0x22);
    CHECK_EQUAL(table.guid[5], 0xab);
}

TEST(a_gpt)
{
    gpt_start();
    read_table();
    check_gpt();
    CHECK(!table.problem);
    CHECK_EQUAL(crc32_update(0, "123456789", 9), 0xcbf43926);
}

TEST(the_copy_is_taken_when_the_first_is_bad)
{
    static const uint64_t bad[] = {SECTOR, SECTOR + 60, 2 * SECTOR + 5};
    for (unsigned i = 0; i < 3; i++) {
        gpt_start();
        bytes[bad[i]] ^= 1;
        read_table();
        check_gpt();
        CHECK(table.problem);
    }
    gpt_start();
    unreadable = 1;
    read_table();
    check_gpt();
    unreadable = 3;
    read_table();
    check_gpt();
}

TEST(both_copies_are_bad)
{
    gpt_start();
    bytes[SECTOR + 60] ^= 1;
    bytes[(SECTORS - 1) * SECTOR + 60] ^= 1;
    read_table();
    CHECK_EQUAL(table.count, 0);
    CHECK_EQUAL(table.kind, PARTITIONS_NONE);
    CHECK_STRING(table.problem, "both tables are bad");
}

/* A header that was copied from elsewhere has a sum that is right. */
TEST(a_header_of_another_place_is_bad)
{
    gpt_start();
    seal(SECTORS - 1, 1, SECTORS - 1 - TABLE);
    put(SECTOR + 72, SECTORS - 10, 8); /* its table would lead beyond the disk */
    put(SECTOR + 16, 0, 4);
    put(SECTOR + 16, crc32_update(0, bytes + SECTOR, 92), 4);
    read_table();
    check_gpt();
    CHECK(table.problem);
    memcpy(bytes + SECTOR, bytes + (SECTORS - 1) * SECTOR, SECTOR);
    read_table();
    check_gpt();
    CHECK(table.problem);
}

TEST(entries_that_make_no_sense_are_left_out)
{
    gpt_start();
    put_entry(2, 1, 150, 250, "over the first");
    put_entry(2, 3, 10, 12, "in the table");
    put_entry(2, 4, LAST_USABLE, LAST_USABLE + 1, "in the copy");
    put_entry(2, 5, 900, 800, "backwards");
    put_entry(2, 6, 0, UINT64_MAX, "everything");
    seal_both();
    read_table();
    check_gpt();
    CHECK(table.problem);
}

TEST(names_are_unicode)
{
    gpt_start();
    uint64_t at = 2 * SECTOR + 56;
    put(at, 0x00e9, 2);
    put(at + 2, 0xd83d, 2);
    put(at + 4, 0xde00, 2);
    put(at + 6, 0xdc00, 2); /* alone */
    put(at + 8, 0, 2);
    seal_both();
    read_table();
    CHECK_STRING(table.items[0].name, "\xc3\xa9\xf0\x9f\x98\x80\xef\xbf\xbd");
    for (unsigned i = 0; i < 36; i++)
        put(at + 2 * i, 0xffff, 2);
    seal_both();
    read_table();
    CHECK_EQUAL(strlen(table.items[0].name), PARTITION_NAME_MAX);
}

/* --- Volumes --- */

static void fat_start(uint32_t sectors, bool wide)
{
    memset(bytes, 0, sizeof(bytes));
    unreadable = 0;
    memcpy(bytes, "\xeb\x58\x90mkfs.fat", 11);
    put(11, SECTOR, 2);
    bytes[13] = 1;
    put(14, 32, 2);
    bytes[16] = 2;
    put(17, wide ? 0 : 512, 2);
    put(32, sectors, 4);
    bytes[21] = 0xf8;
    put(wide ? 36 : 22, 10, wide ? 4 : 2);
    uint64_t at = wide ? 66 : 38;
    bytes[at] = 0x29;
    put(at + 1, 0x5e2a11f0, 4);
    memcpy(bytes + at + 5, "MY DATA    ", 11);
    put(510, 0xaa55, 2);
}

TEST(fat_volumes)
{
    struct volume volume;
    fat_start(SECTORS, false);
    volume_read(&medium, 0, SECTORS, &volume);
    CHECK_STRING(volume.type, "fat12");
    CHECK_STRING(volume.uuid, "5E2A-11F0");
    CHECK_STRING(volume.label, "MY\\x20DATA");
    fat_start(SECTORS, true);
    volume_read(&medium, 0, SECTORS, &volume);
    CHECK_STRING(volume.type, "fat32");
    CHECK_STRING(volume.uuid, "5E2A-11F0");
    memcpy(bytes + 71, "NO NAME    ", 11);
    volume_read(&medium, 0, SECTORS, &volume);
    CHECK_STRING(volume.label, "");
    memcpy(bytes + 71, "../\x01\xff\\%~\"  ", 11);
    volume_read(&medium, 0, SECTORS, &volume);
    CHECK_STRING(volume.label, "..\\x2f\\x01\xff\\x5c\\x25~\\x22");
    fat_start(SECTORS + 1, true); /* longer than what it lies on */
    volume_read(&medium, 0, SECTORS, &volume);
    CHECK(!volume.type);
}

TEST(other_volumes)
{
    struct volume volume;
    memset(bytes, 0, sizeof(bytes));
    put(100 * SECTOR + 1024 + 56, 0xef53, 2);
    for (int i = 0; i < 16; i++)
        bytes[100 * SECTOR + 1024 + 104 + i] = (uint8_t)i;
    memcpy(bytes + 100 * SECTOR + 1024 + 120, "0123456789abcdef", 16);
    volume_read(&medium, 100, 8, &volume);
    CHECK_STRING(volume.type, "ext2");
    CHECK_STRING(volume.uuid, "00010203-0405-0607-0809-0a0b0c0d0e0f");
    CHECK_STRING(volume.label, "0123456789abcdef");
    volume_read(&medium, 100, 3, &volume);
    CHECK(!volume.type);
    volume_read(&medium, 300, 8, &volume);
    CHECK(!volume.type && !volume.uuid[0] && !volume.label[0]);
}
