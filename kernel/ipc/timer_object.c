/* Timer objects: a count that time and programs add to, and that programs take. What timerfd and eventfd are made of.
 *
 *     timer_set(deadline, period)    the count is 0; then + 1 at deadline, and for each period that passed since
 *     timer_add(value, deadline)     + value, once the sum is at most TIMER_COUNT_MAX
 *     timer_take(&value, deadline)   once it is not 0: all of it, or 1 with HANDLE_FLAG_SINGLE
 *
 * READABLE: there is something to take; WRITABLE: 1 can be added. Whoever watches for READABLE is told of each addition,
 * shown before or not: epoll's edges are made of that.
 *
 * A waiter that is woken looks, and wakes the next of its kind when it is through.
 * Locks: `set` serialises timer_set and the last close; object.lock, which interrupts take too, is for the count.
 */
#include "kernel/ipc/timer_object.h"

#include "abi/errors.h"
#include "kernel/handle.h"
#include "kernel/ipc/stream.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/timer.h"
#include "kernel/sched/wait.h"
#include "kernel/syscall.h"
#include "kernel/types.h"
#include "kernel/vmm/heap.h"

struct timer_object {
    struct object object;
    struct lock set; /* RANK_FILE */
    struct timer timer;
    uint64_t period;
    /* object.lock: */
    uint64_t count;
    uint32_t flags; /* HANDLE_FLAG_* */
    struct list takers, adders;
};

static struct cache timer_cache = CACHE_INIT("timer", sizeof(struct timer_object), 16);

static struct timer_object *timer_of(struct object *object)
{
    return container_of(object, struct timer_object, object);
}

/* --- The count. All with object.lock held ----------------------------------------------------------------------- */

static void show(struct timer_object *timer, uint32_t again)
{
    object_show_locked(&timer->object,
                       (timer->count ? SIGNAL_READABLE : 0) |
                           (timer->count < TIMER_COUNT_MAX ? SIGNAL_WRITABLE : 0),
                       again);
}

static void add(struct timer_object *timer, uint64_t value, unsigned sched_flags)
{
    timer->count += MIN(value, TIMER_COUNT_MAX - timer->count);
    show(timer, SIGNAL_READABLE);
    stream_wake_next(&timer->takers, sched_flags);
}

static uint64_t take(struct timer_object *timer)
{
    uint64_t taken = timer->flags & HANDLE_FLAG_SINGLE ? 1 : timer->count;

    timer->count -= taken;
    show(timer, 0);
    if (timer->count)
        stream_wake_one(&timer->takers);
    stream_wake_all(&timer->adders); /* each may want another room */
    return taken;
}

static bool has_count(const struct timer_object *timer, uint64_t unused)
{
    (void)unused;
    return timer->count;
}

static bool has_room(const struct timer_object *timer, uint64_t value)
{
    return value <= TIMER_COUNT_MAX - timer->count;
}

static int wait_until(struct timer_object *timer, struct list *waiters,
                      bool (*ready)(const struct timer_object *timer, uint64_t value),
                      uint64_t value, int64_t deadline)
{
    while (!ready(timer, value)) {
        if (deadline == DEADLINE_NOW || timer->flags & HANDLE_FLAG_NONBLOCK)
            return -E_AGAIN;
        int error = stream_wait(&timer->object.lock, waiters, wait_deadline(deadline));
        if (error)
            return error;
    }
    return 0;
}

int64_t sys_timer_add(struct object *object, uint64_t value, int64_t deadline)
{
    struct timer_object *timer = timer_of(object);

    if (value > TIMER_COUNT_MAX)
        return -E_INVALID;
    lock_acquire(&object->lock);
    int error = wait_until(timer, &timer->adders, has_room, value, deadline);
    if (!error && value)
        add(timer, value, SCHED_SYNC);
    lock_release(&object->lock);
    return error;
}

int64_t sys_timer_take(struct object *object, uaddr_t value, int64_t deadline)
{
    struct timer_object *timer = timer_of(object);
    uint64_t taken = 0;

    lock_acquire(&object->lock);
    int error = wait_until(timer, &timer->takers, has_count, 0, deadline);
    if (!error)
        taken = take(timer);
    lock_release(&object->lock);
    if (error)
        return error;
    error = user_copy_out(value, &taken, sizeof(taken));
    if (error) { /* it has not been taken */
        lock_acquire(&object->lock);
        add(timer, taken, SCHED_SYNC);
        lock_release(&object->lock);
    }
    return error;
}

uint32_t timer_object_flags(struct object *object, uint32_t mask, uint32_t value)
{
    struct timer_object *timer = timer_of(object);

    lock_acquire(&object->lock);
    uint32_t old = timer->flags;
    timer->flags = (old & ~mask) | (value & mask);
    lock_release(&object->lock);
    return old;
}

/* --- Time ------------------------------------------------------------------------------------------------------- */

static void timer_object_fire(struct timer *timer)
{
    struct timer_object *object = container_of(timer, struct timer_object, timer);
    uint64_t times = 1;

    if (object->period) {
        times += (arch_clock() - timer->deadline) / object->period;
        timer_restart_locked(timer, timer->deadline + times * object->period);
    }
    lock_acquire(&object->object.lock);
    add(object, times, 0);
    lock_release(&object->object.lock);
}

int64_t sys_timer_create(void)
{
    struct timer_object *timer = object_alloc(&timer_cache, OBJECT_TIMER, 0);

    if (!timer)
        return -E_NO_MEMORY;
    timer->object.signals = SIGNAL_WRITABLE;
    lock_init(&timer->set, RANK_FILE, "timer");
    timer->timer.fire = timer_object_fire;
    list_init(&timer->takers);
    list_init(&timer->adders);
    return handle_return(&timer->object, RIGHT_READ | RIGHT_WRITE | RIGHT_CONTROL | RIGHT_WAIT |
                                             RIGHT_DUPLICATE | RIGHT_TRANSFER);
}

int64_t sys_timer_set(struct object *object, int64_t deadline, uint64_t period)
{
    struct timer_object *timer = timer_of(object);

    if (deadline < 0 || (period && period < 1000) || period > INT64_MAX)
        return -E_INVALID;
    lock_acquire(&timer->set);
    timer_cancel(&timer->timer);
    lock_acquire(&object->lock);
    timer->count = 0;
    show(timer, 0);
    stream_wake_all(&timer->adders);
    lock_release(&object->lock);
    timer->period = period;
    if (deadline)
        timer_start(&timer->timer, (uint64_t)deadline);
    lock_release(&timer->set);
    return 0;
}

void timer_object_closed(struct object *object)
{
    struct timer_object *timer = timer_of(object);

    lock_acquire(&timer->set);
    timer_cancel(&timer->timer);
    lock_release(&timer->set);
}

void timer_object_destroy(struct object *object)
{
    struct timer_object *timer = timer_of(object);

    timer_cancel(&timer->timer); /* a timer_set may have come after the last close */
    cache_free(&timer_cache, timer);
}
