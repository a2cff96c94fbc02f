/* The time page, clock_set, and timers that go by real time. */
#include "lib/sys/clock.h"
#include "tests/guest/guest.h"

#define HOUR      (3600 * SECOND)
#define A_DAY     (INT64_C(1800000000) * SECOND) /* in 2027 */
#define RATE_HALF (TIME_RATE_MAX / 2)

static void step_to(int64_t real)
{
    MUST(sys_clock_set(root(), CLOCK_STEP, real, now()));
}

static handle_t real_timer(uint32_t more)
{
    handle_t timer = (handle_t)MUST(sys_timer_create());

    MUST(sys_handle_flags(timer, HANDLE_FLAG_REAL | HANDLE_FLAG_CANCEL, HANDLE_FLAG_REAL | more));
    return timer;
}

static int64_t real_now(void)
{
    return MUST(sys_clock_get(CLOCK_REALTIME_));
}

/* --- The page --------------------------------------------------------------------------------------------------- */

/* What a program reads and what the kernel says are one clock, on every CPU. */
TEST(page_and_kernel_agree)
{
    uint64_t cpus = system_info().cpus;

    step_to(A_DAY);
    for (int i = 0; i < 2000; i++) {
        MUST(sys_thread_control(HANDLE_SELF, THREAD_AFFINITY, UINT64_C(1) << ((uint64_t)i % cpus),
                                NULL));
        int64_t before = now(), between = clock_monotonic(), after_it = now();

        CHECK(before <= between && between <= after_it);
        before = real_now();
        between = clock_realtime();
        after_it = real_now();
        CHECK(before <= between && between <= after_it);
    }
    MUST(sys_thread_control(HANDLE_SELF, THREAD_AFFINITY, 0, NULL));
}

static void write_there(void *argument)
{
    *(volatile uint8_t *)argument = 1;
}

static void jump_there(void *argument)
{
    ((void (*)(void))argument)();
}

static void must_be_ended(void (*run)(void *argument), void *argument)
{
    struct helper *helper = helper_process(run, argument);

    signal_wait(helper->process, SIGNAL_EXITED);
    CHECK_EQUAL(process_info(helper->process).status, EXIT_EXCEPTION | 14);
    helper_kill(helper);
}

TEST(page_is_only_read)
{
    struct abi_map map = {.address = TIME_PAGE,
                          .length = PAGE_SIZE,
                          .memory = HANDLE_NONE,
                          .protection = PROT_READ_,
                          .flags = MAP_FIXED_};
    struct abi_time before = *(const struct abi_time *)TIME_PAGE;

    must_be_ended(write_there, (void *)TIME_PAGE);
    must_be_ended(jump_there, (void *)TIME_PAGE);
    must_be_ended(write_there, (void *)(TIME_PAGE + PAGE_SIZE)); /* nothing is beside it */
    CHECK_ERROR(sys_space_map(HANDLE_SELF, &map), RANGE);
    CHECK_ERROR(sys_space_unmap(HANDLE_SELF, TIME_PAGE, PAGE_SIZE), RANGE);
    CHECK_ERROR(sys_space_protect(HANDLE_SELF, TIME_PAGE, PAGE_SIZE, PROT_READ_), RANGE);
    CHECK_ERROR(sys_handle_info(root(), (struct abi_handle_info *)TIME_PAGE), FAULT);
    CHECK_ERROR(sys_futex_wait((const uint32_t *)TIME_PAGE, 0, 0, DEADLINE_NOW, FUTEX_ANY), FAULT);
    CHECK(memcmp(&before, (const void *)TIME_PAGE, sizeof(before)) == 0);
    for (size_t i = sizeof(before); i < PAGE_SIZE; i++)
        CHECK_EQUAL(((const uint8_t *)TIME_PAGE)[i], 0);
}

/* --- Setting ---------------------------------------------------------------------------------------------------- */

TEST(steps)
{
    uint32_t steps = clock_page()->steps;
    int64_t then = now(), real;

    MUST(sys_clock_set(root(), CLOCK_STEP, A_DAY, then));
    CHECK_EQUAL(clock_page()->steps, steps + 1);
    real = clock_realtime();
    CHECK(real >= A_DAY && real <= A_DAY + now() - then);
    MUST(sys_clock_set(root(), CLOCK_STEP, 0, now())); /* 1970 is as good as any */
    CHECK(clock_realtime() < HOUR);
    MUST(sys_clock_set(root(), CLOCK_STEP, TIME_REAL_MAX, now()));
    CHECK(clock_realtime() >= TIME_REAL_MAX);
    step_to(A_DAY);
}

