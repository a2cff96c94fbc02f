/* clock_get, timer_create, timer_set. */
#include "tests/guest/guest.h"

static handle_t timer_new(void)
{
    return (handle_t)MUST(sys_timer_create());
}

TEST(monotonic)
{
    int64_t last = now();

    for (int i = 0; i < 100000; i++) {
        int64_t next = MUST(sys_clock_get(CLOCK_MONOTONIC_));

        CHECK(next >= last);
        last = next;
    }
}

/* Also from CPU to CPU. */
TEST(monotonic_over_cpus)
{
    uint64_t cpus = system_info().cpus;
    int64_t last = 0;

    for (int i = 0; i < 200; i++) {
        MUST(sys_thread_control(HANDLE_SELF, THREAD_AFFINITY, UINT64_C(1) << ((uint64_t)i % cpus),
                                NULL));
        int64_t next = now();

        CHECK(next >= last);
        last = next;
    }
    MUST(sys_thread_control(HANDLE_SELF, THREAD_AFFINITY, 0, NULL));
}

TEST(clock_errors)
{
    CHECK_ERROR(sys_clock_get(0), INVALID);
    CHECK_ERROR(sys_clock_get(5), INVALID);
    CHECK_ERROR(sys_clock_get(UINT32_MAX), INVALID);
}

TEST(cpu_clocks)
{
    int64_t start = now(), until = start + 50 * MILLISECOND;
    int64_t process = MUST(sys_clock_get(CLOCK_PROCESS_)),
            thread = MUST(sys_clock_get(CLOCK_THREAD_));

    while (now() < until)
        ;
    int64_t used = MUST(sys_clock_get(CLOCK_THREAD_)) - thread;

    CHECK(used > 0 && used <= now() - start + MILLISECOND); /* two clocks: they round */
    CHECK(MUST(sys_clock_get(CLOCK_PROCESS_)) - process >= used);

    /* Asleep it uses next to nothing; a busy host may stop the machine in the few instructions that it does use. */
    for (int i = 0; i < 10; i++) {
        thread = MUST(sys_clock_get(CLOCK_THREAD_));
        sleep_for(100 * MILLISECOND);
        used = MUST(sys_clock_get(CLOCK_THREAD_)) - thread;
        if (used < 50 * MILLISECOND)
            break;
    }
    CHECK(used < 50 * MILLISECOND);
}

TEST(uptime)
{
    int64_t before = now();
    struct abi_system_info info = system_info();

    CHECK((int64_t)info.uptime >= before && (int64_t)info.uptime <= now());
    CHECK(info.tsc_hz > 1000000);
}

TEST(one_shot)
{
    handle_t timer = timer_new();
    int64_t start = now();

    MUST(sys_timer_set(timer, start + 20 * MILLISECOND, 0));
    CHECK_EQUAL(signals_now(timer, SIGNAL_READABLE), 0);
    signal_wait(timer, SIGNAL_READABLE);
    CHECK(now() - start >= 20 * MILLISECOND);
    CHECK_EQUAL(signals_now(timer, SIGNAL_READABLE), SIGNAL_READABLE); /* until it is set anew */
    MUST(sys_timer_set(timer, 0, 0));
    CHECK_EQUAL(signals_now(timer, SIGNAL_READABLE), 0);
    handle_drop(timer);
}

TEST(in_the_past)
{
    handle_t timer = timer_new();

    MUST(sys_timer_set(timer, 1, 0));
    signal_wait(timer, SIGNAL_READABLE);
    MUST(sys_timer_set(timer, now() - 1, 0));
    signal_wait(timer, SIGNAL_READABLE);
    handle_drop(timer);
}

TEST(periodic)
{
    handle_t timer = timer_new(), port = (handle_t)MUST(sys_proto_create(HANDLE_SELF, NULL, 0));
    struct abi_message message;
    int64_t start = now();

    MUST(sys_port_bind(port, timer, SIGNAL_READABLE, 1, 0));
    MUST(sys_timer_set(timer, after(10 * MILLISECOND), 10 * MILLISECOND));
    for (int i = 0; i < 5; i++)
        MUST(sys_proto_accept(port, &message, NULL, 0, after(PATIENCE)));
    CHECK(now() - start >= 30 * MILLISECOND); /* some may have come together */
    MUST(sys_timer_set(timer, 0, 0));
    while (sys_proto_accept(port, &message, NULL, 0, DEADLINE_NOW) == 0)
        ;
    CHECK_ERROR(sys_proto_accept(port, &message, NULL, 0, after(30 * MILLISECOND)), TIMED_OUT);
    handle_drop(timer);
    handle_drop(port);
}

