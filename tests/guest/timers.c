/* timer_create, timer_set, timer_add, timer_take: a count that time and programs add to. */
#include "tests/guest/guest.h"

static handle_t timer_new(void)
{
    return (handle_t)MUST(sys_timer_create());
}

static uint64_t take(handle_t timer)
{
    uint64_t value = 0;

    MUST(sys_timer_take(timer, &value, after(PATIENCE)));
    return value;
}

static uint32_t state(handle_t timer)
{
    return info_of(timer).signals;
}

TEST(adding_and_taking)
{
    handle_t timer = timer_new();

    CHECK_EQUAL(state(timer), SIGNAL_WRITABLE);
    MUST(sys_timer_add(timer, 3, DEADLINE_NOW));
    MUST(sys_timer_add(timer, 0, DEADLINE_NOW));
    MUST(sys_timer_add(timer, 4, DEADLINE_NOW));
    CHECK_EQUAL(state(timer), SIGNAL_READABLE | SIGNAL_WRITABLE);
    CHECK_EQUAL(take(timer), 7);
    CHECK_EQUAL(state(timer), SIGNAL_WRITABLE);
    handle_drop(timer);
}

TEST(one_at_a_time)
{
    handle_t timer = timer_new();

    MUST(sys_handle_flags(timer, HANDLE_FLAG_SINGLE, HANDLE_FLAG_SINGLE));
    MUST(sys_timer_add(timer, 2, DEADLINE_NOW));
    CHECK_EQUAL(take(timer), 1);
    CHECK_EQUAL(state(timer), SIGNAL_READABLE | SIGNAL_WRITABLE);
    CHECK_EQUAL(take(timer), 1);
    CHECK_EQUAL(state(timer), SIGNAL_WRITABLE);
    handle_drop(timer);
}

TEST(errors)
{
    handle_t timer = timer_new(), deaf = duplicate(timer, RIGHT_WRITE | RIGHT_WAIT),
             mute = duplicate(timer, RIGHT_READ | RIGHT_WAIT);
    uint64_t value;

    CHECK_ERROR(sys_timer_take(timer, &value, DEADLINE_NOW), AGAIN);
    CHECK_ERROR(sys_timer_take(timer, &value, after(MILLISECOND)), TIMED_OUT);
    CHECK_ERROR(sys_timer_take(timer, &value, -1), TIMED_OUT);
    CHECK_ERROR(sys_timer_add(timer, UINT64_MAX, DEADLINE_NOW), INVALID);
    CHECK_ERROR(sys_timer_take(deaf, &value, DEADLINE_NOW), ACCESS);
    CHECK_ERROR(sys_timer_add(mute, 1, DEADLINE_NOW), ACCESS);
    MUST(sys_timer_add(deaf, 5, DEADLINE_NOW));
    CHECK_ERROR(sys_timer_take(timer, NULL, DEADLINE_NOW), FAULT);
    CHECK_EQUAL(take(mute), 5); /* a bad address takes nothing */
    CHECK_ERROR(sys_timer_set(deaf, 0, 0), ACCESS);
    CHECK_ERROR(sys_timer_set(timer, -1, 0), INVALID);
    CHECK_ERROR(sys_timer_set(timer, 1, 999), INVALID);
    handle_drop(deaf);
    handle_drop(mute);
    handle_drop(timer);
}

TEST(a_full_count)
{
    handle_t timer = timer_new();

    MUST(sys_timer_add(timer, TIMER_COUNT_MAX, DEADLINE_NOW));
    CHECK_EQUAL(state(timer), SIGNAL_READABLE);
    CHECK_ERROR(sys_timer_add(timer, 1, DEADLINE_NOW), AGAIN);
    MUST(sys_handle_flags(timer, HANDLE_FLAG_NONBLOCK, HANDLE_FLAG_NONBLOCK));
    CHECK_ERROR(sys_timer_add(timer, 1, DEADLINE_NEVER), AGAIN);
    MUST(sys_timer_set(timer, 1, 0)); /* counts from 0 */
    signal_wait(timer, SIGNAL_READABLE);
    CHECK_EQUAL(take(timer), 1);
    handle_drop(timer);
}

