/* The slow half of lock.h. */
#include "lib/linux/lock.h"

#include "lib/linux/thread.h"

/* A latched kick would end every wait at once and make this a busy loop: it is put aside meanwhile. */
void futex_sleep(const uint32_t *word, uint32_t value)
{
    struct thread *thread = thread_current();
    uint32_t kick = __atomic_exchange_n(&thread->kick, 0, __ATOMIC_RELAXED);

    sys_ignore(sys_futex_wait(word, value, 0, DEADLINE_NEVER, FUTEX_ANY));
    if (kick)
        __atomic_store_n(&thread->kick, 1, __ATOMIC_RELAXED);
}

void lock_slow(struct lock *lock)
{
    while (__atomic_exchange_n(&lock->word, 2, __ATOMIC_ACQUIRE) != 0)
        futex_sleep(&lock->word, 2);
}
