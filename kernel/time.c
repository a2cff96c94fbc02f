/* See time.h. */
#include "kernel/time.h"

#include "abi/errors.h"
#include "kernel/arch.h"
#include "kernel/ipc/timer_object.h"
#include "kernel/lock.h"
#include "kernel/resource.h"
#include "kernel/syscall.h"
#include "lib/base/clock.h"

static union {
    struct abi_time time;
    uint8_t bytes[PAGE_SIZE]; /* nothing else is shown */
} page ALIGNED(PAGE_SIZE);

static struct lock time_lock = LOCK_INIT(RANK_CLOCK, "time");

void time_init(void)
{
    arch_clock_source(&page.time);
    arch_show_page(&page);
}

/* What is in use, and when it was. As lib/sys/clock.h, whose comment draws it. */
static struct abi_time_real real_now(int64_t *monotonic)
{
    struct abi_time_real real;
    uint32_t sequence;

    do {
        sequence = __atomic_load_n(&page.time.sequence, __ATOMIC_ACQUIRE);
        real = *(volatile struct abi_time_real *)&page.time.real[sequence & 1];
        *monotonic = (int64_t)arch_clock();
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (__atomic_load_n(&page.time.sequence, __ATOMIC_RELAXED) != sequence);
    return real;
}

int64_t time_real(void)
{
    int64_t monotonic;
    struct abi_time_real real = real_now(&monotonic);

    return clock_real_at(&real, monotonic);
}

/* Rates below 2^-10 leave an error of their squares, which is below 2^-18 of what is left. */
uint64_t time_until(int64_t wanted)
{
    int64_t monotonic;
    struct abi_time_real real = real_now(&monotonic);
    int64_t left = wanted - clock_real_at(&real, monotonic);

    if (left > 0 && real.adjusted)
        left -= clock_gain(MIN(left, MAX(real.until - monotonic, INT64_C(0))), real.slew) +
                clock_gain(left, real.frequency) + (left >> 18);
    return (uint64_t)monotonic + (uint64_t)MAX(left, INT64_C(0));
}

/* --- Setting it, with time_lock held --------------------------------------------------------------------------- */

static void publish(const struct abi_time_real *real)
{
    uint32_t next = page.time.sequence + 1;

    /* Whoever sees some of this sees the sequence that has made it the one not in use. Pairs with real_now's fence. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    *(volatile struct abi_time_real *)&page.time.real[next & 1] = *real;
    __atomic_store_n(&page.time.sequence, next, __ATOMIC_RELEASE);
}

/* What is in use, as seen from now on. */
static struct abi_time_real real_from(int64_t now)
{
    struct abi_time_real real = page.time.real[page.time.sequence & 1];

    real.offset = clock_real_at(&real, now) - now;
    real.since = now;
    if (real.until <= now)
        real.slew = 0;
    return real;
}

static int set(uint32_t op, int64_t value, int64_t time)
{
    int64_t now = (int64_t)arch_clock();
    struct abi_time_real real = real_from(now);
    bool rate_ok = value >= -TIME_RATE_MAX && value <= TIME_RATE_MAX;

    if (op == CLOCK_STEP && value >= 0 && value <= TIME_REAL_MAX && time >= 0 && time <= now) {
        real.offset = value - time;
        real.slew = 0;
        __atomic_store_n(&page.time.steps, page.time.steps + 1, __ATOMIC_RELAXED);
    } else if (op == CLOCK_SLEW && rate_ok && time >= 0) {
        real.slew = value;
        real.until = now + MIN(time, INT64_MAX - now);
    } else if (op == CLOCK_FREQUENCY && rate_ok && !time) {
        real.frequency = value;
    } else {
        return -E_INVALID;
    }
    real.adjusted = real.slew || real.frequency;
    publish(&real);
    return 0;
}

int64_t sys_clock_set(struct object *object, uint32_t op, int64_t value, int64_t time)
{
    if (!resource_covers(resource_of(object), RESOURCE_CLOCK, 0, 1))
        return -E_ACCESS;
    lock_acquire(&time_lock);

    int error = set(op, value, time);

    lock_release(&time_lock);
    if (!error)
        timer_real_changed(op == CLOCK_STEP);
    return error;
}
