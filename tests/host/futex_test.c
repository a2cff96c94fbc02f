/* Futexes in every window: what somebody on another CPU does comes, in turn, wherever the caller has just let go of a lock, is about to
 * take one, or sleeps. So what needs a window of a few instructions is found each time.
 *
 * futex.c is part of this file, with its locks and lists made to call here; the scheduler is a few lines of the test's.
 */
// sources: kernel/lock.c tests/host/fake_arch.c
#include "kernel/cpu.h"
#include "kernel/process.h"
#include "kernel/sched/thread.h"
#include "kernel/vmm/space.h"
#include "lib/base/list.h"
#include "tests/host/test.h"

static void window(void);
static void check_locked(struct list *link);

static void acquire_in_window(struct lock *lock)
{
    window();
    lock_acquire(lock);
}

static void release_and_window(struct lock *lock)
{
    lock_release(lock);
    window();
}

static void remove_locked(struct list *link)
{
    check_locked(link);
    list_remove(link);
}

#define lock_acquire acquire_in_window
#define lock_release release_and_window
#define list_remove  remove_locked
#include "kernel/sched/futex.c"
#undef lock_acquire
#undef lock_release
#undef list_remove

#define SLEEPERS 4u

/* Thread 0 is who calls; the others sleep from the start, in waiters of the test's own; the last is who comes in between. */
static struct thread threads[SLEEPERS + 2];
static struct process process;
static struct futex_waiter sleepers[SLEEPERS];
static bool armed[SLEEPERS + 2];
static int results[SLEEPERS + 2];
static uint32_t wait_flags_seen;
static uint32_t
    words[0x4000]; /* the first two are used; of the others one shares a bucket with them */

/* --- The rest of the kernel ---------------------------------------------------------------------------------------------- */

static unsigned number(const struct thread *thread)
{
    return (unsigned)(thread - threads);
}

void wait_prepare(uint32_t flags)
{
    wait_flags_seen = flags;
    armed[number(thread_current())] = true;
}

bool thread_wake(struct thread *thread, int result, unsigned flags)
{
    bool mine = armed[number(thread)];

    (void)flags;
    armed[number(thread)] = false;
    if (mine)
        results[number(thread)] = result;
    return mine;
}

static bool timed_out;
static uint64_t deadline_seen;

/* A wait that nobody ends in the window of its sleep has reached its deadline. */
int wait_block(uint64_t deadline)
{
    deadline_seen = deadline;
    window();
    timed_out = thread_wake(thread_current(), -E_TIMED_OUT, 0);
    return results[0];
}

int space_futex_key(struct space *space, uaddr_t address, bool shared, struct futex_key *key)
{
    (void)space;
    *key = (struct futex_key){.object = shared, .offset = address.value};
    return 0;
}

static bool absent; /* the first look without a fault fails */

int user_read_u32_nofault(uaddr_t from, uint32_t *value)
{
    *value = *(uint32_t *)(uintptr_t)from.value;
    return absent ? -E_FAULT : 0;
}

int user_read_u32(uaddr_t from, uint32_t *value)
{
    absent = false;
    return user_read_u32_nofault(from, value);
}

/* --- Windows --------------------------------------------------------------------------------------------------------------- */

static void (*other)(void); /* what comes in between, once */
static unsigned windows, chosen;
static bool too_late; /* it came when the wait had ended already */

static void window(void)
{
    if (!other || windows++ != chosen)
        return;

    void (*run)(void) = other;

    other = NULL; /* it has no windows of its own */
    too_late = timed_out;
    cpu_self()->current = &threads[SLEEPERS + 1];
    run();
    cpu_self()->current = &threads[0];
}

/* Whoever takes a waiter off a list holds the lock of the bucket it is in. */
static void check_locked(struct list *link)
{
    struct futex_waiter *waiter = container_of(link, struct futex_waiter, link);

    CHECK(lock_held(&bucket_of(&waiter->key)->lock));
}

static void start(void)
{
    fake_init();
    futex_init();
    memset(threads, 0, sizeof(threads));
    memset(armed, 0, sizeof(armed));
    memset(words, 0, sizeof(words));
    for (unsigned i = 0; i < ARRAY_SIZE(threads); i++)
        threads[i].process = &process;
    cpu_self()->current = &threads[0];
    other = NULL;
    windows = 0;
    absent = timed_out = too_late = false;
}

static uaddr_t word(unsigned which)
{
    return UADDR((uintptr_t)&words[which]);
}

