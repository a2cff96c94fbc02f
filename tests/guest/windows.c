/* What a command lends: its windows, whole and in pieces, with holes, read-only, of calls in registers. */
#include "tests/guest/caller.h"

TEST(pieces_of_the_in_window)
{
    struct protocol protocol = protocol_new();
    struct caller caller = caller_new(&protocol, OP_WRITE);
    static uint8_t bytes[300000], piece[300000];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 31 >> 3);
    caller.command.in = (uintptr_t)bytes;
    caller.command.in_length = sizeof(bytes);
    struct helper *client = helper_thread(call_it, &caller);
    struct abi_message message = accept_op(protocol.port, OP_WRITE);

    CHECK_EQUAL(message.in_length, sizeof(bytes));
    CHECK_EQUAL(MUST(sys_cmd_read(protocol.port, message.token, 0, piece, sizeof(piece))),
                sizeof(bytes));
    CHECK(memcmp(piece, bytes, sizeof(bytes)) == 0);
    memset(piece, 0, sizeof(piece));
    CHECK_EQUAL(MUST(sys_cmd_read(protocol.port, message.token, 100001, piece, 4097)), 4097);
    CHECK(memcmp(piece, bytes + 100001, 4097) == 0);
    CHECK_EQUAL(MUST(sys_cmd_read(protocol.port, message.token, sizeof(bytes) - 3, piece, 10)), 3);
    CHECK_EQUAL(MUST(sys_cmd_read(protocol.port, message.token, sizeof(bytes), piece, 10)), 0);
    CHECK_EQUAL(MUST(sys_cmd_read(protocol.port, message.token, UINT64_MAX, piece, 10)), 0);
    CHECK_EQUAL(MUST(sys_cmd_read(protocol.port, message.token, 0, piece, 0)), 0);
    /* It lent nothing to write to. */
    CHECK_EQUAL(MUST(sys_cmd_write(protocol.port, message.token, 0, piece, 10)), 0);
    CHECK_ERROR(sys_cmd_read(protocol.port, message.token, 0, (void *)16, 10), FAULT);
    CHECK_ERROR(
        sys_cmd_read(protocol.port, message.token, 0, (void *)UINT64_C(0xffff800000000000), 10),
        FAULT);
    MUST(return_status(protocol.port, message.token, 0, 0));
    CHECK_ERROR(sys_cmd_read(protocol.port, message.token, 0, piece, 10), CANCELLED);
    helper_join(client);
    protocol_end(&protocol);
}

TEST(pieces_of_the_out_window)
{
    struct protocol protocol = protocol_new();
    struct caller caller = caller_new(&protocol, OP_READ);
    static uint8_t bytes[200000], source[200000];

    for (size_t i = 0; i < sizeof(source); i++)
        source[i] = (uint8_t)(i * 17 >> 2);
    memset(bytes, 0, sizeof(bytes));
    caller.command.out = (uintptr_t)bytes;
    caller.command.out_length = sizeof(bytes);
    struct helper *client = helper_thread(call_it, &caller);
    struct abi_message message = accept_op(protocol.port, OP_READ);

    CHECK_EQUAL(MUST(sys_cmd_write(protocol.port, message.token, 0, source, 150000)), 150000);
    CHECK_EQUAL(MUST(sys_cmd_write(protocol.port, message.token, 150000, source + 150000, 60000)),
                50000);
    CHECK_EQUAL(MUST(sys_cmd_write(protocol.port, message.token, sizeof(bytes), source, 1)), 0);
    CHECK_EQUAL(MUST(sys_cmd_read(protocol.port, message.token, 0, source, 1)), 0);
    CHECK_ERROR(sys_cmd_write(protocol.port, message.token, 0, (void *)16, 10), FAULT);
    MUST(return_status(protocol.port, message.token, 0, 0));
    helper_join(client);
    CHECK(memcmp(bytes, source, sizeof(bytes)) == 0);
    protocol_end(&protocol);
}

