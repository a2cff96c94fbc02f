/* See opens.h. The list is the process's own, made anew from the arena by each. */
#include "sbin/fsd.tmp/opens.h"

#include <stdlib.h>

#include "sbin/fsd.tmp/data.h"
#include "sbin/fsd.tmp/store.h"

#define MANY_FIRST 64u

static ref_t *known;
static size_t count, room, many = MANY_FIRST;

/* Of those that an earlier process opened, by id: some may be opened again. */
static struct old {
    uint64_t id;
    ref_t ref;
} * old;
static size_t old_count;

/* NULL: it has gone, and something else may lie there. */
static struct open *open_at(ref_t ref)
{
    struct open *open = arena_at(ref);
    return open->place < count && known[open->place] == ref ? open : NULL;
}

bool opens_enter(struct open *open)
{
    if (count == room) {
        size_t wanted = room ? 2 * room : MANY_FIRST;
        ref_t *grown = realloc(known, wanted * sizeof(*known));
        if (!grown)
            return false;
        known = grown;
        room = wanted;
    }
    open->place = (uint32_t)count;
    known[count++] = arena_ref(open);
    return true;
}

void opens_forget(const struct open *open)
{
    ref_t last = known[--count];
    ((struct open *)arena_at(last))->place = open->place;
    known[open->place] = last;
}

static int compare(const void *a, const void *b)
{
    const struct old *first = a, *second = b;
    return first->id < second->id ? -1 : first->id > second->id;
}

int64_t opens_recover(void)
{
    count = old_count = 0;
    free(old);
    for (struct volume *volume = volume_first(); volume; volume = volume_after(volume))
        for (ref_t ref = volume->first; ref; ref = ((struct inode *)arena_at(ref))->next) {
            const struct inode *inode = arena_at(ref);
            for (ref_t at = inode->opens; at; at = ((struct open *)arena_at(at))->next)
                if (!opens_enter(arena_at(at)))
                    return -E_NO_MEMORY;
        }
    old = malloc((count + 1) * sizeof(*old));
    if (!old)
        return -E_NO_MEMORY;
    for (; old_count < count; old_count++)
        old[old_count] =
            (struct old){((struct open *)arena_at(known[old_count]))->id, known[old_count]};
    qsort(old, old_count, sizeof(*old), compare);
    many = MAX(2 * count, (size_t)MANY_FIRST);
    return 0;
}

struct open *opens_find(uint64_t id)
{
    const struct old *found =
        old_count ? bsearch(&(struct old){.id = id}, old, old_count, sizeof(*old), compare) : NULL;
    struct open *open = found ? open_at(found->ref) : NULL;
    return open && open->id == id ? open : NULL;
}

struct open *opens_of(uint64_t cookie)
{
    return cookie < arena->end / ARENA_UNIT ? open_at((ref_t)cookie) : NULL;
}

static bool closed(const struct open *open, uint32_t tell)
{
    return sys_file_ready(store_port, open->id, tell, 0) == -E_NOT_FOUND;
}

/* From the last on: what is forgotten is replaced by the last. */
static void sweep(void)
{
    for (size_t i = count; i-- > 0;) {
        struct open *open = arena_at(known[i]);
        if (!closed(open, 0))
            continue;
        open_destroy(open);
        arena_commit();
        data_finish(true);
    }
    many = MAX(2 * count, (size_t)MANY_FIRST);
}

static void volumes_end(void)
{
    for (struct volume *volume = volume_first(), *after; volume; volume = after) {
        after = volume_after(volume);
        if (volume->id == 0 && !opens_any(volume))
            volume_destroy(volume);
    }
}

void opens_sweep(bool all)
{
    if (!all && count < many)
        return;
    sweep();
    volumes_end();
}

void opens_reap(struct inode *inode)
{
    for (ref_t ref = inode->opens, next; ref; ref = next) {
        struct open *open = arena_at(ref);
        next = open->next;
        if (closed(open, READY_TELL))
            open_destroy(open);
    }
}

bool opens_any(const struct volume *volume)
{
    for (size_t i = 0; i < count; i++) {
        const struct open *open = arena_at(known[i]);
        if (((struct inode *)arena_at(open->inode))->volume == arena_ref(volume))
            return true;
    }
    return false;
}