TEST(who_may_set_it)
{
    handle_t clock = (handle_t)MUST(sys_resource_create(root(), RESOURCE_CLOCK, 0, 1));
    handle_t other = (handle_t)MUST(sys_resource_create(root(), RESOURCE_IRQ, 0, 1));
    handle_t weak = duplicate(clock, RIGHT_DUPLICATE);

    MUST(sys_clock_set(clock, CLOCK_STEP, A_DAY, now()));
    CHECK_ERROR(sys_clock_set(other, CLOCK_STEP, A_DAY, now()), ACCESS);
    CHECK_ERROR(sys_clock_set(weak, CLOCK_STEP, A_DAY, now()), ACCESS);
    CHECK_ERROR(sys_clock_set(HANDLE_NONE, CLOCK_STEP, A_DAY, now()), BAD_HANDLE);
    CHECK_ERROR(sys_resource_create(clock, RESOURCE_CLOCK, 0, 2), RANGE);
    CHECK_ERROR(sys_resource_create(clock, RESOURCE_IRQ, 0, 1), RANGE);
    handle_drop(clock);
    handle_drop(other);
    handle_drop(weak);
}

TEST(set_errors)
{
    const struct {
        uint32_t op;
        int64_t value, time;
    } wrong[] = {
        {0, 0, 0},
        {CLOCK_FREQUENCY + 1, 0, 0},
        {CLOCK_STEP, -1, 0},
        {CLOCK_STEP, TIME_REAL_MAX + 1, 0},
        {CLOCK_STEP, 0, -1},
        {CLOCK_STEP, 0, DEADLINE_NEVER},
        {CLOCK_SLEW, TIME_RATE_MAX + 1, 1},
        {CLOCK_SLEW, -TIME_RATE_MAX - 1, 1},
        {CLOCK_SLEW, INT64_MIN, 1},
        {CLOCK_SLEW, 1, -1},
        {CLOCK_FREQUENCY, TIME_RATE_MAX + 1, 0},
        {CLOCK_FREQUENCY, 1, 1},
    };
    uint32_t sequence = clock_page()->sequence;

    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        CHECK_ERROR(sys_clock_set(root(), wrong[i].op, wrong[i].value, wrong[i].time), INVALID);
    CHECK_EQUAL(clock_page()->sequence, sequence);
}

/* What real time gained on monotonic time since `offset` was the difference. */
static int64_t gained(int64_t offset)
{
    int64_t monotonic, real = clock_realtime_at(&monotonic);

    return real - monotonic - offset;
}

static int64_t offset_now(void)
{
    return gained(0);
}

TEST(slews)
{
    int64_t offset, begun, most;

    MUST(sys_clock_set(root(), CLOCK_FREQUENCY, 0, 0)); /* fuzz_syscalls may have left another */
    step_to(A_DAY);
    offset = offset_now();
    begun = now();
    MUST(sys_clock_set(root(), CLOCK_SLEW, RATE_HALF, 20 * MILLISECOND));
    int64_t full = clock_gain(20 * MILLISECOND, RATE_HALF);
    while (now() < begun + 5 * MILLISECOND)
        ;
    int64_t part = gained(offset);
    CHECK(part >= 0 && part <= full);
    sleep_for(30 * MILLISECOND);
    CHECK_EQUAL(gained(offset), full); /* it has ended, to the nanosecond */
    offset = offset_now();
    MUST(sys_clock_set(root(), CLOCK_SLEW, -RATE_HALF, DEADLINE_NEVER));
    begun = now();
    sleep_for(10 * MILLISECOND);
    part = gained(offset);
    most = clock_gain(now() - begun + SECOND, -RATE_HALF);
    CHECK(part <= clock_gain(10 * MILLISECOND, -RATE_HALF) && part >= most);
    MUST(sys_clock_set(root(), CLOCK_SLEW, 0, 0));
    offset = offset_now();
    sleep_for(5 * MILLISECOND);
    CHECK_EQUAL(gained(offset), 0);
}

/* A frequency goes on through slews and steps. */
TEST(frequency)
{
    step_to(A_DAY);
    MUST(sys_clock_set(root(), CLOCK_FREQUENCY, TIME_RATE_MAX, 0));
    int64_t offset = offset_now();

    sleep_for(10 * MILLISECOND);
    CHECK(gained(offset) >= clock_gain(10 * MILLISECOND, TIME_RATE_MAX));
    MUST(sys_clock_set(root(), CLOCK_SLEW, -TIME_RATE_MAX, DEADLINE_NEVER));
    offset = offset_now();
    sleep_for(5 * MILLISECOND);
    CHECK(gained(offset) >= -2 && gained(offset) <= 2); /* one against the other: they round */
    step_to(A_DAY);
    offset = offset_now();
    sleep_for(10 * MILLISECOND);
    CHECK(gained(offset) >= clock_gain(10 * MILLISECOND, TIME_RATE_MAX));
    MUST(sys_clock_set(root(), CLOCK_FREQUENCY, 0, 0));
}

