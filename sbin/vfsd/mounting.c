/* See mounting.h. One thread changes the tree; others only look at the list. */
#include "sbin/vfsd/mounting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/tmp.h"
#include "abi/volume.h"
#include "lib/base/uri.h"
#include "lib/sys/file.h"
#include "sbin/vfsd/source.h"
#include "sbin/vfsd/tree.h"
#include "sbin/vfsd/types.h"
#include "sbin/vfsd/volumes.h"
#include "sbin/vfsd/walk.h"

#define TMP        "tmp:///"
#define ROOT_MODE  0755u
#define MOUNT_MODE 01777u

static handle_t port; /* of fs://: what shows fsd.tmp who we are */

/* --- tmp --- */

static int64_t tmp_command(uint32_t op, uint64_t first, uint64_t second, uint64_t *value)
{
    int64_t copy = sys_handle_duplicate(port, RIGHT_ALL);
    if (copy < 0)
        return copy;
    struct abi_command command = {
        .op = op, .args = {first, second}, .send = {(handle_t)copy}, .send_count = 1};
    int64_t result = path_command(HANDLE_SELF, TMP, &command);
    if (result < 0)
        handle_drop((handle_t)copy); /* if it was not taken */
    if (value)
        *value = command.values[0];
    return result;
}

static int64_t tmp_make(const struct fstab_line *line, bool root, char *target)
{
    static const char *const known[] = {"size",  "mode",    "defaults", "rw",     "nosuid",
                                        "nodev", "noatime", "relatime", "silent", NULL};
    struct abi_system_info info;
    uint64_t size = 0, mode = root ? ROOT_MODE : MOUNT_MODE, id;
    size_t length;
    if (option_unknown(line->options, known, &length))
        return -E_NOT_SUPPORTED;
    int64_t result = sys_system_info(&info, sizeof(info));
    if (result < 0)
        return result;
    const char *text = option_find(line->options, "size", &length);
    if (text && (!option_size(text, length, info.frames_total * PAGE_SIZE, &size) || !size))
        return -E_INVALID;
    text = option_find(line->options, "mode", &length);
    for (size_t i = 0; text && i < length; i++) {
        if (text[i] < '0' || text[i] > '7' || length > 5)
            return -E_INVALID;
        mode = (i ? mode << 3 : 0) | (uint64_t)(text[i] - '0');
    }
    result = tmp_command(TMP_CREATE, size, mode, &id);
    if (result >= 0)
        snprintf(target, FS_TARGET_MAX + 1, TMP "%u", (unsigned)id);
    return result;
}

/* The volume of a target: "tmp:///12" or below it; 0: of another service. */
static uint64_t tmp_volume(const char *target)
{
    size_t scheme = sizeof(TMP) - 1;
    return strncmp(target, TMP, scheme) == 0 ? strtoull(target + scheme, NULL, 10) : 0;
}

static int64_t tmp_end(uint64_t id, bool lazy)
{
    int64_t result = tmp_command(TMP_DESTROY, id, lazy ? TMP_LAZY : 0, NULL);
    return result == -E_NOT_FOUND ? 0 : result;
}

/* --- bind --- */

static int64_t uri_is_directory(const char *uri)
{
    struct abi_stat stat;
    struct abi_command command = {
        .op = OP_STAT, .out = (uintptr_t)&stat, .out_length = sizeof(stat)};
    int64_t result = path_command(HANDLE_SELF, uri, &command);
    return result < 0 ? result : stat.type == FILE_DIRECTORY ? 0 : -E_NOT_DIRECTORY;
}

static int64_t walk_stat(struct walk *walk, struct abi_stat *stat)
{
    struct abi_command command = {
        .op = OP_STAT, .out = (uintptr_t)stat, .out_length = sizeof(*stat)};
    return walk_call(walk, NULL, &command);
}

