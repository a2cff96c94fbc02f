/* See index.h. */
#include "lib/fat/index.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST 32u

static bool is_used(const struct directory *directory, uint32_t slot)
{
    return directory->used[slot / 64] >> slot % 64 & 1;
}

static void set_used(struct directory *directory, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        if (i >= directory->end) {
            directory->holes += i - directory->end;
            directory->end = i + 1;
        } else if (!is_used(directory, i)) {
            directory->holes--;
        }
        directory->used[i / 64] |= BIT(i % 64);
    }
}

static void set_free(struct directory *directory, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i < first + count; i++) {
        directory->holes += is_used(directory, i);
        directory->used[i / 64] &= ~BIT(i % 64);
    }
    directory->hole = MIN(directory->hole, first);
}

static void table_enter(struct directory *directory, uint32_t number)
{
    uint32_t mask = 2 * directory->room - 1, at = directory->keys[number].hash & mask;
    while (directory->table[at])
        at = (at + 1) & mask;
    directory->table[at] = number + 1;
}

/* The arrays anew, without the keys of nothing, and with room for as many again. */
static int64_t grow(struct directory *directory)
{
    uint32_t live = 0, room = ROOM_FIRST;
    for (uint32_t i = 0; i < directory->count; i++)
        live += directory->keys[i].slots != 0;
    while (room < 2 * live)
        room *= 2;
    struct key *keys = malloc(room * sizeof(*keys)), *old = directory->keys;
    uint32_t *table = calloc(2 * room, sizeof(*table));
    if (!keys || !table) {
        free(keys);
        free(table);
        return -E_NO_MEMORY;
    }
    uint32_t count = directory->count;
    free(directory->table);
    directory->keys = keys;
    directory->table = table;
    directory->room = room;
    directory->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!old[i].slots)
            continue;
        keys[directory->count] = old[i];
        table_enter(directory, directory->count++);
    }
    free(old);
    return 0;
}

int64_t index_prepare(struct directory *directory)
{
    if (directory->gone_count == directory->gone_room) {
        uint32_t room = directory->gone_room ? 2 * directory->gone_room : 16;
        struct slot_range *gone = realloc(directory->gone, room * sizeof(*gone));
        if (!gone)
            return -E_NO_MEMORY;
        directory->gone = gone;
        directory->gone_room = room;
    }
    return directory->count + 2 > directory->room ? grow(directory) : 0;
}

/* The hash of the short name if it is another than the name. */
static bool alias(const struct found *found, uint32_t *hash)
{
    struct name name;
    if (found->first == found->slot)
        return false;
    name_from_short(&name, &found->entry);
    *hash = name_hash(&name);
    return true;
}

static void add_key(struct directory *directory, uint32_t hash, const struct found *found)
{
    directory->keys[directory->count] =
        (struct key){hash, found->slot, found->slot - found->first + 1, 0};
    table_enter(directory, directory->count++);
}

uint32_t *index_number(struct directory *directory, const char *basis)
{
    uint32_t hash = 0;
    for (uint32_t i = 0; i < 4 && basis[i] != ' '; i++)
        hash = hash * 31 + (uint8_t)basis[i];
    for (uint32_t i = 8; i < SHORT_LENGTH; i++)
        hash = hash * 31 + (uint8_t)basis[i];
    return &directory->numbers[(hash ^ hash >> 9) % ARRAY_SIZE(directory->numbers)];
}

/* By the long name, of which a short one with a great number has little left. */
static void note_number(struct directory *directory, const struct found *found)
{
    const char *text = found->entry.name, *tilde = memchr(text, '~', 7);
    char basis[SHORT_LENGTH];
    uint32_t number = 0;
    if (!tilde || found->first == found->slot)
        return;
    for (const char *at = tilde + 1; at < text + 8 && *at >= '0' && *at <= '9'; at++)
        number = number * 10 + (uint32_t)(*at - '0');
    (void)short_basis(&found->name, basis);
    uint32_t *highest = index_number(directory, basis);
    *highest = MAX(*highest, number);
}

void index_enter(struct directory *directory, const struct found *found)
{
    uint32_t short_hash, hash = name_hash(&found->name);
    add_key(directory, hash, found);
    if (alias(found, &short_hash) && short_hash != hash)
        add_key(directory, short_hash, found);
    set_used(directory, found->first, found->slot - found->first + 1);
    note_number(directory, found);
    directory->names++;
}

struct key *index_next(const struct directory *directory, uint32_t hash, uint32_t *at)
{
    if (!directory->room)
        return NULL;
    for (uint32_t mask = 2 * directory->room - 1;; (*at)++) {
        uint32_t number = directory->table[(hash + *at) & mask];
        if (!number)
            return NULL;
        struct key *key = &directory->keys[number - 1];
        if (key->hash != hash || !key->slots)
            continue;
        (*at)++;
        return key;
    }
}

static void key_gone(struct directory *directory, uint32_t hash, uint32_t slot)
{
    uint32_t at = 0;
    struct key *key;
    while ((key = index_next(directory, hash, &at)) != NULL)
        if (key->slot == slot && !key->gone) {
            key->gone = 1;
            return;
        }
}

