/* Names for listeners, at unixd (abi/unix.h). `name` is what stands behind "unix://".
 *
 *     handle_t ends[2];                                             who wants to be found:
 *     sys_stream_listen(STREAM_PACKETS, 16, ends);
 *     unix_bind("/run/vfsd", 9, ends[1], 0);                        ... keeps ends[0] and accepts there
 *
 *     handle_t stream = unix_connect("/run/vfsd", 9, deadline);     who looks for it
 *
 * The name goes with the listener: nothing has to be taken back. Header only and without a C library, as syscall.h.
 */
#pragma once

#include "abi/unix.h"
#include "lib/sys/syscall.h"

#define UNIX_SCHEME "unix://"

/* Room for "unix://" and a name; the URI's length, 0 if the name is too long. */
struct unix_uri {
    char text[sizeof(UNIX_SCHEME) + UNIX_NAME_MAX];
};

static inline size_t unix_uri(struct unix_uri *uri, const char *name, size_t length)
{
    const size_t scheme = sizeof(UNIX_SCHEME) - 1;

    if (length > UNIX_NAME_MAX)
        return 0;
    for (size_t i = 0; i < scheme; i++)
        uri->text[i] = UNIX_SCHEME[i];
    for (size_t i = 0; i < length; i++)
        uri->text[scheme + i] = name[i];
    return scheme + length;
}

/* A command about a name, with copies of the handles; the same again if unixd ended with it. */
static inline MUST_CHECK int64_t unix_command(const char *name, size_t length, uint32_t op,
                                              uint64_t flags, const handle_t *handles,
                                              uint32_t count)
{
    struct unix_uri uri;
    int64_t result;

    do {
        struct abi_path_call call = {.uri = (uint64_t)uri.text,
                                     .uri_length = unix_uri(&uri, name, length)};

        if (!call.uri_length)
            return -E_TOO_LONG;
        call.command.op = op;
        call.command.args[0] = flags;
        call.command.flags = COMMAND_RESTARTABLE;
        result = 0;
        for (uint32_t i = 0; i < count && result >= 0; i++) {
            result = sys_handle_duplicate(handles[i], RIGHT_ALL);
            if (result > 0)
                call.command.send[call.command.send_count++] = (handle_t)result;
        }
        if (result >= 0)
            result = sys_path_call(HANDLE_SELF, &call);
        if (result < 0) /* they have not been taken */
            for (uint32_t i = 0; i < call.command.send_count; i++)
                handle_drop(call.command.send[i]);
    } while (result == -E_RESTARTED);
    return result;
}

/* `connects` is given out to all who open the name. */
static inline MUST_CHECK int64_t unix_bind(const char *name, size_t length, handle_t connects,
                                           uint64_t flags)
{
    return unix_command(name, length, UNIX_BIND, flags, &connects, 1);
}

/* A name reserved with one handle is now another's. */
static inline MUST_CHECK int64_t unix_listen(const char *name, size_t length, handle_t reserved,
                                             handle_t connects)
{
    handle_t both[2] = {reserved, connects};

    return unix_command(name, length, UNIX_LISTEN, 0, both, 2);
}

static inline MUST_CHECK int64_t unix_unbind(const char *name, size_t length)
{
    return unix_command(name, length, OP_UNLINK, 0, NULL, 0);
}

/* What the name is registered with. */
static inline MUST_CHECK int64_t unix_find(const char *name, size_t length, int64_t deadline)
{
    struct unix_uri uri;
    struct abi_open open = {.uri = (uint64_t)uri.text,
                            .uri_length = unix_uri(&uri, name, length),
                            .flags = OPEN_READ | OPEN_WRITE,
                            .deadline = deadline};

    return open.uri_length ? sys_open(HANDLE_SELF, &open) : -E_TOO_LONG;
}

static inline MUST_CHECK int64_t unix_connect(const char *name, size_t length, int64_t deadline)
{
    int64_t connects = unix_find(name, length, deadline);

    if (connects < 0)
        return connects;
    int64_t stream = sys_stream_connect((handle_t)connects, deadline);
    handle_drop((handle_t)connects);
    return stream;
}
