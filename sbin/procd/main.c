/* procd: the POSIX authority behind proc:// (abi/proc.h says what each operation means).
 *
 * One thread, one table. It never waits for a client: wait4 is a held command, signals are left pending and
 * their process kicked. Deaths arrive as notifications of process handles, keyed by pid.
 *
 * proc://   the file every Linux process sends its operations through
 * proc:///  what people and programs read: files.h
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/proc.h"
#include "lib/sys/error.h"
#include "lib/sys/service.h"
#include "lib/sys/startup.h"
#include "sbin/procd/alarm.h"
#include "sbin/procd/files.h"
#include "sbin/procd/kernel.h"
#include "sbin/procd/process.h"
#include "sbin/procd/recover.h"
#include "sbin/procd/signal.h"
#include "sbin/procd/wait.h"

#define LIST_ENTRIES 32u

static struct table table;
static handle_t port;

#define STATFS_MAGIC 0x9fa0u /* Linux's PROC_SUPER_MAGIC */

/* An open file of files.h. Its address is the file's cookie; proc:// itself has cookie 0. */
struct open_file {
    struct place place;
    char *text; /* NULL: a directory that is only listed */
    size_t length;
};

static struct process *caller_of(const struct command *command)
{
    return process_by_badge(&table, command->message.caller);
}

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

static int64_t proc_adopt(void *context, struct command *command)
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

static int64_t proc_fork(void *context, struct command *command)
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

static int64_t proc_exec(void *context, struct command *command)
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

static int64_t proc_wait(void *context, struct command *command)
{
    (void)context;
    struct process *process = caller_of(command);
    return process ? wait_command(&table, process, command) : -E_NO_PROCESS;
}

/* Who kills procd is not answered by it. The command comes again, and its target is gone: it was found the first time. */
static int64_t proc_kill(void *context, struct command *command)
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

static int64_t proc_signals(void *context, struct command *command)
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

static int64_t proc_ids(void *context, struct command *command)
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

static int64_t proc_set_ids(void *context, struct command *command)
{
    (void)context;
    struct process *process = caller_of(command);
    uint32_t uid = (uint32_t)command->message.args[0], gid = (uint32_t)command->message.args[1];
    if (!process)
        return -E_NO_PROCESS;
    return process_set_ids(process, uid, gid);
}

static int64_t proc_setpgid(void *context, struct command *command)
{
    (void)context;
    const uint64_t *args = command->message.args;
    struct process *caller = caller_of(command);
    if (!caller)
        return -E_NO_PROCESS;
    return process_set_group(&table, caller, (int32_t)args[0], (int32_t)args[1]);
}

static int64_t proc_setsid(void *context, struct command *command)
{
    (void)context;
    struct process *caller = caller_of(command);
    if (!caller)
        return -E_NO_PROCESS;
    int64_t result = process_set_session(&table, caller);
    command->reply.values[0] = (uint64_t)caller->sid;
    return result;
}

static int64_t proc_masks(void *context, struct command *command)
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
static int64_t proc_stopped(void *context, struct command *command)
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

static int64_t proc_list(void *context, struct command *command)
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

static int64_t proc_alarm(void *context, struct command *command)
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
static int64_t proc_terminal(void *context, struct command *command)
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

static int64_t proc_watch(void *context, struct command *command)
{
    (void)context;
    const struct process *process = process_by_pid(&table, (int32_t)command->message.args[0]);
    if (!process || process->state == PROCESS_ZOMBIE)
        return -E_NO_PROCESS;
    return command_answer_handle(
        command, sys_handle_duplicate(process->handle, RIGHT_WAIT | RIGHT_TRANSFER));
}

/* A path that ends at a link leads to another protocol, unless the link itself is meant. */
static int64_t link_answer(struct command *command, const struct place *place, bool itself)
{
    const char *target = place_link(place);
    if (!target || itself)
        return 0;
    if (strlen(target) > command->message.out_length)
        return -E_TOO_LONG;
    command->reply.data = (uintptr_t)target;
    command->reply.data_length = command->reply.values[0] = strlen(target);
    return -E_LINK;
}