void index_leave(struct directory *directory, const struct found *found)
{
    uint32_t short_hash, hash = name_hash(&found->name);
    key_gone(directory, hash, found->slot);
    if (alias(found, &short_hash) && short_hash != hash)
        key_gone(directory, short_hash, found->slot);
    directory->gone[directory->gone_count++] =
        (struct slot_range){found->first, found->slot - found->first + 1};
    directory->names--;
}

/* What is gone is on the platter: its slots are free. But those of a name that came back into them. */
static void pass_turn(struct directory *directory)
{
    for (uint32_t i = 0; i < directory->gone_count; i++)
        set_free(directory, directory->gone[i].first, directory->gone[i].count);
    for (uint32_t i = 0; i < directory->count && directory->gone_count; i++) {
        struct key *key = &directory->keys[i];
        if (key->gone)
            key->slots = 0;
        else if (key->slots)
            set_used(directory, key->slot - key->slots + 1, key->slots);
    }
    directory->gone_count = 0;
}

uint32_t index_place(struct directory *directory, uint32_t count)
{
    uint32_t run = 0;
    if (directory->holes < count)
        return directory->end;
    while (directory->hole < directory->end && is_used(directory, directory->hole))
        directory->hole++;
    for (uint32_t i = directory->hole; i < directory->end; i++) {
        if (i % 64 == 0 && directory->used[i / 64] == UINT64_MAX) {
            run = 0;
            i += 63;
            continue;
        }
        run = is_used(directory, i) ? 0 : run + 1;
        if (run == count)
            return i + 1 - count;
    }
    return directory->end - run; /* they go on behind it */
}

void index_free(struct directory *directory)
{
    if (!directory)
        return;
    free(directory->keys);
    free(directory->table);
    free(directory->used);
    free(directory->gone);
    free(directory);
}

/* Names that were removed by who was here before us, and that the platter still has. */
static int64_t find_gone_names(struct fat_node *node, struct directory *directory)
{
    struct scan device = {.node = node, .device = true}, now = {.node = node};
    struct found found;
    const struct slot *slot;
    int64_t result;
    while ((result = scan_next(&device, &found)) > 0) {
        result = scan_slot(&now, found.slot, &slot);
        if (result < 0)
            return result;
        if (!now.phase || (uint8_t)slot->name[0] != SLOT_FREE)
            continue;
        result = index_prepare(directory);
        if (result < 0)
            return result;
        index_enter(directory, &found);
        index_leave(directory, &found);
    }
    return result;
}

/* Slots that are free by now, but not on the platter yet. */
static int64_t find_gone_slots(struct fat_node *node, struct directory *directory)
{
    struct scan scan = {.node = node};
    for (uint32_t i = 0; i < directory->end; i++) {
        const struct slot *slot;
        int64_t result = scan_slot(&scan, i, &slot);
        if (result <= 0)
            return result;
        if ((uint8_t)slot->name[0] != SLOT_FREE) {
            set_used(directory, i, 1);
            continue;
        }
        if (!scan.phase)
            continue;
        result = index_prepare(directory);
        if (result < 0)
            return result;
        directory->gone[directory->gone_count++] = (struct slot_range){i, 1};
        set_used(directory, i, 1);
    }
    return 0;
}

static int64_t fill(struct fat_node *node, struct directory *directory)
{
    struct scan scan = {.node = node};
    struct found found;
    int64_t result;
    while ((result = scan_next(&scan, &found)) > 0) {
        result = index_prepare(directory);
        if (result < 0)
            return result;
        index_enter(directory, &found);
    }
    if (result < 0)
        return result;
    if (scan.position > directory->end) { /* free ones, or parts of no name */
        directory->holes += scan.position - directory->end;
        directory->end = scan.position;
    }
    uint32_t per_cluster = slots_of_sector(node->volume) * node->volume->cluster_sectors, clusters;
    if (node_is_fixed(node)) {
        directory->capacity =
            MIN(node->volume->root_sectors * slots_of_sector(node->volume), DIRECTORY_SLOTS_MAX);
    } else {
        result = chain_count(node, DIRECTORY_SLOTS_MAX / per_cluster, &clusters);
        if (result < 0)
            return result;
        if (clusters > MAX(DIRECTORY_SLOTS_MAX / per_cluster, 1u))
            return volume_malformed(node->volume, "the directory at cluster %u is too long",
                                    node->record->start);
        directory->capacity = clusters * per_cluster;
    }
    result = find_gone_names(node, directory);
    return result < 0 ? result : find_gone_slots(node, directory);
}

int64_t index_load(struct fat_node *node)
{
    struct fat_volume *volume = node->volume;
    if (node->directory && node->directory->aborts != volume->aborts)
        directory_forget(node);
    if (!node->directory) {
        struct directory *directory = calloc(1, sizeof(*directory));
        if (!directory)
            return -E_NO_MEMORY;
        directory->used = calloc(DIRECTORY_SLOTS_MAX / 64 + 1, sizeof(uint64_t));
        directory->aborts = volume->aborts;
        directory->turn = volume->kept->turn;
        int64_t result = directory->used ? fill(node, directory) : -E_NO_MEMORY;
        if (result < 0) {
            index_free(directory);
            return result;
        }
        node->directory = directory;
    }
    if (node->directory->turn != volume->kept->turn) {
        pass_turn(node->directory);
        node->directory->turn = volume->kept->turn;
    }
    return 0;
}
