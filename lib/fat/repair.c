/* See repair.h. The tree is walked to see whether there is damage, and then to put right. */
#include "lib/fat/repair.h"

#include <stdlib.h>
#include <string.h>

#include "lib/fat/check.h"
#include "lib/fat/commit.h"
#include "lib/fat/space.h"
#include "lib/fat/table.h"

/* Whatever the table says is in use and no entry leads to. */
static int64_t free_lost(struct check *check)
{
    struct fat_volume *volume = check->volume;
    uint32_t free;
    int64_t result = space_count(volume, &free);
    for (uint32_t i = CLUSTER_FIRST; cluster_valid(volume, i) && result >= 0; i++) {
        uint32_t value = 0;
        if (i % 64 == 0 && !~(check->used.level[0][i / 64] | volume->free.level[0][i / 64])) {
            i += 63; /* each of these is a file's, or free */
            continue;
        }
        if (bits_has(&check->used, i) || bits_has(&volume->free, i))
            continue;
        result = table_get(volume, i, &value);
        if (result < 0 || value == TABLE_BAD || value == TABLE_FREE)
            continue;
        result = check_fix_table(check, i, TABLE_FREE, PHASE_NEW);
        if (result >= 0)
            space_give(volume, (struct cluster_run){i, 1});
        check->lost++;
    }
    return result;
}

/* The first copy is the one that is read. */
static int64_t copy_table(struct fat_volume *volume)
{
    uint32_t length = volume->sector_size;
    uint8_t *first = malloc(2 * (size_t)length), *other = first + length;
    int64_t result = first ? 0 : -E_NO_MEMORY;
    for (uint32_t i = 0; i < volume->table_sectors && result >= 0; i++) {
        if (volume_read(volume, (uint64_t)(volume->table_start + i) * length, first, length) < 0)
            continue; /* the other is all there is */
        for (uint32_t copy = 1; copy < volume->tables && result >= 0; copy++) {
            uint64_t at =
                (volume->table_start + (uint64_t)copy * volume->table_sectors + i) * length;
            if (volume_read(volume, at, other, length) < 0 || memcmp(first, other, length))
                result = volume_write(volume, at, first, length);
        }
    }
    free(first);
    return result;
}

/* In steps, each on the platter before the next. */
static int64_t put_right(struct check *check)
{
    int64_t result = copy_table(check->volume);
    if (result >= 0)
        result = check_walk(check, CHECK_FIX);
    if (result >= 0)
        result = commit(check->volume);
    uint32_t cut = check->cut, left = check->left, parts = check->parts;
    if (result >= 0 && left) /* what is left of the long names of those */
        result = check_walk(check, CHECK_FIX);
    if (result >= 0)
        result = free_lost(check);
    if (result >= 0)
        result = commit(check->volume);
    if (cut || left || parts || check->lost)
        volume_say(check->volume,
                   "put right: %u files' ends, %u old names, %u parts of names, %u lost clusters",
                   cut, left, parts, check->lost);
    return result;
}

int64_t repair(struct fat_volume *volume)
{
    struct check check = {.volume = volume};
    volume_say(volume, "it was not properly left, looking through it");
    int64_t result = check_walk(&check, CHECK_FIND);
    if (result >= 0)
        result = check_walk(&check, CHECK_LOOK);
    if (result == -E_IO || check.damage) {
        volume_say(volume, "it is damaged, and read-only therefore");
        volume->read_only = volume->damaged = true;
        result = 0;
    } else if (result >= 0) {
        result = put_right(&check);
    }
    check_free(&check);
    return result;
}
