/* Files and directories in use. */
#pragma once

#include "lib/fat/chain.h"

struct directory;

struct fat_node {
    struct fat_volume *volume;
    struct fat_node *parent; /* with a reference; NULL: the root, or not known */
    void *user;
    uint32_t references;
    uint32_t attributes;
    struct record *record; /* kept; a directory's is &own */
    struct record own;
    struct fat_node *hash_next; /* by slot */
    struct list link;    /* a directory: nodes_idle; a file: nodes_nameless while it has no name */
    struct list pending; /* nodes_pending */
    struct chain chain;
    struct directory *directory; /* its index; NULL: not read yet */
    bool removed;                /* it has no name any more */
    bool growing;                /* clusters beyond its size are wanted */
    struct slot last;            /* its entry when it lost its name */
};

static inline bool node_is_root(const struct fat_node *node)
{
    return node == node->volume->root;
}

/* FAT12's and FAT16's root is no chain of clusters. */
static inline bool node_is_fixed(const struct fat_node *node)
{
    return node_is_root(node) && node->volume->bits != 32;
}

/* The node whose entry is in the slot, with a reference; it is made if it is not there yet. E_NO_MEMORY. */
MUST_CHECK int64_t node_get(struct fat_node *parent, uint64_t slot, const struct slot *entry,
                            struct fat_node **node);
/* If it is there, without a reference; NULL. */
struct fat_node *node_find(struct fat_volume *volume, uint64_t slot);
/* A node for a record that the predecessor left, without a reference. */
MUST_CHECK int64_t node_adopt(struct fat_volume *volume, struct record *record);
MUST_CHECK int64_t node_root(struct fat_volume *volume);
/* Its entry is somewhere else, or (0) nowhere, when the call is committed. */
void node_move(struct fat_node *node, struct fat_node *parent, uint64_t slot);
void node_unname(struct fat_node *node);
/* RECORD_GREW, RECORD_TRIM. */
void node_flag(struct fat_node *node, uint32_t flags);
void node_unflag(struct fat_node *node, uint32_t flags);
/* Frees what nobody has and nothing keeps. */
void node_settle(struct fat_node *node);
/* Nobody has any but the root. Lets go of those that are only kept for their index. */
bool nodes_none(struct fat_volume *volume);
void nodes_close(struct fat_volume *volume);

/* A new record; NULL: there is no room for one. */
struct record *record_take(struct fat_volume *volume);
/* Which are free, and how many are doomed, by the records themselves. */
void records_sort(struct fat_volume *volume);
void record_drop(struct fat_volume *volume, struct record *record);
/* These clusters are to be freed once all is written that has been changed so far. False: no room. */
MUST_CHECK bool record_doom(struct fat_volume *volume, uint32_t start);
