/* State changes of units, each in its function; the picture is in supervise.h. */
#include "sbin/initd/supervise.h"

#include <inttypes.h>
#include <string.h>

#include "abi/startup.h"
#include "lib/sys/clock.h"
#include "lib/sys/error.h"
#include "sbin/initd/devices.h"
#include "sbin/initd/drivers.h"
#include "sbin/initd/initfs.h"
#include "sbin/initd/launch.h"
#include "sbin/initd/roster.h"
#include "sbin/initd/session.h"
#include "sbin/initd/status.h"
#include "sbin/initd/stop.h"
#include "sbin/initd/unwind.h"

#define LIST_NS (5000 * MILLISECOND) /* a driver waits for a list that is on its way */

static handle_t port; /* log://'s */

static void units_advance(void);

/* --- ends --- */

static void unit_pause(struct unit *unit, const char *why)
{
    if (unwinding()) {
        if (unit->life.status || unit->state != STOPPING)
            fprintf(stderr, "%s: %s\n", unit->conf.name, why);
        unit->state = ENDED;
    } else if (!unit->conf.restart) {
        fprintf(stderr, "%s: %s\n", unit->conf.name, why);
        unit->state = ENDED;
        unit->life.over = 1;
    } else {
        uint32_t pause = life_pause(&unit->life, clock_monotonic());
        fprintf(stderr, "%s: %s; starts again in %u ms\n", unit->conf.name, why, pause);
        unit->state = PAUSED;
        unit->due = clock_monotonic() + pause * MILLISECOND;
    }
    roster_set_life(unit->entry, &unit->life);
}

static void unit_exited(struct unit *unit)
{
    struct abi_process_info info;
    char words[64], why[80];
    if (!unit || unit->process == HANDLE_NONE || sys_process_info(unit->process, &info) < 0 ||
        !(info.state & PROCESS_EXITED))
        return;
    unit->life.status = info.status;
    status_describe(info.status, words, sizeof(words));
    snprintf(why, sizeof(why), "ended: %s", words);
    unit_process_over(unit);
    if (unit->gone && !unwinding())
        device_driver_ended(unit);
    else
        unit_pause(unit, why);
    units_advance();
    unwind_step();
}

/* --- starts --- */

static bool unit_served(const struct unit *unit)
{
    for (size_t i = 0; i < unit->conf.protocols.count; i++) {
        const struct protocol *protocol = protocol_find(unit->conf.protocols.items[i]);
        if (protocol && !protocol_served(protocol))
            return false;
    }
    return unit->port == HANDLE_NONE || port_served(unit->port);
}

static void proc_connected(void);

static void unit_check_ready(struct unit *unit)
{
    if ((unit->state != STARTING && unit->state != LATE) || !unit_served(unit))
        return;
    if (unit->taken_over)
        fprintf(stderr, "%s: taken over\n", unit->conf.name);
    else
        fprintf(stderr, "%s: ready after %" PRId64 " ms\n", unit->conf.name,
                (clock_monotonic() - unit->life.started_at) / MILLISECOND);
    unit->state = READY;
    if (unit_serves(unit, protocol_find("proc")))
        proc_connected();
    units_advance();
}

static void units_check_ready(void)
{
    struct unit *unit;
    for (size_t i = 0; (unit = unit_at(i)); i++)
        unit_check_ready(unit);
}

static void unit_adopt(const struct unit *unit)
{
    int64_t result = posix_adopt(unit->process, PROC_LEADER);
    if (result < 0 && result != -E_NO_PROTOCOL && result != -E_EXISTS)
        fprintf(stderr, "%s: not entered in proc://: %s\n", unit->conf.name, error_text(result));
}

/* The program stays open: a restart needs no file, so it does not matter who else is down. */
static int64_t unit_program(struct unit *unit)
{
    return unit->program.memory != HANDLE_NONE
               ? 0
               : spawn_program_open(HANDLE_SELF, unit->conf.program, &unit->program);
}

/* Its process, suspended or running, is ours to watch. */
static int64_t unit_watch(struct unit *unit)
{
    unit->state = STARTING;
    unit->due = clock_monotonic() + unit->conf.ready_ms * MILLISECOND;
    return sys_port_bind(port, unit->process, SIGNAL_EXITED, KEY_EXIT | unit->number, BIND_ONCE);
}

