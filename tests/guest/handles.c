/* handle_close, handle_duplicate, handle_info, handle_flags: rights, generations, quota. */
#include "tests/guest/guest.h"

static handle_t timer_new(void)
{
    return (handle_t)MUST(sys_timer_create());
}

TEST(close_forgets_the_number)
{
    struct abi_handle_info info;
    handle_t handle = timer_new();

    CHECK(handle > 0);
    MUST(sys_handle_close(handle));
    CHECK_ERROR(sys_handle_close(handle), BAD_HANDLE);
    CHECK_ERROR(sys_handle_info(handle, &info), BAD_HANDLE);
    CHECK_ERROR(sys_handle_duplicate(handle, 0), BAD_HANDLE);
    CHECK_ERROR(sys_handle_flags(handle, 0, 0), BAD_HANDLE);
}

TEST(numbers_that_name_nothing)
{
    static const handle_t numbers[] = {0,         HANDLE_NONE, -2,      INT32_MIN,
                                       INT32_MAX, 0xffff,      0x10000, 0x7fff0001};

    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        CHECK_ERROR(sys_handle_close(numbers[i]), BAD_HANDLE);
}

/* A number that was given back does not name the next object that gets its slot. */
TEST(generations)
{
    handle_t first = timer_new();

    MUST(sys_handle_close(first));
    for (int i = 0; i < 1000; i++) {
        handle_t next = timer_new();

        CHECK(next != first);
        CHECK_ERROR(sys_handle_close(first), BAD_HANDLE);
        MUST(sys_handle_close(next));
    }
}

TEST(information)
{
    handle_t handle = timer_new(), other = timer_new();
    struct abi_handle_info info = info_of(handle);

    CHECK_EQUAL(info.type, OBJECT_TIMER);
    CHECK_EQUAL(info.rights, RIGHT_READ | RIGHT_WRITE | RIGHT_CONTROL | RIGHT_WAIT |
                                 RIGHT_DUPLICATE | RIGHT_TRANSFER);
    CHECK_EQUAL(info.signals, SIGNAL_WRITABLE);
    CHECK_EQUAL(info.flags, 0);
    CHECK(info.id != info_of(other).id);
    handle_drop(handle);
    handle_drop(other);
}

TEST(information_needs_memory)
{
    handle_t handle = timer_new();

    CHECK_ERROR(sys_handle_info(handle, NULL), FAULT);
    CHECK_ERROR(sys_handle_info(handle, (struct abi_handle_info *)UINT64_C(0xffffffff80000000)),
                FAULT);
    handle_drop(handle);
}

TEST(duplicates_are_the_same_object)
{
    handle_t handle = timer_new();
    handle_t copy = duplicate(handle, info_of(handle).rights);

    CHECK(copy != handle);
    CHECK_EQUAL(info_of(copy).id, info_of(handle).id);
    MUST(sys_timer_set(copy, 1, 0));
    CHECK_EQUAL(signal_wait(handle, SIGNAL_READABLE), SIGNAL_READABLE);
    MUST(sys_handle_close(handle));
    CHECK_EQUAL(info_of(copy).signals, SIGNAL_READABLE | SIGNAL_WRITABLE);
    MUST(sys_handle_close(copy));
}

TEST(duplicates_never_have_more_rights)
{
    handle_t handle = timer_new();
    handle_t waiter = duplicate(handle, RIGHT_WAIT | RIGHT_DUPLICATE);

    CHECK_EQUAL(info_of(waiter).rights, RIGHT_WAIT | RIGHT_DUPLICATE);
    CHECK_ERROR(sys_timer_set(waiter, 1, 0), ACCESS);

    handle_t same = duplicate(waiter, UINT32_MAX); /* a mask */

    CHECK_EQUAL(info_of(same).rights, RIGHT_WAIT | RIGHT_DUPLICATE);
    handle_drop(same);

    handle_t bare = duplicate(waiter, RIGHT_CONTROL);

    CHECK_EQUAL(info_of(bare).rights, 0);
    CHECK_ERROR(sys_handle_duplicate(bare, 0), ACCESS);

    struct abi_wait wait = {.handle = bare, .signals = SIGNAL_READABLE};

    CHECK_ERROR(sys_wait_many(&wait, 1, DEADLINE_NOW), ACCESS);
    handle_drop(handle);
    handle_drop(waiter);
    handle_drop(bare);
}

