/* Names come, go and move. See commands.h. */
#include "lib/fsd/numbers.h"
#include "sbin/fsd.fat32/commands.h"
#include "sbin/fsd.fat32/found.h"

int64_t command_node(struct command *command, struct fat_node **node, struct open **open)
{
    struct place place;
    *open = NULL;
    if (command->message.file) {
        *open = (struct open *)(uintptr_t)command->message.cookie;
        *node = fat_get((*open)->node);
        return 0;
    }
    int64_t result = walk(command->path, command->path_length, &place);
    if (result < 0)
        return result;
    *node = place.node ? fat_get(place.node) : NULL;
    place_put(&place);
    return *node ? 0 : -E_NOT_FOUND;
}

/* --- open --- */

static uint32_t attributes_of(uint64_t mode)
{
    return FAT_ARCHIVE | (mode & 0200 ? 0 : FAT_READ_ONLY);
}

static int64_t open_there(struct fat_node *node, uint64_t flags)
{
    int64_t result = open_check(node_type(node), flags);
    if (result >= 0 && volume_read_only() && flags & (OPEN_WRITE | OPEN_TRUNCATE))
        result = -E_READ_ONLY;
    if (result >= 0 && flags & OPEN_TRUNCATE && fat_size(node))
        result = bytes_resize(node, 0);
    return result;
}

/* The node that is to be opened: a reference. */
static int64_t open_path(struct command *command, uint64_t flags, struct fat_node **node)
{
    struct place place;
    struct file *file = found_file(command->path, command->path_length);
    if (likely(file)) {
        *node = fat_get(file->node);
        int64_t there = open_there(file->node, flags);
        if (there < 0)
            fat_put(*node);
        return there;
    }
    int64_t result = walk(command->path, command->path_length, &place);
    if (result < 0)
        return result;
    if (place.node)
        result = open_there(place.node, flags);
    else if (!(flags & OPEN_CREATE) || !place.directory)
        result = -E_NOT_FOUND;
    else
        result = fat_create(place.directory, place.name, place.length,
                            attributes_of(command->message.args[1]), time_now(), &place.node);
    if (result >= 0)
        *node = fat_get(place.node);
    place_put(&place);
    return result;
}

int64_t names_open(void *context, struct command *command)
{
    (void)context;
    uint64_t flags = command->message.args[0];
    struct open *open = opens_find(command->message.file);
    if (flags & OPEN_CREATE) {
        uint64_t number = numbers_of_file(command->message.file);
        if (numbers_known(number))
            flags &= ~(uint64_t)OPEN_EXCLUSIVE; /* a predecessor made the file for this open */
        fat_number(volume, &(struct numbered){.number = number});
    }
    if (!open) {
        struct fat_node *node;
        int64_t result = open_path(command, flags, &node);
        if (result < 0)
            return result;
        if (flags & (OPEN_CREATE | OPEN_TRUNCATE))
            volume_changed();
        volume_make_file_room();
        result = opens_add(command->message.file, (uint32_t)flags, node, &open);
        if (result < 0) {
            fat_put(node);
            return result;
        }
        if (open->file)
            found_enter_file(command->path, command->path_length, open->file);
    }
    open->told = fat_is_unlinked(open->node) || volume_ending();
    command->reply.values[0] = (uintptr_t)open;
    command->reply.values[1] =
        (open->file ? HANDLE_FLAG_SEEKABLE : 0) | (open->told ? 0 : HANDLE_FLAG_SILENT);
    command->reply.values[2] = SIGNAL_READABLE | SIGNAL_WRITABLE;
    return 0;
}

/* --- come, go, move --- */

/* What has lost its name goes, if nobody has it open; else when the last closes it. */
static void unnamed(struct fat_node *node)
{
    struct file *file = fat_is_directory(node) ? NULL : file_known(node);
    found_forget_files();
    if (file) {
        file->stated = false;
        opens_tell_of(file);
    }
}

/* A directory's path leads there no more, nor do those below. */
static void moved(const struct fat_node *node)
{
    if (node && fat_is_directory(node))
        found_forget_all();
    else
        found_forget_files();
}

int64_t names_unlink(void *context, struct command *command)
{
    (void)context;
    struct place place;
    int64_t result = walk(command->path, command->path_length, &place);
    if (result < 0)
        return result;
    if (!place.node)
        result = -E_NOT_FOUND;
    else if (!place.directory)
        result = -E_BUSY;
    else
        result = unlink_check(node_type(place.node), command->message.args[0]);
    if (result >= 0)
        moved(place.node);
    if (result >= 0)
        result = fat_is_directory(place.node)
                     ? fat_rmdir(place.directory, place.name, place.length)
                     : fat_unlink(place.directory, place.name, place.length);
    if (result >= 0)
        unnamed(place.node);
    volume_changed();
    place_put(&place);
    return result;
}

int64_t names_make(void *context, struct command *command)
{
    (void)context;
    struct place place;
    int64_t result = walk(command->path, command->path_length, &place);
    if (result < 0)
        return result;
    if (place.node)
        result = -E_EXISTS;
    else if (!place.directory)
        result = -E_NOT_FOUND;
    else
        result = fat_mkdir(place.directory, place.name, place.length, time_now(), &place.node);
    volume_changed();
    place_put(&place);
    return result;
}

static int64_t rename_places(const struct place *from, const struct place *to, uint64_t flags)
{
    if (!from->node)
        return -E_NOT_FOUND;
    if (!from->directory || (to->node && !to->directory))
        return -E_BUSY;
    if (!to->directory)
        return -E_NOT_FOUND;
    moved(from->node);
    moved(to->node);
    int64_t result = fat_rename(from->directory, from->name, from->length, to->directory, to->name,
                                to->length, flags & RENAME_NOREPLACE ? FAT_RENAME_NOREPLACE : 0);
    if (result >= 0 && to->node && fat_is_unlinked(to->node))
        unnamed(to->node);
    return result;
}

int64_t names_rename(void *context, struct command *command)
{
    (void)context;
    struct place from, to;
    const char *path;
    if (command->message.args[0] & ~(uint64_t)RENAME_NOREPLACE)
        return -E_INVALID; /* two names cannot change places in one instant */
    int64_t result = second_read(command, &path);
    if (result >= 0)
        result = walk(command->path, command->path_length, &from);
    if (result < 0)
        return result;
    result = walk(path, command->in_length, &to);
    if (result >= 0) {
        result = rename_places(&from, &to, command->message.args[0]);
        place_put(&to);
    }
    volume_changed();
    place_put(&from);
    return result;
}

/* FAT has neither symbolic nor hard links: Linux's EPERM. */
int64_t names_no_link(void *context, struct command *command)
{
    (void)context, (void)command;
    return -E_PERMISSION;
}
