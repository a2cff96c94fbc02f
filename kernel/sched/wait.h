/* Waiting, and being woken exactly once.
 *
 *     wait_prepare(WAIT_INTERRUPTIBLE);           from now on thread_wake finds the caller
 *     ...put the thread where others find it, under that thing's lock, and let go of the lock...
 *     result = wait_block(deadline);              sleeps unless woken meanwhile
 *     ...take it out again...
 *
 * result is what thread_wake was given, or -E_TIMED_OUT, or -E_INTERRUPTED (killed; or kicked, if interruptible: now,
 * or before and nobody has looked yet, see return.c).
 * Every wait ends when the thread is killed unless it says WAIT_UNKILLABLE, which is for waits that the kernel
 * itself bounds. thread_wake returns whether it was the one that ended the wait: whatever is handed over with the
 * wake belongs to the thread only then.
 * Lock: thread->lock (RANK_THREAD).
 */
#pragma once

#include "kernel/sched/thread.h"

#define WAIT_ARMED         0x1u
#define WAIT_INTERRUPTIBLE 0x2u
#define WAIT_UNKILLABLE    0x4u

void wait_prepare(uint32_t flags);
/* WAIT_* while it may be woken. Acquire: what it set up before it armed the wait is there (wait_park). */
static inline uint32_t thread_waits(const struct thread *thread)
{
    return __atomic_load_n(&thread->waiting, __ATOMIC_ACQUIRE);
}
/* thread->lock held; others may look without it. */
static inline void thread_wait_over(struct thread *thread)
{
    __atomic_store_n(&thread->waiting, 0, __ATOMIC_RELAXED);
}
int wait_block(uint64_t deadline) MUST_CHECK;
/* For short calls (ipc/short.h): the caller is BLOCKED and may be woken or claimed from here on, with no work of its own
 * looked at. It leaves the CPU, or calls wait_parked_call. */
static inline void wait_park(struct thread *self, struct register_frame *frame, uint32_t flags)
{
    thread_set_parked_call(self, frame);
    thread_set_state(self, THREAD_BLOCKED);
    __atomic_store_n(&self->waiting, WAIT_ARMED | flags, __ATOMIC_RELEASE);
}
/* Sleeps the scheduler's way, unless work keeps it from that; the result of the wait. */
int wait_parked_call(void) MUST_CHECK;
/* Undo wait_prepare without sleeping; false if somebody has woken the caller already. */
bool wait_abandon(void);
bool thread_wake(struct thread *thread, int result, unsigned sched_flags);
/* Wait while WORK_SUSPEND is set, until thread_resume or a kill. */
void wait_parked(void);

/* Deadlines of the ABI: negative and 0 have passed, INT64_MAX never does. */
static inline uint64_t wait_deadline(int64_t deadline)
{
    return deadline == DEADLINE_NEVER ? UINT64_MAX : deadline < 0 ? 0 : (uint64_t)deadline;
}

/* ... where 0 in a zeroed structure stands for never. */
static inline uint64_t wait_deadline_or_never(int64_t deadline)
{
    return deadline == 0 ? UINT64_MAX : wait_deadline(deadline);
}
