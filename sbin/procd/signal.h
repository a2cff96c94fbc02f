/* Signals between processes: which are kept, which act here, who is kicked to fetch its own.
 *
 * SIGKILL, SIGSTOP and SIGCONT act here, by the process's handle, so that they work on a process that answers
 * nothing. All others stay pending until the process's personality takes them (PROC_SIGNALS): it knows the
 * handlers and masks. What is ignored by default and not caught is dropped, what is blocked is kept without a kick.
 * Standard signals are pending once, real-time signals queue (SIGNAL_QUEUE_MAX; then -E_AGAIN).
 */
#pragma once

#include "lib/sys/service.h"
#include "sbin/procd/process.h"

#define SIGNAL_QUEUE_MAX 4096u

/* Sends info->signal to one process. 0, or -E_AGAIN. */
int64_t signal_send(struct table *table, struct process *process, const struct proc_siginfo *info);

/* To every member of a group; how many there were. */
uint64_t signal_send_group(struct table *table, int32_t pgid, const struct proc_siginfo *info);

/* Takes up to room of the pending signals in mask, lowest first; *taken: which. The count. A second call with the same
 * number (not 0) gets the same answer: the first one's was lost with the procd before. */
size_t signal_take(struct table *table, struct process *process, uint64_t mask, uint64_t number,
                   struct proc_siginfo *infos, size_t room, uint64_t *taken);

/* The command waits until a signal is pending; one before it is answered. COMMAND_HELD. */
int64_t signal_hold(struct process *process, const struct command *command);

/* The held command with this token is returned as interrupted. */
void signal_cancel(struct table *table, uint64_t token);

/* kill(2): pid as there. 0, -E_NO_PROCESS, -E_PERMISSION, -E_INVALID. */
MUST_CHECK int64_t signal_kill(struct table *table, struct process *caller, int32_t pid,
                               struct proc_siginfo *info);

/* The process stops by this signal (it told so, or SIGSTOP): suspended, its parent told. */
void process_stop(struct table *table, struct process *process, uint32_t signal);

/* SIGCHLD for a child's end, by its wait status; once. */
void parent_notify_end(struct table *table, struct process *child);

/* SIGCHLD for what became of child (a CLD_ code of Linux). */
void parent_notify(struct table *table, const struct process *child, int32_t code, int64_t value);

/* Groups that the end of this process orphans, if a member of them is stopped: SIGHUP and SIGCONT (POSIX
 * _exit). `orphaned_before` is what group_orphaned said of its children's groups before. */
void group_hang_up(struct table *table, int32_t pgid);

enum child_code {
    CHILD_EXITED = 1,
    CHILD_KILLED = 2,
    CHILD_DUMPED = 3,
    CHILD_STOPPED = 5,
    CHILD_CONTINUED = 6,
};
