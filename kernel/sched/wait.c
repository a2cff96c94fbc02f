/* Waiting: see wait.h. */
#include "kernel/sched/wait.h"

#include "abi/errors.h"
#include "kernel/circle.h"
#include "kernel/panic.h"
#include "kernel/sched/return.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/timer.h"

struct wait_timer {
    struct timer timer;
    struct thread *thread;
};

static void wait_timer_fire(struct timer *timer)
{
    thread_wake(container_of(timer, struct wait_timer, timer)->thread, -E_TIMED_OUT, 0);
}

void wait_prepare(uint32_t flags)
{
    __atomic_store_n(&thread_current()->waiting, WAIT_ARMED | flags, __ATOMIC_RELEASE);
}

bool wait_abandon(void)
{
    struct thread *self = thread_current();

    lock_acquire(&self->lock);
    bool mine = thread_waits(self) != 0;
    thread_wait_over(self);
    lock_release(&self->lock);
    return mine;
}

static bool interrupted(const struct thread *thread)
{
    uint32_t work = __atomic_load_n(&thread->work, __ATOMIC_SEQ_CST);

    if ((work & WORK_KILL) && !(thread_waits(thread) & WAIT_UNKILLABLE))
        return true;
    return (work & WORK_KICK) && (thread_waits(thread) & WAIT_INTERRUPTIBLE);
}

/* The caller is BLOCKED from here on: suspended meanwhile, it may have been the last of its process that could run. */
static void sleep_now(const struct thread *self)
{
    if (unlikely(thread_has_work(self, WORK_SUSPEND)))
        circle_suspect();
    sched_switch();
}

int wait_block(uint64_t deadline)
{
    struct thread *self = thread_current();
    struct wait_timer timer = {.timer = {.fire = wait_timer_fire}, .thread = self};
    bool timed = deadline != UINT64_MAX;
    /* Nothing more is latched from here on: that is done on the way to user mode. */
    bool kicked = unlikely(self->latched) && (thread_waits(self) & WAIT_INTERRUPTIBLE) &&
                  return_kick_latched();

    if (timed)
        timer_start(&timer.timer, deadline);
    lock_acquire(&self->lock);
    if (thread_waits(self) && (kicked || interrupted(self))) {
        thread_set_parked_call(self, NULL);
        thread_wait_over(self);
        self->wait_result = -E_INTERRUPTED;
    }
    bool sleep = thread_waits(self) != 0;
    if (sleep)
        thread_set_state(self, THREAD_BLOCKED);
    lock_release(&self->lock);
    if (sleep)
        sleep_now(self);
    if (timed)
        timer_cancel(&timer.timer);
    return self->wait_result;
}

int wait_parked_call(void)
{
    struct thread *self = thread_current();

    lock_acquire(&self->lock);
    bool stay = thread_waits(self) && interrupted(self);
    if (stay) {
        thread_set_parked_call(self, NULL);
        thread_wait_over(self);
        self->wait_result = -E_INTERRUPTED;
        thread_set_state(self, THREAD_RUNNING);
    }
    lock_release(&self->lock);
    if (!stay) /* if it was woken already, it is in this CPU's queue */
        sleep_now(self);
    return self->wait_result;
}

static bool wake_locked(struct thread *thread, int result, unsigned sched_flags)
{
    if (!thread_waits(thread))
        return false;
    thread_wait_over(thread);
    thread_set_parked_call(thread, NULL);
    thread->wait_result = result;
    if (__atomic_load_n(&thread->state, __ATOMIC_RELAXED) == THREAD_BLOCKED)
        sched_ready(thread, sched_flags);
    return true;
}

bool thread_wake(struct thread *thread, int result, unsigned sched_flags)
{
    lock_acquire(&thread->lock);
    bool mine = wake_locked(thread, result, sched_flags);
    lock_release(&thread->lock);
    return mine;
}

/* process_stopped looks without the lock. */
static void set_parked(struct thread *self, bool parked)
{
    __atomic_store_n(&self->parked, parked, __ATOMIC_RELAXED);
}

void wait_parked(void)
{
    struct thread *self = thread_current();

    lock_acquire(&self->lock);

    bool stay = __atomic_load_n(&self->work, __ATOMIC_SEQ_CST) & WORK_SUSPEND;

    set_parked(self, stay);
    if (stay)
        wait_prepare(0);
    lock_release(&self->lock);
    if (!stay)
        return;
    circle_suspect();             /* it may have been the last that could run */
    if (wait_block(UINT64_MAX)) { /* killed: the caller looks */
    }
    lock_acquire(&self->lock);
    set_parked(self, false);
    lock_release(&self->lock);
}

/* Under the lock, so that it wakes the thread from being parked and from no later wait. */
void thread_resume(struct thread *thread)
{
    lock_acquire(&thread->lock);
    __atomic_fetch_and(&thread->work, ~WORK_SUSPEND, __ATOMIC_SEQ_CST);
    if (thread->parked)
        wake_locked(thread, 0, 0);
    lock_release(&thread->lock);
}

/* Killed, kicked or suspended: end its wait if that may be, and make it look at its work soon. */
void thread_post_work(struct thread *thread, uint32_t work)
{
    __atomic_fetch_or(&thread->work, work, __ATOMIC_SEQ_CST);
    lock_acquire(&thread->lock);
    if (interrupted(thread))
        wake_locked(thread, -E_INTERRUPTED, 0);
    /* As sched_switch has it: where it runs is known before that it does. */
    bool runs = __atomic_load_n(&thread->state, __ATOMIC_SEQ_CST) == THREAD_RUNNING;
    struct cpu *cpu = runs ? thread_cpu(thread) : NULL;
    lock_release(&thread->lock);
    if (cpu && cpu != cpu_self())
        arch_cpu_kick(cpu);
}
