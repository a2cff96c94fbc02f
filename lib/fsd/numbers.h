/* Commands that change names are carried out once, though the file system dies with them: by their callers' numbers (abi/ops.def).
 *
 *     numbers_recover(port, key, last)     last: the number of what a predecessor did last (kept in the same instant as what it changed)
 *     if (numbers_known(number)) ...       it did it, and nobody was told: the answer is success
 *
 * One thread serves, and answers before it takes the next command: so each death leaves one number at most whose caller has
 * got no answer. Those of the last NUMBERS_ROOM deaths are kept.
 */
#pragma once

#include "abi/ops.h"
#include "lib/sys/syscall.h"

#define NUMBERS_ROOM 64u

/* Kept with the port under key. E_NO_MEMORY. */
MUST_CHECK int64_t numbers_recover(handle_t port, uint64_t key, uint64_t last);
/* False of 0, which is no number. */
bool numbers_known(uint64_t number);

/* Of the operations that bear one. */
static inline bool numbers_meant(uint32_t op)
{
    return op >= OP_UNLINK && op <= OP_LINK;
}

/* An open's that may create: by its file's id, even as callers' are odd. */
static inline uint64_t numbers_of_file(uint64_t file)
{
    return file << 1;
}