/* Where a call's object is typed, the dispatcher refuses every other type. */
TEST(types_are_checked)
{
    handle_t ends[2], timer = timer_new();

    MUST(sys_stream_pair(0, ends));
    CHECK_ERROR(sys_timer_set(ends[0], 1, 0), WRONG_TYPE);
    CHECK_ERROR(sys_stream_send(timer, "x", 1, 0, DEADLINE_NOW, NULL), WRONG_TYPE);
    CHECK_ERROR(sys_memory_resize(timer, 0), WRONG_TYPE);
    CHECK_ERROR(sys_port_notify(timer, 1), WRONG_TYPE);
    CHECK_ERROR(sys_process_kill(timer, 0), WRONG_TYPE);
    CHECK_ERROR(sys_thread_control(timer, THREAD_YIELD, 0, NULL), WRONG_TYPE);
    CHECK_ERROR(sys_namespace_create(timer, 0), WRONG_TYPE);
    CHECK_ERROR(sys_file_seek(timer, 0, SEEK_SET_), WRONG_TYPE);
    CHECK_ERROR(sys_irq_ack(timer, 0), WRONG_TYPE);
    CHECK_ERROR(sys_ioport_grant(timer), WRONG_TYPE);
    handle_drop(ends[0]);
    handle_drop(ends[1]);
    handle_drop(timer);
}

/* HANDLE_SELF stands for the caller's process, thread and namespace, and for nothing else. */
TEST(self)
{
    CHECK_ERROR(sys_timer_set(HANDLE_SELF, 1, 0), BAD_HANDLE);
    CHECK_ERROR(sys_memory_resize(HANDLE_SELF, 0), BAD_HANDLE);
    CHECK_ERROR(sys_port_notify(HANDLE_SELF, 1), BAD_HANDLE);
    CHECK(process_info(HANDLE_SELF).id != 0);
    CHECK(MUST(sys_thread_control(HANDLE_SELF, THREAD_ID, 0, NULL)) > 0);
    handle_drop((handle_t)MUST(sys_namespace_create(HANDLE_SELF, 0)));
}

TEST(flags_belong_to_the_object)
{
    handle_t ends[2];

    MUST(sys_stream_pair(0, ends));
    handle_t copy = duplicate(ends[0], info_of(ends[0]).rights);

    CHECK_EQUAL(MUST(sys_handle_flags(ends[0], HANDLE_FLAG_NONBLOCK, HANDLE_FLAG_NONBLOCK)), 0);
    CHECK_EQUAL(info_of(copy).flags, HANDLE_FLAG_NONBLOCK);
    CHECK_EQUAL(info_of(ends[1]).flags, 0);
    CHECK_EQUAL(MUST(sys_handle_flags(copy, 0, UINT32_MAX)), HANDLE_FLAG_NONBLOCK);
    CHECK_EQUAL(MUST(sys_handle_flags(copy, HANDLE_FLAG_NONBLOCK, 0)), HANDLE_FLAG_NONBLOCK);
    CHECK_EQUAL(info_of(ends[0]).flags, 0);
    CHECK_ERROR(sys_handle_flags(ends[0], HANDLE_FLAG_SEEKABLE, 0), INVALID);
    CHECK_ERROR(sys_handle_flags(ends[0], UINT32_MAX, 0), INVALID);
    handle_drop(copy);
    handle_drop(ends[0]);
    handle_drop(ends[1]);
}

