/* proto_create, open, file_call, path_call, file_seek: the good case and the argument errors, with a service in another process or
 * a hand-held one in a thread. */
#include "tests/guest/session.h"

TEST(names)
{
    handle_t names = (handle_t)MUST(sys_namespace_create(HANDLE_SELF, NAMESPACE_EMPTY));

    CHECK_ERROR(sys_proto_create(names, "12345678901234567890123456789012", 32), TOO_LONG);
    CHECK_ERROR(sys_proto_create(names, "Upper", 5), INVALID);
    CHECK_ERROR(sys_proto_create(names, "1digit", 6), INVALID);
    CHECK_ERROR(sys_proto_create(names, "a/b", 3), INVALID);
    CHECK_ERROR(sys_proto_create(names, "a:", 2), INVALID);
    CHECK_ERROR(sys_proto_create(names, NULL, 4), FAULT);
    handle_drop((handle_t)MUST(sys_proto_create(names, "a2+-.z", 6)));
    handle_drop((handle_t)MUST(sys_proto_create(names, "", 0)));
    handle_t reader = duplicate(names, RIGHT_READ);

    CHECK_ERROR(sys_proto_create(reader, "test", 4), ACCESS);
    handle_drop(reader);
    handle_drop(names);
}

TEST(open_and_close)
{
    struct session session = session_start();
    handle_t file = open_uri(&session.protocol, "test://x", OPEN_READ);

    CHECK_EQUAL(info_of(file).type, OBJECT_FILE);
    CHECK_EQUAL(info_of(file).rights,
                RIGHT_READ | RIGHT_CONTROL | RIGHT_WAIT | RIGHT_DUPLICATE | RIGHT_TRANSFER);
    CHECK_EQUAL(info_of(file).flags, HANDLE_FLAG_SEEKABLE);
    CHECK_EQUAL(stat_file(file).inode, session.server->id);
    CHECK_EQUAL(stat_file(file).size, 1);
    handle_drop(file);
    session_end(&session);
}

TEST(open_errors)
{
    struct protocol protocol = protocol_new();
    struct abi_open open = {.uri = 1, .uri_length = 1};
    handle_t deaf = duplicate(protocol.names, RIGHT_WRITE);

    CHECK_ERROR(open_raw(protocol.names, "other://x", 0, 0), NO_PROTOCOL);
    CHECK_ERROR(open_raw(protocol.names, "/x", 0, 0), NO_PROTOCOL); /* fs:// is not listed */
    CHECK_ERROR(open_raw(protocol.names, "", 0, 0), NO_PROTOCOL);
    CHECK_ERROR(open_raw(protocol.names, "test:/x", 0, 0), NO_PROTOCOL);
    CHECK_ERROR(open_raw(deaf, "test://x", 0, 0), ACCESS);
    CHECK_ERROR(sys_open(protocol.names, NULL), FAULT);
    CHECK_ERROR(sys_open(protocol.names, &open), FAULT);
    open.uri_length = PATH_LENGTH_MAX + 1;
    CHECK_ERROR(sys_open(protocol.names, &open), TOO_LONG);
    CHECK_ERROR(open_raw(protocol.names, "test://x", 0, after(20 * MILLISECOND)), TIMED_OUT);
    handle_drop(deaf);
    protocol_end(&protocol);
}

/* What the service is told of an open, and what it may answer. */
struct opener {
    struct protocol *protocol;
    const char *uri;
    uint32_t flags;
    int64_t result;
    char link[64];
    uint64_t link_length;
};

static void open_it(void *argument)
{
    struct opener *opener = argument;
    struct abi_open open = {
        .uri = (uintptr_t)opener->uri,
        .uri_length = strlen(opener->uri),
        .flags = opener->flags,
        .mode = 0640,
        .deadline = after(PATIENCE),
        .link = (uintptr_t)opener->link,
        .link_length = sizeof(opener->link),
    };

    opener->result = sys_open(opener->protocol->names, &open);
    opener->link_length = open.link_length;
}

