/* What names.c and rename.c share. */
#pragma once

#include "lib/fat/directory.h"

struct looked_up {
    struct found found;
    uint64_t slot; /* of its entry: device offset / 32 */
};

/* 1, or 0: there is no such name. E_NOT_DIRECTORY. */
MUST_CHECK int64_t lookup(struct fat_node *directory, const struct name *name,
                          struct looked_up *at);
/* The name can be made: E_EXISTS; or E_IO, as it takes that all be written first. */
MUST_CHECK int64_t name_ready(struct fat_node *directory, const struct name *name);
/* An entry was overwritten or removed: its clusters go once nobody has them. node: the one of the entry, NULL if there is none. */
MUST_CHECK int64_t lose(struct fat_volume *volume, struct fat_node *node,
                        const struct found *found);
/* What ".." in a directory in this one has for a cluster. */
uint32_t dots_cluster(const struct fat_node *directory);
