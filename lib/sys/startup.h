/* What this process was given at its start (abi/startup.h): handles by name. Only for spawned processes. */
#pragma once

#include <stddef.h>

#include "abi/startup.h"

/* The handle called `name`, or HANDLE_NONE. The handle stays the process's; nothing is duplicated. */
handle_t startup_handle(const char *name);

/* The first handle at or behind *index whose name starts with `prefix`; *index moves behind it and *rest is
 * the name's rest ("ioport:" finds "ioport:0x3f8", rest "0x3f8"). HANDLE_NONE at the end. Start at 0. */
handle_t startup_handle_next(const char *prefix, uint32_t *index, const char **rest);

/* As startup_handle, but a process that cannot go on without it says so on stderr and exits with status 2. */
handle_t startup_require(const char *name);