static void sleep_on(unsigned which, unsigned sleeper, uint32_t bits)
{
    struct futex_waiter *waiter = &sleepers[sleeper];

    *waiter = (struct futex_waiter){.thread = &threads[sleeper + 1], .bits = bits};
    CHECK_EQUAL(key_of(word(which), 0, &waiter->key), 0);
    waiter->bucket = bucket_of(&waiter->key);
    list_append(&waiter->bucket->waiters, &waiter->link);
    armed[sleeper + 1] = true;
}

static unsigned queued(void)
{
    unsigned count = 0;

    for (uint32_t i = 0; i < BUCKETS; i++)
        list_for_each (struct futex_waiter, waiter, &buckets[i].waiters, link)
            count++;
    return count;
}

static uint64_t counts(uint32_t to_wake, uint32_t to_move)
{
    return (uint64_t)to_move << 32 | to_wake;
}

static int64_t told; /* whether the other's calls said that they woke the caller */

/* Waits on word 0 with `what` in each window there is. The end of each wait is told to `check`. */
static void in_every_window(void (*what)(void), bool first_absent, void (*check)(int64_t result))
{
    for (chosen = 0;; chosen++) {
        start();
        absent = first_absent;
        told = 0;
        other = what;
        int64_t result = sys_futex_wait(word(0), 0, 0, 1000, FUTEX_ANY);
        bool came = !other;

        other = NULL;
        CHECK_EQUAL(queued(), 0);
        CHECK_EQUAL(result == 0, told == 1);
        if (!came) {
            CHECK_EQUAL(result, -E_TIMED_OUT);
            CHECK(chosen >= 3); /* before the lock, behind it, asleep */
            return;
        }
        check(result);
    }
}

/* --- Waiting ----------------------------------------------------------------------------------------------------------------- */

static void change_and_wake(void)
{
    words[0] = 1;
    told = sys_futex_wake(word(0), 1, 0, FUTEX_ANY);
}

static void no_change_is_missed(int64_t result)
{
    if (result == -E_TIMED_OUT)
        CHECK(too_late);
}

TEST(a_change_before_a_wake_is_never_missed)
{
    in_every_window(change_and_wake, false, no_change_is_missed);
    in_every_window(change_and_wake, true, no_change_is_missed);
}

static void move(void)
{
    sys_futex_requeue(word(0), word(1), counts(0, 1), 0, 0);
}

static void timed_out_wherever_it_was(int64_t result)
{
    CHECK_EQUAL(result, -E_TIMED_OUT);
}

TEST(who_was_moved_leaves_where_it_is)
{
    in_every_window(move, false, timed_out_wherever_it_was);
}

static void move_and_wake(void)
{
    words[0] = 1;
    CHECK(sys_futex_requeue(word(0), word(1), counts(0, 1), 1, 0) >= 0);
    told = sys_futex_wake(word(1), 1, 0, FUTEX_ANY);
}

TEST(who_was_moved_is_woken_where_it_is)
{
    in_every_window(move_and_wake, false, no_change_is_missed);
}

static void move_there_and_back(void)
{
    move();
    sys_futex_requeue(word(1), word(0), counts(0, 1), 0, 0);
    change_and_wake();
}

TEST(who_was_moved_back_is_woken_where_it_was)
{
    in_every_window(move_there_and_back, false, no_change_is_missed);
}

static void wake_with_another_behind(void)
{
    sleep_on(0, 0, FUTEX_ANY);
    words[0] = 1;
    CHECK_EQUAL(sys_futex_wake(word(0), 1, 0, FUTEX_ANY), 1);
    told = armed[1]; /* it was not the other's, who is woken now */
    CHECK_EQUAL(sys_futex_wake(word(0), 1, 0, FUTEX_ANY), told);
}

TEST(a_wake_is_not_spent_on_one_whose_time_is_over)
{
    in_every_window(wake_with_another_behind, false, no_change_is_missed);
}

/* Of a requeue, too: and who is behind stays, if it was not. */
static void requeue_with_another_behind(void)
{
    sleep_on(0, 0, FUTEX_ANY);
    CHECK_EQUAL(sys_futex_requeue(word(0), word(1), counts(1, 0), words[0], 0), 1);
    told = armed[1];
    words[0] = 1;
    CHECK_EQUAL(sys_futex_wake(word(0), 1, 0, FUTEX_ANY), told);
}

TEST(a_requeue_wakes_nobody_whose_time_is_over)
{
    in_every_window(requeue_with_another_behind, false, no_change_is_missed);
}

