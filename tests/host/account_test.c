/* Accounts and purses: limits are exact, nested ones count in each, and everything comes back. */
// sources: kernel/account.c kernel/vmm/heap.c kernel/vmm/frame.c kernel/vmm/ram.c kernel/vmm/fail.c kernel/lock.c
// sources: tests/host/fake_arch.c tests/host/fake_process.c
// libs: pthread
#include "kernel/account.h"

#include <pthread.h>

#include "abi/errors.h"
#include "tests/host/fake_process.h"
#include "tests/host/test.h"

#define BATCH (16 * PAGE_SIZE)

static struct account *account_with(struct account *parent, enum quota quota, uint64_t limit)
{
    uint64_t limits[QUOTA_COUNT];
    struct account *account;

    for (int i = 0; i < QUOTA_COUNT; i++)
        limits[i] = i == (int)quota ? limit : QUOTA_UNLIMITED;
    CHECK_EQUAL(account_new(parent, limits, QUOTA_COUNT, &account), 0);
    return account;
}

TEST(a_limit_is_exact)
{
    fake_machine(64);

    struct account *account = account_with(NULL, QUOTA_THREADS, 3);

    CHECK(!account_take(account, QUOTA_THREADS, 4));
    CHECK(account_take(account, QUOTA_THREADS, 2));
    CHECK(!account_take(account, QUOTA_THREADS, 2));
    CHECK(account_take(account, QUOTA_THREADS, 1));
    CHECK(!account_take(account, QUOTA_THREADS, INT64_MAX));
    CHECK(account_take(account, QUOTA_HANDLES, INT64_MAX));
    CHECK(!account_take(account, QUOTA_HANDLES, 1));
    account_overdraw(account, QUOTA_THREADS, 2);
    account_give(account, QUOTA_THREADS, 2);
    CHECK(!account_take(account, QUOTA_THREADS, 1));
    account_give(account, QUOTA_THREADS, 3);
    account_give(account, QUOTA_HANDLES, INT64_MAX);
    account_put(account);
}

TEST(the_systems_own_is_not_limited)
{
    CHECK(account_take(NULL, QUOTA_MEMORY, UINT64_MAX));
    account_give(NULL, QUOTA_MEMORY, UINT64_MAX);
    account_put(account_get(NULL));
}

TEST(nested_accounts_count_in_each)
{
    fake_machine(64);

    struct account *outer = account_with(NULL, QUOTA_PORTS, 5);
    struct account *inner = account_with(outer, QUOTA_PORTS, 3),
                   *other = account_with(outer, QUOTA_PORTS, 9);

    CHECK_EQUAL(account_quota(other, QUOTA_PORTS).limit, 5);
    CHECK(account_take(inner, QUOTA_PORTS, 3));
    CHECK(!account_take(inner, QUOTA_PORTS, 1));
    CHECK(account_take(other, QUOTA_PORTS, 2));
    CHECK(!account_take(other, QUOTA_PORTS,
                        1)); /* and takes nothing from the one below that had it */
    CHECK_EQUAL(account_quota(other, QUOTA_PORTS).used, 2);
    CHECK_EQUAL(account_quota(outer, QUOTA_PORTS).used, 5);
    account_give(inner, QUOTA_PORTS, 3);
    account_give(other, QUOTA_PORTS, 2);
    account_put(outer); /* the inner ones hold it */
    account_put(inner);
    CHECK_EQUAL(account_quota(other->parent, QUOTA_PORTS).used, 0);
    account_put(other);
}

TEST(nesting_ends)
{
    struct account *chain[ACCOUNT_DEPTH_MAX + 1] = {NULL};
    uint32_t depth = 0;
    int error;

    fake_machine(64);
    while ((error = account_new(chain[depth], NULL, 0, &chain[depth + 1])) == 0)
        depth++;
    CHECK_EQUAL(error, -E_QUOTA);
    CHECK_EQUAL(depth, ACCOUNT_DEPTH_MAX);
    for (; depth > 0; depth--)
        account_put(chain[depth]);
}

TEST(a_purse_takes_the_last_of_it)
{
    fake_machine(64);

    uint64_t limit = sizeof(struct account) + BATCH + 3 * PAGE_SIZE;
    struct account *account = account_with(NULL, QUOTA_MEMORY, limit);
    struct purse purse;
    uint64_t pages = 0;

    purse_open(&purse, account, BATCH);
    while (purse_pay(&purse, PAGE_SIZE))
        pages++;
    CHECK_EQUAL(pages, limit / PAGE_SIZE);
    CHECK_EQUAL(account_quota(account, QUOTA_MEMORY).used, limit);
    for (; pages > 0; pages--)
        purse_earn(&purse, PAGE_SIZE);
    CHECK(account_quota(account, QUOTA_MEMORY).used <= 2 * BATCH);
    purse_close(&purse);
    CHECK_EQUAL(account_quota(account, QUOTA_MEMORY).used, sizeof(struct account));
    account_put(account);
}

/* Charged memory keeps an account, and those around it, after the last reference; the last byte ends them. */
TEST(memory_is_a_reference)
{
    fake_machine(64);

    struct account *outer = account_with(NULL, QUOTA_PORTS, 5);
    struct account *inner = account_with(outer, QUOTA_PORTS, 3), *refused;

    CHECK_EQUAL(account_quota(inner, QUOTA_MEMORY).used, sizeof(struct account));
    CHECK_EQUAL(account_quota(outer, QUOTA_MEMORY).used, 2 * sizeof(struct account));
    CHECK(account_take(inner, QUOTA_MEMORY, 100));
    CHECK(account_take(inner, QUOTA_MEMORY, 1));
    account_put(inner);
    CHECK(!account_try_get(inner));
    CHECK_EQUAL(account_quota(inner, QUOTA_MEMORY).used, 101);
    account_give(inner, QUOTA_MEMORY, 100);
    CHECK_EQUAL(outer->references, 2);
    account_give(inner, QUOTA_MEMORY, 1);
    CHECK_EQUAL(outer->references, 1);
    CHECK_EQUAL(account_quota(outer, QUOTA_MEMORY).used, sizeof(struct account));

    inner = account_with(outer, QUOTA_PORTS, 3);
    CHECK(account_take(inner, QUOTA_MEMORY, 100));
    account_put(outer);
    account_put(inner);
    account_give(inner, QUOTA_MEMORY, 100); /* both, one after the other */

    outer = account_with(NULL, QUOTA_MEMORY, 2 * sizeof(struct account) - 1);
    CHECK_EQUAL(account_new(outer, NULL, 0, &refused), -E_NO_MEMORY);
    CHECK_EQUAL(outer->references, 1);
    account_put(outer);
}

#define THREADS 4
#define EACH    20000u

static struct account *contended;
static uint32_t got;

static void *take_all(void *argument)
{
    fake_cpu_enter((uint32_t)(uintptr_t)argument);
    for (uint32_t i = 0; i < EACH; i++)
        if (account_take(contended, QUOTA_BINDINGS, 1))
            __atomic_fetch_add(&got, 1, __ATOMIC_RELAXED);
    return NULL;
}

TEST(many_take_at_once)
{
    pthread_t threads[THREADS];

    fake_machine(64);
    contended = account_with(NULL, QUOTA_BINDINGS, THREADS * EACH / 2);
    got = 0;
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK_EQUAL(pthread_create(&threads[i], NULL, take_all, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQUAL(got, THREADS * EACH / 2);
    account_give(contended, QUOTA_BINDINGS, got);
    account_put(contended);
}
