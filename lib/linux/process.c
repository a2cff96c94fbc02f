/* Pids, fork, wait, exit. procd is the authority; only the pid and what cannot change behind our back is kept.
 *
 * Fork, in the order things happen:
 *
 *     parent                       procd                        child
 *     takes the locks
 *     PROC_FORK(block, entry) ---> process_fork, records it
 *     frees them <--- pid -------- starts it ------------------> process_forked: new pid, frees its copy of
 *                                                                the locks, returns 0 to the program
 */
#include "lib/linux/process.h"

#include "abi/proc.h"
#include "lib/base/string.h"
#include "lib/linux/answer.h"
#include "lib/linux/calls.h"
#include "lib/linux/epoll.h"
#include "lib/linux/heap.h"
#include "lib/linux/log.h"
#include "lib/linux/random.h"
#include "lib/linux/signal.h"
#include "lib/linux/threads.h"
#include "lib/linux/time.h"
#include "lib/linux/user.h"

#define TICKS_PER_SECOND 100

__attribute__((visibility("hidden"))) void personality_fork_entry(void);

static int64_t proc_send(struct process *process, struct abi_command *command)
{
    int64_t result;

    if (process->proc == HANDLE_NONE)
        return -LINUX_ENOSYS;
    do
        result = sys_file_call(process->proc, command);
    while (result == -E_RESTARTED);
    return answer(result);
}

int64_t proc_command(struct process *process, struct abi_command *command)
{
    command->flags = COMMAND_RESTARTABLE;
    return proc_send(process, command);
}

uint64_t command_number(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (((uint64_t)high << 32 | low) ^ (uint64_t)thread_current()->process->pid << 40) |
           COMMAND_NUMBER;
}

NORETURN void process_exit(struct process *process, uint32_t status)
{
    log_flush(process);
    for (;;) /* a process can always end itself */
        sys_ignore(sys_process_kill(HANDLE_SELF, status));
}

struct ids {
    int32_t pid, parent, group, session;
    uint32_t uid, gid;
};

static int64_t ids_of(struct process *process, uint64_t pid, struct ids *ids)
{
    struct abi_command command;

    memset(&command, 0, sizeof(command));
    command.op = PROC_IDS;
    command.args[0] = pid;
    int64_t result = proc_command(process, &command);
    *ids = (struct ids){(int32_t)command.values[0],  (int32_t)(command.values[0] >> 32),
                        (int32_t)command.values[1],  (int32_t)(command.values[1] >> 32),
                        (uint32_t)command.values[2], (uint32_t)(command.values[2] >> 32)};
    return result;
}

/* Fills in what is kept; serverless: the kernel's id, no parent, root. */
static void know_ids(struct process *process)
{
    struct abi_process_info info;
    struct ids ids;

    if (process->proc != HANDLE_NONE && ids_of(process, 0, &ids) >= 0) {
        process->pid = ids.pid;
        process->parent = ids.parent;
        process->uid = ids.uid;
        process->gid = ids.gid;
        process->ids_known = 1;
    } else if (!process->pid && sys_process_info(HANDLE_SELF, &info) >= 0) {
        process->pid = (int32_t)info.id;
        process->ids_known = process->proc == HANDLE_NONE;
    }
}

int32_t process_pid(struct process *process)
{
    if (unlikely(!process->pid))
        know_ids(process);
    return process->pid;
}

void process_know_ids(struct process *process)
{
    if (unlikely(!process->ids_known))
        know_ids(process);
}

int64_t linux_getpid(struct thread *thread)
{
    return process_pid(thread->process);
}

int64_t linux_getppid(struct thread *thread)
{
    process_know_ids(thread->process);
    return thread->process->parent;
}

int64_t linux_gettid(struct thread *thread)
{
    return thread->tid ? thread->tid : process_pid(thread->process);
}

int64_t linux_setpgid(struct thread *thread, uint64_t pid, uint64_t group)
{
    struct abi_command command;

    memset(&command, 0, sizeof(command));
    command.op = PROC_SETPGID;
    command.args[0] = (uint64_t)(int32_t)pid;
    command.args[1] = (uint64_t)(int32_t)group;
    return proc_command(thread->process, &command);
}

int64_t linux_getpgid(struct thread *thread, uint64_t pid)
{
    struct ids ids;
    int64_t result = ids_of(thread->process, (uint64_t)(int32_t)pid, &ids);

    return result < 0 ? result : ids.group;
}

int64_t linux_getpgrp(struct thread *thread)
{
    return linux_getpgid(thread, 0);
}

int64_t linux_getsid(struct thread *thread, uint64_t pid)
{
    struct ids ids;
    int64_t result = ids_of(thread->process, (uint64_t)(int32_t)pid, &ids);

    return result < 0 ? result : ids.session;
}

