/* Waiting that kicks do not end. */
#pragma once

#include "lib/sys/syscall.h"

/* Until handle shows one of the signals, or HANGUP or ERROR: 1. Else what sys_wait_many answers, E_TIMED_OUT above all. */
static inline int64_t handle_wait(handle_t handle, uint32_t signals, int64_t deadline)
{
    struct abi_wait wait = {.handle = handle, .signals = signals};
    int64_t result;
    do
        result = sys_wait_many(&wait, 1, deadline);
    while (result == -E_INTERRUPTED);
    return result;
}

static inline void sleep_until(int64_t deadline)
{
    int64_t result;
    do
        result = sys_wait_many(NULL, 0, deadline);
    while (result == -E_INTERRUPTED);
}
