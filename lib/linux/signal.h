/* Signals: what is pending, what is done about it.
 *
 * A signal for the process waits at procd, which kicks it; the kicked thread takes it from there into
 * process->pending. A signal for a thread waits in thread->pending. Whoever has made one deliverable sets the
 * thread's kick, and it is delivered on the way back to the program:
 *
 *     window: kick set --> signal_kicked --> take from procd --> for each deliverable one: ignore, end, stop, or push
 *     a frame for its handler (sigframe.c) --> window
 *
 * A call that a kick interrupted answers -RESTART_*; signal_interrupted turns it into a second try (rip goes back
 * to the syscall instruction, before any frame is built) or EINTR.
 */
#pragma once

#include "lib/linux/thread.h"

/* A signal of the thread's own doing; delivered when it returns to the program. */
void signal_raise(struct thread *thread, int signal, int code);
/* The CPU refuses to go on: delivered now, whatever the mask says; does not return if there is no handler. */
void signal_fault(struct thread *thread, int signal, int code, uint64_t address);
/* A page could not be had: the end. */
NORETURN void signal_no_memory(struct thread *thread);
void signal_kicked(struct thread *thread);
void signal_interrupted(struct thread *thread);
/* A mask for the time of one call: it goes back when the call ends, or into the frame of the handler that ends it. */
void signal_mask_swap(struct thread *thread, uint64_t mask);
void signal_mask_back(struct thread *thread);
/* Sets the mask and looks whether that lets something through. */
void signal_mask_set(struct thread *thread, uint64_t mask);
/* fork: what is pending is the parent's. */
void signal_forget(struct thread *thread);
/* exec: handlers become default actions. */
void signal_reset_handlers(struct process *process);

/* procd decides by what is ignored and caught whether a signal is worth keeping. process->lock held; the command waits for nobody. */
void signal_hint_locked(struct process *process);
/* As a stop signal does. The thread goes on when the process was continued; what came meanwhile was not announced. */
void signal_stop(struct thread *thread, int signal);
/* Does not return when another thread is to be the only one. */
void signal_leave(struct thread *thread);

/* sigframe.c: makes the program go on in a handler. -E_FAULT: the frame cannot be written. */
int sigframe_push(struct thread *thread, int signal, const struct signal_info *info,
                  const struct action *action) MUST_CHECK;
void siginfo_fill(struct linux_siginfo *to, int signal, const struct signal_info *from);
/* The FPU as a program finds it at its start. */
void fpu_reset(const struct process *process);

#define SIGNAL_MASK(signal) BIT((signal)-1)
#define SIGNALS_UNBLOCKABLE (SIGNAL_MASK(LINUX_SIGKILL) | SIGNAL_MASK(LINUX_SIGSTOP))
