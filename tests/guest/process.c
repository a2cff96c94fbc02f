/* process_create, process_exec, process_fork, process_kill, process_info, process_rename, process_control. */
#include "tests/guest/blob.h"

BLOB(exit_seven, BLOB_EXIT(7));
BLOB(exit_argument, "mov %edi, %esi\nxor %edi, %edi\n" BLOB_CALL(0x1b));
BLOB(spin, "1: pause\njmp 1b\n");
BLOB(hlt, "hlt\n");
/* wait_many(NULL, 0, never), for ever */
BLOB(sleep, "1: xor %edi, %edi\nxor %esi, %esi\nmovabs $0x7fffffffffffffff, %rdx\n" BLOB_CALL(
                0x35) "jmp 1b\n");
/* stores rdi, rsi, rsp and rflags into the data page */
BLOB(registers, "mov $0x20000000, %eax\nmov %rdi, (%rax)\nmov %rsi, 8(%rax)\nmov %rsp, 16(%rax)\n"
                "mov %rbx, 24(%rax)\nor %rcx, 24(%rax)\nor %rdx, 24(%rax)\nor %rbp, 24(%rax)\n"
                "or %r8, 24(%rax)\nor %r9, 24(%rax)\nor %r10, 24(%rax)\nor %r12, 24(%rax)\n"
                "or %r13, 24(%rax)\nor %r14, 24(%rax)\nor %r15, 24(%rax)\n" BLOB_EXIT(0));
/* handle_close(rdi): its negated result is the status */
BLOB(close_argument, BLOB_CALL(0x01) "neg %eax\nmov %eax, %esi\nxor %edi, %edi\n" BLOB_CALL(0x1b));

TEST(create_and_drop)
{
    handle_t process = blob_process_create();
    struct abi_process_info info = process_info(process);

    CHECK(info.id != process_info(HANDLE_SELF).id);
    CHECK_EQUAL(info.state, 0);
    CHECK_EQUAL(info.threads, 0);
    CHECK_EQUAL(info.handles, 0);
    CHECK_STRING(info.name, "blob");
    CHECK_EQUAL(info.name_length, 4);
    handle_drop(process);
}

TEST(create_errors)
{
    struct abi_process_create create = {.space_of = HANDLE_NONE, .flags = 1};

    CHECK_ERROR(sys_process_create(HANDLE_SELF, &create), INVALID);
    create.flags = PROCESS_PRIORITY_LIMIT | 32;
    CHECK_ERROR(sys_process_create(HANDLE_SELF, &create), INVALID);
    CHECK_ERROR(sys_process_create(HANDLE_SELF, NULL), FAULT);
    create =
        (struct abi_process_create){.name_length = PROCESS_NAME_MAX + 1, .space_of = HANDLE_NONE};
    CHECK_ERROR(sys_process_create(HANDLE_SELF, &create), TOO_LONG);
    create = (struct abi_process_create){.name = 1, .name_length = 1, .space_of = HANDLE_NONE};
    CHECK_ERROR(sys_process_create(HANDLE_SELF, &create), FAULT);
    create = (struct abi_process_create){.space_of = 12345678};
    CHECK_ERROR(sys_process_create(HANDLE_SELF, &create), BAD_HANDLE);

    handle_t process = blob_process_create();
    handle_t weak = duplicate(process, RIGHT_CONTROL | RIGHT_WAIT);

    create = (struct abi_process_create){.space_of = weak};
    CHECK_ERROR(sys_process_create(HANDLE_SELF, &create), ACCESS);
    MUST(sys_process_kill(process, 0));
    signal_wait(process, SIGNAL_EXITED);
    create = (struct abi_process_create){.space_of = process};
    CHECK_ERROR(sys_process_create(HANDLE_SELF, &create), NO_PROCESS);
    handle_drop(weak);
    handle_drop(process);
}

