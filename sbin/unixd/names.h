/* The names and what they are registered with, in memory that outlives the service.
 *
 *     names_open(port)                        what an earlier instance left, as far as it holds
 *     name_find(bytes, length)                a name; NULL: there is none
 *     name_add(name...), name_replace, name_remove
 *     name_gone(slot)                         the other side of its handle has gone: the name is free
 *
 * An entry is valid when its `state` is set, the last store of making it; so it may be half written at any time. Its
 * handle is kept with the port under KEY_HANDLE + 2 * slot + which, and watched by a binding with the slot as key.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "abi/unix.h"
#include "lib/sys/syscall.h"

#define NAMES_MAX       16384u
#define NAMES_PER_OWNER 256u

enum name_state { NAME_FREE, NAME_RESERVED, NAME_LISTENS };

struct name {
    /* kept */
    uint32_t state; /* enum name_state | which << 8 */
    uint32_t length;
    uint64_t owner;  /* process id */
    uint64_t object; /* id of what the handle names */
    char bytes[UNIX_NAME_MAX];
};

int64_t names_open(handle_t port);
struct name *name_find(const char *bytes, size_t length);
/* Takes a copy of the handle. 0, or -E_QUOTA, -E_NO_MEMORY, -E_BUSY (it has a name), or why the handle cannot be kept or watched. */
int64_t name_add(const char *bytes, size_t length, uint64_t owner, enum name_state state,
                 handle_t handle);
int64_t name_replace(struct name *name, handle_t handle);
void name_remove(struct name *name);
void name_gone(uint64_t slot);
/* Our own handle of it. */
handle_t name_handle(const struct name *name);
static inline enum name_state name_state(const struct name *name)
{
    return (enum name_state)(name->state & 0xff);
}
/* The first one in use at or behind *slot, which moves behind it; NULL: none. For lists. */
const struct name *name_next(uint64_t *slot);
