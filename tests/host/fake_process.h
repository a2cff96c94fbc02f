/* A process with a space and one running thread, for host tests of memory: what process_current() answers on
 * this CPU, and whose memory the user copies reach. */
#pragma once

#include "kernel/boot.h"
#include "kernel/sched/thread.h"
#include "kernel/vmm/fail.h"
#include "kernel/vmm/fault.h"
#include "kernel/vmm/heap.h"
#include "kernel/vmm/space.h"

/* A machine with so much RAM, once per program: caches outlive tests. */
void fake_machine(uint64_t mib);
/* The calling host thread's process has this space from now on; NULL: none. */
void fake_process_enter(struct space *space);
/* It belongs to this account from now on; NULL: the system's. */
void fake_process_account(struct account *account);
/* What must be the same before and after. */
uint64_t fake_frames(void);
