/* wait4: answered at once, or held until a child changes.
 *
 * A waiter is a held command of a parent. Each change of a child is told to exactly one waiter, or kept in the
 * child (zombie, report_stop, report_continue) until the parent asks.
 *
 * When procd ends, held waits come again to the next instance, with the number they had. An end that was told, but whose
 * answer may not have reached the parent, stays in the child's record (told_by): whoever comes with that number is told
 * again. Stops and continuations are told at most once.
 */
#pragma once

#include "lib/sys/service.h"
#include "sbin/procd/process.h"

/* PROC_WAIT. COMMAND_HELD, 0 with the reply filled in, or -E_*. */
MUST_CHECK int64_t wait_command(struct table *table, struct process *caller,
                                struct command *command);

/* A child became a zombie, stopped or went on: a waiter of its parent is answered. A zombie that nobody will
 * ask for (its parent ignores SIGCHLD, or is init) is reaped: process may be gone afterwards. */
void wait_changed(struct table *table, struct process *process);

/* The held command with this token is returned as interrupted; false: no waiter has it. */
bool wait_cancel(uint64_t token);

/* Waiters of a process that ended. */
void wait_forget(const struct process *process);

/* Waiters that wait for nothing any more (the last child is gone) are answered E_NO_CHILD. */
void wait_check(struct table *table, struct process *parent);
