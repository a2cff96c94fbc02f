/* Accounts: what a group of processes may use together, and what it uses.
 *
 *     account_new(parent, limits, count, &account)       part of parent: what it uses counts there, too
 *     account_take(account, QUOTA_THREADS, 1)            false: it would be more than the limit of some account on the way up
 *     account_give(account, QUOTA_THREADS, 1)
 *     purse_open(&purse, account), purse_pay, purse_earn, purse_close      memory in small amounts, for one object
 *
 * A process belongs to one account for life: its maker's, or a new one below that (process_create). Forks stay in it, so
 * making processes does not multiply what one may use. Account NULL is the system's own: no limits, and nothing is counted.
 *
 * Whoever takes holds a reference until it has given back. Memory that is charged is one: who has bytes of an account need not hold
 * another, but must not make one from it (the last may be gone). Counters are atomic and nothing is locked, but hot paths
 * do not come here: a purse takes a batch at a time and is used under the lock of what it pays for (a space, a
 * memory object), and a handle table does the same with handles (handle.c).
 *
 * An account can be ended with all that is in it (account_members.c); a process can hold one, which ends with it.
 */
#pragma once

#include "abi/abi.h"
#include "kernel/lock.h"
#include "kernel/panic.h"
#include "lib/base/list.h"

struct account {
    uint32_t references;
    uint32_t depth; /* accounts above it */
    struct account *parent;
    struct {
        int64_t left; /* of the limit; atomic. Below 0: overdrawn */
        int64_t limit;
    } quotas[QUOTA_COUNT];
    struct lock lock; /* RANK_ACCOUNT */
    /* Under the lock: */
    bool ended;          /* nothing joins it any more */
    struct list members; /* struct process.member, from process_join until it is done */
    struct list inside;  /* struct account.link: those whose parent it is */
    struct list link;    /* parent's lock */
};

#define ACCOUNT_DEPTH_MAX 8u /* of nested accounts: a taking goes all the way up */

/* limits: count of them, by enum quota; what is not there, or above the parent's, is as the parent's. E_QUOTA: too deep.
 * E_NO_PROCESS: the parent has ended. E_NO_MEMORY. */
int account_new(struct account *parent, const uint64_t *limits, uint32_t count,
                struct account **account) MUST_CHECK;
bool account_take_counted(struct account *account, enum quota quota, uint64_t amount) MUST_CHECK;
void account_give_counted(struct account *account, enum quota quota, uint64_t amount);
void account_give_memory(struct account *account, uint64_t bytes);
/* Beyond the limit, too: for what cannot be refused any more. */
void account_overdraw_counted(struct account *account, enum quota quota, uint64_t amount);
void account_unreferenced(struct account *account); /* account_put's */
struct account *account_current(void);              /* the current process's; takes no reference */
struct abi_quota account_quota(const struct account *account, enum quota quota);

static inline struct account *account_get(struct account *account)
{
    if (account) {
        uint32_t before = __atomic_fetch_add(&account->references, 1, __ATOMIC_RELAXED);

        ASSERT(!DEBUG || before > 0);
    }
    return account;
}

/* false: the last reference is gone already. */
static inline MUST_CHECK bool account_try_get(struct account *account)
{
    uint32_t references = __atomic_load_n(&account->references, __ATOMIC_RELAXED);

    do {
        if (references == 0)
            return false;
    } while (!__atomic_compare_exchange_n(&account->references, &references, references + 1, true,
                                          __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
    return true;
}

static inline void account_put(struct account *account)
{
    if (account && __atomic_fetch_sub(&account->references, 1, __ATOMIC_ACQ_REL) == 1)
        account_unreferenced(account);
}

static inline MUST_CHECK bool account_take(struct account *account, enum quota quota,
                                           uint64_t amount)
{
    return !account || account_take_counted(account, quota, amount);
}

static inline void account_give(struct account *account, enum quota quota, uint64_t amount)
{
    if (!account)
        return;
    if (quota == QUOTA_MEMORY)
        account_give_memory(account, amount);
    else
        account_give_counted(account, quota, amount);
}

static inline void account_overdraw(struct account *account, enum quota quota, uint64_t amount)
{
    if (account)
        account_overdraw_counted(account, quota, amount);
}

/* --- Members (account_members.c) ----------------------------------------------------------------------------- */

struct process;

/* Of its account, so that it ends with that. E_NO_PROCESS: the account has ended. */
int account_join(struct process *process) MUST_CHECK;
void account_leave(struct process *process); /* it is done, or never joined */
/* Whoever is in it or in an account inside it is killed, and nobody can be made there any more. No locks held. */
void account_end(struct account *account);

/* --- Purses: bytes of QUOTA_MEMORY, paid in advance -------------------------------------------------------- */

struct purse {
    struct account *account; /* a reference, or NULL */
    uint64_t credit;         /* taken from the account and not spent */
    uint64_t batch;          /* how much is taken at a time, if there is as much */
};

void purse_open(struct purse *purse, struct account *account, uint64_t batch);
void purse_close(
    struct purse *purse); /* what is still spent stays the account's, until others earn it */
bool purse_refill(struct purse *purse, uint64_t bytes) MUST_CHECK;
void purse_return(struct purse *purse);

/* Then that much may be spent. */
static inline MUST_CHECK bool purse_has(struct purse *purse, uint64_t bytes)
{
    return likely(purse->credit >= bytes) || purse_refill(purse, bytes);
}

static inline void purse_spend(struct purse *purse, uint64_t bytes) /* what it has */
{
    ASSERT(!DEBUG || purse->credit >= bytes);
    purse->credit -= bytes;
}

static inline MUST_CHECK bool purse_pay(struct purse *purse, uint64_t bytes)
{
    if (!purse_has(purse, bytes))
        return false;
    purse_spend(purse, bytes);
    return true;
}

/* Little, by somebody who soon spends it again: it waits for the next purse_earn or purse_close. */
static inline void purse_regain(struct purse *purse, uint64_t bytes)
{
    purse->credit += bytes;
}

static inline void purse_earn(struct purse *purse, uint64_t bytes)
{
    purse->credit += bytes;
    if (unlikely(purse->credit > 2 * purse->batch) && purse->account)
        purse_return(purse);
}
