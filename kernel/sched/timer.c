/* Timers: see timer.h. */
#include "kernel/sched/timer.h"

#include "kernel/sched/sched.h"

void timer_want(uint64_t deadline)
{
    struct cpu *cpu = cpu_self();

    if (deadline < cpu->timer_programmed) {
        cpu->timer_programmed = deadline;
        arch_timer_set(deadline);
    }
}

static void insert_locked(struct cpu *cpu, struct timer *timer, uint64_t deadline)
{
    struct rb_node **place = &cpu->timers.root, *parent = NULL;

    timer->deadline = deadline;
    timer->cpu = cpu;
    timer->queued = true;
    while (*place) {
        parent = *place;
        place = deadline < container_of(parent, struct timer, node)->deadline ? &parent->left
                                                                              : &parent->right;
    }
    rb_insert(&cpu->timers, &timer->node, parent, place);
}

void timer_start(struct timer *timer, uint64_t deadline)
{
    struct cpu *cpu = cpu_self();

    lock_acquire(&cpu->timer_lock);
    insert_locked(cpu, timer, deadline);
    lock_release(&cpu->timer_lock);
    timer_want(deadline);
}

void timer_restart_locked(struct timer *timer, uint64_t deadline)
{
    insert_locked(cpu_self(), timer, deadline);
}

void timer_cancel(struct timer *timer)
{
    struct cpu *cpu = timer->cpu;

    if (!cpu)
        return;
    lock_acquire(&cpu->timer_lock);
    if (timer->queued)
        rb_remove(&cpu->timers, &timer->node);
    timer->queued = false;
    lock_release(&cpu->timer_lock);
}

void timer_interrupt(void)
{
    struct cpu *cpu = cpu_self();
    uint64_t now = arch_clock();
    struct timer *timer;

    cpu->timer_programmed = UINT64_MAX;
    sched_look(cpu); /* a slice may be over */
    lock_acquire(&cpu->timer_lock);
    while ((timer = rb_entry(rb_first(&cpu->timers), struct timer, node)) &&
           timer->deadline <= now) {
        rb_remove(&cpu->timers, &timer->node);
        timer->queued = false;
        timer->fire(timer);
    }
    uint64_t next = timer ? timer->deadline : UINT64_MAX;
    lock_release(&cpu->timer_lock);

    if (queue_length(cpu->queue))
        next = MIN(next, MAX(cpu->queue->slice_end, now + SLICE_NS / 8));
    if (next != UINT64_MAX) {
        /* Threads get as much of the CPU as the interrupt took, however short the periods of their timers are. */
        uint64_t end = arch_clock();

        timer_want(MAX(next, end + (end - now)));
    }
}
