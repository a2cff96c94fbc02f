/* See mounting.h. One thread changes the tree; others only look at the list. */
#include "sbin/vfsd/mounting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/tmp.h"
#include "lib/base/uri.h"
#include "lib/sys/error.h"
#include "lib/sys/file.h"
#include "sbin/vfsd/tree.h"
#include "sbin/vfsd/walk.h"

#define FSTAB      "initfs:///etc/fstab"
#define FSTAB_MAX  65536u
#define TMP        "tmp:///"
#define LISTING    16384u
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

static int64_t tmp_end(const char *target, bool lazy)
{
    char volume[FS_TARGET_MAX + 1];
    uint64_t id = tmp_volume(target);
    if (!id)
        return 0;
    snprintf(volume, sizeof(volume), TMP "%u", (unsigned)id);
    if (tree_uses(volume) > 1)
        return 0; /* bound elsewhere, too */
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

static int64_t published(int64_t result)
{
    if (result >= 0)
        result = tree_publish();
    return result;
}

static int64_t enter(const struct mount *mount)
{
    pthread_rwlock_wrlock(&tree_lock);
    int64_t result = tree_add(mount);
    if (result >= 0 && (result = published(result)) < 0)
        tree_remove(tree_count - 1);
    pthread_rwlock_unlock(&tree_lock);
    return result;
}

int64_t mounting_mount(const struct fstab_line *line, uint32_t flags)
{
    static struct walk walk;
    char target[FS_TARGET_MAX + 1];
    if (flags)
        return -E_NOT_SUPPORTED;
    int64_t result = tree_count ? point_check(&walk, line->point)
                                : walk_begin(&walk, line->point, strlen(line->point));
    if (result < 0)
        return result;
    char *point = walk.uri + sizeof("fs:///") - 1;
    if (!tree_count && *point)
        return -E_NOT_FOUND; /* first of all the root */
    if (type_is_tmp(line->type))
        result = tmp_make(line, !*point, target);
    else if (strcmp(line->type, "bind") == 0)
        result = bind_make(line, target);
    else
        result = -E_NOT_SUPPORTED;
    if (result < 0)
        return result;
    struct mount mount = {(char *)(uintptr_t)line->source, (char *)(uintptr_t)line->type,
                          (char *)(uintptr_t)line->options, point, target};
    result = enter(&mount);
    if (result < 0 && type_is_tmp(line->type))
        sys_ignore(tmp_command(TMP_DESTROY, tmp_volume(target), TMP_LAZY, NULL));
    return result;
}

/* What is mounted below the point, or at it. */
static bool is_below(const char *other, const char *point, size_t length)
{
    return strncmp(other, point, length) == 0 && (!other[length] || other[length] == '/');
}

static int64_t umount_at(size_t at, bool lazy)
{
    int64_t result = tmp_end(tree_mounts[at].target, lazy);
    if (result < 0)
        return result;
    pthread_rwlock_wrlock(&tree_lock);
    tree_remove(at);
    result = tree_publish();
    pthread_rwlock_unlock(&tree_lock);
    return result;
}

int64_t mounting_umount(const char *text, size_t text_length, uint32_t flags)
{
    static struct walk walk;
    bool lazy = flags & UMOUNT_LAZY;
    if (flags & ~UMOUNT_LAZY)
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
        if (!lazy)
            return -E_BUSY;
        result = umount_at(i, lazy);
        if (result < 0)
            return result;
        at -= i < at;
    }
    return umount_at(at, lazy);
}

/* --- the beginning --- */

static int64_t make_directory(const char *point, uint32_t mode)
{
    struct walk walk;
    struct abi_command command = {.op = OP_MKDIR, .args = {mode}};
    int64_t result = walk_begin(&walk, point, strlen(point));
    if (result == 0)
        result = walk_call(&walk, NULL, &command);
    return result == -E_EXISTS ? 0 : result;
}

/* The directories on the way to a point. */
static void directories_make(const char *point, uint32_t mode)
{
    char part[PATH_LENGTH_MAX];
    for (size_t i = 1; point[i] && i < sizeof(part); i++) {
        if (point[i] != '/' || i == 1)
            continue;
        memcpy(part, point, i);
        part[i] = '\0';
        sys_ignore(make_directory(part, ROOT_MODE));
    }
    sys_ignore(make_directory(point, mode));
}

/* A name of a directory that is bound name by name: what is empty becomes a directory to be written to, with its mode; what is
 * no directory a link. */
