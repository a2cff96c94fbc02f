/* Names come, go and move. See commands.h. */
#include <string.h>

#include "sbin/fsd.tmp/commands.h"
#include "sbin/fsd.tmp/data.h"
#include "sbin/fsd.tmp/found.h"

static struct link_text link_text;

static void directory_changed(struct inode *directory, int64_t when)
{
    arena_set(&directory->modified, when);
    arena_set(&directory->changed, when);
}

static int64_t link_reply(struct command *command, uint64_t which)
{
    if (link_text.length > command->message.out_length)
        return -E_TOO_LONG;
    command->reply.data = (uintptr_t)link_text.text;
    command->reply.data_length = command->reply.values[0] = link_text.length;
    command->reply.values[1] = which;
    return -E_LINK;
}

int64_t command_walk(struct command *command, unsigned flags, struct place *place)
{
    int64_t result = walk(command->path, command->path_length, flags, place, &link_text);
    return result == -E_LINK ? link_reply(command, 0) : result;
}

int64_t command_inode(struct command *command, unsigned flags, struct inode **inode,
                      struct open **open)
{
    struct place place;
    *open = NULL;
    if (command->message.file) {
        *open = arena_at((ref_t)command->message.cookie); /* the relay brings what it was given */
        *inode = arena_at((*open)->inode);
        return 0;
    }
    int64_t result = command_walk(command, flags, &place);
    *inode = place.inode;
    return result < 0 ? result : place.inode ? 0 : -E_NOT_FOUND;
}

void inode_unnamed(struct inode *inode)
{
    arena_set(&inode->links, inode->links - 1);
    arena_set(&inode->changed, time_now());
    if (inode->links)
        return;
    if (inode->opens)
        opens_reap(inode); /* the last of them takes it along */
    else
        inode_release(inode);
}

/* A new inode under a name that is free. */
static int64_t make(const struct place *place, uint32_t type, uint32_t mode, struct inode **inode)
{
    int64_t when = time_now();
    int64_t result = inode_create(place->volume, type, mode, when, inode);
    if (result < 0)
        return result;
    (*inode)->links = 1;
    (*inode)->directory.parent = arena_ref(place->directory);
    directory_changed(place->directory, when);
    return directory_add(place->directory, place->name, place->length, *inode);
}

/* Where something is to be made. */
static int64_t place_for(struct command *command, struct place *place)
{
    int64_t result = command_walk(command, 0, place);
    if (result < 0)
        return result;
    return place->inode ? -E_EXISTS : place->directory ? 0 : -E_NOT_FOUND;
}

static int64_t open_inode(struct command *command, uint64_t flags, struct inode **inode)
{
    bool itself = flags & OPEN_NOFOLLOW || (flags & OPEN_CREATE && flags & OPEN_EXCLUSIVE);
    struct place place;
    int64_t result = command_walk(command, itself ? 0 : WALK_FOLLOW, &place);
    if (result < 0)
        return result;
    *inode = place.inode;
    if (!place.inode && (!(flags & OPEN_CREATE) || !place.directory))
        return -E_NOT_FOUND;
    if (!place.inode)
        return make(&place, FILE_REGULAR, (uint32_t)command->message.args[1] & 07777, inode);
    result = open_check(place.inode->type, flags);
    if (result >= 0 && flags & OPEN_TRUNCATE && place.inode->size) {
        arena_set(&place.inode->modified, time_now());
        result = data_resize(place.inode, 0);
    }
    return result;
}

int64_t names_open(void *context, struct command *command)
{
    (void)context;
    uint64_t flags = command->message.args[0];
    struct open *open = opens_find(command->message.file);
    if (!open) {
        struct inode *inode;
        int64_t result = open_inode(command, flags, &inode);
        if (result >= 0)
            result = open_create(inode, command->message.file, (uint32_t)flags, &open);
        if (result < 0)
            return result;
        if (!opens_enter(open))
            return -E_NO_MEMORY;
    }
    const struct inode *inode = arena_at(open->inode);
    command->reply.values[0] = arena_ref(open);
    command->reply.values[1] = (inode->type == FILE_REGULAR ? HANDLE_FLAG_SEEKABLE : 0) |
                               (inode->links ? HANDLE_FLAG_SILENT : 0);
    command->reply.values[2] = SIGNAL_READABLE | SIGNAL_WRITABLE;
    return 0;
}

int64_t names_unlink(void *context, struct command *command)
{
    (void)context;
    struct place place;
    int64_t result = command_walk(command, 0, &place);
    if (result < 0)
        return result;
    struct inode *inode = place.inode;
    if (!inode)
        return -E_NOT_FOUND;
    if (!place.slot || !place.directory)
        return -E_BUSY;
    bool folder = inode->type == FILE_DIRECTORY;
    result = unlink_check(inode->type, command->message.args[0]);
    if (result < 0)
        return result;
    if (folder && inode->size)
        return -E_NOT_EMPTY;
    if (folder)
        found_forget_all();
    directory_remove(place.directory, place.slot);
    directory_changed(place.directory, time_now());
    inode_unnamed(inode);
    return 0;
}

int64_t names_make(void *context, struct command *command)
{
    (void)context;
    struct place place;
    struct inode *inode;
    int64_t result = place_for(command, &place);
    if (result < 0)
        return result;
    return make(&place, FILE_DIRECTORY, (uint32_t)command->message.args[0] & 07777, &inode);
}

