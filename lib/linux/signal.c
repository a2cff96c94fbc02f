/* See signal.h; and the calls about actions, masks and sending. */
#include "lib/linux/signal.h"

#include "abi/proc.h"
#include "lib/base/string.h"
#include "lib/linux/answer.h"
#include "lib/linux/calls.h"
#include "lib/linux/heap.h"
#include "lib/linux/log.h"
#include "lib/linux/process.h"
#include "lib/linux/threads.h"
#include "lib/linux/time.h"
#include "lib/linux/user.h"

#define SYSCALL_LENGTH 2u /* of the instruction: 0f 05 */
#define KICK_LOCAL     2u /* thread->kick: something to deliver, nothing new at procd */

#define DEFAULT_IGNORE                                                                      \
    (SIGNAL_MASK(LINUX_SIGCHLD) | SIGNAL_MASK(LINUX_SIGURG) | SIGNAL_MASK(LINUX_SIGWINCH) | \
     SIGNAL_MASK(LINUX_SIGCONT))
#define DEFAULT_STOP                                                                        \
    (SIGNAL_MASK(LINUX_SIGSTOP) | SIGNAL_MASK(LINUX_SIGTSTP) | SIGNAL_MASK(LINUX_SIGTTIN) | \
     SIGNAL_MASK(LINUX_SIGTTOU))
/* The thread's own doing comes before what others sent. */
#define SYNCHRONOUS                                                                       \
    (SIGNAL_MASK(LINUX_SIGSEGV) | SIGNAL_MASK(LINUX_SIGBUS) | SIGNAL_MASK(LINUX_SIGILL) | \
     SIGNAL_MASK(LINUX_SIGTRAP) | SIGNAL_MASK(LINUX_SIGFPE) | SIGNAL_MASK(LINUX_SIGSYS))
/* What procd must know at once: it drops these for a process that does not catch them, or reaps by itself. */
#define HINTED_IGNORED \
    (SIGNAL_MASK(LINUX_SIGCHLD) | SIGNAL_MASK(LINUX_SIGTTIN) | SIGNAL_MASK(LINUX_SIGTTOU))

static void note_local(struct thread *thread)
{
    uint32_t none = 0;

    __atomic_compare_exchange_n(&thread->kick, &none, KICK_LOCAL, false, __ATOMIC_RELAXED,
                                __ATOMIC_RELAXED);
}

static uint64_t deliverable(const struct thread *thread)
{
    return (thread->pending | thread->process->pending) & ~thread->mask;
}

/* process->lock held, or the thread's own. The first of several equal ones is kept, as for all but real-time ones. */
static void thread_post(struct thread *thread, int signal, const struct signal_info *info)
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

void signal_raise(struct thread *thread, int signal, int code)
{
    struct signal_info info = {.code = code, .pid = process_pid(thread->process)};

    thread_post(thread, signal, &info);
    note_local(thread);
}

struct queued_signal {
    struct queued_signal *next;
    int signal;
    struct signal_info info;
};

/* process->lock held. Below SIGRTMIN several pending ones are one, with the info of the first; the others queue. */
static void process_post_locked(struct process *process, int signal, const struct signal_info *info)
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
static void process_take_locked(struct process *process, int signal, struct signal_info *info)
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

/* Everything that waits at procd, which gives one of each real-time signal at a time. */
static void take_from_procd(struct process *process)
{
    struct proc_siginfo infos[LINUX_SIGNALS];
    struct abi_command command;

    do {
        memset(&command, 0, sizeof(command));
        command.op = PROC_SIGNALS;
        command.args[0] = UINT64_MAX;
        command.args[1] = proc_number();
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
            process_post_locked(process, signal, &info);
        }
        unlock(&process->lock);
    } while (command.values[0] && command.values[1]);
}

/* The signal to deliver next; 0: none. */
static int take(struct thread *thread, uint64_t wanted, struct signal_info *info,
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
            process_take_locked(process, signal, info);
        }
        *action = process->actions[signal];
    }
    unlock(&process->lock);
    return signal;
}

/* Signals of the process that this thread blocks are another thread's to deliver. */
static void pass_on(struct thread *thread)
{
    struct process *process = thread->process;

    if (process->thread_count == 1 || !process->pending)
        return;
    lock(&process->lock);
    for (struct thread *other = process->threads; other; other = other->next)
        if (other != thread && other->life == THREAD_RUNS && (process->pending & ~other->mask)) {
            thread_kick(thread, other);
            break;
        }
    unlock(&process->lock);
}

