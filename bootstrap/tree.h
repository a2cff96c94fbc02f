/* The boot archive as a tree of nodes: built once from the tar, then only read, by any thread.
 *
 *     struct tree tree;
 *     problem = tree_build(&tree, bytes, length);
 *     result = tree_walk(&tree, "/dev/null", 9, WALK_FOLLOW, &walk);
 *
 * Names may be of any length. A later entry of the archive replaces an earlier one of the same name, except
 * that a directory keeps its children. Entries that would lie outside ("..") are refused.
 */
#pragma once

#include "abi/abi.h"
#include "lib/base/base.h"

struct node {
    char *path; /* from the root, where it is "/"; terminated */
    size_t path_length;
    const char *name; /* the end of path */
    size_t name_length;
    uint64_t hash;       /* of the name */
    struct node *parent; /* the root is its own */
    uint32_t type;       /* enum file_type */
    uint32_t mode;
    uint64_t inode;      /* its index in tree.nodes, plus 1 */
    int64_t modified;    /* ns */
    uint64_t size;       /* of data, of a link's target */
    char *target;        /* of a link; terminated */
    const uint8_t *data; /* of a file: whole pages, zero behind the end */
    handle_t memory;     /* where the data lies; HANDLE_NONE when empty */
    struct node *
        *children; /* of a directory, by hash and name: found in few steps, listed in that order */
    uint32_t child_count, child_room;
    uint32_t uid, gid;
};

/* A file's bytes: kept for the life of the tree, as hard links share them. */
struct content {
    struct content *next;
    uint8_t *data;
    uint64_t size;
    handle_t memory;
};

struct tree {
    struct node **nodes;
    size_t count, room;
    struct node *root;
    uint64_t bytes; /* of all data */
    struct content *contents;
    struct node **index; /* by path (index.h); NULL: not built yet */
    uint64_t index_mask;
};

/* The tree keeps nothing of the archive. NULL, or why it failed, for people; what was built stays. */
MUST_CHECK const char *tree_build(struct tree *tree, const uint8_t *archive, size_t length);
void tree_destroy(struct tree *tree);

#define WALK_FOLLOW 0x1u /* a link at the end is followed too */

#define WALK_LINKS_MAX 40

struct walk {
    struct node *node;
    char *link; /* with -E_LINK: the URI the name stands for; free() it */
};

/* Follows path from the root; "", ".", ".." (which stops at the root) and repeated slashes mean the usual.
 * 0: walk->node; -E_LINK: the name leads out of this protocol, to walk->link; else -E_NOT_FOUND,
 * -E_NOT_DIRECTORY, -E_LOOP, -E_TOO_LONG, -E_NO_MEMORY. */
MUST_CHECK int64_t tree_walk(const struct tree *tree, const char *path, size_t length,
                             uint32_t flags, struct walk *walk);

/* Provided by who links the tree: size bytes of page-aligned memory, zeroed; the handle that names them. */
MUST_CHECK int64_t content_create(uint64_t size, uint8_t **data, handle_t *memory);

/* The content is complete: from now on it is only read. */
void content_seal(uint8_t *data, uint64_t size);

void content_destroy(uint8_t *data, uint64_t size, handle_t memory);
