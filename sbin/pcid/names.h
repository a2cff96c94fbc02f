/* What is below pci://, and what stands for it in open files and lists.
 *
 *     pci:///                      a folder for each function, and `devices`: a line for each
 *     pci:///00:1f.2               a folder, that can be read as `info`, too
 *     pci:///00:1f.2/info          what it is, for people
 *     pci:///00:1f.2/config        its configuration space
 *     pci:///00:1f.2/device        to be claimed by its driver
 *
 * The same lies below pci-claim://, for who may claim whatever is free.
 *
 * A cookie is the kind of thing << 32 | function index + 1; of an open `devices`, the number of its watcher + 1.
 */
#pragma once

#include "sbin/pcid/function.h"

enum node { NODE_ROOT = 1, NODE_DEVICES, NODE_FUNCTION, NODE_INFO, NODE_CONFIG, NODE_DEVICE };

#define NAME_SIZE 20u

static inline uint64_t cookie_of(enum node node, uint32_t index)
{
    return (uint64_t)node << 32 | (index + 1);
}

static inline enum node node_of(uint64_t cookie)
{
    return (enum node)(cookie >> 32);
}

static inline uint32_t index_of(uint64_t cookie)
{
    return (uint32_t)cookie - 1;
}

static inline bool is_folder(enum node node)
{
    return node == NODE_ROOT || node == NODE_FUNCTION;
}

void function_name(const struct pci_function *function, char name[NAME_SIZE]);

/* What a path (behind "pci://", not terminated) names. 0 or -E_*. */
MUST_CHECK int64_t find_path(const char *path, size_t left, uint64_t *cookie);

/* The name and the cookie of a folder's entry at a position; false: the end. */
bool entry_at(uint64_t folder, uint64_t position, char name[NAME_SIZE], uint64_t *cookie);
