/* See table.h. */
#include "lib/fat/table.h"

#include <string.h>

/* Where the entry begins. FAT12's odd ones have its upper four bits and the byte behind. */
static uint32_t offset_of(const struct fat_volume *volume, uint32_t entry)
{
    return volume->bits == 12 ? entry + entry / 2 : entry * (volume->bits / 8);
}

uint32_t table_value(const struct fat_volume *volume, const uint8_t *bytes, uint32_t entry)
{
    uint32_t value = 0, mask = volume->bits == 12 ? 0xfff : volume->bits == 16 ? 0xffff : TABLE_END;
    memcpy(&value, bytes + offset_of(volume, entry), volume->bits == 32 ? 4 : 2);
    if (volume->bits == 12 && entry % 2)
        value >>= 4;
    value &= mask;
    if (value >= mask - 7) /* the same meaning at any width */
        return TABLE_END;
    return value == mask - 8 ? TABLE_BAD : value;
}

/* Leaves the bits beside the entry as they are: of FAT12 the neighbour's, of FAT32 the upper four, which are reserved. */
static uint32_t merged(const struct fat_volume *volume, const uint8_t *bytes, uint32_t entry,
                       uint32_t value)
{
    uint32_t old = 0;
    memcpy(&old, bytes + offset_of(volume, entry), volume->bits == 32 ? 4 : 2);
    if (volume->bits == 32)
        return (old & ~TABLE_END) | (value & TABLE_END);
    if (volume->bits == 16)
        return value & 0xffff;
    return entry % 2 ? (old & 0xf) | (value & 0xfff) << 4 : (old & 0xf000) | (value & 0xfff);
}

void table_copy(const struct fat_volume *volume, uint8_t *to, const uint8_t *from, uint32_t cell)
{
    uint32_t whole = 0, length = volume->bits == 32 ? 4 : 2;
    memcpy(&whole, from + offset_of(volume, cell), length);
    if (volume->bits == 12)
        whole = merged(volume, to, cell, cell % 2 ? whole >> 4 : whole);
    memcpy(to + offset_of(volume, cell), &whole, length);
}

static int64_t locate(struct fat_volume *volume, uint32_t cluster, struct buffer **buffer,
                      uint32_t *cell)
{
    uint32_t cells = table_cells(volume);
    *cell = cluster % cells;
    return buffer_get(volume, BUFFER_TABLE, (uint64_t)(cluster / cells) * volume->table_span,
                      buffer);
}

int64_t table_get(struct fat_volume *volume, uint32_t cluster, uint32_t *value)
{
    struct buffer *buffer;
    uint32_t cell;
    int64_t result = locate(volume, cluster, &buffer, &cell);
    if (result >= 0)
        *value = table_value(volume, buffer_now(volume, buffer), cell);
    return result;
}

int64_t table_set(struct fat_volume *volume, uint32_t cluster, uint32_t value, enum phase phase)
{
    struct buffer *buffer;
    uint32_t cell;
    int64_t result = locate(volume, cluster, &buffer, &cell);
    if (result < 0)
        return result;
    if (buffer->phases && buffer_phases(volume, buffer)[cell] == PHASE_NEW)
        phase = PHASE_NEW;
    uint32_t whole = merged(volume, buffer_now(volume, buffer), cell, value);
    buffer_change(volume, buffer, cell, offset_of(volume, cell), &whole, volume->bits == 32 ? 4 : 2,
                  phase);
    return 0;
}

int64_t table_next(struct fat_volume *volume, uint32_t cluster, uint32_t *next)
{
    uint32_t value;
    int64_t result = table_get(volume, cluster, &value);
    if (result < 0)
        return result;
    *next = value == TABLE_END ? 0 : value;
    if (value == TABLE_END || cluster_valid(volume, value))
        return 0;
    return volume_malformed(volume, "cluster %u is followed by %u", cluster, value);
}
