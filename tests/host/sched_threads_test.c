/* Run queues and futexes from many threads on four CPUs (fake_cpus.h): tokens that futexes pass on, a mutex, requeued waiters, threads
 * that are moved, outranked, stolen and killed meanwhile. A wake that is lost leaves every CPU idle, and fake_cpus.c ends the
 * program; that a thread runs on one CPU at a time it checks, too. */
// sources: kernel/sched/sched.c kernel/sched/idle.c kernel/sched/queue.c kernel/sched/wait.c kernel/sched/timer.c kernel/sched/futex.c
// sources: kernel/sched/thread.c kernel/sched/return.c kernel/process.c kernel/syscall.c kernel/calls_handle.c kernel/circle.c
// sources: kernel/ipc/inherit.c kernel/ipc/hand_over.c
// sources: kernel/ipc/short.c kernel/ipc/command.c kernel/ipc/accept.c kernel/ipc/port.c kernel/ipc/notify.c
// sources: kernel/proto/file.c kernel/proto/calls.c kernel/proto/namespace.c kernel/handle.c kernel/object.c kernel/account.c kernel/account_members.c
// sources: kernel/vmm/heap.c kernel/vmm/frame.c kernel/vmm/ram.c kernel/vmm/fail.c kernel/lock.c lib/base/rbtree.c
// sources: tests/host/fake_arch.c tests/host/fake_cpus.c tests/host/fake_kernel.c
// libs: pthread
#include "kernel/handle.h"
#include "kernel/sched/idle.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/wait.h"
#include "tests/host/fake_user.h"
#include "tests/host/test.h"

#define MS      UINT64_C(1000000)
#define THREADS 10u
#define VICTIMS 4u
#define TOKENS  4u
#define PASSES  15000u /* of tokens, all together */

#define BITS_TOKEN  0x1u
#define BITS_VICTIM 0x2u

static struct thread *threads[THREADS], *victims[VICTIMS];

static void put(struct thread *thread)
{
    object_put(&thread->object);
}

/* --- Futexes as programs call them --------------------------------------------------------------------------------- */

static int64_t futex_wait(uint32_t *word, uint32_t value, uint32_t flags, int64_t deadline,
                          uint32_t bits)
{
    return user_call(CALL_futex_wait, USER(word), value, flags, (uint64_t)deadline, bits);
}

static int64_t futex_wake(uint32_t *word, uint32_t count, uint32_t flags, uint32_t bits)
{
    return user_call(CALL_futex_wake, USER(word), count, flags, bits, 0);
}

/* Wakes none, moves count. */
static int64_t futex_move(uint32_t *from, uint32_t *to, uint32_t count, uint32_t value)
{
    return user_call(CALL_futex_requeue, USER(from), USER(to), (uint64_t)count << 32, value, 0);
}

