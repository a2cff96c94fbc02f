/* Starting programs in this process. */
#pragma once

#include "lib/linux/thread.h"

#define PROGRAM_STACK_SIZE (8u * 1024 * 1024)

uint64_t cpu_hwcap(void); /* AT_HWCAP */
/* A process with no other state: registers zero but rip and rsp. */
void program_enter(struct thread *thread, uint64_t entry, uint64_t stack);
