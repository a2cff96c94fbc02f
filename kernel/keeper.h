/* The process that comes back: the first service supervises all others, and the kernel supervises it.
 *
 *     keeper_set(process)             a process that was filled and has not run yet
 *     keeper_process_gone(process)    it has ended: if it is the one, a copy of what it was at first runs in its place
 *
 * What is kept is a copy of the process from before its first instruction: its space (copied on write, so it
 * costs page tables), its handles, its namespace. A handle to itself names the successor in the successor. What it
 * made since then it finds with its port (ipc/keep.c) or it is lost. Policy is all in these lines: it comes back for
 * ever, after a pause that doubles from 10 ms to 5 s while it does not live for 10 s.
 */
#pragma once

#include "kernel/process.h"

/* -E_BUSY: there is one already, or the process runs; -E_NO_PROCESS: it has no thread. */
int keeper_set(struct process *process) MUST_CHECK;

bool keeper_keeps(const struct process *process);

/* On the dying process's last thread. Waits when memory is short, and for the pause. */
void keeper_process_gone(struct process *process);
