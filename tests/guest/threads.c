/* thread_create, thread_exit, thread_control. */
#include <pthread.h>

#include "tests/guest/guest.h"

static int64_t control(handle_t thread, uint32_t op, uint64_t value)
{
    return sys_thread_control(thread, op, value, NULL);
}

static void count_up(void *argument)
{
    uint32_t *words = argument; /* [0] counts, [1] stops it */

    while (!word_get(words + 1))
        __atomic_fetch_add(words, 1, __ATOMIC_SEQ_CST);
}

static void wait_until_it_counts(uint32_t *counter)
{
    int64_t deadline = after(PATIENCE);
    uint32_t before = word_get(counter);

    while (word_get(counter) == before) {
        CHECK(now() < deadline);
        sleep_for(2 * MILLISECOND);
    }
}

/* Suspending does not wait for the thread to stop. */
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

static void mark(void *argument)
{
    *(uint32_t *)argument = 1;
}

TEST(create_and_end)
{
    uint32_t word = 0;
    struct helper *helper = helper_thread_suspended(mark, &word);

    CHECK_EQUAL(process_info(HANDLE_SELF).threads, 2);
    sleep_for(20 * MILLISECOND);
    CHECK_EQUAL(word_get(&word), 0);
    CHECK(!helper_ended(helper));
    helper_join(helper_resume(helper));
    CHECK_EQUAL(word, 1);
    CHECK_EQUAL(process_info(HANDLE_SELF).threads, 1);
}

TEST(create_errors)
{
    struct abi_thread thread = {.flags = 2};

    CHECK_ERROR(sys_thread_create(HANDLE_SELF, &thread), INVALID);
    CHECK_ERROR(sys_thread_create(HANDLE_SELF, NULL), FAULT);
    thread = (struct abi_thread){.entry = UINT64_C(0x800000000000)};
    CHECK_ERROR(sys_thread_create(HANDLE_SELF, &thread), INVALID);
    thread = (struct abi_thread){.stack = UINT64_C(0xffff800000000000)};
    CHECK_ERROR(sys_thread_create(HANDLE_SELF, &thread), INVALID);
    thread = (struct abi_thread){.gs_base = UINT64_C(0xffffffff80000000)};
    CHECK_ERROR(sys_thread_create(HANDLE_SELF, &thread), INVALID);
    thread = (struct abi_thread){.block = 8};
    CHECK_ERROR(sys_thread_create(HANDLE_SELF, &thread), INVALID);
}

/* --- Killing many ----------------------------------------------------------------------------------------------- */

#define CROWD 600u

struct crowd {
    handle_t victim;
    uint32_t ready, between, stop;
};

static void be_one_of_many(void *argument)
{
    uint32_t never = 0;

    word_add(argument, 1);
    for (;;)
        sys_ignore(sys_futex_wait(&never, 0, 0, DEADLINE_NEVER, FUTEX_ANY));
}

static void be_crowd(void *argument)
{
    struct crowd *crowd = argument;
    struct abi_thread thread = {.entry = (uintptr_t)be_one_of_many,
                                .argument = (uintptr_t)&crowd->ready};

    for (uint32_t i = 0; i < CROWD;
         i++) { /* as many as it gets; they need no more than a few words of stack each */
        thread.stack = (uintptr_t)pages_map(1) + PAGE_SIZE - 8;
        int64_t handle = sys_thread_create(HANDLE_SELF, &thread);
        if (handle < 0)
            break;
        handle_drop((handle_t)handle);
    }
    be_one_of_many(&crowd->ready);
}

/* Woken by each timer interrupt, above everybody else: how often some of the crowd were dead and some not. */
static void watch_crowd(void *argument)
{
    struct crowd *crowd = argument;
    uint32_t all = process_info(crowd->victim).threads;

    while (!word_get(&crowd->stop)) {
        uint32_t left = process_info(crowd->victim).threads;

        if (left && left < all)
            __atomic_fetch_add(&crowd->between, 1, __ATOMIC_SEQ_CST);
        sleep_for(MILLISECOND / 10);
    }
}

