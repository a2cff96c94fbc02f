/* Open files of `devices`: readable when a line has changed, until they are read. Under the lock.
 *
 * While the list is in doubt reads of theirs wait: a usbd that came back has not looked at all ports yet, or a device begins anew. So nobody
 * takes a device for gone that is about to be there again.
 */
#pragma once

#include "lib/sys/service.h"

void watchers_start(handle_t port);
/* *cookie is its cookie from then on. -E_NO_MEMORY. */
MUST_CHECK int64_t watcher_add(uint64_t file, uint64_t *cookie);
void watcher_remove(uint64_t cookie);

/* Each doubt is settled once. */
void watchers_doubt(void);
void watchers_settle(void);
bool watchers_in_doubt(void);
/* The read waits: COMMAND_HELD, or -E_NO_MEMORY. */
MUST_CHECK int64_t watcher_hold(const struct command *command);
/* A command that is wanted back; false: it does not wait here. */
bool watcher_cancel(uint64_t token);