/* The thread goes on when the process was continued; what came meanwhile was not announced. */
static void stop(struct thread *thread, int signal)
{
    struct abi_command command;

    memset(&command, 0, sizeof(command));
    command.op = PROC_STOPPED;
    command.args[0] = (uint64_t)signal;
    if (proc_command(thread->process, &command) >= 0) /* else nobody could continue us: go on */
        __atomic_store_n(&thread->kick, 1, __ATOMIC_RELAXED);
}

static void default_action(struct thread *thread, int signal)
{
    if (SIGNAL_MASK(signal) & DEFAULT_IGNORE)
        return;
    if (SIGNAL_MASK(signal) & DEFAULT_STOP)
        stop(thread, signal);
    else
        process_exit(thread->process, (uint32_t)signal);
}

/* The interrupted call: once more, or EINTR. handler: the action that runs first; NULL: none does. */
static void settle(struct thread *thread, int64_t restart, const struct action *handler)
{
    bool again = restart == RESTART_ALWAYS ? !handler || (handler->flags & LINUX_SA_RESTART)
                                           : restart == RESTART_UNLESS_HANDLER && !handler;

    if (again) {
        thread->frame.rip -= SYSCALL_LENGTH;
        thread->frame.rax = thread->number;
        thread->frame.rcx = thread->frame.rip;
    } else {
        thread->frame.rax = (uint64_t)-LINUX_EINTR;
        thread->restart_deadline_set = false;
    }
}

static void deliver(struct thread *thread, int64_t restart)
{
    struct signal_info info;
    struct action action;
    int signal;

    while ((signal = take(thread, ~thread->mask, &info, &action))) {
        if (action.handler == LINUX_SIG_IGN)
            continue;
        if (action.handler == LINUX_SIG_DFL) {
            default_action(thread, signal);
            continue;
        }
        if (restart)
            settle(thread, restart, &action);
        restart = 0;
        if (action.flags & LINUX_SA_RESETHAND)
            thread->process->actions[signal].handler = LINUX_SIG_DFL;
        if (sigframe_push(thread, signal, &info, &action))
            process_exit(thread->process, LINUX_SIGSEGV);
    }
    if (restart)
        settle(thread, restart, NULL);
    if (thread->restore_mask_set) { /* no handler took it along */
        thread->restore_mask_set = false;
        signal_mask_set(thread, thread->restore_mask);
    }
    pass_on(thread);
}

static void leave_if_told(struct thread *thread)
{
    struct thread *survivor = __atomic_load_n(&thread->process->survivor, __ATOMIC_ACQUIRE);

    if (survivor && survivor != thread)
        thread_end(thread, 0);
}

static void look(struct thread *thread, int64_t restart)
{
    uint32_t kick = __atomic_exchange_n(&thread->kick, 0, __ATOMIC_ACQUIRE);

    leave_if_told(thread);
    if (kick != KICK_LOCAL) {
        thread->process->ids_known = 0;
        take_from_procd(thread->process);
    }
    deliver(thread, restart);
}

void signal_kicked(struct thread *thread)
{
    look(thread, 0);
}

void signal_interrupted(struct thread *thread)
{
    look(thread, -(int64_t)thread->frame.rax);
}

static const char *fault_name(int signal)
{
    return signal == LINUX_SIGSEGV   ? "segmentation fault"
           : signal == LINUX_SIGFPE  ? "arithmetic exception"
           : signal == LINUX_SIGILL  ? "illegal instruction"
           : signal == LINUX_SIGTRAP ? "trap"
                                     : "bus error";
}

void signal_no_memory(struct thread *thread)
{
    log_fault("out of memory", thread->frame.rip, thread->frame.rsp, thread->frame.address);
    process_exit(thread->process, LINUX_SIGKILL);
}

void signal_fault(struct thread *thread, int signal, int code, uint64_t address)
{
    struct process *process = thread->process;
    struct signal_info info = {.code = code, .value = address};
    struct action *action = &process->actions[signal];

    if ((thread->mask & SIGNAL_MASK(signal)) || action->handler <= LINUX_SIG_IGN) {
        log_fault(fault_name(signal), thread->frame.rip, thread->frame.rsp, thread->frame.address);
        process_exit(process, (uint32_t)signal);
    }
    thread_post(thread, signal, &info);
    deliver(thread, 0);
}

