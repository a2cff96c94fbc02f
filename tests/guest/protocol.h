/* For tests of the relay: a protocol of the test's own, the client's calls in one line each, and a simple service.
 *
 *     struct protocol protocol = protocol_new();               "test" in a namespace of its own
 *     struct helper *server = helper_process(serve, &protocol);
 *     handle_t file = open_uri(&protocol, "test://name", OPEN_READ);
 *     ...
 *     protocol_stop(&protocol);  helper_join(server);  protocol_end(&protocol);
 *
 * What the simple service serves: OPEN cookies 1, 2, ... (OPEN_DIRECTORY in the flags: not seekable); READ the bytes
 * 'a' + (offset + i) % 26 of a file that is FILE_SIZE long; WRITE the count; STAT its process id as inode and the
 * number of its opens as size; HOLD nothing until it is stopped or the command withdrawn. Others: E_NO_CALL.
 */
#pragma once

#include "tests/guest/guest.h"

#define FILE_SIZE 1000000u
#define STOP      UINT64_C(0x8000000000000000) /* software notification that ends a service */

enum {
    TEST_HOLD = OP_PROTOCOL,
    TEST_DIE,  /* the service ends itself */
    TEST_ECHO, /* values := args[0..2] */
    TEST_ECHO_AGAIN = OP_PROTOCOL_REPLAY,
};

struct protocol {
    handle_t port, names;
};

static inline struct protocol protocol_new(void)
{
    struct protocol protocol;

    protocol.names = (handle_t)MUST(sys_namespace_create(HANDLE_SELF, NAMESPACE_EMPTY));
    protocol.port = (handle_t)MUST(sys_proto_create(protocol.names, "test", 4));
    return protocol;
}

static inline void protocol_end(struct protocol *protocol)
{
    MUST(sys_handle_close(protocol->port));
    MUST(sys_handle_close(protocol->names));
}

static inline void protocol_stop(const struct protocol *protocol)
{
    MUST(sys_port_notify(protocol->port, STOP));
}

/* --- The client's side ---------------------------------------------------------------------------------------- */

static inline int64_t open_raw(handle_t names, const char *uri, uint32_t flags, int64_t deadline)
{
    struct abi_open open = {
        .uri = (uintptr_t)uri,
        .uri_length = strlen(uri),
        .flags = flags,
        .deadline = deadline,
    };

    return sys_open(names, &open);
}

static inline handle_t open_uri(const struct protocol *protocol, const char *uri, uint32_t flags)
{
    return (handle_t)MUST(open_raw(protocol->names, uri, flags, after(PATIENCE)));
}

static inline struct abi_command command_of(uint32_t op)
{
    return (struct abi_command){.op = op, .deadline = after(PATIENCE)};
}

static inline int64_t call_op(handle_t file, uint32_t op)
{
    struct abi_command command = command_of(op);

    return sys_file_call(file, &command);
}

static inline int64_t read_at(handle_t file, uint64_t offset, void *buffer, size_t length)
{
    struct abi_command command = command_of(OP_READ);

    command.args[0] = offset;
    command.out = (uintptr_t)buffer;
    command.out_length = length;

    int64_t result = sys_file_call(file, &command);

    return result < 0 ? result : (int64_t)command.values[0];
}

static inline int64_t read_next(handle_t file, void *buffer, size_t length)
{
    struct abi_command command = command_of(OP_READ);

    command.flags = COMMAND_POSITION;
    command.out = (uintptr_t)buffer;
    command.out_length = length;

    int64_t result = sys_file_call(file, &command);

    return result < 0 ? result : (int64_t)command.values[0];
}

static inline int64_t write_at(handle_t file, uint64_t offset, const void *bytes, size_t length)
{
    struct abi_command command = command_of(OP_WRITE);

    command.args[0] = offset;
    command.in = (uintptr_t)bytes;
    command.in_length = length;

    int64_t result = sys_file_call(file, &command);

    return result < 0 ? result : (int64_t)command.values[0];
}

/* inode: the process that serves; size: how often it opened a file. */
static inline struct abi_stat stat_file(handle_t file)
{
    struct abi_stat stat;
    struct abi_command command = command_of(OP_STAT);

    command.out = (uintptr_t)&stat;
    command.out_length = sizeof(stat);
    MUST(sys_file_call(file, &command));
    return stat;
}

static inline int64_t path_op(handle_t names, const char *uri, struct abi_command *command)
{
    struct abi_path_call call = {
        .uri = (uintptr_t)uri,
        .uri_length = strlen(uri),
        .command = *command,
    };
    int64_t result = sys_path_call(names, &call);

    *command = call.command;
    return result;
}

/* --- The service's side --------------------------------------------------------------------------------------- */

static inline struct abi_message accept_with(handle_t port, void *buffer, size_t size)
{
    struct abi_message message;

    MUST(sys_proto_accept(port, &message, buffer, size, after(PATIENCE)));
    return message;
}