/* Whoever reads while it is set sees the one or the other. Rates that change while a CPU stands still set time back by a few
 * microseconds. */
struct reader {
    uint32_t stop;
};

static void read_often(void *argument)
{
    struct reader *reader = argument;
    int64_t last = clock_realtime();

    while (!word_get(&reader->stop)) {
        int64_t real = clock_realtime();

        CHECK(real >= last - 10 * MILLISECOND);
        CHECK(real - last < HOUR);
        last = real;
    }
}

TEST(readers_see_whole_settings)
{
    struct reader *reader = shared(sizeof(*reader));
    struct helper *helpers_[3];
    int64_t until;

    step_to(A_DAY);
    for (int i = 0; i < 3; i++)
        helpers_[i] = helper_process(read_often, reader);
    until = after(SECOND / 4);
    for (int64_t i = 1; now() < until; i++) {
        int64_t monotonic, real = clock_realtime_at(&monotonic);

        MUST(sys_clock_set(root(), CLOCK_STEP, real + i % 1000, monotonic));
        MUST(sys_clock_set(root(), CLOCK_SLEW, i % 2 ? RATE_HALF : 0, SECOND));
    }
    word_set(&reader->stop, 1);
    for (int i = 0; i < 3; i++)
        helper_join(helpers_[i]);
    unshare(reader);
    step_to(A_DAY);
}

/* --- Timers ----------------------------------------------------------------------------------------------------- */

TEST(real_timer_fires)
{
    handle_t timer = real_timer(0);
    uint64_t count;

    step_to(A_DAY);
    MUST(sys_timer_set(timer, A_DAY + 20 * MILLISECOND, 0));
    signal_wait(timer, SIGNAL_READABLE);
    CHECK(clock_realtime() >= A_DAY + 20 * MILLISECOND);
    MUST(sys_timer_take(timer, &count, DEADLINE_NOW));
    CHECK_EQUAL(count, 1);
    MUST(sys_timer_set(timer, A_DAY - HOUR, 0)); /* long ago */
    signal_wait(timer, SIGNAL_READABLE);
    step_to(A_DAY - 2 * HOUR); /* what has fired does not fire again */
    MUST(sys_timer_take(timer, &count, DEADLINE_NOW));
    step_to(A_DAY);
    CHECK_ERROR(sys_timer_take(timer, &count, DEADLINE_NOW), AGAIN);
    handle_drop(timer);
}

TEST(real_timer_follows_steps)
{
    handle_t later = real_timer(0), soon = real_timer(0),
             plain = (handle_t)MUST(sys_timer_create());

    step_to(A_DAY);
    MUST(sys_timer_set(later, A_DAY + HOUR, 0));
    MUST(sys_timer_set(plain, after(HOUR), 0));
    CHECK_EQUAL(signals_now(later, SIGNAL_READABLE), 0);
    step_to(A_DAY + 2 * HOUR);
    signal_wait(later, SIGNAL_READABLE);
    CHECK_EQUAL(signals_now(plain, SIGNAL_READABLE), 0);
    MUST(sys_timer_set(soon, clock_realtime() + 100 * MILLISECOND, 0));
    step_to(A_DAY);
    sleep_for(200 * MILLISECOND);
    CHECK_EQUAL(signals_now(soon, SIGNAL_READABLE), 0);
    handle_drop(later);
    handle_drop(soon);
    handle_drop(plain);
}

TEST(real_timer_counts_periods)
{
    handle_t timer = real_timer(0);
    uint64_t count;

    step_to(A_DAY);
    MUST(sys_timer_set(timer, A_DAY + HOUR, (uint64_t)HOUR));
    step_to(A_DAY + 5 * HOUR + HOUR / 2);
    MUST(sys_timer_take(timer, &count, after(PATIENCE)));
    CHECK_EQUAL(count, 5);
    step_to(A_DAY + 6 * HOUR);
    MUST(sys_timer_take(timer, &count, after(PATIENCE)));
    CHECK_EQUAL(count, 1);
    MUST(sys_timer_set(timer, 1, (uint64_t)INT64_MAX)); /* the next is beyond all time */
    MUST(sys_timer_take(timer, &count, after(PATIENCE)));
    CHECK_EQUAL(count, 1);
    handle_drop(timer);
    step_to(A_DAY);
}

