/* Choosing and switching: see sched.h. */
#include "kernel/sched/sched.h"

#include "abi/errors.h"
#include "kernel/panic.h"
#include "kernel/sched/idle.h"
#include "kernel/sched/timer.h"
#include "kernel/vmm/heap.h"

int sched_cpu_init(struct cpu *cpu)
{
    cpu->queue = heap_alloc(sizeof(*cpu->queue));
    if (!cpu->queue)
        return -E_NO_MEMORY;
    queue_init(cpu->queue);
    lock_init(&cpu->timer_lock, RANK_TIMER, "timers");
    cpu->timer_programmed = UINT64_MAX;
    return 0;
}

/* Where a thread that became ready should run. */
static struct cpu *place(struct thread *thread, unsigned flags)
{
    struct cpu *last = thread_cpu(thread);

    if (cpu_count == 1)
        return cpu_self();
    if (__atomic_load_n(&thread->on_cpu, __ATOMIC_ACQUIRE))
        return last;
    if ((flags & SCHED_SYNC) && sched_allowed(thread, cpu_self()))
        return cpu_self();
    if (last && sched_allowed(thread, last) && idle_is(last))
        return last;

    struct cpu *idle = idle_find(__atomic_load_n(&thread->affinity, __ATOMIC_RELAXED));

    if (idle)
        return idle;
    if (last && last->online && sched_allowed(thread, last))
        return last;
    if (sched_allowed(thread, cpu_self()))
        return cpu_self();
    for (uint32_t i = 0; i < cpu_count; i++)
        if (sched_allowed(thread, cpus[i]))
            return cpus[i];
    return cpu_self(); /* affinity to CPUs that do not exist is refused when it is set */
}

/* The fair class's clock follows whoever is furthest behind, the running thread included; else a thread that ran
 * alone for long would owe all that time to the next one to arrive. */
static void advance_floor(struct cpu_queue *queue, const struct thread *running)
{
    struct thread *first = rb_entry(rb_first(&queue->fair), struct thread, queue_node);
    uint64_t least = queue->virtual_floor;

    if (running->process && thread_priority(running) == PRIORITY_FAIR)
        least = running->virtual_time;
    if (first)
        least = MIN(least, first->virtual_time);
    queue->virtual_floor = MAX(queue->virtual_floor, least);
}

static void set_cpu(struct thread *thread, struct cpu *cpu)
{
    __atomic_store_n(&thread->cpu, cpu, __ATOMIC_RELAXED);
}

static void enqueue(struct thread *thread, unsigned flags)
{
    struct cpu *cpu = place(thread, flags);
    bool local = cpu == cpu_self(), preempts = false;

    lock_acquire(&cpu->queue->lock);
    if (local) {
        sched_charge(cpu);
        advance_floor(cpu->queue, cpu->current);
    }
    if (thread_cpu(thread) != cpu) {
        /* virtual times of different queues do not compare */
        thread->virtual_time = cpu->queue->virtual_floor;
        set_cpu(thread, cpu);
    }
    queue_insert(cpu->queue, thread);
    if (local)
        preempts = queue_outranks(thread, cpu->current);
    lock_release(&cpu->queue->lock);

    if (local) {
        if (preempts &&
            (!(flags & SCHED_SYNC) || thread_priority(thread) != thread_priority(cpu->current)))
            sched_look(cpu);
        else if (preempts)
            timer_want(arch_clock() + SYNC_NS);
        else
            timer_want(cpu->queue->slice_end);
        return;
    }
    /* Even without preemption: the other CPU must start its slice timer now that somebody waits. */
    sched_nudge(cpu);
}

/* The caller may go on for SYNC_NS at most. What the timer was set to for that is good until it fires. */
static void want_sync(struct cpu *cpu)
{
    if (cpu->timer_programmed <= cpu->queue->sync_until)
        return;
    cpu->queue->sync_until = arch_clock() + SYNC_NS;
    timer_want(cpu->queue->sync_until);
}

void sched_ready(struct thread *thread, unsigned flags)
{
    struct cpu *cpu = cpu_self();

    thread_set_state(thread, THREAD_READY);
    if (flags && !cpu->handed && sched_allowed(thread, cpu) &&
        !__atomic_load_n(&thread->on_cpu, __ATOMIC_ACQUIRE)) {
        cpu_hand(cpu, thread);
        /* Unless the caller blocks, it is queued at the return to user mode, or a little later. */
        if ((flags & SCHED_SYNC) && thread_priority(thread) <= thread_priority(cpu->current))
            want_sync(cpu);
        else
            sched_look(cpu);
        return;
    }
    enqueue(thread, flags);
}

