/* Bytes of files: how many there are, and where. */
#include <stdlib.h>
#include <string.h>

#include "lib/fat/call.h"
#include "lib/fat/commit.h"
#include "lib/fat/directory.h"
#include "lib/fat/stamp.h"

#define PIECE_CLUSTERS 256u   /* taken in one go */
#define ZEROS_LENGTH   65536u /* written in one go */

/* Where a byte of the file lies, and how many of `length` follow it there. */
static int64_t locate(struct fat_node *node, uint64_t offset, uint64_t length, struct fat_run *run)
{
    struct fat_volume *volume = node->volume;
    struct cluster_run clusters;
    uint32_t skip = (uint32_t)(offset % volume->cluster_size);
    int64_t result = chain_find(node, (uint32_t)(offset / volume->cluster_size),
                                clusters_for(volume, skip + length), &clusters);
    if (result < 0)
        return result;
    if (!clusters.count)
        return volume_malformed(volume, "the file at cluster %u is shorter than its size",
                                node->record->start);
    run->device = cluster_sector(volume, clusters.first) * volume->sector_size + skip;
    run->length = MIN((uint64_t)clusters.count * volume->cluster_size - skip, length);
    return 0;
}

int64_t fat_map(struct fat_node *node, uint64_t offset, uint64_t length, struct fat_run *run)
{
    const struct record *record = node->record;
    if (node->attributes & FAT_DIRECTORY)
        return -E_IS_DIRECTORY;
    if (offset >= record->size)
        return -E_RANGE;
    if (offset >= record->valid) {
        *run = (struct fat_run){FAT_ZEROS, MIN(length, record->size - offset)};
        return 0;
    }
    return locate(node, offset, MIN(length, record->valid - offset), run);
}

int64_t fat_map_write(struct fat_node *node, uint64_t offset, uint64_t length, struct fat_run *run)
{
    uint64_t end = ALIGN_UP((uint64_t)node->record->size, (uint64_t)node->volume->sector_size);
    if (node->attributes & FAT_DIRECTORY)
        return -E_IS_DIRECTORY;
    if (offset >= end)
        return -E_RANGE;
    return locate(node, offset, MIN(length, end - offset), run);
}

/* --- What was never written --- */

/* The rest of the sector that has the first such byte. */
static int64_t fill_sector(struct fat_node *node, uint32_t *valid)
{
    struct fat_volume *volume = node->volume;
    uint8_t sector[4096];
    struct fat_run run;
    uint32_t skip = *valid % volume->sector_size;
    int64_t result = locate(node, *valid - skip, volume->sector_size, &run);
    if (result >= 0)
        result = volume_read(volume, run.device, sector, volume->sector_size);
    if (result < 0)
        return result;
    memset(sector + skip, 0, volume->sector_size - skip);
    *valid += volume->sector_size - skip;
    return volume_write(volume, run.device, sector, volume->sector_size);
}

static int64_t fill_run(struct fat_node *node, uint32_t *valid, uint64_t end, const uint8_t *zeros)
{
    struct fat_volume *volume = node->volume;
    struct fat_run run;
    uint64_t rest = ALIGN_UP(end - *valid, (uint64_t)volume->sector_size);
    int64_t result = locate(node, *valid, MIN(rest, (uint64_t)ZEROS_LENGTH), &run);
    if (result < 0)
        return result;
    uint64_t length = run.length;
    *valid = (uint32_t)MIN(*valid + length, end);
    return volume_write(volume, run.device, zeros, length);
}

int64_t file_fill(struct fat_node *node, uint64_t end)
{
    struct record *record = node->record;
    end = MIN(end, record->size);
    if (record->valid >= end)
        return 0;
    uint8_t *zeros = calloc(1, ZEROS_LENGTH);
    int64_t result = zeros ? 0 : -E_NO_MEMORY;
    while (result >= 0 && record->valid < end) {
        uint32_t valid = record->valid;
        if (valid % node->volume->sector_size)
            result = fill_sector(node, &valid);
        else
            result = fill_run(node, &valid, end, zeros);
        if (result < 0)
            break;
        keep_set(node->volume, &record->valid, MIN(valid, record->size));
        keep_commit(node->volume);
    }
    free(zeros);
    return result;
}

