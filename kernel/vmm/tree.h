/* The pages of a memory object: a radix tree from page index to frame, 64 ways at each level.
 *
 *     page_tree_insert(&tree, index, frame)     the slot must be empty
 *     slot = page_tree_find(&tree, index)       NULL, or where the frame's pointer is (it may be NULL)
 *     frame = page_tree_next(&tree, &index, end)
 *     bits = page_tree_present(&tree, index)    which of 64 slots are in use
 *     frame = page_tree_remove(&tree, index)    its marks go with it
 *     page_tree_mark(&tree, index, PAGE_DIRTY)  the slot must be in use; page_tree_unmark, page_tree_marked
 *     page_tree_next_marked(&tree, PAGE_DIRTY, &index, end)
 *
 * Marks are bits beside the slots: a word per node and kind, in the nodes above a bit for each way that leads to a mark,
 * so that the few marked pages of a big object are found without looking at the others.
 * Slots of 64 indexes that differ in their low six bits only lie next to each other. Empty nodes are freed at once.
 * No locks: the object's.
 */
#pragma once

#include "kernel/vmm/frame.h"

#define PAGE_TREE_BITS  6u
#define PAGE_TREE_WAYS  (1u << PAGE_TREE_BITS)
#define PAGE_TREE_LIMIT (UINT64_C(1) << 36) /* indexes are below */

enum page_mark { PAGE_DIRTY, PAGE_WRITING, PAGE_MARKS }; /* pager.h says what they mean */

struct page_node {
    union {
        struct page_node *nodes[PAGE_TREE_WAYS];
        struct frame *frames[PAGE_TREE_WAYS];
    };
    uint64_t marks[PAGE_MARKS]; /* of the slots, or of what lies below them */
    unsigned used;              /* slots that are not NULL */
};

struct page_tree {
    struct page_node *root;
    unsigned height; /* 1: the root holds frames */
    unsigned nodes;
};

#define PAGE_TREE_GROWTH 8192u /* bytes of nodes, at most, by one insertion */

struct frame **page_tree_find_deep(const struct page_tree *tree, uint64_t index);

/* The slot of a page, and behind it those up to the next multiple of PAGE_TREE_WAYS; NULL: none of them is used. */
static inline struct frame **page_tree_find(const struct page_tree *tree, uint64_t index)
{
    if (tree->height == 1 && index < PAGE_TREE_WAYS) /* most objects are small */
        return &tree->root->frames[index];
    return page_tree_find_deep(tree, index);
}

/* The first frame at or above *index and below end: moves *index there; NULL if none. */
struct frame *page_tree_next(const struct page_tree *tree, uint64_t *index, uint64_t end);
/* A bit for each of the PAGE_TREE_WAYS slots from index on that is in use. */
uint64_t page_tree_present(const struct page_tree *tree, uint64_t index);
int page_tree_insert(struct page_tree *tree, uint64_t index, struct frame *frame) MUST_CHECK;
struct frame *page_tree_remove(struct page_tree *tree, uint64_t index); /* NULL: it was empty */

bool page_tree_marked(const struct page_tree *tree, uint64_t index, enum page_mark mark);
void page_tree_mark(struct page_tree *tree, uint64_t index, enum page_mark mark);
bool page_tree_unmark(struct page_tree *tree, uint64_t index, enum page_mark mark); /* was it? */
/* The first page with the mark at or above *index and below end: moves *index there; false if none. */
bool page_tree_next_marked(const struct page_tree *tree, enum page_mark mark, uint64_t *index,
                           uint64_t end);
