/* Terminals' threads. */
#include "sbin/initd/session.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/tty.h"
#include "lib/base/list.h"
#include "lib/sys/clock.h"
#include "lib/sys/error.h"
#include "lib/sys/file.h"
#include "lib/sys/wait.h"
#include "sbin/initd/launch.h"
#include "sbin/initd/posix.h"
#include "sbin/initd/protocol.h"
#include "sbin/initd/roster.h"
#include "sbin/initd/status.h"
#include "sbin/initd/stop.h"
#include "sbin/initd/ttys.h"

#define TTYS_FILE  "initfs:///etc/ttys"
#define FILE_LIMIT 65536u

#define SECOND         INT64_C(1000000000)
#define WAIT_NS        (10 * SECOND) /* for the protocols a program uses */
#define DRAIN_NS       (5 * SECOND)
#define PAUSE_FIRST_MS 10u
#define PAUSE_LAST_MS  5000u
#define LIFE_NS        (2 * SECOND)

struct session {
    struct list link;
    struct service_conf conf;
    char *terminal; /* URI */
    bool once;      /* then the machine is turned off */
    uint32_t entry; /* in the roster */
    handle_t process;
};

static struct list sessions = LIST_INIT(sessions);
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of sessions and their process */

static void protocols_wait(const struct session *session)
{
    int64_t deadline = clock_monotonic() + WAIT_NS;
    for (size_t i = 0; i < session->conf.uses.count; i++) {
        const struct protocol *protocol = protocol_find(session->conf.uses.items[i]);
        if (protocol && !protocol_wait(protocol, deadline))
            fprintf(stderr, "%s: starts without %s://\n", session->terminal, protocol->name);
    }
}

static void terminal_take(handle_t terminal, int64_t pid)
{
    struct abi_command command = {.op = OP_CONTROL, .args = {TTY_CONTROLLING, 1, (uint64_t)pid}};
    int64_t result = file_command(terminal, &command);
    if (result < 0)
        fprintf(stderr, "no controlling terminal for pid %d: %s\n", (int)pid, error_text(result));
}

static void process_set(struct session *session, handle_t process)
{
    pthread_mutex_lock(&lock);
    session->process = process;
    pthread_mutex_unlock(&lock);
}

static void session_wait(struct session *session, handle_t process)
{
    struct abi_process_info info;
    char why[64];
    handle_wait(process, SIGNAL_EXITED, DEADLINE_NEVER);
    process_set(session, HANDLE_NONE);
    if (sys_process_info(process, &info) >= 0) {
        status_describe(info.status, why, sizeof(why));
        if (info.status || session->once)
            fprintf(stderr, "%s on %s: %s\n", session->conf.program, session->terminal, why);
    }
}

static int64_t program_launch(const struct session *session, handle_t terminal, handle_t *process)
{
    const struct launch_extra extra = {.terminal = terminal, .port = HANDLE_NONE};
    struct spawn_program program;
    int64_t result = spawn_program_open(HANDLE_SELF, session->conf.program, &program);
    if (result < 0)
        return result;
    result = launch(&session->conf, &program, &extra, process);
    spawn_program_close(&program);
    return result;
}

/* Once it is kept an initd that comes back finds it; whether it was let run it finds there too. */
static int64_t process_let_run(const struct session *session, handle_t process)
{
    struct life life = {.starts = 1, .started_at = clock_monotonic()};
    roster_set_life(session->entry, &life);
    roster_keep(session->entry, process);
    int64_t result = sys_process_control(process, PROCESS_RESUME, 0);
    life.let_run = result >= 0;
    roster_set_life(session->entry, &life);
    return result;
}

static int64_t session_run(struct session *session, handle_t terminal)
{
    handle_t process;
    int64_t result = program_launch(session, terminal, &process);
    if (result < 0)
        return result;
    int64_t pid = posix_adopt(process, PROC_LEADER);
    if (pid > 0)
        terminal_take(terminal, pid);
    else
        fprintf(stderr, "%s: no job control: %s\n", session->terminal, error_text(pid));
    process_set(session, process);
    result = process_let_run(session, process);
    if (result >= 0)
        session_wait(session, process);
    else
        sys_ignore(sys_process_kill(process, EXIT_EXCEPTION));
    process_set(session, HANDLE_NONE);
    handle_drop(process);
    return result;
}

/* The program that an initd before us started: as if we had. False: there is none. */
static bool session_take_over(struct session *session)
{
    handle_t process = roster_handle(session->entry);
    if (process == HANDLE_NONE)
        return false;
    process_set(session, process);
    if (!roster_life(session->entry).let_run)
        sys_ignore(process_let_run(session, process));
    session_wait(session, process);
    process_set(session, HANDLE_NONE);
    handle_drop(process);
    return true;
}