static int64_t proc_open(void *context, struct command *command)
{
    (void)context;
    uint64_t flags = command->message.args[0];
    struct open_file *file;
    struct place place;
    if (command->path_length == 0)
        return 0; /* proc:// itself: cookie 0 */
    int64_t result =
        place_find(&table, caller_of(command), command->path, command->path_length, &place);
    if (result >= 0)
        result = link_answer(command, &place, flags & OPEN_NOFOLLOW);
    if (result < 0)
        return result;
    if (place_link(&place))
        return -E_LOOP;
    if ((flags & OPEN_DIRECTORY) && place.kind)
        return -E_NOT_DIRECTORY;
    if (flags & (OPEN_WRITE | OPEN_TRUNCATE))
        return place.kind ? -E_READ_ONLY : -E_IS_DIRECTORY;
    file = calloc(1, sizeof(*file));
    if (!file)
        return -E_NO_MEMORY;
    file->place = place;
    result = place_text(&table, &place, &file->text, &file->length);
    if (result < 0 && result != -E_IS_DIRECTORY) {
        free(file);
        return result;
    }
    command->reply.values[0] = (uintptr_t)file;
    command->reply.values[1] = HANDLE_FLAG_SEEKABLE;
    command->reply.values[2] = SIGNAL_READABLE;
    return 0;
}

static const struct open_file *file_of(const struct command *command)
{
    return (const struct open_file *)(uintptr_t)(command->message.file ? command->message.cookie
                                                                       : 0);
}

static int64_t proc_read(void *context, struct command *command)
{
    (void)context;
    const struct open_file *file = file_of(command);
    if (!file)
        return -E_INVALID;
    if (!file->text)
        return -E_IS_DIRECTORY;
    return command_answer_part(command, file->text, file->length);
}

/* What a command is about: the open file, or what its path names. */
static int64_t place_of(const struct command *command, struct place *place)
{
    const struct open_file *file = file_of(command);
    *place = file ? file->place : (struct place){NULL, 0};
    if (command->message.file)
        return 0;
    return place_find(&table, caller_of(command), command->path, command->path_length, place);
}

static int64_t proc_stat(void *context, struct command *command)
{
    (void)context;
    static struct abi_stat stat;
    const struct open_file *file = file_of(command);
    struct place place;
    int64_t result = place_of(command, &place);
    if (result >= 0)
        result = link_answer(command, &place, command->message.args[0] & OPEN_NOFOLLOW);
    if (result < 0)
        return result;
    place_stat(&table, &place, file && place.kind ? file->length : 0, &stat);
    return command_answer(command, &stat, sizeof(stat));
}

static int64_t proc_statfs(void *context, struct command *command)
{
    (void)context;
    static struct abi_statfs statfs = {
        .type = STATFS_MAGIC, .block_size = PAGE_SIZE, .name_max = PROCESS_NAME_MAX};
    return command_answer(command, &statfs, sizeof(statfs));
}

static int64_t proc_readlink(void *context, struct command *command)
{
    (void)context;
    struct place place;
    int64_t result = place_of(command, &place);
    if (result < 0)
        return result;
    const char *target = place_link(&place);
    if (!target)
        return -E_INVALID;
    command->reply.data = (uintptr_t)target;
    command->reply.data_length = MIN(strlen(target), command->message.out_length);
    command->reply.values[0] = command->reply.data_length;
    return 0;
}

static int64_t proc_directory(void *context, struct command *command)
{
    (void)context;
    static uint8_t entries[16384] ALIGNED(8);
    struct listing listing = listing_begin(command, entries, sizeof(entries));
    struct place place;
    int64_t result = place_of(command, &place);
    if (result < 0)
        return result;
    if (place.kind)
        return -E_NOT_DIRECTORY;
    place_list(&table, &place, &listing);
    return listing_end(&listing);
}

static void proc_closed(void *context, uint64_t cookie)
{
    (void)context;
    struct open_file *file = (struct open_file *)(uintptr_t)cookie;
    if (!file)
        return;
    free(file->text);
    free(file);
}

/* init takes over: what is dead already is reaped at once, and groups that lost their last outside parent are
 * hung up. */
static void children_release(const struct process *ended, const int32_t *groups, size_t count)
{
    if (table.init) {
        list_for_each (struct process, child, &table.init->children, sibling)
            if (child != ended && child->state == PROCESS_ZOMBIE)
                wait_changed(&table, child);
    }
    for (size_t i = 0; i < count; i++)
        group_hang_up(&table, groups[i]);
}

