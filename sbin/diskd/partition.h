/* Tables of partitions: GPT (UEFI 2.10, chapter 5) and MBR with its chain of logical partitions. Pure.
 *
 *     partitions_read(&medium, &table)       what is there, as far as it can be believed
 *     partitions_free(&table)
 *
 * Whoever wrote the disk wrote the table, so nothing in it is believed: what is not wholly on the disk, overlaps with what was
 * read before it, or closes a circle is left out, and table->problem says what was first found wrong. Of a GPT the header and the
 * entries have their checksums; where the first copy is bad the one at the disk's end is taken.
 */
#pragma once

#include "lib/base/base.h"

#define PARTITIONS_MAX     1024u /* more are left out */
#define PARTITION_NAME_MAX 108u  /* 36 units of UTF-16, as UTF-8 */

struct medium {
    uint64_t sectors;
    uint32_t sector; /* bytes, 512 to 4096 */
    /* False: they cannot be read. At most MEDIUM_READ_MAX bytes at once. */
    bool (*read)(void *context, uint64_t first, uint32_t count, void *bytes);
    void *context;
};

#define MEDIUM_READ_MAX 0x10000u

enum partition_kind { PARTITIONS_NONE, PARTITIONS_MBR, PARTITIONS_GPT };

struct partition {
    uint64_t first, count; /* sectors */
    uint32_t number; /* the N of disk:///vd0/pN: its place in the table; logical ones from 5 on */
    uint8_t type;    /* of an MBR's */
    uint8_t type_guid[16], guid[16];   /* of a GPT's, as they lie on the disk */
    char name[PARTITION_NAME_MAX + 1]; /* of a GPT's, UTF-8 */
};

struct partition_table {
    enum partition_kind kind;
    uint8_t guid[16];   /* of the disk, of a GPT */
    uint32_t signature; /* ... of an MBR */
    struct partition *items;
    uint32_t count;
    const char *problem; /* NULL: none was found */
};

/* 0, -E_IO (the disk's beginning cannot be read), -E_NO_MEMORY. */
MUST_CHECK int64_t partitions_read(const struct medium *medium, struct partition_table *table);
void partitions_free(struct partition_table *table);

/* CRC-32 of ISO 3309, which GPT uses; begin with 0. */
uint32_t crc32_update(uint32_t crc, const void *bytes, size_t length);
