/* See store.h. The arena's memory is mapped once, with all the room it may ever take. */
#include "sbin/fsd.tmp/store.h"

#include <stdlib.h>

#include "lib/sys/keep.h"
#include "sbin/fsd.tmp/arena.h"
#include "sbin/fsd.tmp/inode.h"

#define SIZE_FIRST (UINT64_C(64) << 10)

handle_t store_port;
static handle_t memory;

/* Its pages are there beforehand: touching them cannot fail. */
bool arena_grow(uint64_t size)
{
    int64_t old = sys_memory_op(memory, MEMORY_OP_SIZE, 0, 0, NULL);
    if (old < 0)
        return false;
    if ((uint64_t)old < size && sys_memory_resize(memory, size) < 0)
        return false;
    uint64_t used = arena ? arena->size : 0;
    return sys_memory_op(memory, MEMORY_OP_COMMIT, used, size - used, NULL) >= 0;
}

static int64_t memory_find(void)
{
    memory = keep_get(store_port, STORE_KEY_ARENA);
    if (memory != HANDLE_NONE)
        return 0;
    int64_t result = sys_memory_create(0, 0);
    if (result < 0)
        return result;
    memory = (handle_t)result;
    if (!arena_grow(SIZE_FIRST))
        return -E_NO_MEMORY;
    return sys_port_keep(store_port, STORE_KEY_ARENA, memory);
}

static int compare(const void *a, const void *b)
{
    uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;
    return first < second ? -1 : first > second;
}

/* The keys of all files there are, in order. */
static int64_t files_list(uint64_t **keys, size_t *count)
{
    size_t total = 1;
    *count = 0;
    for (struct volume *volume = volume_first(); volume; volume = volume_after(volume))
        total += volume->inodes;
    *keys = malloc(total * sizeof(**keys));
    if (!*keys)
        return -E_NO_MEMORY;
    for (struct volume *volume = volume_first(); volume; volume = volume_after(volume))
        for (ref_t ref = volume->first; ref; ref = ((struct inode *)arena_at(ref))->next)
            if (*count < total && ((struct inode *)arena_at(ref))->type == FILE_REGULAR)
                (*keys)[(*count)++] = STORE_KEY_DATA + ref;
    qsort(*keys, *count, sizeof(**keys), compare);
    return 0;
}

/* A process that was killed between the end of a file and that of its bytes has left these. */
static int64_t strays_drop(void)
{
    uint64_t *keys;
    size_t count;
    struct abi_kept kept = {.key = STORE_KEY_DATA};
    int64_t result = files_list(&keys, &count);
    if (result < 0)
        return result;
    while (sys_port_kept(store_port, &kept) >= 0) {
        handle_drop(kept.handle);
        if (!bsearch(&kept.key, keys, count, sizeof(*keys), compare))
            sys_ignore(sys_port_keep(store_port, kept.key, HANDLE_NONE));
        kept = (struct abi_kept){.key = kept.key + 1};
    }
    free(keys);
    return 0;
}

int64_t store_open(handle_t port)
{
    store_port = port;
    int64_t result = memory_find();
    if (result < 0)
        return result;
    struct abi_map map = {
        .length = ARENA_LIMIT,
        .memory = memory,
        .protection = PROT_READ_ | PROT_WRITE_,
        .flags = MAP_SHARED_,
    };
    result = sys_space_map(HANDLE_SELF, &map);
    if (result < 0)
        return result;
    int64_t size = sys_memory_op(memory, MEMORY_OP_SIZE, 0, 0, NULL);
    if (!arena_open((void *)result, (uint64_t)size))
        return -E_BAD_FORMAT;
    return strays_drop();
}
