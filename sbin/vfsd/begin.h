/* How the tree begins: the root, by the command line or fstab, and what is mounted on it.
 *
 *     root=UUID=5e2a-11f0 rootfstype=vfat rootflags=ro     on the command line: the root, and its own /etc/fstab says the
 *                                                          rest; without one the archive's, but for the root
 *     nothing of that, or it cannot be mounted             all of the archive's
 */
#pragma once

#include "lib/sys/syscall.h"

/* The tree that an instance before us had; false: it had none, or did not come to the end. */
MUST_CHECK bool begin_recover(handle_t fs_port);
/* All that is not mounted yet. E_*: there is no root. */
MUST_CHECK int64_t begin_mount(void);
