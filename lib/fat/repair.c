/* See repair.h. The tree is walked twice: to see whether there is damage, and what clusters are in use; then to put right. */
#include "lib/fat/repair.h"

#include <stdlib.h>
#include <string.h>

#include "lib/fat/call.h"
#include "lib/fat/commit.h"
#include "lib/fat/scan.h"
#include "lib/fat/table.h"

struct folder {
    uint32_t start;
    uint32_t parent; /* what ".." is to say */
};

struct leaving {
    uint64_t slot;
    struct slot entry;
    uint32_t parent;
};

struct check {
    struct fat_volume *volume;
    struct bits used;
    struct folder *folders; /* found so far; those from `at` on are to be looked through */
    uint32_t folder_count, folder_room, at;
    struct leaving *leaving;
    uint32_t leaving_count, leaving_room;
    bool fix;
    uint32_t damage, cut, left, lost, parts; /* how many */
};

static int64_t grow(void **array, uint32_t count, uint32_t *room, size_t size)
{
    if (count < *room)
        return 0;
    uint32_t more_room = *room ? 2 * *room : 64;
    void *more = realloc(*array, more_room * size);
    if (!more)
        return -E_NO_MEMORY;
    *array = more;
    *room = more_room;
    return 0;
}

static void damage(struct check *check, const char *what, uint32_t start)
{
    if (!check->fix && check->damage++ < 8)
        volume_say(check->volume, "%s, which begins at cluster %u", what, start);
}

/* A change of the repair's own, as a call. */
static int64_t fix_slot(struct check *check, uint64_t place, const struct slot *slot,
                        uint32_t phase)
{
    int64_t result = call_begin(check->volume);
    if (result >= 0)
        result = slot_write(check->volume, place, slot, phase);
    return call_end(check->volume, result);
}

static int64_t fix_entry(struct check *check, uint32_t cluster, uint32_t value, enum phase phase)
{
    int64_t result = call_begin(check->volume);
    if (result >= 0)
        result = table_set(check->volume, cluster, value, phase);
    return call_end(check->volume, result);
}

/* Marks the chain's clusters, at most `need`; what follows is cut off. */
static int64_t mark_chain(struct check *check, uint32_t start, uint32_t need, bool directory)
{
    struct fat_volume *volume = check->volume;
    uint32_t cluster = start, count = 0;
    while (cluster && (directory || count < need)) {
        uint32_t value;
        if (!cluster_valid(volume, cluster) || bits_has(&check->used, cluster)) {
            damage(check, "clusters that others have, or none, are in a chain", start);
            return 0;
        }
        int64_t result = table_get(volume, cluster, &value);
        if (result < 0)
            return result;
        bits_add(&check->used, cluster);
        count++;
        if (value != TABLE_END && !cluster_valid(volume, value)) {
            damage(check, "a chain leads to nowhere", start);
            return 0;
        }
        uint32_t next = value == TABLE_END ? 0 : value;
        if (next && !directory && count == need) {
            check->cut++;
            return check->fix ? fix_entry(check, cluster, TABLE_END, PHASE_LINK) : 0;
        }
        cluster = next;
    }
    if (!directory && count < need)
        damage(check, "a file is shorter than its size", start);
    return 0;
}

static int64_t add_folder(struct check *check, uint32_t start, uint32_t parent)
{
    int64_t result = grow((void **)&check->folders, check->folder_count, &check->folder_room,
                          sizeof(*check->folders));
    if (result >= 0)
        check->folders[check->folder_count++] = (struct folder){start, parent};
    return result;
}

static int64_t take_entry(struct check *check, uint64_t place, const struct slot *entry,
                          uint32_t parent)
{
    uint32_t start = slot_cluster(check->volume, entry);
    if (entry->attributes & FAT_DIRECTORY) {
        if (!start)
            damage(check, "a directory without clusters", start);
        int64_t result = mark_chain(check, start, 0, true);
        return result < 0 || check->damage ? result : add_folder(check, start, parent);
    }
    if (start && !entry->size) { /* clusters of a file that became empty */
        struct slot slot = *entry;
        check->cut++;
        slot_set_cluster(&slot, 0);
        return check->fix ? fix_slot(check, place, &slot, PHASE_NAME) : 0;
    }
    return mark_chain(check, start, clusters_for(check->volume, entry->size), false);
}

/* Parts of a long name that belong to no entry. */
static int64_t drop_parts(struct check *check, struct fat_node *node, uint32_t from, uint32_t to)
{
    struct scan scan = {.node = node};
    for (uint32_t i = from; i < to; i++) {
        const struct slot *slot;
        uint64_t place;
        int64_t result = scan_slot(&scan, i, &slot);
        if (result <= 0)
            return result;
        if ((uint8_t)slot->name[0] == SLOT_FREE || slot->name[0] == SLOT_END ||
            (slot->attributes & ATTRIBUTE_MASK) != ATTRIBUTE_LONG)
            continue;
        check->parts++;
        struct slot dropped = *slot;
        dropped.name[0] = (char)SLOT_FREE;
        result = slot_place(node, i, &place);
        if (result > 0 && check->fix)
            result = fix_slot(check, place, &dropped, PHASE_LAST);
        if (result < 0)
            return result;
    }
    return 0;
}

