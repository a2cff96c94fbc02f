/* See space.h. */
#include "lib/fat/space.h"

#include <stdlib.h>
#include <string.h>

#include "lib/fat/table.h"

#define CHUNK_BYTES 65536u /* of the table, read at once */
#define WINDOW      64u    /* clusters a growing file can go on for before another one comes */
#define TRIES       16u    /* free runs that are looked at for a long one */

/* Of sectors whose entries are not split: three of FAT12's. */
static uint32_t chunk_sectors(const struct fat_volume *volume)
{
    return CHUNK_BYTES / volume->sector_size / volume->table_span * volume->table_span;
}

static uint32_t chunk_entries(const struct fat_volume *volume)
{
    return chunk_sectors(volume) * volume->sector_size * 8 / volume->bits;
}

int64_t space_open(struct fat_volume *volume)
{
    uint32_t end = volume->clusters + CLUSTER_FIRST;
    volume->chunks = (end + chunk_entries(volume) - 1) / chunk_entries(volume);
    volume->chunks_left = volume->chunks;
    volume->scanned = calloc(volume->chunks, 1);
    if (!volume->scanned || !bits_create(&volume->free, end) ||
        !bits_create(&volume->torn, volume->bits == 12 ? end : 0))
        return -E_NO_MEMORY;
    volume->rotor = cluster_valid(volume, volume->rotor) ? volume->rotor : CLUSTER_FIRST;
    volume->chunk_next = volume->rotor / chunk_entries(volume);
    return 0;
}

void space_close(struct fat_volume *volume)
{
    free(volume->scanned);
    bits_destroy(&volume->free);
    bits_destroy(&volume->torn);
}

/* FAT12's entries that lie in two sectors are torn if power fails between them. */
static struct bits *set_of(struct fat_volume *volume, uint32_t cluster)
{
    uint32_t last = volume->sector_size - 1;
    bool torn = volume->bits == 12 && (cluster + cluster / 2) % volume->sector_size == last;
    return torn ? &volume->torn : &volume->free;
}

static void give(struct fat_volume *volume, uint32_t cluster)
{
    struct bits *set = set_of(volume, cluster);
    if (bits_has(set, cluster))
        return;
    bits_add(set, cluster);
    volume->free_count++;
}

/* The device's bytes, but for what is changed in buffers. */
static int64_t chunk_read(struct fat_volume *volume, uint32_t sector, uint32_t count,
                          uint8_t *bytes)
{
    int64_t result = -E_IO;
    for (uint32_t copy = 0; copy < volume->tables && result < 0; copy++) {
        uint64_t from = volume->table_start + (uint64_t)copy * volume->table_sectors + sector;
        result = volume_read(volume, from * volume->sector_size, bytes,
                             (size_t)count * volume->sector_size);
    }
    list_for_each (struct buffer_link, own, &volume->buffers_dirty, link) {
        const struct buffer *buffer = &volume->heads[own - volume->links];
        if (buffer->kind == BUFFER_TABLE && buffer->sector >= sector &&
            buffer->sector < sector + count)
            memcpy(bytes + (buffer->sector - sector) * volume->sector_size,
                   buffer_now(volume, buffer),
                   (size_t)buffer_sectors(volume, buffer) * volume->sector_size);
    }
    return result;
}

static int64_t chunk_scan(struct fat_volume *volume, uint32_t chunk)
{
    uint32_t sector = chunk * chunk_sectors(volume), first = chunk * chunk_entries(volume);
    uint32_t sectors = MIN(chunk_sectors(volume), volume->table_sectors - sector);
    uint32_t entries = MIN(chunk_entries(volume), volume->clusters + CLUSTER_FIRST - first);
    uint8_t *bytes = malloc((size_t)sectors * volume->sector_size + sizeof(uint32_t));
    if (!bytes)
        return -E_NO_MEMORY;
    int64_t result = chunk_read(volume, sector, sectors, bytes);
    for (uint32_t i = first ? 0 : CLUSTER_FIRST; result >= 0 && i < entries; i++) {
        if (table_value(volume, bytes, i) == TABLE_FREE)
            give(volume, first + i);
    }
    free(bytes);
    if (result < 0)
        return result;
    volume->scanned[chunk] = 1;
    volume->chunks_left--;
    return 0;
}

static int64_t scan_next(struct fat_volume *volume)
{
    while (volume->scanned[volume->chunk_next])
        volume->chunk_next = (volume->chunk_next + 1) % volume->chunks;
    return chunk_scan(volume, volume->chunk_next);
}

/* The best of a few free runs at and behind the rotor; BITS_NONE: there is none at all. */
static uint32_t search(struct fat_volume *volume, uint32_t want)
{
    uint32_t best = BITS_NONE, longest = 0, at = volume->rotor;
    want = MIN(want, WINDOW);
    for (uint32_t i = 0; i < TRIES && longest < want; i++) {
        uint32_t found = bits_next(&volume->free, at);
        if (found == BITS_NONE && at != CLUSTER_FIRST)
            found = bits_next(&volume->free, CLUSTER_FIRST);
        if (found == BITS_NONE)
            break;
        uint32_t run = bits_run(&volume->free, found, want);
        if (run > longest) {
            longest = run;
            best = found;
        }
        at = found + run;
    }
    return best;
}

static void take(struct fat_volume *volume, struct cluster_run run)
{
    for (uint32_t i = run.first; i < run.first + run.count; i++)
        bits_remove(set_of(volume, i), i);
    volume->free_count -= run.count;
    volume->taken[volume->taken_count++] = run;
}

/* Where there is free space, if it takes all of the table to find it. */
static int64_t search_all(struct fat_volume *volume, uint32_t want, uint32_t *found)
{
    while ((*found = search(volume, want)) == BITS_NONE && volume->chunks_left) {
        int64_t result = scan_next(volume);
        if (result < 0)
            return result;
    }
    if (*found == BITS_NONE)
        *found = bits_next(&volume->torn, 0);
    return *found == BITS_NONE ? -E_NO_SPACE : 0;
}

int64_t space_take(struct fat_volume *volume, uint32_t goal, bool growing, uint32_t want,
                   struct cluster_run *run)
{
    int64_t result = 0;
    uint32_t room = 0; /* left behind it for the file to go on */
    if (volume->taken_count == CALL_TAKES)
        return -E_NO_SPACE;
    if (cluster_valid(volume, goal) && !volume->scanned[goal / chunk_entries(volume)])
        result = chunk_scan(volume, goal / chunk_entries(volume));
    if (result >= 0 && (!cluster_valid(volume, goal) || !bits_has(&volume->free, goal))) {
        result = search_all(volume, growing ? MAX(want, WINDOW) : want, &goal);
        room = growing && result >= 0 ? bits_run(&volume->free, goal, WINDOW) : 0;
    }
    if (result < 0)
        return result;
    *run = (struct cluster_run){goal, MAX(bits_run(&volume->free, goal, want), 1u)};
    take(volume, *run);
    uint32_t behind = goal + MAX(run->count, room);
    volume->rotor = cluster_valid(volume, behind) ? behind : CLUSTER_FIRST;
    return 0;
}

void space_give(struct fat_volume *volume, struct cluster_run run)
{
    for (uint32_t i = run.first; i < run.first + run.count; i++)
        if (volume->scanned[i / chunk_entries(volume)]) /* else it will be seen there */
            give(volume, i);
}

int64_t space_count(struct fat_volume *volume, uint32_t *free)
{
    while (volume->chunks_left) {
        int64_t result = scan_next(volume);
        if (result < 0)
            return result;
    }
    *free = volume->free_count;
    return 0;
}