int64_t linux_setsid(struct thread *thread)
{
    struct abi_command command;

    memset(&command, 0, sizeof(command));
    command.op = PROC_SETSID;
    int64_t result = proc_command(thread->process, &command);
    return result < 0 ? result : (int64_t)command.values[0];
}

uint64_t thread_fs_base(struct thread *thread)
{
    uint64_t base = thread->fs_base;

    if (thread->process->features & FEATURE_FSGSBASE)
        __asm__ volatile("rdfsbase %0" : "=r"(base));
    return base;
}

uint64_t thread_gs_base(struct thread *thread)
{
    uint64_t base = thread->gs_base;

    if (thread->process->features & FEATURE_FSGSBASE)
        __asm__ volatile("rdgsbase %0" : "=r"(base));
    return base;
}

int64_t process_fork(struct thread *thread, uint64_t stack, uint64_t flags, uint64_t parent_tid,
                     uint64_t child_tid, uint64_t tls)
{
    struct process *process = thread->process;
    struct abi_frame *frame = &thread->frame;
    uint64_t program_stack = frame->rsp, clear_tid = thread->clear_tid;
    struct abi_command command;
    struct abi_fork fork = {
        .entry = (uint64_t)personality_fork_entry,
        .stack = (uint64_t)thread,
        .argument = (uint64_t)thread,
        .fs_base = flags & LINUX_CLONE_SETTLS ? tls : thread_fs_base(thread),
        .gs_base = thread_gs_base(thread),
        .block = (uint64_t)thread,
        .thread = HANDLE_NONE,
    };

    if (process->proc == HANDLE_NONE)
        return -LINUX_ENOSYS;
    /* What the child finds in its copy of this block is what the parent puts here for the time of the call. */
    lock(&process->lock);
    heap_lock();
    if (stack)
        frame->rsp = stack;
    thread->clear_tid = flags & LINUX_CLONE_CHILD_CLEARTID ? child_tid : 0;
    thread->set_tid = flags & LINUX_CLONE_CHILD_SETTID ? child_tid : 0;
    memset(&command, 0, sizeof(command));
    command.op = PROC_FORK;
    command.args[0] = command_number();
    command.in = (uint64_t)&fork;
    command.in_length = sizeof(fork);
    int64_t result = proc_command(process, &command);
    frame->rsp = program_stack;
    thread->clear_tid = clear_tid;
    heap_unlock();
    unlock(&process->lock);
    if (result < 0)
        return result;
    result = (int64_t)command.values[0];
    if ((flags & LINUX_CLONE_PARENT_SETTID) && user_put_u32(parent_tid, (uint32_t)result))
        return -LINUX_EFAULT;
    return result;
}

void process_forked(struct thread *thread, uint64_t pid);

/* The child's first steps, on its copy of the parent's block. entry.S goes on to the program. */
void process_forked(struct thread *thread, uint64_t pid)
{
    struct process *process = thread->process;

    heap_unlock();
    process->lock.word = 0; /* whoever slept for it sleeps in the parent */
    process->pid = (int32_t)pid;
    process->ids_known = 0;
    signal_forget(thread);
    epoll_forked();
    process->log_length = 0;
    random_forget(process);
    process->survivor = NULL;
    process->start_time = clock_monotonic();
    thread->tid = 0;
    thread->handle = HANDLE_NONE; /* of the parent's thread; the kernel's copy is of no use */
    thread->full = 1;
    thread->frame.rax = 0;
    threads_only(thread);
    if (thread->set_tid)
        sys_ignore(user_put_u32(thread->set_tid, (uint32_t)pid));
}

int64_t linux_fork(struct thread *thread)
{
    return process_fork(thread, 0, 0, 0, 0, 0);
}

/* The child gets a copy, not the parent's memory itself, and the parent does not wait: what differs is only that
 * the child's writes are not seen. */
int64_t linux_vfork(struct thread *thread)
{
    return process_fork(thread, 0, 0, 0, 0, 0);
}

/* A wait that a signal interrupts and that is begun again has the same number: its answer may have been lost. */
static int64_t wait_command(struct thread *thread, int64_t pid, uint64_t options, int64_t *found,
                            uint32_t *status, int64_t *cpu_ns)
{
    struct abi_command command;

    if (!thread->wait_number)
        thread->wait_number = command_number();
    memset(&command, 0, sizeof(command));
    command.op = PROC_WAIT;
    command.args[0] = (uint64_t)pid;
    command.args[1] = options;
    command.args[2] = thread->wait_number;
    int64_t result = proc_send(thread->process, &command);
    if (result >= 0)
        thread->wait_number = 0;
    *found = (int64_t)command.values[0];
    *status = (uint32_t)command.values[1];
    *cpu_ns = (int64_t)command.values[2];
    return result;
}

