/* proto_accept, proto_return, proto_return_accept: what a service is told of, and what it gets wrong. */
#include "tests/guest/session.h"

TEST(accept_errors)
{
    struct protocol protocol = protocol_new();
    handle_t weak = duplicate(protocol.port, RIGHT_SEND | RIGHT_DUPLICATE);
    struct abi_message message;
    struct abi_return result = {0};

    CHECK_ERROR(sys_proto_accept(weak, &message, NULL, 0, DEADLINE_NOW), ACCESS);
    CHECK_ERROR(sys_proto_return(weak, &result), ACCESS);
    CHECK_ERROR(sys_proto_accept(protocol.port, NULL, NULL, 0, DEADLINE_NOW),
                AGAIN); /* there is nothing to write */
    CHECK_ERROR(sys_proto_accept(protocol.port, (void *)UINT64_C(0xffff800000000000), NULL, 0,
                                 DEADLINE_NOW),
                FAULT);
    CHECK_ERROR(sys_proto_accept(protocol.port, &message, (void *)UINT64_C(0xffff800000000000), 10,
                                 DEADLINE_NOW),
                FAULT);
    CHECK_ERROR(sys_proto_accept(protocol.port, &message, NULL, 0, DEADLINE_NOW), AGAIN);
    CHECK_ERROR(sys_proto_accept(protocol.port, &message, NULL, 0, -1), AGAIN);
    CHECK_ERROR(sys_proto_accept(protocol.port, &message, NULL, 0, after(10 * MILLISECOND)),
                TIMED_OUT);
    CHECK_ERROR(sys_proto_return(protocol.port, NULL), FAULT);
    CHECK_ERROR(sys_proto_return(protocol.port, &result), CANCELLED);
    result.handle_count = COMMAND_HANDLES + 1;
    CHECK_ERROR(sys_proto_return(protocol.port, &result), INVALID);
    result = (struct abi_return){.status = 1};
    CHECK_ERROR(sys_proto_return(protocol.port, &result), INVALID);
    result = (struct abi_return){.status = -100000};
    CHECK_ERROR(sys_proto_return(protocol.port, &result), INVALID);
    handle_drop(weak);
    protocol_end(&protocol);
}

/* What cannot be delivered goes back to the front of the queue. */
TEST(a_bad_buffer_loses_no_command)
{
    struct protocol protocol = protocol_new();
    struct path_caller caller = {&protocol, command_of(TEST_ECHO), 0, HANDLE_NONE};

    caller.command.send[0] = (handle_t)MUST(sys_timer_create());
    caller.command.send_count = 1;
    struct helper *client = helper_thread(call_it, &caller);
    struct abi_message message;
    struct abi_wait wait = {.handle = protocol.port, .signals = SIGNAL_READABLE};

    MUST(sys_wait_many(&wait, 1, after(PATIENCE)));
    CHECK_ERROR(sys_proto_accept(protocol.port, &message, (void *)16, 100, DEADLINE_NOW), FAULT);
    CHECK_ERROR(sys_proto_accept(protocol.port, (void *)16, NULL, 0, DEADLINE_NOW), FAULT);
    message = accept_op(protocol.port, TEST_ECHO);
    CHECK_EQUAL(message.handle_count, 1);
    MUST(sys_handle_close(message.handles[0]));
    MUST(return_status(protocol.port, message.token, 0, 0));
    helper_join(client);
    MUST(caller.result);
    protocol_end(&protocol);
}

/* A return that fails leaves the command with the service. */
TEST(a_bad_return_loses_no_command)
{
    struct protocol protocol = protocol_new();
    struct path_caller caller = {&protocol, command_of(OP_READ), 0, HANDLE_NONE};
    char bytes[16] = "";

    caller.command.out = (uintptr_t)bytes;
    caller.command.out_length = sizeof(bytes);
    struct helper *client = helper_thread(call_it, &caller);
    struct abi_message message = accept_op(protocol.port, OP_READ);
    struct abi_return result = {.token = message.token, .data = 16, .data_length = 4};

    CHECK_ERROR(sys_proto_return(protocol.port, &result), FAULT);
    result = (struct abi_return){.token = message.token, .handles = {12345678}, .handle_count = 1};
    CHECK_ERROR(sys_proto_return(protocol.port, &result), BAD_HANDLE);
    result =
        (struct abi_return){.token = message.token, .data = (uintptr_t) "good", .data_length = 4};
    MUST(sys_proto_return(protocol.port, &result));
    helper_join(client);
    MUST(caller.result);
    CHECK(memcmp(bytes, "good", 4) == 0);
    protocol_end(&protocol);
}

/* Data beyond the caller's window is cut. */
TEST(windows_bound_the_data)
{
    struct protocol protocol = protocol_new();
    struct path_caller caller = {&protocol, command_of(OP_READ), 0, HANDLE_NONE};
    char bytes[16];

    memset(bytes, '.', sizeof(bytes));
    caller.command.out = (uintptr_t)bytes;
    caller.command.out_length = 4;
    struct helper *client = helper_thread(call_it, &caller);
    struct abi_message message = accept_op(protocol.port, OP_READ);
    struct abi_return result = {
        .token = message.token, .data = (uintptr_t) "0123456789", .data_length = 10};

    CHECK_EQUAL(message.out_length, 4);
    MUST(sys_proto_return(protocol.port, &result));
    helper_join(client);
    CHECK(memcmp(bytes, "0123......", 10) == 0);
    protocol_end(&protocol);
}

