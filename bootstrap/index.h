/* Names of the tree that need no walk: a node by its whole path from the root, "/bench/data".
 *
 *     index_build(&tree)                 once, when the tree is complete; false: no memory
 *     index_find(&tree, path, length)    NULL: no node has this path as it is written; walk
 *     index_destroy(&tree)
 *
 * A path with links on its way, with ".", ".." or empty names is none of these.
 */
#pragma once

#include "bootstrap/tree.h"

MUST_CHECK bool index_build(struct tree *tree);
MUST_CHECK struct node *index_find(const struct tree *tree, const char *path, size_t length);
void index_destroy(struct tree *tree);