int64_t names_symlink(void *context, struct command *command)
{
    (void)context;
    struct place place;
    struct inode *inode;
    const char *target;
    int64_t result = second_read(command, &target);
    if (result >= 0)
        result = place_for(command, &place);
    if (result < 0)
        return result;
    uint64_t length = command->in_length;
    ref_t ref = arena_alloc(length + 1);
    if (!ref)
        return -E_NO_SPACE;
    memcpy(arena_at(ref), target, length);
    ((char *)arena_at(ref))[length] = '\0';
    result = make(&place, FILE_LINK, 0777, &inode);
    if (result < 0)
        return result;
    inode->target = ref;
    inode->size = length;
    return 0;
}

/* The command's second path. E_LINK says that it is that one's. */
static int64_t second_walk(struct command *command, struct place *place)
{
    const char *path;
    int64_t result = second_read(command, &path);
    if (result >= 0)
        result = walk(path, command->in_length, 0, place, &link_text);
    return result == -E_LINK ? link_reply(command, 1) : result;
}

int64_t names_link(void *context, struct command *command)
{
    (void)context;
    struct place from, to;
    int64_t result = command_walk(command, 0, &from);
    if (result >= 0)
        result = second_walk(command, &to);
    if (result < 0)
        return result;
    if (!from.inode)
        return -E_NOT_FOUND;
    if (from.volume != to.volume)
        return -E_CROSS_DEVICE;
    if (to.inode)
        return -E_EXISTS;
    if (!to.directory)
        return -E_NOT_FOUND;
    if (from.inode->type == FILE_DIRECTORY)
        return -E_PERMISSION;
    int64_t when = time_now();
    arena_set(&from.inode->links, from.inode->links + 1);
    arena_set(&from.inode->changed, when);
    directory_changed(to.directory, when);
    return directory_add(to.directory, to.name, to.length, from.inode);
}

/* Whether `inode` is directory or lies above it. */
static bool above(const struct inode *inode, const struct inode *directory)
{
    while (directory != inode) {
        const struct inode *parent = arena_at(directory->directory.parent);
        if (parent == directory)
            return false;
        directory = parent;
    }
    return true;
}

static int64_t rename_check(const struct place *from, const struct place *to, uint64_t flags)
{
    if (!from->inode)
        return -E_NOT_FOUND;
    if (from->volume != to->volume)
        return -E_CROSS_DEVICE;
    if (!from->slot || !from->directory || (to->inode && (!to->slot || !to->directory)))
        return -E_BUSY;
    if (!to->directory)
        return -E_NOT_FOUND;
    if (flags & RENAME_NOREPLACE && to->inode)
        return -E_EXISTS;
    if (flags & RENAME_EXCHANGE && !to->inode)
        return -E_NOT_FOUND;
    bool folder = from->inode->type == FILE_DIRECTORY;
    if (folder && above(from->inode, to->directory))
        return -E_INVALID;
    if (!to->inode || from->inode == to->inode)
        return 0;
    bool over = to->inode->type == FILE_DIRECTORY;
    if (flags & RENAME_EXCHANGE)
        return over && above(to->inode, from->directory) ? -E_INVALID : 0;
    if (folder != over)
        return folder ? -E_NOT_DIRECTORY : -E_IS_DIRECTORY;
    if (over && above(to->inode, from->directory))
        return -E_NOT_EMPTY;
    return over && to->inode->size ? -E_NOT_EMPTY : 0;
}

static void moved(struct inode *inode, struct inode *directory, int64_t when)
{
    if (inode->type == FILE_DIRECTORY)
        found_forget_all();
    arena_set(&inode->directory.parent, arena_ref(directory));
    arena_set(&inode->changed, when);
}

/* The new name leads to the inode before the old one goes: nobody in between, but it is the order one expects. */
static int64_t move(struct place *from, struct place *to, int64_t when)
{
    struct inode *inode = from->inode, *old = to->inode;
    int64_t result = 0;
    if (old)
        directory_replace(to->directory, to->slot, inode);
    else
        result = directory_add(to->directory, to->name, to->length, inode);
    if (result < 0)
        return result;
    /* Adding to the same directory may have moved its slots. */
    directory_remove(from->directory, directory_find(from->directory, from->name, from->length));
    moved(inode, to->directory, when);
    if (!old)
        return 0;
    if (old->type == FILE_DIRECTORY)
        found_forget_all();
    inode_unnamed(old);
    return 0;
}

int64_t names_rename(void *context, struct command *command)
{
    (void)context;
    uint64_t flags = command->message.args[0];
    struct place from, to;
    if (flags & ~(uint64_t)(RENAME_NOREPLACE | RENAME_EXCHANGE) ||
        flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
        return -E_INVALID;
    int64_t result = command_walk(command, 0, &from);
    if (result >= 0)
        result = second_walk(command, &to);
    if (result >= 0)
        result = rename_check(&from, &to, flags);
    if (result < 0 || from.inode == to.inode)
        return result;
    int64_t when = time_now();
    if (flags & RENAME_EXCHANGE) {
        directory_replace(from.directory, from.slot, to.inode);
        directory_replace(to.directory, to.slot, from.inode);
        moved(from.inode, to.directory, when);
        moved(to.inode, from.directory, when);
    } else {
        result = move(&from, &to, when);
    }
    directory_changed(from.directory, when);
    directory_changed(to.directory, when);
    return result;
}
