/* The commands on a FAT volume, one handler each.
 *
 *     names.c        open, make, remove, move
 *     bytes.c        read, write, truncate, map
 *     attributes.c   stat, list, change, statfs
 */
#pragma once

#include "sbin/fsd.fat32/opens.h"
#include "sbin/fsd.fat32/volume.h"
#include "sbin/fsd.fat32/walk.h"

command_handler names_open, names_unlink, names_make, names_rename, names_no_link;
command_handler bytes_read, bytes_write, bytes_truncate, bytes_map, bytes_sync;
command_handler attributes_stat, attributes_list, attributes_chmod, attributes_chown,
    attributes_utime, attributes_readlink, attributes_statfs;

/* What the command is about: the open file (*open), or what its path names (*open NULL), which is there. The node is a
 * reference of the caller's. */
MUST_CHECK int64_t command_node(struct command *command, struct fat_node **node,
                                struct open **open);

static inline enum file_type node_type(const struct fat_node *node)
{
    return fat_is_directory(node) ? FILE_DIRECTORY : FILE_REGULAR;
}

/* The file has this many bytes, its pages too. */
MUST_CHECK int64_t bytes_resize(struct fat_node *node, uint64_t size);
