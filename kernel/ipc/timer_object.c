/* Timer objects: a count that time and programs add to, and that programs take. What timerfd and eventfd are made of.
 *
 *     timer_set(deadline, period)    the count is 0; then + 1 at deadline, and for each period that passed since
 *     timer_add(value, deadline)     + value, once the sum is at most TIMER_COUNT_MAX
 *     timer_take(&value, deadline)   once it is not 0: all of it, or 1 with HANDLE_FLAG_SINGLE
 *
 * READABLE: there is something to take; WRITABLE: 1 can be added. Whoever watches for READABLE is told of each addition,
 * shown before or not: epoll's edges are made of that.
 *
 * A timer with HANDLE_FLAG_REAL goes by real time (kernel/time.h): it is armed for when it may be that time, looks then, and
 * is armed again if it is not yet, or when real time is set (timer_real_changed).
 *
 * A waiter that is woken looks, and wakes the next of its kind when it is through.
 * Locks: `set` serialises timer_set, arming anew and the last close; object.lock, which interrupts take too, is for the count;
 * real_lock for the list of those that go by real time.
 */
#include "kernel/ipc/timer_object.h"

#include "abi/errors.h"
#include "kernel/handle.h"
#include "kernel/ipc/stream.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/timer.h"
#include "kernel/sched/wait.h"
#include "kernel/syscall.h"
#include "kernel/time.h"
#include "kernel/types.h"
#include "kernel/vmm/heap.h"

struct timer_object {
    struct object object;
    struct lock set; /* RANK_FILE */
    struct timer timer;
    uint64_t period;
    bool armed; /* with `set`, or in its `fire` */
    bool real;  /* in real_timers; with `set` */
    int64_t real_deadline;
    struct list real_link; /* real_lock */
    uint64_t round;        /* armed by what real time was when `rounds` was that; real_lock */
    /* object.lock: */
    uint64_t count;
    uint32_t flags; /* HANDLE_FLAG_* */
    bool cancelled; /* by a step of real time; to be told by timer_take */
    struct list takers, adders;
};

static struct cache timer_cache = CACHE_INIT("timer", sizeof(struct timer_object), 16);

/* Those that go by real time, each with a reference, the oldest round first. */
static struct lock real_lock = LOCK_INIT(RANK_CLOCK, "real timers");
static struct list real_timers = LIST_INIT(real_timers);
static uint64_t rounds;

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

