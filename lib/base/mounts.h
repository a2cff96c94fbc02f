/* The mount table (abi/fs.h): which service a path of fs:// leads to, and back from what that says of links.
 *
 *     mounts_find(table, "/tmp/a/b", 8, &rest)       the mount of /tmp, rest 4
 *     mounts_link(table, mount, "2/a/../c", ...)     "/tmp/a/../c"
 *
 * Paths begin with a slash and are canonical (uri.h). Nothing is terminated.
 */
#pragma once

#include "abi/fs.h"
#include "lib/base/base.h"

/* Whether the table is one: its texts lie in it, and the last mount is a root, at which every list ends. length: of what may be read. */
bool mounts_valid(const struct fs_table *table, size_t length);

static inline const char *mounts_text(const struct fs_table *table, uint32_t offset)
{
    return (const char *)table + offset;
}

/* Where the path is mounted: the longest point that it lies below or at. *rest: how much of it the point takes. Eight bytes
 * behind the path can be read. */
static inline const struct fs_mount *mounts_find(const struct fs_table *table, const char *path,
                                                 size_t length, size_t *rest)
{
    uint64_t head;

    __builtin_memcpy(&head, path + 1, sizeof(head));
    for (const struct fs_mount *mount = &table->mounts[table->first[head % FS_TABLE_LISTS]];;
         mount++) {
        if (likely((head & mount->mask) != mount->head))
            continue;
        size_t end = mount->point_length ? mount->point_length + 1u : 0;
        if (end > length || (end < length && path[end] != '/'))
            continue;
        size_t at = sizeof(head);
        const char *point = mounts_text(table, mount->point);
        while (at < mount->point_length && path[at + 1] == point[at])
            at++;
        if (at < mount->point_length)
            continue;
        *rest = end;
        return mount;
    }
}

/* Whether something is mounted at the path or below it. */
bool mounts_below(const struct fs_table *table, const char *path, size_t length);

/* What a service's answer means here: out becomes a URI or an absolute path of fs://. -E_TOO_LONG; -E_NOT_FOUND: it leads out
 * of what is mounted. */
int mounts_link(const struct fs_table *table, const struct fs_mount *mount, const char *text,
                size_t length, char *out, size_t room, size_t *out_length) MUST_CHECK;
