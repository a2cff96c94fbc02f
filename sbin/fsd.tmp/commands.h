/* The commands of tmp://, one handler each, by what they are about. main.c makes a transaction of each that may change
 * something.
 *
 *     names.c        open, make, remove, move
 *     bytes.c        read, write, truncate, map
 *     attributes.c   stat, list, change, statfs
 */
#pragma once

#include "lib/fsd/path.h"
#include "sbin/fsd.tmp/opens.h"
#include "sbin/fsd.tmp/walk.h"

command_handler names_open, names_unlink, names_make, names_rename, names_symlink, names_link;
command_handler bytes_read, bytes_read_again, bytes_write, bytes_truncate, bytes_map;
command_handler attributes_stat, attributes_list, attributes_chmod, attributes_chown,
    attributes_utime, attributes_readlink, attributes_statfs;

/* A command by its handler, all of it or nothing. */
command_handler transaction;

/* What a command's path names (walk). E_LINK is answered. */
MUST_CHECK int64_t command_walk(struct command *command, unsigned flags, struct place *place);
/* What the command is about: the open file (*open), or what its path names (*open NULL); it is there. */
MUST_CHECK int64_t command_inode(struct command *command, unsigned flags, struct inode **inode,
                                 struct open **open);

/* The name was taken from the inode: it goes unless it is open. */
void inode_unnamed(struct inode *inode);