/* In the order that leaves nothing behind whenever we end: a process that is not kept yet does not run yet. */
static int64_t unit_let_run(struct unit *unit)
{
    roster_keep(unit->entry, unit->process);
    int64_t result = unit->device ? driver_grant(unit->device, unit->process) : 0;
    if (result >= 0)
        result = sys_process_control(unit->process, PROCESS_RESUME, 0);
    unit->life.let_run = result >= 0;
    roster_set_life(unit->entry, &unit->life);
    return result;
}

static void unit_start(struct unit *unit)
{
    const struct protocol *proc = protocol_find("proc");
    const struct launch_extra extra = {.terminal = HANDLE_NONE, .port = unit->port};
    unit->life.started_at = clock_monotonic();
    unit->life.starts++;
    unit->life.let_run = 0;
    unit->life.resets = unit->resets;
    unit->taken_over = unit->patient = false;
    roster_set_life(unit->entry, &unit->life);
    int64_t result = unit_program(unit);
    if (result >= 0)
        result = launch(&unit->conf, &unit->program, &extra, &unit->process);
    if (result >= 0)
        result = unit_watch(unit);
    if (result >= 0) {
        /* procd enters itself with the others once it serves. */
        if (proc && !unit_serves(unit, proc) && protocol_served(proc))
            unit_adopt(unit);
        result = unit_let_run(unit);
    }
    if (result >= 0) {
        unit_check_ready(unit);
        return;
    }
    if (unit->process != HANDLE_NONE) {
        sys_ignore(sys_process_kill(unit->process, EXIT_EXCEPTION));
        unit_process_over(unit);
    }
    char why[128];
    snprintf(why, sizeof(why), "cannot be started: %s", error_text(result));
    unit_pause(unit, why);
}

/* After its pause. A driver whose bus has another list would be ended by that if it says that the device was reset, with what it had in its
 * hands: it waits for the list. A bus that cannot make up its mind does not keep other devices' drivers from theirs. */
static void unit_start_again(struct unit *unit)
{
    if (unit->device && !unit->patient && !drivers_know(unit->device)) {
        unit->patient = true;
        unit->due = clock_monotonic() + LIST_NS;
    } else {
        unit_start(unit);
    }
}

static void units_list_known(void)
{
    struct unit *unit;
    for (size_t i = 0; (unit = unit_at(i)); i++)
        if (unit->state == PAUSED && unit->patient && drivers_know(unit->device))
            unit_start(unit);
}

/* Who has listed the driver's device serves, whether or not all else it serves is there: vfsd has no root before fsd.fat32 serves it. */
static bool lists_device(const struct unit *unit, const struct unit *driver)
{
    char bus[PROTOCOL_NAME_MAX + 1];
    const char *colon = driver->device ? strchr(driver->device, ':') : NULL;
    if (!colon)
        return false;
    snprintf(bus, sizeof(bus), "%.*s", (int)(colon - driver->device), driver->device);
    return unit_serves(unit, protocol_find(bus));
}

/* What the service waits for is there, or at least not to be waited for any longer. */
static bool dependencies_met(const struct unit *unit)
{
    for (size_t i = 0; i < unit->conf.after.count; i++) {
        const struct unit *other = unit_find(unit->conf.after.items[i]);
        if (other && other != unit && (other->state == WAITING || other->state == STARTING) &&
            !lists_device(other, unit))
            return false;
    }
    return true;
}

static void units_advance(void)
{
    static bool advancing;
    if (advancing || unwinding()) /* called by a start: the loop below goes round once more */
        return;
    advancing = true;
    struct unit *unit;
    for (size_t i = 0; (unit = unit_at(i)); i++) {
        if (unit->state == WAITING && dependencies_met(unit)) {
            unit_start(unit);
            i = SIZE_MAX; /* from the first again: it may have become ready already */
        }
    }
    advancing = false;
}

/* Nothing starts any more and nobody is starting: who still waits does so in a circle. */
static void circles_break(void)
{
    while (!unwinding()) {
        struct unit *waiting = NULL, *unit;
        for (size_t i = 0; (unit = unit_at(i)); i++) {
            if (unit->state == STARTING)
                return;
            if (unit->state == WAITING && !waiting)
                waiting = unit;
        }
        if (!waiting)
            return;
        fprintf(stderr, "%s: waits for itself in a circle; starts now\n", waiting->conf.name);
        unit_start(waiting);
        units_advance();
    }
}

