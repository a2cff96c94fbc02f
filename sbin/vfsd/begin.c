/* See begin.h. */
#include "sbin/vfsd/begin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/error.h"
#include "lib/sys/file.h"
#include "sbin/vfsd/fstab.h"
#include "sbin/vfsd/mounting.h"
#include "sbin/vfsd/tree.h"
#include "sbin/vfsd/volumes.h"
#include "sbin/vfsd/walk.h"

#define ARCHIVE   "initfs:///etc/fstab"
#define FSTAB_MAX 65536u
#define LISTING   16384u
#define ROOT_MODE 0755u
#define ROOT_TYPE "vfat"

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

static bool is_root(const struct fstab_line *line)
{
    return strcmp(line->point, "/") == 0;
}

/* A line for the root that is there already only says how. */
static int64_t line_mount(const struct fstab_line *line, bool mounted)
{
    size_t length;
    if (option_find(line->options, "noauto", &length))
        return 0;
    if (option_find(line->options, "each", &length))
        return bind_each(line);
    if (is_root(line) && mounted)
        return mounting_mount(line, MOUNT_REMOUNT);
    if (tree_count)
        directories_make(line->point, ROOT_MODE);
    return mounting_mount(line, 0);
}

/* own: it is of the root that is mounted. */
static int64_t fstab_mount(const char *uri, bool own)
{
    char *text;
    size_t length;
    int found;
    struct fstab_line line;
    bool mounted = tree_count > 0;
    int64_t result = file_load(HANDLE_SELF, uri, FSTAB_MAX, &text, &length);
    if (result < 0)
        return result;
    struct conf_reader reader = {.text = text, .length = length};
    while ((found = fstab_next(&reader, &line)) != 0) {
        if (found > 0 && mounted && !own && is_root(&line) &&
            !option_find(line.options, "each", &length))
            continue;
        result = found < 0 ? found : line_mount(&line, mounted);
        if (result == -E_BUSY && mounted)
            continue; /* by an instance before us, which did not come to the end */
        if (result < 0)
            fprintf(stderr, "%s:%u: %s\n", uri, reader.line,
                    found < 0 ? reader.problem : error_text(result));
    }
    free(text);
    return tree_count ? 0 : -E_NOT_FOUND;
}

/* The root of the command line. */
static void root_mount(void)
{
    const char *source = getenv("root"), *type = getenv("rootfstype"),
               *options = getenv("rootflags");
    struct fstab_line line = {source, "/", type ? type : ROOT_TYPE, options ? options : ""};
    if (!source)
        return;
    int64_t result = mounting_mount(&line, 0);
    if (result < 0)
        fprintf(stderr, "root=%s cannot be mounted (%s): %s; the archive is shown in its place\n",
                line.source, line.type, error_text(result));
}

int64_t begin_mount(void)
{
    char uri[FS_TARGET_MAX + sizeof("/etc/fstab")];
    int64_t result = -E_NOT_FOUND;
    if (!tree_count)
        root_mount();
    if (tree_count) {
        snprintf(uri, sizeof(uri), "%s/etc/fstab", tree_mounts[tree_find("", 0)].target);
        result = fstab_mount(uri, true);
    }
    if (result == -E_NOT_FOUND)
        result = fstab_mount(ARCHIVE, false);
    if (result >= 0)
        tree_set_begun();
    return result;
}

bool begin_recover(handle_t fs_port)
{
    if (!tree_recover(fs_port))
        return false;
    if (mounting_root_known())
        return tree_begun();
    fprintf(stderr, "the root has gone; all is mounted anew\n");
    tree_clear();
    return false;
}
