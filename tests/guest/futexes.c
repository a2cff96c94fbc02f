/* futex_wait, futex_wake, futex_requeue. */
#include "tests/guest/guest.h"

static int64_t wait_on(uint32_t *word, uint32_t value, uint32_t flags)
{
    return sys_futex_wait(word, value, flags, after(PATIENCE), FUTEX_ANY);
}

struct waiter {
    uint32_t *word, value, flags, bits;
    uint32_t *asleep; /* counted up before it waits */
    uint32_t woken;
    int64_t result;
};

static void sleep_on_word(void *argument)
{
    struct waiter *waiter = argument;

    word_add(waiter->asleep, 1);
    waiter->result =
        sys_futex_wait(waiter->word, waiter->value, waiter->flags, after(PATIENCE), waiter->bits);
    __atomic_store_n(&waiter->woken, 1, __ATOMIC_SEQ_CST);
}

/* Announced and given time to fall asleep. */
static void wait_until_asleep(uint32_t *asleep, uint32_t count)
{
    word_wait(asleep, count);
    sleep_for(30 * MILLISECOND);
}

TEST(the_value_must_match)
{
    uint32_t word = 5;

    CHECK_ERROR(wait_on(&word, 4, 0), AGAIN);
    CHECK_ERROR(wait_on(&word, 4, FUTEX_SHARED_), AGAIN);
}

TEST(timeouts)
{
    uint32_t word = 0;
    int64_t start = now();

    CHECK_ERROR(sys_futex_wait(&word, 0, 0, start + 20 * MILLISECOND, FUTEX_ANY), TIMED_OUT);
    CHECK(now() - start >= 15 * MILLISECOND);
    CHECK_ERROR(sys_futex_wait(&word, 0, 0, DEADLINE_NOW, FUTEX_ANY), TIMED_OUT);
    CHECK_ERROR(sys_futex_wait(&word, 0, 0, -1, FUTEX_ANY), TIMED_OUT);
    CHECK_ERROR(sys_futex_wait(&word, 0, FUTEX_SHARED_, now() + 5 * MILLISECOND, FUTEX_ANY),
                TIMED_OUT);
}

TEST(errors)
{
    uint32_t words[2] = {0};
    uint32_t *odd = (uint32_t *)((uintptr_t)words + 1),
             *kernel = (uint32_t *)UINT64_C(0xffffffff80000000);
    uint32_t *nothing = (uint32_t *)16;

    CHECK_ERROR(wait_on(odd, 0, 0), INVALID);
    CHECK_ERROR(wait_on(words, 0, 4), INVALID);
    CHECK_ERROR(wait_on(nothing, 0, 0), FAULT);
    CHECK_ERROR(wait_on(nothing, 0, FUTEX_SHARED_), FAULT);
    CHECK_ERROR(wait_on(kernel, 0, 0), FAULT);
    CHECK_ERROR(wait_on(kernel, 0, FUTEX_SHARED_), FAULT);
    CHECK_ERROR(sys_futex_wait(words, 0, 0, DEADLINE_NOW, 0), INVALID);
    CHECK_ERROR(sys_futex_wake(odd, 1, 0, FUTEX_ANY), INVALID);
    CHECK_ERROR(sys_futex_wake(words, 1, 0, 0), INVALID);
    CHECK_ERROR(sys_futex_wake(words, 1, 2, FUTEX_ANY), INVALID);
    CHECK_ERROR(sys_futex_wake(nothing, 1, FUTEX_SHARED_, FUTEX_ANY), FAULT);
    CHECK_ERROR(sys_futex_requeue(odd, words, 1, 0, 0), INVALID);
    CHECK_ERROR(sys_futex_requeue(words, odd, 1, 0, 0), INVALID);
    CHECK_ERROR(sys_futex_requeue(nothing, words, 1, 0, 0), FAULT);
    CHECK_ERROR(sys_futex_requeue(words, words + 1, 1, 7, 0), AGAIN);
}

TEST(wake_nobody)
{
    uint32_t word = 0;

    CHECK_EQUAL(MUST(sys_futex_wake(&word, 10, 0, FUTEX_ANY)), 0);
    CHECK_EQUAL(MUST(sys_futex_wake(&word, 10, FUTEX_SHARED_, FUTEX_ANY)), 0);
    CHECK_EQUAL(MUST(sys_futex_requeue(&word, &word, UINT64_C(5) << 32 | 5, 0, 0)), 0);
}

