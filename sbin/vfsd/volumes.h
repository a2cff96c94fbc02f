/* The volumes that file systems in processes of their own serve: volumes:// (abi/volume.h), and what is asked of them.
 *
 *     volumes_recover(fs_port)                     what an instance before us had
 *     volumes_serve(port)                          a thread's life: volumes://
 *     volume_begin(type, device, ..., target)      a new one; when it is served target leads to it
 *     volume_remount(target, ...), volume_end(target, ...)
 *
 * initd starts a file system for each volume that is listed, and ends it when it is not any more. vfsd comes back without
 * them noticing: which volumes there are is kept with fs://'s port, and they connect again. The thread of volumes:// waits for
 * nobody; who asks waits for its answers. Calls but volumes_serve: one thread.
 */
#pragma once

#include "abi/fs.h"
#include "lib/sys/syscall.h"

/* Those that the tree does not name go, unless they are still used. */
void volumes_recover(handle_t fs_port);
/* Waits until those that the tree names can be named again, and until what was being mounted has let go of its device, for whoever asks for
 * that again; but not for ever. */
void volumes_await(void);
void *volumes_serve(void *port);

/* device: a file on it, the callee's. flags: VOLUME_*. target: FS_TARGET_MAX + 1 bytes. What the file system says of the device
 * (E_BAD_FORMAT, E_IO, ...); E_TIMED_OUT: nobody came to serve it; E_NO_MEMORY. */
MUST_CHECK int64_t volume_begin(const char *type, handle_t device, uint32_t flags,
                                const char *options, char *target);
/* Whether a target lies on a volume of ours: how long the part of it is that names the volume; else 0. */
size_t volume_of(const char *target);
MUST_CHECK int64_t volume_remount(const char *target, uint32_t flags);
/* The device is free afterwards. flags: UMOUNT_*. E_BUSY: something on it is open; what the device says of what was written last.
 * UMOUNT_LAZY: it stays until nothing is open. */
MUST_CHECK int64_t volume_end(const char *target, uint32_t flags);