/* Behind the directory's end all is zero. */
static int64_t clear_end(struct check *check, struct fat_node *node, uint32_t from)
{
    struct scan scan = {.node = node};
    const struct slot *slot;
    int64_t result = 0;
    while (check->fix && (result = scan_slot(&scan, from, &slot)) != 0) {
        uint64_t place;
        if (result > 0 && slot->name[0] != SLOT_END) {
            result = slot_place(node, from, &place);
            if (result > 0)
                result = fix_slot(check, place, &(struct slot){.size = 0}, PHASE_NEW);
        }
        if (result < 0)
            return result;
        from++;
    }
    return 0;
}

static int64_t put_off(struct check *check, uint64_t place, const struct slot *entry,
                       uint32_t parent)
{
    int64_t result = grow((void **)&check->leaving, check->leaving_count, &check->leaving_room,
                          sizeof(*check->leaving));
    if (result >= 0)
        check->leaving[check->leaving_count++] = (struct leaving){place, *entry, parent};
    return result;
}

static int64_t look_at(struct check *check, struct fat_node *node, const struct found *found,
                       uint32_t self)
{
    uint64_t place;
    int64_t result = slot_place(node, found->slot, &place);
    if (result <= 0)
        return result;
    if (found->entry.flags & SLOT_LEAVING)
        return put_off(check, place, &found->entry, self);
    return take_entry(check, place, &found->entry, self);
}

static int64_t look_at_dots(struct check *check, struct fat_node *node, uint32_t parent)
{
    struct slot dots;
    uint64_t place;
    int64_t result = slot_place(node, 1, &place);
    if (result > 0)
        result = slot_read(check->volume, place, &dots);
    if (result < 0 || !check->fix || memcmp(dots.name, "..         ", sizeof(dots.name)) ||
        slot_cluster(check->volume, &dots) == parent)
        return MIN(result, 0);
    slot_set_cluster(&dots, parent);
    return fix_slot(check, place, &dots, PHASE_NAME);
}

static int64_t look_through(struct check *check, struct fat_node *node, uint32_t self)
{
    struct scan scan = {.node = node};
    struct found found;
    uint32_t behind = 0;
    int64_t result;
    while ((result = scan_next(&scan, &found)) > 0) {
        result = drop_parts(check, node, behind, found.first);
        if (result >= 0)
            result = look_at(check, node, &found, self);
        if (result < 0)
            return result;
        behind = scan.position;
    }
    if (result >= 0)
        result = drop_parts(check, node, behind, scan.position);
    return result < 0 ? result : clear_end(check, node, scan.position);
}

static int64_t walk_folders(struct check *check)
{
    int64_t result = 0;
    while (result >= 0 && check->at < check->folder_count) {
        struct folder folder = check->folders[check->at++];
        struct fat_node node = {.volume = check->volume, .own.start = folder.start};
        node.record = &node.own;
        node.chain.aborts = check->volume->aborts;
        result = look_at_dots(check, &node, folder.parent);
        if (result >= 0)
            result = look_through(check, &node, folder.start);
        chain_forget(&node.chain);
    }
    return result;
}

/* Of those that were about to go: whether what they lead to was reached by another entry. */
static int64_t settle_leaving(struct check *check)
{
    int64_t result = 0;
    for (uint32_t i = 0; i < check->leaving_count && result >= 0; i++) {
        struct leaving leaving = check->leaving[i];
        uint32_t start = slot_cluster(check->volume, &leaving.entry);
        bool twin = start && bits_has(&check->used, start);
        if (!twin)
            result = take_entry(check, leaving.slot, &leaving.entry, leaving.parent);
        if (result >= 0)
            result = walk_folders(check);
        leaving.entry.flags &= (uint8_t)~SLOT_LEAVING;
        if (twin)
            leaving.entry.name[0] = (char)SLOT_FREE;
        check->left += twin;
        if (result >= 0 && check->fix)
            result = fix_slot(check, leaving.slot, &leaving.entry, twin ? PHASE_GONE : PHASE_NAME);
    }
    return result;
}

static int64_t walk(struct check *check, bool fix)
{
    struct fat_volume *volume = check->volume;
    check->fix = fix;
    check->folder_count = check->at = check->leaving_count = 0;
    check->cut = check->left = check->parts = 0;
    bits_destroy(&check->used);
    if (!bits_create(&check->used, volume->clusters + CLUSTER_FIRST))
        return -E_NO_MEMORY;
    int64_t result = 0;
    if (volume->root_cluster)
        result = mark_chain(check, volume->root_cluster, 0, true);
    if (result >= 0)
        result = look_through(check, volume->root, 0);
    if (result >= 0)
        result = walk_folders(check);
    return result < 0 ? result : settle_leaving(check);
}

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
        result = fix_entry(check, i, TABLE_FREE, PHASE_NEW);
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
        result = walk(check, true);
    if (result >= 0)
        result = commit(check->volume);
    uint32_t cut = check->cut, left = check->left, parts = check->parts;
    if (result >= 0 && left) /* what is left of the long names of those */
        result = walk(check, true);
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
    if (volume->read_only)
        return 0;
    volume_say(volume, "it was not properly left, looking through it");
    int64_t result = walk(&check, false);
    if (result == -E_IO || check.damage) {
        volume_say(volume, "it is damaged, and read-only therefore");
        volume->read_only = volume->damaged = true;
        result = 0;
    } else if (result >= 0) {
        result = put_right(&check);
    }
    bits_destroy(&check.used);
    free(check.folders);
    free(check.leaving);
    return result;
}
