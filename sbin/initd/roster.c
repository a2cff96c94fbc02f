/* The table that outlives initd. */
#include "sbin/initd/roster.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "lib/sys/error.h"
#include "lib/sys/keep.h"

#define KEY_TABLE 1u
#define KEY_FIRST 2u /* + number of the entry */

#define ENTRIES_FIRST 32u

struct entry {
    uint32_t kind; /* written last */
    uint32_t reserved;
    char name[ROSTER_NAME_MAX + 1];
    struct life life;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all below */
static handle_t port = HANDLE_NONE;
static struct entry *entries; /* NULL: nothing is kept */
static uint32_t room;

static size_t table_size(uint32_t count)
{
    return ALIGN_UP(count * sizeof(struct entry), PAGE_SIZE);
}

static bool table_map(uint32_t count)
{
    struct entry *table = keep_memory(port, KEY_TABLE, table_size(count));
    if (!table)
        return false;
    keep_release(entries, table_size(room));
    entries = table;
    room = count;
    return true;
}

static bool entry_sound(const struct entry *entry)
{
    return entry->kind <= ROSTER_PORT && entry->name[0] &&
           memchr(entry->name, '\0', sizeof(entry->name));
}

/* How many entries the initd before had room for. */
static uint32_t room_before(void)
{
    struct abi_kept kept = {.key = KEY_TABLE, .flags = KEPT_EXACT};
    if (sys_port_kept(port, &kept) < 0)
        return 0;
    handle_drop(kept.handle);
    return (uint32_t)(kept.size / sizeof(struct entry));
}

void roster_open(handle_t log_port)
{
    port = log_port;
    if (!table_map(MAX(room_before(), ENTRIES_FIRST))) {
        fprintf(stderr, "no memory that outlives this process\n");
        return;
    }
    for (uint32_t i = 0; i < room; i++) {
        if (entries[i].kind == ROSTER_FREE || entry_sound(&entries[i]))
            continue;
        entries[i].kind = ROSTER_FREE;
        sys_ignore(keep_handle(port, KEY_FIRST + i, HANDLE_NONE));
    }
}

/* The entry of that kind and name, or a free one; ROSTER_NONE: neither. */
static uint32_t entry_find(enum roster_kind kind, const char *name)
{
    uint32_t unused = ROSTER_NONE;
    for (uint32_t i = 0; i < room; i++) {
        if (entries[i].kind == (uint32_t)kind && strcmp(entries[i].name, name) == 0)
            return i;
        if (entries[i].kind == ROSTER_FREE && unused == ROSTER_NONE)
            unused = i;
    }
    return unused;
}

uint32_t roster_enter(enum roster_kind kind, const char *name)
{
    if (!*name || strlen(name) > ROSTER_NAME_MAX)
        return ROSTER_NONE;
    pthread_mutex_lock(&lock);
    uint32_t found = entries ? entry_find(kind, name) : ROSTER_NONE;
    if (found == ROSTER_NONE && entries && table_map(room * 2))
        found = entry_find(kind, name);
    if (found != ROSTER_NONE && entries[found].kind == ROSTER_FREE) {
        /* What an unfinished entry kept under this number means nothing. */
        sys_ignore(keep_handle(port, KEY_FIRST + found, HANDLE_NONE));
        memset(&entries[found], 0, sizeof(entries[found]));
        strcpy(entries[found].name, name);
        keep_commit(&entries[found].kind, kind);
    }
    pthread_mutex_unlock(&lock);
    if (found == ROSTER_NONE)
        fprintf(stderr, "%s: would not be found again after the end of this process\n", name);
    return found;
}

void roster_forget(uint32_t entry)
{
    pthread_mutex_lock(&lock);
    if (entry < room) {
        entries[entry].kind = ROSTER_FREE;
        sys_ignore(keep_handle(port, KEY_FIRST + entry, HANDLE_NONE));
    }
    pthread_mutex_unlock(&lock);
}

bool roster_next(enum roster_kind kind, uint32_t *entry, char name[ROSTER_NAME_MAX + 1])
{
    bool found = false;
    pthread_mutex_lock(&lock);
    for (; !found && entries && *entry < room; (*entry)++) {
        found = entries[*entry].kind == (uint32_t)kind;
        if (found)
            strcpy(name, entries[*entry].name);
    }
    pthread_mutex_unlock(&lock);
    return found;
}

handle_t roster_handle(uint32_t entry)
{
    return entry == ROSTER_NONE ? HANDLE_NONE : keep_get(port, KEY_FIRST + entry);
}

void roster_keep(uint32_t entry, handle_t handle)
{
    if (entry == ROSTER_NONE)
        return;
    int64_t result = keep_handle(port, KEY_FIRST + entry, handle);
    if (result < 0 && result != -E_NOT_FOUND)
        fprintf(stderr, "cannot keep a handle: %s\n", error_text(result));
}

struct life roster_life(uint32_t entry)
{
    struct life life = {0};
    pthread_mutex_lock(&lock);
    if (entry < room)
        life = entries[entry].life;
    pthread_mutex_unlock(&lock);
    return life;
}

void roster_set_life(uint32_t entry, const struct life *life)
{
    pthread_mutex_lock(&lock);
    if (entry < room)
        entries[entry].life = *life;
    pthread_mutex_unlock(&lock);
}
