/* Threads of the process: their areas, their list. */
#pragma once

#include "lib/linux/thread.h"

void thread_started(struct thread *thread); /* entry.S: a new thread's first steps */
/* After fork: the caller is the only one. */
void threads_only(struct thread *thread);
/* exec: ends every other thread and waits until they are gone. */
void threads_end_others(struct thread *thread);
/* The thread with that tid, process->lock held; NULL. */
struct thread *thread_find_locked(struct process *process, int32_t tid);
/* exit: status becomes the process's if this was the last thread. */
NORETURN void thread_end(struct thread *thread, uint32_t status);
/* Makes a thread look at its signals. */
void thread_kick(struct thread *self, struct thread *target);
