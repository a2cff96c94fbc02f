/* Red-black trees: see rbtree.h. Cormen, Leiserson, Rivest, Stein, chapter 13, with NULL leaves. */
#include "lib/base/rbtree.h"

static void replace_child(struct rb_tree *tree, struct rb_node *parent, struct rb_node *old,
                          struct rb_node *new)
{
    if (!parent)
        tree->root = new;
    else if (parent->left == old)
        parent->left = new;
    else
        parent->right = new;
}

static void rotate_left(struct rb_tree *tree, struct rb_node *node)
{
    struct rb_node *right = node->right;

    node->right = right->left;
    if (right->left)
        right->left->parent = node;
    right->parent = node->parent;
    replace_child(tree, node->parent, node, right);
    right->left = node;
    node->parent = right;
}

static void rotate_right(struct rb_tree *tree, struct rb_node *node)
{
    struct rb_node *left = node->left;

    node->left = left->right;
    if (left->right)
        left->right->parent = node;
    left->parent = node->parent;
    replace_child(tree, node->parent, node, left);
    left->right = node;
    node->parent = left;
}

void rb_insert(struct rb_tree *tree, struct rb_node *node, struct rb_node *parent,
               struct rb_node **place)
{
    node->parent = parent;
    node->left = node->right = NULL;
    node->red = true;
    *place = node;

    while ((parent = node->parent) && parent->red) {
        struct rb_node *grandparent = parent->parent;
        bool left = parent == grandparent->left;
        struct rb_node *uncle = left ? grandparent->right : grandparent->left;

        if (uncle && uncle->red) {
            parent->red = uncle->red = false;
            grandparent->red = true;
            node = grandparent;
            continue;
        }
        if (left) {
            if (node == parent->right) {
                rotate_left(tree, parent);
                node = parent;
                parent = node->parent;
            }
            rotate_right(tree, grandparent);
        } else {
            if (node == parent->left) {
                rotate_right(tree, parent);
                node = parent;
                parent = node->parent;
            }
            rotate_left(tree, grandparent);
        }
        parent->red = false;
        grandparent->red = true;
    }
    tree->root->red = false;
}

/* node (perhaps NULL), child of parent, has one black too few on its paths. */
static void mend_removal(struct rb_tree *tree, struct rb_node *node, struct rb_node *parent)
{
    while (node != tree->root && (!node || !node->red)) {
        bool left = node == parent->left;
        struct rb_node *sibling = left ? parent->right : parent->left;

        if (sibling->red) {
            sibling->red = false;
            parent->red = true;
            if (left)
                rotate_left(tree, parent);
            else
                rotate_right(tree, parent);
            sibling = left ? parent->right : parent->left;
        }

        struct rb_node *inner = left ? sibling->left : sibling->right;
        struct rb_node *outer = left ? sibling->right : sibling->left;

        if ((!inner || !inner->red) && (!outer || !outer->red)) {
            sibling->red = true;
            node = parent;
            parent = node->parent;
            continue;
        }
        if (!outer || !outer->red) {
            inner->red = false;
            sibling->red = true;
            if (left)
                rotate_right(tree, sibling);
            else
                rotate_left(tree, sibling);
            outer = sibling;
            sibling = inner;
        }
        sibling->red = parent->red;
        parent->red = false;
        outer->red = false;
        if (left)
            rotate_left(tree, parent);
        else
            rotate_right(tree, parent);
        node = tree->root;
    }
    if (node)
        node->red = false;
}

void rb_remove(struct rb_tree *tree, struct rb_node *node)
{
    struct rb_node *child, *parent;
    bool removed_red;

    if (node->left && node->right) {
        struct rb_node *successor = node->right;

        while (successor->left)
            successor = successor->left;
        child = successor->right;
        parent = successor->parent;
        removed_red = successor->red;
        if (parent == node) {
            parent = successor;
        } else {
            if (child)
                child->parent = parent;
            parent->left = child;
            successor->right = node->right;
            node->right->parent = successor;
        }
        successor->parent = node->parent;
        successor->left = node->left;
        successor->red = node->red;
        node->left->parent = successor;
        replace_child(tree, node->parent, node, successor);
    } else {
        child = node->left ? node->left : node->right;
        parent = node->parent;
        removed_red = node->red;
        if (child)
            child->parent = parent;
        replace_child(tree, parent, node, child);
    }
    if (!removed_red)
        mend_removal(tree, child, parent);
}

struct rb_node *rb_first(const struct rb_tree *tree)
{
    struct rb_node *node = tree->root;

    while (node && node->left)
        node = node->left;
    return node;
}

struct rb_node *rb_last(const struct rb_tree *tree)
{
    struct rb_node *node = tree->root;

    while (node && node->right)
        node = node->right;
    return node;
}

struct rb_node *rb_next(const struct rb_node *node)
{
    if (node->right) {
        node = node->right;
        while (node->left)
            node = node->left;
        return (struct rb_node *)node;
    }
    while (node->parent && node == node->parent->right)
        node = node->parent;
    return node->parent;
}

struct rb_node *rb_previous(const struct rb_node *node)
{
    if (node->left) {
        node = node->left;
        while (node->right)
            node = node->right;
        return (struct rb_node *)node;
    }
    while (node->parent && node == node->parent->left)
        node = node->parent;
    return node->parent;
}
