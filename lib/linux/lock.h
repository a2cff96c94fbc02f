/* Locks between the threads of a process: one atomic instruction each way unless there is a rival.
 *
 *     0 free --lock--> 1 held --rival--> 2 held, somebody sleeps --unlock--> 0, one is woken
 */
#pragma once

#include "lib/sys/syscall.h"

struct lock {
    uint32_t word;
};

/* Sleeps while *word is value; may wake early. A kick that comes meanwhile stays latched in the block. */
void futex_sleep(const uint32_t *word, uint32_t value);
void lock_slow(struct lock *lock);

static inline void lock(struct lock *lock)
{
    uint32_t free = 0;

    if (!__atomic_compare_exchange_n(&lock->word, &free, 1, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED))
        lock_slow(lock);
}

static inline void unlock(struct lock *lock)
{
    if (__atomic_exchange_n(&lock->word, 0, __ATOMIC_RELEASE) == 2)
        sys_ignore(sys_futex_wake(&lock->word, 1, 0, FUTEX_ANY));
}
