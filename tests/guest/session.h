/* For tests of protocols: a protocol with the simple service of protocol.h behind it, in another process. */
#pragma once

#include "tests/guest/protocol.h"

struct session {
    struct protocol protocol;
    struct helper *server;
};

static inline struct session session_start(void)
{
    static struct protocol passed;
    struct session session = {.protocol = protocol_new()};

    passed = session.protocol;
    session.server = helper_process(serve_protocol, &passed);
    return session;
}

static inline void session_end(struct session *session)
{
    protocol_stop(&session->protocol);
    helper_join(session->server);
    protocol_end(&session->protocol);
}

/* One command on a path, from a thread of its own: helper_thread(call_it, &caller). */
struct path_caller {
    struct protocol *protocol;
    struct abi_command command;
    int64_t result;
    handle_t file; /* HANDLE_NONE: a path call */
};

static inline void call_it(void *argument)
{
    struct path_caller *caller = argument;

    if (caller->file != HANDLE_NONE)
        caller->result = sys_file_call(caller->file, &caller->command);
    else
        caller->result = path_op(caller->protocol->names, "test://dir/name", &caller->command);
}
