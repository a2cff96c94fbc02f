/* CPU exceptions of user threads, and entering the personality with them. */
#pragma once

#include "kernel/sched/thread.h"

struct port;

/* Stores *frame in the thread's block and makes it continue at entry; ends the process if the block cannot be
 * written. */
void personality_enter(struct thread *thread, struct abi_frame *frame, uint64_t entry);
void exception_user(struct abi_frame *frame);

/* ipc/exceptions.c. True: its handler has seen to it, *frame is what the thread goes on with; or the thread was killed meanwhile.
 * cause: E_*, of a page fault. */
bool exception_tell(struct thread *self, struct abi_frame *frame, uint32_t cause);
/* Takes a reference of its own; NULL: nobody. E_NO_PROCESS: it has ended. */
int exception_set_handler(struct process *process, struct port *port) MUST_CHECK;

static inline bool personality_text(const struct abi_personality *personality, uint64_t rip)
{
    return rip >= personality->text_start && rip < personality->text_end;
}
