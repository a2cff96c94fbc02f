/* The file allocation table: for each cluster the next one of its chain.
 *
 * Values are the same for FAT12, FAT16 and FAT32: 0 free, TABLE_END, TABLE_BAD, else a cluster, valid or not.
 */
#pragma once

#include "lib/fat/buffer.h"

#define TABLE_FREE 0u
#define TABLE_BAD  0x0ffffff7u
#define TABLE_END  0x0fffffffu /* also all from 0x0ffffff8 on, when read */

MUST_CHECK int64_t table_get(struct fat_volume *volume, uint32_t cluster, uint32_t *value);
/* In PHASE_NEW or PHASE_LINK. An entry that is new stays so. */
MUST_CHECK int64_t table_set(struct fat_volume *volume, uint32_t cluster, uint32_t value,
                             enum phase phase);
/* The next one of a chain, 0 at its end. E_IO: it leads to nowhere, or the cluster is not in use. */
MUST_CHECK int64_t table_next(struct fat_volume *volume, uint32_t cluster, uint32_t *next);

/* From the bytes of a table's part that begins at entry 0 of it. */
uint32_t table_value(const struct fat_volume *volume, const uint8_t *bytes, uint32_t entry);

/* Copies one cell of the buffer from an image to another (commit.c). */
void table_copy(const struct fat_volume *volume, uint8_t *to, const uint8_t *from, uint32_t cell);

/* Entries of the table in a buffer. */
static inline uint32_t table_cells(const struct fat_volume *volume)
{
    return volume->kept->room * 8 / volume->bits;
}
