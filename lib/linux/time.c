/* Clocks, sleeping, timers. */
#include "lib/linux/time.h"

#include "abi/proc.h"
#include "lib/base/string.h"
#include "lib/linux/answer.h"
#include "lib/linux/calls.h"
#include "lib/linux/process.h"
#include "lib/linux/user.h"

int64_t clock_offset(void)
{
    int64_t monotonic, real = clock_realtime_at(&monotonic);

    return real - monotonic;
}

int64_t time_read(uint64_t address, int64_t *ns)
{
    struct linux_timespec time;

    if (user_read(&time, address, sizeof(time)))
        return -LINUX_EFAULT;
    if (time.seconds < 0 || time.nanoseconds < 0 || time.nanoseconds >= NS_PER_SECOND)
        return -LINUX_EINVAL;
    if (__builtin_mul_overflow(time.seconds, NS_PER_SECOND, ns) ||
        __builtin_add_overflow(*ns, time.nanoseconds, ns))
        *ns = INT64_MAX;
    return 0;
}

int64_t time_write(uint64_t address, int64_t ns)
{
    uint64_t seconds = (uint64_t)ns / (uint64_t)NS_PER_SECOND;

    return unlikely(
               user_put_pair(address, seconds, (uint64_t)ns - seconds * (uint64_t)NS_PER_SECOND))
               ? -LINUX_EFAULT
               : 0;
}

int64_t deadline_in(int64_t ns)
{
    int64_t deadline;

    if (__builtin_add_overflow(clock_monotonic(), ns, &deadline))
        return DEADLINE_NEVER;
    return deadline;
}

int64_t sleep_until(int64_t deadline)
{
    int64_t result = sys_wait_many(NULL, 0, MAX(deadline, INT64_C(1)));

    return result == -E_TIMED_OUT ? 0 : answer(result);
}

/* Whoever sets the clock meanwhile moves the end. */
static int64_t sleep_until_real(int64_t real)
{
    int64_t handle = real > clock_realtime() ? sys_timer_create() : 0;
    struct abi_wait wait = {.handle = (handle_t)handle, .signals = SIGNAL_READABLE};

    if (handle <= 0)
        return answer(handle);
    int64_t result = sys_handle_flags(wait.handle, HANDLE_FLAG_REAL, HANDLE_FLAG_REAL);
    if (result >= 0)
        result = sys_timer_set(wait.handle, real, 0);
    if (result >= 0)
        result = sys_wait_many(&wait, 1, DEADLINE_NEVER);
    handle_drop(wait.handle);
    return result < 0 ? answer(result) : 0;
}

/* This one and the next are not inline: the clock that is asked for most then needs no registers saved. */
static NOINLINE int64_t clock_read(int32_t clock)
{
    switch (clock) {
    case LINUX_CLOCK_MONOTONIC:
    case LINUX_CLOCK_MONOTONIC_RAW:
    case LINUX_CLOCK_MONOTONIC_COARSE:
    case LINUX_CLOCK_BOOTTIME:
        return clock_monotonic();
    case LINUX_CLOCK_REALTIME:
    case LINUX_CLOCK_REALTIME_COARSE:
        return clock_realtime();
    case LINUX_CLOCK_PROCESS_CPUTIME:
        return answer(sys_clock_get(CLOCK_PROCESS_));
    case LINUX_CLOCK_THREAD_CPUTIME:
        return answer(sys_clock_get(CLOCK_THREAD_));
    default:
        return -LINUX_EINVAL;
    }
}

static NOINLINE int64_t realtime_write(uint64_t address)
{
    return time_write(address, clock_realtime());
}

int64_t linux_clock_gettime(struct thread *thread, uint64_t clock, uint64_t address)
{
    (void)thread;
    if (likely(clock == LINUX_CLOCK_MONOTONIC))
        return time_write(address, clock_monotonic());
    if (likely(clock == LINUX_CLOCK_REALTIME))
        return realtime_write(address);

    int64_t now = clock_read((int32_t)clock);

    return now < 0 ? now : time_write(address, now);
}

int64_t linux_clock_getres(struct thread *thread, uint64_t clock, uint64_t address)
{
    int64_t now = clock_read((int32_t)clock);

    (void)thread;
    if (now < 0)
        return now;
    return address ? time_write(address, 1) : 0;
}

int64_t linux_time(struct thread *thread, uint64_t address)
{
    int64_t seconds = clock_realtime() / NS_PER_SECOND;

    (void)thread;
    if (address && user_put_u64(address, (uint64_t)seconds))
        return -LINUX_EFAULT;
    return seconds;
}

int64_t linux_gettimeofday(struct thread *thread, uint64_t address, uint64_t zone)
{
    static const uint64_t no_zone = 0;
    int64_t now = clock_realtime();
    struct linux_timeval value = {now / NS_PER_SECOND, now % NS_PER_SECOND / 1000};

    (void)thread;
    if ((address && user_write(address, &value, sizeof(value))) ||
        (zone && user_write(zone, &no_zone, sizeof(no_zone))))
        return -LINUX_EFAULT;
    return 0;
}

