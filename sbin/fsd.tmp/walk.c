/* See walk.h. */
#include "sbin/fsd.tmp/walk.h"

#include <string.h>

#include "lib/fsd/path.h"
#include "sbin/fsd.tmp/found.h"

static bool append(struct link_text *link, const char *text, size_t length)
{
    if (length > sizeof(link->text) - link->length)
        return false;
    memcpy(link->text + link->length, text, length);
    link->length += length;
    return true;
}

static bool has_scheme(const char *target)
{
    const char *mark = strstr(target, "://");
    return mark && mark != target && !memchr(target, '/', (size_t)(mark - target));
}

/* What is asked for instead: the link's directory as it was asked for, unless the target says where it begins; the target; what
 * stands behind the link. */
static int64_t link_answer(const struct route *route, const char *name, const struct inode *inode,
                           struct link_text *link)
{
    const char *target = arena_at(inode->target), *path = route->path;
    bool relative = target[0] != '/' && !has_scheme(target);
    size_t start = 0;
    while (start < route->length && path[start] == '/')
        start++;
    link->length = 0;
    if (relative && !append(link, path + start, (size_t)(name - path) - start))
        return -E_TOO_LONG;
    if (!append(link, target, inode->size) ||
        !append(link, path + route->at, route->length - route->at))
        return -E_TOO_LONG;
    return link->length > PATH_LENGTH_MAX ? -E_TOO_LONG : -E_LINK;
}

static int64_t volume_of(struct route *route, struct volume **volume)
{
    const char *name;
    size_t length;
    uint32_t id = 0;
    if (!route_next(route, &name, &length) || length > 9)
        return -E_NOT_FOUND;
    for (size_t i = 0; i < length; i++) {
        if (name[i] < '0' || name[i] > '9')
            return -E_NOT_FOUND;
        id = id * 10 + (uint32_t)(name[i] - '0');
    }
    *volume = id ? volume_find(id) : NULL;
    return *volume ? 0 : -E_NOT_FOUND;
}

static int64_t walk_all(const char *path, size_t length, unsigned flags, struct place *place,
                        struct link_text *link)
{
    struct route route = {.path = path, .length = length};
    const char *name;
    size_t name_length;
    *place = (struct place){.name = ""};
    int64_t result = volume_of(&route, &place->volume);
    if (result < 0)
        return result;
    place->inode = arena_at(place->volume->root);
    while (route_next(&route, &name, &name_length)) {
        if (!place->inode)
            return -E_NOT_FOUND;
        if (place->inode->type != FILE_DIRECTORY)
            return -E_NOT_DIRECTORY;
        if (name_length > NAME_LENGTH_MAX)
            return -E_TOO_LONG;
        if (name_is_parent(name, name_length)) {
            place->inode = arena_at(place->inode->directory.parent);
            place->directory = NULL;
            continue;
        }
        place->directory = place->inode;
        place->slot = directory_find(place->directory, name, name_length);
        place->inode = place->slot ? arena_at(slot_entry(place->slot)->inode) : NULL;
        place->name = name;
        place->length = name_length;
        if (place->inode && place->inode->type == FILE_LINK &&
            (flags & WALK_FOLLOW || !route_ended(&route)))
            return link_answer(&route, name, place->inode, link);
    }
    return 0;
}

/* How much of the path stands before its last name; 0: there is none, or it is not plain. */
static size_t last_slash(const char *path, size_t length)
{
    size_t at = length;
    while (at > 0 && path[at - 1] != '/')
        at--;
    return at == length || path[at] == '.' || length - at > NAME_LENGTH_MAX ? 0 : at;
}

/* The directory is known, or all of the path is walked and then it is. */
static int64_t walk_last(const char *path, size_t length, unsigned flags, struct place *place,
                         struct link_text *link)
{
    size_t head = last_slash(path, length);
    if (!head)
        return walk_all(path, length, flags, place, link);
    struct found *found = found_at(path, head);
    if (!found_holds(found, FOUND_DIRECTORY, path, head)) {
        int64_t result = walk_all(path, length, flags, place, link);
        if (result >= 0 && place->directory)
            found_enter(found, FOUND_DIRECTORY, path, head, place->directory, NULL);
        return result;
    }
    struct inode *directory = arena_at(found->directory);
    struct slot *slot = directory_find(directory, path + head, length - head);
    struct inode *inode = slot ? arena_at(slot_entry(slot)->inode) : NULL;
    if (unlikely(inode && inode->type == FILE_LINK && flags & WALK_FOLLOW))
        return walk_all(path, length, flags, place, link);
    *place =
        (struct place){inode_volume(directory), directory, slot, inode, path + head, length - head};
    return 0;
}

int64_t walk(const char *path, size_t length, unsigned flags, struct place *place,
             struct link_text *link)
{
    if (!(flags & WALK_FOLLOW))
        return walk_last(path, length, flags, place, link);
    struct found *found = found_at(path, length);
    if (likely(found_holds(found, FOUND_NAME, path, length))) {
        place->directory = arena_at(found->directory);
        place->slot = found->slot;
        place->inode = arena_at(slot_entry(found->slot)->inode);
        place->volume = inode_volume(place->inode);
        return 0;
    }
    int64_t result = walk_last(path, length, flags, place, link);
    if (result >= 0 && place->directory && place->slot)
        found_enter(found, FOUND_NAME, path, length, place->directory, place->slot);
    return result;
}
