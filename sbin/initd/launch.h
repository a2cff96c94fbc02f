/* Starts a program with exactly what its configuration names: a namespace, ports, devices, other handles. */
#pragma once

#include "lib/sys/spawn.h"
#include "sbin/initd/service_conf.h"

/* initd's handle of that name (startup.h), of which others get copies. */
handle_t launch_own(const char *name);

/* What a program gets besides; the caller keeps the handles. HANDLE_NONE: nothing. */
struct launch_extra {
    handle_t terminal; /* descriptors 0, 1 and 2; without it output goes to the log */
    handle_t port;     /* its own (service_conf.h) */
};

/* *process: suspended, not yet in procd. 0 or -E_*, with the cause on the log. Any thread. */
MUST_CHECK int64_t launch(const struct service_conf *conf, const struct spawn_program *program,
                          const struct launch_extra *extra, handle_t *process);