/* Interrupts, and those they wake, come through while many threads die. On one CPU: it is that of the watcher. */
TEST(others_run_while_many_are_killed)
{
    struct crowd *crowd = shared(sizeof(*crowd));

    for (int round = 0; round < 20 && !crowd->between; round++) {
        crowd->ready = crowd->stop = 0;
        struct helper *victim = helper_process_suspended(be_crowd, crowd);
        crowd->victim = duplicate(victim->process, RIGHT_ALL);
        struct helper *watcher = helper_thread_suspended(watch_crowd, crowd);

        MUST(control(victim->thread, THREAD_AFFINITY,
                     1)); /* of the first thread: the others start where they are made */
        helper_resume(victim);
        while (word_get(&crowd->ready) < process_info(victim->process).threads ||
               !word_get(&crowd->ready))
            sleep_for(MILLISECOND);
        MUST(control(watcher->thread, THREAD_PRIORITY, 20));
        MUST(control(watcher->thread, THREAD_AFFINITY, 1));
        helper_resume(watcher);
        sleep_for(MILLISECOND);
        MUST(sys_process_kill(victim->process, 0));
        helper_status(victim);
        word_set(&crowd->stop, 1);
        helper_join(watcher);
        handle_drop(crowd->victim);
    }
    CHECK(crowd->between > 0);
    unshare(crowd);
}

TEST(many_threads)
{
    enum { COUNT = 64 };
    uint32_t words[COUNT] = {0};
    struct helper *threads[COUNT];

    for (int i = 0; i < COUNT; i++)
        threads[i] = helper_thread(mark, &words[i]);
    for (int i = 0; i < COUNT; i++) {
        helper_join(threads[i]);
        CHECK_EQUAL(words[i], 1);
    }
}

/* A word is cleared and its waiters are woken once the thread is off its stack. */
struct clearing {
    uint32_t word, go;
};

static void exit_clearing(void *argument)
{
    struct clearing *clearing = argument;

    word_wait(&clearing->go, 1);
    sys_ignore(sys_thread_exit((uintptr_t)&clearing->word));
}

TEST(exit_clears_a_word)
{
    static const uint32_t kinds[] = {0, FUTEX_SHARED_};

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct clearing clearing = {.word = 5};
        struct helper *helper = helper_thread(exit_clearing, &clearing);

        word_set(&clearing.go, 1);
        int64_t result = sys_futex_wait(&clearing.word, 5, kinds[i], after(PATIENCE), FUTEX_ANY);

        CHECK(result == 0 || result == -E_AGAIN);
        CHECK_EQUAL(word_get(&clearing.word), 0);
        helper_join(helper);
    }
}

static void exit_with_bad_address(void *address)
{
    sys_ignore(sys_thread_exit((uintptr_t)address));
}

TEST(exit_with_bad_addresses)
{
    helper_join(helper_thread(exit_with_bad_address, (void *)8));
    helper_join(helper_thread(exit_with_bad_address, (void *)UINT64_C(0xffffffff80000000)));
    helper_join(helper_thread(exit_with_bad_address, (void *)UINT64_C(0x7fffffffffff)));
}

TEST(last_thread_ends_the_process)
{
    struct helper *helper = helper_process(exit_with_bad_address, NULL);

    CHECK_EQUAL(helper_status(helper), 0);
}

TEST(ids_differ)
{
    uint32_t word = 0;
    struct helper *helper = helper_thread_suspended(mark, &word);
    int64_t id = MUST(control(helper->thread, THREAD_ID, 0));

    CHECK_EQUAL(id, info_of(helper->thread).id);
    CHECK(id != MUST(control(HANDLE_SELF, THREAD_ID, 0)));
    helper_join(helper_resume(helper));
}

