/* What a volume lies on, as people name it.
 *
 *     UUID=5e2a-11f0  LABEL=root  PARTUUID=...  PARTLABEL=...  ID=...      names of disk://
 *     disk:///vd0/p1                                               a URI
 *     /home/me/disk.img, /dev/disk/vd0                             a path: a file that serves as a disk, or a link to one
 */
#pragma once

#include "lib/sys/syscall.h"

/* A file on it; flags: OPEN_*. E_NOT_FOUND, E_TOO_LONG, and what its service says. */
MUST_CHECK int64_t source_open(const char *source, uint32_t flags, handle_t *file);
/* The same, but a disk that nobody has found yet may come: E_NOT_FOUND after a while. */
MUST_CHECK int64_t source_await(const char *source, uint32_t flags, handle_t *file);
