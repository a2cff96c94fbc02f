/* What the process is to the rest of the system: procd's record of it, its descendants, its end. */
#pragma once

#include "lib/linux/thread.h"

/* One command to procd; -ENOSYS without one. 0 or -errno: Linux has no such call that a signal interrupts. Sent again when
 * procd ended with it: commands that must not be carried out twice have a number (abi/proc.h). */
int64_t proc_command(struct process *process, struct abi_command *command) MUST_CHECK;
/* A number for one command that must not be carried out twice: odd, and nobody else's. */
uint64_t command_number(void);
/* Ends the process with a wait status as wait4 reports it. */
NORETURN void process_exit(struct process *process, uint32_t status);
int32_t process_pid(struct process *process);
/* Makes parent, uid and gid what procd says. */
void process_know_ids(struct process *process);
/* A copy of the process: the child returns 0 from the call with its own stack if `stack` is not 0. */
int64_t process_fork(struct thread *thread, uint64_t stack, uint64_t flags, uint64_t parent_tid,
                     uint64_t child_tid, uint64_t tls) MUST_CHECK;
uint64_t thread_fs_base(struct thread *thread);
uint64_t thread_gs_base(struct thread *thread);
