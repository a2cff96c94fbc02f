/* Runs the guest tests, programs in /tests, and prints a line for each test.
 *
 *     runner [program [arguments]]               from the shell: linux_*, which need the whole system, or the one named
 *     init=initfs:///tests/runner [-- program [arguments]]   as the first program: all others, or the one named
 *
 * As the first program there is no service but initfs://, nobody else works or allocates while a test runs, and the
 * tests are given what the kernel gives to the first process: the handles "resource" and "image". The runner then
 * spawns them itself, and turns the machine off in the end.
 *
 * A test program (tests/guest/<name>.c, frame: tests/host/test.h) prints `ok TEST` and `not ok TEST: why`; here
 * the program's name is put before. A program that ends badly or hangs is a failed test of its own name. The
 * system's counters are compared around each program whose tests succeed, test <program>/leaks: what is missing after
 * a second run as well is a leak, what only the first run took is a cache that filled.
 * The last line is `guest tests done: P passed, F failed`.
 */
#include <dirent.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/sys/clock.h"
#include "lib/sys/error.h"
#include "lib/sys/spawn.h"
#include "lib/sys/startup.h"

#define FOLDER       "/tests"
#define NEEDS_SYSTEM "linux_" /* names of programs that need it start so */
#define PROGRAMS_MAX 512
#define DEADLINE_MS  100000
#define SETTLE_TRIES 20 /* of 100 ms: services give back what a dead program held */

struct counters {
    int64_t frames, handles, commands, bindings, objects;
};

static int passed, failed;
static char **arguments; /* of the runner, behind the program: for the program */
static int argument_count;

/* argv for the program at that path; the caller frees it. */
static char **program_argv(char *path)
{
    char **argv = calloc((size_t)argument_count + 2, sizeof(*argv));
    if (argv) {
        argv[0] = path;
        memcpy(argv + 1, arguments, (size_t)argument_count * sizeof(*argv));
    }
    return argv;
}

static struct counters counters_now(void)
{
    struct abi_system_info info;
    struct counters now = {0};
    if (sys_system_info(&info, sizeof(info)) < 0)
        return now;
    now.frames = (int64_t)(info.frames_total - info.frames_free - info.frames_kept);
    now.handles = (int64_t)info.handles;
    now.commands = (int64_t)info.commands;
    now.bindings = (int64_t)info.bindings;
    for (size_t i = 0; i < sizeof(info.objects) / sizeof(info.objects[0]); i++)
        now.objects += (int64_t)info.objects[i];
    return now;
}

static struct counters counters_lost(struct counters before, struct counters after)
{
    return (struct counters){after.frames - before.frames, after.handles - before.handles,
                             after.commands - before.commands, after.bindings - before.bindings,
                             after.objects - before.objects};
}

static int counters_any(struct counters lost)
{
    return lost.frames > 0 || lost.handles > 0 || lost.commands > 0 || lost.bindings > 0 ||
           lost.objects > 0;
}

/* Waits until nothing is lost any more, or gives up; what is lost then. */
static struct counters counters_settle(struct counters before)
{
    struct counters lost = {0};
    for (int i = 0; i < SETTLE_TRIES; i++) {
        lost = counters_lost(before, counters_now());
        if (!counters_any(lost))
            break;
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    return lost;
}

static void report(const char *program, const char *test, const char *why)
{
    const char *slash = test ? "/" : "";
    if (why) {
        failed++;
        printf("not ok %s%s%s: %s\n", program, slash, test ? test : "", why);
    } else {
        passed++;
        printf("ok %s%s%s\n", program, slash, test ? test : "");
    }
}

/* One line of a program's output; counts failures it reports. */
static int line_read(const char *program, char *line, int quiet)
{
    if (strncmp(line, "ok ", 3) == 0) {
        if (!quiet)
            report(program, line + 3, NULL);
        return 0;
    }
    if (strncmp(line, "not ok ", 7) == 0) {
        char *why = strstr(line + 7, ": ");
        if (why)
            *why = '\0';
        report(program, line + 7, why ? why + 2 : "failed");
        return 1;
    }
    printf("# %s: %s\n", program, line);
    return 0;
}

/* A program while it runs: from the shell a child, as the first program a process of our own making. */
struct run {
    const char *program;
    int quiet; /* its good tests were counted before */
    int failures, late;
    char line[1024];
    size_t used;
};

static void run_output(struct run *run, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] != '\n' && run->used < sizeof(run->line) - 1) {
            run->line[run->used++] = text[i];
        } else {
            run->line[run->used] = '\0';
            run->failures += line_read(run->program, run->line, run->quiet);
            run->used = 0;
        }
    }
}

