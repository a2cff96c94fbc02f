/* Commands that cannot be answered yet (COMMAND_HELD): a record of each, in lists of the service's.
 *
 *     struct held *held = held_add(&reads, command, 0);          handler: then return COMMAND_HELD
 *     held_return(held, 0, count, bytes, count);                 answers it and forgets it
 *     held = held_find(&reads, token)                            cancelled: answer what was done, or E_INTERRUPTED
 *     held_forget(&reads, cookie)                                closed: callers who were killed are not answered
 *
 * One thread.
 */
#pragma once

#include "lib/base/list.h"
#include "lib/sys/service.h"

struct held {
    struct list link;
    uint64_t token, caller, cookie; /* of the message */
    handle_t port;
    uint64_t length;    /* of the caller's out window, until the service says otherwise */
    uint64_t in_offset; /* where the caller's bytes begin in its window */
    uint64_t done;      /* 0; from here on the service's */
    uint64_t argument;  /* 0 */
    int64_t deadline;   /* DEADLINE_NEVER */
    uint64_t more[];    /* zeros, as many bytes as it asked for */
};

/* NULL: no memory. */
struct held *held_add(struct list *list, const struct command *command, size_t more);

/* data may be NULL. */
void held_return(struct held *held, int64_t status, uint64_t value, const void *data,
                 size_t length);

/* The same with a reply of the service's own making. */
void held_reply(struct held *held, int64_t status, struct abi_return *reply);

/* It was answered in another way. */
void held_drop(struct held *held);

/* The command with this token, or NULL. */
struct held *held_find(struct list *list, uint64_t token);

void held_forget(struct list *list, uint64_t cookie);
