/* Nodes and their records. See node.h. */
#include "lib/fat/node.h"

#include <stdlib.h>
#include <string.h>

#include "lib/fat/directory.h"
#include "lib/fat/index.h"

#define IDLE_MAX 256u /* directories nobody has, whose index is kept */

/* --- Records --- */

struct record *record_take(struct fat_volume *volume)
{
    if (!volume->records_free_count)
        return NULL;
    struct record *record = &volume->records[volume->records_free[--volume->records_free_count]];
    keep_set(volume, &record->flags, RECORD_USED);
    return record;
}

void record_drop(struct fat_volume *volume, struct record *record)
{
    keep_set(volume, &record->flags, 0u);
    volume->records_free[volume->records_free_count++] = (uint32_t)(record - volume->records);
}

bool record_doom(struct fat_volume *volume, uint32_t start)
{
    if (!cluster_valid(volume, start)) /* an entry may say anything, and be removed */
        return true;
    struct record *record = record_take(volume);
    if (!record)
        return false;
    keep_set(volume, &record->start, start);
    keep_set(volume, &record->turn, volume->kept->turn);
    keep_set(volume, &record->flags, RECORD_USED | RECORD_DOOMED);
    volume->doomed++;
    return true;
}

void records_sort(struct fat_volume *volume)
{
    volume->records_free_count = volume->doomed = 0;
    for (uint32_t i = volume->kept->records; i-- > 0;) {
        volume->doomed += (volume->records[i].flags & RECORD_DOOMED) != 0;
        if (!volume->records[i].flags)
            volume->records_free[volume->records_free_count++] = i;
    }
}

/* --- Nodes by slot --- */

static struct fat_node **hash_place(struct fat_volume *volume, uint64_t slot)
{
    return &volume->nodes[slot * UINT64_C(0x9e3779b97f4a7c15) >> 32 & (NODE_HASH - 1)];
}

static void hash_enter(struct fat_node *node)
{
    struct fat_node **place = hash_place(node->volume, node->record->slot);
    node->hash_next = *place;
    *place = node;
}

static void hash_leave(struct fat_node *node)
{
    struct fat_node **place = hash_place(node->volume, node->record->slot);
    while (*place != node)
        place = &(*place)->hash_next;
    *place = node->hash_next;
}

struct fat_node *node_find(struct fat_volume *volume, uint64_t slot)
{
    struct fat_node *node = *hash_place(volume, slot);
    while (node && node->record->slot != slot)
        node = node->hash_next;
    return node;
}

static struct fat_node *node_new(struct fat_volume *volume)
{
    struct fat_node *node = calloc(1, sizeof(*node));
    if (!node)
        return NULL;
    node->volume = volume;
    node->record = &node->own;
    node->chain.aborts = volume->aborts;
    list_init(&node->link);
    list_init(&node->pending);
    return node;
}

static void node_free(struct fat_node *node)
{
    struct fat_node *parent = node->parent;
    if (node->record->slot)
        hash_leave(node);
    list_remove(&node->link);
    list_remove(&node->pending);
    index_free(node->directory);
    chain_forget(&node->chain);
    free(node);
    fat_put(parent);
}

/* --- References --- */

struct fat_node *fat_get(struct fat_node *node)
{
    if (!node->references++ && node->attributes & FAT_DIRECTORY && list_linked(&node->link)) {
        list_remove(&node->link);
        node->volume->nodes_idle_count--;
    }
    return node;
}

/* The one that is idle for longest; false: there is none. */
static bool idle_free(struct fat_volume *volume)
{
    struct fat_node *node = list_pop(&volume->nodes_idle, struct fat_node, link);
    if (!node)
        return false;
    volume->nodes_idle_count--;
    node_free(node);
    return true;
}

static void idle(struct fat_node *node)
{
    struct fat_volume *volume = node->volume;
    list_append(&volume->nodes_idle, &node->link);
    if (++volume->nodes_idle_count > IDLE_MAX)
        (void)idle_free(volume);
}

/* Nobody has the file any more. */
static void let_go(struct fat_node *node)
{
    struct fat_volume *volume = node->volume;
    struct record *record = node->record;
    keep_set(volume, &record->flags, record->flags & ~RECORD_HELD);
    if (!record->slot) {
        if (record->start) {
            keep_set(volume, &record->turn, volume->kept->turn);
            keep_set(volume, &record->flags, RECORD_USED | RECORD_DOOMED);
            volume->doomed++;
        } else {
            record_drop(volume, record);
        }
        keep_commit(volume);
        node->record = &node->own; /* which has no slot */
        node_free(node);
        return;
    }
    keep_commit(volume);
    node_settle(node);
}

void node_settle(struct fat_node *node)
{
    struct record *record = node->record;
    if (node->references || record->flags & (RECORD_GREW | RECORD_TRIM))
        return;
    hash_leave(node);
    record_drop(node->volume, record);
    keep_commit(node->volume);
    node->record = &node->own;
    node_free(node);
}

void fat_put(struct fat_node *node)
{
    if (!node || --node->references || node_is_root(node))
        return;
    if (!(node->attributes & FAT_DIRECTORY))
        let_go(node);
    else if (node->removed)
        node_free(node);
    else
        idle(node);
}

/* --- Made, moved, gone --- */