TEST(control_errors)
{
    uint32_t words[2] = {0};
    struct helper *helper = helper_thread(count_up, words);
    handle_t weak = duplicate(helper->thread, RIGHT_WAIT);
    struct abi_frame frame;

    CHECK_ERROR(control(HANDLE_SELF, 0, 0), INVALID);
    CHECK_ERROR(control(HANDLE_SELF, 15, 0), INVALID);
    CHECK_ERROR(control(weak, THREAD_ID, 0), ACCESS);
    CHECK_ERROR(control(helper->thread, THREAD_YIELD, 0), INVALID);
    CHECK_ERROR(control(helper->thread, THREAD_SET_FS, 0), INVALID);
    CHECK_ERROR(control(helper->thread, THREAD_SET_GS, 0), INVALID);
    CHECK_ERROR(control(helper->thread, THREAD_SET_BLOCK, 0), INVALID);
    CHECK_ERROR(control(HANDLE_SELF, THREAD_SET_FS, UINT64_C(0x800000000000)), RANGE);
    CHECK_ERROR(control(HANDLE_SELF, THREAD_SET_GS, UINT64_C(0xffffffff80000000)), RANGE);
    CHECK_ERROR(control(HANDLE_SELF, THREAD_SET_BLOCK, 8), INVALID);
    CHECK_ERROR(control(HANDLE_SELF, THREAD_SET_BLOCK, UINT64_C(0xfffffffffffffff0)), RANGE);
    CHECK_ERROR(control(HANDLE_SELF, THREAD_PRIORITY, 32), RANGE);
    CHECK_ERROR(control(HANDLE_SELF, THREAD_WEIGHT, 0), RANGE);
    CHECK_ERROR(control(HANDLE_SELF, THREAD_WEIGHT, 10001), RANGE);
    CHECK_ERROR(control(HANDLE_SELF, THREAD_AFFINITY, UINT64_C(1) << 63), INVALID);
    CHECK_ERROR(sys_thread_control(HANDLE_SELF, THREAD_GET_FRAME, 0, &frame), BUSY);
    CHECK_ERROR(sys_thread_control(helper->thread, THREAD_GET_FRAME, 0, &frame), BUSY);
    word_set(words + 1, 1);
    handle_drop(weak);
    helper_join(helper);
}

TEST(suspend_and_resume)
{
    uint32_t words[2] = {0};
    struct helper *helper = helper_thread(count_up, words);

    for (int i = 0; i < 5; i++) {
        wait_until_it_counts(words);
        MUST(control(helper->thread, THREAD_SUSPEND, 0));
        wait_until_it_stops(words);
        MUST(control(helper->thread, THREAD_RESUME, 0));
    }
    wait_until_it_counts(words);
    word_set(words + 1, 1);
    helper_join(helper);
}

/* Resuming right after suspending must never leave a thread stopped. */
TEST(suspending_and_resuming_at_once)
{
    uint32_t words[2] = {0};
    struct helper *helper = helper_thread(count_up, words);

    for (int i = 0; i < 2000; i++) {
        MUST(control(helper->thread, THREAD_SUSPEND, 0));
        MUST(control(helper->thread, THREAD_RESUME, 0));
    }
    wait_until_it_counts(words);
    word_set(words + 1, 1);
    helper_join(helper);
}

__attribute__((noreturn)) static void spin_with_registers(void *argument)
{
    word_set(argument, 1);
    __asm__ volatile("mov $0x1122334455667788, %%rbx\n"
                     "mov $0x55, %%r15d\n"
                     "1: pause\n"
                     "jmp 1b"
                     :
                     :
                     : "rbx", "r15");
    __builtin_unreachable();
}

TEST(registers_of_a_suspended_thread)
{
    uint32_t *word = shared(PAGE_SIZE);
    struct helper *helper = helper_process(spin_with_registers, word);
    struct abi_frame frame;
    int64_t deadline = after(PATIENCE), result;

    word_wait(word, 1);
    sleep_for(20 * MILLISECOND);
    MUST(control(helper->thread, THREAD_SUSPEND, 0));
    while ((result = sys_thread_control(helper->thread, THREAD_GET_FRAME, 0, &frame)) == -E_BUSY)
        CHECK(now() < deadline);
    MUST(result);
    CHECK_EQUAL(frame.rbx, UINT64_C(0x1122334455667788));
    CHECK_EQUAL(frame.r15, 0x55);
    CHECK(frame.rip > (uintptr_t)spin_with_registers &&
          frame.rip < (uintptr_t)spin_with_registers + 200);
    CHECK(frame.rsp > (uintptr_t)helper && frame.rsp < (uintptr_t)helper + HELPER_STACK);
    CHECK_ERROR(sys_thread_control(helper->thread, THREAD_GET_FRAME, 0, NULL), FAULT);
    CHECK_ERROR(sys_thread_control(helper->thread, THREAD_GET_FRAME, 0,
                                   (void *)UINT64_C(0xffff800000000000)),
                FAULT);
    helper_kill(helper);
    unshare(word);
}

/* A thread that sleeps in a call and is suspended goes on sleeping; its call ends once it is resumed. */
static void sleep_short(void *argument)
{
    word_set(argument, 1);
    sleep_for(50 * MILLISECOND);
    word_set((uint32_t *)argument + 1, 1);
}

