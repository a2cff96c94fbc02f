/* Names found, made and removed. See directory.h. */
#include "lib/fat/directory.h"

#include <string.h>

#include "lib/fat/index.h"
#include "lib/fat/table.h"

#define NUMBERS_MAX 999999u
#define NUMBERS_LOW 4u /* are tried first */

void directory_forget(struct fat_node *node)
{
    index_free(node->directory);
    node->directory = NULL;
}

/* The entry a key is of, by now or on the device. */
static int64_t key_read(struct fat_node *node, const struct key *key, bool device,
                        struct found *found)
{
    struct scan scan = {.node = node, .position = key->slot - key->slots + 1, .device = device};
    int64_t result = scan_next(&scan, found);
    return result > 0 ? found->slot == key->slot : result;
}

static bool is_called(const struct found *found, const struct name *name)
{
    struct name alias;
    if (name_same(&found->name, name))
        return true;
    name_from_short(&alias, &found->entry);
    return name_same(&alias, name);
}

int64_t directory_find(struct fat_node *node, const struct name *name, struct found *found)
{
    if (node->removed)
        return 0;
    int64_t result = index_load(node);
    uint32_t hash = name_hash(name), at = 0;
    struct key *key;
    while (result >= 0 && (key = index_next(node->directory, hash, &at)) != NULL) {
        if (key->gone)
            continue;
        result = key_read(node, key, false, found);
        if (result <= 0)
            continue;
        if (is_called(found, name))
            return 1;
    }
    return result < 0 ? result : 0;
}

int64_t directory_is_empty(struct fat_node *node)
{
    int64_t result = index_load(node);
    return result < 0 ? result : node->directory->names == 0;
}

/* A name that was removed in this turn, of which the device has the entry: 1; 0. */
static int64_t find_gone(struct fat_node *node, const struct name *name, struct found *found)
{
    uint32_t hash = name_hash(name), at = 0;
    struct key *key;
    while ((key = index_next(node->directory, hash, &at)) != NULL) {
        if (!key->gone)
            continue;
        int64_t result = key_read(node, key, true, found);
        if (result < 0)
            return result;
        if (result && is_called(found, name))
            return 1;
    }
    return 0;
}

/* 1: a new entry of the name may have these slots, which the platter has the old one in. 0: not before that is on the platter, since
 * it is another spelling, or the old entry has left for another place that must be there first. */
static int64_t reusable(struct fat_node *node, const struct name *name, const struct found *gone)
{
    struct scan scan = {.node = node};
    const struct slot *slot;
    int64_t result = scan_slot(&scan, gone->slot, &slot);
    if (result < 0)
        return result;
    return (uint8_t)slot->name[0] == SLOT_FREE && scan.phase == PHASE_GONE &&
           name_identical(&gone->name, name);
}

int64_t directory_admits(struct fat_node *node, const struct name *name)
{
    struct found gone;
    int64_t result = node->removed ? -E_NOT_FOUND : index_load(node);
    if (result >= 0)
        result = find_gone(node, name, &gone);
    return result > 0 ? reusable(node, name, &gone) : result < 0 ? result : 1;
}

/* By somebody now, or on the platter until what was changed is there. */
static int64_t short_taken(struct fat_node *node, const char *text)
{
    struct found found;
    struct name name;
    struct slot entry = {.attributes = 0};
    memcpy(entry.name, text, SHORT_LENGTH);
    name_from_short(&name, &entry);
    int64_t result = directory_find(node, &name, &found);
    return result ? result : find_gone(node, &name, &found);
}

/* A short name nobody else has here. Names like each other have numbers that follow each other, so the search goes on behind the highest
 * that was seen. */
static int64_t choose_short(struct fat_node *node, enum short_kind kind, const char *basis,
                            char *text)
{
    memcpy(text, basis, SHORT_LENGTH);
    int64_t taken = kind == SHORT_FITS ? short_taken(node, text) : kind == SHORT_LOSSY;
    uint32_t highest = *index_number(node->directory, basis);
    for (uint32_t i = 0; i < NUMBERS_MAX && taken > 0; i++) {
        uint32_t number = i < NUMBERS_LOW ? i : MAX(highest, NUMBERS_LOW) + i - NUMBERS_LOW;
        short_number(text, basis, number % NUMBERS_MAX + 1);
        taken = short_taken(node, text);
    }
    return taken > 0 ? -E_NO_SPACE : taken;
}

/* One cluster more, of zeros. */
static int64_t grow(struct fat_node *node)
{
    struct fat_volume *volume = node->volume;
    struct directory *directory = node->directory;
    struct cluster_run run;
    uint32_t more = slots_of_sector(volume) * volume->cluster_sectors;
    if (node_is_fixed(node) || directory->capacity + more > DIRECTORY_SLOTS_MAX)
        return -E_NO_SPACE;
    int64_t result = chain_extend(node, 1, &run);
    if (result >= 0)
        result = cluster_clear(volume, run.first, NULL, 0);
    if (result >= 0)
        directory->capacity += more;
    return result;
}