TEST(wake_some_of_many)
{
    enum { COUNT = 5 };
    uint32_t word = 0, asleep = 0;
    struct waiter waiters[COUNT];
    struct helper *threads[COUNT];

    for (int i = 0; i < COUNT; i++) {
        waiters[i] = (struct waiter){&word, 0, 0, FUTEX_ANY, &asleep, 0, 0};
        threads[i] = helper_thread(sleep_on_word, &waiters[i]);
    }
    wait_until_asleep(&asleep, COUNT);
    CHECK_EQUAL(MUST(sys_futex_wake(&word, 0, 0, FUTEX_ANY)), 0);
    CHECK_EQUAL(MUST(sys_futex_wake(&word, 2, 0, FUTEX_ANY)), 2);
    sleep_for(30 * MILLISECOND);
    int woken = 0;

    for (int i = 0; i < COUNT; i++)
        woken += (int)word_get(&waiters[i].woken);
    CHECK_EQUAL(woken, 2);
    CHECK_EQUAL(MUST(sys_futex_wake(&word, UINT32_MAX, 0, FUTEX_ANY)), 3);
    for (int i = 0; i < COUNT; i++) {
        helper_join(threads[i]);
        CHECK_EQUAL(waiters[i].result, 0);
    }
}

TEST(wake_by_bits)
{
    uint32_t word = 0, asleep = 0;
    struct waiter waiters[2] = {{&word, 0, 0, 1, &asleep, 0, 0}, {&word, 0, 0, 2, &asleep, 0, 0}};
    struct helper *threads[2] = {helper_thread(sleep_on_word, &waiters[0]),
                                 helper_thread(sleep_on_word, &waiters[1])};

    wait_until_asleep(&asleep, 2);
    CHECK_EQUAL(MUST(sys_futex_wake(&word, 10, 0, 4)), 0);
    CHECK_EQUAL(MUST(sys_futex_wake(&word, 10, 0, 2)), 1);
    helper_join(threads[1]);
    CHECK(!waiters[0].woken);
    CHECK_EQUAL(MUST(sys_futex_wake(&word, 10, 0, 7)), 1);
    helper_join(threads[0]);
}

TEST(words_differ)
{
    uint32_t words[2] = {0}, asleep = 0;
    struct waiter waiter = {&words[0], 0, 0, FUTEX_ANY, &asleep, 0, 0};
    struct helper *thread = helper_thread(sleep_on_word, &waiter);

    wait_until_asleep(&asleep, 1);
    CHECK_EQUAL(MUST(sys_futex_wake(&words[1], 10, 0, FUTEX_ANY)), 0);
    CHECK_EQUAL(MUST(sys_futex_wake(&words[0], 10, 0, FUTEX_ANY)), 1);
    helper_join(thread);
}

TEST(requeue)
{
    enum { COUNT = 6 };
    uint32_t words[2] = {3, 9}, asleep = 0;
    struct waiter waiters[COUNT];
    struct helper *threads[COUNT];

    for (int i = 0; i < COUNT; i++) {
        waiters[i] = (struct waiter){&words[0], 3, 0, FUTEX_ANY, &asleep, 0, 0};
        threads[i] = helper_thread(sleep_on_word, &waiters[i]);
    }
    wait_until_asleep(&asleep, COUNT);
    CHECK_EQUAL(MUST(sys_futex_requeue(&words[0], &words[1], UINT64_C(3) << 32 | 1, 3, 0)), 4);
    CHECK_EQUAL(MUST(sys_futex_wake(&words[1], UINT32_MAX, 0, FUTEX_ANY)), 3);
    CHECK_EQUAL(MUST(sys_futex_wake(&words[0], UINT32_MAX, 0, FUTEX_ANY)), 2);
    for (int i = 0; i < COUNT; i++)
        helper_join(threads[i]);
}