TEST(suspended_in_a_call)
{
    uint32_t words[2] = {0};
    struct helper *helper = helper_thread(sleep_short, words);

    word_wait(words, 1);
    MUST(control(helper->thread, THREAD_SUSPEND, 0));
    sleep_for(150 * MILLISECOND);
    CHECK_EQUAL(word_get(words + 1), 0);
    MUST(control(helper->thread, THREAD_RESUME, 0));
    helper_join(helper);
}

struct kicked {
    uint32_t ready;
    int64_t result;
};

static void sleep_long(void *argument)
{
    struct kicked *kicked = argument;

    word_set(&kicked->ready, 1);
    kicked->result = sys_wait_many(NULL, 0, after(PATIENCE));
}

TEST(interrupt_ends_a_wait)
{
    struct kicked kicked = {0};
    struct helper *helper = helper_thread(sleep_long, &kicked);

    word_wait(&kicked.ready, 1);
    sleep_for(20 * MILLISECOND);
    MUST(control(helper->thread, THREAD_INTERRUPT, 0));
    helper_join(helper);
    CHECK_EQUAL(kicked.result, -E_INTERRUPTED);
}

/* Latched: it comes before the wait it is meant for. */
TEST(interrupt_before_the_wait)
{
    struct kicked kicked = {0};
    struct helper *helper = helper_thread_suspended(sleep_long, &kicked);

    MUST(control(helper->thread, THREAD_INTERRUPT, 0));
    helper_resume(helper);
    word_wait(&kicked.ready, 1);
    /* A thread without a personality has nobody to tell, so the kick may be gone by now; a second one is not. */
    sleep_for(20 * MILLISECOND);
    MUST(control(helper->thread, THREAD_INTERRUPT, 0));
    helper_join(helper);
    CHECK_EQUAL(kicked.result, -E_INTERRUPTED);
}

TEST(yielding)
{
    uint32_t words[2] = {0};
    struct helper *helper = helper_thread(count_up, words);

    for (int i = 0; i < 100; i++)
        MUST(control(HANDLE_SELF, THREAD_YIELD, 0));
    word_set(words + 1, 1);
    helper_join(helper);
}

/* A thread made suspended runs in the kernel until it is parked, perhaps on a CPU it may no longer use. */
static void wait_until_parked(struct helper *helper)
{
    struct abi_frame frame;

    while (sys_thread_control(helper->thread, THREAD_GET_FRAME, 0, &frame) == -E_BUSY)
        sleep_for(MILLISECOND);
}

/* With the CPU to itself, a real-time thread goes before fair ones, and a higher level before a lower one. */
struct order {
    uint32_t next, go, at[3];
    struct order_thread {
        struct order *order;
        uint32_t index;
    } threads[3];
};

static void take_number(void *argument)
{
    struct order_thread *thread = argument;
    struct order *order = thread->order;

    order->at[thread->index] = __atomic_add_fetch(&order->next, 1, __ATOMIC_SEQ_CST);
}

TEST(priorities)
{
    struct order order = {0};
    struct helper *threads[3];
    static const uint32_t priorities[] = {0, 5, 10};

    MUST(control(HANDLE_SELF, THREAD_AFFINITY, 1));
    MUST(control(HANDLE_SELF, THREAD_PRIORITY, 20));
    for (uint32_t i = 0; i < 3; i++) {
        order.threads[i] = (struct order_thread){&order, i};
        threads[i] = helper_thread_suspended(take_number, &order.threads[i]);
        MUST(control(threads[i]->thread, THREAD_AFFINITY, 1));
        MUST(control(threads[i]->thread, THREAD_PRIORITY, priorities[i]));
        wait_until_parked(threads[i]);
    }
    for (int i = 0; i < 3; i++)
        helper_resume(threads[i]);
    for (int i = 0; i < 3; i++)
        helper_join(threads[i]);
    MUST(control(HANDLE_SELF, THREAD_PRIORITY, 0));
    MUST(control(HANDLE_SELF, THREAD_AFFINITY, 0));
    CHECK_EQUAL(order.at[2], 1);
    CHECK_EQUAL(order.at[1], 2);
    CHECK_EQUAL(order.at[0], 3);
}

static bool fair(const int64_t times[2])
{
    return times[0] > 0 && times[1] >= times[0] * 3 / 2 && times[1] <= times[0] * 6;
}

/* Threads of the fair class share a CPU, by weight. Time the host takes from the machine counts as a thread's,
 * so on a busy host it takes a while until the shares show. */