/* Slots of no meaning become zero, up to their sector's end. */
static int64_t clear_slots(struct fat_node *node, uint32_t from)
{
    struct fat_volume *volume = node->volume;
    struct buffer *buffer;
    uint64_t place;
    int64_t result = slot_place(node, from, &place);
    if (result <= 0)
        return result;
    result = buffer_get(volume, BUFFER_SLOTS, place / slots_of_sector(volume), &buffer);
    if (result < 0)
        return result;
    uint8_t *now = buffer_now(volume, buffer), *sector = volume->run;
    uint8_t *device = buffer->phases ? buffer_device(volume, buffer) : now;
    uint32_t skip = from % slots_of_sector(volume) * SLOT_SIZE, rest = volume->sector_size - skip;
    memcpy(sector, device, skip);
    memset(sector + skip, 0, rest);
    result = volume_write(volume, buffer->sector * volume->sector_size, sector, skip + rest);
    if (result < 0)
        return result;
    memset(now + skip, 0, rest); /* the device has it: the buffer outlives this process */
    memset(device + skip, 0, rest);
    return 0;
}

/* The directory will end at `end`. What lies behind its end until now must not be seen then: it is zero before the end moves. */
static int64_t clear_behind(struct fat_node *node, uint32_t end)
{
    struct fat_volume *volume = node->volume;
    struct scan scan = {.node = node};
    const struct slot *slot;
    if (end >= node->directory->capacity)
        return 0;
    int64_t result = scan_slot(&scan, end, &slot);
    if (result <= 0 || slot->name[0] == SLOT_END)
        return MIN(result, 0);
    uint32_t per_sector = slots_of_sector(volume), at = node->directory->end;
    for (; at < node->directory->capacity && result >= 0; at += per_sector - at % per_sector)
        result = clear_slots(node, at);
    if (result < 0)
        return result;
    return volume->config.flush(volume->config.context) < 0 ? -E_IO : 0;
}

/* Free slots for an entry, which may need the directory to grow. */
static int64_t place_entry(struct fat_node *node, uint32_t count, uint32_t *first)
{
    struct directory *directory = node->directory;
    *first = index_place(directory, count);
    if (*first + count > directory->end) {
        int64_t result = clear_behind(node, *first + count);
        if (result < 0)
            return result;
    }
    int64_t result = 0;
    while (result >= 0 && *first + count > directory->capacity)
        result = grow(node);
    return result;
}

static int64_t write_entry(struct fat_node *node, const struct found *found, uint64_t *place)
{
    uint32_t parts = found->slot - found->first;
    int64_t result = 1;
    for (uint32_t i = 0; i < parts && result > 0; i++) {
        struct slot slot;
        long_slot(&slot, &found->name, parts - i, short_sum(found->entry.name));
        result = slot_place(node, found->first + i, place);
        if (result > 0)
            result = slot_write(node->volume, *place, &slot, PHASE_NEW) < 0 ? -E_IO : 1;
    }
    if (result > 0)
        result = slot_place(node, found->slot, place);
    if (result <= 0)
        return result < 0 ? result : -E_IO;
    return slot_write(node->volume, *place, &found->entry, PHASE_NAME);
}

/* Where the new entry goes, and its short name: those it has on the platter, if it was there a moment ago. */
static int64_t plan(struct fat_node *node, struct found *found)
{
    char basis[SHORT_LENGTH];
    struct found gone;
    int64_t result = find_gone(node, &found->name, &gone);
    if (result > 0)
        result = reusable(node, &found->name, &gone);
    if (result < 0)
        return result;
    if (result > 0) {
        memcpy(found->entry.name, gone.entry.name, SHORT_LENGTH);
        found->entry.flags = gone.entry.flags & (CASE_LOWER_BASE | CASE_LOWER_TYPE);
        found->first = gone.first;
        found->slot = gone.slot;
        return 0;
    }
    enum short_kind kind = short_basis(&found->name, basis);
    found->entry.flags = 0;
    result = choose_short(node, kind, basis, found->entry.name);
    uint32_t count = 1 + (kind == SHORT_EXACT ? 0 : long_slots(&found->name));
    if (result >= 0)
        result = place_entry(node, count, &found->first);
    found->slot = found->first + count - 1;
    return result;
}

int64_t directory_add(struct fat_node *node, const struct name *name, struct slot *entry,
                      uint64_t *slot)
{
    struct found found = {.entry = *entry, .name = *name};
    int64_t result = node->removed ? -E_NOT_FOUND : index_load(node);
    if (result >= 0)
        result = index_prepare(node->directory);
    if (result >= 0)
        result = plan(node, &found);
    if (result >= 0)
        result = write_entry(node, &found, slot);
    if (result < 0)
        return result;
    *entry = found.entry;
    index_enter(node->directory, &found);
    return 0;
}

/* A slot becomes free, in a phase. What the platter never had must not stay the directory's end there: then it is free at once. */
static int64_t free_slot(struct fat_node *node, uint32_t number, uint32_t phase)
{
    struct scan scan = {.node = node, .device = true};
    const struct slot *slot;
    struct slot freed;
    uint64_t place;
    int64_t result = scan_slot(&scan, number, &slot);
    if (result > 0 && (slot->name[0] == SLOT_END || (uint8_t)slot->name[0] == SLOT_FREE))
        phase = PHASE_NEW;
    if (result > 0)
        result = slot_place(node, number, &place);
    if (result > 0)
        result = slot_read(node->volume, place, &freed);
    if (result < 0)
        return result;
    freed.name[0] = (char)SLOT_FREE;
    return slot_write(node->volume, place, &freed, phase);
}

int64_t directory_remove(struct fat_node *node, const struct found *found, uint32_t leaving)
{
    int64_t result = index_load(node);
    if (result >= 0)
        result = index_prepare(node->directory);
    for (uint32_t at = found->first; at <= found->slot && result >= 0; at++)
        result = free_slot(node, at, at < found->slot ? PHASE_LAST : PHASE_GONE | leaving);
    if (result < 0)
        return result;
    index_leave(node->directory, found);
    return 0;
}
