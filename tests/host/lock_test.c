// sources: kernel/lock.c tests/host/fake_arch.c
/* The order of locks is asserted, and locks exclude. */
#include <pthread.h>

#include "kernel/cpu.h"
#include "tests/host/fake_arch.h"
#include "tests/host/test.h"

static jmp_buf caught;
static char cause[256];
static bool expecting;

void panic(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(cause, sizeof(cause), format, arguments);
    va_end(arguments);
    if (!expecting) {
        fprintf(stderr, "panic: %s\n", cause);
        abort();
    }
    longjmp(caught, 1);
}

/* True: the statement panicked. */
#define PANICS(statement) \
    (expecting = true,    \
     setjmp(caught) ? (expecting = false, true) : ((statement), expecting = false, false))

TEST(locks_are_taken_in_order)
{
    struct lock low, high, other;

    fake_init();
    lock_init(&low, RANK_SPACE, "low");
    lock_init(&high, RANK_FRAMES, "high");
    lock_init(&other, RANK_SPACE, "other");
    lock_acquire(&low);
    CHECK(lock_held(&low) && !lock_held(&high));
    lock_acquire(&high);
    CHECK(lock_debug_held(0, 1) == &high && lock_debug_held(0, 2) == NULL);
    lock_release(&low); /* in any order */
    CHECK(PANICS(lock_acquire(&low)));
    CHECK(strstr(cause, "low") && strstr(cause, "high"));
    lock_release(&high);

    lock_acquire(&low);
    CHECK(PANICS(lock_acquire(&other))); /* equal ranks, too */
    CHECK(PANICS(lock_acquire(&low)));
    CHECK(strstr(cause, "twice"));
    CHECK(lock_try(&other)); /* cannot wait, so it may */
    lock_release(&other);
    lock_release(&low);
    CHECK(PANICS(lock_release(&low)));
}

TEST(two_of_a_rank_in_address_order)
{
    struct lock pair[2];

    fake_init();
    lock_init(&pair[0], RANK_THREAD, "first");
    lock_init(&pair[1], RANK_THREAD, "second");
    lock_acquire(&pair[0]);
    lock_acquire_nested(&pair[1]);
    lock_release(&pair[0]);
    CHECK(PANICS(lock_acquire_nested(&pair[0])));
    lock_release(&pair[1]);
}

static struct lock shared;
static unsigned counter;

static void *count(void *argument)
{
    fake_cpu_enter((uint32_t)(uintptr_t)argument);
    for (unsigned i = 0; i < 20000; i++) {
        lock_acquire(&shared);
        counter++;
        lock_release(&shared);
    }
    return NULL;
}

TEST(locks_exclude)
{
    pthread_t threads[4];

    fake_init();
    lock_init(&shared, RANK_LOG, "shared");
    counter = 0;
    for (uintptr_t i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, count, (void *)i);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQUAL(counter, 80000);
    fake_cpu_enter(0);
    CHECK(lock_try(&shared));
    CHECK(!lock_try(&shared));
    lock_release(&shared);
}
