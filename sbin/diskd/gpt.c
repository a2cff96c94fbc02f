#include "sbin/diskd/gpt.h"

#include <stdlib.h>
#include <string.h>

#include "abi/errors.h"

#define FIRST_HEADER  1u
#define HEADER_SIZE   92u
#define ENTRY_SIZE    128u
#define ENTRIES_BYTES (1u << 20) /* longer tables are not read */
#define NAME_UNITS    36u

/* On the disk, in little endian, as this machine is (5.3.2). */
struct gpt_header {
    char signature[8];
    uint32_t revision, size, crc, reserved;
    uint64_t own, other, first_usable, last_usable;
    uint8_t guid[16];
    uint64_t entries;
    uint32_t count, entry_size, entries_crc;
} __attribute__((packed));

_Static_assert(sizeof(struct gpt_header) == HEADER_SIZE, "UEFI 2.10, table 5.5");

/* 5.3.3 */
struct gpt_entry {
    uint8_t type[16], guid[16];
    uint64_t first, last, attributes;
    uint16_t name[NAME_UNITS];
};

_Static_assert(sizeof(struct gpt_entry) == ENTRY_SIZE, "UEFI 2.10, table 5.6");

uint32_t crc32_update(uint32_t crc, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    crc = ~crc;
    while (length--) {
        crc ^= *at++;
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

/* --- Header --- */

static uint64_t entries_bytes(const struct gpt_header *header)
{
    return (uint64_t)header->count * header->entry_size;
}

static bool header_sound(const struct medium *medium, const struct gpt_header *header, uint64_t at)
{
    uint64_t bytes = entries_bytes(header), sectors;
    if (header->own != at || header->entry_size < ENTRY_SIZE || header->entry_size % 8 ||
        bytes > ENTRIES_BYTES)
        return false;
    sectors = (bytes + medium->sector - 1) / medium->sector;
    return header->first_usable <= header->last_usable && header->last_usable < medium->sectors &&
           header->entries < medium->sectors && sectors <= medium->sectors - header->entries;
}

/* The header at this sector, if it is one, whole and for this disk. */
static bool header_read(const struct medium *medium, uint64_t at, uint8_t *sector,
                        struct gpt_header *header)
{
    if (at >= medium->sectors || !medium->read(medium->context, at, 1, sector))
        return false;
    memcpy(header, sector, sizeof(*header));
    if (memcmp(header->signature, "EFI PART", 8) != 0 || header->size < HEADER_SIZE ||
        header->size > medium->sector)
        return false;
    memset(sector + offsetof(struct gpt_header, crc), 0, sizeof(header->crc));
    return crc32_update(0, sector, header->size) == header->crc && header_sound(medium, header, at);
}

/* --- Entries --- */

/* All of them, checked; free() them. NULL: they cannot be read or are not what was written, or there is no memory. */
static uint8_t *entries_load(const struct medium *medium, const struct gpt_header *header)
{
    uint32_t most = MEDIUM_READ_MAX / medium->sector;
    uint64_t bytes = entries_bytes(header);
    uint64_t sectors = (bytes + medium->sector - 1) / medium->sector;
    uint8_t *entries = malloc(sectors * medium->sector + 1);
    for (uint64_t at = 0; entries && at < sectors; at += most) {
        uint32_t count = (uint32_t)MIN(sectors - at, most);
        if (medium->read(medium->context, header->entries + at, count,
                         entries + at * medium->sector))
            continue;
        free(entries);
        return NULL;
    }
    if (entries && crc32_update(0, entries, bytes) != header->entries_crc) {
        free(entries);
        return NULL;
    }
    return entries;
}

static char *utf8_put(char *to, uint32_t point)
{
    if (point < 0x80) {
        *to++ = (char)point;
    } else if (point < 0x800) {
        *to++ = (char)(0xc0 | point >> 6);
        *to++ = (char)(0x80 | (point & 0x3f));
    } else if (point < 0x10000) {
        *to++ = (char)(0xe0 | point >> 12);
        *to++ = (char)(0x80 | (point >> 6 & 0x3f));
        *to++ = (char)(0x80 | (point & 0x3f));
    } else {
        *to++ = (char)(0xf0 | point >> 18);
        *to++ = (char)(0x80 | (point >> 12 & 0x3f));
        *to++ = (char)(0x80 | (point >> 6 & 0x3f));
        *to++ = (char)(0x80 | (point & 0x3f));
    }
    return to;
}

/* What is no code point becomes U+FFFD. A pair takes four bytes, a unit at most three: it fits. */
static void name_read(const uint16_t units[NAME_UNITS], char name[PARTITION_NAME_MAX + 1])
{
    char *to = name;
    for (unsigned i = 0; i < NAME_UNITS && units[i]; i++) {
        uint32_t point = units[i];
        bool high = point >= 0xd800 && point < 0xdc00;
        if (high && i + 1 < NAME_UNITS && units[i + 1] >= 0xdc00 && units[i + 1] < 0xe000)
            point = 0x10000 + ((point - 0xd800) << 10) + (units[++i] - 0xdc00u);
        else if (point >= 0xd800 && point < 0xe000)
            point = 0xfffd;
        to = utf8_put(to, point);
    }
    *to = '\0';
}

static bool is_zero(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (bytes[i])
            return false;
    return true;
}

static int64_t entry_add(const struct medium *medium, struct partition_table *table,
                         const struct gpt_header *header, const struct gpt_entry *entry,
                         uint32_t number)
{
    struct partition partition = {.number = number, .first = entry->first};
    if (entry->first > entry->last || entry->first < header->first_usable ||
        entry->last > header->last_usable) {
        table_problem(table, "a partition is not where the header lets it be");
        return 0;
    }
    partition.count = entry->last - entry->first + 1;
    memcpy(partition.type_guid, entry->type, sizeof(entry->type));
    memcpy(partition.guid, entry->guid, sizeof(entry->guid));
    name_read(entry->name, partition.name);
    return table_add(medium, table, &partition);
}

/* The table that this header tells of; false: it is bad. */
static bool copy_read(const struct medium *medium, struct partition_table *table, uint64_t at,
                      uint8_t *sector, int64_t *result)
{
    struct gpt_header header;
    uint8_t *entries =
        header_read(medium, at, sector, &header) ? entries_load(medium, &header) : NULL;
    if (!entries)
        return false;
    table->kind = PARTITIONS_GPT;
    memcpy(table->guid, header.guid, sizeof(header.guid));
    for (uint32_t i = 0; i < header.count && *result >= 0; i++) {
        struct gpt_entry entry;
        memcpy(&entry, entries + (size_t)i * header.entry_size, sizeof(entry));
        if (!is_zero(entry.type, sizeof(entry.type)))
            *result = entry_add(medium, table, &header, &entry, i + 1);
    }
    free(entries);
    return true;
}

int64_t gpt_read(const struct medium *medium, struct partition_table *table, uint8_t *sector)
{
    int64_t result = 0;
    if (copy_read(medium, table, FIRST_HEADER, sector, &result))
        return result;
    table_problem(table, "the first table is bad: its copy at the disk's end is used");
    if (copy_read(medium, table, medium->sectors - 1, sector, &result))
        return result;
    table->problem = "both tables are bad";
    return 0;
}
