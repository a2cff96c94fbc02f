/* What initd must know again after its own end: a table in memory kept with log://'s port, and beside it, under the
 * entries' numbers, the handles: protocols' ports, services' and sessions' processes.
 *
 *     roster_open(port)
 *     entry = roster_enter(ROSTER_SERVICE, "rngd")       the one there is, or a new one
 *     handle = roster_handle(entry)                      what the initd before had
 *     roster_keep(entry, process)                        before the process is let run
 *
 * initd may end between any two instructions: an entry is one when its kind is written, last; names are checked when
 * they are read; what has no handle is as if it were not there. Any thread.
 */
#pragma once

#include "lib/sys/syscall.h"
#include "sbin/initd/life.h"

enum roster_kind {
    ROSTER_FREE,
    ROSTER_PROTOCOL,
    ROSTER_SERVICE,
    ROSTER_SESSION,
    ROSTER_STOP,
    ROSTER_PORT, /* of a service's own, under its name */
};

#define ROSTER_NONE     UINT32_MAX /* no entry: nothing is kept */
#define ROSTER_NAME_MAX 71u

/* Without memory for it initd works, but begins anew after its end. */
void roster_open(handle_t port);

/* ROSTER_NONE: no memory, or the name is too long. */
uint32_t roster_enter(enum roster_kind kind, const char *name);

/* With its handle. */
void roster_forget(uint32_t entry);
/* The name of the first entry of that kind at or behind *entry, which moves behind it; false: there is none. */
MUST_CHECK bool roster_next(enum roster_kind kind, uint32_t *entry, char name[ROSTER_NAME_MAX + 1]);

/* The caller's own handle; HANDLE_NONE: there is none. */
handle_t roster_handle(uint32_t entry);
/* A copy is kept; HANDLE_NONE: what was kept is forgotten. */
void roster_keep(uint32_t entry, handle_t handle);

struct life roster_life(uint32_t entry); /* all 0 at first */
void roster_set_life(uint32_t entry, const struct life *life);