/* Never early, however real time is slewed meanwhile. */
TEST(real_timer_while_slewed)
{
    const int64_t rates[] = {TIME_RATE_MAX, -TIME_RATE_MAX, RATE_HALF};
    handle_t timer = real_timer(0);

    for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
        step_to(A_DAY);
        MUST(sys_clock_set(root(), CLOCK_FREQUENCY, rates[i], 0));
        MUST(sys_clock_set(root(), CLOCK_SLEW, rates[i], 15 * MILLISECOND));
        MUST(sys_timer_set(timer, A_DAY + 30 * MILLISECOND, 0));
        signal_wait(timer, SIGNAL_READABLE);
        CHECK(clock_realtime() >= A_DAY + 30 * MILLISECOND);
    }
    MUST(sys_clock_set(root(), CLOCK_FREQUENCY, 0, 0));
    handle_drop(timer);
    step_to(A_DAY);
}

TEST(steps_cancel)
{
    handle_t armed = real_timer(HANDLE_FLAG_CANCEL), idle = real_timer(HANDLE_FLAG_CANCEL);
    uint64_t count;

    step_to(A_DAY);
    MUST(sys_timer_set(armed, A_DAY + HOUR, 0));
    MUST(sys_timer_set(idle, 0, 0));
    MUST(sys_clock_set(root(), CLOCK_SLEW, RATE_HALF, MILLISECOND)); /* no step */
    CHECK_EQUAL(signals_now(armed, SIGNAL_READABLE), 0);
    step_to(A_DAY + 1);
    CHECK_EQUAL(signals_now(armed, SIGNAL_READABLE), SIGNAL_READABLE);
    CHECK_ERROR(sys_timer_take(armed, &count, DEADLINE_NOW), CANCELLED);
    CHECK_ERROR(sys_timer_take(armed, &count, DEADLINE_NOW), AGAIN); /* once */
    CHECK_ERROR(sys_timer_take(idle, &count, DEADLINE_NOW), CANCELLED);
    step_to(A_DAY);
    MUST(sys_timer_set(armed, A_DAY + HOUR, 0)); /* as if nothing had been */
    CHECK_ERROR(sys_timer_take(armed, &count, DEADLINE_NOW), AGAIN);
    CHECK_ERROR(sys_handle_flags(root(), HANDLE_FLAG_CANCEL, 0), INVALID);
    handle_drop(armed);
    handle_drop(idle);
}

/* Set, closed and cancelled by several while the clock is set. */
struct fight {
    handle_t timer;
    uint32_t stop;
};

static void set_often(void *argument)
{
    struct fight *fight = argument;

    for (int64_t i = 0; !word_get(&fight->stop); i++) {
        handle_t own = real_timer(i % 2 ? HANDLE_FLAG_CANCEL : 0);

        MUST(sys_timer_set(own, i % 3 ? A_DAY + i % 7 * SECOND : 0, i % 2 ? 1000 : 0));
        MUST(sys_timer_set(fight->timer, i % 3 ? A_DAY + i % 7 * SECOND : 0, i % 2 ? 1000 : 0));
        handle_drop(own);
    }
}

TEST(fought_over)
{
    struct fight fight = {.timer = real_timer(HANDLE_FLAG_CANCEL)};
    struct helper *threads[3];
    int64_t until = after(SECOND / 4);

    for (int i = 0; i < 3; i++)
        threads[i] = i % 2 ? helper_process(set_often, &fight) : helper_thread(set_often, &fight);
    for (int64_t i = 0; now() < until; i++)
        step_to(A_DAY + i % 7 * SECOND);
    word_set(&fight.stop, 1);
    for (int i = 0; i < 3; i++)
        i % 2 ? helper_kill(threads[i]) : helper_join(threads[i]);
    handle_drop(fight.timer);
}

TEST(many_follow_a_step)
{
    enum { COUNT = 300 };
    handle_t timers[COUNT];

    step_to(A_DAY);
    for (int i = 0; i < COUNT; i++) {
        timers[i] = real_timer(0);
        MUST(sys_timer_set(timers[i], A_DAY + HOUR + i, 0));
    }
    step_to(A_DAY + 2 * HOUR);
    for (int i = 0; i < COUNT; i++) {
        signal_wait(timers[i], SIGNAL_READABLE);
        handle_drop(timers[i]);
    }
    step_to(A_DAY);
}
