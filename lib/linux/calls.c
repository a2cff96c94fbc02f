/* The table entry.S calls through: one small function per call that takes the arguments out of the saved
 * registers, expanded from calls.def. */
#include "lib/linux/calls.h"

#include "lib/linux/log.h"

typedef int64_t call_t(struct thread *thread);

int64_t calls_unknown(struct thread *thread);
extern call_t *const calls_table[CALLS_LIMIT];

#define ARGUMENTS_0
#define ARGUMENTS_1 , thread->frame.rdi
#define ARGUMENTS_2 ARGUMENTS_1, thread->frame.rsi
#define ARGUMENTS_3 ARGUMENTS_2, thread->frame.rdx
#define ARGUMENTS_4 ARGUMENTS_3, thread->frame.r10
#define ARGUMENTS_5 ARGUMENTS_4, thread->frame.r8
#define ARGUMENTS_6 ARGUMENTS_5, thread->frame.r9
#define CALL(number, name, count)                      \
    static int64_t call_##name(struct thread *thread)  \
    {                                                  \
        return linux_##name(thread ARGUMENTS_##count); \
    }
#define ABSENT(number, name)
#include "lib/linux/calls.def"
#undef CALL
#undef ABSENT

static int64_t call_absent(struct thread *thread)
{
    (void)thread;
    return -LINUX_ENOSYS;
}

int64_t calls_unknown(struct thread *thread)
{
    struct process *process = thread->process;
    uint64_t number = thread->number;

    if (number < CALLS_LIMIT) {
        uint64_t bit = BIT(number % 64);
        if (__atomic_fetch_or(&process->unknown_logged[number / 64], bit, __ATOMIC_RELAXED) & bit)
            return -LINUX_ENOSYS;
    }
    log_number("linux: no system call ", number);
    return -LINUX_ENOSYS;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
call_t *const calls_table[CALLS_LIMIT] = {
    [0 ... CALLS_LIMIT - 1] = calls_unknown,
#define CALL(number, name, count) [number] = call_##name,
#define ABSENT(number, name)      [number] = call_absent,
#include "lib/linux/calls.def"
#undef CALL
#undef ABSENT
};
#pragma GCC diagnostic pop
