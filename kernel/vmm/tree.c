/* Radix tree of frames: see tree.h. The tree is as high as its highest index needs. */
#include "kernel/vmm/tree.h"

#include "kernel/panic.h"
#include "kernel/vmm/heap.h"

#define HEIGHT_MAX 6u

static struct cache node_cache = CACHE_INIT("page-node", sizeof(struct page_node), 8);

static unsigned way(uint64_t index, unsigned level)
{
    return (unsigned)(index >> (PAGE_TREE_BITS * (level - 1))) % PAGE_TREE_WAYS;
}

static bool too_high(const struct page_tree *tree, uint64_t index)
{
    return index >> (PAGE_TREE_BITS * tree->height) != 0;
}

struct frame **page_tree_find_deep(const struct page_tree *tree, uint64_t index)
{
    struct page_node *node = tree->root;

    if (!node || too_high(tree, index))
        return NULL;
    for (unsigned level = tree->height; level > 1; level--) {
        node = node->nodes[way(index, level)];
        if (!node)
            return NULL;
    }
    return &node->frames[way(index, 1)];
}

struct frame *page_tree_next(const struct page_tree *tree, uint64_t *index, uint64_t end)
{
    uint64_t at = *index;

    while (tree->root && at < end && !too_high(tree, at)) {
        struct page_node *node = tree->root;
        unsigned level = tree->height;

        while (level > 1 && node->nodes[way(at, level)]) {
            node = node->nodes[way(at, level)];
            level--;
        }
        if (level == 1 && node->frames[way(at, 1)]) {
            *index = at;
            return node->frames[way(at, 1)];
        }

        uint64_t step = UINT64_C(1) << (PAGE_TREE_BITS * (level - 1));

        at = ALIGN_DOWN(at, step) + step;
        for (unsigned i = way(at, level); i > 0 && i < PAGE_TREE_WAYS && !node->nodes[i]; i++)
            at += step; /* the rest of this node, without coming from the root again */
    }
    *index = end;
    return NULL;
}

/* Of the slots that lie together. */
static uint64_t leaf_present(const struct page_tree *tree, uint64_t first)
{
    struct frame **slots = page_tree_find(tree, first);
    uint64_t bits = 0;

    for (unsigned i = 0; slots && i < PAGE_TREE_WAYS; i++)
        bits |= (uint64_t)(slots[i] != NULL) << i;
    return bits;
}

uint64_t page_tree_present(const struct page_tree *tree, uint64_t index)
{
    uint64_t first = ALIGN_DOWN(index, (uint64_t)PAGE_TREE_WAYS);
    unsigned skip = way(index, 1);
    uint64_t bits = leaf_present(tree, first) >> skip;

    if (skip)
        bits |= leaf_present(tree, first + PAGE_TREE_WAYS) << (PAGE_TREE_WAYS - skip);
    return bits;
}

/* Take out the empty nodes on the way to index, and levels of the root that only lead to slot 0. */
static void prune(struct page_tree *tree, uint64_t index)
{
    struct page_node **path[HEIGHT_MAX];
    struct page_node **place = &tree->root;
    unsigned depth = 0;

    for (unsigned level = tree->height; level >= 1 && *place; level--) {
        path[depth++] = place;
        if (level > 1)
            place = &(*place)->nodes[way(index, level)];
    }
    while (depth > 0 && (*path[depth - 1])->used == 0) {
        cache_free(&node_cache, *path[--depth]);
        tree->nodes--;
        *path[depth] = NULL;
        if (depth > 0)
            (*path[depth - 1])->used--;
    }
    if (!tree->root)
        tree->height = 0;
}

/* The root rises and a way to the new leaf is made. */
_Static_assert(2 * HEIGHT_MAX * sizeof(struct page_node) <= PAGE_TREE_GROWTH, "nodes");

static struct page_node *node_new(struct page_tree *tree)
{
    struct page_node *node = cache_alloc(&node_cache);

    if (node)
        tree->nodes++;
    return node;
}

