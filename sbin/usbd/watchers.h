/* Open files of `devices`: readable when a line has changed, until they are read. Under the lock. */
#pragma once

#include "lib/sys/syscall.h"

void watchers_start(handle_t port);
/* *cookie is its cookie from then on. -E_NO_MEMORY. */
MUST_CHECK int64_t watcher_add(uint64_t file, uint64_t *cookie);
void watcher_remove(uint64_t cookie);
