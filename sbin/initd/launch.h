/* Starts a program with exactly what its configuration names: a namespace, ports, devices, other handles. */
#pragma once

#include "sbin/initd/service_conf.h"
#include "lib/sys/syscall.h"

/* initd's handle of that name (startup.h), of which others get copies. */
handle_t launch_own(const char *name);

/* *process: suspended, not yet in procd. terminal: becomes descriptors 0, 1 and 2 (HANDLE_NONE: output goes to the
 * log); the caller keeps it. 0 or -E_*, with the cause on the log. Any thread. */
MUST_CHECK int64_t launch(const struct service_conf *conf, handle_t terminal, handle_t *process);
