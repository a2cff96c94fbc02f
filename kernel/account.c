/* Accounts: see account.h. */
#include "kernel/account.h"

#include "abi/errors.h"
#include "kernel/sched/thread.h"
#include "kernel/types.h"
#include "kernel/vmm/heap.h"

#define CREDIT_UNLIMITED (UINT64_C(1) << 62)

#define LIMIT_NONE INT64_MAX

static struct cache account_cache = CACHE_INIT("account", sizeof(struct account), 64);

struct account *account_current(void)
{
    const struct thread *thread = thread_current();

    return thread && thread->process ? thread->process->account : NULL;
}

/* Among those inside its parent; false: that has ended. */
static bool enter(struct account *account)
{
    struct account *parent = account->parent;

    if (!parent)
        return true;
    lock_acquire(&parent->lock);
    bool ended = parent->ended;
    if (!ended)
        list_append(&parent->inside, &account->link);
    lock_release(&parent->lock);
    return !ended;
}

int account_new(struct account *parent, const uint64_t *limits, uint32_t count,
                struct account **result)
{
    if (parent && parent->depth + 1 >= ACCOUNT_DEPTH_MAX)
        return -E_QUOTA;

    struct account *account = cache_alloc(&account_cache);

    if (!account)
        return -E_NO_MEMORY;
    account->references = 1;
    account->depth = parent ? parent->depth + 1 : 0;
    account->parent = account_get(parent);
    for (uint32_t i = 0; i < QUOTA_COUNT; i++) {
        int64_t above = parent ? parent->quotas[i].limit : LIMIT_NONE;
        int64_t limit = i < count ? (int64_t)MIN(limits[i], (uint64_t)above) : above;

        account->quotas[i].limit = account->quotas[i].left = limit;
    }
    lock_init(&account->lock, RANK_ACCOUNT, "account");
    list_init(&account->members);
    list_init(&account->inside);
    list_init(&account->link);
    /* The first thing that is charged to it, and the last but for what outlives its references. */
    if (!account_take_counted(account, QUOTA_MEMORY, sizeof(struct account))) {
        cache_free(&account_cache, account);
        account_put(parent);
        return -E_NO_MEMORY;
    }
    if (!enter(account)) {
        account_put(account);
        return -E_NO_PROCESS;
    }
    *result = account;
    return 0;
}

/* One level; others may take at the same time: it is exact. */
static inline bool take_here(struct account *account, enum quota quota, int64_t amount)
{
    int64_t *left = &account->quotas[quota].left, now = __atomic_load_n(left, __ATOMIC_RELAXED);

    do {
        if (unlikely(now < amount))
            return false;
    } while (unlikely(!__atomic_compare_exchange_n(left, &now, now - amount, true, __ATOMIC_RELAXED,
                                                   __ATOMIC_RELAXED)));
    return true;
}

static COLD void destroy(struct account *account)
{
    struct account *parent = account->parent;

    for (uint32_t i = 0; i < QUOTA_COUNT; i++)
        ASSERT(account->quotas[i].left == account->quotas[i].limit);
    ASSERT(account->references == 0);
    if (parent) {
        lock_acquire(&parent->lock);
        list_remove(&account->link);
        lock_release(&parent->lock);
    }
    cache_free(&account_cache, account);
    account_put(parent);
}

void account_give_counted(struct account *account, enum quota quota, uint64_t amount)
{
    do {
        int64_t left =
            __atomic_add_fetch(&account->quotas[quota].left, (int64_t)amount, __ATOMIC_RELAXED);

        ASSERT(!DEBUG || left <= account->quotas[quota].limit);
        account = account->parent;
    } while (unlikely(account));
}

/* Whoever gives the last byte back destroys the account: nobody has a reference or anything else of it any more. So nothing of
 * one is read behind the addition. True: that was it. */
static inline bool give_bytes(struct account *account, uint64_t bytes)
{
    int64_t limit = account->quotas[QUOTA_MEMORY].limit;
    int64_t left =
        __atomic_add_fetch(&account->quotas[QUOTA_MEMORY].left, (int64_t)bytes, __ATOMIC_ACQ_REL);

    ASSERT(!DEBUG || left <= limit);
    return left == limit;
}

/* What `account` was given is given to those around it. Each has it charged until its own turn, and so is there. */
static COLD void give_around(struct account *account, bool last, struct account *parent,
                             uint64_t bytes)
{
    for (;;) {
        if (last)
            destroy(account);
        if (!parent)
            return;
        account = parent;
        parent = account->parent;
        last = give_bytes(account, bytes);
    }
}

void account_give_memory(struct account *account, uint64_t bytes)
{
    struct account *parent = account->parent;
    bool last = give_bytes(account, bytes);

    if (unlikely(last || parent))
        give_around(account, last, parent, bytes);
}

void account_unreferenced(struct account *account)
{
    account_give_memory(account, sizeof(struct account));
}

/* All the way up, or nothing. */
static COLD bool take_nested(struct account *account, enum quota quota, int64_t amount)
{
    for (struct account *at = account; at; at = at->parent) {
        if (take_here(at, quota, amount))
            continue;
        for (struct account *taken = account; taken != at; taken = taken->parent)
            __atomic_fetch_add(&taken->quotas[quota].left, amount, __ATOMIC_RELAXED);
        return false;
    }
    return true;
}

bool account_take_counted(struct account *account, enum quota quota, uint64_t amount)
{
    ASSERT(!DEBUG || amount <= INT64_MAX);
    if (unlikely(account->parent))
        return take_nested(account, quota, (int64_t)amount);
    return take_here(account, quota, (int64_t)amount);
}

void account_overdraw_counted(struct account *account, enum quota quota, uint64_t amount)
{
    for (; account; account = account->parent)
        __atomic_fetch_sub(&account->quotas[quota].left, (int64_t)amount, __ATOMIC_RELAXED);
}

struct abi_quota account_quota(const struct account *account, enum quota quota)
{
    if (!account)
        return (struct abi_quota){.used = 0, .limit = QUOTA_UNLIMITED};

    int64_t limit = account->quotas[quota].limit;
    int64_t left = __atomic_load_n(&account->quotas[quota].left, __ATOMIC_RELAXED);

    return (struct abi_quota){.used = (uint64_t)(limit - left),
                              .limit = limit == LIMIT_NONE ? QUOTA_UNLIMITED : (uint64_t)limit};
}

/* --- Purses ------------------------------------------------------------------------------------------------ */

void purse_open(struct purse *purse, struct account *account, uint64_t batch)
{
    purse->batch = batch;
    purse->account = account_get(account);
    purse->credit = account ? 0 : CREDIT_UNLIMITED;
}

void purse_close(struct purse *purse)
{
    if (purse->account && purse->credit)
        account_give(purse->account, QUOTA_MEMORY, purse->credit);
    account_put(purse->account);
    purse->account = NULL;
    purse->credit = 0;
}

COLD bool purse_refill(struct purse *purse, uint64_t bytes)
{
    uint64_t missing = bytes - purse->credit;
    uint64_t amount = MAX(missing, purse->batch);

    if (!account_take(purse->account, QUOTA_MEMORY, amount)) {
        amount = missing; /* the last of it */
        if (!account_take(purse->account, QUOTA_MEMORY, amount))
            return false;
    }
    purse->credit += amount;
    return true;
}

COLD void purse_return(struct purse *purse)
{
    account_give(purse->account, QUOTA_MEMORY, purse->credit - purse->batch);
    purse->credit = purse->batch;
}
