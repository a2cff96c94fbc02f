/* See check.h. */
#include "lib/fat/check.h"

#include <stdlib.h>
#include <string.h>

#include "lib/fat/call.h"
#include "lib/fat/scan.h"
#include "lib/fat/table.h"

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
    if (check->mode == CHECK_LOOK && check->damage++ < 8)
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

int64_t check_fix_table(struct check *check, uint32_t cluster, uint32_t value, uint32_t phase)
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
            return check->mode == CHECK_FIX ? check_fix_table(check, cluster, TABLE_END, PHASE_LINK)
                                            : 0;
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

/* A directory that a second entry leads to, though it is not about to leave: it was taken by its old one, as it is itself above this. */
static int64_t drop_entry(struct check *check, uint64_t place, const struct slot *entry)
{
    struct slot slot = *entry;
    slot.name[0] = (char)SLOT_FREE;
    check->left++;
    return check->mode == CHECK_FIX ? fix_slot(check, place, &slot, PHASE_GONE) : 0;
}

static int64_t take_folder(struct check *check, uint64_t place, const struct slot *entry,
                           uint32_t parent)
{
    uint32_t start = slot_cluster(check->volume, entry);
    if (bits_has(&check->kept, start))
        return drop_entry(check, place, entry);
    if (!start)
        damage(check, "a directory without clusters", start);
    int64_t result = mark_chain(check, start, 0, true);
    return result < 0 || check->damage ? result : add_folder(check, start, parent);
}

static int64_t take_entry(struct check *check, uint64_t place, const struct slot *entry,
                          uint32_t parent)
{
    uint32_t start = slot_cluster(check->volume, entry);
    if (entry->attributes & FAT_DIRECTORY)
        return take_folder(check, place, entry, parent);
    if (start && !entry->size) { /* clusters of a file that became empty */
        struct slot slot = *entry;
        check->cut++;
        slot_set_cluster(&slot, 0);
        return check->mode == CHECK_FIX ? fix_slot(check, place, &slot, PHASE_NAME) : 0;
    }
    return mark_chain(check, start, clusters_for(check->volume, entry->size), false);
}

/* Every directory once, whichever entry leads to it. */
static int64_t find_folder(struct check *check, const struct slot *entry, uint32_t parent)
{
    uint32_t start = slot_cluster(check->volume, entry);
    if (!(entry->attributes & FAT_DIRECTORY) || !cluster_valid(check->volume, start))
        return 0;
    if (!(entry->flags & SLOT_LEAVING))
        bits_add(&check->staying, start);
    if (bits_has(&check->used, start))
        return 0;
    bits_add(&check->used, start);
    return add_folder(check, start, parent);
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
        if (result > 0 && check->mode == CHECK_FIX)
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
    while (check->mode == CHECK_FIX && (result = scan_slot(&scan, from, &slot)) != 0) {
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
    if (check->mode == CHECK_FIND)
        return find_folder(check, &found->entry, self);
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
    if (result < 0 || check->mode != CHECK_FIX ||
        memcmp(dots.name, "..         ", sizeof(dots.name)) ||
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

/* An entry that was about to leave: it goes if another one leads to the same clusters, else it stays. */
static int64_t settle(struct check *check, struct leaving *leaving)
{
    struct slot entry = leaving->entry;
    uint32_t start = slot_cluster(check->volume, &entry);
    uint64_t slot = leaving->slot;
    leaving->slot = 0;
    if (start && bits_has(&check->used, start))
        return drop_entry(check, slot, &entry);
    entry.flags &= (uint8_t)~SLOT_LEAVING;
    int64_t result = take_entry(check, slot, &entry, leaving->parent);
    if (result >= 0 && check->mode == CHECK_FIX)
        result = fix_slot(check, slot, &entry, PHASE_NAME);
    if (entry.attributes & FAT_DIRECTORY && cluster_valid(check->volume, start))
        bits_add(&check->kept, start);
    return result < 0 ? result : walk_folders(check);
}

/* One of the directories that nothing else has led to so far, best one that nothing else will: what it has may lead to others. NULL: none. */
static struct leaving *next_folder(struct check *check)
{
    struct leaving *second = NULL;
    for (uint32_t i = 0; i < check->leaving_count; i++) {
        struct leaving *leaving = &check->leaving[i];
        uint32_t start = slot_cluster(check->volume, &leaving->entry);
        if (!leaving->slot || !(leaving->entry.attributes & FAT_DIRECTORY) ||
            bits_has(&check->used, start))
            continue;
        if (!bits_has(&check->staying, start))
            return leaving;
        second = leaving;
    }
    return second;
}

static int64_t settle_all(struct check *check)
{
    struct leaving *leaving;
    int64_t result = 0;
    while (result >= 0 && !check->damage && (leaving = next_folder(check)) != NULL)
        result = settle(check, leaving);
    for (uint32_t i = 0; i < check->leaving_count && result >= 0; i++)
        if (check->leaving[i].slot)
            result = settle(check, &check->leaving[i]);
    return result;
}

static int64_t begin(struct check *check, enum check_mode mode)
{
    uint32_t end = check->volume->clusters + CLUSTER_FIRST;
    check->mode = mode;
    check->folder_count = check->at = check->leaving_count = 0;
    check->cut = check->left = check->parts = 0;
    bits_destroy(&check->used);
    bits_destroy(&check->kept);
    if (!bits_create(&check->used, end) || !bits_create(&check->kept, end) ||
        (mode == CHECK_FIND && !bits_create(&check->staying, end)))
        return -E_NO_MEMORY;
    return 0;
}

int64_t check_walk(struct check *check, enum check_mode mode)
{
    struct fat_volume *volume = check->volume;
    int64_t result = begin(check, mode);
    if (result >= 0 && volume->root_cluster)
        result = mark_chain(check, volume->root_cluster, 0, true);
    if (result >= 0)
        result = look_through(check, volume->root, 0);
    if (result >= 0)
        result = walk_folders(check);
    return result < 0 ? result : settle_all(check);
}

void check_free(struct check *check)
{
    bits_destroy(&check->used);
    bits_destroy(&check->staying);
    bits_destroy(&check->kept);
    free(check->folders);
    free(check->leaving);
}