TEST(deadlines_and_arguments)
{
    start();
    CHECK_EQUAL(sys_futex_wait(word(0), 0, 0, 77, FUTEX_ANY), -E_TIMED_OUT);
    CHECK_EQUAL(deadline_seen, 77);
    CHECK_EQUAL(sys_futex_wait(word(0), 0, 0, DEADLINE_NEVER, FUTEX_ANY), -E_TIMED_OUT);
    CHECK_EQUAL(deadline_seen, UINT64_MAX);
    CHECK_EQUAL(sys_futex_wake(UADDR(word(0).value + 1), 1, 0, FUTEX_ANY), -E_INVALID);
    CHECK_EQUAL(sys_futex_wake(word(0), 1, FUTEX_STEADY, FUTEX_ANY), -E_INVALID);
}

TEST(steady_waits_are_not_interruptible)
{
    start();
    CHECK_EQUAL(sys_futex_wait(word(0), 0, 0, 1, FUTEX_ANY), -E_TIMED_OUT);
    CHECK_EQUAL(wait_flags_seen, WAIT_INTERRUPTIBLE);
    CHECK_EQUAL(sys_futex_wait(word(0), 0, FUTEX_STEADY, 1, FUTEX_ANY), -E_TIMED_OUT);
    CHECK_EQUAL(wait_flags_seen, 0);
}

/* --- Waking ------------------------------------------------------------------------------------------------------------------ */

static void all_sleep(unsigned which)
{
    start();
    for (unsigned i = 0; i < SLEEPERS; i++)
        sleep_on(which, i, i % 2 ? 1 : 2);
}

/* Who still sleeps, a bit for each. */
static unsigned asleep(void)
{
    unsigned mask = 0;

    for (unsigned i = 0; i < SLEEPERS; i++)
        mask |= (unsigned)armed[i + 1] << i;
    return mask;
}

TEST(the_first_to_come_is_woken_first)
{
    all_sleep(0);
    CHECK_EQUAL(sys_futex_wake(word(0), 0, 0, FUTEX_ANY), 0);
    CHECK_EQUAL(sys_futex_wake(word(0), 1, 0, FUTEX_ANY), 1);
    CHECK_EQUAL(asleep(), 0xe);
    CHECK_EQUAL(sys_futex_wake(word(0), 2, 0, FUTEX_ANY), 2);
    CHECK_EQUAL(asleep(), 0x8);
    CHECK_EQUAL(sys_futex_wake(word(0), 5, 0, FUTEX_ANY), 1);
    CHECK_EQUAL(queued(), 0);
}

static void wake_the_first(void)
{
    CHECK_EQUAL(sys_futex_wake(word(0), 1, 0, FUTEX_ANY), 1);
}

TEST(who_comes_stands_behind_who_sleeps)
{
    start();
    sleep_on(0, 0, FUTEX_ANY);
    other = wake_the_first;
    chosen = 2; /* the caller sleeps */
    CHECK_EQUAL(sys_futex_wait(word(0), 0, 0, 1, FUTEX_ANY), -E_TIMED_OUT);
    CHECK_EQUAL(asleep(), 0);
}

TEST(bits_choose)
{
    all_sleep(0);
    CHECK_EQUAL(sys_futex_wake(word(0), 9, 0, 4), 0);
    CHECK_EQUAL(sys_futex_wake(word(0), 1, 0, 1), 1);
    CHECK_EQUAL(asleep(), 0xd);
    CHECK_EQUAL(sys_futex_wake(word(0), 9, 0, 2), 2);
    CHECK_EQUAL(asleep(), 0x8);
    CHECK_EQUAL(sys_futex_wait(word(0), 0, 0, 1, 0), -E_INVALID);
    CHECK_EQUAL(sys_futex_wake(word(0), 1, 0, 0), -E_INVALID);
}

TEST(private_and_shared_are_two_words)
{
    all_sleep(0);
    CHECK_EQUAL(sys_futex_wake(word(0), 9, FUTEX_SHARED_, FUTEX_ANY), 0);
    sleepers[1].key.object = 1; /* as if it waited with FUTEX_SHARED_ */
    list_remove(&sleepers[1].link);
    sleepers[1].bucket = bucket_of(&sleepers[1].key);
    list_append(&sleepers[1].bucket->waiters, &sleepers[1].link);
    futex_wake_all(word(0));
    CHECK_EQUAL(asleep(), 0);
    CHECK_EQUAL(queued(), 0);
}

