/* Intrusive red-black trees. The user writes the descent, so keys are compared without callbacks:
 *
 *     struct rb_node **place = &tree->root, *parent = NULL;
 *     while (*place) { parent = *place; place = key < KEY(parent) ? &parent->left : &parent->right; }
 *     rb_insert(tree, &item->node, parent, place);
 *     ...
 *     rb_remove(tree, &item->node);
 *
 * rb_first, rb_last, rb_next, rb_previous walk in order. No locks: the owner of the tree has one.
 */
#pragma once

#include "lib/base/base.h"

struct rb_node {
    struct rb_node *parent, *left, *right;
    bool red;
};

struct rb_tree {
    struct rb_node *root;
};

void rb_insert(struct rb_tree *tree, struct rb_node *node, struct rb_node *parent,
               struct rb_node **place);
void rb_remove(struct rb_tree *tree, struct rb_node *node);
struct rb_node *rb_first(const struct rb_tree *tree);
struct rb_node *rb_last(const struct rb_tree *tree);
struct rb_node *rb_next(const struct rb_node *node);
struct rb_node *rb_previous(const struct rb_node *node);

#define rb_entry(node, type, member)                            \
    ({                                                          \
        struct rb_node *rb_node_ = (node);                      \
        rb_node_ ? container_of(rb_node_, type, member) : NULL; \
    })
