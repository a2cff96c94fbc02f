/* The entries for CPU exceptions that entry.S calls. */
#pragma once

#include "lib/linux/thread.h"

void exception_program(struct thread *thread);
/* frame->rip is set to where to go on; or it does not return. */
void exception_nested(struct abi_frame *frame);
void exception_lost(struct thread *thread);
