/* Page faults of programs, and of the kernel's copies to and from them. */
#pragma once

#include "lib/base/base.h"

struct region;

/* Of the current process's space; access: FAULT_* (arch.h). True: try again. May block. The cause of a refusal is
 * thread->fault_cause. */
bool fault_resolve(uint64_t address, unsigned access);
/* Map what the region's object has of [start, end), as a program would have it by reading, or writing if it may: until the
 * first page that needs more than that. Returns that one's address, or end. The space's lock is held. */
uint64_t fault_populate(const struct region *region, uint64_t start, uint64_t end);