TEST(open_as_the_service_sees_it)
{
    struct protocol protocol = protocol_new();
    struct opener opener = {
        &protocol, "test://some/path", OPEN_READ | OPEN_WRITE | OPEN_CREATE, 0, "", 0};
    struct helper *client = helper_thread(open_it, &opener);
    char bytes[64];
    struct abi_message message = accept_with(protocol.port, bytes, sizeof(bytes));

    CHECK_EQUAL(message.kind, MESSAGE_COMMAND);
    CHECK_EQUAL(message.op, OP_OPEN);
    CHECK_EQUAL(message.args[0], OPEN_READ | OPEN_WRITE | OPEN_CREATE);
    CHECK_EQUAL(message.args[1], 0640);
    CHECK_EQUAL(message.path_length, 9);
    CHECK_EQUAL(message.in_length, 9);
    CHECK_EQUAL(message.data_length, 9);
    CHECK(memcmp(bytes, "some/path", 9) == 0);
    CHECK_EQUAL(message.caller, process_info(HANDLE_SELF).id);
    CHECK(message.file != 0);
    CHECK(message.trace != 0);
    CHECK_EQUAL(message.handle_count, 0);

    struct abi_return result = {.token = message.token, .values = {0xc00c1e, 0, SIGNAL_READABLE}};

    MUST(sys_proto_return(protocol.port, &result));
    helper_join(client);
    handle_t file = (handle_t)MUST(opener.result);

    CHECK_EQUAL(info_of(file).signals, SIGNAL_READABLE);
    CHECK_EQUAL(info_of(file).id, message.file);
    CHECK_EQUAL(info_of(file).flags, 0);
    CHECK_EQUAL(info_of(file).rights & (RIGHT_READ | RIGHT_WRITE), RIGHT_READ | RIGHT_WRITE);

    /* Its last handle is gone: the service gets its cookie back. */
    handle_t copy = duplicate(file, RIGHT_ALL);

    handle_drop(file);
    CHECK_ERROR(sys_proto_accept(protocol.port, &message, NULL, 0, DEADLINE_NOW), AGAIN);
    handle_drop(copy);
    message = accept_kind(protocol.port, MESSAGE_CLOSE);
    CHECK_EQUAL(message.cookie, 0xc00c1e);
    protocol_end(&protocol);
}

TEST(open_that_fails)
{
    struct protocol protocol = protocol_new();
    struct opener opener = {&protocol, "test://x", 0, 0, "", 0};
    struct helper *client = helper_thread(open_it, &opener);
    struct abi_message message = accept_op(protocol.port, OP_OPEN);

    MUST(return_status(protocol.port, message.token, -E_NOT_FOUND, 0));
    helper_join(client);
    CHECK_EQUAL(opener.result, -E_NOT_FOUND);
    /* No file came of it, so none is closed. */
    CHECK_ERROR(sys_proto_accept(protocol.port, &message, NULL, 0, after(20 * MILLISECOND)),
                TIMED_OUT);
    protocol_end(&protocol);
}

TEST(open_answered_with_a_link)
{
    struct protocol protocol = protocol_new();
    struct opener opener = {&protocol, "test://x", 0, 0, "", 0};
    struct helper *client = helper_thread(open_it, &opener);
    struct abi_message message = accept_op(protocol.port, OP_OPEN);
    struct abi_return result = {
        .token = message.token,
        .status = -E_LINK,
        .values = {10},
        .data = (uintptr_t) "other://yz",
        .data_length = 10,
    };

    CHECK_EQUAL(message.out_length, sizeof(opener.link));
    MUST(sys_proto_return(protocol.port, &result));
    helper_join(client);
    CHECK_EQUAL(opener.result, -E_LINK);
    CHECK_EQUAL(opener.link_length, 10);
    CHECK(memcmp(opener.link, "other://yz", 10) == 0);
    protocol_end(&protocol);
}

