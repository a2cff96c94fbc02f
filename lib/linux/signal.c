/* Delivery, and masks: see signal.h. */
#include "lib/linux/signal.h"

#include "abi/proc.h"
#include "lib/base/string.h"
#include "lib/linux/log.h"
#include "lib/linux/process.h"
#include "lib/linux/signal_pending.h"
#include "lib/linux/threads.h"

#define SYSCALL_LENGTH 2u /* of the instruction: 0f 05 */

#define DEFAULT_STOP                                                                        \
    (SIGNAL_MASK(LINUX_SIGSTOP) | SIGNAL_MASK(LINUX_SIGTSTP) | SIGNAL_MASK(LINUX_SIGTTIN) | \
     SIGNAL_MASK(LINUX_SIGTTOU))
/* What procd must know at once: it drops these for a process that does not catch them, or reaps by itself. */
#define HINTED_IGNORED \
    (SIGNAL_MASK(LINUX_SIGCHLD) | SIGNAL_MASK(LINUX_SIGTTIN) | SIGNAL_MASK(LINUX_SIGTTOU))

void signal_raise(struct thread *thread, int signal, int code)
{
    struct signal_info info = {.code = code, .pid = process_pid(thread->process)};

    signal_post_thread(thread, signal, &info);
    signal_note(thread);
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

void signal_stop(struct thread *thread, int signal)
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
        signal_stop(thread, signal);
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

    while ((signal = signal_take(thread, ~thread->mask, &info, &action))) {
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

void signal_leave(struct thread *thread)
{
    struct thread *survivor = __atomic_load_n(&thread->process->survivor, __ATOMIC_ACQUIRE);

    if (survivor && survivor != thread)
        thread_end(thread, 0);
}

static void look(struct thread *thread, int64_t restart)
{
    uint32_t kick = __atomic_exchange_n(&thread->kick, 0, __ATOMIC_ACQUIRE);

    signal_leave(thread);
    if (kick != KICK_LOCAL) {
        thread->process->ids_known = 0;
        signal_fetch(thread->process);
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
    signal_post_thread(thread, signal, &info);
    deliver(thread, 0);
}

void signal_mask_set(struct thread *thread, uint64_t mask)
{
    thread->mask = mask & ~SIGNALS_UNBLOCKABLE;
    if (signal_deliverable(thread))
        signal_note(thread);
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

void signal_hint_locked(struct process *process)
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
