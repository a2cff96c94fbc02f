/* The waiters, and which child answers which of them. */
#include "sbin/procd/wait.h"

#include <stdlib.h>

#define STATUS_CONTINUED 0xffffu
#define STATUS_STOPPED   0x7fu

struct waiter {
    struct list link;
    struct process *parent;
    uint64_t token;
    handle_t port;
    int32_t pid; /* as wait4's */
    uint32_t options;
    uint64_t number; /* the same when the command is sent again */
};

static struct list waiters = LIST_INIT(waiters);

struct outcome {
    int32_t pid;
    uint32_t status;
    uint64_t cpu_time;
};

/* wait4's first argument; 0 (the caller's group) was made -pgid when the command came. */
static bool selected(const struct process *child, int32_t pid)
{
    return pid == -1 || (pid > 0 ? child->pid == pid : child->pgid == -pid);
}

/* Takes what there is to tell of the child; false: nothing. A zombie is reaped. */
static bool outcome_take(struct table *table, struct process *child, uint32_t options,
                         uint64_t number, struct outcome *outcome)
{
    *outcome = (struct outcome){.pid = child->pid, .cpu_time = child->cpu_time};
    if (child->state == PROCESS_ZOMBIE) {
        outcome->status = child->status;
        process_retire(table, child, number);
        return true;
    }
    if (child->report_stop && (options & PROC_WUNTRACED)) {
        child->report_stop = false;
        outcome->status = child->stop_signal << 8 | STATUS_STOPPED;
        return true;
    }
    if (child->report_continue && (options & PROC_WCONTINUED)) {
        child->report_continue = false;
        outcome->status = STATUS_CONTINUED;
        return true;
    }
    return false;
}

static bool has_child(const struct process *parent, int32_t pid)
{
    list_for_each (struct process, child, &parent->children, sibling)
        if (selected(child, pid))
            return true;
    return false;
}

static int64_t waiter_hold(struct process *caller, int32_t pid, uint32_t options,
                           const struct command *command)
{
    struct waiter *waiter = malloc(sizeof(*waiter));
    if (!waiter)
        return -E_NO_MEMORY;
    *waiter = (struct waiter){
        .parent = caller,
        .token = command->message.token,
        .port = command->port,
        .pid = pid,
        .options = options,
        .number = command->message.args[2],
    };
    list_append(&waiters, &waiter->link);
    return COMMAND_HELD;
}

static void waiter_return(struct waiter *waiter, int64_t status, const struct outcome *outcome)
{
    struct abi_return reply = {0};
    if (outcome) {
        reply.values[0] = (uint64_t)outcome->pid;
        reply.values[1] = outcome->status;
        reply.values[2] = outcome->cpu_time;
    }
    list_remove(&waiter->link);
    command_return(waiter->port, waiter->token, status, &reply);
    free(waiter);
}

static void reply_fill(struct command *command, const struct outcome *outcome)
{
    command->reply.values[0] = (uint64_t)outcome->pid;
    command->reply.values[1] = outcome->status;
    command->reply.values[2] = outcome->cpu_time;
}

/* The caller asks again what a procd before this one told it: was the answer lost? */
static bool answer_again(struct table *table, const struct process *caller, uint64_t number,
                         struct outcome *outcome)
{
    list_for_each (struct process, child, &table->limbo, sibling) {
        if (child->parent_pid != caller->pid || child->told_by != number)
            continue;
        *outcome = (struct outcome){child->pid, child->status, child->cpu_time};
        return true;
    }
    return false;
}

int64_t wait_command(struct table *table, struct process *caller, struct command *command)
{
    int32_t pid = (int32_t)command->message.args[0];
    uint32_t options = (uint32_t)command->message.args[1];
    struct outcome outcome;
    if (pid == INT32_MIN || (options & ~(PROC_WNOHANG | PROC_WUNTRACED | PROC_WCONTINUED)))
        return -E_INVALID;
    if (answer_again(table, caller, command->message.args[2], &outcome)) {
        reply_fill(command, &outcome);
        return 0;
    }
    if (pid == 0)
        pid = -caller->pgid;
    if (!has_child(caller, pid))
        return -E_NO_CHILD;
    list_for_each (struct process, child, &caller->children, sibling) {
        if (!selected(child, pid) ||
            !outcome_take(table, child, options, command->message.args[2], &outcome))
            continue;
        reply_fill(command, &outcome);
        return 0;
    }
    if (options & PROC_WNOHANG)
        return 0;
    if (command->message.flags & COMMAND_NONBLOCK)
        return -E_AGAIN;
    return waiter_hold(caller, pid, options, command);
}

void wait_changed(struct table *table, struct process *process)
{
    struct process *parent = process->parent;
    struct outcome outcome;
    /* Who ignores SIGCHLD is told of no end: its wait goes on until there is no child, and fails. */
    bool told = process->state != PROCESS_ZOMBIE || !parent ||
                !(parent->ignored & SIGNAL_BIT(SIGNAL_CHILD));
    list_for_each (struct waiter, waiter, &waiters, link) {
        if (!told || waiter->parent != parent || !selected(process, waiter->pid) ||
            !outcome_take(table, process, waiter->options, waiter->number, &outcome))
            continue;
        waiter_return(waiter, 0, &outcome);
        wait_check(table, parent);
        return;
    }
    if (process->state != PROCESS_ZOMBIE)
        return;
    if (!parent || parent == table->init || (parent->ignored & SIGNAL_BIT(SIGNAL_CHILD))) {
        process_reap(table, process);
        if (parent)
            wait_check(table, parent);
    }
}

void wait_check(struct table *table, struct process *parent)
{
    (void)table;
    list_for_each (struct waiter, waiter, &waiters, link)
        if (waiter->parent == parent && !has_child(parent, waiter->pid))
            waiter_return(waiter, -E_NO_CHILD, NULL);
}

bool wait_cancel(uint64_t token)
{
    list_for_each (struct waiter, waiter, &waiters, link)
        if (waiter->token == token) {
            waiter_return(waiter, -E_INTERRUPTED, NULL);
            return true;
        }
    return false;
}

void wait_forget(const struct process *process)
{
    list_for_each (struct waiter, waiter, &waiters, link)
        if (waiter->parent == process)
            waiter_return(waiter, -E_INTERRUPTED, NULL);
}