/* A word beside the first two in the bucket of the first. */
static unsigned neighbour(void)
{
    struct futex_key key, candidate;

    CHECK_EQUAL(key_of(word(0), 0, &key), 0);
    for (unsigned which = 2; which < ARRAY_SIZE(words); which++) {
        CHECK_EQUAL(key_of(word(which), 0, &candidate), 0);
        if (bucket_of(&candidate) == bucket_of(&key))
            return which;
    }
    FAIL("no two words share a bucket");
}

TEST(words_of_one_bucket_are_two)
{
    unsigned which = neighbour();

    start();
    sleep_on(which, 0, FUTEX_ANY);
    sleep_on(0, 1, FUTEX_ANY);
    sleep_on(which, 2, FUTEX_ANY);
    CHECK_EQUAL(sys_futex_requeue(word(0), word(1), counts(0, 9), 0, 0), 1);
    CHECK_EQUAL(sys_futex_wake(word(1), 9, 0, FUTEX_ANY), 1);
    CHECK_EQUAL(sys_futex_wake(word(0), 9, 0, FUTEX_ANY), 0);
    CHECK_EQUAL(asleep(), 0x5);
    CHECK_EQUAL(sys_futex_requeue(word(which), word(0), counts(1, 1), 0, 0), 2);
    CHECK_EQUAL(sys_futex_wake(word(which), 9, 0, FUTEX_ANY), 0);
    CHECK_EQUAL(sys_futex_wake(word(0), 9, 0, FUTEX_ANY), 1);
}

/* --- Requeueing ---------------------------------------------------------------------------------------------------------------- */

TEST(requeue_wakes_some_and_moves_some)
{
    for (unsigned from = 0; from < 2; from++) { /* whichever bucket comes first */
        all_sleep(from);
        CHECK_EQUAL(sys_futex_requeue(word(from), word(!from), counts(1, 2), 7, 0), -E_AGAIN);
        CHECK_EQUAL(asleep(), 0xf);
        CHECK_EQUAL(sys_futex_requeue(word(from), word(!from), counts(1, 2), 0, 0), 3);
        CHECK_EQUAL(asleep(), 0xe);
        CHECK_EQUAL(queued(), 3);
        CHECK_EQUAL(sys_futex_wake(word(from), 9, 0, FUTEX_ANY), 1);
        CHECK_EQUAL(asleep(), 0x6);
        CHECK_EQUAL(sys_futex_wake(word(!from), 1, 0, FUTEX_ANY), 1); /* in the order they came */
        CHECK_EQUAL(asleep(), 0x4);
        CHECK_EQUAL(sys_futex_wake(word(!from), 1, 0, 1), 0); /* and with the bits they came with */
        CHECK_EQUAL(sys_futex_wake(word(!from), 1, 0, 2), 1);
        CHECK_EQUAL(queued(), 0);
    }
}

TEST(who_is_moved_stands_behind_who_was_there)
{
    start();
    sleep_on(1, 0, FUTEX_ANY);
    sleep_on(0, 1, FUTEX_ANY);
    CHECK_EQUAL(sys_futex_requeue(word(0), word(1), counts(0, 1), 0, 0), 1);
    CHECK_EQUAL(sys_futex_wake(word(1), 1, 0, FUTEX_ANY), 1);
    CHECK_EQUAL(asleep(), 0x2);
}

TEST(a_word_requeued_to_itself)
{
    all_sleep(0);
    CHECK_EQUAL(sys_futex_requeue(word(0), word(0), counts(1, 9), 0, 0), 4);
    CHECK_EQUAL(asleep(), 0xe);
    CHECK_EQUAL(sys_futex_wake(word(0), 9, 0, FUTEX_ANY), 3);
}

static void change(void)
{
    words[0] = 1;
}

/* The word is read under the locks: what changed before keeps everybody where he is. */
TEST(requeue_of_a_word_that_changes)
{
    for (chosen = 0;; chosen++) {
        all_sleep(0);
        absent = chosen % 2;
        other = change;
        int64_t result = sys_futex_requeue(word(0), word(1), counts(1, 1), 0, 0);
        bool came = !other;

        other = NULL;
        if (!came)
            break;
        CHECK(result == -E_AGAIN || result == 2);
        CHECK_EQUAL(asleep(), result == 2 ? 0xe : 0xf);
        if (chosen == 0)
            CHECK_EQUAL(result, -E_AGAIN);
    }
    CHECK(chosen >= 2);
}
