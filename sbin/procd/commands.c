/* Groups, signals, waiting, and what is asked about processes. */
#include "sbin/procd/commands.h"

#include <string.h>

#include "sbin/procd/alarm.h"
#include "sbin/procd/files.h"
#include "sbin/procd/kernel.h"
#include "sbin/procd/signal.h"
#include "sbin/procd/wait.h"

#define LIST_ENTRIES 32u

int64_t proc_exec(void *context, struct command *command)
{
    (void)context;
    struct process *process = caller_of(command);
    char name[PROCESS_NAME_MAX + 1] = "";
    if (!process)
        return -E_NO_PROCESS;
    int64_t length = command_read(command, 0, name, PROCESS_NAME_MAX);
    if (length < 0)
        return length;
    memcpy(process->name, name, sizeof(name));
    process->executed = true;
    process->caught = 0;
    sys_ignore(sys_process_rename(process->handle, name, strlen(name)));
    return 0;
}

int64_t proc_wait(void *context, struct command *command)
{
    (void)context;
    struct process *process = caller_of(command);
    return process ? wait_command(&table, process, command) : -E_NO_PROCESS;
}

/* Who kills procd is not answered by it. The command comes again, and its target is gone: it was found the first time. */
int64_t proc_kill(void *context, struct command *command)
{
    (void)context;
    const uint64_t *args = command->message.args;
    struct process *caller = caller_of(command);
    struct proc_siginfo info = {
        .signal = (int32_t)args[1],
        .code = (int32_t)(args[1] >> 32),
        .value = (int64_t)args[3],
    };
    if (!caller)
        return -E_NO_PROCESS;
    if (info.code > 0) /* reserved to the system: Linux refuses them too */
        return -E_PERMISSION;
    bool again = args[2] && args[2] == caller->kill_number;
    caller->kill_number = args[2];
    int64_t result = signal_kill(&table, caller, (int32_t)args[0], &info);
    return again && result == -E_NO_PROCESS ? 0 : result;
}

int64_t proc_signals(void *context, struct command *command)
{
    (void)context;
    static struct proc_siginfo infos[SIGNAL_COUNT];
    struct process *process = caller_of(command);
    uint64_t taken;
    if (!process)
        return -E_NO_PROCESS;
    if (command->message.args[2] == PROC_HOLD && !(process->pending & command->message.args[0]))
        return signal_hold(process, command);
    size_t room = MIN(command->message.out_length / sizeof(infos[0]), ARRAY_SIZE(infos));
    size_t count = signal_take(&table, process, command->message.args[0], command->message.args[1],
                               infos, room, &taken);
    command->reply.data = (uintptr_t)infos;
    command->reply.data_length = count * sizeof(infos[0]);
    command->reply.values[0] = taken;
    command->reply.values[1] = process->pending;
    return 0;
}

int64_t proc_ids(void *context, struct command *command)
{
    (void)context;
    int32_t pid = (int32_t)command->message.args[0];
    const struct process *process = pid ? process_by_pid(&table, pid) : caller_of(command);
    if (!process)
        return -E_NO_PROCESS;
    uint64_t parent = process->parent ? (uint64_t)process->parent->pid : 0;
    command->reply.values[0] = (uint32_t)process->pid | parent << 32;
    command->reply.values[1] = (uint32_t)process->pgid | (uint64_t)process->sid << 32;
    command->reply.values[2] = process->uid | (uint64_t)process->gid << 32;
    return 0;
}

int64_t proc_set_ids(void *context, struct command *command)
{
    (void)context;
    struct process *process = caller_of(command);
    uint32_t uid = (uint32_t)command->message.args[0], gid = (uint32_t)command->message.args[1];
    if (!process)
        return -E_NO_PROCESS;
    return process_set_ids(process, uid, gid);
}

int64_t proc_setpgid(void *context, struct command *command)
{
    (void)context;
    const uint64_t *args = command->message.args;
    struct process *caller = caller_of(command);
    if (!caller)
        return -E_NO_PROCESS;
    return process_set_group(&table, caller, (int32_t)args[0], (int32_t)args[1]);
}

int64_t proc_setsid(void *context, struct command *command)
{
    (void)context;
    struct process *caller = caller_of(command);
    if (!caller)
        return -E_NO_PROCESS;
    int64_t result = process_set_session(&table, caller);
    command->reply.values[0] = (uint64_t)caller->sid;
    return result;
}