int64_t fat_wrote(struct fat_node *node, uint64_t offset, uint64_t length)
{
    struct record *record = node->record;
    if (node->attributes & FAT_DIRECTORY)
        return -E_IS_DIRECTORY;
    int64_t result = file_fill(node, offset);
    if (result < 0)
        return result;
    uint32_t end = (uint32_t)MIN(offset + length, (uint64_t)record->size);
    if (end > record->valid)
        keep_set(node->volume, &record->valid, end);
    keep_commit(node->volume);
    return 0;
}

/* --- How many --- */

/* The entry says what the record does. */
static int64_t write_entry(struct fat_node *node, int64_t when)
{
    struct slot entry;
    const struct record *record = node->record;
    if (!record->slot) {
        stamp_modified(node->volume, &node->last, when);
        return 0;
    }
    int64_t result = slot_read(node->volume, record->slot, &entry);
    if (result < 0)
        return result;
    entry.size = record->size;
    entry.attributes |= FAT_ARCHIVE;
    slot_set_cluster(&entry, record->start);
    stamp_modified(node->volume, &entry, when);
    return slot_write(node->volume, record->slot, &entry, PHASE_NAME);
}

/* Clusters in pieces, each a call of its own: until the size is set they are too many, no more. */
static int64_t reserve(struct fat_node *node, uint32_t need)
{
    struct fat_volume *volume = node->volume;
    uint32_t have;
    int64_t result = chain_count(node, need, &have);
    if (result < 0 || have >= need)
        return result;
    node_flag(node, RECORD_TRIM);
    keep_commit(volume);
    while (result >= 0 && have < need) {
        struct cluster_run run = {0, 0};
        result = chain_extend(node, MIN(need - have, PIECE_CLUSTERS), &run);
        have += run.count;
        result = call_end(volume, result);
        if (result >= 0)
            result = call_begin(volume);
    }
    return result;
}

/* Whether clusters may come free by writing what was changed: those of deleted files, and of others that became shorter. */
static bool may_gain(const struct fat_node *node)
{
    const struct fat_volume *volume = node->volume;
    const struct list *first = volume->nodes_pending.next;
    bool others = first != &volume->nodes_pending &&
                  (first != &node->pending || first->next != &volume->nodes_pending);
    return volume->doomed || others;
}

/* Files that became shorter are cut by the first commit, and their clusters are free after the second. */
static int64_t reserve_all(struct fat_node *node, uint32_t need)
{
    node->growing = true;
    int64_t result = reserve(node, need);
    for (int i = 0; i < 2 && result == -E_NO_SPACE && may_gain(node); i++) {
        result = commit(node->volume);
        if (result >= 0)
            result = reserve(node, need);
    }
    node->growing = false;
    return result;
}

static int64_t shrink(struct fat_node *node, uint32_t size)
{
    struct fat_volume *volume = node->volume;
    struct record *record = node->record;
    if (size) {
        node_flag(node, RECORD_TRIM);
    } else {
        if (!record_doom(volume, record->start))
            return -E_NO_MEMORY;
        keep_set(volume, &record->start, 0u);
        chain_forget(&node->chain);
        node->chain.aborts = volume->aborts;
    }
    keep_set(volume, &record->valid, MIN(record->valid, size));
    return 0;
}

int64_t fat_resize(struct fat_node *node, uint64_t size, int64_t when)
{
    struct fat_volume *volume = node->volume;
    struct record *record = node->record;
    if (node->attributes & FAT_DIRECTORY)
        return -E_IS_DIRECTORY;
    if (size > FAT_FILE_MAX)
        return -E_FILE_TOO_BIG;
    int64_t result = call_begin(volume);
    if (result < 0)
        return result;
    if (size > record->size)
        result = reserve_all(node, clusters_for(volume, size));
    else if (size < record->size)
        result = shrink(node, (uint32_t)size);
    if (result >= 0) {
        if (size > record->size)
            node_flag(node, RECORD_GREW);
        keep_set(volume, &record->size, (uint32_t)size);
        result = write_entry(node, when);
    }
    return call_end_numbered(volume, result);
}