/* --- what was there before --- */

/* What the initd before us had started and runs still, or ended meanwhile: the notification tells. */
static void unit_take_over(struct unit *unit)
{
    unit->life = roster_life(unit->entry);
    unit->process = roster_handle(unit->entry);
    if (unit->process == HANDLE_NONE) {
        if (unit->life.over)
            unit->state = ENDED;
        return;
    }
    unit->taken_over = true;
    int64_t result = unit_watch(unit);
    if (result >= 0 && !unit->life.let_run)
        result = unit_let_run(unit);
    if (result < 0)
        fprintf(stderr, "%s: cannot be watched: %s\n", unit->conf.name, error_text(result));
}

void supervise_begin(struct unit *unit)
{
    unit_take_over(unit);
    unit_check_ready(unit);
}

void supervise_spare(struct posix_spared *spared)
{
    const struct unit *unit;
    for (size_t i = 0; (unit = unit_at(i)); i++)
        posix_spare(spared, unit->process);
}

void supervise_start(handle_t notify_port)
{
    port = notify_port;
    struct unit *unit;
    for (size_t i = 0; (unit = unit_at(i)); i++)
        unit_take_over(unit);
    units_check_ready();
    units_advance();
    circles_break();
    drivers_watch(port);
}

/* procd serves again. It knows what it knew; what was started meanwhile is entered now. */
static void proc_connected(void)
{
    if (!posix_connect(launch_own("self")))
        return;
    const struct unit *unit;
    for (size_t i = 0; (unit = unit_at(i)); i++)
        if (unit->process != HANDLE_NONE)
            unit_adopt(unit);
    initfs_adopt();
    session_adopt_all();
}

/* --- events --- */

void supervise_notified(uint64_t key, uint64_t signals)
{
    uint64_t kind = key & KEY_KIND;
    if (kind == KEY_EXIT) {
        unit_exited(unit_numbered((uint32_t)key));
    } else if (kind == KEY_READY || kind == KEY_OWN) {
        units_check_ready();
    } else if (key == KEY_THREADS) {
        if (signals & NOTIFY_LISTS) {
            devices_read();
            units_list_known();
            units_advance();
        }
        if (signals & NOTIFY_RESET)
            stop_begin(STOP_RESET, "SIGTERM");
        if (signals & NOTIFY_OFF)
            stop_begin(STOP_OFF, "SIGUSR2");
        if (signals & NOTIFY_STOP)
            unwind_begin();
    }
    circles_break();
}

int64_t supervise_deadline(void)
{
    int64_t first = DEADLINE_NEVER;
    const struct unit *unit;
    for (size_t i = 0; (unit = unit_at(i)); i++)
        if (unit->state == STARTING || unit->state == PAUSED || unit->state == STOPPING)
            first = MIN(first, unit->due);
    return first;
}

void supervise_expired(void)
{
    int64_t time = clock_monotonic();
    struct unit *unit;
    for (size_t i = 0; (unit = unit_at(i)); i++) {
        if (unit->due > time)
            continue;
        if (unit->state == PAUSED) {
            unit_start_again(unit);
        } else if (unit->state == STOPPING) {
            unwind_overdue(unit);
        } else if (unit->state == STARTING) {
            fprintf(stderr, "%s: not ready after %u ms; others no longer wait for it\n",
                    unit->conf.name, unit->conf.ready_ms);
            unit->state = LATE;
            units_advance();
        }
    }
    circles_break();
}

void supervise_status(FILE *stream)
{
    static const char *const names[] = {
        [WAITING] = "waiting", [STARTING] = "starting", [LATE] = "late",  [READY] = "ready",
        [PAUSED] = "paused",   [STOPPING] = "stopping", [ENDED] = "ended"};
    status_head(stream);
    initfs_status(stream);
    const struct unit *unit;
    for (size_t i = 0; (unit = unit_at(i)); i++) {
        bool up = unit->process != HANDLE_NONE;
        status_line(stream, unit->conf.name, names[unit->state], &unit->life, up,
                    clock_monotonic());
    }
}

void supervise_quotas(FILE *stream)
{
    status_quotas_head(stream);
    const struct unit *unit;
    for (size_t i = 0; (unit = unit_at(i)); i++)
        status_quotas(stream, unit->conf.name, unit->process);
    session_quotas(stream);
}
