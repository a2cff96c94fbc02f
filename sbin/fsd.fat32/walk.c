/* See walk.h. */
#include "sbin/fsd.fat32/walk.h"

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

int64_t walk(const char *path, size_t length, struct place *place)
{
    struct route route = {.path = path, .length = length};
    const char *name;
    size_t name_length;
    int64_t result = 0;
    *place = (struct place){.node = fat_root(volume), .name = ""};
    while (result >= 0 && route_next(&route, &name, &name_length))
        result = step(place, name, name_length);
    if (result < 0)
        place_put(place);
    return result;
}
