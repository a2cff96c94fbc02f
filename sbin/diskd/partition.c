#include "sbin/diskd/partition.h"

#include <stdlib.h>
#include <string.h>

#include "abi/errors.h"
#include "sbin/diskd/gpt.h"

#define MBR_SIGNATURE_AT 510u
#define MBR_DISK_AT      440u
#define MBR_TABLE_AT     446u
#define MBR_ENTRIES      4u
#define LOGICAL_FIRST    5u
#define CHAIN_MAX        256u

#define TYPE_EXTENDED     0x05u
#define TYPE_EXTENDED_LBA 0x0fu
#define TYPE_EXTENDED_OLD 0x85u /* Linux's */
#define TYPE_PROTECTIVE   0xeeu

struct mbr_entry {
    uint8_t status, first_chs[3], type, last_chs[3];
    uint8_t first[4], count[4];
};

/* --- The list --- */

void table_problem(struct partition_table *table, const char *what)
{
    if (!table->problem)
        table->problem = what;
}

static bool overlaps(const struct partition_table *table, uint64_t first, uint64_t count)
{
    for (uint32_t i = 0; i < table->count; i++) {
        const struct partition *other = &table->items[i];
        if (first < other->first + other->count && other->first < first + count)
            return true;
    }
    return false;
}

int64_t table_add(const struct medium *medium, struct partition_table *table,
                  const struct partition *partition)
{
    uint64_t first = partition->first, count = partition->count;
    if (!first || !count || first >= medium->sectors || count > medium->sectors - first) {
        table_problem(table, "a partition is not on the disk");
        return 0;
    }
    if (overlaps(table, first, count)) {
        table_problem(table, "partitions overlap");
        return 0;
    }
    if (table->count == PARTITIONS_MAX) {
        table_problem(table, "too many partitions");
        return 0;
    }
    struct partition *items = realloc(table->items, (table->count + 1) * sizeof(*items));
    if (!items)
        return -E_NO_MEMORY;
    table->items = items;
    items[table->count++] = *partition;
    return 1;
}

void partitions_free(struct partition_table *table)
{
    free(table->items);
    table->items = NULL;
    table->count = 0;
}

/* --- MBR --- */

static uint32_t number_at(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static bool is_extended(uint8_t type)
{
    return type == TYPE_EXTENDED || type == TYPE_EXTENDED_LBA || type == TYPE_EXTENDED_OLD;
}

static bool is_mbr(const uint8_t *sector)
{
    return sector[MBR_SIGNATURE_AT] == 0x55 && sector[MBR_SIGNATURE_AT + 1] == 0xaa;
}

static void entries_read(const uint8_t *sector, struct mbr_entry entries[MBR_ENTRIES])
{
    memcpy(entries, sector + MBR_TABLE_AT, MBR_ENTRIES * sizeof(entries[0]));
}

/* A file system's first sector ends in the same two bytes, with code in front of them. */
static bool entries_sound(const struct mbr_entry entries[MBR_ENTRIES])
{
    for (unsigned i = 0; i < MBR_ENTRIES; i++)
        if (entries[i].status & 0x7f)
            return false;
    return true;
}

static int64_t entry_add(const struct medium *medium, struct partition_table *table,
                         const struct mbr_entry *entry, uint64_t base, uint32_t number)
{
    struct partition partition = {.first = base + number_at(entry->first),
                                  .count = number_at(entry->count),
                                  .number = number,
                                  .type = entry->type};
    return table_add(medium, table, &partition);
}

/* Logical partitions: a chain of sectors, each with one partition and the way to the next, counted from the chain's start. A
 * circle comes to a partition that was read before, which overlaps with itself. */
static int64_t chain_read(const struct medium *medium, struct partition_table *table,
                          uint64_t start, uint64_t length, uint8_t *sector)
{
    uint64_t at = 0;
    for (uint32_t n = 0; n < CHAIN_MAX; n++) {
        struct mbr_entry entries[MBR_ENTRIES];
        if (at >= length || start + at >= medium->sectors ||
            !medium->read(medium->context, start + at, 1, sector) || !is_mbr(sector)) {
            table_problem(table, "the chain of logical partitions is broken");
            return 0;
        }
        entries_read(sector, entries);
        int64_t result = entries[0].type
                             ? entry_add(medium, table, &entries[0], start + at, LOGICAL_FIRST + n)
                             : 1;
        if (result <= 0 || !is_extended(entries[1].type))
            return result;
        at = number_at(entries[1].first);
        if (!at)
            return 0;
    }
    table_problem(table, "the chain of logical partitions does not end");
    return 0;
}

static int64_t mbr_read(const struct medium *medium, struct partition_table *table, uint8_t *sector)
{
    struct mbr_entry entries[MBR_ENTRIES];
    int64_t result = 0;
    entries_read(sector, entries);
    if (!entries_sound(entries))
        return 0;
    table->signature = number_at(sector + MBR_DISK_AT);
    for (unsigned i = 0; i < MBR_ENTRIES && result >= 0; i++) {
        if (!entries[i].type)
            continue;
        table->kind = PARTITIONS_MBR;
        if (!is_extended(entries[i].type))
            result = entry_add(medium, table, &entries[i], 0, i + 1);
    }
    for (unsigned i = 0; i < MBR_ENTRIES && result >= 0; i++)
        if (is_extended(entries[i].type))
            return chain_read(medium, table, number_at(entries[i].first),
                              number_at(entries[i].count), sector);
    return result;
}

static bool is_protective(const uint8_t *sector)
{
    struct mbr_entry entries[MBR_ENTRIES];
    bool found = false;
    entries_read(sector, entries);
    for (unsigned i = 0; i < MBR_ENTRIES; i++)
        found |= entries[i].type == TYPE_PROTECTIVE;
    return found;
}

int64_t partitions_read(const struct medium *medium, struct partition_table *table)
{
    *table = (struct partition_table){.kind = PARTITIONS_NONE};
    if (!medium->sectors)
        return 0;
    uint8_t *sector = malloc(medium->sector);
    if (!sector)
        return -E_NO_MEMORY;
    int64_t result = medium->read(medium->context, 0, 1, sector) ? 0 : -E_IO;
    if (result == 0 && is_mbr(sector))
        result = is_protective(sector) ? gpt_read(medium, table, sector)
                                       : mbr_read(medium, table, sector);
    free(sector);
    if (result < 0)
        partitions_free(table);
    return MIN(result, 0);
}