static int64_t bind_make(const struct fstab_line *line, char *target)
{
    struct walk walk;
    struct abi_stat stat;
    size_t length = strlen(line->source);
    int64_t result = walk_begin(&walk, line->source, length);
    if (result == 0)
        result = walk_stat(&walk, &stat);
    if (result == 0 || result == -E_LINK)
        result = walk_target(&walk, target);
    if (result < 0)
        return result;
    char slashed[FS_TARGET_MAX + 2];
    size_t root = uri_scheme_length(target, strlen(target)) + sizeof("://") - 1;
    for (length = strlen(target); length > root && target[length - 1] == '/';)
        target[--length] = '\0';
    snprintf(slashed, sizeof(slashed), "%s/", target);
    return uri_is_directory(slashed);
}

/* --- volumes --- */

/* The device is opened for writing if it can be: the volume may be mounted read-only today and not tomorrow. A disk is nobody else's
 * meanwhile; other files do not know the flag. */
static int64_t volume_make(const struct fstab_line *line, bool read_only, char *target)
{
    const uint32_t wanted = OPEN_READ | OPEN_WRITE | OPEN_EXCLUSIVE;
    handle_t device;
    uint32_t flags = read_only ? VOLUME_READ_ONLY : 0;
    int64_t result = tree_count ? source_open(line->source, wanted, &device)
                                : source_await(line->source, wanted, &device);
    if (read_only && (result == -E_READ_ONLY || result == -E_ACCESS)) {
        flags |= VOLUME_FIXED;
        result = source_open(line->source, wanted & ~OPEN_WRITE, &device);
    }
    return result < 0 ? result : volume_begin(line->type, device, flags, line->options, target);
}

/* What a target lies on ends with the last mount that leads there. */
static int64_t target_end(const char *target, uint32_t flags)
{
    char volume[FS_TARGET_MAX + 1];
    uint64_t id = tmp_volume(target);
    size_t length = volume_of(target);
    if (id)
        snprintf(volume, sizeof(volume), TMP "%u", (unsigned)id);
    else
        snprintf(volume, sizeof(volume), "%.*s", (int)length, target);
    if ((!id && !length) || tree_uses(volume) > 1)
        return 0;
    return id ? tmp_end(id, flags & UMOUNT_LAZY) : volume_end(target, flags);
}

/* --- the tree --- */

static bool type_is_tmp(const char *type)
{
    return strcmp(type, "tmp") == 0 || strcmp(type, "tmpfs") == 0 || strcmp(type, "ramfs") == 0;
}

/* The point as it is listed, and whether it can be one. */
static int64_t point_check(struct walk *walk, const char *text)
{
    struct abi_stat stat;
    int64_t result = walk_begin(walk, text, strlen(text));
    if (result < 0)
        return result == -E_LINK ? -E_INVALID : result;
    const char *point = walk->uri + sizeof("fs:///") - 1;
    if (tree_find(point, strlen(point)) < tree_count)
        return -E_BUSY;
    if (!*point)
        return 0;
    result = walk_stat(walk, &stat);
    if (result < 0)
        return result;
    return stat.type == FILE_DIRECTORY ? 0 : -E_NOT_DIRECTORY;
}

static int64_t enter(const struct mount *mount, const struct tree_change *by)
{
    pthread_rwlock_wrlock(&tree_lock);
    int64_t result = tree_add(mount);
    if (result >= 0 && (result = tree_publish(by)) < 0)
        tree_remove(tree_count - 1);
    pthread_rwlock_unlock(&tree_lock);
    return result;
}

static int64_t remount(const char *point, const struct fstab_line *line, bool read_only,
                       const struct tree_change *by)
{
    char options[PATH_LENGTH_MAX];
    pthread_rwlock_wrlock(&tree_lock);
    size_t at = tree_find(point, strlen(point));
    pthread_rwlock_unlock(&tree_lock);
    if (at == tree_count)
        return -E_INVALID;
    if (!volume_of(tree_mounts[at].target))
        return -E_NOT_SUPPORTED;
    if (!options_shown(line->options, read_only, options, sizeof(options)))
        return -E_TOO_LONG;
    int64_t result = volume_remount(tree_mounts[at].target, read_only ? VOLUME_READ_ONLY : 0);
    if (result < 0)
        return result;
    pthread_rwlock_wrlock(&tree_lock);
    result = tree_set_options(at, options);
    if (result >= 0)
        result = tree_publish(by);
    pthread_rwlock_unlock(&tree_lock);
    return result;
}

