/* Sending, keeping and taking signals. */
#include "sbin/procd/signal.h"

#include <string.h>

#include "sbin/procd/kernel.h"
#include "sbin/procd/wait.h"

#define STOP_SIGNALS                                                                               \
    (SIGNAL_BIT(SIGNAL_STOP) | SIGNAL_BIT(SIGNAL_TERMINAL_STOP) | SIGNAL_BIT(SIGNAL_TERMINAL_IN) | \
     SIGNAL_BIT(SIGNAL_TERMINAL_OUT))

/* What does nothing to a process that has not set a handler. */
#define DEFAULT_IGNORED                                                                 \
    (SIGNAL_BIT(SIGNAL_CHILD) | SIGNAL_BIT(SIGNAL_URGENT) | SIGNAL_BIT(SIGNAL_WINDOW) | \
     SIGNAL_BIT(SIGNAL_CONTINUE))

/* Those that wait. */
static size_t queue_length(const struct process *process)
{
    size_t length = 0;
    list_for_each (struct pending_signal, pending, &process->queue, link)
        length += pending->taken_by == 0;
    return length;
}

static void pending_drop(struct process *process, uint64_t signals)
{
    process->pending &= ~signals;
}

static int64_t pending_add(struct table *table, struct process *process,
                           const struct proc_siginfo *info)
{
    uint64_t bit = SIGNAL_BIT(info->signal);
    if (info->signal < SIGNAL_REAL_TIME) {
        if (!(process->pending & bit))
            process->info[info->signal] = *info;
        process->pending |= bit;
        return 0;
    }
    struct pending_signal *pending =
        queue_length(process) < SIGNAL_QUEUE_MAX ? store_alloc(&table->signals) : NULL;
    if (!pending)
        return -E_AGAIN;
    pending->info = *info;
    pending->owner = process->pid;
    pending->order = ++process->order;
    store_commit(pending);
    list_append(&process->queue, &pending->link);
    process->pending |= bit;
    return 0;
}

static void process_continue(struct table *table, struct process *process)
{
    pending_drop(process, STOP_SIGNALS);
    if (process->state != PROCESS_STOPPED)
        return;
    process->state = PROCESS_RUNNING;
    process->report_stop = false;
    process->report_continue = true;
    kernel_resume(process);
    if (process->pending & ~process->blocked) /* what came while it was stopped */
        kernel_kick(process);
    parent_notify(table, process, CHILD_CONTINUED, SIGNAL_CONTINUE);
    wait_changed(table, process);
}

void process_stop(struct table *table, struct process *process, uint32_t signal)
{
    if (process->state != PROCESS_RUNNING)
        return;
    process->state = PROCESS_STOPPED;
    process->stop_signal = signal;
    process->report_stop = true;
    process->report_continue = false;
    kernel_suspend(process);
    parent_notify(table, process, CHILD_STOPPED, signal);
    wait_changed(table, process);
}

/* --- who waits for its signals by a command --- */

static void holder_return(struct process *process, int64_t status)
{
    uint64_t token = process->holder;
    if (!token)
        return;
    process->holder = 0;
    command_return_value(process->holder_port, token, status, 0);
}

int64_t signal_hold(struct process *process, const struct command *command)
{
    holder_return(process, -E_INTERRUPTED);
    process->holder = command->message.token;
    process->holder_port = command->port;
    return COMMAND_HELD;
}

void signal_cancel(struct table *table, uint64_t token)
{
    process_for_each(process, table)
    {
        if (process->holder == token)
            holder_return(process, -E_INTERRUPTED);
    }
}

/* --- sending --- */

int64_t signal_send(struct table *table, struct process *process, const struct proc_siginfo *info)
{
    uint64_t bit = SIGNAL_BIT(info->signal);
    if (process->state == PROCESS_ZOMBIE)
        return 0;
    /* As on Linux nothing reaches init that it did not ask for, but for SIGKILL: the kernel brings it back. */
    bool deadly = info->signal == SIGNAL_KILL && process->kept;
    if (process == table->init && !(process->caught & bit) && !deadly)
        return 0;
    if (info->signal == SIGNAL_KILL) {
        kernel_kill(process, SIGNAL_KILL);
        return 0;
    }
    if (info->signal == SIGNAL_STOP) {
        pending_drop(process, SIGNAL_BIT(SIGNAL_CONTINUE));
        process_stop(table, process, SIGNAL_STOP);
        return 0;
    }
    if (info->signal == SIGNAL_CONTINUE)
        process_continue(table, process);
    else if (bit & STOP_SIGNALS)
        pending_drop(process, SIGNAL_BIT(SIGNAL_CONTINUE));
    /* Of the hints only this one may drop a signal: a personality tells each change of it. Whether others are
     * ignored it says when it fetches them. */
    if ((DEFAULT_IGNORED & bit) && !(process->caught & bit) && !(process->blocked & bit))
        return 0;
    int64_t result = pending_add(table, process, info);
    holder_return(process, 0);
    if (result >= 0 && !(process->blocked & bit) && process->state == PROCESS_RUNNING)
        kernel_kick(process);
    return result;
}

uint64_t signal_send_group(struct table *table, int32_t pgid, const struct proc_siginfo *info)
{
    uint64_t count = 0;
    process_for_each(process, table)
    {
        if (process->pgid != pgid)
            continue;
        count++;
        if (info->signal)
            signal_send(table, process, info);
    }
    return count;
}