/* A service may answer with a handle instead: that is then what open returns. */
TEST(open_answered_with_a_handle)
{
    struct protocol protocol = protocol_new();
    struct opener opener = {&protocol, "test://x", 0, 0, "", 0};
    struct helper *client = helper_thread(open_it, &opener);
    struct abi_message message = accept_op(protocol.port, OP_OPEN);
    handle_t timer = (handle_t)MUST(sys_timer_create());
    uint64_t id = info_of(timer).id;
    struct abi_return result = {.token = message.token, .handles = {timer}, .handle_count = 1};

    MUST(sys_proto_return(protocol.port, &result));
    CHECK_ERROR(sys_handle_close(timer), BAD_HANDLE); /* moved */
    helper_join(client);
    CHECK_EQUAL(info_of((handle_t)MUST(opener.result)).id, id);
    handle_drop((handle_t)opener.result);
    CHECK_ERROR(sys_proto_accept(protocol.port, &message, NULL, 0, DEADLINE_NOW), AGAIN);
    protocol_end(&protocol);
}

TEST(reading_and_writing)
{
    struct session session = session_start();
    handle_t file = open_uri(&session.protocol, "test://x", OPEN_READ | OPEN_WRITE);
    char bytes[100];

    CHECK_EQUAL(MUST(read_at(file, 5, bytes, sizeof(bytes))), 100);
    for (int i = 0; i < 100; i++)
        CHECK_EQUAL(bytes[i], 'a' + (5 + i) % 26);
    CHECK_EQUAL(MUST(read_at(file, FILE_SIZE - 10, bytes, sizeof(bytes))), 10);
    CHECK_EQUAL(MUST(read_at(file, FILE_SIZE, bytes, sizeof(bytes))), 0);
    CHECK_EQUAL(MUST(write_at(file, 0, bytes, 77)), 77);
    handle_drop(file);
    session_end(&session);
}

TEST(rights_of_operations)
{
    struct session session = session_start();
    handle_t reader = open_uri(&session.protocol, "test://x", OPEN_READ);
    handle_t writer = open_uri(&session.protocol, "test://x", OPEN_WRITE);
    char byte = 0;

    MUST(read_at(reader, 0, &byte, 1));
    CHECK_ERROR(write_at(reader, 0, &byte, 1), ACCESS);
    CHECK_ERROR(call_op(reader, OP_TRUNCATE), ACCESS);
    MUST(write_at(writer, 0, &byte, 1));
    CHECK_ERROR(read_at(writer, 0, &byte, 1), ACCESS);
    CHECK_ERROR(call_op(writer, OP_LIST), ACCESS);
    handle_drop(reader);
    handle_drop(writer);
    session_end(&session);
}

TEST(command_errors)
{
    struct session session = session_start();
    handle_t file = open_uri(&session.protocol, "test://x", OPEN_READ | OPEN_WRITE);
    struct abi_command command = command_of(OP_OPEN);

    CHECK_ERROR(sys_file_call(file, NULL), FAULT);
    CHECK_ERROR(sys_file_call(file, &command), INVALID);
    command = command_of(TEST_ECHO);
    command.send_count = COMMAND_HANDLES + 1;
    CHECK_ERROR(sys_file_call(file, &command), INVALID);
    command.send_count = 1;
    command.send[0] = 12345678;
    CHECK_ERROR(sys_file_call(file, &command), BAD_HANDLE);
    command = command_of(OP_READ);
    command.out = UINT64_C(0xffff800000000000);
    command.out_length = 10;
    CHECK_ERROR(sys_file_call(file, &command), FAULT);
    command = command_of(OP_WRITE);
    command.in = UINT64_C(0x7ffffffff000) - 5;
    command.in_length = 10;
    CHECK_ERROR(sys_file_call(file, &command), FAULT);
    command.in = 0;
    command.in_length = UINT64_MAX;
    CHECK_ERROR(sys_file_call(file, &command), FAULT);
    CHECK_ERROR(read_at(file, 0, (void *)16, 10), FAULT); /* in user space, but nothing is there */
    CHECK_ERROR(call_op(file, 0x777), NO_CALL);           /* the service's answer */
    handle_drop(file);
    session_end(&session);
}

