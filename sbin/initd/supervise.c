/* State changes of services, each in its function; the picture is in supervise.h. */
#include "sbin/initd/supervise.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "abi/startup.h"
#include "lib/sys/clock.h"
#include "lib/sys/conf.h"
#include "lib/sys/error.h"
#include "lib/sys/file.h"
#include "sbin/initd/drivers.h"
#include "sbin/initd/initfs.h"
#include "sbin/initd/launch.h"
#include "sbin/initd/posix.h"
#include "sbin/initd/protocol.h"
#include "sbin/initd/roster.h"
#include "sbin/initd/session.h"
#include "sbin/initd/status.h"
#include "sbin/initd/stop.h"

#define SERVICES_FILE   "initfs:///etc/services"
#define SERVICES_FOLDER "initfs:///etc/services.d/"
#define FILE_LIMIT      65536u
#define WORDS_MAX       64u

#define STATUS_KILLED 9u /* as if by SIGKILL */

#define MILLISECOND INT64_C(1000000)

#define KEY_THREADS UINT64_C(0)         /* port_notify: NOTIFY_* */
#define KEY_READY   (UINT64_C(1) << 32) /* | index of the protocol */
#define KEY_EXIT    (UINT64_C(2) << 32) /* | index of the service */
#define KEY_KIND    (UINT64_C(0xffffffff) << 32)

enum state { WAITING, STARTING, LATE, READY, PAUSED, STOPPING, ENDED };

struct unit {
    struct service_conf conf;
    struct spawn_program program; /* memory HANDLE_NONE: not opened yet */
    enum state state;
    handle_t process;
    bool taken_over; /* an initd before us started the process */
    int64_t due;     /* when STARTING is late, PAUSED is over, or STOPPING is */
    uint32_t entry;  /* in the roster */
    struct life life;
    char *device;    /* of a driver: URI; else NULL */
    uint64_t resets; /* what its bus said last */
    bool listed;     /* ... in the list that is gone through */
    bool absent;     /* ... nothing: it is not there any more */
};

static struct unit **units;
static size_t unit_count;
static handle_t port;
static bool stopping; /* the system: nothing is started any more */

static void units_advance(void);
static void units_stop(void);

static struct unit *unit_find(const char *name)
{
    for (size_t i = 0; i < unit_count; i++)
        if (strcmp(units[i]->conf.name, name) == 0)
            return units[i];
    return NULL;
}

/* --- ends --- */

