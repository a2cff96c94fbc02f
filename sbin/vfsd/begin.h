/* How the tree begins: the root, by the command line or fstab, and what is mounted on it.
 *
 *     root=UUID=5e2a-11f0 rootfstype=vfat rootflags=ro     of the command line: the root
 *     / of the archive's fstab                             without that, or if it cannot be mounted
 *     a tmp with the archive on it                         if that cannot be, either: to mend things from
 *
 * The rest, and how the root is mounted, is the matter of the root's own fstab, or of the archive's if it has none.
 */
#pragma once

#include "lib/sys/syscall.h"

/* The tree that an instance before us had; false: it had none, or did not come to the end. */
MUST_CHECK bool begin_recover(handle_t fs_port);
/* All that is not mounted yet. E_*: there is no root. */
MUST_CHECK int64_t begin_mount(void);