TEST(values)
{
    struct session session = session_start();
    handle_t file = open_uri(&session.protocol, "test://x", 0);
    struct abi_command command = command_of(TEST_ECHO);

    for (int i = 0; i < 4; i++)
        command.args[i] = UINT64_MAX - (uint64_t)i;
    MUST(sys_file_call(file, &command));
    for (int i = 0; i < 3; i++)
        CHECK_EQUAL(command.values[i], UINT64_MAX - (uint64_t)i);
    CHECK_EQUAL(command.receive_count, 0);
    handle_drop(file);
    session_end(&session);
}

TEST(positions)
{
    struct session session = session_start();
    handle_t file = open_uri(&session.protocol, "test://x", OPEN_READ | OPEN_WRITE);
    handle_t copy = duplicate(file, RIGHT_ALL);
    char bytes[26];

    CHECK_EQUAL(MUST(read_next(file, bytes, 10)), 10);
    CHECK_EQUAL(bytes[0], 'a');
    CHECK_EQUAL(MUST(read_next(copy, bytes, 10)), 10); /* one position for all duplicates */
    CHECK_EQUAL(bytes[0], 'k');
    CHECK_EQUAL(MUST(read_at(file, 3, bytes, 1)), 1); /* does not move it */
    CHECK_EQUAL(bytes[0], 'd');
    CHECK_EQUAL(MUST(sys_file_seek(file, 0, SEEK_CUR_)), 20);
    CHECK_EQUAL(MUST(sys_file_seek(file, -5, SEEK_CUR_)), 15);
    CHECK_EQUAL(MUST(sys_file_seek(copy, 100, SEEK_SET_)), 100);
    CHECK_EQUAL(MUST(read_next(file, bytes, 1)), 1);
    CHECK_EQUAL(bytes[0], 'a' + 100 % 26);
    CHECK_ERROR(sys_file_seek(file, -1, SEEK_SET_), INVALID);
    CHECK_ERROR(sys_file_seek(file, -102, SEEK_CUR_), INVALID);
    CHECK_ERROR(sys_file_seek(file, 0, 2), INVALID);
    MUST(sys_file_seek(file, INT64_MAX, SEEK_SET_));
    CHECK_ERROR(sys_file_seek(file, 1, SEEK_CUR_), INVALID);
    handle_drop(file);
    handle_drop(copy);
    session_end(&session);
}

TEST(no_position)
{
    struct protocol protocol = protocol_new();
    struct opener opener = {&protocol, "test://x", OPEN_READ, 0, "", 0};
    struct helper *client = helper_thread(open_it, &opener);
    struct abi_message message = accept_op(protocol.port, OP_OPEN);

    MUST(return_status(protocol.port, message.token, 0, 1));
    helper_join(client);
    CHECK_ERROR(sys_file_seek((handle_t)opener.result, 0, SEEK_SET_), NOT_SEEKABLE);
    handle_drop((handle_t)opener.result);
    protocol_end(&protocol);
}

TEST(appending)
{
    struct session session = session_start();
    handle_t file = open_uri(&session.protocol, "test://x", OPEN_WRITE | OPEN_APPEND);
    struct abi_command command = command_of(OP_WRITE);

    CHECK_EQUAL(info_of(file).flags, HANDLE_FLAG_SEEKABLE | HANDLE_FLAG_APPEND);
    command.flags = COMMAND_POSITION;
    command.in = (uintptr_t) "abc";
    command.in_length = 3;
    MUST(sys_file_call(file, &command));
    CHECK_EQUAL(MUST(sys_file_seek(file, 0, SEEK_CUR_)),
                FILE_SIZE + 3); /* where the service says it ends now */
    MUST(sys_handle_flags(file, HANDLE_FLAG_APPEND, 0));
    MUST(sys_file_seek(file, 7, SEEK_SET_));
    MUST(sys_file_call(file, &command));
    CHECK_EQUAL(MUST(sys_file_seek(file, 0, SEEK_CUR_)), 10);
    handle_drop(file);
    session_end(&session);
}

/* Readers of one file with the position take different parts, whoever comes first. */
struct sharing {
    handle_t file;
    uint32_t taken[64];
};

