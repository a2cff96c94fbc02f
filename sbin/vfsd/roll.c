/* See roll.h. */
#include "sbin/vfsd/roll.h"

#include <string.h>

#include "lib/sys/keep.h"

#define KEY_ROLL   16u /* tree.c has those below */
#define ROOM_FIRST 32u

static struct roll {
    uint32_t last; /* the number that was given out last */
    uint32_t reserved;
    struct {
        uint32_t id; /* 0: nothing */
        uint32_t ended;
        char type[ROLL_TYPE_MAX + 1];
    } entries[];
} * roll;

static handle_t port;
static uint32_t room;

static size_t size_of(uint32_t entries)
{
    return ALIGN_UP(sizeof(*roll) + entries * sizeof(roll->entries[0]), (size_t)PAGE_SIZE);
}

static bool map(uint32_t entries)
{
    struct roll *grown = keep_memory(port, KEY_ROLL, size_of(entries));
    if (!grown)
        return false;
    keep_release(roll, size_of(room));
    roll = grown;
    room = (uint32_t)((size_of(entries) - sizeof(*roll)) / sizeof(roll->entries[0]));
    return true;
}

/* As much as an instance before us had. */
void roll_open(handle_t fs_port)
{
    struct abi_kept kept = {.key = KEY_ROLL, .flags = KEPT_EXACT};
    port = fs_port;
    if (sys_port_kept(port, &kept) >= 0)
        handle_drop(kept.handle);
    if (!map(MAX((uint32_t)(kept.size / sizeof(roll->entries[0])), ROOM_FIRST)))
        room = 0;
}

/* Part of a URI's scheme, which the number ends. */
static bool type_is_good(const char *type)
{
    size_t length = strlen(type);
    return length >= 1 && length <= ROLL_TYPE_MAX && type[0] >= 'a' && type[0] <= 'z' &&
           strspn(type, "abcdefghijklmnopqrstuvwxyz0123456789+.-_") == length;
}

int64_t roll_add(const char *type, struct roll_entry *entry)
{
    uint32_t at = 0;
    if (!type_is_good(type))
        return -E_INVALID;
    while (at < room && roll->entries[at].id)
        at++;
    if (at == room && !map(room ? 2 * room : ROOM_FIRST))
        return -E_NO_MEMORY;
    roll->last++;
    roll->entries[at].ended = 0;
    strcpy(roll->entries[at].type, type);
    keep_commit(&roll->entries[at].id, roll->last);
    *entry = (struct roll_entry){.id = roll->last, .at = at};
    strcpy(entry->type, type);
    return 0;
}

void roll_remove(const struct roll_entry *entry)
{
    keep_commit(&roll->entries[entry->at].id, 0);
}

void roll_end(struct roll_entry *entry)
{
    entry->ended = 1;
    keep_commit(&roll->entries[entry->at].ended, 1);
}

bool roll_next(uint32_t *at, struct roll_entry *entry)
{
    for (; *at < room; (*at)++) {
        if (!roll->entries[*at].id)
            continue;
        *entry = (struct roll_entry){
            .id = roll->entries[*at].id, .ended = roll->entries[*at].ended, .at = *at};
        memcpy(entry->type, roll->entries[*at].type, sizeof(entry->type));
        entry->type[ROLL_TYPE_MAX] = '\0';
        (*at)++;
        if (type_is_good(entry->type))
            return true;
        roll_remove(entry);
    }
    return false;
}
