/* The tar reader, on archives built here block by block. */
// sources: lib/base/tar.c
#include "lib/base/tar.h"

#include "abi/errors.h"
#include "tests/host/test.h"

static uint8_t archive[65536];
static size_t used;

static void checksum_write(uint8_t *block)
{
    unsigned sum = 0;
    memset(block + 148, ' ', 8);
    for (int i = 0; i < 512; i++)
        sum += block[i];
    snprintf((char *)block + 148, 8, "%06o", sum);
}

static uint8_t *add(char type, const char *name, const char *link, const void *data, size_t size)
{
    uint8_t *block = archive + used;
    memset(block, 0, 512);
    strncpy((char *)block, name, 100);
    snprintf((char *)block + 100, 8, "%07o", 0644);
    snprintf((char *)block + 108, 8, "%07o", 1);
    snprintf((char *)block + 116, 8, "%07o", 2);
    snprintf((char *)block + 124, 12, "%011o", (unsigned)size);
    snprintf((char *)block + 136, 12, "%011o", 1234);
    block[156] = (uint8_t)type;
    strncpy((char *)block + 157, link, 100);
    memcpy(block + 257,
           "ustar\0"
           "00",
           8);
    checksum_write(block);
    used += 512;
    memset(archive + used, 0, (size + 511) / 512 * 512);
    memcpy(archive + used, data, size);
    used += (size + 511) / 512 * 512;
    return block;
}

static void end(void)
{
    memset(archive + used, 0, 1024);
    used += 1024;
}

static struct tar_reader reader_start(void)
{
    return (struct tar_reader){.data = archive, .length = used};
}

static void check_name(const struct tar_entry *entry, const char *name)
{
    char text[1024] = "";
    CHECK(entry->name_length < sizeof(text));
    memcpy(text, entry->name, entry->name_length);
    CHECK_STRING(text, name);
}

TEST(files_directories_and_links)
{
    used = 0;
    add('5', "etc/", "", "", 0);
    add('0', "etc/motd", "", "hello", 5);
    add('2', "dev/null", "null:///", "", 0);
    add('1', "hard", "etc/motd", "", 0);
    end();
    struct tar_reader reader = reader_start();
    struct tar_entry entry;
    CHECK_EQUAL(tar_next(&reader, &entry), 1);
    CHECK_EQUAL(entry.type, TAR_DIRECTORY);
    check_name(&entry, "etc/");
    CHECK_EQUAL(tar_next(&reader, &entry), 1);
    CHECK_EQUAL(entry.type, TAR_FILE);
    CHECK_EQUAL(entry.size, 5);
    CHECK_EQUAL(entry.mode, 0644);
    CHECK_EQUAL(entry.uid, 1);
    CHECK_EQUAL(entry.modified, 1234);
    CHECK(memcmp(entry.data, "hello", 5) == 0);
    CHECK_EQUAL(tar_next(&reader, &entry), 1);
    CHECK_EQUAL(entry.type, TAR_SYMBOLIC_LINK);
    CHECK_EQUAL(entry.link_length, 8);
    CHECK_EQUAL(tar_next(&reader, &entry), 1);
    CHECK_EQUAL(entry.type, TAR_HARD_LINK);
    CHECK_EQUAL(tar_next(&reader, &entry), 0);
}

TEST(gnu_long_names)
{
    char name[300], link[400];
    memset(name, 'n', sizeof(name));
    memset(link, 'l', sizeof(link));
    name[299] = link[399] = '\0';
    used = 0;
    add('L', "././@LongLink", "", name, sizeof(name));
    add('K', "././@LongLink", "", link, sizeof(link));
    add('2', "short", "short", "", 0);
    add('0', "plain", "", "", 0);
    end();
    struct tar_reader reader = reader_start();
    struct tar_entry entry;
    CHECK_EQUAL(tar_next(&reader, &entry), 1);
    check_name(&entry, name);
    CHECK_EQUAL(entry.link_length, 399);
    CHECK_EQUAL(tar_next(&reader, &entry), 1);
    check_name(&entry, "plain");
}

TEST(pax_path_size_and_prefix)
{
    const char *pax = "17 path=a/b/c.de\n13 size=0007\n9 x=yyyy\n";
    used = 0;
    add('x', "PaxHeaders/x", "", pax, strlen(pax));
    uint8_t *block = add('0', "other", "", "1234567", 7);
    snprintf((char *)block + 124, 12, "%011o", 3); /* pax's size counts */
    checksum_write(block);
    block = add('0', "name", "", "", 0);
    memcpy(block + 345, "some/prefix", 11);
    checksum_write(block);
    end();
    struct tar_reader reader = reader_start();
    struct tar_entry entry;
    CHECK_EQUAL(tar_next(&reader, &entry), 1);
    check_name(&entry, "a/b/c.de");
    CHECK_EQUAL(entry.size, 7);
    CHECK_EQUAL(tar_next(&reader, &entry), 1);
    check_name(&entry, "some/prefix/name");
    CHECK_EQUAL(tar_next(&reader, &entry), 0);
}

TEST(broken_archives_are_errors)
{
    struct tar_entry entry;
    used = 0;
    add('0', "file", "", "data", 4);
    size_t whole = used;
    struct tar_reader reader = reader_start();
    CHECK_EQUAL(tar_next(&reader, &entry), 1);
    CHECK_EQUAL(tar_next(&reader, &entry), -E_BAD_FORMAT); /* no end marker */
    for (used = 0; used < whole; used++) {
        reader = reader_start();
        CHECK_EQUAL(tar_next(&reader, &entry), -E_BAD_FORMAT);
        CHECK(reader.problem);
    }
    used = whole;
    archive[3]++;
    reader = reader_start();
    CHECK_EQUAL(tar_next(&reader, &entry), -E_BAD_FORMAT);
    CHECK_STRING(reader.problem, "a header's checksum is wrong");
    archive[3]--;
    memset(archive + 124, 0xff, 12);
    checksum_write(archive);
    reader = reader_start();
    CHECK_EQUAL(tar_next(&reader, &entry), -E_BAD_FORMAT);
    archive[124] = 0x80; /* base 256, beyond 64 bits */
    checksum_write(archive);
    reader = reader_start();
    CHECK_EQUAL(tar_next(&reader, &entry), -E_BAD_FORMAT);
}

TEST(broken_pax_records_are_errors)
{
    static const char *const records[] = {
        "0 path=x\n",   "99 path=x\n", "9 path=x",
        "path=x\n",     "-9 path=x\n", "18446744073709551617 path=x\n",
        "11 size=4x\n", "1 \n",        "3 \n",
    };
    for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
        struct tar_entry entry;
        used = 0;
        add('x', "pax", "", records[i], strlen(records[i]));
        add('0', "file", "", "", 0);
        end();
        struct tar_reader reader = reader_start();
        if (tar_next(&reader, &entry) != -E_BAD_FORMAT)
            FAIL("accepted \"%s\"", records[i]);
    }
}
