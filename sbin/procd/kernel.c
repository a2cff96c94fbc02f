/* A process that is just ending refuses these; its end is on the way to us then. */
#include "sbin/procd/kernel.h"
#include "lib/sys/clock.h"

static handle_t port;

void kernel_open(handle_t proc_port)
{
    port = proc_port;
}

void kernel_kick(const struct process *process)
{
    sys_ignore(sys_process_control(process->handle, PROCESS_INTERRUPT, 0));
}

void kernel_kill(const struct process *process, uint32_t status)
{
    sys_ignore(sys_process_kill(process->handle, status));
}

void kernel_suspend(const struct process *process)
{
    sys_ignore(sys_process_control(process->handle, PROCESS_SUSPEND, 0));
}

void kernel_resume(const struct process *process)
{
    sys_ignore(sys_process_control(process->handle, PROCESS_RESUME, 0));
}

int64_t kernel_now(void)
{
    return clock_monotonic();
}

static uint64_t key_of(const struct process *process)
{
    return KEY_HANDLE + (uint32_t)process->pid;
}

void kernel_keep(const struct process *process)
{
    sys_ignore(keep_handle(port, key_of(process), process->handle));
}

void kernel_forget(struct process *process)
{
    sys_ignore(keep_handle(port, key_of(process), HANDLE_NONE));
    handle_drop(process->handle);
    process->handle = HANDLE_NONE;
}

int64_t kernel_watch(struct process *process)
{
    struct abi_process_info info;
    int64_t result =
        sys_port_bind(port, process->handle, SIGNAL_EXITED, (uint64_t)process->pid, BIND_ONCE);
    if (result < 0)
        return result;
    result = sys_process_info(process->handle, &info);
    if (result >= 0)
        process->start_time = info.start_time;
    return result;
}

bool kernel_find(struct process *process, struct abi_process_info *info)
{
    process->handle = keep_get(port, key_of(process));
    return process->handle != HANDLE_NONE && sys_process_info(process->handle, info) >= 0;
}

/* Who they name was never let run, and ends with its last handle; or runs and is nobody's to know. */
void kernel_forget_strays(const struct table *table)
{
    struct abi_kept kept = {.key = KEY_HANDLE};
    for (; sys_port_kept(port, &kept) >= 0; kept.key++, kept.flags = 0) {
        handle_drop(kept.handle);
        const struct process *process =
            kept.key < KEY_HANDLE + INT32_MAX
                ? process_by_pid(table, (int32_t)(kept.key - KEY_HANDLE))
                : NULL;
        if (!process || process->handle == HANDLE_NONE)
            sys_ignore(keep_handle(port, kept.key, HANDLE_NONE));
    }
}