/* The caller's bytes come along as far as the buffer goes. */
TEST(small_accept_buffers)
{
    struct protocol protocol = protocol_new();
    struct path_caller caller = {&protocol, command_of(OP_WRITE), 0, HANDLE_NONE};
    char bytes[10];

    caller.command.in = (uintptr_t) "0123456789";
    caller.command.in_length = 10;
    struct helper *client = helper_thread(call_it, &caller);

    memset(bytes, '.', sizeof(bytes));
    struct abi_message message = accept_with(protocol.port, bytes, 5); /* not even the path */

    CHECK_EQUAL(message.data_length, 5);
    CHECK_EQUAL(message.in_length, 18);
    CHECK(memcmp(bytes, "dir/n.....", 10) == 0);
    MUST(return_status(protocol.port, message.token, 0, 0));
    helper_join(client);
    protocol_end(&protocol);
}

TEST(return_and_accept)
{
    struct protocol protocol = protocol_new();
    struct path_caller callers[3];
    struct helper *clients[3];
    struct abi_message message;

    for (int i = 0; i < 3; i++) {
        callers[i] = (struct path_caller){&protocol, command_of(TEST_ECHO), 0, HANDLE_NONE};
        callers[i].command.args[0] = (uint64_t)i + 10;
        clients[i] = helper_thread(call_it, &callers[i]);
    }
    message = accept_op(protocol.port, TEST_ECHO);
    for (int i = 0; i < 3; i++) {
        struct abi_return result = {.token = message.token, .values = {message.args[0]}};

        if (i < 2)
            MUST(sys_proto_return_accept(protocol.port, &result, &message, NULL, 0,
                                         after(PATIENCE)));
        else
            CHECK_ERROR(
                sys_proto_return_accept(protocol.port, &result, &message, NULL, 0, DEADLINE_NOW),
                AGAIN);
    }
    for (int i = 0; i < 3; i++) {
        helper_join(clients[i]);
        CHECK_EQUAL(callers[i].command.values[0], i + 10);
    }
    /* A token that names nothing, or no structure, is no reason not to accept. */
    struct abi_return result = {.token = 1};

    CHECK_ERROR(sys_proto_return_accept(protocol.port, &result, &message, NULL, 0, DEADLINE_NOW),
                AGAIN);
    CHECK_ERROR(sys_proto_return_accept(protocol.port, NULL, &message, NULL, 0, DEADLINE_NOW),
                AGAIN);
    protocol_end(&protocol);
}

/* No handle and no namespace names the port any more: nobody can serve it again. */
TEST(closed_ports)
{
    struct session session = session_start();
    handle_t file = open_uri(&session.protocol, "test://x", OPEN_READ);

    protocol_stop(&session.protocol);
    helper_join(session.server);
    protocol_end(&session.protocol);
    CHECK_ERROR(call_op(file, OP_STAT), SERVICE_DOWN);
    handle_drop(file);
}

/* ... but who has it open in a call of the service is told. On a busy host a worker may be late and find no handle. */
struct closed_worker {
    handle_t port;
    int64_t result;
};

static void accept_until_closed(void *argument)
{
    struct closed_worker *worker = argument;
    struct abi_message message;

    worker->result = sys_proto_accept(worker->port, &message, NULL, 0, after(PATIENCE));
}

TEST(closing_under_workers)
{
    int told = 0;

    for (int round = 0; round < 20 && told < 3; round++) {
        struct protocol protocol = protocol_new();
        struct closed_worker workers[3];
        struct helper *threads[3];

        for (int i = 0; i < 3; i++) {
            workers[i] = (struct closed_worker){.port = protocol.port};
            threads[i] = helper_thread(accept_until_closed, &workers[i]);
        }
        sleep_for(20 * MILLISECOND);
        protocol_end(&protocol);
        told = 0;
        for (int i = 0; i < 3; i++) {
            helper_join(threads[i]);
            told += workers[i].result == -E_CLOSED;
            if (workers[i].result != -E_CLOSED)
                CHECK_ERROR(workers[i].result, BAD_HANDLE);
        }
    }
    CHECK_EQUAL(told, 3);
}

static void call_closed(void *argument)
{
    struct path_caller *caller = argument;

    caller->result = path_op(caller->protocol->names, "test://x", &caller->command);
}

/* Commands on their way, waiting or accepted, fail when the port closes. The caller's namespace must not keep it. */
TEST(closing_under_callers)
{
    for (int accepted = 0; accepted < 2; accepted++) {
        struct protocol protocol = protocol_new();
        struct path_caller caller = {&protocol, command_of(TEST_ECHO), 0, HANDLE_NONE};
        struct helper *client = helper_thread(call_closed, &caller);

        if (accepted)
            accept_op(protocol.port, TEST_ECHO);
        else
            signal_wait(protocol.port, SIGNAL_READABLE);
        MUST(sys_namespace_bind(protocol.names, "test", 4, HANDLE_NONE));
        MUST(sys_handle_close(protocol.port));
        helper_join(client);
        CHECK_EQUAL(caller.result, -E_SERVICE_DOWN);
        handle_drop(protocol.names);
    }
}
