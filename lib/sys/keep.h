/* Memory that outlives the service: kept with its port (port_keep), found again by the next instance.
 *
 *     struct state *state = keep_memory(port, KEY_STATE, sizeof(*state));
 *
 * A service can end between any two of its instructions. So what lies there may be half written: the next instance
 * believes none of it unchecked, and whatever belongs together is made valid by one last store (keep_commit).
 */
#pragma once

#include <stddef.h>

#include "lib/sys/syscall.h"

/* What is kept under key, mapped; at least length bytes, zero where nobody wrote yet. A longer length than before
 * makes it grow; the mapping before stays as it was, for keep_release. NULL: no memory, or no such right. */
void *keep_memory(handle_t port, uint64_t key, size_t length);
void keep_release(void *memory, size_t length);

/* Whatever was written before is there when *word is. */
static inline void keep_commit(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* A copy of the handle stays under key, in place of what was there; HANDLE_NONE: only that goes. 0 or -E_*. */
static inline int64_t keep_handle(handle_t port, uint64_t key, handle_t handle)
{
    int64_t result = sys_port_keep(port, key, handle);
    if (result != -E_EXISTS)
        return result;
    sys_ignore(sys_port_keep(port, key, HANDLE_NONE));
    return sys_port_keep(port, key, handle);
}

/* The caller's own handle to what is kept; HANDLE_NONE: nothing is. */
static inline handle_t keep_get(handle_t port, uint64_t key)
{
    struct abi_kept kept = {.key = key, .flags = KEPT_EXACT};
    return sys_port_kept(port, &kept) < 0 ? HANDLE_NONE : kept.handle;
}

bool keep_exists(handle_t port, uint64_t key);
