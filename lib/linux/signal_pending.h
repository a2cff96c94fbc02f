/* What waits to be delivered: with the thread, with the process, at procd. */
#pragma once

#include "lib/linux/signal.h"

#define KICK_LOCAL 2u /* thread->kick: something to deliver, nothing new at procd */

#define DEFAULT_IGNORE                                                                      \
    (SIGNAL_MASK(LINUX_SIGCHLD) | SIGNAL_MASK(LINUX_SIGURG) | SIGNAL_MASK(LINUX_SIGWINCH) | \
     SIGNAL_MASK(LINUX_SIGCONT))

static inline bool signal_ignored(int signal, uint64_t handler)
{
    return handler == LINUX_SIG_IGN ||
           (handler == LINUX_SIG_DFL && (SIGNAL_MASK(signal) & DEFAULT_IGNORE));
}

static inline uint64_t signal_deliverable(const struct thread *thread)
{
    return (thread->pending | thread->process->pending) & ~thread->mask;
}

/* Something may be deliverable: looked at on the way back to the program. */
void signal_note(struct thread *thread);

/* process->lock held, or the thread's own. The first of several equal ones is kept, as for all but real-time ones. */
void signal_post_thread(struct thread *thread, int signal, const struct signal_info *info);
/* process->lock held. Below SIGRTMIN several pending ones are one, with the info of the first; the others queue. */
void signal_post_locked(struct process *process, int signal, const struct signal_info *info);
/* Everything that waits at procd, which gives one of each real-time signal at a time. */
void signal_fetch(struct process *process);

/* The signal to deliver next, and what is to be done about it; 0: none. */
int signal_take(struct thread *thread, uint64_t wanted, struct signal_info *info,
                struct action *action) MUST_CHECK;
