/* See opens.h. A slot is one when it says that it is used, last. */
#include "sbin/fsd.fat32/opens.h"

#include <stdlib.h>

#include "lib/sys/keep.h"
#include "sbin/fsd.fat32/volume.h"

#define NO_SLOT    UINT32_MAX
#define ROOM_FIRST 128u

struct slot {
    uint64_t id;
    uint64_t node;
    uint32_t flags;
    uint32_t used; /* 0: free */
};

static struct slot *slots;
static uint32_t room;
static uint32_t *unused; /* numbers of free slots */
static uint32_t unused_count;

static size_t all;

/* Those of a predecessor, until somebody comes for them. */
static struct open **waiting;
static size_t waiting_count;

static size_t size_of(uint32_t count)
{
    return ALIGN_UP(count * sizeof(struct slot), (size_t)PAGE_SIZE);
}

static int64_t grow(uint32_t wanted)
{
    uint32_t count = (uint32_t)(size_of(wanted) / sizeof(struct slot));
    uint32_t *numbers = realloc(unused, count * sizeof(*numbers));
    if (!numbers)
        return -E_NO_MEMORY;
    unused = numbers;
    struct slot *grown = keep_memory(volume_port, STORE_KEY_OPENS, size_of(wanted));
    if (!grown)
        return -E_NO_MEMORY;
    keep_release(slots, size_of(room));
    slots = grown;
    for (uint32_t i = count; i-- > room;)
        if (!slots[i].used)
            unused[unused_count++] = i;
    room = count;
    return 0;
}

static bool is_writer(const struct open *open)
{
    return open->flags & OPEN_WRITE;
}

static struct open *create(uint64_t id, uint32_t flags, struct fat_node *node, struct file *file)
{
    struct open *open = calloc(1, sizeof(*open));
    if (!open)
        return NULL;
    *open = (struct open){id, flags, NO_SLOT, node, file};
    all++;
    return open;
}

int64_t opens_add(uint64_t id, uint32_t flags, struct fat_node *node, struct open **open)
{
    struct file *file = NULL;
    if (!fat_is_directory(node)) {
        file = file_of(node);
        if (!file || (!unused_count && grow(2 * room) < 0))
            return -E_NO_MEMORY;
    }
    *open = create(id, flags, node, file);
    if (!*open)
        return -E_NO_MEMORY;
    if (!file)
        return 0;
    file->opens++;
    file->writers += is_writer(*open);
    (*open)->slot = unused[--unused_count];
    struct slot *slot = &slots[(*open)->slot];
    slot->id = id;
    slot->node = file->id;
    slot->flags = flags;
    keep_commit(&slot->used, 1);
    return 0;
}

void opens_remove(struct open *open)
{
    if (open->slot != NO_SLOT) {
        keep_commit(&slots[open->slot].used, 0);
        unused[unused_count++] = open->slot;
    }
    all--;
    if (open->file) {
        open->file->writers -= is_writer(open);
        file_closed(open->file);
    }
    fat_put(open->node);
    free(open);
}

struct open *opens_find(uint64_t id)
{
    for (size_t i = 0; i < waiting_count; i++) {
        struct open *open = waiting[i];
        if (open->id != id)
            continue;
        waiting[i] = waiting[--waiting_count];
        return open;
    }
    return NULL;
}

void opens_sweep(void)
{
    for (size_t i = waiting_count; i-- > 0;) {
        struct open *open = waiting[i];
        if (sys_file_ready(volume_port, open->id, 0, 0) != -E_NOT_FOUND)
            continue;
        waiting[i] = waiting[--waiting_count];
        opens_remove(open);
    }
}

bool opens_any(void)
{
    return all > 0;
}

bool opens_wait(void)
{
    return waiting_count > 0;
}

static bool slot_recover(uint32_t number)
{
    const struct slot *slot = &slots[number];
    struct file *file = file_by_id(slot->node);
    struct open *open = file ? create(slot->id, slot->flags, file->node, file) : NULL;
    if (!open)
        return false;
    open->slot = number;
    fat_get(file->node);
    file->opens++;
    file->writers += is_writer(open);
    waiting[waiting_count++] = open;
    return true;
}

int64_t opens_recover(void)
{
    struct abi_kept kept = {.key = STORE_KEY_OPENS, .flags = KEPT_EXACT};
    if (sys_port_kept(volume_port, &kept) >= 0)
        handle_drop(kept.handle);
    int64_t result = grow(MAX((uint32_t)(kept.size / sizeof(struct slot)), ROOM_FIRST));
    waiting = calloc(room, sizeof(struct open *));
    if (result < 0 || !waiting)
        return -E_NO_MEMORY;
    for (uint32_t i = 0; i < room; i++) {
        if (!slots[i].used || slot_recover(i))
            continue;
        slots[i].used = 0;
        unused[unused_count++] = i;
    }
    opens_sweep();
    return 0;
}
