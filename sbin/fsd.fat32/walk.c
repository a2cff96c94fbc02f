/* See walk.h. */
#include "sbin/fsd.fat32/walk.h"

#include "sbin/fsd.fat32/found.h"
#include "sbin/fsd.fat32/volume.h"

void place_put(struct place *place)
{
    fat_put(place->directory);
    fat_put(place->node);
    place->directory = place->node = NULL;
}

/* One component further. */
static int64_t step(struct place *place, const char *name, size_t length)
{
    struct fat_node *above = place->node;
    if (!above)
        return -E_NOT_FOUND;
    if (!fat_is_directory(above))
        return -E_NOT_DIRECTORY;
    fat_put(place->directory);
    if (name_is_parent(name, length)) {
        *place = (struct place){.node = fat_parent(above), .name = ""};
        fat_put(above);
        return place->node ? 0 : -E_NOT_FOUND;
    }
    *place = (struct place){.directory = above, .name = name, .length = length};
    int64_t result = fat_lookup(above, name, length, &place->node);
    if (result < 0)
        place->node = NULL;
    return result == -E_NOT_FOUND ? 0 : result;
}

/* How much of the path stands before its last name; 0: there is none, or it is not plain. */
static size_t last_slash(const char *path, size_t length)
{
    size_t at = length;
    while (at > 0 && path[at - 1] != '/')
        at--;
    return at == length || path[at] == '.' ? 0 : at;
}

int64_t walk(const char *path, size_t length, struct place *place)
{
    size_t head = last_slash(path, length);
    struct fat_node *directory = head ? found_directory(path, head) : NULL;
    struct route route = {.path = path, .length = length, .at = directory ? head : 0};
    const char *name;
    size_t name_length;
    int64_t result = 0;
    *place = (struct place){.node = directory ? fat_get(directory) : fat_root(volume), .name = ""};
    while (result >= 0 && route_next(&route, &name, &name_length))
        result = step(place, name, name_length);
    if (result < 0)
        place_put(place);
    else if (head && !directory && place->directory)
        found_enter_directory(path, head, place->directory);
    return result;
}
