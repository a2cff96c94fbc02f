/* Processes that come: forked, or made by others and adopted. */
#include <string.h>

#include "lib/sys/error.h"
#include "sbin/procd/commands.h"
#include "sbin/procd/kernel.h"
#include "sbin/procd/recover.h"

/* A process that could not be watched never was: nobody has heard of it yet. */
static void process_withdraw(struct process *process)
{
    process_exited(&table, process, SIGNAL_KILL);
    process_reap(&table, process);
}

/* The kernel keeps init: this is the next instance of it, or the one we knew before we ended ourselves. */
static bool succeeds_init(const struct abi_process_info *info)
{
    return table.init && table.init->kept && (info->state & PROCESS_KEPT);
}

static int64_t init_succeed(struct command *command, uint64_t badge)
{
    if (table.init->badge == badge)
        return -E_EXISTS;
    process_succeed(&table, table.init, badge, command->message.handles[0]);
    command->message.handles[0] = HANDLE_NONE;
    command->reply.values[0] = (uint64_t)table.init->pid;
    return kernel_watch(table.init);
}

int64_t proc_adopt(void *context, struct command *command)
{
    (void)context;
    struct process *parent = caller_of(command);
    struct abi_process_info info;
    if (command->message.handle_count != 1)
        return -E_INVALID;
    if (sys_process_info(command->message.handles[0], &info) >= 0 && succeeds_init(&info))
        return init_succeed(command, info.id);
    if (table.init && !parent)
        return -E_PERMISSION;
    if (command->message.args[0]) {
        parent = process_by_pid(&table, (int32_t)command->message.args[0]);
        if (!parent || parent->state == PROCESS_ZOMBIE)
            return -E_NO_PROCESS;
    }
    int64_t result = sys_process_info(command->message.handles[0], &info);
    if (result < 0)
        return result;
    if (process_by_badge(&table, info.id))
        return -E_EXISTS;
    struct process *process = process_enter(&table, parent, pid_allocate(&table), info.id,
                                            command->message.handles[0], 0);
    if (!process)
        return -E_NO_MEMORY;
    command->message.handles[0] = HANDLE_NONE; /* the table's now */
    recover_note_pid(process->pid);
    process->started = true; /* whoever made it lets it run */
    if (command->message.args[1] & PROC_LEADER)
        process->pgid = process->sid = process->pid;
    process->ignored = process->caught = process->blocked = 0;
    process->kept = info.state & PROCESS_KEPT;
    size_t length = MIN(info.name_length, PROCESS_NAME_MAX);
    memset(process->name, 0, sizeof(process->name));
    memcpy(process->name, info.name, length);
    result = kernel_watch(process);
    if (result < 0) {
        process_withdraw(process);
        return result;
    }
    command->reply.values[0] = (uint64_t)process->pid;
    return 0;
}

/* The child that this fork has made already: the command is sent again because a procd before this one did not answer. */
static struct process *fork_made(struct process *parent, uint64_t number)
{
    if (!number)
        return NULL;
    list_for_each (struct process, child, &parent->children, sibling)
        if (child->forked_by == number)
            return child;
    return NULL;
}

/* In the order that leaves nothing behind: a child that is not in the table yet was not let run, and ends with the last
 * handle to it. Its first command finds it in the table. */
static int64_t child_make(struct process *parent, uint64_t number, struct abi_fork *request,
                          struct process **result)
{
    int32_t pid = pid_allocate(&table);
    request->argument2 = (uint64_t)pid;
    request->thread = HANDLE_NONE;
    recover_note_pid(pid);
    int64_t handle = sys_process_fork(parent->handle, request);
    if (handle < 0)
        return handle;
    handle_drop(request->thread);
    struct process *child =
        process_enter(&table, parent, pid, request->id, (handle_t)handle, number);
    if (!child) {
        sys_ignore(sys_process_kill((handle_t)handle, SIGNAL_KILL));
        handle_drop((handle_t)handle);
        return -E_NO_MEMORY;
    }
    int64_t result_of_watch = kernel_watch(child);
    if (result_of_watch < 0) {
        kernel_kill(child, SIGNAL_KILL);
        process_withdraw(child);
        return result_of_watch;
    }
    *result = child;
    return 0;
}

int64_t proc_fork(void *context, struct command *command)
{
    (void)context;
    struct process *parent = caller_of(command);
    uint64_t number = command->message.args[0];
    struct abi_fork request;
    if (!parent)
        return -E_NO_PROCESS;
    if (number && parent->fork_number == number) {
        command->reply.values[0] = (uint64_t)parent->fork_pid;
        return 0;
    }
    struct process *child = fork_made(parent, number);
    int64_t result = child ? 0 : command_read_exactly(command, &request, sizeof(request));
    if (result >= 0 && !child)
        result = child_make(parent, number, &request, &child);
    if (result < 0)
        return result;
    parent->fork_pid = child->pid;
    __atomic_store_n(&parent->fork_number, number, __ATOMIC_RELEASE);
    if (!child->started)
        kernel_resume(child);
    child->started = true;
    command->reply.values[0] = (uint64_t)child->pid;
    return 0;
}
