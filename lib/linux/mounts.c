/* See mounts.h. */
#include "lib/linux/mounts.h"

#include "lib/base/mounts.h"
#include "lib/base/string.h"
#include "lib/base/uri.h"
#include "lib/linux/answer.h"
#include "lib/linux/heap.h"

#define ROOT   "fs:///"
#define SCHEME 5u /* "fs://" */

static inline bool in_tree(const struct path *path)
{
    return __builtin_memcmp(path->uri, ROOT, sizeof(ROOT) - 1) == 0;
}

/* The handles and the mapping of a table; *length 0: fs:// has none. */
static int64_t fetch(handle_t handles[2], const struct fs_table **table, uint64_t *length)
{
    struct abi_path_call call = {.uri = (uint64_t)ROOT, .uri_length = sizeof(ROOT) - 1};

    call.command.op = FS_TABLE;
    call.command.flags = COMMAND_RESTARTABLE;
    *length = 0;
    int64_t result;
    do
        result = sys_path_call(HANDLE_SELF, &call);
    while (result == -E_RESTARTED);
    if (result < 0)
        return result;
    if (call.command.receive_count != 2) {
        for (uint32_t i = 0; i < call.command.receive_count; i++)
            handle_drop(call.command.receive[i]);
        return -E_IO;
    }
    memcpy(handles, call.command.receive, 2 * sizeof(handles[0]));
    struct abi_map map = {
        .length = ALIGN_UP(call.command.values[0], (uint64_t)PAGE_SIZE),
        .memory = handles[0],
        .protection = PROT_READ_,
        .flags = MAP_SHARED_,
    };
    result = pages_map(&map);
    handle_drop(handles[0]);
    *table = (const struct fs_table *)result;
    *length = map.length;
    if (result >= 0 && mounts_valid(*table, call.command.values[0]))
        return 0;
    if (result >= 0)
        sys_ignore(sys_space_unmap(HANDLE_SELF, (uint64_t)result, map.length));
    handle_drop(handles[1]);
    return result < 0 ? result : -E_IO;
}

/* What a protocol that is not vfsd's says of FS_TABLE, and what is said where there is no fs://. */
static bool no_table(int64_t result)
{
    return result == -E_NO_CALL || result == -E_NO_PROTOCOL || result == -E_NOT_FOUND;
}

/* Takes a table, or finds out that there is none. The old one goes once nobody can be reading it. */
static void renew(struct process *process)
{
    const struct fs_table *table = NULL;
    handle_t handles[2] = {HANDLE_NONE, HANDLE_NONE};
    uint64_t length;
    int64_t result = fetch(handles, &table, &length);

    if (result < 0 && !no_table(result))
        return; /* what we have, if anything, is better than nothing */
    lock(&process->lock);
    struct mount_table old = process->mounts;
    process->mounts = (struct mount_table){
        .asked = true,
        .table = result < 0 ? NULL : table,
        .length = length,
        .names = handles[1],
    };
    unlock(&process->lock);
    if (old.table) {
        sys_ignore(sys_space_unmap(HANDLE_SELF, (uint64_t)old.table, old.length));
        handle_drop(old.names);
    }
}

static __attribute__((noinline)) const struct fs_table *table_lock_new(struct process *process)
{
    if (process->mounts.asked && !process->mounts.table)
        return NULL;
    unlock(&process->lock);
    renew(process);
    lock(&process->lock);
    return process->mounts.table;
}

/* With process->lock held, the table if there is one. */
static inline const struct fs_table *table_lock(struct process *process)
{
    lock(&process->lock);
    const struct fs_table *table = process->mounts.table;
    if (likely(table && !__atomic_load_n(&table->stale, __ATOMIC_ACQUIRE)))
        return table;
    return table_lock_new(process);
}

/* What ends at `end` is put in front of `behind`: whole words, so up to seven bytes more, which nobody reads. */
static inline void overwrite(struct mounted *to, char *behind, const char *end, size_t length)
{
    uint64_t *saved = to->saved;

    for (size_t at = 8; at < length + 8; at += 8) {
        __builtin_memcpy(saved++, behind - at, 8);
        __builtin_memcpy(behind - at, end - at, 8);
    }
    to->words = (uint32_t)((length + 7) / 8);
}

void mounts_enter(struct process *process, struct path *path, struct mounted *to)
{
    size_t rest;

    to->names = HANDLE_SELF;
    to->uri = path->uri;
    to->length = path->length;
    to->words = 0;
    to->end = NULL;
    if (!in_tree(path))
        return;
    const struct fs_table *table = table_lock(process);
    if (likely(table)) {
        const struct fs_mount *mount =
            mounts_find(table, path->uri + SCHEME, path->length - SCHEME, &rest);
        size_t length = mount->target_length, behind = path->length - SCHEME - rest;
        to->behind = path->uri + SCHEME + rest;
        to->uri = to->behind - length;
        to->length = length + behind;
        to->names = process->mounts.names;
        overwrite(to, path->uri + SCHEME + rest, mounts_text(table, mount->target) + length,
                  length);
        if (unlikely(!behind)) {
            to->end = path->uri + path->length;
            *to->end = '/';
            to->length++;
        }
    }
    unlock(&process->lock);
}

int64_t mounts_linked(struct process *process, const struct path *path, char *text, size_t room,
                      size_t *length)
{
    char out[PATH_LENGTH_MAX];
    size_t rest;
    int64_t result = 0;

    if (!in_tree(path))
        return 0;
    const struct fs_table *table = table_lock(process);
    if (table) {
        const struct fs_mount *mount =
            mounts_find(table, path->uri + SCHEME, path->length - SCHEME, &rest);
        result =
            answer(mounts_link(table, mount, text, *length, out, MIN(room, sizeof(out)), length));
    }
    unlock(&process->lock);
    if (table && result >= 0)
        memcpy(text, out, *length);
    return result;
}

bool mounts_cover(struct process *process, const struct path *path)
{
    if (!in_tree(path))
        return false;
    const struct fs_table *table = table_lock(process);
    bool below = table && mounts_below(table, path->uri + SCHEME, path->length - SCHEME);
    unlock(&process->lock);
    return below;
}

size_t mounts_point(struct process *process, uint32_t index, char *text)
{
    size_t length = 0;
    const struct fs_table *table = table_lock(process);

    text[0] = '/';
    if (table && index < table->count && table->mounts[index].point_length < PATH_LENGTH_MAX) {
        length = 1 + table->mounts[index].point_length;
        memcpy(text + 1, mounts_text(table, table->mounts[index].point), length - 1);
    } else if (!table && index == 0) {
        length = 1;
    }
    unlock(&process->lock);
    return length;
}

bool mounts_same(struct process *process, const struct path *a, const struct path *b)
{
    size_t rest = 0, other = 0; /* how much of a path its mount's point takes says which it is */
    bool first = in_tree(a), second = in_tree(b);

    if (!first || !second)
        return first == second;
    const struct fs_table *table = table_lock(process);
    if (table) {
        (void)mounts_find(table, a->uri + SCHEME, a->length - SCHEME, &rest);
        (void)mounts_find(table, b->uri + SCHEME, b->length - SCHEME, &other);
    }
    unlock(&process->lock);
    return rest == other && memcmp(a->uri + SCHEME, b->uri + SCHEME, rest) == 0;
}