static uint32_t load(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static uint32_t add(uint32_t *word, uint32_t what)
{
    return __atomic_fetch_add(word, what, __ATOMIC_ACQ_REL);
}

/* --- Tokens --------------------------------------------------------------------------------------------------------- */

static uint32_t tokens[THREADS]; /* that lie with each thread */
static uint32_t passes, wakes_told, wakes_felt;

static bool over(void)
{
    return load(&passes) >= PASSES || fake_failed();
}

static void give(uint32_t to)
{
    add(&tokens[to], 1);
    add(&wakes_told, (uint32_t)futex_wake(&tokens[to], 1, to % 2, BITS_TOKEN));
}

/* One of the caller's own; false: it is over. */
static bool take(uint32_t own)
{
    for (;;) {
        uint32_t there = load(&tokens[own]);

        if (over())
            return false;
        if (there) {
            add(&tokens[own], (uint32_t)-1);
            return true;
        }

        uint64_t random = user_random();
        int64_t deadline = random % 4 ? DEADLINE_NEVER : (int64_t)(arch_clock() + random / 4 % MS),
                result = futex_wait(&tokens[own], 0, own % 2, deadline, BITS_TOKEN);

        if (result == 0)
            add(&wakes_felt, 1);
        else if (result != -E_AGAIN && result != -E_INTERRUPTED &&
                 !(result == -E_TIMED_OUT && deadline != DEADLINE_NEVER))
            fake_fail("futex_wait: %d", (int)result);
    }
}

static void passer(uint64_t own)
{
    while (take((uint32_t)own)) {
        uint64_t random = user_random();

        if (random % 8 == 0)
            user_yield();
        add(&passes, 1);
        give((uint32_t)(random / 8 % THREADS));
    }
    for (uint32_t i = 0; i < THREADS; i++) /* so that everybody sees it */
        futex_wake(&tokens[i], UINT32_MAX, i % 2, BITS_TOKEN);
}

/* Waits beside the others, for nothing, until it is killed. */
static void victim(uint64_t unused)
{
    (void)unused;
    for (;;) {
        uint64_t random = user_random();

        futex_wait(&tokens[random % THREADS], 0, random % 2,
                   (int64_t)(arch_clock() + random / 64 % MS), BITS_VICTIM);
    }
}

static void move(struct thread *thread)
{
    uint64_t random = user_random();

    switch (random % 4) {
    case 0:
        sched_set_affinity(thread, random / 4 % (1u << RUN_CPUS));
        break;
    case 1:
        sched_set_priority(thread, random / 4 % 4, WEIGHT_USUAL << random / 64 % 3);
        break;
    case 2:
        thread_post_work(thread, WORK_SUSPEND);
        user_sleep(random / 4 % (MS / 4));
        thread_resume(thread);
        break;
    default:
        thread_post_work(thread, WORK_KICK);
    }
}

static void token_root(uint64_t unused)
{
    (void)unused;
    for (uint32_t i = 0; i < THREADS; i++)
        threads[i] = user_thread(process_current(), passer, i, 0);
    for (uint32_t i = 0; i < VICTIMS; i++)
        victims[i] = user_thread(process_current(), victim, 0, 0);
    for (uint32_t i = 0; i < TOKENS; i++)
        give(i);
    while (!over()) {
        uint64_t random = user_random();
        struct thread **which = &victims[random / 8 % VICTIMS];

        move(threads[random % THREADS]);
        user_sleep(random / 64 % (MS / 4));
        if (random % 8)
            continue;
        thread_kill(*which);
        put(*which);
        *which = user_thread(process_current(), victim, 0, 0);
    }
    for (uint32_t i = 0; i < VICTIMS; i++) {
        thread_kill(victims[i]);
        put(victims[i]);
    }
    for (uint32_t i = 0; i < THREADS; i++)
        put(threads[i]);
}

static void nothing_left(void)
{
    CHECK_STRING(fake_failure, "");
    CHECK_EQUAL(handle_count_all(), 0);
    CHECK_EQUAL(object_count(OBJECT_PROCESS) + object_count(OBJECT_NAMESPACE), 0);
}

TEST(tokens_are_passed_on)
{
    memset(tokens, 0, sizeof(tokens));
    passes = wakes_told = wakes_felt = 0;
    fake_cpus_run(token_root, 0);
    nothing_left();
    /* What futex_wake says it woke came back from futex_wait with 0; the wakes at the end were not counted. */
    CHECK(wakes_felt >= wakes_told && wakes_felt <= wakes_told + THREADS);
}

/* --- A mutex --------------------------------------------------------------------------------------------------------- */

#define ROUNDS 1500u

static uint32_t mutex; /* 0 free, 1 taken, 2 taken and somebody may wait */
static uint64_t guarded[2];

static void mutex_take(void)
{
    uint32_t state = 0;

    if (__atomic_compare_exchange_n(&mutex, &state, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return;
    while (__atomic_exchange_n(&mutex, 2, __ATOMIC_ACQUIRE)) {
        int64_t result = futex_wait(&mutex, 2, 0, DEADLINE_NEVER, FUTEX_ANY);

        if (result && result != -E_AGAIN)
            fake_fail("futex_wait: %d", (int)result);
    }
}

static void mutex_leave(void)
{
    if (__atomic_exchange_n(&mutex, 0, __ATOMIC_RELEASE) == 2)
        futex_wake(&mutex, 1, 0, FUTEX_ANY);
}

static void guard(uint64_t unused)
{
    (void)unused;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        mutex_take();
        guarded[0]++;
        if (i % 4 == 0)
            user_yield();
        guarded[1]++;
        mutex_leave();
        user_point();
    }
}

static void mutex_root(uint64_t unused)
{
    (void)unused;
    for (uint32_t i = 0; i < THREADS; i++)
        put(user_thread(process_current(), guard, 0, 0));
}

TEST(a_mutex_lets_in_one)
{
    mutex = 0;
    guarded[0] = guarded[1] = 0;
    fake_cpus_run(mutex_root, 0);
    nothing_left();
    CHECK_EQUAL(guarded[0], THREADS * ROUNDS);
    CHECK_EQUAL(guarded[1], THREADS * ROUNDS);
}

/* --- Requeueing -------------------------------------------------------------------------------------------------------- */

#define TURNS 300u

static uint32_t turn_word, moved_word, came_back, asleep;

/* Waits for each turn at turn_word; is moved to moved_word meanwhile, and woken there. */
static void follower(uint64_t unused)
{
    (void)unused;
    for (uint32_t seen = 0; seen < TURNS; seen++) {
        while (load(&turn_word) == seen) {
            uint64_t random = user_random();

            add(&asleep, 1);
            futex_wait(&turn_word, seen, 0,
                       random % 8 ? DEADLINE_NEVER : (int64_t)(arch_clock() + random / 8 % MS),
                       FUTEX_ANY);
            add(&asleep, (uint32_t)-1);
        }
        add(&came_back, 1);
        user_point();
    }
}

static void leader(uint64_t unused)
{
    (void)unused;
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        while (load(&came_back) < turn * THREADS)
            user_yield();
        while (user_random() % 4 && load(&asleep) < THREADS)
            user_yield();
        for (uint32_t i = 0; i < 3; i++)
            if (futex_move(&turn_word, &moved_word, 1 + i, turn) < 0)
                fake_fail("futex_requeue");
        add(&turn_word, 1);
        if (futex_move(&turn_word, &moved_word, 1, turn) != -E_AGAIN)
            fake_fail("futex_requeue of a word that has changed");
        futex_wake(&turn_word, UINT32_MAX, 0, FUTEX_ANY);
        futex_wake(&moved_word, UINT32_MAX, 0, FUTEX_ANY);
    }
}

static void requeue_root(uint64_t unused)
{
    (void)unused;
    for (uint32_t i = 0; i < THREADS; i++)
        put(user_thread(process_current(), follower, 0, 0));
    leader(0);
}

TEST(requeued_waiters_come_back)
{
    turn_word = moved_word = came_back = asleep = 0;
    fake_cpus_run(requeue_root, 0);
    nothing_left();
    CHECK_EQUAL(came_back, THREADS * TURNS);
}

/* --- The run queue ------------------------------------------------------------------------------------------------------ */

static uint32_t flag, ran_on;

static void stolen(uint64_t unused)
{
    (void)unused;
    ran_on = cpu_self()->index;
    add(&flag, 1);
}

/* The thief comes because a slice ends while somebody waits. */
static void owner(uint64_t unused)
{
    struct thread *thread;

    (void)unused;
    sched_set_affinity(thread_current(), 1);
    sched_set_priority(thread_current(), 5, WEIGHT_USUAL);
    user_point();
    thread = user_thread(process_current(), stolen, 0, 1);
    for (uint32_t i = 0; i < 100; i++)
        user_point();
    if (load(&flag))
        fake_fail("it ran before its better");
    sched_set_affinity(thread, 0);
    while (!load(&flag))
        user_point();
    put(thread);
}

TEST(a_waiting_thread_is_stolen)
{
    flag = ran_on = 0;
    fake_cpus_run(owner, 0);
    nothing_left();
    CHECK(ran_on != 0);
}

static void wanderer(uint64_t unused)
{
    (void)unused;
    for (uint32_t i = 0; i < 2000; i++) {
        uint32_t cpu = (uint32_t)(user_random() % RUN_CPUS);

        sched_set_affinity(thread_current(), 1u << cpu);
        user_point();
        if (cpu_self()->index != cpu)
            fake_fail("on CPU %u, allowed on %u", cpu_self()->index, cpu);
        if (i % 8 == 0)
            user_sleep(1000);
    }
}

static void wander_root(uint64_t unused)
{
    (void)unused;
    for (uint32_t i = 0; i < THREADS; i++)
        put(user_thread(process_current(), wanderer, 0, 0));
}

TEST(a_thread_runs_where_it_may)
{
    fake_cpus_run(wander_root, 0);
    nothing_left();
}

static uint32_t bell, rung;

static void better(uint64_t unused)
{
    (void)unused;
    for (uint32_t i = 0; i < 200; i++) {
        futex_wait(&bell, i, 0, DEADLINE_NEVER, FUTEX_ANY);
        add(&rung, 1);
    }
}

/* Both on CPU 0: when futex_wake returns the better one has run. */
static void ringer(uint64_t unused)
{
    struct thread *thread;

    (void)unused;
    sched_set_affinity(thread_current(), 1);
    user_point();
    thread = user_thread(process_current(), better, 0, 1);
    sched_set_priority(thread, 2, WEIGHT_USUAL);
    user_sleep(MS);
    for (uint32_t i = 0; i < 200; i++) {
        add(&bell, 1);
        futex_wake(&bell, 1, 0, FUTEX_ANY);
        if (load(&rung) != i + 1)
            fake_fail("ring %u: it did not run at once", i);
    }
    put(thread);
}

TEST(a_better_thread_runs_at_once)
{
    bell = rung = 0;
    fake_cpus_run(ringer, 0);
    nothing_left();
}

/* --- Idle CPUs ---------------------------------------------------------------------------------------------------------- */

#define PAIRS   2u /* so each CPU has one of two threads */
#define RETURNS 200u

static uint32_t balls[PAIRS], returns;

/* Odd players hit the odd ball: whoever waits leaves its CPU idle, and the other one wakes it. */
static void player(uint64_t number)
{
    uint32_t *ball = &balls[number / 2], mine = (uint32_t)number % 2;

    for (uint32_t i = 0; i < RETURNS; i++) {
        uint32_t seen;

        while ((seen = load(ball)) % 2 != mine)
            futex_wait(ball, seen, 0, DEADLINE_NEVER, FUTEX_ANY);
        for (uint64_t delay = user_random() % 64; delay;
             delay--) /* so that a poll ends now before, now after */
            __asm__ volatile("");
        add(ball, 1);
        add(&returns, (uint32_t)futex_wake(ball, 1, 0, FUTEX_ANY));
    }
}

static void match_root(uint64_t unused)
{
    (void)unused;
    for (uint32_t i = 0; i < 2 * PAIRS; i++)
        put(user_thread(process_current(), player, i, 1u << i));
}

/* The interrupts of a match. */
static uint32_t match(uint64_t poll_ns)
{
    uint64_t usual = idle_set_poll(poll_ns);
    uint32_t before = fake_kicks;

    memset(balls, 0, sizeof(balls));
    returns = 0;
    fake_cpus_run(match_root, 0);
    idle_set_poll(usual);
    nothing_left();
    for (uint32_t i = 0; i < PAIRS; i++)
        CHECK_EQUAL(balls[i], 2 * RETURNS);
    return fake_kicks - before;
}

TEST(a_cpu_that_stops_polling_misses_nothing)
{
    match(0);
    match(IDLE_POLL_NS / 4);
    match(IDLE_POLL_NS);
    match(8 * IDLE_POLL_NS);
    CHECK(returns > 0);
}

TEST(a_polling_cpu_is_not_interrupted)
{
    uint32_t interrupts = match(1000 * MS);

    CHECK(interrupts < returns);
}
