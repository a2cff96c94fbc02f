/* The guard of initfsd. */
#include "sbin/initd/initfs.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/clock.h"
#include "lib/sys/error.h"
#include "lib/sys/spawn.h"
#include "lib/sys/wait.h"
#include "sbin/initd/launch.h"
#include "sbin/initd/posix.h"
#include "sbin/initd/roster.h"
#include "sbin/initd/service_conf.h"
#include "sbin/initd/status.h"

#define NAME "initfsd"

#define MILLISECOND INT64_C(1000000)

static struct service_conf conf;
static uint32_t entry;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of process and life */
static handle_t process = HANDLE_NONE;
static struct life life;

static void state_set(handle_t new_process, const struct life *new_life)
{
    pthread_mutex_lock(&lock);
    process = new_process;
    life = *new_life;
    pthread_mutex_unlock(&lock);
    roster_set_life(entry, new_life);
}

static void adopt(handle_t of)
{
    int64_t result = posix_adopt(of, PROC_LEADER);
    if (result < 0 && result != -E_NO_PROTOCOL && result != -E_EXISTS)
        fprintf(stderr, "%s: not entered in proc://: %s\n", conf.name, error_text(result));
}

static bool instance_start(struct life *next)
{
    const struct launch_extra extra = {.terminal = HANDLE_NONE, .port = HANDLE_NONE};
    struct spawn_program program = {.memory = launch_own("program:initfsd"), .uri = conf.program};
    handle_t started;
    int64_t size = sys_memory_op(program.memory, MEMORY_OP_SIZE, 0, 0, NULL);
    program.size = (uint64_t)MAX(size, INT64_C(0));
    next->started_at = clock_monotonic();
    next->starts++;
    next->let_run = 0;
    int64_t result = size < 0 ? size : launch(&conf, &program, &extra, &started);
    if (result < 0)
        return false; /* launch said why */
    roster_keep(entry, started);
    sys_ignore(sys_process_control(started, PROCESS_RESUME, 0));
    next->let_run = 1;
    state_set(started, next);
    adopt(started);
    return true;
}

/* Until it ends. */
static void instance_wait(struct life *next)
{
    struct abi_process_info info;
    char why[64];
    handle_wait(process, SIGNAL_EXITED, DEADLINE_NEVER);
    if (sys_process_info(process, &info) >= 0)
        next->status = info.status;
    handle_t ended = process;
    state_set(HANDLE_NONE, next);
    handle_drop(ended);
    status_describe(next->status, why, sizeof(why));
    fprintf(stderr, "%s: ended: %s\n", conf.name, why);
}

static void *guard(void *unused)
{
    struct life next = life;
    (void)unused;
    for (;;) {
        if (process != HANDLE_NONE)
            instance_wait(&next);
        sleep_until(clock_monotonic() + life_pause(&next, clock_monotonic()) * MILLISECOND);
        if (!instance_start(&next))
            roster_set_life(entry, &next);
    }
    return NULL;
}

static bool conf_make(void)
{
    const char *archive = getenv("PROTOS_ARCHIVE");
    struct conf_problem problem = {0};
    char text[128];
    snprintf(text, sizeof(text), "protocol initfs\ngive archive\nenvironment PROTOS_ARCHIVE=%s\n",
             archive ? archive : "0");
    int error = service_conf_parse(&conf, NAME, text, strlen(text), &problem);
    if (error)
        fprintf(stderr, "%s: %s\n", NAME, problem.text ? problem.text : error_text(error));
    return error == 0;
}

void initfs_guard(void)
{
    pthread_t thread;
    if (!conf_make())
        return;
    entry = roster_enter(ROSTER_SERVICE, NAME);
    life = roster_life(entry);
    process = roster_handle(entry);
    if (process == HANDLE_NONE) {
        process = launch_own("process:initfsd");
        life = (struct life){.starts = 1, .let_run = 1};
        roster_set_life(entry, &life);
    } else if (!life.let_run) {
        sys_ignore(sys_process_control(process, PROCESS_RESUME, 0));
    }
    int error = pthread_create(&thread, NULL, guard, NULL);
    if (error)
        fprintf(stderr, "%s: nobody guards it: %s\n", NAME, strerror(error));
    else
        pthread_detach(thread);
}

void initfs_adopt(void)
{
    pthread_mutex_lock(&lock);
    int64_t copy = process == HANDLE_NONE ? HANDLE_NONE : handle_copy(process, RIGHT_ALL);
    pthread_mutex_unlock(&lock);
    if (copy < 0)
        return;
    adopt((handle_t)copy);
    handle_drop((handle_t)copy);
}

void initfs_spare(struct posix_spared *spared)
{
    pthread_mutex_lock(&lock);
    posix_spare(spared, process);
    pthread_mutex_unlock(&lock);
}

void initfs_status(FILE *stream)
{
    pthread_mutex_lock(&lock);
    struct life shown = life;
    bool up = process != HANDLE_NONE;
    pthread_mutex_unlock(&lock);
    status_line(stream, NAME, up ? "ready" : "paused", &shown, up, clock_monotonic());
}