TEST(exec_runs)
{
    struct blob_process made = blob_start(blob_exit_argument, blob_exit_argument_end,
                                          &(struct blob_options){.argument = 1234});

    CHECK_EQUAL(blob_end(&made), 1234);
}

TEST(first_registers)
{
    struct blob_process made =
        blob_start(blob_registers, blob_registers_end, &(struct blob_options){.argument = 42});

    signal_wait(made.process, SIGNAL_EXITED);
    const uint64_t *seen = (const uint64_t *)made.data;

    CHECK_EQUAL(seen[0], 42);
    CHECK_EQUAL(seen[1], 0);
    CHECK_EQUAL(seen[2], BLOB_BLOCK);
    CHECK_EQUAL(seen[3], 0); /* nothing of the kernel's is left in the others */
    CHECK_EQUAL(blob_end(&made), 0);
}

TEST(exec_suspended)
{
    struct blob_process made = blob_start(blob_exit_seven, blob_exit_seven_end,
                                          &(struct blob_options){.flags = EXEC_SUSPENDED});
    struct abi_frame frame;

    sleep_for(50 * MILLISECOND);
    CHECK(!signals_now(made.process, SIGNAL_EXITED));
    MUST(sys_thread_control(made.thread, THREAD_GET_FRAME, 0, &frame));
    MUST(sys_thread_control(made.thread, THREAD_RESUME, 0, NULL));
    CHECK_EQUAL(blob_end(&made), 7);
}

TEST(exec_moves_handles)
{
    handle_t timer = (handle_t)MUST(sys_timer_create()), value = HANDLE_NONE;
    struct blob_process made = blob_start(blob_close_argument, blob_close_argument_end,
                                          &(struct blob_options){.argument = 0x10001,
                                                                 .handles = {timer},
                                                                 .handle_count = 1,
                                                                 .values = &value,
                                                                 .flags = EXEC_SUSPENDED});

    CHECK_ERROR(sys_handle_close(timer), BAD_HANDLE);
    CHECK(value > 0);
    CHECK_EQUAL(process_info(made.process).handles, 1);
    MUST(sys_thread_control(made.thread, THREAD_RESUME, 0, NULL));
    CHECK_EQUAL(blob_end(&made), value == 0x10001 ? 0 : E_BAD_HANDLE);
}

TEST(exec_errors)
{
    handle_t process = blob_process_create(), used = blob_process_create();
    handle_t weak = duplicate(process, RIGHT_MAP | RIGHT_WAIT);
    const struct blob_options plain = {0};
    struct abi_exec exec = {.entry = BLOB_TEXT, .flags = 2};

    CHECK_ERROR(blob_exec(weak, blob_hlt, blob_hlt_end, &plain, NULL), ACCESS);
    CHECK_ERROR(sys_process_exec(process, NULL), FAULT);
    CHECK_ERROR(sys_process_exec(process, &exec), INVALID);
    exec = (struct abi_exec){.entry = UINT64_C(0xffffffff80000000)};
    CHECK_ERROR(sys_process_exec(process, &exec), INVALID);
    exec = (struct abi_exec){.stack = UINT64_C(0x800000000000)};
    CHECK_ERROR(sys_process_exec(process, &exec), INVALID);
    exec = (struct abi_exec){.block = 8};
    CHECK_ERROR(sys_process_exec(process, &exec), INVALID);
    exec = (struct abi_exec){.personality = {.call_entry = UINT64_C(0xffffffff80000000)}};
    CHECK_ERROR(sys_process_exec(process, &exec), INVALID);
    exec = (struct abi_exec){.map_count = UINT64_MAX};
    CHECK_ERROR(sys_process_exec(process, &exec), TOO_LONG);
    exec = (struct abi_exec){.handle_count = 65};
    CHECK_ERROR(sys_process_exec(process, &exec), TOO_LONG);

    /* None of those spoilt it. Once it was started it is refused; so is one that ended. */
    handle_t thread = (handle_t)MUST(blob_exec(used, blob_sleep, blob_sleep_end, &plain, NULL));

    CHECK_ERROR(blob_exec(used, blob_hlt, blob_hlt_end, &plain, NULL), BUSY);
    MUST(sys_process_kill(used, 0));
    signal_wait(used, SIGNAL_EXITED);
    CHECK_ERROR(blob_exec(used, blob_hlt, blob_hlt_end, &plain, NULL), NO_PROCESS);
    handle_drop(
        (handle_t)MUST(blob_exec(process, blob_exit_seven, blob_exit_seven_end, &plain, NULL)));
    signal_wait(process, SIGNAL_EXITED);
    CHECK_EQUAL(process_info(process).status, 7);
    handle_drop(thread);
    handle_drop(process);
    handle_drop(used);
    handle_drop(weak);
}