/* A period that began in the past goes on with the next point in time that lies ahead, not with all it missed. */
TEST(periodic_from_the_past)
{
    handle_t timer = timer_new();

    MUST(sys_timer_set(timer, 1, 1000));
    signal_wait(timer, SIGNAL_READABLE);
    MUST(sys_timer_set(timer, 0, 0));
    handle_drop(timer);
}

TEST(set_again)
{
    handle_t timer = timer_new();

    MUST(sys_timer_set(timer, after(10 * MILLISECOND), 0));
    MUST(sys_timer_set(timer, after(PATIENCE), 0));
    sleep_for(40 * MILLISECOND);
    CHECK_EQUAL(signals_now(timer, SIGNAL_READABLE), 0);
    handle_drop(timer);
}

TEST(timer_errors)
{
    handle_t timer = timer_new(), weak = duplicate(timer, RIGHT_WAIT);

    CHECK_ERROR(sys_timer_set(weak, 1, 0), ACCESS);
    CHECK_ERROR(sys_timer_set(timer, -1, 0), INVALID);
    CHECK_ERROR(sys_timer_set(timer, 1, 1), INVALID); /* too short */
    CHECK_ERROR(sys_timer_set(timer, 1, UINT64_MAX), INVALID);
    MUST(sys_timer_set(timer, INT64_MAX, 0));
    handle_drop(weak);
    handle_drop(timer);
}

TEST(many_timers)
{
    enum { COUNT = 300 };
    struct abi_wait waits[COUNT];
    uint64_t seed = 5;
    int64_t deadlines[COUNT], deadline = after(PATIENCE);
    int left = COUNT;

    for (int i = 0; i < COUNT; i++) {
        waits[i] = (struct abi_wait){.handle = timer_new(), .signals = SIGNAL_READABLE};
        deadlines[i] = after((int64_t)(test_random(&seed) % (100 * MILLISECOND)));
        MUST(sys_timer_set(waits[i].handle, deadlines[i], 0));
    }
    while (left) {
        MUST(sys_wait_many(waits, COUNT, deadline));
        int64_t time = now();

        for (int i = 0; i < COUNT; i++) {
            if (!waits[i].ready)
                continue;
            CHECK(time >= deadlines[i]);
            MUST(sys_timer_set(waits[i].handle, 0, 0));
            left--;
        }
    }
    for (int i = 0; i < COUNT; i++)
        handle_drop(waits[i].handle);
}

/* Set, cancelled and closed by several threads while it fires. */
struct fight {
    handle_t timer;
    uint32_t stop;
};

static void set_often(void *argument)
{
    struct fight *fight = argument;

    for (int64_t i = 0; !word_get(&fight->stop); i++)
        MUST(sys_timer_set(fight->timer, i % 3 ? after(i % 7 * 3000) : 0, i % 2 ? 1000 : 0));
}

TEST(fought_over)
{
    struct fight fight = {.timer = timer_new()};
    struct helper *threads[3];

    for (int i = 0; i < 3; i++)
        threads[i] = i % 2 ? helper_process(set_often, &fight) : helper_thread(set_often, &fight);
    sleep_for(SECOND / 4);
    word_set(&fight.stop, 1);
    for (int i = 0; i < 3; i++)
        i % 2 ? helper_kill(threads[i]) : helper_join(threads[i]);
    handle_drop(fight.timer);
}

/* Sleeping threads wake in time, all of them. */
static void sleep_and_note(void *argument)
{
    int64_t *late = argument, until = after(30 * MILLISECOND);

    CHECK_ERROR(sys_wait_many(NULL, 0, until), TIMED_OUT);
    *late = now() - until;
}

TEST(sleepers)
{
    enum { COUNT = 16 };
    int64_t late[COUNT] = {0};
    struct helper *threads[COUNT];

    for (int i = 0; i < COUNT; i++)
        threads[i] = helper_thread(sleep_and_note, &late[i]);
    for (int i = 0; i < COUNT; i++) {
        helper_join(threads[i]);
        CHECK(late[i] >= 0 && late[i] < PATIENCE);
    }
}
