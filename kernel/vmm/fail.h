/* Failure injection: makes the k-th allocation of a process fail (SYSTEM_FAIL_ALLOCATION), so that tests can
 * walk every error path. The frame allocator and the heap ask before each allocation, on behalf of the current
 * process; off, that costs the test of a global flag. Faults of user mode are not counted (fault.c): a tester
 * that is killed finds nothing. */
#pragma once

#include "lib/base/base.h"

extern bool fail_armed; /* some process has asked for failures, ever */

bool fail_count(void);
void fail_set(uint64_t k); /* for the current process; 0: off */

/* Is this the allocation that must fail? */
static inline bool fail_now(void)
{
    return unlikely(__atomic_load_n(&fail_armed, __ATOMIC_RELAXED)) && fail_count();
}