TEST(fair_shares)
{
    uint32_t words[2][2] = {{0}};
    struct helper *threads[2];
    int64_t times[2] = {0};

    for (int i = 0; i < 2; i++) {
        threads[i] = helper_thread_suspended(count_up, words[i]);
        MUST(control(threads[i]->thread, THREAD_AFFINITY, 1));
    }
    MUST(control(threads[1]->thread, THREAD_WEIGHT, 3 * 1024));
    for (int round = 0; round < 15 && !fair(times); round++) {
        for (int i = 0; i < 2; i++)
            helper_resume(threads[i]);
        sleep_for(SECOND);
        for (int i = 0; i < 2; i++)
            MUST(control(threads[i]->thread, THREAD_SUSPEND, 0));
        for (int i = 0; i < 2; i++)
            wait_until_it_stops(words[i]);
        for (int i = 0; i < 2; i++)
            times[i] = MUST(control(threads[i]->thread, THREAD_CPU_TIME, 0));
    }
    for (int i = 0; i < 2; i++) {
        word_set(words[i] + 1, 1);
        helper_join(helper_resume(threads[i]));
    }
    if (!fair(times))
        FAIL("weights 1 and 3 got %" PRId64 " and %" PRId64 " ns", times[0], times[1]);
}

static void where_am_i(void *argument)
{
    uint32_t *cpu = argument;

    for (int i = 0; i < 100; i++) {
        CHECK_EQUAL(MUST(control(HANDLE_SELF, THREAD_GET_CPU, 0)), *cpu);
        MUST(control(HANDLE_SELF, THREAD_YIELD, 0));
    }
}

TEST(affinity)
{
    uint32_t cpus = (uint32_t)system_info().cpus;

    for (uint32_t cpu = 0; cpu < cpus; cpu++) {
        struct helper *helper = helper_thread_suspended(where_am_i, &cpu);

        MUST(control(helper->thread, THREAD_AFFINITY, UINT64_C(1) << cpu));
        helper_join(helper_resume(helper));
    }
}

/* The caller itself moves at once. */
TEST(affinity_of_the_caller)
{
    uint32_t cpus = (uint32_t)system_info().cpus;

    for (int i = 0; i < 20; i++) {
        for (uint32_t cpu = 0; cpu < cpus; cpu++) {
            MUST(control(HANDLE_SELF, THREAD_AFFINITY, UINT64_C(1) << cpu));
            CHECK_EQUAL(MUST(control(HANDLE_SELF, THREAD_GET_CPU, 0)), cpu);
        }
    }
    MUST(control(HANDLE_SELF, THREAD_AFFINITY, 0));
}

/* A running thread is chased from CPU to CPU. */
TEST(affinity_of_a_running_thread)
{
    uint32_t words[2] = {0}, cpus = (uint32_t)system_info().cpus;
    struct helper *helper = helper_thread(count_up, words);

    for (int i = 0; i < 10; i++) {
        uint32_t cpu = (uint32_t)i % cpus;
        int64_t deadline = after(PATIENCE);

        MUST(control(helper->thread, THREAD_AFFINITY, UINT64_C(1) << cpu));
        wait_until_it_counts(words);
        while (MUST(control(helper->thread, THREAD_GET_CPU, 0)) != cpu) {
            CHECK(now() < deadline);
            sleep_for(MILLISECOND);
        }
    }
    word_set(words + 1, 1);
    helper_join(helper);
}

TEST(work_spreads_over_the_cpus)
{
    uint32_t cpus = (uint32_t)system_info().cpus, words[8][2] = {{0}}, seen = 0;
    struct helper *threads[8];

    for (int i = 0; i < 8; i++)
        threads[i] = helper_thread(count_up, words[i]);
    for (int i = 0; i < 50; i++) {
        for (int j = 0; j < 8; j++)
            seen |= 1u << MUST(control(threads[j]->thread, THREAD_GET_CPU, 0));
        sleep_for(2 * MILLISECOND);
    }
    for (int i = 0; i < 8; i++) {
        word_set(words[i] + 1, 1);
        helper_join(threads[i]);
    }
    CHECK_EQUAL(__builtin_popcount(seen), MIN(cpus, 8u));
}

