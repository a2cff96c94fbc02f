/* Use up one quota of the account this runs in (abi/quotas.def), say so, and go on trying for ever: `exhaust NAME`.
 *
 * tests/system/scenarios/survival.py runs it in a sandbox with limits, and others beside it.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi/ops.h"
#include "lib/sys/error.h"
#include "lib/sys/quota.h"
#include "lib/sys/syscall.h"

static handle_t memory, port, timer, names; /* names: with a protocol that nobody serves, hole:// */
static uint64_t taken;

static void need(int64_t result, const char *what)
{
    if (result >= 0)
        return;
    printf("%s: %s\n", what, error_text(result));
    exit(1);
}

static handle_t made(int64_t result, const char *what)
{
    need(result, what);
    return (handle_t)result;
}

/* What each takes: one more, or an error. Nothing is given back. */

static int64_t take_memory(void)
{
    return sys_memory_op(memory, MEMORY_OP_COMMIT, taken * PAGE_SIZE, PAGE_SIZE, NULL);
}

static int64_t take_handles(void)
{
    return sys_timer_create();
}

static int64_t take_ports(void)
{
    return sys_proto_create(HANDLE_SELF, NULL, 0);
}

/* Each of them has a notification waiting, and gets it anew all the time. */
static int64_t take_bindings(void)
{
    need(sys_timer_set(timer, 1, 0), "timer_set");
    return sys_port_bind(port, timer, SIGNAL_READABLE, taken, 0);
}

static int64_t take_kept(void)
{
    return sys_port_keep(port, taken + 1, timer);
}

static _Noreturn void try_for_ever(int64_t (*take)(void))
{
    for (;;)
        sys_ignore(take());
}

/* The children want children, too. */
static int64_t take_processes(void)
{
    pid_t pid = fork();

    if (pid == 0)
        try_for_ever(take_processes);
    return pid < 0 ? -E_QUOTA : pid;
}

static int64_t take_threads(void);

static void *thread_main(void *unused)
{
    (void)unused;
    try_for_ever(take_threads);
}

static int64_t take_threads(void)
{
    pthread_t thread;

    return pthread_create(&thread, NULL, thread_main, NULL) ? -E_QUOTA : 0;
}

static int64_t hole_call(int64_t deadline)
{
    static const char uri[] = "hole:///";
    struct abi_path_call call = {
        .uri = (uintptr_t)uri,
        .uri_length = sizeof(uri) - 1,
        .command = {.op = OP_STAT, .deadline = deadline},
    };

    return sys_path_call(names, &call);
}

static void *caller_main(void *unused)
{
    (void)unused;
    sys_ignore(hole_call(DEADLINE_NEVER));
    return NULL;
}

/* A thread whose command waits; what this one sends waits no longer than it takes the others to be there. */
static int64_t take_commands(void)
{
    int64_t result = hole_call(sys_clock_get(CLOCK_MONOTONIC_) + 1000000);
    pthread_t thread;

    if (result != -E_TIMED_OUT)
        return result;
    return pthread_create(&thread, NULL, caller_main, NULL) ? -E_NO_MEMORY : 0;
}

static int64_t (*const takes[QUOTA_COUNT])(void) = {
#define QUOTA(number, name, text, meaning) [number] = take_##text,
#include "abi/quotas.def"
#undef QUOTA
};

static void prepare(void)
{
    memory = made(sys_memory_create(UINT64_C(1) << 30, 0), "memory_create");
    port = made(sys_proto_create(HANDLE_SELF, NULL, 0), "proto_create");
    timer = made(sys_timer_create(), "timer_create");
    names = made(sys_namespace_create(HANDLE_SELF, 0), "namespace_create");
    made(sys_proto_create(names, "hole", 4), "proto_create hole");
}

static void exhaust(enum quota quota)
{
    int64_t error = quota == QUOTA_MEMORY ? -E_NO_MEMORY : -E_QUOTA, result;

    prepare();
    while ((result = takes[quota]()) >= 0)
        taken++;
    if (result != error)
        need(result, quota_name(quota));
    printf("exhausted %s with %" PRIu64 "\n", quota_name(quota), taken);
    fflush(stdout);
    try_for_ever(takes[quota]);
}

int main(int argc, char **argv)
{
    for (int i = 0; argc == 2 && i < QUOTA_COUNT; i++)
        if (strcmp(argv[1], quota_name((enum quota)i)) == 0)
            exhaust((enum quota)i);
    fprintf(stderr, "usage: exhaust quota\n");
    return 2;
}