/* What was counted does not count any more. */
static int cancellation_take(struct timer_object *timer)
{
    timer->cancelled = false;
    timer->count = 0;
    show(timer, 0);
    stream_wake_all(&timer->adders);
    return -E_CANCELLED;
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
    if (!error && timer->cancelled)
        error = cancellation_take(timer);
    else if (!error)
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

/* How often it was due; 0: not yet. Armed for the next time, if there is one. */
static uint64_t due_real(struct timer_object *object)
{
    int64_t late = time_real() - object->real_deadline;
    uint64_t times = late < 0 ? 0 : 1;

    if (times && object->period) {
        times += (uint64_t)late / object->period;
        object->real_deadline = (int64_t)MIN(
            (uint64_t)object->real_deadline + times * object->period, (uint64_t)INT64_MAX);
    }
    if (!times || object->period)
        timer_restart_locked(&object->timer, time_until(object->real_deadline));
    return times;
}

static uint64_t due(struct timer_object *object)
{
    struct timer *timer = &object->timer;
    uint64_t times = 1;

    if (object->period) {
        times += (arch_clock() - timer->deadline) / object->period;
        timer_restart_locked(timer, timer->deadline + times * object->period);
    }
    return times;
}

static void timer_object_fire(struct timer *timer)
{
    struct timer_object *object = container_of(timer, struct timer_object, timer);
    uint64_t times = object->real ? due_real(object) : due(object);

    if (!times)
        return;
    object->armed = object->period;
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
    list_init(&timer->real_link);
    list_init(&timer->takers);
    list_init(&timer->adders);
    return handle_return(&timer->object, RIGHT_READ | RIGHT_WRITE | RIGHT_CONTROL | RIGHT_WAIT |
                                             RIGHT_DUPLICATE | RIGHT_TRANSFER);
}

/* With `set` held. Before real time is looked at: whoever sets it later finds the timer here. */
static void real_enter(struct timer_object *timer)
{
    lock_acquire(&real_lock);
    list_append(&real_timers, &timer->real_link);
    timer->round = rounds;
    lock_release(&real_lock);
    object_get(&timer->object);
    timer->real = true;
}

static void real_leave(struct timer_object *timer)
{
    if (!timer->real)
        return;
    timer->real = false;
    lock_acquire(&real_lock);
    list_unlink(&timer->real_link);
    lock_release(&real_lock);
    object_put(&timer->object); /* the caller has another */
}

static void cancel_real(struct timer_object *timer)
{
    lock_acquire(&timer->object.lock);
    if (timer->flags & HANDLE_FLAG_CANCEL) {
        timer->cancelled = true;
        add(timer, timer->count ? 0 : 1, 0);
    }
    lock_release(&timer->object.lock);
}

static void arm_again(struct timer_object *timer, bool step)
{
    lock_acquire(&timer->set);
    if (timer->real) {
        timer_cancel(&timer->timer);
        if (timer->armed)
            timer_start(&timer->timer, time_until(timer->real_deadline));
        if (step)
            cancel_real(timer);
    }
    lock_release(&timer->set);
}

/* The one that was armed by the oldest real time, with a reference; NULL: all are armed by what it is now. */
static struct timer_object *real_next(void)
{
    lock_acquire(&real_lock);

    struct timer_object *timer = list_first(&real_timers, struct timer_object, real_link);

    if (timer && timer->round < rounds) {
        timer->round = rounds;
        list_unlink(&timer->real_link);
        list_append(&real_timers, &timer->real_link);
        object_get(&timer->object);
    } else {
        timer = NULL;
    }
    lock_release(&real_lock);
    return timer;
}

void timer_real_changed(bool step)
{
    struct timer_object *timer;

    lock_acquire(&real_lock);
    rounds++;
    lock_release(&real_lock);
    while ((timer = real_next()) != NULL) {
        arm_again(timer, step);
        object_put(&timer->object);
        arch_preempt_window();
    }
}

static bool real_wanted(struct timer_object *timer, int64_t deadline)
{
    lock_acquire(&timer->object.lock);
    uint32_t flags = timer->flags;
    lock_release(&timer->object.lock);
    return flags & HANDLE_FLAG_REAL && (deadline || flags & HANDLE_FLAG_CANCEL);
}

int64_t sys_timer_set(struct object *object, int64_t deadline, uint64_t period)
{
    struct timer_object *timer = timer_of(object);

    if (deadline < 0 || (period && period < 1000) || period > INT64_MAX)
        return -E_INVALID;
    lock_acquire(&timer->set);
    timer_cancel(&timer->timer);
    real_leave(timer);
    lock_acquire(&object->lock);
    timer->count = 0;
    timer->cancelled = false;
    show(timer, 0);
    stream_wake_all(&timer->adders);
    lock_release(&object->lock);
    timer->period = period;
    timer->armed = deadline;
    timer->real_deadline = deadline;
    /* Behind the last close, which may have come meanwhile, nobody would take it off the list. */
    if (real_wanted(timer, deadline) && __atomic_load_n(&object->handles, __ATOMIC_SEQ_CST))
        real_enter(timer);
    if (deadline)
        timer_start(&timer->timer, timer->real ? time_until(deadline) : (uint64_t)deadline);
    lock_release(&timer->set);
    return 0;
}

void timer_object_closed(struct object *object)
{
    struct timer_object *timer = timer_of(object);

    lock_acquire(&timer->set);
    timer_cancel(&timer->timer);
    real_leave(timer);
    lock_release(&timer->set);
}

void timer_object_destroy(struct object *object)
{
    struct timer_object *timer = timer_of(object);

    timer_cancel(&timer->timer); /* a timer_set may have come after the last close */
    cache_free(&timer_cache, timer);
}
