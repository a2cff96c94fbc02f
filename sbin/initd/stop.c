/* The thread that stops the system. */
#include "sbin/initd/stop.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "abi/power.h"
#include "lib/sys/clock.h"
#include "lib/sys/error.h"
#include "lib/sys/wait.h"
#include "sbin/initd/initfs.h"
#include "sbin/initd/launch.h"
#include "sbin/initd/posix.h"
#include "sbin/initd/protocol.h"
#include "sbin/initd/roster.h"
#include "sbin/initd/supervise.h"

#define SECOND      INT64_C(1000000000)
#define LOOK_NS     (SECOND / 50) /* procd tells nobody that the last program has ended: it is asked */
#define POLITE_NS   (3 * SECOND) /* between SIGTERM and SIGKILL */
#define KILL_NS     SECOND
#define SERVICES_NS (180 * SECOND) /* for all of them; each has its own, shorter one */
#define POWER_NS    (5 * SECOND)   /* for the firmware's code */

static uint32_t begun;               /* enum stop */
static uint32_t services_ended;      /* a futex */
static uint32_t entry = ROSTER_NONE; /* what is begun, for the initd after us: its life's status */
static handle_t log_port = HANDLE_NONE;
static struct posix_spared spared; /* written before the thread starts */

static const char *name_of(enum stop how)
{
    return how == STOP_RESET ? "is reset" : "is turned off";
}

/* --- programs --- */

/* Whether none is left. A procd that does not answer is no reason to wait. */
static bool programs_gone(int64_t patience)
{
    int64_t deadline = clock_monotonic() + patience;
    for (;;) {
        int64_t left = posix_programs(&spared, 0);
        if (left <= 0)
            return left == 0;
        if (clock_monotonic() >= deadline)
            return false;
        sleep_until(clock_monotonic() + LOOK_NS);
    }
}

static void programs_end(void)
{
    /* Shells do not mind SIGTERM, but a hang-up; who is stopped hears of neither before it is continued. */
    static const int polite[] = {POSIX_SIGTERM, POSIX_SIGHUP, POSIX_SIGCONT};
    int64_t count = 0;
    for (size_t i = 0; i < ARRAY_SIZE(polite); i++)
        count = posix_programs(&spared, polite[i]);
    if (count < 0)
        fprintf(stderr, "proc: programs are not told: %s\n", error_text(count));
    if (programs_gone(POLITE_NS))
        return;
    count = posix_programs(&spared, POSIX_SIGKILL);
    if (count > 0)
        fprintf(stderr, "%d programs have not ended by themselves: killed\n", (int)count);
    programs_gone(KILL_NS);
}

/* --- services --- */

void stop_services_ended(void)
{
    __atomic_store_n(&services_ended, 1, __ATOMIC_RELEASE);
    sys_ignore(sys_futex_wake(&services_ended, 1, 0, UINT32_MAX));
}

static void services_end(void)
{
    int64_t deadline = clock_monotonic() + SERVICES_NS;
    sys_ignore(sys_port_notify(log_port, NOTIFY_STOP));
    while (!__atomic_load_n(&services_ended, __ATOMIC_ACQUIRE)) {
        if (clock_monotonic() >= deadline) {
            fprintf(stderr, "not all services have ended\n");
            return;
        }
        sys_ignore(sys_futex_wait(&services_ended, 0, 0, deadline, UINT32_MAX));
    }
}

/* --- the machine --- */

static void machine_end(enum stop how)
{
    handle_t resource = launch_own("resource");
    const struct protocol *power = protocol_find("power");
    fprintf(stderr, "the machine %s\n", name_of(how));
    if (how == STOP_OFF && power && protocol_served(power)) {
        sys_ignore(sys_port_notify(power->port, POWER_NOTIFY_OFF));
        sleep_until(clock_monotonic() + POWER_NS);
        fprintf(stderr, "power: it did not go off; the kernel tries\n");
    }
    sys_ignore(
        sys_system_control(resource, how == STOP_RESET ? SYSTEM_RESET : SYSTEM_POWER_OFF, 0));
    fprintf(stderr, "it cannot\n");
}

static void *stop_thread(void *argument)
{
    programs_end();
    fprintf(stderr, "programs have ended\n");
    services_end();
    sys_ignore(sys_system_control(launch_own("resource"), SYSTEM_CONSOLE, 0));
    fprintf(stderr, "services have ended\n");
    machine_end((enum stop)begun);
    return argument;
}

void stop_prepare(handle_t port)
{
    log_port = port;
    entry = roster_enter(ROSTER_STOP, "stop");
}

static void stop_go(enum stop how)
{
    pthread_t thread;
    __atomic_store_n(&begun, how, __ATOMIC_RELEASE);
    spared.count = 0;
    posix_spare(&spared, launch_own("self"));
    initfs_spare(&spared);
    supervise_spare(&spared);
    int error = pthread_create(&thread, NULL, stop_thread, NULL);
    if (!error) {
        pthread_detach(thread);
        return;
    }
    fprintf(stderr, "no thread to stop the system: at once, then\n");
    machine_end(how);
}

void stop_resume(void)
{
    uint32_t how = roster_life(entry).status;
    if (how != STOP_OFF && how != STOP_RESET)
        return;
    fprintf(stderr, "the system goes on stopping\n");
    stop_go((enum stop)how);
}

void stop_begin(enum stop how, const char *why)
{
    struct life life = {.status = how};
    if (stop_begun())
        return;
    fprintf(stderr, "the system stops (%s), then the machine %s\n", why, name_of(how));
    roster_set_life(entry, &life);
    stop_go(how);
}

bool stop_begun(void)
{
    return __atomic_load_n(&begun, __ATOMIC_ACQUIRE) != STOP_NOT;
}
