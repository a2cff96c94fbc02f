/* The calls that send signals: to the process itself, to its threads, by procd to others. */
#include "abi/proc.h"
#include "lib/base/string.h"
#include "lib/linux/calls.h"
#include "lib/linux/process.h"
#include "lib/linux/signal_pending.h"
#include "lib/linux/threads.h"
#include "lib/linux/user.h"

/* To the process itself, without procd: stop and end included. */
static int64_t send_self(struct thread *thread, int signal, const struct signal_info *info)
{
    struct process *process = thread->process;

    if (signal == LINUX_SIGKILL)
        process_exit(process, LINUX_SIGKILL);
    if (signal == LINUX_SIGSTOP) {
        signal_stop(thread, signal);
        return 0;
    }
    lock(&process->lock);
    if (!signal_ignored(signal, process->actions[signal].handler) ||
        (thread->mask & SIGNAL_MASK(signal))) {
        signal_post_locked(process, signal, info);
    }
    unlock(&process->lock);
    signal_note(thread);
    return 0;
}

static int64_t send(struct thread *thread, int64_t pid, uint64_t signal, int32_t code,
                    uint64_t value)
{
    struct process *process = thread->process;
    struct abi_command command;

    if (signal > LINUX_SIGNALS)
        return -LINUX_EINVAL;
    if (pid == process_pid(process) && signal && signal < LINUX_SIGRTMIN) {
        struct signal_info info = {.code = code, .pid = (int32_t)pid, .value = value};
        return send_self(thread, (int)signal, &info);
    }
    memset(&command, 0, sizeof(command));
    command.op = PROC_KILL;
    command.args[0] = (uint64_t)pid;
    command.args[1] = signal | (uint64_t)(uint32_t)code << 32;
    command.args[2] = command_number();
    command.args[3] = value;
    return proc_command(process, &command);
}

int64_t linux_kill(struct thread *thread, uint64_t pid, uint64_t signal)
{
    return send(thread, (int32_t)pid, (uint32_t)signal, LINUX_SI_USER, 0);
}

int64_t linux_rt_sigqueueinfo(struct thread *thread, uint64_t pid, uint64_t signal,
                              uint64_t info_at)
{
    struct linux_siginfo info;

    if (user_read(&info, info_at, sizeof(info)))
        return -LINUX_EFAULT;
    if (info.code >= 0)
        return -LINUX_EPERM;
    return send(thread, (int32_t)pid, (uint32_t)signal, info.code, (uint64_t)info.sender.value);
}

static int64_t send_thread(struct thread *thread, int32_t tid, uint64_t signal)
{
    struct process *process = thread->process;
    struct signal_info info = {.code = LINUX_SI_TKILL, .pid = process_pid(process)};
    int64_t result = -LINUX_ESRCH;

    if (signal > LINUX_SIGNALS)
        return -LINUX_EINVAL;
    if (signal == LINUX_SIGKILL || signal == LINUX_SIGSTOP)
        return send_self(thread, (int)signal, &info);
    lock(&process->lock);
    struct thread *target = thread_find_locked(process, tid);
    if (target && signal) {
        uint64_t handler = process->actions[signal].handler;
        if (!signal_ignored((int)signal, handler) || (target->mask & SIGNAL_MASK(signal)))
            signal_post_thread(target, (int)signal, &info);
        if (target == thread)
            signal_note(thread);
        else if (!(target->mask & SIGNAL_MASK(signal)))
            thread_kick(thread, target);
    }
    if (target)
        result = 0;
    unlock(&process->lock);
    return result;
}

int64_t linux_tkill(struct thread *thread, uint64_t tid, uint64_t signal)
{
    int64_t result;

    if ((int32_t)tid <= 0)
        return -LINUX_EINVAL;
    result = send_thread(thread, (int32_t)tid, (uint32_t)signal);
    /* Another process's first thread is known by its pid. */
    return result == -LINUX_ESRCH ? send(thread, (int32_t)tid, (uint32_t)signal, LINUX_SI_TKILL, 0)
                                  : result;
}

int64_t linux_tgkill(struct thread *thread, uint64_t pid, uint64_t tid, uint64_t signal)
{
    if ((int32_t)tid <= 0 || (int32_t)pid <= 0)
        return -LINUX_EINVAL;
    if ((int32_t)pid == process_pid(thread->process))
        return send_thread(thread, (int32_t)tid, (uint32_t)signal);
    return send(thread, (int32_t)pid, (uint32_t)signal, LINUX_SI_TKILL, 0);
}