/* The next thing must be a command with this op. */
static inline struct abi_message accept_op(handle_t port, uint32_t op)
{
    struct abi_message message = accept_with(port, NULL, 0);

    CHECK_EQUAL(message.kind, MESSAGE_COMMAND);
    CHECK_EQUAL(message.op, op);
    return message;
}

static inline struct abi_message accept_kind(handle_t port, uint32_t kind)
{
    struct abi_message message = accept_with(port, NULL, 0);

    CHECK_EQUAL(message.kind, kind);
    return message;
}

static inline int64_t return_status(handle_t port, uint64_t token, int64_t status, uint64_t value)
{
    struct abi_return result = {.token = token, .status = status, .values = {value}};

    return sys_proto_return(port, &result);
}

/* Accept the OPEN of a seekable file and answer it. */
static inline void serve_open(handle_t port, uint64_t cookie)
{
    struct abi_message message = accept_op(port, OP_OPEN);
    struct abi_return result = {.token = message.token, .values = {cookie, HANDLE_FLAG_SEEKABLE}};

    MUST(sys_proto_return(port, &result));
}

struct service_state {
    uint64_t opens, id;
    uint64_t held[16]; /* tokens; 0: none */
    char bytes[65536];
    struct abi_stat stat;
};

static inline void serve_read(struct service_state *state, const struct abi_message *message,
                              struct abi_return *result)
{
    uint64_t offset = message->args[0], count = message->out_length;

    if (offset >= FILE_SIZE)
        count = 0;
    count = MIN(count, FILE_SIZE - offset);
    count = MIN(count, sizeof(state->bytes));
    for (uint64_t i = 0; i < count; i++)
        state->bytes[i] = (char)('a' + (offset + i) % 26);
    result->data = (uintptr_t)state->bytes;
    result->data_length = count;
    result->values[0] = count;
}

static inline bool serve_command(struct service_state *state, const struct abi_message *message,
                                 struct abi_return *result)
{
    switch (message->op) {
    case OP_OPEN:
        result->values[0] = ++state->opens;
        result->values[1] = message->args[0] & OPEN_DIRECTORY ? 0 : HANDLE_FLAG_SEEKABLE;
        break;
    case OP_READ:
        serve_read(state, message, result);
        break;
    case OP_WRITE:
        result->values[0] = message->in_length;
        result->values[1] = message->flags & COMMAND_APPEND ? FILE_SIZE + message->in_length : 0;
        break;
    case OP_STAT:
        state->stat = (struct abi_stat){.size = state->opens, .inode = state->id};
        result->data = (uintptr_t)&state->stat;
        result->data_length = MIN(sizeof(state->stat), message->out_length);
        break;
    case TEST_ECHO:
    case TEST_ECHO_AGAIN:
        memcpy(result->values, message->args, sizeof(result->values));
        break;
    case TEST_DIE:
        helper_exit(1);
    case TEST_HOLD:
        for (size_t i = 0; i < ARRAY_SIZE(state->held); i++) {
            if (state->held[i])
                continue;
            state->held[i] = message->token;
            return false;
        }
        result->status = -E_BUSY;
        break;
    default:
        result->status = -E_NO_CALL;
    }
    return true;
}

static inline void serve_cancel(handle_t port, struct service_state *state, uint64_t token)
{
    for (size_t i = 0; i < ARRAY_SIZE(state->held); i++) {
        if (state->held[i] == token) {
            state->held[i] = 0;
            sys_ignore(return_status(port, token, -E_CANCELLED, 0));
        }
    }
}

/* Until protocol_stop(). */
static inline void serve_port(handle_t port)
{
    static struct service_state states[8];
    static uint32_t used;
    struct service_state *state = &states[__atomic_fetch_add(&used, 1, __ATOMIC_SEQ_CST) % 8];
    struct abi_message message;
    struct abi_return result = {0};

    memset(state, 0, sizeof(*state));
    state->id = process_info(HANDLE_SELF).id;
    MUST(sys_proto_accept(port, &message, NULL, 0, DEADLINE_NEVER));
    for (;;) {
        if (message.kind == MESSAGE_NOTIFY && message.cookie == 0 && message.args[0] & STOP)
            return;
        if (message.kind == MESSAGE_CANCEL)
            serve_cancel(port, state, message.token);
        result = (struct abi_return){.token = message.token};
        if (message.kind == MESSAGE_COMMAND && serve_command(state, &message, &result))
            MUST(sys_proto_return_accept(port, &result, &message, NULL, 0, DEADLINE_NEVER));
        else
            MUST(sys_proto_accept(port, &message, NULL, 0, DEADLINE_NEVER));
    }
}

/* For helper_process and helper_thread; the argument: struct protocol. */
static inline void serve_protocol(void *argument)
{
    serve_port(((struct protocol *)argument)->port);
}
