/* See opens.h. A slot is one when it says that it is used, last. */
#include "sbin/fsd.fat32/opens.h"

#include <stdlib.h>

#include "lib/sys/keep.h"
#include "sbin/fsd.fat32/volume.h"

#define NO_SLOT    UINT32_MAX
#define ROOM_FIRST 128u
#define MANY_FIRST 64u

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

/* All, and structures that are none at present: they stay structures of this kind, as the relay may name one once more. */
static struct open **known;
static uint32_t known_count, known_room, many = MANY_FIRST;
static struct list spare = LIST_INIT(spare);

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

static struct open *take(void)
{
    if (known_count == known_room) {
        uint32_t wanted = known_room ? 2 * known_room : MANY_FIRST;
        struct open **grown = realloc(known, wanted * sizeof(struct open *));
        if (!grown)
            return NULL;
        known = grown;
        known_room = wanted;
    }
    struct open *open = list_first(&spare, struct open, link);
    if (open)
        list_remove(&open->link);
    else
        open = malloc(sizeof(*open));
    return open;
}

static struct open *create(uint64_t id, uint32_t flags, struct fat_node *node, struct file *file)
{
    struct open *open = take();
    if (!open)
        return NULL;
    *open = (struct open){.id = id,
                          .flags = flags,
                          .slot = NO_SLOT,
                          .node = node,
                          .file = file,
                          .readable = flags & OPEN_READ ? file : NULL,
                          .place = known_count};
    list_init(&open->link);
    known[known_count++] = open;
    if (file)
        list_append(&file->opened, &open->link);
    return open;
}

int64_t opens_add(uint64_t id, uint32_t flags, struct fat_node *node, struct open **open)
{
    struct file *file = NULL;
    if (known_count >= many)
        opens_sweep();
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
    (*open)->slot = unused[--unused_count];
    struct slot *slot = &slots[(*open)->slot];
    slot->id = id;
    slot->node = file->id;
    slot->flags = flags;
    keep_commit(&slot->used, 1);
    return 0;
}

static void wait_no_more(struct open *open)
{
    for (size_t i = 0; i < waiting_count; i++)
        if (waiting[i] == open)
            waiting[i] = waiting[--waiting_count];
    open->waiting = false;
}

static void opens_remove(struct open *open)
{
    struct fat_node *node = open->node;
    struct file *file = open->file;
    if (open->slot != NO_SLOT) {
        keep_commit(&slots[open->slot].used, 0);
        unused[unused_count++] = open->slot;
    }
    if (open->waiting)
        wait_no_more(open);
    known[open->place] = known[--known_count];
    known[open->place]->place = open->place;
    list_remove(&open->link);
    list_append(&spare, &open->link);
    open->node = NULL;
    if (file)
        file_release(file, false);
    fat_put(node);
}

void opens_closed(struct open *open)
{
    if (open->node && open->told)
        opens_remove(open);
}

struct open *opens_find(uint64_t id)
{
    for (size_t i = 0; i < waiting_count; i++) {
        struct open *open = waiting[i];
        if (open->id != id)
            continue;
        wait_no_more(open);
        return open;
    }
    return NULL;
}

static bool closed(const struct open *open, uint32_t tell)
{
    return sys_file_ready(volume_port, open->id, tell, 0) == -E_NOT_FOUND;
}

/* From the last on: what goes is replaced by the last. */
void opens_sweep(void)
{
    for (uint32_t i = known_count; i-- > 0;)
        if (!known[i]->told && closed(known[i], 0))
            opens_remove(known[i]);
    many = MAX(2 * known_count, MANY_FIRST);
}

static void tell(struct open *open)
{
    if (open->told)
        return;
    open->told = !open->waiting; /* nobody tells us of what we did not open */
    if (closed(open, READY_TELL))
        opens_remove(open);
}

void opens_tell_of(struct file *file)
{
    file->held = true;
    list_for_each (struct open, open, &file->opened, link)
        tell(open);
    file->held = false;
    file_release(file, false);
}

void opens_tell(void)
{
    for (uint32_t i = known_count; i-- > 0;)
        tell(known[i]);
}

bool opens_any_writer(void)
{
    for (uint32_t i = 0; i < known_count; i++)
        if (known[i]->flags & OPEN_WRITE)
            return true;
    return false;
}

bool opens_any(void)
{
    return known_count > 0;
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
    open->waiting = true;
    fat_get(file->node);
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
