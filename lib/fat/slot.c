/* Slots by their place, and entries one after the other. See directory.h. */
#include <stdlib.h>
#include <string.h>

#include "lib/fat/directory.h"
#include "lib/fat/scan.h"

static int64_t slot_buffer(struct fat_volume *volume, uint64_t slot, struct buffer **buffer,
                           uint32_t *cell)
{
    *cell = (uint32_t)(slot % slots_of_sector(volume));
    return buffer_get(volume, BUFFER_SLOTS, slot / slots_of_sector(volume), buffer);
}

int64_t slot_read(struct fat_volume *volume, uint64_t slot, struct slot *entry)
{
    struct buffer *buffer;
    uint32_t cell;
    int64_t result = slot_buffer(volume, slot, &buffer, &cell);
    if (result >= 0)
        memcpy(entry, buffer_now(volume, buffer) + cell * SLOT_SIZE, SLOT_SIZE);
    return result;
}

int64_t slot_write(struct fat_volume *volume, uint64_t slot, const struct slot *entry,
                   uint32_t phase)
{
    struct buffer *buffer;
    uint32_t cell;
    int64_t result = slot_buffer(volume, slot, &buffer, &cell);
    if (result >= 0)
        buffer_change(volume, buffer, cell, cell * SLOT_SIZE, entry, SLOT_SIZE, phase);
    return result;
}

int64_t slot_place(struct fat_node *node, uint32_t number, uint64_t *slot)
{
    struct fat_volume *volume = node->volume;
    uint32_t per_sector = slots_of_sector(volume), sector = number / per_sector;
    uint64_t at;
    if (number >= DIRECTORY_SLOTS_MAX)
        return 0;
    if (node_is_fixed(node)) {
        if (sector >= volume->root_sectors)
            return 0;
        at = volume->root_start + sector;
    } else {
        struct cluster_run run;
        int64_t result = chain_find(node, sector / volume->cluster_sectors, 1, &run);
        if (result < 0 || !run.count)
            return result;
        at = cluster_sector(volume, run.first) + sector % volume->cluster_sectors;
    }
    *slot = at * per_sector + number % per_sector;
    return 1;
}

int64_t scan_slot(struct scan *scan, uint32_t number, const struct slot **slot)
{
    struct fat_volume *volume = scan->node->volume;
    uint64_t place;
    int64_t result = slot_place(scan->node, number, &place);
    if (result <= 0)
        return result;
    struct buffer *buffer;
    uint32_t cell;
    result = slot_buffer(volume, place, &buffer, &cell);
    if (result < 0)
        return result;
    bool changed = buffer->phases != 0;
    const uint8_t *image =
        changed && scan->device ? buffer_device(volume, buffer) : buffer_now(volume, buffer);
    *slot = (const struct slot *)(const void *)(image + cell * SLOT_SIZE);
    scan->phase = changed ? buffer_phases(volume, buffer)[cell] : PHASE_NONE;
    return 1;
}

/* A part of a long name: the first of them, the one that was expected, or neither. */
static void long_part(struct scan *scan, struct found *found, const struct slot *slot)
{
    uint32_t order = slot->order & ~LONG_LAST;
    bool begins = slot->order & LONG_LAST;
    bool goes_on = scan->expected && order == scan->expected && slot->sum == scan->sum;
    if (begins) {
        found->first = scan->position;
        scan->sum = slot->sum;
    }
    bool right = (begins || (goes_on && !begins)) && long_read(&found->name, slot);
    scan->expected = right ? order - 1 : 0;
    scan->whole = right && order == 1;
}

static bool is_dots(const struct name *name)
{
    return name->length <= 2 && name->units[0] == '.' &&
           (name->length == 1 || name->units[1] == '.');
}

/* An entry, or nothing that has a name. */
static bool short_part(struct scan *scan, struct found *found, const struct slot *slot)
{
    bool whole = scan->whole && scan->sum == short_sum(slot->name) && !is_dots(&found->name);
    scan->whole = false;
    scan->expected = 0;
    if (slot->attributes & ATTRIBUTE_VOLUME || slot->name[0] == '.')
        return false;
    found->slot = scan->position;
    found->entry = *slot;
    if (!whole) {
        found->first = scan->position;
        name_from_short(&found->name, slot);
    }
    return true;
}

int64_t scan_next(struct scan *scan, struct found *found)
{
    for (;; scan->position++) {
        const struct slot *slot;
        int64_t result = scan_slot(scan, scan->position, &slot);
        if (result <= 0 || (uint8_t)slot->name[0] == SLOT_END)
            return result < 0 ? result : 0;
        if ((uint8_t)slot->name[0] == SLOT_FREE)
            scan->expected = scan->whole = 0;
        else if ((slot->attributes & ATTRIBUTE_MASK) == ATTRIBUTE_LONG)
            long_part(scan, found, slot);
        else if (short_part(scan, found, slot)) {
            scan->position++;
            return 1;
        }
    }
}

int64_t directory_scan(struct fat_node *node, uint32_t *position, struct found *found)
{
    struct scan scan = {.node = node, .position = *position};
    int64_t result = node->removed ? 0 : scan_next(&scan, found);
    *position = scan.position;
    return result;
}

int64_t cluster_clear(struct fat_volume *volume, uint32_t cluster, const struct slot *first,
                      uint32_t count)
{
    uint8_t *bytes = calloc(1, volume->cluster_size);
    if (!bytes)
        return -E_NO_MEMORY;
    if (count)
        memcpy(bytes, first, count * SLOT_SIZE);
    uint64_t sector = cluster_sector(volume, cluster);
    buffers_forget(volume, sector, volume->cluster_sectors);
    int64_t result =
        volume_write(volume, sector * volume->sector_size, bytes, volume->cluster_size);
    free(bytes);
    return result;
}
