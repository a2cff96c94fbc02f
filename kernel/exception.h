/* CPU exceptions of user threads, and entering the personality with them. */
#pragma once

#include "kernel/sched/thread.h"

/* Stores *frame in the thread's block and makes it continue at entry; ends the process if the block cannot be
 * written. */
void personality_enter(struct thread *thread, struct abi_frame *frame, uint64_t entry);
void exception_user(struct abi_frame *frame);

static inline bool personality_text(const struct abi_personality *personality, uint64_t rip)
{
    return rip >= personality->text_start && rip < personality->text_end;
}