/* What the program wrote is on the line before the power goes. */
static void machine_stop(const struct session *session)
{
    struct abi_command command = {
        .op = OP_CONTROL, .args = {TTY_SEND_BREAK, 1}, .deadline = clock_monotonic() + DRAIN_NS};
    handle_t terminal;
    if (file_open(HANDLE_SELF, session->terminal, OPEN_WRITE, &terminal) >= 0)
        sys_ignore(file_command(terminal, &command));
    sleep_until(clock_monotonic() + SECOND / 20); /* the transmitter's own 16 bytes */
    sys_ignore(sys_system_control(launch_own("resource"), SYSTEM_POWER_OFF, 0));
    fprintf(stderr, "the machine cannot be turned off\n");
}

/* From the opening of the terminal to the program's end; false: this machine has no such terminal. */
static bool session_begin(struct session *session)
{
    handle_t terminal;
    protocols_wait(session);
    int64_t result = file_open(HANDLE_SELF, session->terminal, OPEN_READ | OPEN_WRITE, &terminal);
    if (result == -E_NOT_FOUND)
        return false;
    if (result >= 0) {
        result = session_run(session, terminal);
        handle_drop(terminal);
    }
    if (result < 0)
        fprintf(stderr, "%s: %s\n", session->terminal, error_text(result));
    return true;
}

static void *session_thread(void *argument)
{
    struct session *session = argument;
    uint32_t pause_ms = PAUSE_FIRST_MS;
    for (;;) {
        int64_t began = clock_monotonic();
        if (!session_take_over(session) && !session_begin(session))
            return NULL;
        if (session->once) {
            machine_stop(session);
            return NULL;
        }
        roster_keep(session->entry, HANDLE_NONE);
        if (stop_begun())
            return NULL;
        pause_ms = clock_monotonic() - began >= LIFE_NS ? PAUSE_FIRST_MS
                                                        : MIN(pause_ms * 2, PAUSE_LAST_MS);
        sleep_until(clock_monotonic() + pause_ms * (SECOND / 1000));
    }
}

void session_adopt_all(void)
{
    pthread_mutex_lock(&lock);
    list_for_each (struct session, session, &sessions, link)
        if (session->process != HANDLE_NONE)
            sys_ignore(posix_adopt(session->process, PROC_LEADER));
    pthread_mutex_unlock(&lock);
}

void session_quotas(FILE *stream)
{
    pthread_mutex_lock(&lock);
    list_for_each (struct session, session, &sessions, link)
        status_quotas(stream, session->terminal, session->process);
    pthread_mutex_unlock(&lock);
}

static void session_launch(struct session *session)
{
    pthread_t thread;
    session->process = HANDLE_NONE;
    session->entry = roster_enter(ROSTER_SESSION, session->terminal);
    pthread_mutex_lock(&lock);
    list_append(&sessions, &session->link);
    pthread_mutex_unlock(&lock);
    int error = pthread_create(&thread, NULL, session_thread, session);
    if (error)
        fprintf(stderr, "%s: no thread: %s\n", session->terminal, strerror(error));
    else
        pthread_detach(thread);
}

/* Takes over what the configuration holds. NULL: no memory. */
static struct session *session_create(struct terminal_conf *conf)
{
    struct session *session = calloc(1, sizeof(*session));
    if (session) {
        session->conf = conf->conf;
        session->terminal = conf->terminal;
    } else {
        terminal_conf_destroy(conf);
    }
    return session;
}

/* run=program,argument,...: on the serial line, with the machine's resource as well (for tests). */
static void run_start(const struct service_conf *common, const char *run)
{
    char *copy = strdup(run),
         *words[TTYS_WORDS] = {NULL, (char[]){"tty:///serial"}, (char[]){"vt100"}};
    char *rest = copy;
    size_t count = 3;
    struct terminal_conf conf;
    while (copy && count + 1 < TTYS_WORDS && (words[count] = strsep(&rest, ",")))
        if (count++ == 3) {
            words[4] = words[3]; /* argv[0] */
            count++;
        }
    struct session *session =
        copy && terminal_conf_make(&conf, common, words, count) ? session_create(&conf) : NULL;
    free(copy);
    if (!session || !strings_add(&session->conf.gives, "resource")) {
        fprintf(stderr, "run=%s: no memory\n", run);
        return;
    }
    session->once = true;
    session_launch(session);
}

static void terminal_start(struct terminal_conf *conf, const char *run)
{
    if (run) {
        terminal_conf_destroy(conf);
        return;
    }
    struct session *session = session_create(conf);
    if (session)
        session_launch(session);
    else
        fprintf(stderr, "%s: no memory for a terminal\n", TTYS_FILE);
}

void session_start(const char *run)
{
    char *text;
    size_t length;
    int found;
    struct terminal_conf conf;
    int64_t result = file_load(HANDLE_SELF, TTYS_FILE, FILE_LIMIT, &text, &length);
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", TTYS_FILE, error_text(result));
        return;
    }
    struct ttys ttys = {.reader = {.text = text, .length = length}};
    while ((found = ttys_next(&ttys, &conf)) != 0) {
        if (found > 0)
            terminal_start(&conf, run);
        else
            fprintf(stderr, "%s:%u: %s\n", TTYS_FILE, ttys.reader.line, ttys.problem);
    }
    if (run)
        run_start(&ttys.common, run);
    ttys_end(&ttys);
    free(text);
}