static void unit_pause(struct unit *unit, const char *why)
{
    if (unit->absent) {
        fprintf(stderr, "%s: ended: its device is gone\n", unit->conf.name);
        unit->state = ENDED;
        unit->life.over = 1;
    } else if (stopping) {
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
    if (unit->process == HANDLE_NONE || sys_process_info(unit->process, &info) < 0 ||
        !(info.state & PROCESS_EXITED))
        return;
    unit->life.status = info.status;
    status_describe(info.status, words, sizeof(words));
    snprintf(why, sizeof(why), "ended: %s", words);
    handle_drop(unit->process);
    unit->process = HANDLE_NONE;
    roster_keep(unit->entry, HANDLE_NONE);
    unit_pause(unit, why);
    units_advance();
    units_stop();
}

/* --- starts --- */

static bool unit_served(const struct unit *unit)
{
    for (size_t i = 0; i < unit->conf.protocols.count; i++) {
        const struct protocol *protocol = protocol_find(unit->conf.protocols.items[i]);
        if (protocol && !protocol_served(protocol))
            return false;
    }
    return true;
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
    const struct protocol *proc = protocol_find("proc");
    if (proc && proc->service < unit_count && units[proc->service] == unit)
        proc_connected();
    units_advance();
}

static void units_check_ready(void)
{
    for (size_t i = 0; i < unit_count; i++)
        unit_check_ready(units[i]);
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
static int64_t unit_watch(struct unit *unit, size_t index)
{
    unit->state = STARTING;
    unit->due = clock_monotonic() + unit->conf.ready_ms * MILLISECOND;
    return sys_port_bind(port, unit->process, SIGNAL_EXITED, KEY_EXIT | index, BIND_ONCE);
}

/* In the order that leaves nothing behind whenever we end: a process that is not kept yet does not run yet. */
static int64_t unit_let_run(struct unit *unit)
{
    roster_keep(unit->entry, unit->process);
    int64_t result = sys_process_control(unit->process, PROCESS_RESUME, 0);
    unit->life.let_run = result >= 0;
    roster_set_life(unit->entry, &unit->life);
    return result;
}

static void unit_start(struct unit *unit, size_t index)
{
    const struct protocol *proc = protocol_find("proc");
    const struct launch_extra extra = {.terminal = HANDLE_NONE};
    unit->life.started_at = clock_monotonic();
    unit->life.starts++;
    unit->life.let_run = 0;
    unit->life.resets = unit->resets;
    unit->taken_over = false;
    roster_set_life(unit->entry, &unit->life);
    int64_t result = unit_program(unit);
    if (result >= 0)
        result = launch(&unit->conf, &unit->program, &extra, &unit->process);
    if (result >= 0)
        result = unit_watch(unit, index);
    if (result >= 0) {
        /* procd enters itself with the others once it serves. */
        if (proc && proc->service != index && protocol_served(proc))
            unit_adopt(unit);
        result = unit_let_run(unit);
    }
    if (result >= 0) {
        unit_check_ready(unit);
        return;
    }
    if (unit->process != HANDLE_NONE) {
        sys_ignore(sys_process_kill(unit->process, EXIT_EXCEPTION));
        handle_drop(unit->process);
        unit->process = HANDLE_NONE;
        roster_keep(unit->entry, HANDLE_NONE);
    }
    char why[128];
    snprintf(why, sizeof(why), "cannot be started: %s", error_text(result));
    unit_pause(unit, why);
}

/* What the service waits for is there, or at least not to be waited for any longer. */
static bool dependencies_met(const struct unit *unit)
{
    for (size_t i = 0; i < unit->conf.after.count; i++) {
        const struct unit *other = unit_find(unit->conf.after.items[i]);
        if (other && other != unit && (other->state == WAITING || other->state == STARTING))
            return false;
    }
    return true;
}

static void units_advance(void)
{
    static bool advancing;
    if (advancing || stopping) /* called by a start: the loop below goes round once more */
        return;
    advancing = true;
    for (size_t i = 0; i < unit_count; i++) {
        if (units[i]->state == WAITING && dependencies_met(units[i])) {
            unit_start(units[i], i);
            i = SIZE_MAX; /* from the first again: it may have become ready already */
        }
    }
    advancing = false;
}

/* Nothing starts any more and nobody is starting: who still waits does so in a circle. */
static void circles_break(void)
{
    while (!stopping) {
        struct unit *waiting = NULL;
        size_t index = 0;
        for (size_t i = 0; i < unit_count; i++) {
            if (units[i]->state == STARTING)
                return;
            if (units[i]->state == WAITING && !waiting) {
                waiting = units[i];
                index = i;
            }
        }
        if (!waiting)
            return;
        fprintf(stderr, "%s: waits for itself in a circle; starts now\n", waiting->conf.name);
        unit_start(waiting, index);
        units_advance();
    }
}

/* --- the end of the system --- */

#define KILL_NS (1000 * MILLISECOND) /* for a process to be gone that was killed */

/* Who lives, but for the one that turns the machine off at last. */
static bool unit_lives(const struct unit *unit)
{
    const struct protocol *power = protocol_find("power");
    return unit->process != HANDLE_NONE && !(power && units[power->service] == unit);
}

static bool unit_needed(const struct unit *unit)
{
    for (size_t i = 0; i < unit_count; i++) {
        const struct strings *after = &units[i]->conf.after;
        for (size_t j = 0; j < after->count && units[i] != unit && unit_lives(units[i]); j++)
            if (strcmp(after->items[j], unit->conf.name) == 0)
                return true;
    }
    return false;
}

/* By each of its ports: whichever it looks at first ends it. */
static void unit_tell(struct unit *unit)
{
    unit->state = STOPPING;
    unit->due = clock_monotonic() + unit->conf.stop_ms * MILLISECOND;
    for (size_t i = 0; i < unit->conf.protocols.count; i++) {
        const struct protocol *protocol = protocol_find(unit->conf.protocols.items[i]);
        if (protocol)
            sys_ignore(sys_port_notify(protocol->port, PORT_STOP));
    }
    if (unit->conf.protocols.count == 0)
        unit->due = clock_monotonic(); /* it cannot be told */
}

/* Its deadline has passed: the first time it is killed, the second time it is left. */
static void unit_end(struct unit *unit)
{
    if (unit->life.over) {
        fprintf(stderr, "%s: cannot be ended\n", unit->conf.name);
        handle_drop(unit->process);
        unit->process = HANDLE_NONE;
        unit->state = ENDED;
        units_stop();
        return;
    }
    if (unit->conf.protocols.count)
        fprintf(stderr, "%s: not ended after %u ms: killed\n", unit->conf.name, unit->conf.stop_ms);
    unit->life.over = 1;
    unit->due = clock_monotonic() + KILL_NS;
    sys_ignore(sys_process_kill(unit->process, POSIX_SIGKILL));
}

/* Tells those whom nobody needs any more; a circle of `after`: all of it. */
static void units_stop(void)
{
    size_t living = 0, ending = 0;
    for (size_t i = 0; stopping && i < unit_count; i++) {
        if (!unit_lives(units[i])) {
            if (units[i]->process == HANDLE_NONE)
                units[i]->state = ENDED;
            continue;
        }
        living++;
        if (units[i]->state != STOPPING && !unit_needed(units[i]))
            unit_tell(units[i]);
        ending += units[i]->state == STOPPING;
    }
    for (size_t i = 0; living && !ending && i < unit_count; i++)
        if (unit_lives(units[i]))
            unit_tell(units[i]);
    if (stopping && !living)
        stop_services_ended();
}

void supervise_stop(void)
{
    stopping = true;
    units_stop();
}

void supervise_spare(struct posix_spared *spared)
{
    for (size_t i = 0; i < unit_count; i++)
        posix_spare(spared, units[i]->process);
}

/* --- what was there before --- */

/* What the initd before us had started and runs still, or ended meanwhile: the notification tells. */
static void unit_take_over(struct unit *unit, size_t index)
{
    unit->life = roster_life(unit->entry);
    unit->process = roster_handle(unit->entry);
    if (unit->process == HANDLE_NONE) {
        if (unit->life.over)
            unit->state = ENDED;
        return;
    }
    unit->taken_over = true;
    int64_t result = unit_watch(unit, index);
    if (result >= 0 && !unit->life.let_run)
        result = unit_let_run(unit);
    if (result < 0)
        fprintf(stderr, "%s: cannot be watched: %s\n", unit->conf.name, error_text(result));
}

void supervise_start(void)
{
    for (size_t i = 0; i < unit_count; i++)
        unit_take_over(units[i], i);
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
    for (size_t i = 0; i < unit_count; i++)
        if (units[i]->process != HANDLE_NONE)
            unit_adopt(units[i]);
    initfs_adopt();
    session_adopt_all();
}

/* --- drivers --- */

static struct unit *unit_create(const char *service, const char *device);

/* There is another one in its place, or it is there again. */
static void driver_return(struct unit *unit)
{
    unit->absent = false;
    unit->life.over = 0;
    unit->life.pause_ms = 0;
    if (unit->process == HANDLE_NONE)
        unit->state = WAITING;
    roster_set_life(unit->entry, &unit->life);
}

/* The unit of a device that was not seen yet; an initd before us may have seen it go. */
static struct unit *driver_create(const char *service, const char *uri, uint64_t resets)
{
    struct unit *unit = unit_create(service, uri);
    if (!unit)
        return NULL;
    unit->resets = resets;
    unit_take_over(unit, unit_count - 1);
    if (unit->state == ENDED && unit->conf.restart)
        driver_return(unit);
    unit_check_ready(unit);
    return unit;
}

/* Nobody is left to drive; whoever comes in its place gets a driver of its own. */
static void driver_retire(struct unit *unit)
{
    unit->absent = true;
    if (unit->process != HANDLE_NONE)
        sys_ignore(sys_process_kill(unit->process, STATUS_KILLED));
    else
        unit_pause(unit, NULL);
}

/* The whole list of a bus was gone through. */
static void devices_listed(const char *bus)
{
    size_t length = strlen(bus);
    for (size_t i = 0; i < unit_count; i++) {
        struct unit *unit = units[i];
        if (!unit->device || strncmp(unit->device, bus, length) != 0 || unit->device[length] != ':')
            continue;
        if (!unit->listed && !unit->absent)
            driver_retire(unit);
        unit->listed = false;
    }
}

/* There is a device, and this is its driver. One whose device was reset is ended, to begin anew. */
static void device_found(const char *service, const char *uri, uint64_t resets)
{
    struct unit *unit = NULL;
    for (size_t i = 0; i < unit_count && !unit; i++)
        if (units[i]->device && strcmp(units[i]->device, uri) == 0)
            unit = units[i];
    if (!unit)
        unit = driver_create(service, uri, resets);
    if (!unit)
        return;
    unit->listed = true;
    unit->resets = resets;
    if (unit->absent)
        driver_return(unit);
    if (unit->process == HANDLE_NONE || unit->life.resets == resets)
        return;
    fprintf(stderr, "%s: its device was reset\n", unit->conf.name);
    sys_ignore(sys_process_kill(unit->process, STATUS_KILLED));
}

/* --- events --- */

void supervise_notified(uint64_t key, uint64_t signals)
{
    size_t index = (uint32_t)key;
    if ((key & KEY_KIND) == KEY_EXIT && index < unit_count) {
        unit_exited(units[index]);
    } else if ((key & KEY_KIND) == KEY_READY) {
        units_check_ready();
    } else if (key == KEY_THREADS) {
        if (signals & NOTIFY_LISTS) {
            drivers_found(device_found, devices_listed);
            units_advance();
        }
        if (signals & NOTIFY_RESET)
            stop_begin(STOP_RESET, "SIGTERM");
        if (signals & NOTIFY_OFF)
            stop_begin(STOP_OFF, "SIGUSR2");
        if (signals & NOTIFY_STOP)
            supervise_stop();
    }
    circles_break();
}

int64_t supervise_deadline(void)
{
    int64_t first = DEADLINE_NEVER;
    for (size_t i = 0; i < unit_count; i++)
        if (units[i]->state == STARTING || units[i]->state == PAUSED || units[i]->state == STOPPING)
            first = MIN(first, units[i]->due);
    return first;
}

void supervise_expired(void)
{
    int64_t time = clock_monotonic();
    for (size_t i = 0; i < unit_count; i++) {
        struct unit *unit = units[i];
        if (unit->due > time)
            continue;
        if (unit->state == PAUSED) {
            unit_start(unit, i);
        } else if (unit->state == STOPPING) {
            unit_end(unit);
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
    for (size_t i = 0; i < unit_count; i++) {
        const struct unit *unit = units[i];
        bool up = unit->process != HANDLE_NONE;
        status_line(stream, unit->conf.name, names[unit->state], &unit->life, up,
                    clock_monotonic());
    }
}

void supervise_quotas(FILE *stream)
{
    status_quotas_head(stream);
    for (size_t i = 0; i < unit_count; i++)
        status_quotas(stream, units[i]->conf.name, units[i]->process);
    session_quotas(stream);
}

/* --- configuration --- */

static bool unit_load(const char *name, struct service_conf *conf)
{
    char *uri, *text;
    size_t length;
    struct conf_problem problem = {0};
    if (asprintf(&uri, SERVICES_FOLDER "%s.conf", name) < 0)
        return false;
    int64_t result = file_load(HANDLE_SELF, uri, FILE_LIMIT, &text, &length);
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", uri, error_text(result));
        free(uri);
        return false;
    }
    int error = service_conf_parse(conf, name, text, length, &problem);
    if (error) {
        fprintf(stderr, "%s:%u: %s\n", uri, problem.line,
                problem.text ? problem.text : error_text(error));
        service_conf_destroy(conf);
    }
    free(text);
    free(uri);
    return error == 0;
}

static void protocols_create(const struct service_conf *conf, size_t service)
{
    for (size_t i = 0; i < conf->protocols.count; i++) {
        const char *name = conf->protocols.items[i];
        int64_t result = protocol_create(name, service);
        if (result < 0)
            fprintf(stderr, "%s: cannot create %s://: %s\n", conf->name, name, error_text(result));
    }
}

/* Of a service, or of a driver for one device (its URI). NULL: the log says why. */
static struct unit *unit_create(const char *service, const char *device)
{
    struct unit *unit = calloc(1, sizeof(*unit));
    struct unit **table = realloc(units, (unit_count + 1) * sizeof(*table));
    if (table)
        units = table;
    if (!unit || !table || !unit_load(service, &unit->conf)) {
        free(unit);
        return NULL;
    }
    if (device &&
        (!service_conf_for_device(&unit->conf, device) || !(unit->device = strdup(device)))) {
        fprintf(stderr, "%s: no memory for its driver\n", device);
        service_conf_destroy(&unit->conf);
        free(unit);
        return NULL;
    }
    unit->process = unit->program.memory = HANDLE_NONE;
    unit->entry = roster_enter(ROSTER_SERVICE, unit->conf.name);
    units[unit_count++] = unit;
    return unit;
}

static void unit_add(const char *name)
{
    if (unit_find(name)) {
        fprintf(stderr, "%s: listed twice\n", name);
        return;
    }
    struct unit *unit = unit_create(name, NULL);
    if (unit)
        protocols_create(&unit->conf, unit_count - 1);
}

/* What a driver serves, all its processes serve. */
static void driver_add(const char *service)
{
    struct service_conf conf;
    if (!unit_load(service, &conf))
        return;
    protocols_create(&conf, PROTOCOL_OF_DRIVERS);
    service_conf_destroy(&conf);
}

static void dependencies_check(void)
{
    for (size_t i = 0; i < unit_count; i++) {
        const struct strings *after = &units[i]->conf.after;
        for (size_t j = 0; j < after->count; j++)
            if (!unit_find(after->items[j]))
                fprintf(stderr, "%s: waits for %s, which is not started\n", units[i]->conf.name,
                        after->items[j]);
    }
}

void supervise_load(handle_t notify_port)
{
    char *text, *words[WORDS_MAX];
    size_t length;
    int count;
    port = notify_port;
    int64_t result = file_load(HANDLE_SELF, SERVICES_FILE, FILE_LIMIT, &text, &length);
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", SERVICES_FILE, error_text(result));
        return;
    }
    struct conf_reader reader = {.text = text, .length = length};
    while ((count = conf_next(&reader, words, WORDS_MAX)) != 0) {
        if (count < 0 || strcmp(words[0], "service") != 0)
            fprintf(stderr, "%s:%u: %s\n", SERVICES_FILE, reader.line,
                    count < 0 ? reader.problem : "service NAME... is wanted");
        for (int i = 1; i < count && strcmp(words[0], "service") == 0; i++)
            unit_add(words[i]);
    }
    free(text);
    drivers_load(driver_add);
    dependencies_check();
    const struct protocol *protocol;
    for (size_t i = 0; (protocol = protocol_at(i)); i++) {
        if (protocol->service == PROTOCOL_NO_SERVICE)
            continue;
        result = sys_port_bind(port, protocol->port, SIGNAL_WRITABLE, KEY_READY | i, 0);
        if (result < 0)
            fprintf(stderr, "cannot watch %s://: %s\n", protocol->name, error_text(result));
    }
}