/* end: what became of it, if that is bad. */
static void run_ended(const struct run *run, int bad, const char *end)
{
    char why[64];

    if (run->late) {
        snprintf(why, sizeof(why), "silent for %d s", DEADLINE_MS / 1000);
        report(run->program, NULL, why);
    } else if (bad && !run->failures) {
        report(run->program, NULL, end);
    }
}

/* --- From the shell ------------------------------------------------------------------------------------------- */

static void child_read(struct run *run, int from)
{
    struct pollfd input = {.fd = from, .events = POLLIN};
    char text[1024];

    for (;;) {
        int ready = poll(&input, 1, DEADLINE_MS);
        ssize_t length = ready > 0 ? read(from, text, sizeof(text)) : 0;

        run->late |= ready == 0;
        if (length <= 0)
            return;
        run_output(run, text, (size_t)length);
    }
}

static void child_run(struct run *run)
{
    char path[300], why[64];
    int ends[2], status = 0;

    snprintf(path, sizeof(path), FOLDER "/%s", run->program);
    fflush(stdout);
    if (pipe(ends)) {
        report(run->program, NULL, "no pipe");
        return;
    }
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        char **argv = program_argv(path);
        if (argv)
            execv(path, argv);
        _exit(127);
    }
    close(ends[1]);
    if (child < 0) {
        close(ends[0]);
        report(run->program, NULL, "no fork");
        return;
    }
    child_read(run, ends[0]);
    close(ends[0]);
    if (run->late)
        kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0)
        ;
    if (WIFSIGNALED(status))
        snprintf(why, sizeof(why), "killed by signal %d", WTERMSIG(status));
    else
        snprintf(why, sizeof(why), "exit status %d", WEXITSTATUS(status));
    run_ended(run, status != 0, why);
}

/* --- As the first program --------------------------------------------------------------------------------------- */

static int first_program(void)
{
    return startup_handle("resource") != HANDLE_NONE && startup_handle("proc") == HANDLE_NONE;
}

static void spawned_read(struct run *run, handle_t from)
{
    char text[1024];

    for (;;) {
        int64_t now = clock_monotonic();
        int64_t length = sys_stream_receive(from, text, sizeof(text), 0,
                                            now + DEADLINE_MS * INT64_C(1000000), NULL);

        run->late |= length == -E_TIMED_OUT;
        if (length <= 0)
            return;
        run_output(run, text, (size_t)length);
    }
}

static void spawned_end(struct run *run, handle_t process)
{
    struct abi_wait wait = {.handle = process, .signals = SIGNAL_EXITED};
    struct abi_process_info info = {.status = UINT32_MAX};
    char why[64];

    if (run->late)
        sys_ignore(sys_process_kill(process, 0));
    while (sys_wait_many(&wait, 1, DEADLINE_NEVER) < 0)
        ;
    sys_ignore(sys_process_info(process, &info));
    snprintf(why, sizeof(why), "status 0x%x", info.status);
    run_ended(run, info.status != 0, why);
}