/* A directory's clusters must not be one's in which it lies. */
static int64_t directory_check(struct fat_node *parent, uint32_t start)
{
    if (!cluster_valid(parent->volume, start))
        return volume_malformed(parent->volume, "a directory begins at cluster %u", start);
    for (const struct fat_node *above = parent; above; above = above->parent)
        if (above->record->start == start)
            return volume_malformed(parent->volume, "the directory at cluster %u lies in itself",
                                    start);
    return 0;
}

/* The record of a file that is used from now on. */
static int64_t file_record(struct fat_node *node, uint64_t slot, const struct slot *entry)
{
    struct fat_volume *volume = node->volume;
    uint32_t start = slot_cluster(volume, entry);
    if (entry->size && !cluster_valid(volume, start))
        return volume_malformed(volume, "a file of %u bytes begins at cluster %u", entry->size,
                                start);
    struct record *record = record_take(volume);
    if (!record)
        return -E_NO_MEMORY;
    struct record made = {
        .id = volume->kept->next_id,
        .slot = slot,
        .start = cluster_valid(volume, start) ? start : 0,
        .size = entry->size,
        .valid = entry->size,
        .flags = RECORD_USED | RECORD_HELD,
        .inode = slot,
    };
    keep_bytes(volume, record, &made, sizeof(made));
    keep_set(volume, &volume->kept->next_id, made.id + 1);
    node->record = record;
    return 0;
}

int64_t node_get(struct fat_node *parent, uint64_t slot, const struct slot *entry,
                 struct fat_node **result)
{
    struct fat_volume *volume = parent->volume;
    struct fat_node *node = node_find(volume, slot);
    if (node) {
        if (!node->parent)
            node->parent = fat_get(parent);
        if (!(node->record->flags & RECORD_HELD) && node->record != &node->own)
            keep_set(volume, &node->record->flags, node->record->flags | RECORD_HELD);
        *result = fat_get(node);
        return 0;
    }
    node = node_new(volume);
    if (!node)
        return -E_NO_MEMORY;
    node->attributes = entry->attributes;
    int64_t error;
    if (entry->attributes & FAT_DIRECTORY) {
        error = directory_check(parent, slot_cluster(volume, entry));
        node->own =
            (struct record){.slot = slot, .start = slot_cluster(volume, entry), .inode = slot};
    } else {
        error = file_record(node, slot, entry);
    }
    if (error < 0) {
        free(node);
        return error;
    }
    hash_enter(node);
    node->references = 1;
    node->parent = fat_get(parent);
    *result = node;
    return 0;
}

int64_t node_adopt(struct fat_volume *volume, struct record *record)
{
    struct fat_node *node = node_new(volume);
    if (!node)
        return -E_NO_MEMORY;
    node->record = record;
    if (record->slot)
        hash_enter(node);
    else
        list_append(&volume->nodes_nameless, &node->link);
    node->removed = !record->slot;
    if (record->flags & (RECORD_GREW | RECORD_TRIM))
        list_append(&volume->nodes_pending, &node->pending);
    return 0;
}

int64_t node_root(struct fat_volume *volume)
{
    struct fat_node *node = node_new(volume);
    if (!node)
        return -E_NO_MEMORY;
    node->attributes = FAT_DIRECTORY;
    node->references = 1;
    node->own = (struct record){.start = volume->root_cluster, .inode = 1};
    volume->root = node;
    return 0;
}

void node_move(struct fat_node *node, struct fat_node *parent, uint64_t slot)
{
    struct fat_node *before = node->parent;
    hash_leave(node);
    if (node->record == &node->own)
        node->own.slot = slot;
    else
        keep_set(node->volume, &node->record->slot, slot);
    hash_enter(node);
    node->parent = fat_get(parent);
    fat_put(before);
}

void node_unname(struct fat_node *node)
{
    struct fat_volume *volume = node->volume;
    hash_leave(node);
    node->removed = true;
    if (node->record == &node->own) {
        node->own.slot = 0;
        return;
    }
    keep_set(volume, &node->record->slot, UINT64_C(0));
    list_append(&volume->nodes_nameless, &node->link);
}

void node_flag(struct fat_node *node, uint32_t flags)
{
    if ((node->record->flags & flags) == flags)
        return;
    keep_set(node->volume, &node->record->flags, node->record->flags | flags);
    if (!list_linked(&node->pending))
        list_append(&node->volume->nodes_pending, &node->pending);
}

void node_unflag(struct fat_node *node, uint32_t flags)
{
    keep_set(node->volume, &node->record->flags, node->record->flags & ~flags);
    if (!(node->record->flags & (RECORD_GREW | RECORD_TRIM)))
        list_remove(&node->pending);
}

bool nodes_none(struct fat_volume *volume)
{
    while (idle_free(volume)) /* which may bring the one it lies in */
        ;
    for (uint32_t i = 0; i < NODE_HASH; i++)
        if (volume->nodes[i])
            return false;
    return list_empty(&volume->nodes_nameless);
}

static void free_all(struct fat_volume *volume, struct fat_node *node)
{
    (void)volume;
    index_free(node->directory);
    chain_forget(&node->chain);
    free(node);
}

void nodes_close(struct fat_volume *volume)
{
    for (uint32_t i = 0; i < NODE_HASH; i++)
        for (struct fat_node *node = volume->nodes[i], *next; node; node = next) {
            next = node->hash_next;
            free_all(volume, node);
        }
    list_for_each (struct fat_node, node, &volume->nodes_nameless, link)
        free_all(volume, node);
    if (volume->root)
        free_all(volume, volume->root);
}