TEST(time_adds)
{
    handle_t timer = timer_new();

    MUST(sys_timer_set(timer, after(MILLISECOND), MILLISECOND));
    sleep_for(20 * MILLISECOND);
    CHECK(take(timer) >= 15);
    CHECK(take(timer) >= 1);
    MUST(sys_timer_set(timer, 0, 0));
    CHECK_EQUAL(state(timer), SIGNAL_WRITABLE);
    handle_drop(timer);
}

/* --- Between processes ---------------------------------------------------------------------------------------------- */

#define ROUNDS 2000u

static handle_t there, back;

static void echo(void *argument)
{
    (void)argument;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        CHECK_EQUAL(take(there), i + 1);
        MUST(sys_timer_add(back, i + 1, DEADLINE_NEVER));
    }
}

TEST(there_and_back)
{
    there = timer_new();
    back = timer_new();
    struct helper *helper = helper_process(echo, NULL);

    for (uint32_t i = 0; i < ROUNDS; i++) {
        MUST(sys_timer_add(there, i + 1, DEADLINE_NEVER));
        CHECK_EQUAL(take(back), i + 1);
    }
    helper_join(helper);
    handle_drop(there);
    handle_drop(back);
}

#define TAKERS 4
#define EACH   500u

static void take_some(void *argument)
{
    (void)argument;
    for (uint32_t i = 0; i < EACH; i++)
        CHECK_EQUAL(take(there), 1);
}

/* As a semaphore no unit is lost and no taker left asleep. */
TEST(many_takers)
{
    struct helper *helpers_[TAKERS];

    there = timer_new();
    MUST(sys_handle_flags(there, HANDLE_FLAG_SINGLE, HANDLE_FLAG_SINGLE));
    for (int i = 0; i < TAKERS; i++)
        helpers_[i] = i % 2 ? helper_thread(take_some, NULL) : helper_process(take_some, NULL);
    for (uint32_t left = TAKERS * EACH; left;) {
        uint32_t now_ = left < 3 ? left : 3;

        MUST(sys_timer_add(there, now_, DEADLINE_NEVER));
        left -= now_;
    }
    for (int i = 0; i < TAKERS; i++)
        helper_join(helpers_[i]);
    CHECK_EQUAL(state(there), SIGNAL_WRITABLE);
    handle_drop(there);
}

static void add_one(void *argument)
{
    (void)argument;
    MUST(sys_timer_add(there, 2, after(PATIENCE)));
}

TEST(adding_waits_for_room)
{
    there = timer_new();
    MUST(sys_timer_add(there, TIMER_COUNT_MAX - 1, DEADLINE_NOW));
    struct helper *helper = helper_process(add_one, NULL);

    sleep_for(5 * MILLISECOND);
    CHECK_EQUAL(take(there), TIMER_COUNT_MAX - 1);
    helper_join(helper);
    CHECK_EQUAL(take(there), 2);
    handle_drop(there);
}

/* Shown before or not: each addition is told to whoever is bound. */
TEST(each_addition_is_told)
{
    handle_t port = (handle_t)MUST(sys_proto_create(HANDLE_SELF, NULL, 0)), timer = timer_new();
    struct abi_message message;

    MUST(sys_port_bind(port, timer, SIGNAL_READABLE, 9, 0));
    for (int i = 0; i < 3; i++) {
        MUST(sys_timer_add(timer, 1, DEADLINE_NOW));
        MUST(sys_proto_accept(port, &message, NULL, 0, DEADLINE_NOW));
        CHECK_EQUAL(message.kind, MESSAGE_NOTIFY);
        CHECK_EQUAL(message.cookie, 9);
        CHECK_ERROR(sys_proto_accept(port, &message, NULL, 0, DEADLINE_NOW), AGAIN);
    }
    CHECK_EQUAL(take(timer), 3);
    handle_drop(timer);
    handle_drop(port);
}
