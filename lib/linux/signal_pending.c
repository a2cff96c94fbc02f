/* See signal_pending.h. */
#include "lib/linux/signal_pending.h"

#include "abi/proc.h"
#include "lib/base/string.h"
#include "lib/linux/heap.h"
#include "lib/linux/log.h"
#include "lib/linux/process.h"

/* The thread's own doing comes before what others sent. */
#define SYNCHRONOUS                                                                       \
    (SIGNAL_MASK(LINUX_SIGSEGV) | SIGNAL_MASK(LINUX_SIGBUS) | SIGNAL_MASK(LINUX_SIGILL) | \
     SIGNAL_MASK(LINUX_SIGTRAP) | SIGNAL_MASK(LINUX_SIGFPE) | SIGNAL_MASK(LINUX_SIGSYS))

void signal_note(struct thread *thread)
{
    uint32_t none = 0;

    __atomic_compare_exchange_n(&thread->kick, &none, KICK_LOCAL, false, __ATOMIC_RELAXED,
                                __ATOMIC_RELAXED);
}

void signal_post_thread(struct thread *thread, int signal, const struct signal_info *info)
{
    if (thread->pending & SIGNAL_MASK(signal))
        return;
    if (!thread->infos) {
        thread->infos = heap_alloc(sizeof(*info) * (LINUX_SIGNALS + 1));
        if (thread->infos)
            memset(thread->infos, 0, sizeof(*info) * (LINUX_SIGNALS + 1));
    }
    if (thread->infos)
        thread->infos[signal] = *info;
    __atomic_fetch_or(&thread->pending, SIGNAL_MASK(signal), __ATOMIC_RELEASE);
}

struct queued_signal {
    struct queued_signal *next;
    int signal;
    struct signal_info info;
};

void signal_post_locked(struct process *process, int signal, const struct signal_info *info)
{
    if (signal < LINUX_SIGRTMIN) {
        if (!(process->pending & SIGNAL_MASK(signal)))
            process->infos[signal] = *info;
    } else {
        struct queued_signal **last = &process->queue, *queued = heap_alloc(sizeof(*queued));
        if (!queued)
            return log_text("linux: no memory to queue a signal: lost");
        while (*last)
            last = &(*last)->next;
        *queued = (struct queued_signal){NULL, signal, *info};
        *last = queued;
    }
    process->pending |= SIGNAL_MASK(signal);
}

/* process->lock held; the signal is pending. */
static void take_locked(struct process *process, int signal, struct signal_info *info)
{
    bool more = false, found = false;

    if (signal < LINUX_SIGRTMIN)
        *info = process->infos[signal];
    for (struct queued_signal **link = &process->queue, *queued; (queued = *link);) {
        if (queued->signal == signal && found) {
            more = true;
            break;
        }
        if (queued->signal == signal) {
            found = true;
            *info = queued->info;
            *link = queued->next;
            heap_free(queued);
        } else {
            link = &queued->next;
        }
    }
    if (!more)
        process->pending &= ~SIGNAL_MASK(signal);
}

void signal_fetch(struct process *process)
{
    struct proc_siginfo infos[LINUX_SIGNALS];
    struct abi_command command;

    do {
        memset(&command, 0, sizeof(command));
        command.op = PROC_SIGNALS;
        command.args[0] = UINT64_MAX;
        command.args[1] = command_number();
        command.out = (uint64_t)infos;
        command.out_length = sizeof(infos);
        if (proc_command(process, &command) < 0)
            return;
        uint64_t taken = command.values[0];
        lock(&process->lock);
        for (int signal = 1, at = 0; signal <= LINUX_SIGNALS; signal++) {
            if (!(taken & SIGNAL_MASK(signal)))
                continue;
            const struct proc_siginfo *from = &infos[at++];
            struct signal_info info = {
                .code = from->code,
                .pid = from->pid,
                .uid = from->uid,
                .status = (int32_t)from->value,
                .value = (uint64_t)from->value,
            };
            signal_post_locked(process, signal, &info);
        }
        unlock(&process->lock);
    } while (command.values[0] && command.values[1]);
}

int signal_take(struct thread *thread, uint64_t wanted, struct signal_info *info,
                struct action *action)
{
    struct process *process = thread->process;
    int signal = 0;

    lock(&process->lock);
    uint64_t ready = (thread->pending | process->pending) & wanted;
    if (ready) {
        signal = __builtin_ctzll(ready & SYNCHRONOUS ? ready & SYNCHRONOUS : ready) + 1;
        uint64_t bit = SIGNAL_MASK(signal);
        if (thread->pending & bit) {
            *info = thread->infos ? thread->infos[signal] : (struct signal_info){.code = 0};
            __atomic_fetch_and(&thread->pending, ~bit, __ATOMIC_RELAXED);
        } else {
            take_locked(process, signal, info);
        }
        *action = process->actions[signal];
    }
    unlock(&process->lock);
    return signal;
}

void signal_forget(struct thread *thread)
{
    struct process *process = thread->process;

    while (process->queue) {
        struct queued_signal *first = process->queue;
        process->queue = first->next;
        heap_free(first);
    }
    process->pending = thread->pending = 0;
}
