/* The scheduler: per-CPU run queues, real-time priorities above a fair class.
 *
 *     sched_cpu_init(cpu)               once per CPU, before it runs threads
 *     sched_ready(thread, flags)        a thread that may run: queued, or handed the CPU (SCHED_HANDOFF)
 *     sched_switch()                    the caller, no longer runnable, leaves the CPU
 *     sched_yield(), sched_preempt()    the caller stays runnable
 *     sched_idle()                      what an idle CPU does, for ever (idle.h)
 *
 * Each CPU has 31 FIFO levels (a bitmap finds the highest) above a fair class ordered by virtual time. Waking a
 * thread puts it on an idle CPU it may use, best the one it ran on, else on its own CPU's queue, and preempts what
 * ranks lower. An idle CPU takes work from another's queue, and is woken for that by a CPU whose slice ends while
 * threads wait for it. No tick: the timer is set only while
 * somebody waits for the CPU.
 *
 * Handing over (the relay's direct switch): sched_ready with SCHED_HANDOFF parks the thread in cpu->handed
 * instead of a queue; when the caller then blocks, it runs at once on the rest of the caller's slice. If the
 * caller does not block after all, it is queued as usual at the caller's return to user mode; with SCHED_SYNC, which
 * streams use, after SYNC_NS.
 *
 * A thread that is still on its stack (on_cpu) is only ever queued on the CPU it is leaving and is not stolen, so
 * nobody spins for a stack:
 *
 *     CPU 0: X blocks, still in sched_switch      CPU 1: wakes X
 *       ...                                         X->on_cpu: queue X on CPU 0
 *       sched_switched(X): X->on_cpu = 0            kick CPU 0
 *
 * Locks: queue->lock (RANK_QUEUE) for the queue and the queue fields of its threads. At most one at a time.
 */
#pragma once

#include "kernel/sched/thread.h"

struct cpu_queue {
    struct lock lock;
    uint32_t levels; /* bit p-1: realtime[p-1] is not empty; read without the lock, as length */
    struct list realtime[PRIORITY_MAX];
    struct rb_tree fair;    /* by virtual_time */
    uint64_t virtual_floor; /* virtual time of the fair class: new arrivals start here */
    uint32_t length;
    /* the CPU's own, no lock */
    uint64_t slice_end;  /* arch_clock() */
    uint64_t sync_until; /* the timer fires by then, if it is set to anything sooner */
};

#define SCHED_HANDOFF 0x1u
#define SCHED_SYNC \
    0x2u /* the waker is likely to wait soon: hand over then, and preempt no equal before */

#define SLICE_NS UINT64_C(4000000)
#define SYNC_NS  UINT64_C(1000000) /* how long a waker that was expected to wait may go on instead */

int sched_cpu_init(struct cpu *cpu) MUST_CHECK;
void sched_ready(struct thread *thread, unsigned flags);
void sched_switch(void);
void sched_switched(struct thread *previous);
void sched_yield(void);
void sched_preempt(void);
void sched_flush_handoff(void);
struct thread *sched_steal(struct cpu *cpu); /* from another CPU's queue; NULL: nothing there */
void sched_set_priority(struct thread *thread, uint32_t priority, uint32_t weight);
void sched_set_affinity(struct thread *thread, uint64_t mask);
uint64_t sched_cpu_time(struct thread *thread); /* ns */

static inline bool sched_allowed(const struct thread *thread, const struct cpu *cpu)
{
    uint64_t affinity = __atomic_load_n(&thread->affinity, __ATOMIC_RELAXED);

    return !affinity || (cpu->index < 64 && (affinity & BIT(cpu->index)));
}

/* Whether there is anything in a queue that is not locked: a hint, unless fences say more. */
static inline uint32_t queue_length(const struct cpu_queue *queue)
{
    return __atomic_load_n(&queue->length, __ATOMIC_RELAXED);
}

/* The calling CPU is to look whom to run on its way to user mode. */
static inline void sched_look(struct cpu *cpu)
{
    __atomic_store_n(&cpu->need_resched, RESCHED_WANTED, __ATOMIC_RELAXED);
}

/* It looks now: who has queued something and found RESCHED_WANTED set has been seen to. Acquires what he released. */
static inline void sched_looking(struct cpu *cpu)
{
    __atomic_exchange_n(&cpu->need_resched, 0, __ATOMIC_SEQ_CST);
}

static inline void queue_charge(struct thread *thread, uint64_t cycles)
{
    __atomic_store_n(&thread->cpu_time, thread->cpu_time + cycles, __ATOMIC_RELAXED);
    if (likely(thread_priority(thread) == PRIORITY_FAIR)) {
        uint32_t weight = thread_weight(thread);

        thread->virtual_time +=
            likely(weight == WEIGHT_USUAL) ? cycles : cycles * WEIGHT_USUAL / weight;
    }
}

/* Charge the CPU's time since it was last charged to who has it now: the threads that handed it to each other meanwhile
 * shared it as one. */
static inline void sched_charge(struct cpu *cpu)
{
    uint64_t now = arch_cycles();

    queue_charge(cpu->current, now - cpu->charged_at);
    cpu->charged_at = now;
}

/* queue.c: the queue's lock is held */
void queue_init(struct cpu_queue *queue);
void queue_insert(struct cpu_queue *queue, struct thread *thread);
void queue_remove(struct cpu_queue *queue, struct thread *thread);
struct thread *queue_pick(struct cpu_queue *queue); /* removes it; NULL: empty */
struct thread *queue_steal(struct cpu_queue *queue, uint32_t cpu);
bool queue_outranks(const struct thread *a, const struct thread *b); /* a should preempt b */
