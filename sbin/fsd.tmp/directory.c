/* See directory.h. */
#include "sbin/fsd.tmp/directory.h"

#include <string.h>

#include "abi/errors.h"
#include "sbin/fsd.tmp/found.h"

#define ROOM_FIRST 8u

static size_t entry_size(size_t name_length)
{
    return sizeof(struct entry) + name_length + 1;
}

static struct slot *slots_of(const struct inode *directory)
{
    return arena_at(directory->directory.slots);
}

static uint32_t *index_of(const struct inode *directory)
{
    return arena_at(directory->directory.index);
}

struct slot *directory_find(const struct inode *directory, const char *name, size_t length)
{
    const struct directory *own = &directory->directory;
    if (!own->room)
        return NULL;
    uint32_t hash = words_hash(name, length), mask = 2 * own->room - 1;
    const uint32_t *index = index_of(directory);
    struct slot *slots = slots_of(directory);
    for (uint32_t at = hash & mask; index[at]; at = (at + 1) & mask) {
        struct slot *slot = &slots[index[at] - 1];
        if (slot->hash != hash || !slot->entry)
            continue;
        const struct entry *entry = slot_entry(slot);
        if (entry->length == length && words_equal(entry->name, name, length))
            return slot;
    }
    return NULL;
}

static void index_enter(uint32_t *index, uint32_t mask, uint32_t hash, uint32_t number)
{
    uint32_t at = hash & mask;
    while (index[at])
        at = (at + 1) & mask;
    index[at] = number + 1;
}

void directory_free(struct inode *directory)
{
    const struct directory *own = &directory->directory;
    arena_free(own->slots, own->room * sizeof(struct slot));
    arena_free(own->index, 2 * own->room * sizeof(uint32_t));
}

/* Makes both arrays anew, without the removed names and with room for as many again. */
static int64_t make_room(struct inode *directory)
{
    struct directory *own = &directory->directory;
    uint32_t room = ROOM_FIRST;
    while (room < 2 * directory->size)
        room *= 2;
    if (room > UINT32_MAX / 4)
        return -E_NO_SPACE;
    ref_t slots_ref = arena_alloc(room * sizeof(struct slot));
    ref_t index_ref = arena_alloc(2 * room * sizeof(uint32_t));
    if (!slots_ref || !index_ref)
        return -E_NO_SPACE;
    struct slot *slots = arena_at(slots_ref);
    const struct slot *old = slots_of(directory);
    uint32_t *index = arena_at(index_ref), used = 0;
    memset(index, 0, 2 * room * sizeof(uint32_t));
    for (uint32_t i = 0; i < own->used; i++) {
        if (!old[i].entry)
            continue;
        slots[used] = old[i];
        index_enter(index, 2 * room - 1, old[i].hash, used++);
    }
    found_forget_names();
    directory_free(directory);
    arena_set(&own->slots, slots_ref);
    arena_set(&own->index, index_ref);
    arena_set(&own->room, room);
    arena_set(&own->used, used);
    return 0;
}

int64_t directory_add(struct inode *directory, const char *name, size_t length, struct inode *inode)
{
    struct directory *own = &directory->directory;
    ref_t ref = arena_alloc(entry_size(length));
    if (!ref)
        return -E_NO_SPACE;
    if (own->used == own->room) {
        int64_t result = make_room(directory);
        if (result < 0)
            return result;
    }
    struct entry *entry = arena_at(ref);
    entry->inode = arena_ref(inode);
    entry->length = (uint8_t)length;
    memcpy(entry->name, name, length);
    entry->name[length] = '\0';
    /* Behind `used` nobody looks. */
    uint32_t hash = words_hash(name, length), mask = 2 * own->room - 1, at = hash & mask;
    slots_of(directory)[own->used] = (struct slot){own->next, ref, hash};
    uint32_t *index = index_of(directory);
    while (index[at])
        at = (at + 1) & mask;
    arena_set(&index[at], own->used + 1);
    arena_set(&own->used, own->used + 1);
    arena_set(&own->next, own->next + 1);
    arena_set(&directory->size, directory->size + 1);
    if (inode->type == FILE_DIRECTORY)
        arena_set(&own->folders, own->folders + 1);
    return 0;
}

static const struct inode *slot_inode(const struct slot *slot)
{
    return arena_at(slot_entry(slot)->inode);
}

void directory_remove(struct inode *directory, struct slot *slot)
{
    struct directory *own = &directory->directory;
    if (slot_inode(slot)->type == FILE_DIRECTORY)
        arena_set(&own->folders, own->folders - 1);
    found_forget_names();
    arena_free(slot->entry, entry_size(slot_entry(slot)->length));
    arena_set(&slot->entry, 0);
    arena_set(&directory->size, directory->size - 1);
}

void directory_replace(struct inode *directory, struct slot *slot, struct inode *inode)
{
    struct directory *own = &directory->directory;
    struct entry *entry = arena_at(slot->entry);
    bool was = slot_inode(slot)->type == FILE_DIRECTORY, is = inode->type == FILE_DIRECTORY;
    if (was != is)
        arena_set(&own->folders, own->folders + is - was);
    arena_set(&entry->inode, arena_ref(inode));
}

const struct slot *directory_next(const struct inode *directory, uint64_t position)
{
    const struct directory *own = &directory->directory;
    const struct slot *slots = slots_of(directory);
    uint32_t low = 0, high = own->used;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (slots[middle].position < position)
            low = middle + 1;
        else
            high = middle;
    }
    while (low < own->used && !slots[low].entry)
        low++;
    return low < own->used ? &slots[low] : NULL;
}
