/* What is known of a node, and what of it can be set. */
#include <string.h>

#include "lib/fat/call.h"
#include "lib/fat/directory.h"
#include "lib/fat/stamp.h"

#define SETTABLE (FAT_READ_ONLY | FAT_HIDDEN | FAT_SYSTEM | FAT_ARCHIVE)

struct fat_node *fat_parent(struct fat_node *node)
{
    if (node_is_root(node))
        return fat_get(node);
    return node->parent ? fat_get(node->parent) : NULL;
}

struct fat_volume *fat_volume(const struct fat_node *node)
{
    return node->volume;
}

void **fat_user(struct fat_node *node)
{
    return &node->user;
}

uint64_t fat_id(const struct fat_node *node)
{
    return node->record->id;
}

uint32_t fat_size(const struct fat_node *node)
{
    return node->record->size;
}

bool fat_is_directory(const struct fat_node *node)
{
    return node->attributes & FAT_DIRECTORY;
}

bool fat_is_unlinked(const struct fat_node *node)
{
    return node->removed;
}

/* Its entry: 1, or 0 if it never had one. */
static int64_t entry_of(struct fat_node *node, struct slot *entry)
{
    *entry = node->last;
    if (node_is_root(node))
        return 0;
    int64_t result = node->removed ? 0 : slot_read(node->volume, node->record->slot, entry);
    return result < 0 ? result : 1;
}

static int64_t count_clusters(struct fat_node *node, uint32_t *count)
{
    *count = clusters_for(node->volume, node->record->size);
    if (!fat_is_directory(node) || node_is_fixed(node) || node->removed)
        return 0;
    return chain_count(node, node->volume->clusters - 1, count);
}

int64_t fat_stat(struct fat_node *node, struct fat_stat *stat)
{
    struct fat_volume *volume = node->volume;
    struct slot entry;
    memset(stat, 0, sizeof(*stat));
    stat->inode = node->record->inode;
    stat->size = node->record->size;
    stat->attributes = node->attributes & FAT_DIRECTORY;
    int64_t result = count_clusters(node, &stat->allocated);
    if (result >= 0)
        result = entry_of(node, &entry);
    if (result <= 0)
        return result;
    stat->attributes = entry.attributes & ATTRIBUTE_MASK;
    stat->created = stamp_read(volume, entry.created_date, entry.created_time, entry.created_10ms);
    stat->accessed = stamp_read(volume, entry.accessed_date, 0, 0);
    stat->modified = stamp_read(volume, entry.modified_date, entry.modified_time, 0);
    return 0;
}

static int64_t entry_set(struct fat_node *node, const struct slot *entry)
{
    if (!node->removed)
        return slot_write(node->volume, node->record->slot, entry, PHASE_NAME);
    node->last = *entry;
    return 0;
}

int64_t fat_set_attributes(struct fat_node *node, uint32_t mask, uint32_t attributes)
{
    struct slot entry;
    mask &= SETTABLE;
    int64_t result = call_begin(node->volume);
    if (result >= 0)
        result = entry_of(node, &entry);
    if (result > 0) {
        entry.attributes = (uint8_t)((entry.attributes & ~mask) | (attributes & mask));
        result = entry_set(node, &entry);
    }
    return call_end(node->volume, result);
}

int64_t fat_set_times(struct fat_node *node, int64_t created, int64_t accessed, int64_t modified)
{
    struct fat_volume *volume = node->volume;
    struct slot entry;
    int64_t result = call_begin(volume);
    if (result >= 0)
        result = entry_of(node, &entry);
    if (result > 0) {
        stamp_created(volume, &entry, created);
        stamp_accessed(volume, &entry, accessed);
        stamp_modified(volume, &entry, modified);
        result = entry_set(node, &entry);
    }
    return call_end(volume, result);
}