/* An exec that fails on the way ends the process; handles it could not move are still the caller's. */
TEST(exec_that_fails)
{
    handle_t process = blob_process_create(), timer = (handle_t)MUST(sys_timer_create());
    handle_t handles[2] = {timer, 12345678}, values[2];
    struct abi_map map = {.address = BLOB_TEXT + 1, .length = PAGE_SIZE, .memory = HANDLE_NONE};
    struct abi_exec exec = {.maps = (uintptr_t)&map, .map_count = 1, .entry = BLOB_TEXT};

    CHECK_ERROR(sys_process_exec(process, &exec), INVALID);
    CHECK_EQUAL(process_info(process).state, PROCESS_EXITED);
    handle_drop(process);

    process = blob_process_create();
    exec = (struct abi_exec){.handles = (uintptr_t)handles,
                             .handle_count = 2,
                             .handle_values = (uintptr_t)values,
                             .entry = BLOB_TEXT};
    CHECK_ERROR(sys_process_exec(process, &exec), BAD_HANDLE);
    CHECK_EQUAL(info_of(timer).type, OBJECT_TIMER);
    handle_drop(process);
    handle_drop(timer);
}

TEST(kill)
{
    struct blob_process made = blob_start(blob_spin, blob_spin_end, &(struct blob_options){0});
    handle_t weak = duplicate(made.process, RIGHT_WAIT);

    sleep_for(20 * MILLISECOND);
    CHECK_ERROR(sys_process_kill(weak, 9), ACCESS);
    MUST(sys_process_kill(made.process, 0x1234));
    handle_drop(weak);
    CHECK_EQUAL(blob_end(&made), 0x1234);
}

TEST(kill_a_sleeper)
{
    struct blob_process made = blob_start(blob_sleep, blob_sleep_end, &(struct blob_options){0});

    sleep_for(20 * MILLISECOND);
    MUST(sys_process_kill(made.process, 5));
    signal_wait(made.process, SIGNAL_EXITED);
    MUST(sys_process_kill(made.process, 6)); /* the first status stays */
    CHECK_EQUAL(blob_end(&made), 5);
}

TEST(kill_before_start)
{
    struct blob_process made = blob_start(blob_exit_seven, blob_exit_seven_end,
                                          &(struct blob_options){.flags = EXEC_SUSPENDED});

    MUST(sys_process_kill(made.process, 3));
    CHECK_EQUAL(blob_end(&made), 3);

    handle_t process = blob_process_create();

    MUST(sys_process_kill(process, 4));
    CHECK_EQUAL(signals_now(process, SIGNAL_EXITED), SIGNAL_EXITED);
    CHECK_EQUAL(process_info(process).status, 4);
    handle_drop(process);
}

/* A process that was suspended and forgotten goes with its handles. */
TEST(forgotten_before_start)
{
    for (int i = 0; i < 10; i++)
        handle_drop(blob_process_create());
}

TEST(exceptions_end_a_process_without_personality)
{
    struct blob_process made = blob_start(blob_hlt, blob_hlt_end, &(struct blob_options){0});

    CHECK_EQUAL(blob_end(&made), EXIT_EXCEPTION | 13);
}

