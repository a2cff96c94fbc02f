/* Names: looked up, listed, made, removed. rename.c moves them. */
#include <string.h>

#include "lib/fat/call.h"
#include "lib/fat/commit.h"
#include "lib/fat/lookup.h"
#include "lib/fat/stamp.h"
#include "lib/fat/table.h"

int64_t lookup(struct fat_node *directory, const struct name *name, struct looked_up *at)
{
    if (!(directory->attributes & FAT_DIRECTORY))
        return -E_NOT_DIRECTORY;
    int64_t result = directory_find(directory, name, &at->found);
    if (result <= 0)
        return result;
    result = slot_place(directory, at->found.slot, &at->slot);
    return result ? result : -E_IO;
}

int64_t name_ready(struct fat_node *directory, const struct name *name)
{
    struct looked_up at;
    int64_t result = lookup(directory, name, &at);
    if (result != 0)
        return result < 0 ? result : -E_EXISTS;
    result = directory_admits(directory, name);
    return result ? MIN(result, 0) : commit(directory->volume);
}

int64_t fat_lookup(struct fat_node *directory, const char *text, size_t length,
                   struct fat_node **node)
{
    struct name name;
    struct looked_up at;
    int64_t result = name_from_utf8(&name, text, length);
    if (result >= 0)
        result = lookup(directory, &name, &at);
    if (result == 0)
        return -E_NOT_FOUND;
    if (result > 0)
        result = node_get(directory, at.slot, &at.found.entry, node);
    return call_end(directory->volume, MIN(result, 0));
}

int64_t fat_list(struct fat_node *directory, uint32_t position, struct fat_entry *entry)
{
    struct found found;
    uint64_t slot;
    if (!(directory->attributes & FAT_DIRECTORY))
        return -E_NOT_DIRECTORY;
    int64_t result = directory_scan(directory, &position, &found);
    if (result > 0)
        result = slot_place(directory, found.slot, &slot);
    if (result <= 0)
        return result;
    const struct fat_node *node = node_find(directory->volume, slot);
    entry->inode = node ? node->record->inode : slot;
    entry->next = position;
    entry->attributes = found.entry.attributes & ATTRIBUTE_MASK;
    entry->length = name_to_utf8(&found.name, entry->name);
    return 1;
}

/* A new entry under a name that is free, and its node. */
static int64_t make(struct fat_node *directory, const struct name *name, struct slot *entry,
                    int64_t when, struct fat_node **node)
{
    struct fat_volume *volume = directory->volume;
    uint64_t slot;
    stamp_created(volume, entry, when);
    stamp_accessed(volume, entry, when);
    stamp_modified(volume, entry, when);
    int64_t result = directory_add(directory, name, entry, &slot);
    return result < 0 ? result : node_get(directory, slot, entry, node);
}

/* With what is written to the platter come clusters and slots of deleted files. */
static bool may_free(const struct fat_volume *volume, int64_t result)
{
    return result == -E_NO_SPACE && (volume->doomed || volume->dirty_count);
}

static int64_t create_once(struct fat_node *directory, const struct name *name, uint32_t attributes,
                           int64_t when, struct fat_node **node)
{
    struct slot entry = {.attributes = (uint8_t)(attributes & (ATTRIBUTE_MASK & ~FAT_DIRECTORY &
                                                               ~ATTRIBUTE_VOLUME))};
    int64_t result = call_begin(directory->volume);
    if (result >= 0)
        result = name_ready(directory, name);
    if (result >= 0)
        result = make(directory, name, &entry, when, node);
    return call_end_numbered(directory->volume, result);
}

int64_t fat_create(struct fat_node *directory, const char *text, size_t length, uint32_t attributes,
                   int64_t when, struct fat_node **node)
{
    struct name name;
    int64_t result = name_from_utf8(&name, text, length);
    if (result >= 0)
        result = create_once(directory, &name, attributes, when, node);
    for (int i = 0; i < 2 && may_free(directory->volume, result); i++) {
        result = commit(directory->volume);
        if (result >= 0)
            result = create_once(directory, &name, attributes, when, node);
    }
    return result;
}

uint32_t dots_cluster(const struct fat_node *directory)
{
    return node_is_root(directory) ? 0 : directory->record->start;
}

