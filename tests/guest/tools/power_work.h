/* What power_work.c does to a file system and says about it, and what a file's bytes are, for who looks after a power cut
 * (tests/host/tools/power_cuts.c).
 *
 * The journal is a partition beside the volume, so that both are in one log of writes: a record in each sector, written before what it
 * tells of is begun, and POWER_SYNCED after all before it was acknowledged.
 *
 * A file is known by its first bytes, which stay; every other byte tells who wrote it there: the number of the record.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define POWER_MAGIC   UINT64_C(0x6c616e72756f6a70)
#define POWER_FOLDERS 4u
#define POWER_NAMES   10u /* in each folder */
#define POWER_PLACES  (POWER_FOLDERS * POWER_NAMES)
#define POWER_SECTOR  512u
#define POWER_HEADER  8u
#define POWER_SIZE    60000u /* of a file at most */

enum power_what {
    POWER_CREATE = 1, /* and its first bytes: offset, length */
    POWER_WRITE,      /* offset, length: appended or written over */
    POWER_TRUNCATE,   /* length: the size it gets */
    POWER_RENAME,     /* to another place, whatever is there */
    POWER_UNLINK,
    POWER_SYNCED,
};

struct power_record {
    uint64_t magic;
    uint32_t number; /* 0, 1, 2 ...: its sector, too */
    uint32_t what;
    uint32_t file; /* 1, 2, 3 ... */
    uint32_t place, to;
    uint32_t offset, length;
    uint32_t unused;
};

/* The bytes of file that record `number` writes. */
static inline void power_fill(uint8_t *bytes, uint32_t file, uint32_t number, uint32_t offset,
                              uint32_t length)
{
    for (uint32_t i = 0; i < length; i++) {
        uint32_t at = offset + i;
        bytes[i] = (uint8_t)(((file * 2654435761u ^ number * 40503u) + at * 2246822519u) >> 13);
        if (at < POWER_HEADER)
            bytes[i] = at ? (uint8_t)((uint64_t)file << 8 >> at * 8) : 0xb7;
    }
}

/* A place's path below the volume's root. */
static inline const char *power_path(uint32_t place, char path[64])
{
    static const char *const forms[] = {"d%u/N%u", "d%u/name of file %u.data",
                                        "d%u/rather a long name, of more than 26 units %u"};
    uint32_t name = place % POWER_NAMES;
    snprintf(path, 64, forms[name % 3], place / POWER_NAMES, name);
    return path;
}
