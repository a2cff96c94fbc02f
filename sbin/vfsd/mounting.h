/* The tree changes: mounts:// and the way through /etc/fstab.
 *
 *     type bind   source is a URI, or a path of fs://: a directory
 *     type tmp    a new volume of fsd.tmp: size=, mode=; tmpfs and ramfs are other names for it
 */
#pragma once

#include "lib/sys/syscall.h"
#include "sbin/vfsd/fstab.h"

/* What is said of all failures is logged by those who call. tree_lock not held. */
MUST_CHECK int64_t mounting_mount(const struct fstab_line *line, uint32_t flags);
MUST_CHECK int64_t mounting_umount(const char *point, size_t length, uint32_t flags);

/* All of fstab, if an instance before us has not been through it. E_*: there is no root. */
MUST_CHECK int64_t mounting_begin(handle_t port);
