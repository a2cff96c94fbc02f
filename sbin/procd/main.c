/* procd: the POSIX authority behind proc:// (abi/proc.h says what each operation means).
 *
 * One thread, one table. It never waits for a client: wait4 is a held command, signals are left pending and
 * their process kicked. Deaths arrive as notifications of process handles, keyed by pid.
 *
 * proc://   the file every Linux process sends its operations through
 * proc:///  what people and programs read: files.h
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/error.h"
#include "lib/sys/startup.h"
#include "sbin/procd/alarm.h"
#include "sbin/procd/commands.h"
#include "sbin/procd/kernel.h"
#include "sbin/procd/recover.h"
#include "sbin/procd/signal.h"
#include "sbin/procd/wait.h"

struct table table;

/* init takes over: what is dead already is reaped at once, and groups that lost their last outside parent are
 * hung up. */
static void children_release(const struct process *ended, const int32_t *groups, size_t count)
{
    if (table.init) {
        list_for_each (struct process, child, &table.init->children, sibling)
            if (child != ended && child->state == PROCESS_ZOMBIE)
                wait_changed(&table, child);
    }
    for (size_t i = 0; i < count; i++)
        group_hang_up(&table, groups[i]);
}

/* The groups that this process's end may orphan: its own and its children's, those not orphaned yet. */
static size_t groups_collect(const struct process *process, int32_t **groups)
{
    size_t count = 0, room = 1;
    list_for_each (struct process, child, &process->children, sibling)
        room++;
    *groups = malloc(room * sizeof(**groups));
    if (!*groups)
        return 0;
    if (!group_orphaned(&table, process->pgid))
        (*groups)[count++] = process->pgid;
    list_for_each (struct process, sibling_child, &process->children, sibling)
        if (sibling_child->pgid != process->pgid && !group_orphaned(&table, sibling_child->pgid))
            (*groups)[count++] = sibling_child->pgid;
    return count;
}

static void process_ended(struct process *process)
{
    struct abi_process_info info;
    int32_t *groups;
    uint32_t status = SIGNAL_KILL;
    if (sys_process_info(process->handle, &info) >= 0) {
        status = wait_status(info.status);
        process->cpu_time = info.cpu_time;
    }
    size_t count = groups_collect(process, &groups);
    alarm_forget(&table, process);
    wait_forget(process);
    list_for_each (struct process, child, &process->children, sibling)
        if (!child->started) /* nobody asks for that fork again */
            kernel_kill(child, SIGNAL_KILL);
    process_exited(&table, process, status);
    children_release(process, groups, count);
    free(groups);
    parent_notify_end(&table, process);
    wait_changed(&table, process);
}

static void proc_notified(void *context, uint64_t key, uint64_t signals)
{
    (void)context;
    (void)signals;
    struct process *process = process_by_pid(&table, (int32_t)key);
    if (!process || process->state == PROCESS_ZOMBIE)
        return;
    if (process->kept) /* its successor runs already, and tells us */
        wait_forget(process);
    else
        process_ended(process);
}

static void proc_cancelled(void *context, uint64_t token)
{
    (void)context;
    if (!wait_cancel(token))
        signal_cancel(&table, token);
}

static int64_t proc_deadline(void *context)
{
    static uint64_t rounds;
    (void)context;
    table_settle(&table, kernel_now());
    if (++rounds == 2) /* one command or notification was seen to */
        recover_done();
    return alarm_next(&table);
}

static void proc_expired(void *context)
{
    (void)context;
    alarm_expire(&table);
}

static command_handler *const operations[SERVICE_OPERATIONS] = {
    [OP_OPEN] = proc_open,
    [OP_READ] = proc_read,
    [OP_STAT] = proc_stat,
    [OP_LIST] = proc_directory,
    [OP_READLINK] = proc_readlink,
    [OP_STATFS] = proc_statfs,
    [SERVICE_INDEX(PROC_FORK)] = proc_fork,
    [SERVICE_INDEX(PROC_EXEC)] = proc_exec,
    [SERVICE_INDEX(PROC_WAIT)] = proc_wait,
    [SERVICE_INDEX(PROC_KILL)] = proc_kill,
    [SERVICE_INDEX(PROC_SIGNALS)] = proc_signals,
    [SERVICE_INDEX(PROC_IDS)] = proc_ids,
    [SERVICE_INDEX(PROC_SETPGID)] = proc_setpgid,
    [SERVICE_INDEX(PROC_SETSID)] = proc_setsid,
    [SERVICE_INDEX(PROC_ADOPT)] = proc_adopt,
    [SERVICE_INDEX(PROC_MASKS)] = proc_masks,
    [SERVICE_INDEX(PROC_STOPPED)] = proc_stopped,
    [SERVICE_INDEX(PROC_LIST)] = proc_list,
    [SERVICE_INDEX(PROC_ALARM)] = proc_alarm,
    [SERVICE_INDEX(PROC_TERMINAL)] = proc_terminal,
    [SERVICE_INDEX(PROC_WATCH)] = proc_watch,
    [SERVICE_INDEX(PROC_SET_IDS)] = proc_set_ids,
};

int main(void)
{
    handle_t port = startup_require("port:proc");
    struct service service = {
        .port = port,
        .operations = operations,
        .notified = proc_notified,
        .cancelled = proc_cancelled,
        .closed = proc_closed,
        .deadline = proc_deadline,
        .expired = proc_expired,
    };
    uint64_t found = recover_table(&table, port);
    if (found)
        fprintf(stderr, "%" PRIu64 " processes found again\n", found);
    recover_processes(&table, process_ended);
    fprintf(stderr, "cannot serve: %s\n", error_text(service_run(&service, 1)));
    return 1;
}
