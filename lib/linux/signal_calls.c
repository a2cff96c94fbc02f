/* The calls about actions, masks, waiting and the alternate stack. */
#include "lib/linux/calls.h"
#include "lib/linux/signal_pending.h"
#include "lib/linux/time.h"
#include "lib/linux/user.h"

int64_t linux_rt_sigaction(struct thread *thread, uint64_t signal, uint64_t new, uint64_t old,
                           uint64_t size)
{
    struct process *process = thread->process;
    struct linux_sigaction action;

    if (size != sizeof(action.mask) || signal < 1 || signal > LINUX_SIGNALS ||
        (new && (SIGNAL_MASK(signal) & SIGNALS_UNBLOCKABLE)))
        return -LINUX_EINVAL;
    if (new &&user_read(&action, new, sizeof(action)))
        return -LINUX_EFAULT;
    lock(&process->lock);
    struct action before = process->actions[signal];
    if (new) {
        process->actions[signal] = (struct action){action.handler, action.flags, action.restorer,
                                                   action.mask & ~SIGNALS_UNBLOCKABLE};
        if (signal_ignored((int)signal, action.handler)) {
            process->pending &= ~SIGNAL_MASK(signal);
            thread->pending &= ~SIGNAL_MASK(signal);
        }
        signal_hint_locked(process);
    }
    unlock(&process->lock);
    struct linux_sigaction was = {before.handler, before.flags, before.restorer, before.mask};
    return old && user_write(old, &was, sizeof(was)) ? -LINUX_EFAULT : 0;
}

int64_t linux_rt_sigprocmask(struct thread *thread, uint64_t how, uint64_t new, uint64_t old,
                             uint64_t size)
{
    uint64_t before = thread->mask, set;

    if (size != sizeof(set))
        return -LINUX_EINVAL;
    if (new) {
        if (user_get_u64(new, &set))
            return -LINUX_EFAULT;
        if (how == LINUX_SIG_BLOCK)
            set |= before;
        else if (how == LINUX_SIG_UNBLOCK)
            set = before & ~set;
        else if (how != LINUX_SIG_SETMASK)
            return -LINUX_EINVAL;
        signal_mask_set(thread, set);
    }
    return old && user_put_u64(old, before) ? -LINUX_EFAULT : 0;
}

int64_t linux_rt_sigpending(struct thread *thread, uint64_t address, uint64_t size)
{
    if (size > sizeof(uint64_t))
        return -LINUX_EINVAL;
    uint64_t set = (thread->pending | thread->process->pending) & thread->mask;
    return user_write(address, &set, size) ? -LINUX_EFAULT : 0;
}

int64_t linux_rt_sigsuspend(struct thread *thread, uint64_t address, uint64_t size)
{
    uint64_t mask;

    if (size != sizeof(mask))
        return -LINUX_EINVAL;
    if (user_get_u64(address, &mask))
        return -LINUX_EFAULT;
    signal_mask_swap(thread, mask);
    if (thread->kick) /* what the new mask lets through is here already */
        return -RESTART_UNLESS_HANDLER;
    int64_t result = sleep_until(DEADLINE_NEVER);
    return result == -RESTART_ALWAYS ? -RESTART_UNLESS_HANDLER : result;
}

int64_t linux_pause(struct thread *thread)
{
    (void)thread;
    int64_t result = sleep_until(DEADLINE_NEVER);
    return result == -RESTART_ALWAYS ? -RESTART_UNLESS_HANDLER : result;
}

int64_t linux_rt_sigtimedwait(struct thread *thread, uint64_t set_at, uint64_t info_at,
                              uint64_t timeout, uint64_t size)
{
    struct process *process = thread->process;
    struct linux_siginfo out;
    struct signal_info info;
    struct action action;
    uint64_t set;
    int64_t deadline = DEADLINE_NEVER, result;

    if (size != sizeof(set))
        return -LINUX_EINVAL;
    if (user_get_u64(set_at, &set))
        return -LINUX_EFAULT;
    if (timeout) {
        if ((result = time_read(timeout, &deadline)) < 0)
            return result;
        deadline = deadline_in(deadline);
    }
    set &= ~SIGNALS_UNBLOCKABLE;
    lock(&process->lock);
    process->awaited |= set;
    signal_hint_locked(process);
    unlock(&process->lock);
    for (;;) {
        uint32_t kick = __atomic_exchange_n(&thread->kick, 0, __ATOMIC_ACQUIRE);
        if (kick == 1)
            signal_fetch(process);
        int signal = signal_take(thread, set, &info, &action);
        if (signal_deliverable(thread))
            signal_note(thread);
        if (signal) {
            siginfo_fill(&out, signal, &info);
            return info_at && user_write(info_at, &out, sizeof(out)) ? -LINUX_EFAULT : signal;
        }
        signal_leave(thread);
        if (thread->kick)
            return -RESTART_NEVER;
        result = sleep_until(deadline);
        if (!result)
            return -LINUX_EAGAIN;
        if (result != -RESTART_ALWAYS)
            return result;
        if (!thread->kick)
            thread->kick = 1;
    }
}

int64_t linux_sigaltstack(struct thread *thread, uint64_t new, uint64_t old)
{
    struct linux_stack_t stack, before = thread->altstack;
    bool on = before.size && thread->frame.rsp - before.address - 1 < before.size &&
              !(before.flags & LINUX_SS_AUTODISARM);

    before.flags = (before.flags & LINUX_SS_AUTODISARM) | (!before.size ? LINUX_SS_DISABLE
                                                           : on         ? LINUX_SS_ONSTACK
                                                                        : 0);
    if (new) {
        if (user_read(&stack, new, sizeof(stack)))
            return -LINUX_EFAULT;
        if (on)
            return -LINUX_EPERM;
        uint32_t mode = stack.flags & ~LINUX_SS_AUTODISARM;
        if (mode & ~(uint32_t)(LINUX_SS_DISABLE | LINUX_SS_ONSTACK))
            return -LINUX_EINVAL;
        if (mode & LINUX_SS_DISABLE)
            stack.address = stack.size = 0;
        else if (stack.size < LINUX_MINSIGSTKSZ)
            return -LINUX_ENOMEM;
        stack.flags &= LINUX_SS_AUTODISARM;
        stack.padding = 0;
        thread->altstack = stack;
    }
    return old && user_write(old, &before, sizeof(before)) ? -LINUX_EFAULT : 0;
}
