/* Commands that wait for the terminal. */
#pragma once

#include "abi/tty.h"
#include "lib/base/list.h"
#include "lib/sys/service.h"

struct held {
    struct list link;
    uint64_t token, caller;
    handle_t port;
    uint64_t length;                  /* of the caller's window */
    uint64_t done;                    /* of a write */
    uint64_t in_offset;               /* where the bytes of a write begin in its window */
    int64_t deadline;                 /* of a read with VTIME; DEADLINE_NEVER: none */
    struct tty_attributes attributes; /* of a change that waits for output to drain */
    uint32_t code;                    /* of a held control: TTY_* */
};

/* Appends a record of the command to the list; NULL: no memory. */
struct held *held_add(struct list *list, const struct command *command);

/* Returns the command and forgets it. data may be NULL. */
void held_return(struct held *held, int64_t status, uint64_t value, const void *data,
                 size_t length);

/* The held command with this token, or NULL. */
struct held *held_find(struct list *list, uint64_t token);
