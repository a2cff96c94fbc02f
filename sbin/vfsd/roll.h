/* The volumes there are, kept with fs://'s port: a number that no other has had, a type, and whether it is ended.
 *
 * vfsd may end between any two instructions: an entry is one when its number is written, last. One thread at a time.
 */
#pragma once

#include "lib/sys/syscall.h"

#define ROLL_TYPE_MAX 15u

struct roll_entry {
    uint32_t id;
    uint32_t ended; /* not in the tree any more, but still used */
    char type[ROLL_TYPE_MAX + 1];
    uint32_t at; /* where it is kept */
};

void roll_open(handle_t fs_port);
/* E_NO_MEMORY, E_INVALID: that is no name of a type. */
MUST_CHECK int64_t roll_add(const char *type, struct roll_entry *entry);
void roll_remove(const struct roll_entry *entry);
void roll_end(struct roll_entry *entry);
/* The first at or behind *at, which moves behind it; false: there is none. */
MUST_CHECK bool roll_next(uint32_t *at, struct roll_entry *entry);
