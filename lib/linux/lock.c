/* The slow half of lock.h. */
#include "lib/linux/lock.h"

/* A latched kick would end every wait at once and make this a busy loop. */
void futex_sleep(const uint32_t *word, uint32_t value)
{
    sys_ignore(sys_futex_wait(word, value, FUTEX_STEADY, DEADLINE_NEVER, FUTEX_ANY));
}

void lock_slow(struct lock *lock)
{
    while (__atomic_exchange_n(&lock->word, 2, __ATOMIC_ACQUIRE) != 0)
        futex_sleep(&lock->word, 2);
}
