/* Timers: see timer.h; and the timer object programs set. */
#include "kernel/sched/timer.h"

#include "abi/errors.h"
#include "kernel/handle.h"
#include "kernel/sched/sched.h"
#include "kernel/syscall.h"
#include "kernel/types.h"
#include "kernel/vmm/heap.h"

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
    cpu->need_resched = 1; /* a slice may be over */
    lock_acquire(&cpu->timer_lock);
    while ((timer = rb_entry(rb_first(&cpu->timers), struct timer, node)) &&
           timer->deadline <= now) {
        rb_remove(&cpu->timers, &timer->node);
        timer->queued = false;
        timer->fire(timer);
    }
    uint64_t next = timer ? timer->deadline : UINT64_MAX;
    lock_release(&cpu->timer_lock);

    if (cpu->queue->length)
        next = MIN(next, MAX(cpu->queue->slice_end, now + SLICE_NS / 8));
    if (next != UINT64_MAX) {
        /* Threads get as much of the CPU as the interrupt took, however short the periods of their timers are. */
        uint64_t end = arch_clock();

        timer_want(MAX(next, end + (end - now)));
    }
}

/* --- Timer objects ------------------------------------------------------------------------------------
 * `set` serialises timer_set and the last close; a periodic timer restarts itself from fire. */

struct timer_object {
    struct object object;
    struct lock set; /* RANK_FILE */
    struct timer timer;
    uint64_t period;
};

static struct cache timer_cache = CACHE_INIT("timer", sizeof(struct timer_object), 16);

static void timer_object_fire(struct timer *timer)
{
    struct timer_object *object = container_of(timer, struct timer_object, timer);

    if (object->period) {
        uint64_t now = arch_clock();
        uint64_t missed = (now - timer->deadline) / object->period;

        insert_locked(cpu_self(), timer, timer->deadline + (missed + 1) * object->period);
    }
    object_signal(&object->object, SIGNAL_READABLE, 0);
}

int64_t sys_timer_create(void)
{
    struct timer_object *object = cache_alloc(&timer_cache);

    if (!object)
        return -E_NO_MEMORY;
    object_init(&object->object, OBJECT_TIMER);
    lock_init(&object->set, RANK_FILE, "timer");
    object->timer.fire = timer_object_fire;
    return handle_return(&object->object,
                         RIGHT_CONTROL | RIGHT_WAIT | RIGHT_DUPLICATE | RIGHT_TRANSFER);
}

int64_t sys_timer_set(struct object *object, int64_t deadline, uint64_t period)
{
    struct timer_object *timer = container_of(object, struct timer_object, object);

    if (deadline < 0 || (period && period < 1000) || period > INT64_MAX)
        return -E_INVALID;
    lock_acquire(&timer->set);
    timer_cancel(&timer->timer);
    object_signal(object, 0, SIGNAL_READABLE);
    timer->period = period;
    if (deadline)
        timer_start(&timer->timer, (uint64_t)deadline);
    lock_release(&timer->set);
    return 0;
}

void timer_object_closed(struct object *object)
{
    struct timer_object *timer = container_of(object, struct timer_object, object);

    lock_acquire(&timer->set);
    timer_cancel(&timer->timer);
    lock_release(&timer->set);
}

void timer_object_destroy(struct object *object)
{
    struct timer_object *timer = container_of(object, struct timer_object, object);

    timer_cancel(&timer->timer); /* a timer_set may have come after the last close */
    cache_free(&timer_cache, timer);
}
