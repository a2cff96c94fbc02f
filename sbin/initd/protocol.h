/* The protocols initd created (and initfs and log, which it was given): they outlive the services behind them, and
 * initd itself (roster.h).
 *
 * All are made before the first thread and the first service; afterwards the table is only read.
 */
#pragma once

#include "abi/abi.h"
#include "lib/base/base.h"

#define PROTOCOL_NO_SERVICE SIZE_MAX
#define PROTOCOL_OF_DRIVERS (SIZE_MAX - 1)

struct protocol {
    char name[PROTOCOL_NAME_MAX + 1];
    handle_t port;  /* all rights */
    size_t service; /* index of who serves it */
};

/* Creates a protocol and lists it in initd's own namespace, unless an initd before did. -E_EXISTS: there is one of that
 * name in the table. */
MUST_CHECK int64_t protocol_create(const char *name, size_t service);

/* Enters one that exists: the handle is the table's now. */
MUST_CHECK int64_t protocol_enter(const char *name, handle_t port, size_t service);

/* NULL: no such protocol. */
const struct protocol *protocol_find(const char *name);
const struct protocol *protocol_at(size_t index); /* NULL behind the last */

/* Whether somebody accepts on it now. */
bool port_served(handle_t port);
bool protocol_served(const struct protocol *protocol);

/* Waits for that; false: the deadline passed. */
bool protocol_wait(const struct protocol *protocol, int64_t deadline);

/* A new namespace that lists exactly these. Names without a protocol are logged and left out. */
MUST_CHECK int64_t protocol_namespace(const char *who, char *const *names, size_t count,
                                      handle_t *namespace);
