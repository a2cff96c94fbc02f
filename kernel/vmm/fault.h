/* Page faults of programs, and of the kernel's copies to and from them. */
#pragma once

#include "lib/base/base.h"

/* Of the current process's space; access: FAULT_* (arch.h). True: try again. May block. The cause of a refusal is
 * thread->fault_cause. */
bool fault_resolve(uint64_t address, unsigned access);
