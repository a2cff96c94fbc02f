/* unix://, the names of listeners: what a process that wants to be found says to unixd, and what open answers.
 *
 *     open("unix:///run/vfsd")                          a copy of the handle that is registered: connect to that
 *     path_call("unix:///run/vfsd", UNIX_BIND, handle)  register one
 *
 * A name is what stands behind "unix://", any bytes. By agreement a path "/..." is that of the socket there, as Linux
 * programs spell it, and "@..." a name without one (their abstract names). lib/sys/unix.h makes the commands.
 *
 * A handle is the connecting end of a listener, or the sending end of a one-way stream. When its other side is gone the name
 * is free again.
 */
#pragma once

#include "abi/ops.h"

#define UNIX_NAME_MAX 512u

enum unix_op {
    /* path: the name; args[0]: UNIX_RESERVE or 0; send: the handle. The name's owner is the caller. E_EXISTS, unless it is this
     * handle's already; E_BUSY: the handle has another name; E_QUOTA: the caller has too many; E_TOO_LONG, E_INVALID,
     * E_NOT_SUPPORTED */
    UNIX_BIND = OP_PROTOCOL,
    /* path: a reserved name; send: the handle it is reserved with, which proves that it is the caller's, and the one that
     * is given out from now on. E_NOT_FOUND, E_ACCESS */
    UNIX_LISTEN,
};

#define UNIX_RESERVE 0x1u /* open answers E_CLOSED: nobody listens yet */

/* OP_UNLINK: the name's owner only (E_PERMISSION). OP_STAT: a socket. OP_READ of unix:///: all names, for people. */