TEST(information)
{
    int64_t before = now();
    struct blob_process made = blob_start(blob_spin, blob_spin_end, &(struct blob_options){0});
    handle_t weak = duplicate(made.process, RIGHT_CONTROL);
    struct abi_process_info info;

    sleep_for(100 * MILLISECOND);
    info = process_info(made.process);
    CHECK_EQUAL(info.state, 0);
    CHECK_EQUAL(info.threads, 1);
    CHECK((int64_t)info.start_time >= before && (int64_t)info.start_time <= now());
    CHECK_ERROR(sys_process_info(weak, &info), ACCESS);
    CHECK_ERROR(sys_process_info(made.process, NULL), FAULT);
    MUST(sys_process_kill(made.process, 0));
    signal_wait(made.process, SIGNAL_EXITED);
    info = process_info(made.process);
    CHECK_EQUAL(info.state, PROCESS_EXITED);
    CHECK_EQUAL(info.threads, 0);
    CHECK_EQUAL(info.pages, 0);
    CHECK_EQUAL(info.handles, 0);
    CHECK(info.cpu_time > 0);
    handle_drop(weak);
    CHECK_EQUAL(blob_end(&made), 0);
}

TEST(renaming)
{
    handle_t process = blob_process_create(), weak = duplicate(process, RIGHT_WAIT);

    MUST(sys_process_rename(process, "another", 7));
    CHECK_STRING(process_info(process).name, "another");
    MUST(sys_process_rename(process, "", 0));
    CHECK_STRING(process_info(process).name, "");
    MUST(sys_process_rename(process, "1234567890123456789012345678901", 31));
    CHECK_EQUAL(process_info(process).name_length, 31);
    CHECK_ERROR(sys_process_rename(process, "12345678901234567890123456789012", 32), TOO_LONG);
    CHECK_ERROR(sys_process_rename(process, NULL, 1), FAULT);
    CHECK_ERROR(sys_process_rename(weak, "x", 1), ACCESS);
    handle_drop(weak);
    handle_drop(process);
}

/* --- Control ---------------------------------------------------------------------------------------------------- */

static void count_up(void *argument)
{
    uint32_t *counter = argument;

    for (;;)
        __atomic_fetch_add(counter, 1, __ATOMIC_SEQ_CST);
}

static void wait_until_it_stops(uint32_t *counter)
{
    int64_t deadline = after(PATIENCE);
    uint32_t before;

    do {
        CHECK(now() < deadline);
        before = word_get(counter);
        sleep_for(20 * MILLISECOND);
    } while (word_get(counter) != before);
}

static void wait_until_it_counts(uint32_t *counter)
{
    int64_t deadline = after(PATIENCE);
    uint32_t before = word_get(counter);

    while (word_get(counter) == before) {
        CHECK(now() < deadline);
        sleep_for(5 * MILLISECOND);
    }
}

TEST(suspend_and_resume)
{
    uint32_t *counter = shared(PAGE_SIZE);
    struct helper *helper = helper_process(count_up, counter);

    wait_until_it_counts(counter);
    MUST(sys_process_control(helper->process, PROCESS_SUSPEND, 0));
    wait_until_it_stops(counter);
    MUST(sys_process_control(helper->process, PROCESS_RESUME, 0));
    wait_until_it_counts(counter);
    CHECK_ERROR(sys_process_control(helper->process, 0, 0), INVALID);
    CHECK_ERROR(sys_process_control(helper->process, 99, 0), INVALID);
    CHECK_ERROR(sys_process_control(helper->process, PROCESS_RESUME, 1), INVALID);
    MUST(sys_process_control(helper->process, PROCESS_SUSPEND, 0));
    helper_kill(helper); /* a suspended process can be ended */
    unshare(counter);
}

static void sleep_interrupted(void *argument)
{
    word_set(argument, 1);
    CHECK_ERROR(sys_wait_many(NULL, 0, after(PATIENCE)), INTERRUPTED);
}