void signal_mask_set(struct thread *thread, uint64_t mask)
{
    thread->mask = mask & ~SIGNALS_UNBLOCKABLE;
    if (deliverable(thread))
        note_local(thread);
}

void signal_mask_swap(struct thread *thread, uint64_t mask)
{
    thread->restore_mask = thread->mask;
    thread->restore_mask_set = true;
    signal_mask_set(thread, mask);
}

void signal_mask_back(struct thread *thread)
{
    thread->restore_mask_set = false;
    signal_mask_set(thread, thread->restore_mask);
}

/* procd decides by these whether a signal is worth keeping. process->lock held; the command waits for nobody. */
static void hint_locked(struct process *process)
{
    uint64_t ignored = 0, caught = process->awaited;
    struct abi_command command;

    if (process->proc == HANDLE_NONE)
        return;
    for (int signal = 1; signal <= LINUX_SIGNALS; signal++) {
        uint64_t handler = process->actions[signal].handler;
        if (handler == LINUX_SIG_IGN)
            ignored |= SIGNAL_MASK(signal);
        else if (handler != LINUX_SIG_DFL)
            caught |= SIGNAL_MASK(signal);
    }
    uint64_t news = process_pid(process) == 1 ? UINT64_MAX : DEFAULT_IGNORE;
    if (!((ignored ^ process->hinted_ignored) & HINTED_IGNORED) &&
        !((caught ^ process->hinted_caught) & news))
        return;
    memset(&command, 0, sizeof(command));
    command.op = PROC_MASKS;
    command.args[0] = ignored;
    command.args[1] = caught;
    if (proc_command(process, &command) >= 0) {
        process->hinted_ignored = ignored;
        process->hinted_caught = caught;
    }
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

void signal_reset_handlers(struct process *process)
{
    for (int signal = 1; signal <= LINUX_SIGNALS; signal++) {
        struct action *action = &process->actions[signal];
        uint64_t handler = action->handler == LINUX_SIG_IGN ? LINUX_SIG_IGN : LINUX_SIG_DFL;
        *action = (struct action){.handler = handler};
    }
    process->awaited = 0;
    process->hinted_caught = 0; /* procd forgets it with PROC_EXEC */
}

static bool ignores(int signal, uint64_t handler)
{
    return handler == LINUX_SIG_IGN ||
           (handler == LINUX_SIG_DFL && (SIGNAL_MASK(signal) & DEFAULT_IGNORE));
}

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
        if (ignores((int)signal, action.handler)) {
            process->pending &= ~SIGNAL_MASK(signal);
            thread->pending &= ~SIGNAL_MASK(signal);
        }
        hint_locked(process);
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
    hint_locked(process);
    unlock(&process->lock);
    for (;;) {
        uint32_t kick = __atomic_exchange_n(&thread->kick, 0, __ATOMIC_ACQUIRE);
        if (kick == 1)
            take_from_procd(process);
        int signal = take(thread, set, &info, &action);
        if (deliverable(thread))
            note_local(thread);
        if (signal) {
            siginfo_fill(&out, signal, &info);
            return info_at && user_write(info_at, &out, sizeof(out)) ? -LINUX_EFAULT : signal;
        }
        leave_if_told(thread);
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

/* To the process itself, without procd: stop and end included. */
static int64_t send_self(struct thread *thread, int signal, const struct signal_info *info)
{
    struct process *process = thread->process;

    if (signal == LINUX_SIGKILL)
        process_exit(process, LINUX_SIGKILL);
    if (signal == LINUX_SIGSTOP) {
        stop(thread, signal);
        return 0;
    }
    lock(&process->lock);
    if (!ignores(signal, process->actions[signal].handler) ||
        (thread->mask & SIGNAL_MASK(signal))) {
        process_post_locked(process, signal, info);
    }
    unlock(&process->lock);
    note_local(thread);
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
    command.args[2] = proc_number();
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
        if (!ignores((int)signal, handler) || (target->mask & SIGNAL_MASK(signal)))
            thread_post(target, (int)signal, &info);
        if (target == thread)
            note_local(thread);
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
