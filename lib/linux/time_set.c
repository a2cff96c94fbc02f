/* Setting the clock: commands to clock://, which timed serves. Who cannot name that may not (EPERM). What the clock does at present
 * is on the time page. */
#include "lib/base/string.h"
#include "lib/linux/answer.h"
#include "lib/linux/calls.h"
#include "lib/linux/time.h"
#include "lib/linux/user.h"

static int64_t clock_command(uint32_t op, int64_t first, int64_t second)
{
    static const char uri[] = "clock:///";
    struct abi_path_call call = {
        .uri = (uint64_t)uri,
        .uri_length = sizeof(uri) - 1,
        .command = {.op = op,
                    .flags = COMMAND_RESTARTABLE,
                    .args = {(uint64_t)first, (uint64_t)second}},
    };
    int64_t result;

    do
        result = sys_path_call(HANDLE_SELF, &call);
    while (result == -E_RESTARTED && op != CLOCK_OP_SHIFT);
    return result == -E_NO_PROTOCOL ? -LINUX_EPERM : answer(result);
}

static int64_t set(int64_t ns)
{
    return clock_command(CLOCK_OP_STEP, ns, clock_monotonic());
}

int64_t linux_clock_settime(struct thread *thread, uint64_t clock, uint64_t address)
{
    int64_t ns;
    int64_t result = time_read(address, &ns);

    (void)thread;
    if ((int32_t)clock != LINUX_CLOCK_REALTIME)
        return -LINUX_EINVAL;
    return result < 0 ? result : set(ns);
}

/* There is no time zone here: real time is UTC, and programs know their own. */
int64_t linux_settimeofday(struct thread *thread, uint64_t address, uint64_t zone)
{
    uint64_t minutes_west_and_kind;
    int64_t ns = 0;
    int64_t result = address ? timeval_read(address, &ns) : 0;

    (void)thread;
    if (result < 0)
        return result;
    if (zone && user_get_u64(zone, &minutes_west_and_kind))
        return -LINUX_EFAULT;
    if (zone && minutes_west_and_kind)
        return -LINUX_EINVAL;
    return address ? set(ns) : 0;
}

/* --- adjtimex --------------------------------------------------------------------------------------------------------- */

/* What real time has still to gain or lose by the slew. */
static int64_t slew_left(void)
{
    int64_t now;
    struct abi_time_real real = clock_real_state(&now);

    return clock_gain(MAX(real.until - now, INT64_C(0)), real.slew);
}

/* Rates: 2^-TIME_RATE_SHIFT here, 2^-16 ppm there, to the nearest. */
static int64_t rate_to_linux(int64_t rate)
{
    int64_t unit = INT64_C(1) << (TIME_RATE_SHIFT - 16);

    return (rate * 1000000 + unit / 2) >> (TIME_RATE_SHIFT - 16);
}

static int64_t shift(const struct linux_timex *timex)
{
    int64_t unit = timex->modes & LINUX_ADJ_NANO ? 1 : 1000, ns;

    if (timex->time.microseconds < 0 || timex->time.microseconds >= NS_PER_SECOND / unit ||
        __builtin_mul_overflow(timex->time.seconds, NS_PER_SECOND, &ns) ||
        __builtin_add_overflow(ns, timex->time.microseconds * unit, &ns))
        return -LINUX_EINVAL;
    return clock_command(CLOCK_OP_SHIFT, ns, 0);
}

static int64_t adjust(const struct linux_timex *timex)
{
    const uint32_t known =
        LINUX_ADJ_FREQUENCY | LINUX_ADJ_SETOFFSET | LINUX_ADJ_MICRO | LINUX_ADJ_NANO;
    int64_t result = 0, limit = TIME_FREQUENCY_MAX, ns;

    if (timex->modes == LINUX_ADJ_OFFSET_SS_READ)
        return 0;
    if (timex->modes == LINUX_ADJ_OFFSET_SINGLESHOT)
        return __builtin_mul_overflow(timex->offset, INT64_C(1000), &ns)
                   ? -LINUX_EINVAL
                   : clock_command(CLOCK_OP_SLEW, ns, 0);
    if (timex->modes & ~known) /* no phase-locked loop, no leap seconds */
        return -LINUX_EINVAL;
    if (timex->modes & LINUX_ADJ_SETOFFSET)
        result = shift(timex);
    if (result >= 0 && timex->modes & LINUX_ADJ_FREQUENCY)
        result = clock_command(CLOCK_OP_FREQUENCY, MAX(MIN(timex->frequency, limit), -limit), 0);
    return result;
}

/* Nobody keeps this clock by another: so it says, and how wrong it is nobody knows. */
static void state_fill(struct linux_timex *timex, int64_t offset)
{
    int64_t monotonic;
    struct abi_time_real real = clock_real_state(&monotonic);
    int64_t now = clock_real_at(&real, monotonic);

    timex->offset = offset;
    timex->frequency = rate_to_linux(real.frequency);
    timex->maximum_error = timex->estimated_error = LINUX_TIME_ERROR_MAX;
    timex->status = LINUX_STA_UNSYNC;
    timex->constant = 0;
    timex->precision = 1;
    timex->tolerance = TIME_FREQUENCY_MAX;
    timex->time = (struct linux_timeval){now / NS_PER_SECOND, now % NS_PER_SECOND / 1000};
    timex->tick = 10000;
    timex->tai = 0;
}

int64_t linux_adjtimex(struct thread *thread, uint64_t address)
{
    struct linux_timex timex;

    (void)thread;
    if (user_read(&timex, address, sizeof(timex)))
        return -LINUX_EFAULT;
    int64_t left = slew_left() / 1000;
    int64_t result = adjust(&timex);
    if (result < 0)
        return result;
    bool once = (timex.modes & LINUX_ADJ_OFFSET_SINGLESHOT) == LINUX_ADJ_OFFSET_SINGLESHOT;
    state_fill(&timex, once ? left : 0);
    return user_write(address, &timex, sizeof(timex)) ? -LINUX_EFAULT : LINUX_TIME_ERROR;
}

int64_t linux_clock_adjtime(struct thread *thread, uint64_t clock, uint64_t address)
{
    if ((int32_t)clock == LINUX_CLOCK_REALTIME)
        return linux_adjtimex(thread, address);
    return clock <= LINUX_CLOCK_BOOTTIME ? -LINUX_EOPNOTSUPP : -LINUX_EINVAL;
}
