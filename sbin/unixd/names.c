/* See names.h. Three indexes are derived: by name; by owner, to count what each has; by object, which has one name: so one
 * binding to its handle is that name's. */
#include "sbin/unixd/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/keep.h"

#define KEY_NAMES  1u
#define KEY_HANDLE 16u
#define BUCKETS    4096u
#define FIRST      64u
#define NOTHING    UINT32_MAX

enum index { BY_NAME, BY_OWNER, BY_OBJECT, INDEXES };

/* What is known of a slot beside its entry. */
struct slot {
    handle_t handle;
    uint32_t next[INDEXES]; /* in its buckets; [0] of a free one: the next free */
};

static handle_t port;
static struct name *names; /* kept */
static struct slot *slots;
static uint32_t capacity;
static uint32_t free_slots = NOTHING;
static uint32_t buckets[INDEXES][BUCKETS];

static uint32_t hash(const void *bytes, size_t length)
{
    uint32_t value = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < length; i++)
        value = (value ^ ((const uint8_t *)bytes)[i]) * 16777619u;
    return value % BUCKETS;
}

static uint32_t slot_of(const struct name *name)
{
    return (uint32_t)(name - names);
}

static uint64_t key_of(uint32_t slot, uint32_t which)
{
    return KEY_HANDLE + 2 * (uint64_t)slot + which;
}

static uint32_t which_of(const struct name *name)
{
    return name->state >> 8;
}

static uint32_t *bucket_of(const struct name *name, enum index index)
{
    switch (index) {
    case BY_NAME:
        return &buckets[index][hash(name->bytes, name->length)];
    case BY_OWNER:
        return &buckets[index][hash(&name->owner, sizeof(name->owner))];
    default:
        return &buckets[index][hash(&name->object, sizeof(name->object))];
    }
}

static void index_add(uint32_t slot, enum index index)
{
    uint32_t *first = bucket_of(&names[slot], index);
    slots[slot].next[index] = *first;
    *first = slot;
}

static void index_remove(uint32_t slot, enum index index)
{
    uint32_t *place = bucket_of(&names[slot], index);
    while (*place != slot)
        place = &slots[*place].next[index];
    *place = slots[slot].next[index];
}

static uint32_t owned_by(uint64_t owner)
{
    uint32_t count = 0;
    for (uint32_t slot = buckets[BY_OWNER][hash(&owner, sizeof(owner))]; slot != NOTHING;
         slot = slots[slot].next[BY_OWNER])
        count += names[slot].owner == owner;
    return count;
}

static bool has_name(uint64_t object)
{
    uint32_t slot = buckets[BY_OBJECT][hash(&object, sizeof(object))];
    while (slot != NOTHING && names[slot].object != object)
        slot = slots[slot].next[BY_OBJECT];
    return slot != NOTHING;
}

/* The entry, what is kept for it, and our handle. */
static void slot_free(uint32_t slot)
{
    keep_commit(&names[slot].state, NAME_FREE);
    for (uint32_t which = 0; which < 2; which++)
        sys_ignore(sys_port_keep(port, key_of(slot, which), HANDLE_NONE));
    if (slots[slot].handle != HANDLE_NONE) {
        sys_ignore(sys_port_bind(port, slots[slot].handle, 0, 0, 0));
        handle_drop(slots[slot].handle);
    }
    slots[slot] = (struct slot){.handle = HANDLE_NONE, .next = {free_slots}};
    free_slots = slot;
}

/* Room for so many; what was there stays. */
static int64_t grow(uint32_t count)
{
    struct slot *more_slots = realloc(slots, count * sizeof(*slots));
    if (!more_slots)
        return -E_NO_MEMORY;
    slots = more_slots;
    struct name *more = keep_memory(port, KEY_NAMES, count * sizeof(*more));
    if (!more)
        return -E_NO_MEMORY;
    keep_release(names, capacity * sizeof(*names));
    names = more;
    for (uint32_t slot = count; slot-- > capacity;) {
        slots[slot] = (struct slot){.handle = HANDLE_NONE, .next = {free_slots}};
        free_slots = slot;
    }
    capacity = count;
    return 0;
}

/* It says when its other side is gone. */
static int64_t watch(uint32_t slot, handle_t handle)
{
    return sys_port_bind(port, handle, SIGNAL_HANGUP, slot + 1, BIND_ONCE);
}

static bool plausible(const struct name *name)
{
    return (name_state(name) == NAME_RESERVED || name_state(name) == NAME_LISTENS) &&
           which_of(name) < 2 && name->length <= UNIX_NAME_MAX;
}

/* The handle is what counts: the entry may have been about to change. */
static bool object_read(struct name *name, handle_t handle)
{
    struct abi_handle_info info;
    if (sys_handle_info(handle, &info) < 0 || has_name(info.id))
        return false;
    name->object = info.id;
    return true;
}

