/* Spinlocks: waiting, and the check of the order in debug builds.
 *
 * Whoever comes by takes a free lock: no tickets (docs/decisions/006-locks-without-tickets.md). A waiting CPU only reads,
 * and serves TLB shootdowns (arch_spin_wait): the holder may wait for this very CPU to answer one.
 *
 * Debug builds keep a list of held locks per CPU. Only the CPU itself writes it (and a panic reads it); before
 * per-CPU data exists the first CPU's is used, as cpu_self() then answers cpus[0].
 */
#include "kernel/lock.h"

#include "kernel/cpu.h"
#include "kernel/panic.h"

void lock_init(struct lock *lock, enum lock_rank rank, const char *name)
{
    lock->taken = 0;
#if DEBUG
    lock->rank = rank;
    lock->name = name;
    lock->holder = NULL;
#else
    (void)rank;
    (void)name;
#endif
}

COLD void lock_wait(struct lock *lock)
{
    do
        while (__atomic_load_n(&lock->taken, __ATOMIC_RELAXED))
            arch_spin_wait();
    while (!lock_grab(lock));
}

#if DEBUG

#define HELD_MAX 16u

static struct {
    const struct lock *locks[HELD_MAX];
    uint32_t count;
} held[CPU_MAX];

static void check_order(const struct lock *lock, bool nested)
{
    uint32_t index = cpu_self()->index;

    for (uint32_t i = 0; i < held[index].count; i++) {
        const struct lock *other = held[index].locks[i];

        if (other == lock)
            panic("lock %s: taken twice by one CPU", lock->name);
        if (other->rank > lock->rank || (other->rank == lock->rank && !(nested && other < lock)))
            panic("lock %s (rank %u): taken while holding %s (rank %u)", lock->name, lock->rank,
                  other->name, other->rank);
    }
}

void lock_debug_acquire(struct lock *lock)
{
    check_order(lock, false);
}

static void lock_debug_acquire_nested(struct lock *lock)
{
    check_order(lock, true);
}

void lock_debug_acquired(struct lock *lock)
{
    uint32_t index = cpu_self()->index;

    if (held[index].count == HELD_MAX)
        panic("lock %s: %u locks held", lock->name, HELD_MAX);
    held[index].locks[held[index].count++] = lock;
    lock->holder = cpu_self();
}

void lock_debug_released(struct lock *lock)
{
    uint32_t index = cpu_self()->index;
    uint32_t i = held[index].count;

    while (i > 0 && held[index].locks[i - 1] != lock)
        i--;
    if (i == 0)
        panic("lock %s: released by a CPU that does not hold it", lock->name);
    held[index].count--;
    for (; i <= held[index].count; i++)
        held[index].locks[i - 1] = held[index].locks[i];
    lock->holder = NULL;
}

const struct lock *lock_debug_held(uint32_t cpu, uint32_t n)
{
    return n < __atomic_load_n(&held[cpu].count, __ATOMIC_RELAXED) ? held[cpu].locks[n] : NULL;
}

bool lock_held(struct lock *lock)
{
    return __atomic_load_n(&lock->holder, __ATOMIC_RELAXED) == cpu_self();
}

#else

static void lock_debug_acquire_nested(struct lock *lock)
{
    (void)lock;
}

bool lock_held(struct lock *lock)
{
    (void)lock;
    return true;
}

#endif

void lock_acquire_nested(struct lock *lock)
{
    lock_debug_acquire_nested(lock);
    if (unlikely(!lock_grab(lock)))
        lock_wait(lock);
    lock_debug_acquired(lock);
}
