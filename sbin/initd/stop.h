/* The end of the system: everything stops in the reverse order of its start, then the machine goes off or starts again.
 *
 *     stop_begin --> programs: SIGTERM, SIGHUP, later SIGKILL     the thread here; procd sends them
 *                --> services: PORT_STOP, whoever nobody needs any more first; later killed    unwind_begin
 *                --> power:// enters the sleeping state by the firmware's own code (off only)
 *                --> the kernel
 *
 * Each step has a deadline, behind which the next begins all the same: nothing can hold the end up. An initd that comes
 * back meanwhile finds in the roster that it was stopping, and does it again.
 */
#pragma once

#include "lib/base/base.h"
#include "lib/sys/syscall.h"

enum stop { STOP_NOT, STOP_OFF, STOP_RESET };

/* Before the supervisor starts anything. port: log://'s. */
void stop_prepare(handle_t port);

/* Behind supervise_start: goes on with what an initd before us had begun. */
void stop_resume(void);

/* The supervisor's thread; returns at once. Once begun it cannot be called off, and another beginning is ignored. */
void stop_begin(enum stop how, const char *why);

/* Whether programs are still to be started on terminals. Any thread. */
bool stop_begun(void);

/* The supervisor: no service lives that was to end. */
void stop_services_ended(void);