static struct linux_rusage rusage_of(int64_t cpu_ns)
{
    return (struct linux_rusage){
        .user = {cpu_ns / NS_PER_SECOND, cpu_ns % NS_PER_SECOND / 1000},
    };
}

int64_t linux_wait4(struct thread *thread, uint64_t pid, uint64_t status_at, uint64_t options,
                    uint64_t usage_at)
{
    int64_t found, cpu_ns;
    uint32_t status;

    if ((uint32_t)options &
        ~(uint32_t)(LINUX_WNOHANG | LINUX_WUNTRACED | LINUX_WCONTINUED | 0xe0000000u))
        return -LINUX_EINVAL;
    int64_t result = wait_command(thread, (int32_t)pid,
                                  options & (LINUX_WNOHANG | LINUX_WUNTRACED | LINUX_WCONTINUED),
                                  &found, &status, &cpu_ns);
    if (result < 0 || !found)
        return result;
    struct linux_rusage usage = rusage_of(cpu_ns);
    if ((status_at && user_put_u32(status_at, status)) ||
        (usage_at && user_write(usage_at, &usage, sizeof(usage))))
        return -LINUX_EFAULT;
    return found;
}

static void child_info(struct linux_siginfo *info, int64_t pid, uint32_t status)
{
    info->signal = LINUX_SIGCHLD;
    info->child.pid = (int32_t)pid;
    if (status == 0xffff) {
        info->code = LINUX_CLD_CONTINUED;
        info->child.status = LINUX_SIGCONT;
    } else if ((status & 0xff) == 0x7f) {
        info->code = LINUX_CLD_STOPPED;
        info->child.status = (int32_t)(status >> 8 & 0xff);
    } else if (status & 0x7f) {
        info->code = status & 0x80 ? LINUX_CLD_DUMPED : LINUX_CLD_KILLED;
        info->child.status = (int32_t)(status & 0x7f);
    } else {
        info->code = LINUX_CLD_EXITED;
        info->child.status = (int32_t)(status >> 8 & 0xff);
    }
}

/* WNOWAIT and waiting for stops without exits have no command at procd. */
int64_t linux_waitid(struct thread *thread, uint64_t type, uint64_t id, uint64_t info_at,
                     uint64_t options, uint64_t usage_at)
{
    struct linux_siginfo info;
    int64_t pid, found, cpu_ns;
    uint32_t status;

    if (!(options & LINUX_WEXITED) || (options & LINUX_WNOWAIT))
        return -LINUX_EINVAL;
    if (type == LINUX_P_ALL)
        pid = -1;
    else if (type == LINUX_P_PID && (int32_t)id > 0)
        pid = (int32_t)id;
    else if (type == LINUX_P_PGID && (int32_t)id >= 0)
        pid = -(int64_t)(int32_t)id;
    else
        return -LINUX_EINVAL;
    int64_t result =
        wait_command(thread, pid, options & (LINUX_WNOHANG | LINUX_WUNTRACED | LINUX_WCONTINUED),
                     &found, &status, &cpu_ns);
    if (result < 0)
        return result;
    memset(&info, 0, sizeof(info));
    if (found)
        child_info(&info, found, status);
    struct linux_rusage usage = rusage_of(cpu_ns);
    if ((info_at && user_write(info_at, &info, sizeof(info))) ||
        (usage_at && user_write(usage_at, &usage, sizeof(usage))))
        return -LINUX_EFAULT;
    return 0;
}

int64_t linux_exit_group(struct thread *thread, uint64_t code)
{
    process_exit(thread->process, (uint32_t)(code & 0xff) << 8);
}

int64_t linux_getrusage(struct thread *thread, uint64_t who, uint64_t address)
{
    int64_t cpu_ns;

    (void)thread;
    if ((int32_t)who == 0)
        cpu_ns = sys_clock_get(CLOCK_PROCESS_);
    else if ((int32_t)who == 1)
        cpu_ns = sys_clock_get(CLOCK_THREAD_);
    else if ((int32_t)who == -1)
        cpu_ns = 0; /* of children: procd tells it to the one who waits for each */
    else
        return -LINUX_EINVAL;
    struct linux_rusage usage = rusage_of(MAX(cpu_ns, INT64_C(0)));
    return user_write(address, &usage, sizeof(usage)) ? -LINUX_EFAULT : 0;
}

int64_t linux_times(struct thread *thread, uint64_t address)
{
    int64_t tick = NS_PER_SECOND / TICKS_PER_SECOND;
    struct linux_tms tms = {.user = MAX(sys_clock_get(CLOCK_PROCESS_), INT64_C(0)) / tick};

    (void)thread;
    if (address && user_write(address, &tms, sizeof(tms)))
        return -LINUX_EFAULT;
    return clock_monotonic() / tick;
}
