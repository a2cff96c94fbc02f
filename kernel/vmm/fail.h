/* Failure injection: makes the k-th allocation of a process fail (SYSTEM_FAIL_ALLOCATION), so that tests can
 * walk every error path. Asked by the frame allocator and the heap before each allocation on behalf of the
 * current process; costs one test of a global flag when off. */
#pragma once

#include "lib/base/base.h"

bool fail_now(void);
void fail_set(uint64_t k); /* for the current process; 0: off */
