/* Runs the guest tests: every program in /tests but itself, or the one named, and prints a line for each test.
 *
 *     runner [program]
 *
 * A test program (tests/guest/<name>.c, frame: tests/host/test.h) prints `ok TEST` and `not ok TEST: why`; here
 * the program's name is put before. A program that ends badly or hangs is a failed test of its own name. The
 * system's counters are compared around each program, test <program>/leaks: what is missing after a second run
 * as well is a leak, what only the first run took is a cache that filled.
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

#include "lib/sys/syscall.h"

#define FOLDER       "/tests"
#define PROGRAMS_MAX 512
#define DEADLINE_MS  100000
#define SETTLE_TRIES 20 /* of 100 ms: services give back what a dead program held */

struct counters {
    int64_t frames, handles, commands, bindings, objects;
};

static int passed, failed;

static struct counters counters_now(void)
{
    struct abi_system_info info;
    struct counters now = {0};
    if (sys_system_info(&info, sizeof(info)) < 0)
        return now;
    now.frames = (int64_t)(info.frames_total - info.frames_free);
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

/* Reads all a program says, line by line, until it closes its output or the deadline passes. */
static int output_read(const char *program, int from, int quiet, int *late)
{
    char line[1024];
    size_t used = 0;
    int failures = 0;
    struct pollfd input = {.fd = from, .events = POLLIN};

    for (;;) {
        int ready = poll(&input, 1, DEADLINE_MS);
        if (ready == 0)
            *late = 1;
        char byte;
        if (ready <= 0 || read(from, &byte, 1) != 1)
            break;
        if (byte != '\n' && used < sizeof(line) - 1) {
            line[used++] = byte;
        } else {
            line[used] = '\0';
            failures += line_read(program, line, quiet);
            used = 0;
        }
    }
    return failures;
}

/* Runs a program once. quiet: its good tests were counted before. */
static void program_run(const char *program, int quiet)
{
    char path[300], why[64];
    int ends[2], status = 0, late = 0;

    snprintf(path, sizeof(path), FOLDER "/%s", program);
    fflush(stdout);
    if (pipe(ends)) {
        report(program, NULL, "no pipe");
        return;
    }
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl(path, path, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    if (child < 0) {
        close(ends[0]);
        report(program, NULL, "no fork");
        return;
    }
    int failures = output_read(program, ends[0], quiet, &late);
    close(ends[0]);
    if (late)
        kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0)
        ;
    if (late)
        snprintf(why, sizeof(why), "silent for %d s", DEADLINE_MS / 1000);
    else if (WIFSIGNALED(status))
        snprintf(why, sizeof(why), "killed by signal %d", WTERMSIG(status));
    else
        snprintf(why, sizeof(why), "exit status %d", WEXITSTATUS(status));
    if (late || (status && !failures))
        report(program, NULL, why);
}

static void program_test(const char *program)
{
    int failed_before = failed;
    struct counters before = counters_now();
    program_run(program, 0);
    struct counters lost = counters_settle(before);
    if (counters_any(lost) && failed == failed_before) {
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

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(int argc, char **argv)
{
    static char *programs[PROGRAMS_MAX];
    size_t count = 0;
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
    qsort(programs, count, sizeof(programs[0]), by_name);
    for (size_t i = 0; i < count; i++)
        if (argc < 2 || strcmp(argv[1], programs[i]) == 0)
            program_test(programs[i]);
    printf("guest tests done: %d passed, %d failed\n", passed, failed);
    return failed != 0;
}