void sched_flush_handoff(void)
{
    struct thread *next = cpu_self()->handed;

    if (next) {
        cpu_hand(cpu_self(), NULL);
        enqueue(next, 0);
    }
}

struct thread *sched_steal(struct cpu *cpu)
{
    for (uint32_t i = 1; i < cpu_count; i++) {
        struct cpu *victim = cpus[(cpu->index + i) % cpu_count];

        if (!victim->online || !queue_length(victim->queue))
            continue;
        lock_acquire(&victim->queue->lock);
        struct thread *thread = queue_steal(victim->queue, cpu->index);
        lock_release(&victim->queue->lock);
        if (thread) {
            thread->virtual_time = cpu->queue->virtual_floor;
            return thread;
        }
    }
    return NULL;
}

/* How a thread leaves the CPU: READY ones go back to the queue. */
enum leaving {
    LEAVES_BLOCKED,
    LEAVES_READY,
    LEAVES_YIELDING, /* READY, and behind the first of its equals */
};

/* The order of the fair class is virtual time: what the caller lacks to come behind the first there counts as used. */
static inline void step_back(struct cpu_queue *queue, struct thread *self)
{
    struct thread *first = rb_entry(rb_first(&queue->fair), struct thread, queue_node);

    if (first && thread_priority(self) == PRIORITY_FAIR)
        self->virtual_time = MAX(self->virtual_time, first->virtual_time + 1);
}

/* Who is next in this CPU's queue, with the leaving thread charged: a queue is in the order of virtual time, and the thread
 * may stand in it by now, woken by another CPU since it blocked. NULL: nobody waits. */
static struct thread *turn(struct cpu *cpu, struct thread *self, enum leaving how)
{
    struct cpu_queue *queue = cpu->queue;
    struct thread *next = cpu->handed;

    lock_acquire(&queue->lock);
    if (unlikely(self->queued)) {
        queue_remove(queue, self);
        how = LEAVES_READY;
    }
    sched_charge(cpu);
    if (how == LEAVES_YIELDING)
        step_back(queue, self);
    if (how != LEAVES_BLOCKED)
        queue_insert(queue, self);
    if (!next) {
        next = queue_pick(queue);
    } else if (unlikely(queue->levels &&
                        thread_priority(next) <= 31u - (uint32_t)__builtin_clz(queue->levels))) {
        set_cpu(next, cpu); /* it was handed over, or stolen */
        queue_insert(queue, next);
        next = queue_pick(queue);
    }
    lock_release(&queue->lock);
    return next;
}

/* The slice goes with a CPU that is handed over. */
static struct thread *choose(struct cpu *cpu, struct thread *self, enum leaving how)
{
    bool handed = cpu->handed != NULL;
    struct thread *next = turn(cpu, self, how);

    cpu_hand(cpu, NULL);
    if (handed)
        return next;
    if (!next) /* it looks at the other queues, once it has announced itself; a look here would only be one more */
        return cpu->idle;
    cpu->queue->slice_end = arch_clock() + SLICE_NS;
    return next;
}

/* The caller leaves the CPU. */
static inline void leave(struct cpu *cpu, struct thread *self, enum leaving how)
{
    /* Before choosing: what is queued after the choice sets it again. */
    sched_looking(cpu);

    struct thread *next = choose(cpu, self, how);

    if (queue_length(cpu->queue))
        timer_want(cpu->queue->slice_end);
    if (next == self) {
        thread_set_state(self, THREAD_RUNNING);
        return;
    }
    if (unlikely(!sched_allowed(
            next, cpu))) /* its affinity changed while it left: it moves on before user mode */
        sched_look(cpu);
    set_cpu(next, cpu);
    next->on_cpu = 1;
    /* Sequentially consistent, and its work is read on the way to user mode: thread_post_work writes that and reads
     * this, so one of the two sees the other's. */
    __atomic_store_n(&next->state, THREAD_RUNNING, __ATOMIC_SEQ_CST);
    cpu->current = next;
    cpu->context_switches++;
    arch_switch(self, next);
}

void sched_switch(void)
{
    struct cpu *cpu = cpu_self();

    leave(cpu, cpu->current, LEAVES_BLOCKED);
}

/* On the new thread's stack: the previous one is off its own. */
void sched_switched(struct thread *previous)
{
    bool dead = __atomic_load_n(&previous->state, __ATOMIC_RELAXED) == THREAD_DEAD;

    bool migrates = previous->migrating;

    previous->migrating = false;
    __atomic_store_n(&previous->on_cpu, 0, __ATOMIC_RELEASE);
    if (unlikely(dead))
        thread_reap(previous);
    else if (unlikely(migrates))
        enqueue(previous, 0);
}

