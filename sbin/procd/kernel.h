/* What procd does to processes through their handles. Host tests bring their own. */
#pragma once

#include "sbin/procd/process.h"

void kernel_kick(const struct process *process);
void kernel_kill(const struct process *process, uint32_t status);
void kernel_suspend(const struct process *process);
void kernel_resume(const struct process *process);
int64_t kernel_now(void);
