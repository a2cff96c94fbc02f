/* The CPU straight from a caller to its worker and back: no scheduler, no queue.
 *
 *     hand_over_command(command, ...)     the caller of any command to a worker that is parked on this CPU
 *     hand_over_notification(port, bits)  who notifies, to a parked worker: it has accepted, and runs when the caller waits
 *     hand_over_answer(command, ...)      that worker, parked again, to a caller that waits in the kernel
 *
 * short.h has the road on which both sides are in a short call, with nothing on their kernel stacks. Here the caller may
 * be anywhere in the kernel: in a fault, an exception, a call with structures. It keeps its stack, and goes on there when it
 * is switched back to, by the worker's answer or by the scheduler. Who may be claimed, and the races: short.h.
 */
#pragma once

#include "kernel/ipc/port.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/wait.h"

struct register_frame;

/* Nothing of this CPU or the calling thread wants to be seen to before another thread runs. */
static inline bool quiet(const struct cpu *cpu, const struct thread *self)
{
    return likely(!__atomic_load_n(&cpu->attention, __ATOMIC_RELAXED) &&
                  !__atomic_load_n(&self->attention, __ATOMIC_RELAXED));
}

/* It ranks as the caller does, and may be on this CPU. Its lock is held. */
static inline bool claimable(const struct thread *thread, const struct thread *self,
                             const struct cpu *cpu)
{
    return likely(thread_priority(thread) == thread_priority(self) && sched_allowed(thread, cpu));
}

/* The thread is ours if it waits in a short call and is claimable; its frame. RUNNING from here on, so that whoever has
 * work for it interrupts this CPU. It was on this CPU when the caller looked, under a lock without which it does not park again (the
 * port's for a command's caller, notify_lock for a worker): it still is if it is parked, for only who wakes it moves it. */
static inline struct register_frame *claim(struct thread *thread, const struct thread *self,
                                           const struct cpu *cpu)
{
    lock_acquire(&thread->lock);
    struct register_frame *frame = thread_parked_call(thread);
    if (likely(frame && claimable(thread, self, cpu))) {
        thread_set_parked_call(thread, NULL);
        thread_wait_over(thread);
        thread_set_state(thread, THREAD_RUNNING);
    } else {
        frame = NULL;
    }
    lock_release(&thread->lock);
    return frame;
}

/* Claimed, but it is to take its slow road after all: as if woken; a worker with the command that is its own now, NULL
 * for a caller. */
void unclaim(struct thread *thread, struct command *command);

/* The command goes to a parked worker of the server (NULL: of any) on this CPU, and so does the CPU. False: there is none,
 * nothing was done. True: it was sent; *woken is the result of the caller's wait. No locks held. */
bool hand_over_command(struct command *command, struct request *request, struct port *port,
                       struct file *file, uint32_t wait_flags, int *woken);

/* An idle worker that is parked on this CPU accepts the bits (port_notify) on the spot, in its registers, and is READY:
 * it goes on at once if it outranks the caller, else when the caller waits (SCHED_SYNC). False: there is none, nothing was done.
 * notify_lock held; puts the worker's reference to the port, of which the caller has one. */
bool hand_over_notification(struct port *port, uint64_t bits);
/* Whom the CPU was handed by that, if nobody comes before it; its frame is ->answered. The caller, parked, leaves to it. */
static inline struct thread *answered_next(struct cpu *cpu)
{
    struct thread *next = cpu->handed;

    if (unlikely(!next || !next->answered ||
                 __atomic_load_n(&cpu->queue->levels, __ATOMIC_RELAXED)))
        return NULL;
    cpu_hand(cpu, NULL);
    /* As in sched_switch: its work is read on the way to user mode. */
    __atomic_store_n(&next->state, THREAD_RUNNING, __ATOMIC_SEQ_CST);
    return next;
}

/* A parked worker's answer to a caller that waits in the kernel: the command completes, and the CPU goes to its caller. Returns
 * false if that is not to be claimed: nothing was done. True: it completed and its port is unlocked, but the worker has
 * work of its own. Port locked; frame: the worker's. */
bool hand_over_answer(struct port *port, struct command *command, struct register_frame *frame,
                      const struct abi_return *result, int64_t status);