static void spawned_run(struct run *run)
{
    char uri[300];
    handle_t ends[2] = {HANDLE_NONE, HANDLE_NONE}, process, image = startup_handle("image");
    struct spawn_handle handles[] = {{"resource", HANDLE_NONE},
                                     {"image", HANDLE_NONE},
                                     {"fd:1", HANDLE_NONE},
                                     {"fd:2", HANDLE_NONE}};
    char **argv = program_argv(uri);
    struct spawn spawn = {
        .name = run->program, .image = image, .argv = argv, .handles = handles, .handle_count = 4};

    snprintf(uri, sizeof(uri), "initfs://" FOLDER "/%s", run->program);
    int64_t result = argv ? spawn_program_open(HANDLE_SELF, uri, &spawn.program) : -E_NO_MEMORY;
    if (result < 0) {
        report(run->program, NULL, error_text(result));
        free(argv);
        return;
    }
    sys_ignore(sys_stream_pair(STREAM_ONE_WAY, ends));
    handles[0].handle = (handle_t)handle_copy(startup_handle("resource"), RIGHT_ALL);
    handles[1].handle = (handle_t)handle_copy(image, RIGHT_ALL);
    handles[2].handle = (handle_t)handle_copy(ends[1], RIGHT_ALL);
    handles[3].handle = ends[1];
    result = spawn_start(&spawn, &process);
    spawn_program_close(&spawn.program);
    free(argv);
    if (result < 0) {
        report(run->program, NULL, error_text(result));
        for (int i = 0; i < 4; i++)
            handle_drop(handles[i].handle);
    } else {
        spawned_read(run, ends[0]);
        spawned_end(run, process);
        handle_drop(process);
    }
    handle_drop(ends[0]);
}

/* --- All of them -------------------------------------------------------------------------------------------------- */

static void program_run(const char *program, int quiet)
{
    struct run run = {.program = program, .quiet = quiet};

    if (first_program())
        spawned_run(&run);
    else
        child_run(&run);
}

#define LEAK_ROUNDS 3

static void program_test(const char *program)
{
    int failed_before = failed;
    struct counters before = counters_now();
    program_run(program, 0);
    if (failed != failed_before)
        return; /* a failed test may leave anything behind */
    struct counters lost = counters_settle(before);
    /* Caches and services grow to what a program needs, once; a leak takes as much each time. */
    for (int again = 0; again < LEAK_ROUNDS && counters_any(lost); again++) {
        before = counters_now();
        program_run(program, 1);
        lost = counters_settle(before);
    }
    if (!counters_any(lost)) {
        report(program, "leaks", NULL);
        return;
    }
    char why[200];
    snprintf(why, sizeof(why),
             "lost %" PRId64 " frames, %" PRId64 " handles, %" PRId64 " commands, %" PRId64
             " bindings, %" PRId64 " objects",
             lost.frames, lost.handles, lost.commands, lost.bindings, lost.objects);
    report(program, "leaks", why);
}

static int in_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Whether it runs without being named: a program belongs to one of the two ways to run. */
static int chosen(const char *program)
{
    int needs_system = strncmp(program, NEEDS_SYSTEM, strlen(NEEDS_SYSTEM)) == 0;

    return needs_system != first_program();
}

int main(int argc, char **argv)
{
    static char *programs[PROGRAMS_MAX];
    setvbuf(stdout, NULL, _IOLBF, 0);
    size_t count = 0;
    argument_count = argc > 2 ? argc - 2 : 0;
    arguments = argv + argc - argument_count;
    DIR *folder = opendir(FOLDER);
    if (!folder) {
        printf("not ok runner: no folder %s\n", FOLDER);
        return 1;
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL && count < PROGRAMS_MAX;)
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "tools") != 0 &&
            strcmp(entry->d_name, "runner") != 0)
            programs[count++] = strdup(entry->d_name);
    closedir(folder);
    qsort(programs, count, sizeof(programs[0]), in_order);
    for (size_t i = 0; i < count; i++)
        if (argc < 2 ? chosen(programs[i]) : strcmp(argv[1], programs[i]) == 0)
            program_test(programs[i]);
    printf("guest tests done: %d passed, %d failed\n", passed, failed);
    fflush(stdout);
    if (first_program())
        sys_ignore(sys_system_control(startup_handle("resource"), SYSTEM_POWER_OFF, 0));
    return failed != 0;
}
