/* initd: starts and keeps the services, serves log://, runs the shells on the terminals; pid 1.
 *
 *     bootstrap gives "resource", "image", "port:log", "self" ...
 *     roster: what an initd before this one had (roster.h); a thread that guards initfsd (initfs.h)
 *     /etc/services, /etc/services.d -> protocols -> services, by dependency (unit.h, supervise.h)
 *     /etc/ttys -> a thread for each terminal (session.h)
 *     a signal -> programs end, services stop, the machine goes off or starts again (stop.h)
 *
 * When it ends itself the kernel starts it again (SYSTEM_KEEP): services and shells notice nothing.
 *
 * One thread accepts on log://'s port: commands, the ends of services, and their readiness. Signals to pid 1 (kill,
 * busybox's reboot, halt and poweroff, powerd's button) stop the system.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/error.h"
#include "lib/sys/service.h"
#include "lib/sys/startup.h"
#include "sbin/initd/initfs.h"
#include "sbin/initd/launch.h"
#include "sbin/initd/log.h"
#include "sbin/initd/posix.h"
#include "sbin/initd/protocol.h"
#include "sbin/initd/roster.h"
#include "sbin/initd/session.h"
#include "sbin/initd/stop.h"
#include "sbin/initd/supervise.h"

static void notified(void *context, uint64_t key, uint64_t signals)
{
    (void)context;
    if (key == LOG_KEY)
        log_grown();
    else
        supervise_notified(key, signals);
}

static void signalled(uint64_t signals)
{
    uint64_t bits = signals & POSIX_BIT(POSIX_SIGTERM) ? NOTIFY_RESET : NOTIFY_OFF;
    sys_ignore(sys_port_notify(startup_handle("port:log"), bits));
}

static int64_t deadline(void *context)
{
    (void)context;
    return supervise_deadline();
}

static void expired(void *context)
{
    (void)context;
    supervise_expired();
}

static void check(int64_t result, const char *what)
{
    if (result >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, error_text(result));
    exit(1);
}

/* Without a vfsd fs:// is the archive, as it was until now. */
static void fs_without_service(handle_t initfs)
{
    if (protocol_find("fs"))
        return;
    check(sys_namespace_bind(HANDLE_SELF, "fs", 2, initfs), "fs://");
    check(protocol_enter("fs", initfs, PROTOCOL_NO_SERVICE), "fs://");
}

int main(void)
{
    handle_t initfs = startup_require("port:initfs"), port = startup_require("port:log");
    startup_require("resource");
    startup_require("image");
    roster_open(port);
    check(protocol_enter("initfs", initfs, PROTOCOL_NO_SERVICE), "initfs://");
    check(protocol_enter("log", port, PROTOCOL_NO_SERVICE), "log://");
    initfs_guard();
    sys_ignore(sys_namespace_bind(HANDLE_SELF, "fs", 2, HANDLE_NONE)); /* the first process's */

    struct service service = {
        .port = port,
        .operations = log_operations,
        .notified = notified,
        .cancelled = log_cancelled,
        .closed = log_closed,
        .deadline = deadline,
        .expired = expired,
    };
    log_start(port);
    posix_receive(signalled);
    stop_prepare(port);
    supervise_load(port);
    fs_without_service(initfs);
    supervise_start(port);
    stop_resume();
    session_start(getenv("run"));
    check(service_run(&service, 1), "cannot serve log://");
    return 1;
}
