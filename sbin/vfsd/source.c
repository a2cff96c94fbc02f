/* See source.h. */
#include "sbin/vfsd/source.h"

#include <stdio.h>
#include <string.h>

#include "lib/sys/clock.h"
#include "lib/sys/file.h"
#include "lib/sys/wait.h"
#include "sbin/vfsd/tree.h"
#include "sbin/vfsd/walk.h"

#define DISK     "disk://"
#define DISKS    "disk:///disks" /* abi/disk.h: READABLE when one has come */
#define LIST_MAX 65536u
#define AWAIT_NS INT64_C(30000000000)

static const struct {
    const char *tag, *folder;
} names[] = {
    {"ID=", "disk:///by-id/"},
    {"UUID=", "disk:///by-uuid/"},
    {"LABEL=", "disk:///by-label/"},
    {"PARTUUID=", "disk:///by-partuuid/"},
    {"PARTLABEL=", "disk:///by-partlabel/"},
};

/* A name of disk:// for a tag; false: it is none. */
static bool tag_uri(const char *source, char *uri, size_t room)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        size_t length = strlen(names[i].tag);
        if (strncmp(source, names[i].tag, length) != 0)
            continue;
        snprintf(uri, room, "%s%s", names[i].folder, source + length);
        return true;
    }
    return false;
}

int64_t source_open(const char *source, uint32_t flags, handle_t *file)
{
    char uri[PATH_LENGTH_MAX];
    struct walk walk;
    if (tag_uri(source, uri, sizeof(uri)))
        return file_open(HANDLE_SELF, uri, flags, file);
    int64_t result = walk_begin(&walk, source, strlen(source));
    if (result == 0)
        result = tree_published() ? walk_open(&walk, flags, 0) : -E_NOT_FOUND;
    if (result == -E_LINK)
        return file_open(HANDLE_SELF, walk.uri, flags, file);
    if (result >= 0)
        *file = (handle_t)result;
    return MIN(result, INT64_C(0));
}

/* Until another disk is there. Reading the list is what makes it unreadable. */
static int64_t disk_await(handle_t list, int64_t deadline)
{
    static char text[LIST_MAX];
    int64_t result = handle_wait(list, SIGNAL_READABLE, deadline);
    return result < 0 ? result : file_read(list, 0, text, sizeof(text));
}

static bool is_disk(const char *source)
{
    char uri[PATH_LENGTH_MAX];
    return tag_uri(source, uri, sizeof(uri)) || strncmp(source, DISK, strlen(DISK)) == 0;
}

int64_t source_await(const char *source, uint32_t flags, handle_t *file)
{
    int64_t deadline = clock_monotonic() + AWAIT_NS, result, waited = is_disk(source) ? 0 : -1;
    handle_t list = HANDLE_NONE;
    while ((result = source_open(source, flags, file)) == -E_NOT_FOUND && waited >= 0) {
        if (list == HANDLE_NONE)
            waited = file_open(HANDLE_SELF, DISKS, OPEN_READ, &list);
        if (waited >= 0)
            waited = disk_await(list, deadline);
    }
    handle_drop(list);
    return result;
}