/* The caller goes behind its equals. */
void sched_yield(void)
{
    struct cpu *cpu = cpu_self();
    struct thread *self = cpu->current;

    if (!queue_length(cpu->queue) && !cpu->handed)
        return;
    sched_flush_handoff();
    if (self == cpu->idle) {
        sched_switch();
        return;
    }
    thread_set_state(self, THREAD_READY);
    leave(cpu, self, LEAVES_YIELDING);
}

/* The caller may no longer run here: it is queued elsewhere once it is off its stack. */
static void migrate(struct thread *self)
{
    self->migrating = true;
    thread_set_state(self, THREAD_READY);
    sched_switch();
}

/* Threads wait here while another CPU idles: wake it, and it takes one. */
static void share(struct cpu_queue *queue)
{
    if (queue_length(queue))
        sched_rouse();
}

/* need_resched was set: give way if somebody outranks the caller or its slice is over. */
void sched_preempt(void)
{
    struct cpu *cpu = cpu_self();
    struct cpu_queue *queue = cpu->queue;
    struct thread *self = cpu->current;

    sched_looking(cpu); /* before looking at the queue, as in sched_switch */
    sched_flush_handoff();
    if (unlikely(!sched_allowed(self, cpu))) {
        migrate(self);
        return;
    }
    if (!queue_length(queue))
        return;

    bool slice_over = arch_clock() >= queue->slice_end, give_way = slice_over;

    sched_charge(cpu);
    lock_acquire(&queue->lock);
    if (!queue->length) { /* stolen meanwhile */
        give_way = false;
    } else if (queue->levels) {
        uint32_t top = 32u - (uint32_t)__builtin_clz(queue->levels);
        uint32_t own = thread_priority(self);

        give_way = top > own || (give_way && top == own);
    } else if (thread_priority(self) != PRIORITY_FAIR) {
        give_way = false;
    } else {
        struct thread *first = rb_entry(rb_first(&queue->fair), struct thread, queue_node);

        give_way = give_way || queue_outranks(first, self);
        advance_floor(queue, self);
    }
    lock_release(&queue->lock);
    if (slice_over)
        share(queue);
    if (give_way) {
        thread_set_state(self, THREAD_READY);
        leave(cpu, self, LEAVES_READY);
        return;
    }
    if (slice_over) /* it outranks all that wait */
        queue->slice_end = arch_clock() + SLICE_NS;
    timer_want(queue->slice_end);
}

static void set_rank(struct thread *thread, uint32_t priority, uint32_t weight)
{
    __atomic_store_n(&thread->priority, priority, __ATOMIC_RELAXED);
    __atomic_store_n(&thread->weight, weight, __ATOMIC_RELAXED);
}

/* Changes where a queued thread stands: out, change, in. */
void sched_set_priority(struct thread *thread, uint32_t priority, uint32_t weight)
{
    for (;;) {
        struct cpu *cpu = __atomic_load_n(&thread->cpu, __ATOMIC_ACQUIRE);

        if (!cpu) { /* never ran */
            set_rank(thread, priority, weight);
            return;
        }
        lock_acquire(&cpu->queue->lock);
        /* In this order: whoever queues it elsewhere meanwhile writes them in the other. */
        bool queued = __atomic_load_n(&thread->queued, __ATOMIC_ACQUIRE);

        if (thread_cpu(thread) != cpu) { /* stolen meanwhile */
            lock_release(&cpu->queue->lock);
            continue;
        }
        if (queued)
            queue_remove(cpu->queue, thread);
        set_rank(thread, priority, weight);
        if (queued)
            queue_insert(cpu->queue, thread);
        lock_release(&cpu->queue->lock);
        if (cpu == cpu_self())
            sched_look(cpu);
        return;
    }
}

/* Takes effect when the thread next comes past the scheduler, at once if it runs. */
void sched_set_affinity(struct thread *thread, uint64_t mask)
{
    __atomic_store_n(&thread->affinity, mask, __ATOMIC_RELAXED);

    struct cpu *cpu = thread_cpu(thread);

    if (!cpu || sched_allowed(thread, cpu))
        return;
    if (cpu == cpu_self())
        sched_look(cpu);
    else
        sched_nudge(cpu);
}

uint64_t sched_cpu_time(struct thread *thread)
{
    if (thread == thread_current())
        sched_charge(cpu_self());

    uint64_t cycles = __atomic_load_n(&thread->cpu_time, __ATOMIC_RELAXED);

    uint64_t hz = arch_cycles_hz();

    return cycles / hz * 1000000000u + cycles % hz * 1000000000u / hz;
}