TEST(interrupt)
{
    uint32_t *word = shared(PAGE_SIZE);
    struct helper *helper = helper_process(sleep_interrupted, word);

    word_wait(word, 1);
    sleep_for(50 * MILLISECOND);
    MUST(sys_process_control(helper->process, PROCESS_INTERRUPT, 0));
    helper_join(helper);
    unshare(word);
}

/* --- Fork -------------------------------------------------------------------------------------------------------- */

static void look_at_itself(void *argument)
{
    uint64_t *id = argument;

    *id = process_info(HANDLE_SELF).id;
    CHECK_EQUAL(process_info(HANDLE_SELF).threads, 1);
}

TEST(fork_gives_an_id)
{
    uint64_t *id = shared(PAGE_SIZE);
    struct helper *helper = helper_process_suspended(look_at_itself, id);

    CHECK_EQUAL(*id, 0); /* created suspended */
    CHECK_STRING(process_info(helper->process).name, process_info(HANDLE_SELF).name);
    uint64_t said = helper->id;

    helper_join(helper_resume(helper));
    CHECK_EQUAL(*id, said);
    unshare(id);
}

struct forked {
    handle_t ends[2];
    handle_t timer;
};

static void use_inherited(void *argument)
{
    struct forked *forked = argument;

    CHECK_EQUAL(info_of(forked->timer).type, OBJECT_TIMER);
    MUST(sys_handle_close(forked->timer));
    CHECK_EQUAL(MUST(sys_stream_send(forked->ends[1], "hello", 5, 0, after(PATIENCE), NULL)), 5);
}

/* The child has the same numbers; closing them there closes nothing here. */
TEST(fork_duplicates_handles)
{
    struct forked *forked = shared(PAGE_SIZE);
    char text[8];

    MUST(sys_stream_pair(0, forked->ends));
    forked->timer = (handle_t)MUST(sys_timer_create());
    struct helper *helper = helper_process(use_inherited, forked);

    CHECK_EQUAL(
        MUST(sys_stream_receive(forked->ends[0], text, sizeof(text), 0, after(PATIENCE), NULL)), 5);
    CHECK(memcmp(text, "hello", 5) == 0);
    helper_join(helper);
    CHECK_EQUAL(info_of(forked->timer).type, OBJECT_TIMER);
    handle_drop(forked->timer);
    handle_drop(forked->ends[0]);
    handle_drop(forked->ends[1]);
    unshare(forked);
}

TEST(fork_errors)
{
    struct abi_fork fork = {.entry = 1, .flags = 2};
    handle_t process = blob_process_create(), weak = duplicate(process, RIGHT_MAP | RIGHT_WAIT);

    CHECK_ERROR(sys_process_fork(HANDLE_SELF, &fork), INVALID);
    CHECK_ERROR(sys_process_fork(HANDLE_SELF, NULL), FAULT);
    fork = (struct abi_fork){.entry = UINT64_C(0x800000000000)};
    CHECK_ERROR(sys_process_fork(HANDLE_SELF, &fork), INVALID);
    fork = (struct abi_fork){.fs_base = UINT64_C(0xffff800000000000)};
    CHECK_ERROR(sys_process_fork(HANDLE_SELF, &fork), INVALID);
    fork = (struct abi_fork){0};
    CHECK_ERROR(sys_process_fork(weak, &fork), ACCESS);
    MUST(sys_process_kill(process, 0));
    CHECK_ERROR(sys_process_fork(process, &fork), NO_PROCESS);
    handle_drop(weak);
    handle_drop(process);
}

/* vfork: the child writes, and the parent sees it. */
static void write_private(void *argument)
{
    *(uint32_t *)argument = 99;
}

TEST(fork_sharing_the_space)
{
    uint32_t *private = pages_map(1);
    struct helper *helper = helper_new(write_private, private);
    struct abi_fork fork = {
        .entry = (uintptr_t)helper_main,
        .stack = helper_stack(helper),
        .argument = (uintptr_t)helper,
        .fs_base = own_fs_base(),
        .flags = FORK_SHARE_SPACE,
    };

    *private = 1;
    helper->process = (handle_t)MUST(sys_process_fork(HANDLE_SELF, &fork));
    helper->thread = fork.thread;
    helper_join(helper_resume(helper));
    CHECK_EQUAL(*private, 99); /* its end took nothing of the space away */
    pages_unmap(private, 1);
}

