/* What procd does to processes through their handles. Host tests bring their own. */
#pragma once

#include "sbin/procd/process.h"

void kernel_kick(const struct process *process);
void kernel_kill(const struct process *process, uint32_t status);
void kernel_suspend(const struct process *process);
void kernel_resume(const struct process *process);
int64_t kernel_now(void);

/* The handle outlives procd, or no longer does and is given back. */
void kernel_keep(const struct process *process);
void kernel_forget(struct process *process);

/* Its end will be notified on proc://'s port under its pid; start_time is filled in. */
MUST_CHECK int64_t kernel_watch(struct process *process);

/* After a restart: the handle that was kept, and what it names; false: there is none. */
bool kernel_find(struct process *process, struct abi_process_info *info);
/* Handles kept for pids that are no process. */
void kernel_forget_strays(const struct table *table);
void kernel_open(handle_t port);