static void read_pieces(void *argument)
{
    struct sharing *sharing = argument;
    char bytes[26];

    for (int i = 0; i < 16; i++) {
        struct abi_command command = command_of(OP_READ);

        command.flags = COMMAND_POSITION;
        command.out = (uintptr_t)bytes;
        command.out_length = 1;
        MUST(sys_file_call(sharing->file, &command));
        CHECK(bytes[0] >= 'a' && bytes[0] <= 'z');
        __atomic_fetch_add(&sharing->taken[bytes[0] - 'a'], 1, __ATOMIC_SEQ_CST);
    }
}

TEST(positions_are_shared_fairly)
{
    struct session session = session_start();
    struct sharing sharing = {.file = open_uri(&session.protocol, "test://x", OPEN_READ)};
    struct helper *threads[4];

    for (int i = 0; i < 4; i++)
        threads[i] = helper_thread(read_pieces, &sharing);
    for (int i = 0; i < 4; i++)
        helper_join(threads[i]);
    for (int i = 0; i < 26; i++) /* 64 bytes: 2 alphabets and 12 letters */
        CHECK_EQUAL(sharing.taken[i], i < 12 ? 3 : 2);
    CHECK_EQUAL(MUST(sys_file_seek(sharing.file, 0, SEEK_CUR_)), 64);
    handle_drop(sharing.file);
    session_end(&session);
}

TEST(path_calls)
{
    struct protocol protocol = protocol_new();
    struct path_caller caller = {&protocol, command_of(OP_RENAME), 0, HANDLE_NONE};

    caller.command.in = (uintptr_t) "new name";
    caller.command.in_length = 8;
    struct helper *client = helper_thread(call_it, &caller);
    char bytes[64];
    struct abi_message message = accept_with(protocol.port, bytes, sizeof(bytes));

    CHECK_EQUAL(message.op, OP_RENAME);
    CHECK_EQUAL(message.file, 0);
    CHECK_EQUAL(message.cookie, 0);
    CHECK_EQUAL(message.path_length, 8);
    CHECK_EQUAL(message.in_length, 16);
    CHECK_EQUAL(message.data_length, 16);
    CHECK(memcmp(bytes, "dir/namenew name", 16) == 0);
    MUST(return_status(protocol.port, message.token, 0, 55));
    helper_join(client);
    MUST(caller.result);
    CHECK_EQUAL(caller.command.values[0], 55);
    protocol_end(&protocol);
}

TEST(path_call_errors)
{
    struct protocol protocol = protocol_new();
    struct abi_command command = command_of(OP_OPEN);

    CHECK_ERROR(sys_path_call(protocol.names, NULL), FAULT);
    CHECK_ERROR(path_op(protocol.names, "test://x", &command), INVALID);
    command = command_of(OP_STAT);
    CHECK_ERROR(path_op(protocol.names, "nothing://x", &command), NO_PROTOCOL);
    protocol_end(&protocol);
}

/* --- Handles travel both ways ------------------------------------------------------------------------------------ */

TEST(handles_to_the_service)
{
    struct protocol protocol = protocol_new();
    struct path_caller caller = {&protocol, command_of(TEST_ECHO), 0, HANDLE_NONE};
    handle_t timer = (handle_t)MUST(sys_timer_create());
    handle_t weak = duplicate(timer, RIGHT_WAIT | RIGHT_TRANSFER);
    uint64_t id = info_of(weak).id;

    caller.command.send[0] = weak;
    caller.command.send[1] = (handle_t)MUST(sys_memory_create(PAGE_SIZE, 0));
    caller.command.send_count = 2;
    struct helper *client = helper_thread(call_it, &caller);
    struct abi_message message = accept_op(protocol.port, TEST_ECHO);

    CHECK_EQUAL(message.handle_count, 2);
    CHECK_EQUAL(info_of(message.handles[0]).id, id);
    CHECK_EQUAL(info_of(message.handles[0]).rights, RIGHT_WAIT | RIGHT_TRANSFER);
    CHECK_EQUAL(info_of(message.handles[1]).type, OBJECT_MEMORY);
    CHECK_ERROR(sys_handle_close(weak), BAD_HANDLE);
    MUST(return_status(protocol.port, message.token, -E_IO,
                       0)); /* whatever becomes of it: they are the service's */
    helper_join(client);
    CHECK_EQUAL(caller.result, -E_IO);
    handle_drop(message.handles[0]);
    handle_drop(message.handles[1]);
    handle_drop(timer);
    protocol_end(&protocol);
}