static bool grow(struct page_tree *tree, uint64_t index)
{
    while (!tree->root || too_high(tree, index)) {
        struct page_node *node = node_new(tree);

        if (!node)
            return false;
        if (tree->root) {
            node->nodes[0] = tree->root;
            node->used = 1;
            for (unsigned mark = 0; mark < PAGE_MARKS; mark++)
                node->marks[mark] = tree->root->marks[mark] != 0;
        }
        tree->root = node;
        tree->height++;
    }
    return true;
}

int page_tree_insert(struct page_tree *tree, uint64_t index, struct frame *frame)
{
    ASSERT(index < PAGE_TREE_LIMIT);
    if (!grow(tree, index))
        goto fail;

    struct page_node *node = tree->root;

    for (unsigned level = tree->height; level > 1; level--) {
        struct page_node **place = &node->nodes[way(index, level)];

        if (!*place) {
            *place = node_new(tree);
            if (!*place)
                goto fail;
            node->used++;
        }
        node = *place;
    }
    ASSERT(!node->frames[way(index, 1)]);
    node->frames[way(index, 1)] = frame;
    node->used++;
    return 0;

fail:
    if (tree->root)
        prune(tree, index);
    return -E_NO_MEMORY;
}

struct frame *page_tree_remove(struct page_tree *tree, uint64_t index)
{
    struct frame **slot = page_tree_find(tree, index);

    if (!slot || !*slot)
        return NULL;

    struct frame *frame = *slot;
    struct page_node *node = container_of(slot - way(index, 1), struct page_node, frames[0]);

    for (unsigned mark = 0; mark < PAGE_MARKS; mark++)
        if (unlikely(node->marks[mark]))
            page_tree_unmark(tree, index, (enum page_mark)mark);
    *slot = NULL;
    if (--node->used == 0)
        prune(tree, index);
    return frame;
}

/* --- Marks ------------------------------------------------------------------------------------------------- */

bool page_tree_marked(const struct page_tree *tree, uint64_t index, enum page_mark mark)
{
    struct frame **slot = page_tree_find(tree, index);

    if (!slot)
        return false;

    const struct page_node *node = container_of(slot - way(index, 1), struct page_node, frames[0]);

    return node->marks[mark] & BIT(way(index, 1));
}

void page_tree_mark(struct page_tree *tree, uint64_t index, enum page_mark mark)
{
    struct page_node *node = tree->root;

    for (unsigned level = tree->height;; level--) {
        node->marks[mark] |= BIT(way(index, level));
        if (level == 1)
            break;
        node = node->nodes[way(index, level)];
    }
}

bool page_tree_unmark(struct page_tree *tree, uint64_t index, enum page_mark mark)
{
    struct page_node *path[HEIGHT_MAX + 1], *node = tree->root;

    if (!page_tree_marked(tree, index, mark))
        return false;
    for (unsigned level = tree->height; level > 1; level--) {
        path[level] = node;
        node = node->nodes[way(index, level)];
    }
    node->marks[mark] &= ~BIT(way(index, 1));
    for (unsigned level = 2; level <= tree->height && node->marks[mark] == 0; level++) {
        node = path[level];
        node->marks[mark] &= ~BIT(way(index, level));
    }
    return true;
}

bool page_tree_next_marked(const struct page_tree *tree, enum page_mark mark, uint64_t *index,
                           uint64_t end)
{
    uint64_t at = *index;

    while (tree->root && at < end && !too_high(tree, at)) {
        const struct page_node *node = tree->root;
        unsigned level = tree->height;

        while (level > 1 && node->marks[mark] & BIT(way(at, level))) {
            node = node->nodes[way(at, level)];
            level--;
        }

        uint64_t step = UINT64_C(1) << (PAGE_TREE_BITS * (level - 1));
        uint64_t above = node->marks[mark] >> way(at, level) << way(at, level);

        if (level == 1 && above) {
            at = ALIGN_DOWN(at, (uint64_t)PAGE_TREE_WAYS) + (uint64_t)__builtin_ctzll(above);
            if (at >= end)
                break;
            *index = at;
            return true;
        }
        /* Nothing here: on to the next way of this node that leads to a mark, or past the node. */
        unsigned next = above ? (unsigned)__builtin_ctzll(above) : PAGE_TREE_WAYS;

        at = ALIGN_DOWN(at, step * PAGE_TREE_WAYS) + next * step;
    }
    *index = end;
    return false;
}