/* target: what the point leads to from now on. */
static int64_t target_make(const struct fstab_line *line, bool root, bool read_only, char *target)
{
    if (strcmp(line->type, "bind") == 0)
        return read_only ? -E_NOT_SUPPORTED : bind_make(line, target);
    if (type_is_tmp(line->type))
        return read_only ? -E_NOT_SUPPORTED : tmp_make(line, root, target);
    return type_is_served(line->type) ? volume_make(line, read_only, target) : -E_NOT_SUPPORTED;
}

static bool is_read_only(const char *target)
{
    return strncmp(target, "initfs:", strlen("initfs:")) == 0;
}

int64_t mounting_mount(const struct fstab_line *line, uint32_t flags, const struct tree_change *by)
{
    static struct walk walk;
    static char options[PATH_LENGTH_MAX];
    char target[FS_TARGET_MAX + 1];
    size_t length;
    bool read_only = flags & MOUNT_READ_ONLY || option_find(line->options, "ro", &length);
    bool again = flags & MOUNT_REMOUNT || option_find(line->options, "remount", &length);
    if (flags & ~(MOUNT_READ_ONLY | MOUNT_REMOUNT))
        return -E_NOT_SUPPORTED;
    int64_t result = tree_count && !again ? point_check(&walk, line->point)
                                          : walk_begin(&walk, line->point, strlen(line->point));
    if (result < 0)
        return result;
    char *point = walk.uri + sizeof("fs:///") - 1;
    if (again)
        return remount(point, line, read_only, by);
    if (!tree_count && *point)
        return -E_NOT_FOUND; /* first of all the root */
    result = target_make(line, !*point, read_only, target);
    if (result < 0)
        return result;
    struct mount mount = {(char *)(uintptr_t)line->source, (char *)(uintptr_t)line->type, options,
                          point, target};
    result =
        options_shown(line->options, read_only || is_read_only(target), options, sizeof(options))
            ? enter(&mount, by)
            : -E_TOO_LONG;
    if (result < 0)
        sys_ignore(target_end(target, UMOUNT_LAZY));
    return result;
}

/* What is mounted below the point, or at it. */
static bool is_below(const char *other, const char *point, size_t length)
{
    return strncmp(other, point, length) == 0 && (!other[length] || other[length] == '/');
}

static int64_t umount_at(size_t at, uint32_t flags, const struct tree_change *by)
{
    int64_t result = target_end(tree_mounts[at].target, flags);
    if (result < 0)
        return result;
    pthread_rwlock_wrlock(&tree_lock);
    tree_remove(at);
    result = tree_publish(by);
    pthread_rwlock_unlock(&tree_lock);
    return result;
}

int64_t mounting_umount(const char *text, size_t text_length, uint32_t flags,
                        const struct tree_change *by)
{
    static struct walk walk;
    if (flags & ~(UMOUNT_LAZY | UMOUNT_FORCE))
        return -E_INVALID;
    int64_t result = walk_begin(&walk, text, text_length);
    if (result < 0)
        return result == -E_LINK ? -E_INVALID : result;
    const char *point = walk.uri + sizeof("fs:///") - 1;
    size_t length = strlen(point), at = tree_find(point, length);
    if (at == tree_count)
        return -E_INVALID;
    if (!length)
        return -E_BUSY;
    for (size_t i = tree_count; i-- > 0;) {
        if (i == at || !is_below(tree_mounts[i].point, point, length))
            continue;
        if (!(flags & UMOUNT_LAZY))
            return -E_BUSY;
        result = umount_at(i, flags, NULL);
        if (result < 0)
            return result;
        at -= i < at;
    }
    return umount_at(at, flags, by);
}

/* --- the beginning --- */

void mounting_prepare(handle_t fs_port)
{
    port = fs_port;
}

bool mounting_root_known(void)
{
    uint64_t volume = tmp_volume(tree_mounts[tree_find("", 0)].target);
    return !volume || tmp_command(TMP_KNOWN, volume, 0, NULL) >= 0;
}
