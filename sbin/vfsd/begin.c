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
        return mounting_mount(&(struct fstab_line){uri, path, "bind", ""}, 0, NULL);
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

/* The root is there already: its line only says how. */
static int64_t line_mount(const struct fstab_line *line)
{
    size_t length;
    if (option_find(line->options, "noauto", &length))
        return 0;
    if (option_find(line->options, "each", &length))
        return bind_each(line);
    if (is_root(line))
        return mounting_mount(line, MOUNT_REMOUNT, NULL);
    directories_make(line->point, ROOT_MODE);
    return mounting_mount(line, 0, NULL);
}

/* --- an fstab --- */

/* If no root can be mounted: the archive itself, and a shell to mend things from. */
static const char rescue[] = "the built-in fstab",
                  rescue_text[] = "tmp / tmp\nproc:/// /proc bind\ninitfs:/// / bind each\n";

/* A new reader of it, whose text is to be freed. uri may be `rescue`. */
static int64_t fstab_open(const char *uri, struct conf_reader *reader)
{
    *reader = (struct conf_reader){.length = sizeof(rescue_text) - 1};
    if (uri != rescue)
        return file_load(HANDLE_SELF, uri, FSTAB_MAX, &reader->text, &reader->length);
    reader->text = strdup(rescue_text);
    return reader->text ? 0 : -E_NO_MEMORY;
}

static bool is_each(const struct fstab_line *line)
{
    size_t length;
    return option_find(line->options, "each", &length) != NULL;
}

static void root_try(const struct fstab_line *line, const char *from)
{
    int64_t result = mounting_mount(line, 0, NULL);
    if (result < 0)
        fprintf(stderr, "%s: %s cannot be mounted as the root (%s): %s\n", from, line->source,
                line->type, error_text(result));
}

/* Its line for the root. */
static void fstab_root(const char *uri)
{
    struct conf_reader reader;
    struct fstab_line line;
    int found;
    int64_t result = fstab_open(uri, &reader);
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", uri, error_text(result));
        return;
    }
    while (!tree_count && (found = fstab_next(&reader, &line)) != 0)
        if (found > 0 && is_root(&line) && !is_each(&line))
            root_try(&line, uri);
    free(reader.text);
}

/* All but the root, which is there. own: it is of that root, and says how. again: what was mounted by an instance before us that did not
 * come to the end is. */
static int64_t fstab_mount(const char *uri, bool own, bool again)
{
    struct conf_reader reader;
    struct fstab_line line;
    int found;
    int64_t result = fstab_open(uri, &reader);
    if (result < 0)
        return result;
    while ((found = fstab_next(&reader, &line)) != 0) {
        if (found > 0 && !own && is_root(&line) && !is_each(&line))
            continue;
        result = found < 0 ? found : line_mount(&line);
        if (result < 0 && (result != -E_BUSY || !again))
            fprintf(stderr, "%s:%u: %s\n", uri, reader.line,
                    found < 0 ? reader.problem : error_text(result));
    }
    free(reader.text);
    return 0;
}

/* --- the root --- */

/* Of the command line. */
static void root_mount(void)
{
    const char *source = getenv("root"), *type = getenv("rootfstype"),
               *options = getenv("rootflags");
    struct fstab_line line = {source, "/", type ? type : ROOT_TYPE, options ? options : ""};
    if (source)
        root_try(&line, "root=");
}

int64_t begin_mount(void)
{
    char own[FS_TARGET_MAX + sizeof("/etc/fstab")];
    const char *archive = ARCHIVE;
    bool again = tree_count > 0;
    if (!tree_count)
        root_mount();
    if (!tree_count)
        fstab_root(archive);
    if (!tree_count)
        fstab_root(archive = rescue);
    if (!tree_count)
        return -E_NOT_FOUND;
    snprintf(own, sizeof(own), "%s/etc/fstab", tree_mounts[tree_find("", 0)].target);
    int64_t result = fstab_mount(own, true, again);
    if (result < 0 && result != -E_NOT_FOUND)
        fprintf(stderr, "%s: %s\n", own, error_text(result));
    if (result < 0)
        result = fstab_mount(archive, false, again);
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
