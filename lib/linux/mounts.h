/* fs://'s mount table, as vfsd hands it out: paths go to the mounted service without a detour.
 *
 *     struct mounted to;
 *     mounts_enter(process, path, &to);
 *     sys_open(to.names, to.uri ...)
 *     mounts_leave(path, &to);                the path is what it was
 *
 * The table is taken when the first path of fs:// comes by, and again when it is stale. Without one (fs:// is not vfsd's) a path
 * goes to fs:// itself. process->lock guards it; a table is read under it only.
 */
#pragma once

#include "abi/fs.h"
#include "lib/linux/path.h"

struct mounted {
    handle_t names; /* HANDLE_SELF: the process's own */
    const char *uri;
    size_t length;
    char *end; /* where a slash was put behind it; NULL: nowhere */
    char *
        behind; /* what stands behind the point; the target was written in front of it, over so many words: */
    uint32_t words;
    uint64_t saved[FS_TARGET_MAX / 8 + 1]; /* the last one first */
};

void mounts_enter(struct process *process, struct path *path, struct mounted *to);
static inline void mounts_leave(struct mounted *to)
{
    for (uint32_t i = 0; i < to->words; i++)
        __builtin_memcpy(to->behind - 8 * (i + 1), &to->saved[i], 8);
    if (unlikely(to->end))
        *to->end = '\0';
}

/* A mounted service's E_LINK for this path, in terms of fs:// or another URI: text is replaced. -errno */
int64_t mounts_linked(struct process *process, const struct path *path, char *text, size_t room,
                      size_t *length) MUST_CHECK;
/* Something is mounted at the path or below it. */
bool mounts_cover(struct process *process, const struct path *path);
/* The path of the index-th mount's point, into room for PATH_LENGTH_MAX; without a table the root's alone. How long, or 0: behind the last. */
size_t mounts_point(struct process *process, uint32_t index, char *text) MUST_CHECK;
/* Both are mounted by the same mount. */
bool mounts_same(struct process *process, const struct path *a, const struct path *b);
