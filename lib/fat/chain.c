/* See chain.h. */
#include "lib/fat/chain.h"

#include <stdlib.h>
#include <string.h>

#include "lib/fat/node.h"
#include "lib/fat/table.h"

static uint32_t known(const struct chain *chain)
{
    if (!chain->count)
        return 0;
    const struct extent *last = &chain->extents[chain->count - 1];
    return last->index + last->count;
}

static int64_t append(struct chain *chain, uint32_t first, uint32_t count)
{
    struct extent *last = chain->count ? &chain->extents[chain->count - 1] : NULL;
    if (last && last->first + last->count == first) {
        last->count += count;
        return 0;
    }
    if (chain->count == chain->room) {
        uint32_t room = chain->room ? 2 * chain->room : 4;
        struct extent *more = realloc(chain->extents, room * sizeof(*more));
        if (!more)
            return -E_NO_MEMORY;
        chain->extents = more;
        chain->room = room;
    }
    chain->extents[chain->count] = (struct extent){known(chain), first, count};
    chain->count++;
    return 0;
}

void chain_forget(struct chain *chain)
{
    free(chain->extents);
    memset(chain, 0, sizeof(*chain));
}

void chain_forget_from(struct chain *chain, uint32_t count)
{
    while (chain->count && chain->extents[chain->count - 1].index >= count)
        chain->count--;
    if (chain->count && known(chain) > count)
        chain->extents[chain->count - 1].count -= known(chain) - count;
    chain->latest = 0;
    chain->ended = false;
}

/* What a call that was aborted found out may not be so. */
static void look_again(struct fat_node *node)
{
    if (node->chain.aborts == node->volume->aborts)
        return;
    chain_forget(&node->chain);
    node->chain.aborts = node->volume->aborts;
}

/* Walks on until `index` is known or the chain ends. No chain has more clusters than the volume. */
static int64_t walk(struct fat_node *node, uint32_t index)
{
    struct chain *chain = &node->chain;
    struct fat_volume *volume = node->volume;
    while (!chain->ended && known(chain) <= index) {
        uint32_t next = node->record->start;
        if (chain->count) {
            const struct extent *last = &chain->extents[chain->count - 1];
            int64_t result = table_next(volume, last->first + last->count - 1, &next);
            if (result < 0)
                return result;
        }
        if (!next) {
            chain->ended = true;
            break;
        }
        if (!cluster_valid(volume, next) || known(chain) >= volume->clusters)
            return volume_malformed(volume, "the chain from cluster %u has no end",
                                    node->record->start);
        int64_t result = append(chain, next, 1);
        if (result < 0)
            return result;
    }
    return 0;
}

static const struct extent *extent_of(struct chain *chain, uint32_t index)
{
    const struct extent *latest = &chain->extents[chain->latest];
    if (index >= latest->index && index < latest->index + latest->count)
        return latest;
    uint32_t low = 0, high = chain->count - 1;
    while (low < high) {
        uint32_t middle = (low + high + 1) / 2;
        if (chain->extents[middle].index <= index)
            low = middle;
        else
            high = middle - 1;
    }
    chain->latest = low;
    return &chain->extents[low];
}

int64_t chain_find(struct fat_node *node, uint32_t index, uint32_t most, struct cluster_run *run)
{
    look_again(node);
    int64_t result = walk(node, index + most - 1);
    if (result < 0)
        return result;
    *run = (struct cluster_run){0, 0};
    if (index >= known(&node->chain))
        return 0;
    const struct extent *extent = extent_of(&node->chain, index);
    uint32_t skip = index - extent->index;
    *run = (struct cluster_run){extent->first + skip, MIN(extent->count - skip, most)};
    return 0;
}

int64_t chain_count(struct fat_node *node, uint32_t most, uint32_t *count)
{
    look_again(node);
    int64_t result = walk(node, most);
    *count = MIN(known(&node->chain), most + 1);
    return result;
}

/* The new run's entries, which nothing leads to yet, and then what leads to them. */
static int64_t link_run(struct fat_node *node, struct cluster_run run)
{
    struct fat_volume *volume = node->volume;
    struct chain *chain = &node->chain;
    int64_t result = 0;
    for (uint32_t i = 0; i < run.count && result >= 0; i++)
        result = table_set(volume, run.first + i, i + 1 < run.count ? run.first + i + 1 : TABLE_END,
                           PHASE_NEW);
    if (result >= 0 && chain->count) {
        const struct extent *last = &chain->extents[chain->count - 1];
        result = table_set(volume, last->first + last->count - 1, run.first, PHASE_LINK);
    }
    return result < 0 ? result : append(chain, run.first, run.count);
}

int64_t chain_extend(struct fat_node *node, uint32_t want, struct cluster_run *run)
{
    struct chain *chain = &node->chain;
    look_again(node);
    int64_t result = walk(node, UINT32_MAX - 1);
    if (result < 0)
        return result;
    uint32_t before = known(chain), goal = 0;
    if (before)
        goal = chain->extents[chain->count - 1].first + chain->extents[chain->count - 1].count;
    result = space_take(node->volume, goal, before != 0, want, run);
    if (result < 0)
        return result;
    result = link_run(node, *run);
    if (result < 0)
        return result;
    if (!before)
        keep_set(node->volume, &node->record->start, run->first);
    chain->ended = true;
    return 0;
}

int64_t chain_cut(struct fat_node *node, uint32_t count, uint32_t *rest)
{
    struct cluster_run tail;
    int64_t result = chain_find(node, count - 1, 1, &tail);
    if (result >= 0 && !tail.count)
        result = volume_malformed(node->volume, "the chain from cluster %u is too short",
                                  node->record->start);
    if (result >= 0)
        result = table_next(node->volume, tail.first, rest);
    if (result < 0 || !*rest)
        return result;
    result = table_set(node->volume, tail.first, TABLE_END, PHASE_LINK);
    if (result < 0)
        return result;
    chain_forget_from(&node->chain, count);
    node->chain.ended = true;
    return 0;
}