/* The groups that this process's end may orphan: its own and its children's, those not orphaned yet. */
static size_t groups_collect(const struct process *process, int32_t **groups)
{
    size_t count = 0, room = 1;
    list_for_each (struct process, child, &process->children, sibling)
        room++;
    *groups = malloc(room * sizeof(**groups));
    if (!*groups)
        return 0;
    if (!group_orphaned(&table, process->pgid))
        (*groups)[count++] = process->pgid;
    list_for_each (struct process, sibling_child, &process->children, sibling)
        if (sibling_child->pgid != process->pgid && !group_orphaned(&table, sibling_child->pgid))
            (*groups)[count++] = sibling_child->pgid;
    return count;
}

static void process_ended(struct process *process)
{
    struct abi_process_info info;
    int32_t *groups;
    uint32_t status = SIGNAL_KILL;
    if (sys_process_info(process->handle, &info) >= 0) {
        status = wait_status(info.status);
        process->cpu_time = info.cpu_time;
    }
    size_t count = groups_collect(process, &groups);
    alarm_forget(&table, process);
    wait_forget(process);
    list_for_each (struct process, child, &process->children, sibling)
        if (!child->started) /* nobody asks for that fork again */
            kernel_kill(child, SIGNAL_KILL);
    process_exited(&table, process, status);
    children_release(process, groups, count);
    free(groups);
    parent_notify_end(&table, process);
    wait_changed(&table, process);
}

static void proc_notified(void *context, uint64_t key, uint64_t signals)
{
    (void)context;
    (void)signals;
    struct process *process = process_by_pid(&table, (int32_t)key);
    if (!process || process->state == PROCESS_ZOMBIE)
        return;
    if (process->kept) /* its successor runs already, and tells us */
        wait_forget(process);
    else
        process_ended(process);
}

static void proc_cancelled(void *context, uint64_t token)
{
    (void)context;
    if (!wait_cancel(token))
        signal_cancel(&table, token);
}

static int64_t proc_deadline(void *context)
{
    static uint64_t rounds;
    (void)context;
    table_settle(&table, kernel_now());
    if (++rounds == 2) /* one command or notification was seen to */
        recover_done();
    return alarm_next(&table);
}

static void proc_expired(void *context)
{
    (void)context;
    alarm_expire(&table);
}

static command_handler *const operations[SERVICE_OPERATIONS] = {
    [OP_OPEN] = proc_open,
    [OP_READ] = proc_read,
    [OP_STAT] = proc_stat,
    [OP_LIST] = proc_directory,
    [OP_READLINK] = proc_readlink,
    [OP_STATFS] = proc_statfs,
    [SERVICE_INDEX(PROC_FORK)] = proc_fork,
    [SERVICE_INDEX(PROC_EXEC)] = proc_exec,
    [SERVICE_INDEX(PROC_WAIT)] = proc_wait,
    [SERVICE_INDEX(PROC_KILL)] = proc_kill,
    [SERVICE_INDEX(PROC_SIGNALS)] = proc_signals,
    [SERVICE_INDEX(PROC_IDS)] = proc_ids,
    [SERVICE_INDEX(PROC_SETPGID)] = proc_setpgid,
    [SERVICE_INDEX(PROC_SETSID)] = proc_setsid,
    [SERVICE_INDEX(PROC_ADOPT)] = proc_adopt,
    [SERVICE_INDEX(PROC_MASKS)] = proc_masks,
    [SERVICE_INDEX(PROC_STOPPED)] = proc_stopped,
    [SERVICE_INDEX(PROC_LIST)] = proc_list,
    [SERVICE_INDEX(PROC_ALARM)] = proc_alarm,
    [SERVICE_INDEX(PROC_TERMINAL)] = proc_terminal,
    [SERVICE_INDEX(PROC_WATCH)] = proc_watch,
    [SERVICE_INDEX(PROC_SET_IDS)] = proc_set_ids,
};

int main(void)
{
    port = startup_require("port:proc");
    struct service service = {
        .port = port,
        .operations = operations,
        .notified = proc_notified,
        .cancelled = proc_cancelled,
        .closed = proc_closed,
        .deadline = proc_deadline,
        .expired = proc_expired,
    };
    uint64_t found = recover_table(&table, port);
    if (found)
        fprintf(stderr, "%" PRIu64 " processes found again\n", found);
    recover_processes(&table, process_ended);
    fprintf(stderr, "cannot serve: %s\n", error_text(service_run(&service, 1)));
    return 1;
}
