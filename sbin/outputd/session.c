/* Commands to procd by the "proc" handle, and the thread that sends signals. */
#include "sbin/outputd/session.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/list.h"
#include "lib/sys/clock.h"
#include "lib/sys/startup.h"
#include "lib/sys/syscall.h"

#define ANSWER_TIME_NS INT64_C(250000000)
#define ORDER_TIME_NS  INT64_C(10000000000)

struct order { /* a signal to be sent */
    struct list link;
    int32_t pgid;
    int signal;
};

static handle_t proc;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of orders */
static pthread_cond_t ordered = PTHREAD_COND_INITIALIZER;
static struct list orders = LIST_INIT(orders);

static int64_t proc_command(struct abi_command *command)
{
    command->deadline = clock_monotonic() + ANSWER_TIME_NS;
    command->flags = COMMAND_RESTARTABLE;
    return proc == HANDLE_NONE ? -E_NO_PROTOCOL : sys_file_call(proc, command);
}

static int64_t proc_kill(int32_t pid, int signal)
{
    struct abi_command command = {.op = PROC_KILL,
                                  .args = {(uint64_t)(int64_t)pid, (uint64_t)signal}};
    return proc_command(&command);
}

/* This thread may wait: a ^C typed while procd is down is meant all the same. */
static void order_carry_out(const struct order *order)
{
    int64_t result, until = clock_monotonic() + ORDER_TIME_NS;
    do
        result = proc_kill(-order->pgid, order->signal);
    while ((result == -E_RESTARTED || result == -E_TIMED_OUT) && clock_monotonic() < until);
}

static void *signals_send(void *argument)
{
    (void)argument;
    for (;;) {
        pthread_mutex_lock(&lock);
        while (list_empty(&orders))
            pthread_cond_wait(&ordered, &lock);
        struct order *order = list_first(&orders, struct order, link);
        list_remove(&order->link);
        pthread_mutex_unlock(&lock);
        order_carry_out(order);
        free(order);
    }
    return NULL;
}

void session_start(void)
{
    pthread_t thread;
    proc = startup_handle("proc");
    if (proc == HANDLE_NONE)
        fprintf(stderr, "without proc://: no job control\n");
    int error = pthread_create(&thread, NULL, signals_send, NULL);
    if (error)
        fprintf(stderr, "cannot start the signals' thread: %s\n", strerror(error));
    else
        pthread_detach(thread);
}

enum proc_terminal session_check(uint64_t badge, int32_t session, int32_t foreground, int signal,
                                 struct caller *caller)
{
    struct abi_command command = {
        .op = PROC_TERMINAL,
        .args = {badge, (uint64_t)session, (uint64_t)foreground, (uint64_t)signal},
    };
    memset(caller, 0, sizeof(*caller));
    if (proc_command(&command) < 0)
        return TERMINAL_ALLOWED;
    caller->known = true;
    caller->pid = (int32_t)command.values[1];
    caller->uid = (uint32_t)(command.values[1] >> 32);
    caller->pgid = (int32_t)command.values[2];
    caller->sid = (int32_t)(command.values[2] >> 32);
    return (enum proc_terminal)command.values[0];
}

void session_signal(int32_t pgid, int signal)
{
    struct order *order = pgid ? malloc(sizeof(*order)) : NULL;
    if (!order)
        return;
    order->pgid = pgid;
    order->signal = signal;
    pthread_mutex_lock(&lock);
    list_append(&orders, &order->link);
    pthread_cond_signal(&ordered);
    pthread_mutex_unlock(&lock);
}

int64_t session_leader(int32_t session, handle_t *leader)
{
    struct abi_command command = {.op = PROC_WATCH, .args = {(uint64_t)session}};
    int64_t result = proc_command(&command);
    *leader = result >= 0 && command.receive_count ? command.receive[0] : HANDLE_NONE;
    return result;
}

bool session_exists(int32_t pid)
{
    return proc_kill(pid, 0) != -E_NO_PROCESS;
}