/* What an earlier instance had committed, with its handle; everything else goes. */
static void recover(void)
{
    free_slots = NOTHING;
    for (uint32_t slot = capacity; slot-- > 0;) {
        struct name *name = &names[slot];
        handle_t handle =
            plausible(name) ? keep_get(port, key_of(slot, which_of(name))) : HANDLE_NONE;
        slots[slot].handle = handle;
        if (handle == HANDLE_NONE || name_find(name->bytes, name->length) ||
            !object_read(name, handle) || watch(slot, handle) < 0) {
            slot_free(slot);
            continue;
        }
        sys_ignore(sys_port_keep(port, key_of(slot, !which_of(name)), HANDLE_NONE));
        for (enum index index = 0; index < INDEXES; index++)
            index_add(slot, index);
    }
}

int64_t names_open(handle_t from)
{
    struct abi_kept kept = {.key = KEY_NAMES, .flags = KEPT_EXACT};
    port = from;
    memset(buckets, 0xff, sizeof(buckets));
    uint64_t before = 0;
    if (sys_port_kept(port, &kept) >= 0) {
        before = kept.size / sizeof(struct name);
        handle_drop(kept.handle);
    }
    int64_t result = grow((uint32_t)MIN(MAX(before, (uint64_t)FIRST), (uint64_t)NAMES_MAX));
    if (result >= 0)
        recover();
    return result;
}

struct name *name_find(const char *bytes, size_t length)
{
    for (uint32_t slot = buckets[BY_NAME][hash(bytes, length)]; slot != NOTHING;
         slot = slots[slot].next[BY_NAME])
        if (names[slot].length == length && memcmp(names[slot].bytes, bytes, length) == 0)
            return &names[slot];
    return NULL;
}

handle_t name_handle(const struct name *name)
{
    return slots[slot_of(name)].handle;
}

/* The handle is ours and kept under the key. */
static int64_t handle_adopt(uint32_t slot, uint32_t which, handle_t handle, uint64_t *object,
                            handle_t *own)
{
    struct abi_handle_info info;
    int64_t result = sys_handle_info(handle, &info);
    if (result >= 0)
        result = has_name(info.id) ? -E_BUSY : sys_handle_duplicate(handle, RIGHT_ALL);
    if (result < 0)
        return result;
    *own = (handle_t)result;
    *object = info.id;
    result = keep_handle(port, key_of(slot, which), *own);
    if (result >= 0)
        result = watch(slot, *own);
    if (result < 0) {
        sys_ignore(sys_port_keep(port, key_of(slot, which), HANDLE_NONE));
        handle_drop(*own);
    }
    return result;
}

int64_t name_add(const char *bytes, size_t length, uint64_t owner, enum name_state state,
                 handle_t handle)
{
    if (owned_by(owner) >= NAMES_PER_OWNER)
        return -E_QUOTA;
    if (free_slots == NOTHING) {
        int64_t result = capacity < NAMES_MAX ? grow(capacity * 2) : -E_QUOTA;
        if (result < 0)
            return result;
    }
    uint32_t slot = free_slots;
    struct name *name = &names[slot];
    int64_t result = handle_adopt(slot, 0, handle, &name->object, &slots[slot].handle);
    if (result < 0) {
        slots[slot].handle = HANDLE_NONE;
        return result;
    }
    free_slots = slots[slot].next[0];
    name->length = (uint32_t)length;
    name->owner = owner;
    memcpy(name->bytes, bytes, length);
    keep_commit(&name->state, state);
    for (enum index index = 0; index < INDEXES; index++)
        index_add(slot, index);
    return 0;
}

int64_t name_replace(struct name *name, handle_t handle)
{
    uint32_t slot = slot_of(name), which = !which_of(name);
    handle_t old = slots[slot].handle, own;
    uint64_t object;
    int64_t result = handle_adopt(slot, which, handle, &object, &own);
    if (result < 0)
        return result;
    index_remove(slot, BY_OBJECT);
    name->object = object;
    index_add(slot, BY_OBJECT);
    keep_commit(&name->state, NAME_LISTENS | which << 8);
    slots[slot].handle = own;
    sys_ignore(sys_port_bind(port, old, 0, 0, 0));
    sys_ignore(sys_port_keep(port, key_of(slot, !which), HANDLE_NONE));
    handle_drop(old);
    return 0;
}

void name_remove(struct name *name)
{
    uint32_t slot = slot_of(name);
    for (enum index index = 0; index < INDEXES; index++)
        index_remove(slot, index);
    slot_free(slot);
}

/* What is told may be about one that had the slot before: its own state counts. */
void name_gone(uint64_t key)
{
    struct abi_handle_info info;
    if (key == 0 || key > capacity || slots[key - 1].handle == HANDLE_NONE)
        return;
    if (sys_handle_info(slots[key - 1].handle, &info) >= 0 && !(info.signals & SIGNAL_HANGUP))
        return;
    name_remove(&names[key - 1]);
}

const struct name *name_next(uint64_t *slot)
{
    while (*slot < capacity) {
        const struct name *name = &names[(*slot)++];
        if (slots[slot_of(name)].handle != HANDLE_NONE)
            return name;
    }
    return NULL;
}
