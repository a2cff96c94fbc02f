/* The tree changes: what mounts:// does, and fstab.
 *
 *     type bind   source is a URI, or a path of fs://: a directory
 *     type tmp    a new volume of fsd.tmp: size=, mode=; tmpfs and ramfs are other names for it
 *     type vfat   ... or whichever /etc/drivers has a file system for: source.h
 *
 * One thread. tree_lock not held.
 */
#pragma once

#include "lib/sys/syscall.h"
#include "sbin/vfsd/fstab.h"
#include "sbin/vfsd/tree.h"

void mounting_prepare(handle_t fs_port);
/* flags: MOUNT_*, which "ro" and "remount" among the options mean, too. by: who asks, and may once more when we have ended with it; NULL: we
 * ourselves. */
MUST_CHECK int64_t mounting_mount(const struct fstab_line *line, uint32_t flags,
                                  const struct tree_change *by);
MUST_CHECK int64_t mounting_umount(const char *point, size_t length, uint32_t flags,
                                   const struct tree_change *by);
/* Whether what the root's target names is there. */
MUST_CHECK bool mounting_root_known(void);
