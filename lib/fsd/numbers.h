/* Commands that change names, and those that append, are carried out once, though the file system dies with them: by their callers' numbers
 * (abi/ops.def).
 *
 *     numbers_recover(port, key, &last)    last: what a predecessor did last that had a number (kept in the same instant as what it changed)
 *     if (numbers_known(number)) ...       it did it, and nobody was told: the answer is success
 *     numbers_find(number)                 ... or, of an append, how far it was
 *
 * One thread serves, and answers before it takes the next command: so each death leaves one number at most whose caller has
 * got no answer. Those of the last NUMBERS_ROOM deaths are kept.
 */
#pragma once

#include "abi/ops.h"
#include "lib/fsd/numbered.h"
#include "lib/sys/syscall.h"

#define NUMBERS_ROOM 64u

/* Kept with the port under key. E_NO_MEMORY. */
MUST_CHECK int64_t numbers_recover(handle_t port, uint64_t key, const struct numbered *last);
/* NULL of 0, which is no number. */
const struct numbered *numbers_find(uint64_t number);

static inline bool numbers_known(uint64_t number)
{
    return numbers_find(number);
}

/* Of the operations on names: in args[3]. */
static inline bool numbers_meant(uint32_t op)
{
    return op >= OP_UNLINK && op <= OP_LINK;
}

/* An append's; 0: it has none, or is no append. */
static inline uint64_t numbers_of_append(const struct abi_message *message)
{
    return message->flags & COMMAND_APPEND ? message->args[1] : 0;
}

/* An open's that may create: by its file's id, even as callers' are odd. */
static inline uint64_t numbers_of_file(uint64_t file)
{
    return file << 1;
}