/* Who was moved can still time out or be interrupted, and is found where it then is. */
TEST(requeued_and_interrupted)
{
    uint32_t words[2] = {0}, asleep = 0;
    struct waiter waiter = {&words[0], 0, 0, FUTEX_ANY, &asleep, 0, 0};
    struct helper *thread = helper_thread(sleep_on_word, &waiter);

    wait_until_asleep(&asleep, 1);
    CHECK_EQUAL(MUST(sys_futex_requeue(&words[0], &words[1], UINT64_C(1) << 32, 0, 0)), 1);
    MUST(sys_thread_control(thread->thread, THREAD_INTERRUPT, 0, NULL));
    helper_join(thread);
    CHECK_EQUAL(waiter.result, -E_INTERRUPTED);
    CHECK_EQUAL(MUST(sys_futex_wake(&words[1], 10, 0, FUTEX_ANY)), 0);
}

/* A lock's sleep: a kick leaves it alone, and is not lost. */
static void sleep_steadily(void *argument)
{
    struct waiter *waiter = argument;

    word_add(waiter->asleep, 1);
    waiter->result =
        sys_futex_wait(waiter->word, waiter->value, FUTEX_STEADY, after(PATIENCE), FUTEX_ANY);
}

TEST(steady_waits)
{
    uint32_t word = 0, asleep = 0;
    struct waiter waiter = {&word, 0, 0, FUTEX_ANY, &asleep, 0, 1};
    struct helper *thread = helper_thread(sleep_steadily, &waiter);

    wait_until_asleep(&asleep, 1);
    MUST(sys_thread_control(thread->thread, THREAD_INTERRUPT, 0, NULL));
    sleep_for(20 * MILLISECOND);
    CHECK_EQUAL(waiter.result, 1);
    CHECK_EQUAL(MUST(sys_futex_wake(&word, 1, 0, FUTEX_ANY)), 1);
    helper_join(thread);
    CHECK_EQUAL(waiter.result, 0);
    CHECK_ERROR(sys_futex_wake(&word, 1, FUTEX_STEADY, FUTEX_ANY), INVALID);
}

/* Shared: the key is the memory, whatever its addresses and spaces. */
struct across {
    uint32_t word, asleep;
};

static void sleep_across(void *argument)
{
    struct across *across = argument;

    word_add(&across->asleep, 1);
    CHECK_EQUAL(wait_on(&across->word, 0, FUTEX_SHARED_), 0);
}

TEST(shared_between_processes)
{
    struct across *across = shared(sizeof(*across));
    struct helper *helper = helper_process(sleep_across, across);

    wait_until_asleep(&across->asleep, 1);
    /* Private: another key. */
    CHECK_EQUAL(MUST(sys_futex_wake(&across->word, 10, 0, FUTEX_ANY)), 0);
    CHECK_EQUAL(MUST(sys_futex_wake(&across->word, 10, FUTEX_SHARED_, FUTEX_ANY)), 1);
    helper_join(helper);
    unshare(across);
}

TEST(shared_between_mappings)
{
    handle_t memory = (handle_t)MUST(sys_memory_create(PAGE_SIZE, 0));
    uint32_t *one = memory_map(memory, PAGE_SIZE, PROT_READ_ | PROT_WRITE_, MAP_SHARED_);
    uint32_t *two = memory_map(memory, PAGE_SIZE, PROT_READ_ | PROT_WRITE_, MAP_SHARED_);
    uint32_t asleep = 0;
    struct waiter waiter = {one, 0, FUTEX_SHARED_, FUTEX_ANY, &asleep, 0, 0};
    struct helper *thread = helper_thread(sleep_on_word, &waiter);

    wait_until_asleep(&asleep, 1);
    CHECK_EQUAL(MUST(sys_futex_wake(two, 10, FUTEX_SHARED_, FUTEX_ANY)), 1);
    helper_join(thread);
    pages_unmap(one, 1);
    pages_unmap(two, 1);
    handle_drop(memory);
}

/* Private memory copied by fork: the same address is another word. */
static uint32_t private_word;

static void sleep_on_private(void *argument)
{
    word_add(argument, 1);
    CHECK_ERROR(
        sys_futex_wait(&private_word, 0, FUTEX_SHARED_, after(200 * MILLISECOND), FUTEX_ANY),
        TIMED_OUT);
}

TEST(private_memory_of_processes)
{
    uint32_t *asleep = shared(PAGE_SIZE);
    struct helper *helper = helper_process(sleep_on_private, asleep);

    word_wait(asleep, 1);
    sleep_for(50 * MILLISECOND);
    CHECK_EQUAL(MUST(sys_futex_wake(&private_word, 10, FUTEX_SHARED_, FUTEX_ANY)), 0);
    CHECK_EQUAL(MUST(sys_futex_wake(&private_word, 10, 0, FUTEX_ANY)), 0);
    helper_join(helper);
    unshare(asleep);
}