TEST(flags_are_of_certain_types)
{
    handle_t timer = timer_new(), ends[2], memory = (handle_t)MUST(sys_memory_create(1, 0));

    MUST(sys_stream_listen(0, 1, ends));
    CHECK_ERROR(sys_handle_flags(memory, 0, 0), WRONG_TYPE);
    CHECK_ERROR(sys_handle_flags(ends[1], HANDLE_FLAG_NONBLOCK, 0), WRONG_TYPE);
    CHECK_ERROR(sys_handle_flags(ends[0], HANDLE_FLAG_SINGLE, 0), INVALID);
    CHECK_EQUAL(MUST(sys_handle_flags(ends[0], HANDLE_FLAG_NONBLOCK, HANDLE_FLAG_NONBLOCK)), 0);
    CHECK_EQUAL(info_of(ends[0]).flags, HANDLE_FLAG_NONBLOCK);
    CHECK_ERROR(sys_stream_accept(ends[0], DEADLINE_NEVER), AGAIN);
    CHECK_EQUAL(MUST(sys_handle_flags(timer, HANDLE_FLAG_SINGLE, HANDLE_FLAG_SINGLE)), 0);
    CHECK_EQUAL(info_of(timer).flags, HANDLE_FLAG_SINGLE);
    handle_drop(memory);
    handle_drop(ends[0]);
    handle_drop(ends[1]);
    handle_drop(timer);
}

/* In a process of its own: the quota is the process's, and nobody else suffers. */
static void fill_table(void *count)
{
    uint32_t made = 0;
    int64_t result;

    while ((result = sys_timer_create()) > 0) {
        made++;
        CHECK(made < 1000000);
    }
    CHECK_ERROR(result, QUOTA);

    /* Every call that makes a handle is refused, and undoes what it did. */
    handle_t ends[2];
    uint64_t streams = system_info().objects[OBJECT_STREAM];

    CHECK_ERROR(sys_memory_create(PAGE_SIZE, 0), QUOTA);
    CHECK_ERROR(sys_stream_pair(0, ends), QUOTA);
    CHECK_ERROR(sys_namespace_create(HANDLE_SELF, 0), QUOTA);
    CHECK_ERROR(sys_proto_create(HANDLE_SELF, NULL, 0), QUOTA);
    CHECK_EQUAL(system_info().objects[OBJECT_STREAM], streams);
    *(uint32_t *)count = made;
}

TEST(quota)
{
    uint32_t *count = shared(PAGE_SIZE);

    helper_join(helper_process(fill_table, count));
    CHECK(*count >= 1000);
    handle_drop(timer_new());
    unshare(count);
}

/* Closing is the last use: a handle closed by one thread while others use it is either there or not. */
struct race {
    handle_t handle;
    uint32_t rounds;
};

static void use_handle(void *argument)
{
    struct race *race = argument;

    for (;;) {
        handle_t handle = __atomic_load_n(&race->handle, __ATOMIC_SEQ_CST);
        struct abi_handle_info info;

        if (handle == HANDLE_NONE)
            return;
        int64_t result = sys_handle_info(handle, &info);
        CHECK(result == 0 || result == -E_BAD_HANDLE);
        result = sys_handle_duplicate(handle, RIGHT_WAIT);
        CHECK(result > 0 || result == -E_BAD_HANDLE);
        if (result > 0)
            MUST(sys_handle_close((handle_t)result));
        __atomic_fetch_add(&race->rounds, 1, __ATOMIC_SEQ_CST);
    }
}

TEST(close_while_in_use)
{
    struct race race = {.handle = timer_new()};
    struct helper *helpers_[2] = {helper_thread(use_handle, &race),
                                  helper_thread(use_handle, &race)};
    int64_t until = after(SECOND / 4);

    while (now() < until) {
        handle_t old = race.handle;

        __atomic_store_n(&race.handle, timer_new(), __ATOMIC_SEQ_CST);
        MUST(sys_handle_close(old));
    }
    handle_t last = race.handle;

    __atomic_store_n(&race.handle, HANDLE_NONE, __ATOMIC_SEQ_CST);
    helper_join(helpers_[0]);
    helper_join(helpers_[1]);
    CHECK(race.rounds > 0);
    handle_drop(last);
}

TEST(unknown_calls)
{
    CHECK_ERROR(syscall_raw(0, 0, 0, 0, 0, 0, 0), NO_CALL);
    CHECK_ERROR(syscall_raw(0x7f, 0, 0, 0, 0, 0, 0), NO_CALL);
    CHECK_ERROR(syscall_raw(0x05, 0, 0, 0, 0, 0, 0), NO_CALL);
}
