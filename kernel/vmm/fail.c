/* Failure injection: see fail.h. The countdown is process->fail_countdown; threads of one process share it. */
#include "kernel/vmm/fail.h"

#include "kernel/sched/thread.h"

bool fail_armed;

bool fail_count(void)
{
    struct thread *thread = thread_current();

    if (!thread || !thread->process ||
        __atomic_load_n(&thread->process->fail_countdown, __ATOMIC_RELAXED) == 0)
        return false;
    return __atomic_sub_fetch(&thread->process->fail_countdown, 1, __ATOMIC_RELAXED) == 0;
}

void fail_set(uint64_t k)
{
    if (k)
        __atomic_store_n(&fail_armed, true, __ATOMIC_RELAXED);
    __atomic_store_n(&process_current()->fail_countdown, k, __ATOMIC_RELAXED);
}
