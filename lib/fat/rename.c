/* Names move. The new entry is on the platter before the old one goes; in between two lead to the same clusters, and the old one is
 * marked (SLOT_LEAVING), so that a mount after a power cut knows which of them to remove.
 */
#include <string.h>

#include "lib/fat/call.h"
#include "lib/fat/lookup.h"

struct move {
    struct fat_node *from, *to;
    struct name name, to_name;
    struct looked_up source, target;
    bool over; /* target is there */
    struct fat_node *node, *old;
};

static int64_t check(const struct move *move, uint32_t flags)
{
    bool directory = move->node->attributes & FAT_DIRECTORY;
    if (move->to->removed)
        return -E_NOT_FOUND;
    for (const struct fat_node *above = move->to; directory && above; above = above->parent)
        if (above == move->node)
            return -E_INVALID;
    if (!move->over || move->node == move->old)
        return 0;
    if (flags & FAT_RENAME_NOREPLACE)
        return -E_EXISTS;
    bool over = move->old->attributes & FAT_DIRECTORY;
    if (directory != over)
        return directory ? -E_NOT_DIRECTORY : -E_IS_DIRECTORY;
    for (const struct fat_node *above = move->from; over && above; above = above->parent)
        if (above == move->old)
            return -E_NOT_EMPTY;
    int64_t empty = over ? directory_is_empty(move->old) : 1;
    return empty < 0 ? empty : empty ? 0 : -E_NOT_EMPTY;
}

/* The directory's ".." says where it is now. */
static int64_t move_dots(const struct move *move)
{
    struct slot dots;
    uint64_t place;
    if (!(move->node->attributes & FAT_DIRECTORY) || move->from == move->to)
        return 0;
    int64_t result = slot_place(move->node, 1, &place);
    if (result > 0)
        result = slot_read(move->node->volume, place, &dots);
    if (result < 0 || memcmp(dots.name, "..         ", sizeof(dots.name)) != 0)
        return result;
    slot_set_cluster(&dots, dots_cluster(move->to));
    return slot_write(move->node->volume, place, &dots, PHASE_NAME);
}

/* The entry under the name it takes over, which stays spelled as it was. */
static int64_t replace(struct move *move, struct slot *entry, uint64_t *slot)
{
    const struct slot *old = &move->target.found.entry;
    memcpy(entry->name, old->name, sizeof(entry->name));
    entry->flags = old->flags;
    *slot = move->target.slot;
    return slot_write(move->node->volume, *slot, entry, PHASE_NAME);
}

static int64_t carry_out(struct move *move)
{
    struct fat_volume *volume = move->from->volume;
    struct slot entry = move->source.found.entry;
    uint64_t slot;
    bool replaces = move->over && move->node != move->old;
    int64_t result = replaces ? replace(move, &entry, &slot)
                              : directory_add(move->to, &move->to_name, &entry, &slot);
    if (result >= 0)
        result = move_dots(move);
    if (result >= 0)
        result = directory_remove(move->from, &move->source.found, PHASE_LEAVING);
    if (result >= 0 && replaces)
        result = lose(volume, move->old, &move->target.found);
    if (result >= 0)
        node_move(move->node, move->to, slot);
    return result;
}

static int64_t find_both(struct move *move)
{
    int64_t result = lookup(move->from, &move->name, &move->source);
    if (result <= 0)
        return result < 0 ? result : -E_NOT_FOUND;
    result = node_get(move->from, move->source.slot, &move->source.found.entry, &move->node);
    if (result >= 0)
        result = lookup(move->to, &move->to_name, &move->target);
    move->over = result > 0;
    if (move->over)
        result = node_get(move->to, move->target.slot, &move->target.found.entry, &move->old);
    return result;
}

/* Both names were looked up. */
static int64_t move_it(struct move *move, uint32_t flags)
{
    int64_t result = check(move, flags);
    if (result < 0)
        return result;
    if (move->node == move->old && name_identical(&move->target.found.name, &move->to_name))
        return 0; /* that is its name */
    if (!move->over)
        result = name_ready(move->to, &move->to_name);
    return result < 0 ? result : carry_out(move);
}

int64_t fat_rename(struct fat_node *from, const char *text, size_t length, struct fat_node *to,
                   const char *to_text, size_t to_length, uint32_t flags)
{
    struct fat_volume *volume = from->volume;
    struct move move = {.from = from, .to = to};
    int64_t result = name_from_utf8(&move.name, text, length);
    if (result >= 0)
        result = name_from_utf8(&move.to_name, to_text, to_length);
    if (result >= 0)
        result = call_begin(volume);
    if (result >= 0)
        result = find_both(&move);
    keep_commit(volume); /* nodes are there whatever comes of it */
    if (result >= 0)
        result = move_it(&move, flags);
    result = call_end_numbered(volume, result);
    fat_put(move.old);
    fat_put(move.node);
    return result;
}
