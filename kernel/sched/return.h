/* The way back to user mode: what must be seen to before it. */
#pragma once

#include <stdbool.h>

#include "abi/abi.h"

/* Ends the caller if it is killed, parks it while it is suspended, gives way where that is due. */
void return_check(void);
/* The same and kicks; called by the machine before each return if need_resched or thread->work is set. frame:
 * the user registers, or NULL on the system-call road. */
void user_return(struct abi_frame *frame);
/* Of a thread whose thread->latched is set: whether an interruptible wait must end before it begins. */
bool return_kick_latched(void);