/* FS and GS are the thread's own, across switches. */
static void use_gs(void *argument)
{
    uint64_t local[2] = {(uintptr_t)argument, 0}, seen;

    MUST(control(HANDLE_SELF, THREAD_SET_GS, (uintptr_t)local));
    for (int i = 0; i < 200; i++) {
        __asm__ volatile("mov %%gs:0, %0" : "=r"(seen));
        CHECK_EQUAL(seen, (uintptr_t)argument);
        MUST(control(HANDLE_SELF, THREAD_YIELD, 0));
    }
}

TEST(gs_of_threads)
{
    struct helper *threads[4];

    for (uintptr_t i = 0; i < 4; i++)
        threads[i] = helper_thread(use_gs, (void *)(i + 100));
    for (int i = 0; i < 4; i++)
        helper_join(threads[i]);
}

/* So are FPU and vector registers, kept across switches and calls. */
static void use_fpu(void *argument)
{
    uint64_t value = (uintptr_t)argument, seen;
    uint32_t mxcsr = 0x1f80 | (uint32_t)(value % 4) << 13, mxcsr_seen;

    __asm__ volatile("movq %0, %%xmm7; movq %0, %%xmm15; ldmxcsr %1"
                     :
                     : "r"(value), "m"(mxcsr)
                     : "xmm7", "xmm15");
    for (int i = 0; i < 500; i++) {
        syscall_raw(0x22, HANDLE_SELF, THREAD_YIELD, 0, 0, 0, 0);
        __asm__ volatile("movq %%xmm7, %0; stmxcsr %1" : "=r"(seen), "=m"(mxcsr_seen));
        if (seen != value || mxcsr_seen != mxcsr)
            helper_exit(1);
        __asm__ volatile("movq %%xmm15, %0" : "=r"(seen));
        if (seen != value)
            helper_exit(2);
    }
}

TEST(fpu_of_processes)
{
    struct helper *processes[4];

    for (uintptr_t i = 0; i < 4; i++)
        processes[i] = helper_process(use_fpu, (void *)(0x1234567800 + i));
    for (int i = 0; i < 4; i++)
        helper_join(processes[i]);
}

/* Nothing of another thread's vector registers is left in a new thread. */
static void look_at_fpu(void *argument)
{
    uint64_t *seen = argument;

    __asm__ volatile("movq %%xmm7, %0" : "=r"(*seen));
}

TEST(fresh_fpu)
{
    uint64_t seen = 1, secret = UINT64_C(0x5ec4e75ec4e7);
    struct helper *helper = helper_thread_suspended(look_at_fpu, &seen);

    __asm__ volatile("movq %0, %%xmm7" : : "r"(secret) : "xmm7");
    helper_join(helper_resume(helper));
    CHECK_EQUAL(seen, 0);
}

TEST(cpu_time)
{
    uint32_t words[2] = {0};
    struct helper *helper = helper_thread(count_up, words);
    int64_t before = MUST(control(helper->thread, THREAD_CPU_TIME, 0)), deadline = after(PATIENCE);

    sleep_for(200 * MILLISECOND);
    wait_until_it_counts(words); /* on a busy host that may take longer */
    MUST(control(helper->thread, THREAD_SUSPEND, 0));
    /* It is charged when it leaves its CPU: soon, if the host lets that CPU run. */
    while (MUST(control(helper->thread, THREAD_CPU_TIME, 0)) <= before) {
        CHECK(now() < deadline);
        sleep_for(MILLISECOND);
    }
    word_set(words + 1, 1);
    helper_join(helper_resume(helper));
}

static void *meet(void *barrier)
{
    pthread_barrier_wait(barrier);
    return NULL;
}

static uint32_t own_handles(void)
{
    struct abi_process_info info;
    CHECK_EQUAL(sys_process_info(HANDLE_SELF, &info), 0);
    return info.handles;
}

/* As many as there were at once: none waits for the next clone to be forgotten. */
TEST(ended_threads_leave_no_handles)
{
    enum { AT_ONCE = 8 };
    pthread_t threads[AT_ONCE];
    pthread_barrier_t barrier;
    uint32_t before = own_handles();

    CHECK_EQUAL(pthread_barrier_init(&barrier, NULL, AT_ONCE), 0);
    for (int i = 0; i < AT_ONCE; i++)
        CHECK_EQUAL(pthread_create(&threads[i], NULL, meet, &barrier), 0);
    for (int i = 0; i < AT_ONCE; i++)
        CHECK_EQUAL(pthread_join(threads[i], NULL), 0);
    CHECK_EQUAL(own_handles(), before);
}