int64_t proc_masks(void *context, struct command *command)
{
    (void)context;
    const uint64_t *args = command->message.args;
    struct process *process = caller_of(command);
    if (!process)
        return -E_NO_PROCESS;
    uint64_t unblocked = process->blocked & ~args[2];
    process->ignored = args[0];
    process->caught = args[1];
    process->blocked = args[2];
    if (process->pending & unblocked)
        kernel_kick(process);
    command->reply.values[0] = process->pending;
    return 0;
}

/* POSIX: the terminal's stop signals do nothing to an orphaned group, nobody could continue it. */
int64_t proc_stopped(void *context, struct command *command)
{
    (void)context;
    uint32_t signal = (uint32_t)command->message.args[0];
    struct process *process = caller_of(command);
    if (!process)
        return -E_NO_PROCESS;
    if (signal < SIGNAL_STOP || signal > SIGNAL_TERMINAL_OUT)
        return -E_INVALID;
    if (signal == SIGNAL_STOP || !group_orphaned(&table, process->pgid))
        process_stop(&table, process, signal);
    return 0;
}

int64_t proc_list(void *context, struct command *command)
{
    (void)context;
    static struct proc_entry entries[LIST_ENTRIES];
    uint64_t index = 0, count = 0;
    uint64_t room = MIN(command->message.out_length / sizeof(entries[0]), LIST_ENTRIES);
    process_for_each(process, &table)
    {
        if (count == room)
            break;
        if (index++ >= command->message.args[0])
            process_entry(process, &entries[count++]);
    }
    command->reply.data = (uintptr_t)entries;
    command->reply.data_length = count * sizeof(entries[0]);
    command->reply.values[0] = command->reply.data_length;
    return 0;
}

int64_t proc_alarm(void *context, struct command *command)
{
    (void)context;
    const uint64_t *args = command->message.args;
    struct process *process = caller_of(command);
    if (!process)
        return -E_NO_PROCESS;
    if (args[0] != 0)
        return -E_NOT_SUPPORTED;
    alarm_set(&table, process, args[1], args[2], &command->reply.values[0],
              &command->reply.values[1]);
    return 0;
}

/* POSIX 11.1.4: what a terminal does about a process that reads, or writes with TOSTOP, in the background. */
int64_t proc_terminal(void *context, struct command *command)
{
    (void)context;
    const uint64_t *args = command->message.args;
    const struct process *process = process_by_badge(&table, args[0]);
    struct proc_siginfo info = {.signal = (int32_t)args[3]};
    if (!process)
        return -E_NO_PROCESS;
    if (info.signal && info.signal != SIGNAL_TERMINAL_IN && info.signal != SIGNAL_TERMINAL_OUT)
        return -E_INVALID;
    enum proc_terminal verdict = TERMINAL_ALLOWED;
    bool background = process->sid == (int32_t)args[1] && process->pgid != (int32_t)args[2];
    if (info.signal && background) {
        bool deaf = (process->ignored | process->blocked) & SIGNAL_BIT(info.signal);
        if (deaf && info.signal == SIGNAL_TERMINAL_OUT)
            verdict = TERMINAL_ALLOWED;
        else if (deaf || group_orphaned(&table, process->pgid))
            verdict = TERMINAL_ORPHANED;
        else
            verdict = TERMINAL_SIGNALLED;
    }
    command->reply.values[0] = verdict;
    command->reply.values[1] = (uint32_t)process->pid | (uint64_t)process->uid << 32;
    command->reply.values[2] = (uint32_t)process->pgid | (uint64_t)process->sid << 32;
    if (verdict == TERMINAL_SIGNALLED)
        signal_send_group(&table, process->pgid, &info);
    return 0;
}

int64_t proc_watch(void *context, struct command *command)
{
    (void)context;
    const struct process *process = process_by_pid(&table, (int32_t)command->message.args[0]);
    if (!process || process->state == PROCESS_ZOMBIE)
        return -E_NO_PROCESS;
    return command_answer_handle(
        command, sys_handle_duplicate(process->handle, RIGHT_WAIT | RIGHT_TRANSFER));
}