/* The oldest queued instance that waits becomes the taker's; *more: another of the same number waits behind it. */
static void queue_take(struct process *process, int32_t signal, uint64_t number,
                       struct proc_siginfo *info, bool *more)
{
    bool found = false;
    *more = false;
    list_for_each (struct pending_signal, pending, &process->queue, link) {
        if (pending->info.signal != signal || pending->taken_by)
            continue;
        if (found) {
            *more = true;
            return;
        }
        found = true;
        *info = pending->info;
        pending->taken_by = number;
    }
}

/* What an earlier call took has reached its taker. */
static void queue_confirm(struct table *table, struct process *process)
{
    list_for_each (struct pending_signal, pending, &process->queue, link) {
        if (!pending->taken_by)
            continue;
        list_remove(&pending->link);
        store_free(&table->signals, pending);
    }
}

/* The same answer once more: the one before was lost. */
static size_t take_again(const struct process *process, struct proc_siginfo *infos, size_t room)
{
    size_t count = 0;
    for (int32_t signal = 1; signal <= SIGNAL_COUNT && count < room; signal++) {
        if (!(process->taking & SIGNAL_BIT(signal)))
            continue;
        infos[count] = signal < SIGNAL_REAL_TIME ? process->info[signal]
                                                 : (struct proc_siginfo){.signal = signal};
        list_for_each (struct pending_signal, pending, &process->queue, link)
            if (pending->info.signal == signal && pending->taken_by == process->taken_by)
                infos[count] = pending->info;
        count++;
    }
    return count;
}

/* In this order an end of procd between any two steps is told by the numbers (recover.c). */
size_t signal_take(struct table *table, struct process *process, uint64_t mask, uint64_t number,
                   struct proc_siginfo *infos, size_t room, uint64_t *taken)
{
    size_t count = 0;
    uint64_t taking = 0, gone = 0;
    if (number && number == process->taken_by) {
        *taken = process->taking;
        return take_again(process, infos, room);
    }
    queue_confirm(table, process);
    process->taken_by = 0;
    for (int32_t signal = 1; signal <= SIGNAL_COUNT && count < room; signal++) {
        uint64_t bit = SIGNAL_BIT(signal);
        bool more = false;
        if (!(process->pending & mask & bit))
            continue;
        if (signal < SIGNAL_REAL_TIME)
            infos[count] = process->info[signal];
        else
            queue_take(process, signal, number ? number : 1, &infos[count], &more);
        taking |= bit;
        if (!more)
            gone |= bit;
        count++;
    }
    process->taking = taking;
    __atomic_store_n(&process->taken_by, number, __ATOMIC_RELEASE);
    __atomic_fetch_and(&process->pending, ~gone, __ATOMIC_RELEASE);
    __atomic_store_n(&process->taken_done, number, __ATOMIC_RELEASE);
    *taken = taking;
    return count;
}

static bool kill_allowed(const struct process *caller, const struct process *target, int32_t signal)
{
    return caller->uid == 0 || caller->uid == target->uid ||
           (signal == SIGNAL_CONTINUE && caller->sid == target->sid);
}

/* One process of several that kill names: counted when allowed. */
static void kill_one(struct table *table, struct process *caller, struct process *target,
                     const struct proc_siginfo *info, uint64_t *found, uint64_t *sent)
{
    ++*found;
    if (!kill_allowed(caller, target, info->signal))
        return;
    ++*sent;
    if (info->signal)
        signal_send(table, target, info);
}

int64_t signal_kill(struct table *table, struct process *caller, int32_t pid,
                    struct proc_siginfo *info)
{
    uint64_t found = 0, sent = 0;
    if (info->signal < 0 || info->signal > SIGNAL_COUNT || pid == INT32_MIN)
        return -E_INVALID;
    info->pid = caller->pid;
    info->uid = (int32_t)caller->uid;
    if (pid > 0) {
        struct process *target = process_by_pid(table, pid);
        if (!target)
            return -E_NO_PROCESS;
        if (!kill_allowed(caller, target, info->signal))
            return -E_PERMISSION;
        return info->signal ? signal_send(table, target, info) : 0;
    }
    int32_t pgid = pid == 0 ? caller->pgid : -pid;
    process_for_each(process, table)
    {
        bool meant =
            pid == -1 ? process != table->init && process != caller : process->pgid == pgid;
        if (meant)
            kill_one(table, caller, process, info, &found, &sent);
    }
    return sent ? 0 : found ? -E_PERMISSION : -E_NO_PROCESS;
}

void parent_notify(struct table *table, const struct process *child, int32_t code, int64_t value)
{
    struct proc_siginfo info = {
        .signal = SIGNAL_CHILD,
        .code = code,
        .pid = child->pid,
        .uid = (int32_t)child->uid,
        .value = value,
    };
    if (child->parent)
        signal_send(table, child->parent, &info);
}

void parent_notify_end(struct table *table, struct process *child)
{
    uint32_t status = child->status;
    bool exited = (status & 0x7f) == 0;
    int32_t code = exited ? CHILD_EXITED : status & 0x80 ? CHILD_DUMPED : CHILD_KILLED;
    parent_notify(table, child, code, exited ? status >> 8 : status & 0x7f);
    child->end_announced = true;
}

void group_hang_up(struct table *table, int32_t pgid)
{
    struct proc_siginfo info = {.signal = SIGNAL_HANGUP_};
    if (!group_has_stopped(table, pgid) || !group_orphaned(table, pgid))
        return;
    signal_send_group(table, pgid, &info);
    info.signal = SIGNAL_CONTINUE;
    signal_send_group(table, pgid, &info);
}