/* The new directory's first cluster, with "." and "..". */
static int64_t make_cluster(struct fat_node *directory, const struct slot *entry, uint32_t *cluster)
{
    struct fat_volume *volume = directory->volume;
    struct cluster_run run;
    struct slot dots[2] = {*entry, *entry};
    int64_t result = space_take(volume, 0, false, 1, &run);
    if (result < 0)
        return result;
    memcpy(dots[0].name, ".          ", sizeof(dots[0].name));
    memcpy(dots[1].name, "..         ", sizeof(dots[1].name));
    slot_set_cluster(&dots[0], run.first);
    slot_set_cluster(&dots[1], dots_cluster(directory));
    *cluster = run.first;
    result = cluster_clear(volume, run.first, dots, ARRAY_SIZE(dots));
    return result < 0 ? result : table_set(volume, run.first, TABLE_END, PHASE_NEW);
}

static int64_t mkdir_once(struct fat_node *directory, const struct name *name, int64_t when,
                          struct fat_node **node)
{
    struct fat_volume *volume = directory->volume;
    struct slot entry = {.attributes = FAT_DIRECTORY};
    uint32_t cluster = 0;
    stamp_created(volume, &entry, when);
    stamp_accessed(volume, &entry, when);
    stamp_modified(volume, &entry, when);
    int64_t result = call_begin(volume);
    if (result >= 0)
        result = name_ready(directory, name);
    if (result >= 0)
        result = make_cluster(directory, &entry, &cluster);
    slot_set_cluster(&entry, cluster);
    if (result >= 0)
        result = make(directory, name, &entry, when, node);
    return call_end_numbered(volume, result);
}

int64_t fat_mkdir(struct fat_node *directory, const char *text, size_t length, int64_t when,
                  struct fat_node **node)
{
    struct name name;
    int64_t result = name_from_utf8(&name, text, length);
    if (result >= 0)
        result = mkdir_once(directory, &name, when, node);
    for (int i = 0; i < 2 && may_free(directory->volume, result); i++) {
        result = commit(directory->volume);
        if (result >= 0)
            result = mkdir_once(directory, &name, when, node);
    }
    return result;
}

int64_t lose(struct fat_volume *volume, struct fat_node *node, const struct found *found)
{
    if (node && !(node->attributes & FAT_DIRECTORY)) {
        node->last = found->entry;
        node_unname(node);
        return 0; /* the last reference takes the clusters along */
    }
    if (!record_doom(volume, slot_cluster(volume, &found->entry)))
        return -E_NO_MEMORY;
    if (node) {
        node->last = found->entry;
        node_unname(node);
    }
    return 0;
}

/* Somebody's who may have it, with a reference so that it does not end in the middle. */
static struct fat_node *hold(struct fat_volume *volume, uint64_t slot)
{
    struct fat_node *node = node_find(volume, slot);
    return node ? fat_get(node) : NULL;
}

/* Begins a call on what has that name, or has ended it with the error. */
static int64_t begin_at(struct fat_node *directory, const char *text, size_t length,
                        struct looked_up *at)
{
    struct fat_volume *volume = directory->volume;
    struct name name;
    int64_t result = name_from_utf8(&name, text, length);
    if (result >= 0)
        result = call_begin(volume);
    if (result >= 0)
        result = lookup(directory, &name, at);
    return result > 0 ? 0 : call_end(volume, result < 0 ? result : -E_NOT_FOUND);
}

int64_t fat_unlink(struct fat_node *directory, const char *text, size_t length)
{
    struct fat_volume *volume = directory->volume;
    struct looked_up at;
    int64_t result = begin_at(directory, text, length, &at);
    if (result < 0)
        return result;
    if (at.found.entry.attributes & FAT_DIRECTORY)
        return call_end(volume, -E_IS_DIRECTORY);
    struct fat_node *node = hold(volume, at.slot);
    result = directory_remove(directory, &at.found, 0);
    if (result >= 0)
        result = lose(volume, node, &at.found);
    result = call_end_numbered(volume, result);
    fat_put(node);
    return result;
}

int64_t fat_rmdir(struct fat_node *directory, const char *text, size_t length)
{
    struct fat_volume *volume = directory->volume;
    struct fat_node *node = NULL;
    struct looked_up at;
    int64_t result = begin_at(directory, text, length, &at);
    if (result < 0)
        return result;
    if (!(at.found.entry.attributes & FAT_DIRECTORY))
        return call_end(volume, -E_NOT_DIRECTORY);
    result = node_get(directory, at.slot, &at.found.entry, &node);
    keep_commit(volume); /* the node is there whatever comes of it */
    if (result >= 0)
        result = directory_is_empty(node);
    if (result == 0)
        result = node ? -E_NOT_EMPTY : -E_IO;
    if (result > 0)
        result = directory_remove(directory, &at.found, 0);
    if (result >= 0)
        result = lose(volume, node, &at.found);
    result = call_end_numbered(volume, result);
    fat_put(node);
    return result;
}
