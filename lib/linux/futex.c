/* futex: the kernel has the queues; here are Linux's operations in terms of it. */
#include "lib/linux/answer.h"
#include "lib/linux/calls.h"
#include "lib/linux/time.h"
#include "lib/linux/user.h"

static int64_t deadline_read(uint32_t operation, bool real, uint64_t address, int64_t *deadline)
{
    int64_t ns;

    *deadline = DEADLINE_NEVER;
    if (!address)
        return 0;
    int64_t result = time_read(address, &ns);
    if (result < 0)
        return result;
    if (operation == LINUX_FUTEX_WAIT) /* the only one whose timeout is relative */
        *deadline = deadline_in(ns);
    else
        *deadline = real ? ns - clock_offset() : ns;
    *deadline = MAX(*deadline, INT64_C(1)); /* 0 would be DEADLINE_NOW */
    return 0;
}

static int64_t wait(struct thread *thread, uint64_t address, uint32_t operation, bool real,
                    uint32_t flags, uint32_t value, uint64_t timeout, uint32_t bits)
{
    int64_t deadline;
    int64_t result = deadline_read(operation, real, timeout, &deadline);

    if (result < 0)
        return result;
    if (!bits)
        return -LINUX_EINVAL;
    if (thread->restart_deadline_set && operation == LINUX_FUTEX_WAIT && timeout)
        deadline = thread->restart_deadline;
    thread->restart_deadline_set = false;
    result = sys_futex_wait((const uint32_t *)address, value, flags, deadline, bits);
    if (result == -E_INTERRUPTED && operation == LINUX_FUTEX_WAIT && timeout) {
        thread->restart_deadline = deadline;
        thread->restart_deadline_set = true;
        return -RESTART_UNLESS_HANDLER;
    }
    return answer(result);
}

static __attribute__((noinline)) int64_t futex_any(struct thread *thread, uint64_t address,
                                                   uint64_t op, uint64_t value, uint64_t timeout,
                                                   uint64_t address2, uint64_t value3)
{
    uint32_t operation =
        (uint32_t)op & ~(uint32_t)(LINUX_FUTEX_PRIVATE_FLAG | LINUX_FUTEX_CLOCK_REALTIME);
    uint32_t flags = op & LINUX_FUTEX_PRIVATE_FLAG ? 0 : FUTEX_SHARED_;
    bool real = op & LINUX_FUTEX_CLOCK_REALTIME;
    const uint32_t *word = (const uint32_t *)address;

    if (address % sizeof(uint32_t))
        return -LINUX_EINVAL;
    if (!user_range(address, sizeof(uint32_t)))
        return -LINUX_EFAULT;
    switch (operation) {
    case LINUX_FUTEX_WAIT:
        return wait(thread, address, operation, real, flags, (uint32_t)value, timeout, FUTEX_ANY);
    case LINUX_FUTEX_WAIT_BITSET:
        return wait(thread, address, operation, real, flags, (uint32_t)value, timeout,
                    (uint32_t)value3);
    case LINUX_FUTEX_WAKE:
        return answer(sys_futex_wake(word, (uint32_t)value, flags, FUTEX_ANY));
    case LINUX_FUTEX_WAKE_BITSET:
        return value3 ? answer(sys_futex_wake(word, (uint32_t)value, flags, (uint32_t)value3))
                      : -LINUX_EINVAL;
    case LINUX_FUTEX_REQUEUE:
    case LINUX_FUTEX_CMP_REQUEUE: {
        uint64_t counts = (uint32_t)value | (uint64_t)(uint32_t)timeout << 32;
        uint32_t compare = (uint32_t)value3;

        /* Plain REQUEUE compares with nothing: with what is there. */
        if (operation == LINUX_FUTEX_REQUEUE && user_read(&compare, address, sizeof(compare)))
            return -LINUX_EFAULT;
        if (!user_range(address2, sizeof(uint32_t)))
            return -LINUX_EFAULT;
        return answer(sys_futex_requeue(word, (const uint32_t *)address2, counts, compare, flags));
    }
    default:
        return -LINUX_ENOSYS;
    }
}

/* What every lock of a program comes to has a short way of its own. */
int64_t linux_futex(struct thread *thread, uint64_t address, uint64_t op, uint64_t value,
                    uint64_t timeout, uint64_t address2, uint64_t value3)
{
    const uint32_t *word = (const uint32_t *)address;

    if (likely(user_range(address, sizeof(*word)))) {
        if (op == (LINUX_FUTEX_WAKE | LINUX_FUTEX_PRIVATE_FLAG))
            return answer(sys_futex_wake(word, (uint32_t)value, 0, FUTEX_ANY));
        if (op == (LINUX_FUTEX_WAIT | LINUX_FUTEX_PRIVATE_FLAG) && !timeout) {
            thread->restart_deadline_set = false;
            return answer(sys_futex_wait(word, (uint32_t)value, 0, DEADLINE_NEVER, FUTEX_ANY));
        }
    }
    return futex_any(thread, address, op, value, timeout, address2, value3);
}
