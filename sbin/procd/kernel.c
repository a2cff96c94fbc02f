/* A process that is just ending refuses these; its end is on the way to us then. */
#include "sbin/procd/kernel.h"

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
    return sys_clock_get(CLOCK_MONOTONIC_);
}