/* Another process is forked by whoever may control it. */
TEST(fork_another)
{
    uint32_t *counter = shared(PAGE_SIZE);
    struct helper *helper = helper_process(count_up, counter);
    struct abi_fork fork = {
        .entry = (uintptr_t)helper_main,
        .stack = helper_stack(helper),
        .argument = (uintptr_t)helper,
        .fs_base = own_fs_base(),
    };

    wait_until_it_counts(counter);
    handle_t child = (handle_t)MUST(sys_process_fork(helper->process, &fork));

    helper_kill(helper);
    wait_until_it_stops(counter);
    MUST(sys_thread_control(fork.thread, THREAD_RESUME, 0, NULL));
    wait_until_it_counts(counter);
    MUST(sys_process_kill(child, 0));
    signal_wait(child, SIGNAL_EXITED);
    handle_drop(child);
    handle_drop(fork.thread);
    unshare(counter);
}

TEST(many_forks)
{
    uint64_t *id = shared(PAGE_SIZE);

    for (int i = 0; i < 200; i++)
        helper_join(helper_process(look_at_itself, id));
    unshare(id);
}

/* Children of children, all at once. */
static void family(void *argument)
{
    uintptr_t depth = (uintptr_t)argument;
    struct helper *children[3];

    if (!depth)
        return;
    for (int i = 0; i < 3; i++)
        children[i] = helper_process(family, (void *)(depth - 1));
    for (int i = 0; i < 3; i++)
        helper_join(children[i]);
}

TEST(family_of_processes)
{
    family((void *)3);
}

/* Suspended, and nobody left who could resume it: it ends. (That all of it is gone is the frame's check.) */
static void leave_forks_behind(void *argument)
{
    struct abi_fork fork = {.entry = 0x1000};

    (void)argument;
    for (int i = 0; i < 3; i++)
        MUST(sys_process_fork(HANDLE_SELF,
                              &fork)); /* the second has a handle to the first, and so on */
}

TEST(forgotten_forks)
{
    struct abi_fork fork = {.entry = 0x1000};
    handle_t process = (handle_t)MUST(sys_process_fork(HANDLE_SELF, &fork));

    MUST(sys_handle_close(process));
    CHECK_EQUAL(signals_now(fork.thread, SIGNAL_EXITED), 0); /* by this it can be resumed */
    MUST(sys_handle_close(fork.thread));
    helper_join(helper_process(leave_forks_behind, NULL));
}

static void suspend_itself(void *argument)
{
    (void)argument;
    MUST(sys_process_control(HANDLE_SELF, PROCESS_SUSPEND, 0));
    helper_exit(1);
}

TEST(forgotten_by_itself)
{
    struct helper *helper = helper_process_suspended(suspend_itself, NULL);

    helper_resume(helper);
    MUST(sys_handle_close(helper->thread));
    MUST(sys_handle_close(helper->process));
    helper->thread = helper->process = HANDLE_NONE;
    helper_free(helper);
}

/* A process in whose namespace is the port that waits for its end: none of them holds the others for ever. */
TEST(names_that_wait_for_their_process)
{
    handle_t names = (handle_t)MUST(sys_namespace_create(HANDLE_SELF, NAMESPACE_EMPTY));
    handle_t port = (handle_t)MUST(sys_proto_create(names, "waits", 5));
    struct abi_process_create create = {.space_of = HANDLE_NONE};
    handle_t process = (handle_t)MUST(sys_process_create(names, &create));

    MUST(sys_port_bind(port, process, SIGNAL_EXITED, 1, 0));
    handle_drop(port);
    handle_drop(names);
    handle_drop(process);
}
