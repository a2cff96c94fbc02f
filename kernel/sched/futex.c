/* Futexes: a hash table of sleeping threads, keyed by the memory behind an address (shared) or by space and
 * address (private).
 *
 *     waiter                                waker
 *     lock bucket                           *address = new
 *     *address == value? (no: E_AGAIN)      lock bucket
 *     queue; unlock; sleep                  wake those queued; unlock
 *
 * The word is read under the bucket's lock, so a change before a wake is never missed. A private wait and
 * a shared wake of the same word must meet (a thread's exit word is waited for both ways): see futex_wake_all.
 * Lock: bucket->lock (RANK_FUTEX); two are taken in address order (requeue).
 */
#include "kernel/sched/futex.h"

#include "abi/errors.h"
#include "kernel/sched/wait.h"
#include "kernel/syscall.h"
#include "kernel/vmm/space.h"

#define BUCKETS 1024u

struct bucket {
    struct lock lock;
    struct list waiters;
} ALIGNED(64);

struct futex_waiter {
    struct list link; /* in bucket->waiters; unlinked by whoever wakes it */
    struct thread *thread;
    struct futex_key key;
    struct bucket *bucket; /* changes under the locks of both (requeue) */
    uint32_t bits;
};

static struct bucket buckets[BUCKETS];

void futex_init(void)
{
    for (uint32_t i = 0; i < BUCKETS; i++) {
        lock_init(&buckets[i].lock, RANK_FUTEX, "futex");
        list_init(&buckets[i].waiters);
    }
}

static struct bucket *bucket_of(const struct futex_key *key)
{
    uint64_t hash = (key->object >> 4 ^ key->offset >> 2) * UINT64_C(0x9e3779b97f4a7c15);

    return &buckets[hash >> 54];
}

static bool key_equal(const struct futex_key *a, const struct futex_key *b)
{
    return a->object == b->object && a->offset == b->offset;
}

static int key_of(uaddr_t address, uint32_t flags, struct futex_key *key)
{
    if (flags & ~FUTEX_SHARED_)
        return -E_INVALID;
    if (!IS_ALIGNED(address.value, 4))
        return -E_INVALID;
    return space_futex_key(process_current()->space, address, flags & FUTEX_SHARED_, key);
}

static void unlink(struct futex_waiter *waiter)
{
    for (;;) {
        struct bucket *bucket = __atomic_load_n(&waiter->bucket, __ATOMIC_ACQUIRE);

        lock_acquire(&bucket->lock);
        if (waiter->bucket == bucket) {
            if (list_linked(&waiter->link))
                list_remove(&waiter->link);
            lock_release(&bucket->lock);
            return;
        }
        lock_release(&bucket->lock);
    }
}

/* Queue the caller if the word still has the value. Bucket unlocked on return. */
static int queue_if_equal(struct futex_waiter *waiter, uaddr_t address, uint32_t value,
                          uint32_t wait_flags)
{
    for (;;) {
        uint32_t now;

        lock_acquire(&waiter->bucket->lock);
        int error = user_read_u32_nofault(address, &now);
        if (!error && now == value) {
            wait_prepare(wait_flags);
            list_append(&waiter->bucket->waiters, &waiter->link);
            lock_release(&waiter->bucket->lock);
            return 0;
        }
        lock_release(&waiter->bucket->lock);
        if (!error)
            return -E_AGAIN;
        error = user_read_u32(address, &now); /* fault it in, outside the lock */
        if (error)
            return error;
    }
}

int64_t sys_futex_wait(uaddr_t address, uint32_t value, uint32_t flags, int64_t deadline,
                       uint32_t bits)
{
    struct futex_waiter waiter = {.thread = thread_current(), .bits = bits};

    if (!bits)
        return -E_INVALID;
    int error = key_of(address, flags & ~FUTEX_STEADY, &waiter.key);

    if (error)
        return error;
    waiter.bucket = bucket_of(&waiter.key);
    list_init(&waiter.link);
    error = queue_if_equal(&waiter, address, value, flags & FUTEX_STEADY ? 0 : WAIT_INTERRUPTIBLE);
    if (error)
        return error;
    error = wait_block(wait_deadline(deadline));
    /* Woken: unlinked, and the waker is done with it. Else one may still be looking at it: see to the lock. */
    if (unlikely(error || list_linked(&waiter.link)))
        unlink(&waiter);
    return error;
}

static uint32_t wake(const struct futex_key *key, uint32_t count, uint32_t bits)
{
    struct bucket *bucket = bucket_of(key);
    uint32_t woken = 0;

    lock_acquire(&bucket->lock);
    list_for_each (struct futex_waiter, waiter, &bucket->waiters, link) {
        if (woken == count)
            break;
        if (!key_equal(&waiter->key, key) || !(waiter->bits & bits))
            continue;
        list_remove(&waiter->link);
        if (thread_wake(waiter->thread, 0, 0))
            woken++;
    }
    lock_release(&bucket->lock);
    return woken;
}

int64_t sys_futex_wake(uaddr_t address, uint32_t count, uint32_t flags, uint32_t bits)
{
    struct futex_key key;
    int error = key_of(address, flags, &key);

    if (error)
        return error;
    if (!bits)
        return -E_INVALID;
    return wake(&key, count, bits);
}

void futex_wake_all(uaddr_t address)
{
    struct futex_key key;

    for (uint32_t flags = 0; flags <= FUTEX_SHARED_; flags++)
        if (key_of(address, flags, &key) == 0)
            wake(&key, UINT32_MAX, FUTEX_ANY);
}

static void lock_both(struct bucket *a, struct bucket *b)
{
    if (a > b) {
        struct bucket *swap = a;

        a = b;
        b = swap;
    }
    lock_acquire(&a->lock);
    if (a != b)
        lock_acquire_nested(&b->lock);
}

static void unlock_both(struct bucket *a, struct bucket *b)
{
    lock_release(&a->lock);
    if (a != b)
        lock_release(&b->lock);
}

int64_t sys_futex_requeue(uaddr_t address, uaddr_t target, uint64_t counts, uint32_t value,
                          uint32_t flags)
{
    struct futex_key from, to;
    uint32_t to_wake = (uint32_t)counts, to_move = (uint32_t)(counts >> 32), done = 0, moved = 0,
             now;
    int error = key_of(address, flags, &from);

    if (!error)
        error = key_of(target, flags, &to);
    if (error)
        return error;

    struct bucket *a = bucket_of(&from), *b = bucket_of(&to);

    for (;;) {
        lock_both(a, b);
        error = user_read_u32_nofault(address, &now);
        if (!error)
            break;
        unlock_both(a, b);
        error = user_read_u32(address, &now);
        if (error)
            return error;
    }
    if (now != value) {
        unlock_both(a, b);
        return -E_AGAIN;
    }

    struct list moving = LIST_INIT(moving); /* a and b may be one bucket: append after the walk */

    list_for_each (struct futex_waiter, waiter, &a->waiters, link) {
        if (!key_equal(&waiter->key, &from))
            continue;
        if (done < to_wake) {
            list_remove(&waiter->link);
            if (thread_wake(waiter->thread, 0, 0))
                done++;
        } else if (moved < to_move) {
            list_remove(&waiter->link);
            waiter->key = to;
            __atomic_store_n(&waiter->bucket, b, __ATOMIC_RELEASE);
            list_append(&moving, &waiter->link);
            moved++;
        } else {
            break;
        }
    }
    list_splice(&b->waiters, &moving);
    unlock_both(a, b);
    return done + moved;
}