static int64_t name_bind(const char *source, const char *point, const struct abi_dirent *entry,
                         bool empty, uint32_t mode)
{
    char uri[PATH_LENGTH_MAX], path[PATH_LENGTH_MAX];
    struct walk walk;
    snprintf(uri, sizeof(uri), "%s%s", source, entry->name);
    snprintf(path, sizeof(path), "%s%s%s", point, point[1] ? "/" : "", entry->name);
    if (tree_find(path + 1, strlen(path + 1)) < tree_count)
        return 0; /* fstab has something of its own there */
    if (entry->type == FILE_DIRECTORY) {
        int64_t result = make_directory(path, mode);
        if (result < 0 || empty)
            return result;
        return mounting_mount(&(struct fstab_line){uri, path, "bind", ""}, 0);
    }
    struct abi_command command = {.op = OP_SYMLINK, .in = (uintptr_t)uri, .in_length = strlen(uri)};
    int64_t result = walk_begin(&walk, path, strlen(path));
    if (result == 0)
        result = walk_call(&walk, NULL, &command);
    return result == -E_EXISTS ? 0 : result;
}

/* Mode of what a URI names, and whether it has names in it. */
static uint32_t look(const char *source, const char *name, bool *empty)
{
    static uint8_t entries[LISTING] ALIGNED(8);
    char uri[PATH_LENGTH_MAX];
    struct abi_stat stat = {.mode = ROOT_MODE};
    struct abi_command command = {
        .op = OP_STAT, .out = (uintptr_t)&stat, .out_length = sizeof(stat)};
    snprintf(uri, sizeof(uri), "%s%s", source, name);
    sys_ignore(path_command(HANDLE_SELF, uri, &command));
    command = (struct abi_command){
        .op = OP_LIST, .args = {2}, .out = (uintptr_t)entries, .out_length = sizeof(entries)};
    int64_t result = path_command(HANDLE_SELF, uri, &command);
    *empty = result >= 0 && command.values[0] == 0;
    return stat.mode;
}

static int64_t bind_each(const struct fstab_line *line)
{
    static uint8_t entries[LISTING] ALIGNED(8);
    uint64_t position = 2; /* behind . and .. */
    for (;;) {
        struct abi_command command = {.op = OP_LIST,
                                      .args = {position},
                                      .out = (uintptr_t)entries,
                                      .out_length = sizeof(entries)};
        int64_t result = path_command(HANDLE_SELF, line->source, &command);
        if (result < 0 || command.values[0] == 0)
            return result;
        for (uint64_t at = 0; at < command.values[0];) {
            const struct abi_dirent *entry =
                (const struct abi_dirent *)(const void *)(entries + at);
            bool empty;
            uint32_t mode = look(line->source, entry->name, &empty);
            result = name_bind(line->source, line->point, entry, empty, mode);
            if (result < 0)
                fprintf(stderr, "cannot bind %s%s: %s\n", line->source, entry->name,
                        error_text(result));
            at += entry->length;
        }
        position = command.values[1];
    }
}

static int64_t line_mount(const struct fstab_line *line)
{
    size_t length;
    if (option_find(line->options, "noauto", &length))
        return 0;
    if (option_find(line->options, "each", &length))
        return bind_each(line);
    if (tree_count)
        directories_make(line->point, ROOT_MODE);
    return mounting_mount(line, 0);
}

static int64_t fstab_mount(void)
{
    char *text;
    size_t length;
    int found;
    struct fstab_line line;
    int64_t result = file_load(HANDLE_SELF, FSTAB, FSTAB_MAX, &text, &length);
    if (result < 0)
        return result;
    struct conf_reader reader = {.text = text, .length = length};
    while ((found = fstab_next(&reader, &line)) != 0) {
        result = found < 0 ? found : line_mount(&line);
        if (result < 0)
            fprintf(stderr, "%s:%u: %s\n", FSTAB, reader.line,
                    found < 0 ? reader.problem : error_text(result));
    }
    free(text);
    return tree_count ? 0 : -E_NOT_FOUND;
}

/* Whether the volumes that the list names are there; the root's above all. */
static bool root_known(void)
{
    uint64_t volume = tmp_volume(tree_mounts[tree_find("", 0)].target);
    return !volume || tmp_command(TMP_KNOWN, volume, 0, NULL) >= 0;
}

int64_t mounting_begin(handle_t fs_port)
{
    port = fs_port;
    if (tree_recover(port)) {
        if (root_known())
            return tree_publish();
        fprintf(stderr, "the root has gone; what %s says is mounted anew\n", FSTAB);
        tree_clear();
    }
    return fstab_mount();
}