/* Windows into memory that is not there: the service sees how much there was, and the caller the error. */
TEST(windows_with_holes)
{
    struct protocol protocol = protocol_new();
    struct caller caller = caller_new(&protocol, OP_WRITE);
    uint8_t *pages = pages_map(2), piece[2 * PAGE_SIZE];

    memset(pages, 1, PAGE_SIZE);
    pages_unmap(pages + PAGE_SIZE, 1);
    caller.command.in = caller.command.out = (uintptr_t)pages;
    caller.command.in_length = caller.command.out_length = 2 * PAGE_SIZE;
    struct helper *client = helper_thread(call_it, &caller);
    struct abi_message message = accept_with(protocol.port, piece, sizeof(piece));

    CHECK_EQUAL(message.in_length, 2 * PAGE_SIZE);
    CHECK_EQUAL(message.data_length, PAGE_SIZE);
    CHECK_EQUAL(MUST(sys_cmd_read(protocol.port, message.token, 0, piece, sizeof(piece))),
                PAGE_SIZE);
    CHECK_ERROR(sys_cmd_read(protocol.port, message.token, PAGE_SIZE, piece, 10), FAULT);
    CHECK_ERROR(sys_cmd_write(protocol.port, message.token, PAGE_SIZE, piece, 10), FAULT);

    struct abi_return result = {
        .token = message.token, .data = (uintptr_t)piece, .data_length = 2 * PAGE_SIZE};

    MUST(sys_proto_return(protocol.port, &result));
    helper_join(client);
    CHECK_EQUAL(caller.result, -E_FAULT);
    pages_unmap(pages, 1);
    protocol_end(&protocol);
}

/* The kernel never writes where the caller itself may not. */
/* Both lengths share one register of the service. */
TEST(windows_of_register_calls)
{
    struct protocol protocol = protocol_new();
    struct helper *server = helper_process(serve_protocol, &protocol);
    handle_t file = open_uri(&protocol, "test://x", OPEN_READ | OPEN_WRITE);
    static char window[16];
    struct short_completion got;

#define CALL(op, flags, length) \
    sys_file_call_short(file, op, flags, 0, 0, (uintptr_t)window, length, &got)
    for (int again = 0; again < 3; again++) {
        MUST(CALL(OP_READ, COMMAND_OUT, sizeof(window)));
        CHECK_EQUAL(got.values[0], sizeof(window));
        CHECK_ERROR(CALL(OP_READ, COMMAND_OUT, UINT64_C(1) << 32), INVALID);
        CHECK_ERROR(CALL(OP_WRITE, COMMAND_IN, UINT64_C(1) << 32), INVALID);
        CHECK_ERROR(CALL(OP_WRITE, COMMAND_IN, UINT64_C(1) << 62), FAULT);
        CHECK_ERROR(CALL(OP_OPEN, COMMAND_IN, 1), INVALID);
        CHECK_ERROR(CALL(OP_EXCEPTION, 0, 0), INVALID);
    }
#undef CALL
    handle_drop(file);
    protocol_stop(&protocol);
    helper_join(server);
    protocol_end(&protocol);
}

TEST(read_only_windows)
{
    struct protocol protocol = protocol_new();
    struct caller caller = caller_new(&protocol, OP_READ);
    uint8_t *page = pages_map(1);

    page[0] = 7;
    MUST(sys_space_protect(HANDLE_SELF, (uintptr_t)page, PAGE_SIZE, PROT_READ_));
    caller.command.out = (uintptr_t)page;
    caller.command.out_length = 10;
    struct helper *client = helper_thread(call_it, &caller);
    struct abi_message message = accept_op(protocol.port, OP_READ);

    CHECK_ERROR(sys_cmd_write(protocol.port, message.token, 0, "x", 1), FAULT);
    MUST(return_status(protocol.port, message.token, 0, 0));
    helper_join(client);
    CHECK_EQUAL(page[0], 7);
    pages_unmap(page, 1);
    protocol_end(&protocol);
}