TEST(handles_without_the_right_stay)
{
    struct protocol protocol = protocol_new();
    struct abi_command command = command_of(TEST_ECHO);
    handle_t timer = (handle_t)MUST(sys_timer_create()), stays = duplicate(timer, RIGHT_WAIT);
    handle_t other = (handle_t)MUST(sys_timer_create());

    command.send[0] = other;
    command.send[1] = stays;
    command.send_count = 2;
    CHECK_ERROR(path_op(protocol.names, "test://x", &command), ACCESS);
    command.send[1] = other;
    CHECK_ERROR(path_op(protocol.names, "test://x", &command), INVALID); /* twice the same */
    MUST(sys_handle_close(other));
    MUST(sys_handle_close(stays));
    MUST(sys_handle_close(timer));
    protocol_end(&protocol);
}

/* Handles of a command nobody accepted are gone with it: they were on their way. */
TEST(handles_of_a_command_that_timed_out)
{
    struct protocol protocol = protocol_new();
    struct abi_command command = command_of(TEST_ECHO);
    handle_t ends[2];

    MUST(sys_stream_pair(0, ends));
    command.send[0] = ends[1];
    command.send_count = 1;
    command.deadline = after(20 * MILLISECOND);
    CHECK_ERROR(path_op(protocol.names, "test://x", &command), TIMED_OUT);
    CHECK_EQUAL(signals_now(ends[0], SIGNAL_HANGUP) & SIGNAL_HANGUP, SIGNAL_HANGUP);
    handle_drop(ends[0]);
    protocol_end(&protocol);
}

TEST(handles_to_the_caller)
{
    struct protocol protocol = protocol_new();
    struct path_caller caller = {&protocol, command_of(OP_MAP), 0, HANDLE_NONE};
    struct helper *client = helper_thread(call_it, &caller);
    struct abi_message message = accept_op(protocol.port, OP_MAP);
    struct abi_return result = {.token = message.token, .handle_count = COMMAND_HANDLES};
    uint64_t ids[COMMAND_HANDLES];

    for (unsigned i = 0; i < COMMAND_HANDLES; i++) {
        result.handles[i] = (handle_t)MUST(sys_timer_create());
        ids[i] = info_of(result.handles[i]).id;
    }
    MUST(sys_proto_return(protocol.port, &result));
    helper_join(client);
    MUST(caller.result);
    CHECK_EQUAL(caller.command.receive_count, COMMAND_HANDLES);
    for (unsigned i = 0; i < COMMAND_HANDLES; i++) {
        CHECK_EQUAL(info_of(caller.command.receive[i]).id, ids[i]);
        handle_drop(caller.command.receive[i]);
    }
    protocol_end(&protocol);
}

/* An error answer takes no handles to the caller, and does not lose them either. */
TEST(handles_of_an_error)
{
    struct protocol protocol = protocol_new();
    struct path_caller caller = {&protocol, command_of(OP_MAP), 0, HANDLE_NONE};
    struct helper *client = helper_thread(call_it, &caller);
    struct abi_message message = accept_op(protocol.port, OP_MAP);
    struct abi_return result = {
        .token = message.token,
        .status = -E_IO,
        .handles = {(handle_t)MUST(sys_timer_create())},
        .handle_count = 1,
    };

    MUST(sys_proto_return(protocol.port, &result));
    helper_join(client);
    CHECK_EQUAL(caller.result, -E_IO);
    CHECK_EQUAL(caller.command.receive_count, 0);
    protocol_end(&protocol);
}