/* A sleep that a kick ended and no handler followed goes on to the same deadline. */
static int64_t sleep_for(struct thread *thread, int64_t ns, uint64_t remaining)
{
    if (!thread->restart_deadline_set)
        thread->restart_deadline = deadline_in(ns);
    thread->restart_deadline_set = false;
    int64_t result = sleep_until(thread->restart_deadline);
    if (result != -RESTART_ALWAYS)
        return result;
    int64_t left = MAX(thread->restart_deadline - clock_monotonic(), INT64_C(0));
    if (remaining && time_write(remaining, left) < 0)
        return -LINUX_EFAULT;
    thread->restart_deadline_set = true;
    return -RESTART_UNLESS_HANDLER;
}

int64_t linux_nanosleep(struct thread *thread, uint64_t wanted, uint64_t remaining)
{
    int64_t ns;
    int64_t result = time_read(wanted, &ns);

    return result < 0 ? result : sleep_for(thread, ns, remaining);
}

int64_t linux_clock_nanosleep(struct thread *thread, uint64_t clock, uint64_t flags,
                              uint64_t wanted, uint64_t remaining)
{
    int64_t ns;
    int64_t result = time_read(wanted, &ns);
    bool real = (int32_t)clock == LINUX_CLOCK_REALTIME;

    if (result < 0)
        return result;
    if (!real && (int32_t)clock != LINUX_CLOCK_MONOTONIC && (int32_t)clock != LINUX_CLOCK_BOOTTIME)
        return -LINUX_EINVAL;
    if (!(flags & LINUX_TIMER_ABSTIME))
        return sleep_for(thread, ns, remaining);
    result = real ? sleep_until_real(ns) : sleep_until(ns);
    return result == -RESTART_ALWAYS ? -RESTART_UNLESS_HANDLER : result;
}

/* procd keeps the timers: they outlive exec and their signal comes like any other. */
static int64_t timer_command(struct process *process, int64_t first, int64_t period, int64_t *left,
                             int64_t *old_period)
{
    struct abi_command command;

    memset(&command, 0, sizeof(command));
    command.op = PROC_ALARM;
    command.args[1] = (uint64_t)first;
    command.args[2] = (uint64_t)period;
    int64_t result = proc_command(process, &command);
    *left = (int64_t)command.values[0];
    *old_period = (int64_t)command.values[1];
    return result;
}

int64_t linux_alarm(struct thread *thread, uint64_t seconds)
{
    int64_t left, period;
    int64_t result = timer_command(thread->process, (int64_t)(uint32_t)seconds * NS_PER_SECOND, 0,
                                   &left, &period);

    return result < 0 ? result : (left + NS_PER_SECOND - 1) / NS_PER_SECOND;
}

static struct linux_timeval timeval_of(int64_t ns)
{
    return (struct linux_timeval){ns / NS_PER_SECOND, ns % NS_PER_SECOND / 1000};
}

static int64_t timeval_ns(const struct linux_timeval *value)
{
    int64_t ns;

    if (value->seconds < 0 || value->microseconds < 0 || value->microseconds >= 1000000)
        return -LINUX_EINVAL;
    if (__builtin_mul_overflow(value->seconds, NS_PER_SECOND, &ns) ||
        __builtin_add_overflow(ns, value->microseconds * 1000, &ns))
        return INT64_MAX;
    return ns;
}

int64_t timeval_read(uint64_t address, int64_t *ns)
{
    struct linux_timeval value;

    if (user_read(&value, address, sizeof(value)))
        return -LINUX_EFAULT;
    *ns = timeval_ns(&value);
    return MIN(*ns, INT64_C(0));
}

static int64_t timer_write(uint64_t address, int64_t left, int64_t period)
{
    struct linux_itimerval value = {timeval_of(period), timeval_of(left)};

    return address && user_write(address, &value, sizeof(value)) ? -LINUX_EFAULT : 0;
}

int64_t linux_setitimer(struct thread *thread, uint64_t which, uint64_t new, uint64_t old)
{
    struct linux_itimerval value = {{0, 0}, {0, 0}};
    int64_t left, old_period;

    if (which)
        return -LINUX_EINVAL;
    if (new &&user_read(&value, new, sizeof(value)))
        return -LINUX_EFAULT;
    int64_t first = timeval_ns(&value.value), period = timeval_ns(&value.interval);
    if (first < 0 || period < 0)
        return -LINUX_EINVAL;
    int64_t result = timer_command(thread->process, first, period, &left, &old_period);
    return result < 0 ? result : timer_write(old, left, old_period);
}

int64_t linux_getitimer(struct thread *thread, uint64_t which, uint64_t old)
{
    int64_t left, period;

    if (which)
        return -LINUX_EINVAL;
    /* procd answers what was left to the one who sets it: take it off and put it back. */
    int64_t result = timer_command(thread->process, 0, 0, &left, &period);
    if (result >= 0 && left)
        result = timer_command(thread->process, left, period, &(int64_t){0}, &(int64_t){0});
    return result < 0 ? result : timer_write(old, left, period);
}