/* A mutex of three states, and a counter it guards. */
struct mutex {
    uint32_t word, counter;
};

static void mutex_lock(uint32_t *word, uint32_t flags)
{
    uint32_t expected = 0;

    if (__atomic_compare_exchange_n(word, &expected, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return;
    while (__atomic_exchange_n(word, 2, __ATOMIC_ACQUIRE) != 0) {
        int64_t result = sys_futex_wait(word, 2, flags, after(PATIENCE), FUTEX_ANY);

        CHECK(result == 0 || result == -E_AGAIN);
    }
}

static void mutex_unlock(uint32_t *word, uint32_t flags)
{
    if (__atomic_exchange_n(word, 0, __ATOMIC_RELEASE) == 2)
        MUST(sys_futex_wake(word, 1, flags, FUTEX_ANY));
}

static void count_under_mutex(void *argument)
{
    struct mutex *mutex = argument;
    uint32_t flags = mutex->counter & 0x80000000 ? 0 : FUTEX_SHARED_;

    for (int i = 0; i < 2000; i++) {
        mutex_lock(&mutex->word, flags);
        mutex->counter = mutex->counter + 1;
        mutex_unlock(&mutex->word, flags);
    }
}

TEST(mutex_of_threads)
{
    struct mutex mutex = {0, 0x80000000};
    struct helper *threads[4];

    for (int i = 0; i < 4; i++)
        threads[i] = helper_thread(count_under_mutex, &mutex);
    for (int i = 0; i < 4; i++)
        helper_join(threads[i]);
    CHECK_EQUAL(mutex.counter, 0x80000000 + 8000);
}

TEST(mutex_of_processes)
{
    struct mutex *mutex = shared(sizeof(*mutex));
    struct helper *processes[4];

    for (int i = 0; i < 4; i++)
        processes[i] = helper_process(count_under_mutex, mutex);
    for (int i = 0; i < 4; i++)
        helper_join(processes[i]);
    CHECK_EQUAL(mutex->counter, 8000);
    unshare(mutex);
}

/* Wakes, requeues and timeouts at once: nobody is lost, nobody is woken twice. */
struct churn {
    uint32_t words[2], stop, sleeps;
};

static void churn_sleeper(void *argument)
{
    struct churn *churn = argument;
    uint64_t seed = (uintptr_t)&churn ^ 77;

    while (!word_get(&churn->stop)) {
        int64_t result = sys_futex_wait(&churn->words[0], 0, 0,
                                        after((int64_t)(test_random(&seed) % 2000000)), FUTEX_ANY);

        CHECK(result == 0 || result == -E_TIMED_OUT);
        __atomic_fetch_add(&churn->sleeps, 1, __ATOMIC_SEQ_CST);
    }
}

TEST(churn)
{
    struct churn churn = {0};
    struct helper *threads[4];
    int64_t until = after(SECOND / 2);

    for (int i = 0; i < 4; i++)
        threads[i] = helper_thread(churn_sleeper, &churn);
    for (int i = 0; now() < until; i++) {
        MUST(sys_futex_requeue(&churn.words[0], &churn.words[1], UINT64_C(2) << 32, 0, 0));
        MUST(sys_futex_wake(&churn.words[i % 2], 1, 0, FUTEX_ANY));
        if (i % 50 == 0)
            MUST(sys_thread_control(HANDLE_SELF, THREAD_YIELD, 0, NULL));
    }
    word_set(&churn.stop, 1);
    for (int i = 0; i < 4; i++)
        helper_join(threads[i]);
    CHECK(churn.sleeps > 4);
}

/* The waiter is killed: its entry goes with it. */
TEST(killed_waiters)
{
    struct across *across = shared(sizeof(*across));

    for (int i = 0; i < 10; i++) {
        struct helper *helper = helper_process(sleep_across, across);

        word_wait(&across->asleep, (uint32_t)i + 1);
        helper_kill(helper);
        CHECK_EQUAL(MUST(sys_futex_wake(&across->word, 10, FUTEX_SHARED_, FUTEX_ANY)), 0);
    }
    unshare(across);
}
