/* Park and replay: what becomes of files and commands when the service's process dies, and when a new one comes. */
#include "tests/guest/protocol.h"

#define GRACE (10 * SECOND) /* kernel/ipc/port.h: PORT_GRACE_NS */

struct call {
    handle_t file; /* HANDLE_NONE: a path call */
    struct protocol *protocol;
    struct abi_command command;
    int64_t result, took;
    char bytes[64];
};

static void call_it(void *argument)
{
    struct call *call = argument;
    int64_t start = now();

    if (call->file != HANDLE_NONE)
        call->result = sys_file_call(call->file, &call->command);
    else
        call->result = path_op(call->protocol->names, "test://x", &call->command);
    call->took = now() - start;
}

/* Accepts one command and dies with it: exits when told to, or is killed. */
struct doomed {
    struct protocol protocol;
    uint32_t accepted;
    uint32_t opens; /* to answer first */
};

static void accept_and_hang(void *argument)
{
    struct doomed *doomed = argument;

    for (uint32_t i = 0; i < doomed->opens; i++)
        serve_open(doomed->protocol.port, 100 + i);
    for (;;) {
        accept_with(doomed->protocol.port, NULL, 0);
        word_add(&doomed->accepted, 1);
    }
}

static struct doomed *doomed_new(uint32_t opens)
{
    struct doomed *doomed = shared(sizeof(*doomed));

    doomed->protocol = protocol_new();
    doomed->opens = opens;
    return doomed;
}

static void doomed_end(struct doomed *doomed)
{
    protocol_end(&doomed->protocol);
    unshare(doomed);
}

/* The service comes late: who called before waits. */
TEST(nobody_serves_yet)
{
    struct doomed *doomed = doomed_new(0);
    struct call call = {
        .file = HANDLE_NONE, .protocol = &doomed->protocol, .command = command_of(TEST_ECHO)};

    call.command.args[0] = 3;
    struct helper *client = helper_thread(call_it, &call);

    sleep_for(50 * MILLISECOND);
    CHECK(!helper_ended(client));
    struct helper *server = helper_process(serve_protocol, &doomed->protocol);

    helper_join(client);
    MUST(call.result);
    CHECK_EQUAL(call.command.values[0], 3);
    helper_kill(server);
    doomed_end(doomed);
}

/* A read that the dead service had accepted is carried out by the next. */
TEST(idempotent_commands_are_sent_again)
{
    struct doomed *doomed = doomed_new(0);
    struct call call = {
        .file = HANDLE_NONE, .protocol = &doomed->protocol, .command = command_of(OP_READ)};

    call.command.args[0] = 2;
    call.command.out = (uintptr_t)call.bytes;
    call.command.out_length = 5;
    struct helper *first = helper_process(accept_and_hang, doomed);
    struct helper *client = helper_thread(call_it, &call);

    word_wait(&doomed->accepted, 1);
    helper_kill(first);
    sleep_for(20 * MILLISECOND);
    CHECK(!helper_ended(client));
    struct helper *second = helper_process(serve_protocol, &doomed->protocol);

    helper_join(client);
    MUST(call.result);
    CHECK(memcmp(call.bytes, "cdefg", 5) == 0);
    helper_kill(second);
    doomed_end(doomed);
}

/* So is what the protocol says of its own may be. */
TEST(a_protocol_s_own_commands_are_sent_again)
{
    struct doomed *doomed = doomed_new(0);
    struct call call = {
        .file = HANDLE_NONE, .protocol = &doomed->protocol, .command = command_of(TEST_ECHO_AGAIN)};

    call.command.args[0] = 7;
    struct helper *first = helper_process(accept_and_hang, doomed);
    struct helper *client = helper_thread(call_it, &call);

    word_wait(&doomed->accepted, 1);
    helper_kill(first);
    struct helper *second = helper_process(serve_protocol, &doomed->protocol);

    helper_join(client);
    MUST(call.result);
    CHECK_EQUAL(call.command.values[0], 7);
    helper_kill(second);
    doomed_end(doomed);
}

TEST(other_commands_fail)
{
    struct doomed *doomed = doomed_new(0);
    struct call call = {
        .file = HANDLE_NONE, .protocol = &doomed->protocol, .command = command_of(OP_UNLINK)};
    struct helper *first = helper_process(accept_and_hang, doomed);
    struct helper *client = helper_thread(call_it, &call);

    word_wait(&doomed->accepted, 1);
    helper_kill(first);
    helper_join(client);
    CHECK_EQUAL(call.result, -E_RESTARTED);
    doomed_end(doomed);
}

/* What was not accepted yet has not been carried out: it waits for the next instance, whatever it is. */
TEST(commands_in_the_queue_stay)
{
    struct doomed *doomed = doomed_new(0);
    struct call calls[3];
    struct helper *clients[3], *first = helper_process_suspended(accept_and_hang, doomed);

    for (uint64_t i = 0; i < 3; i++) {
        calls[i] = (struct call){
            .file = HANDLE_NONE, .protocol = &doomed->protocol, .command = command_of(TEST_ECHO)};
        calls[i].command.args[0] = i;
        clients[i] = helper_thread(call_it, &calls[i]);
    }
    while (system_info().commands != 3)
        sleep_for(MILLISECOND);
    helper_resume(first);
    word_wait(&doomed->accepted, 1);
    helper_kill(first); /* it had some of them; those fail */
    struct helper *second = helper_process(serve_protocol, &doomed->protocol);
    uint32_t failed = 0;

    for (uint64_t i = 0; i < 3; i++) {
        helper_join(clients[i]);
        if (calls[i].result == -E_RESTARTED)
            failed++;
        else
            CHECK_EQUAL(calls[i].command.values[0], i);
    }
    /* The kill may find it between accepting one more and counting that. */
    CHECK(failed == doomed->accepted || failed == doomed->accepted + 1);
    helper_kill(second);
    doomed_end(doomed);
}

/* A command that carried handles cannot be repeated: they went with the service. */
TEST(commands_with_handles_fail)
{
    struct doomed *doomed = doomed_new(0);
    struct call call = {
        .file = HANDLE_NONE, .protocol = &doomed->protocol, .command = command_of(OP_READ)};
    handle_t ends[2];
    struct helper *first = helper_process(accept_and_hang, doomed);

    MUST(sys_stream_pair(0, ends)); /* after the fork: its table has none of it */
    call.command.send[0] = ends[1];
    call.command.send_count = 1;
    struct helper *client = helper_thread(call_it, &call);

    word_wait(&doomed->accepted, 1);
    helper_kill(first);
    helper_join(client);
    CHECK_EQUAL(call.result, -E_RESTARTED);
    signal_wait(ends[0], SIGNAL_HANGUP);
    handle_drop(ends[0]);
    doomed_end(doomed);
}

/* The file is opened again with the new service before its next command: the client sees nothing. */
TEST(files_are_opened_again)
{
    struct protocol *protocol = shared(sizeof(*protocol));

    *protocol = protocol_new();
    struct helper *first = helper_process(serve_protocol, protocol);
    handle_t file = open_uri(protocol, "test://name", OPEN_READ | OPEN_CREATE | OPEN_TRUNCATE);
    char bytes[8];

    CHECK_EQUAL(MUST(read_next(file, bytes, 8)), 8);
    uint64_t server = stat_file(file).inode;

    CHECK_EQUAL(server, first->id);
    helper_kill(first);
    struct helper *second = helper_process(serve_protocol, protocol);

    CHECK_EQUAL(MUST(read_next(file, bytes, 8)), 8); /* the position is the kernel's */
    CHECK(memcmp(bytes, "ijklmnop", 8) == 0);
    struct abi_stat stat = stat_file(file);

    CHECK_EQUAL(stat.inode, second->id);
    CHECK_EQUAL(stat.size, 1); /* once */
    handle_drop(file);
    helper_kill(second);
    protocol_end(protocol);
    unshare(protocol);
}

/* What the new service is told of the old file: its path, and its flags without what must not happen twice. */
TEST(what_is_opened_again)
{
    struct doomed *doomed = doomed_new(1);
    struct helper *first = helper_process(accept_and_hang, doomed);
    handle_t file = open_uri(&doomed->protocol, "test://the/name",
                             OPEN_READ | OPEN_WRITE | OPEN_CREATE | OPEN_EXCLUSIVE | OPEN_TRUNCATE);
    struct call call = {.file = file, .command = command_of(OP_STAT)};
    char path[16];

    helper_kill(first);
    struct helper *client = helper_thread(call_it, &call);
    struct abi_message message = accept_with(doomed->protocol.port, path, sizeof(path));

    CHECK_EQUAL(message.op, OP_OPEN);
    CHECK_EQUAL(message.args[0], OPEN_READ | OPEN_WRITE);
    CHECK_EQUAL(message.file, info_of(file).id);
    CHECK_EQUAL(message.path_length, 8);
    CHECK(memcmp(path, "the/name", 8) == 0);
    MUST(return_status(doomed->protocol.port, message.token, 0, 4711));
    message = accept_op(doomed->protocol.port, OP_STAT);
    CHECK_EQUAL(message.cookie, 4711);
    MUST(return_status(doomed->protocol.port, message.token, 0, 0));
    helper_join(client);
    MUST(call.result);
    handle_drop(file);
    CHECK_EQUAL(accept_kind(doomed->protocol.port, MESSAGE_CLOSE).cookie, 4711);
    doomed_end(doomed);
}

/* The new service does not know the file: the error is the client's, and the next command tries again. */
TEST(reopening_that_fails)
{
    struct doomed *doomed = doomed_new(1);
    struct helper *first = helper_process(accept_and_hang, doomed);
    handle_t file = open_uri(&doomed->protocol, "test://x", OPEN_READ);
    struct call call = {.file = file, .command = command_of(OP_STAT)};

    helper_kill(first);
    struct helper *client = helper_thread(call_it, &call);
    struct abi_message message = accept_op(doomed->protocol.port, OP_OPEN);

    MUST(return_status(doomed->protocol.port, message.token, -E_NOT_FOUND, 0));
    helper_join(client);
    CHECK_EQUAL(call.result, -E_NOT_FOUND);
    client = helper_thread(call_it, &call);
    serve_open(doomed->protocol.port, 5);
    message = accept_op(doomed->protocol.port, OP_STAT);
    CHECK_EQUAL(message.cookie, 5);
    MUST(return_status(doomed->protocol.port, message.token, 0, 0));
    helper_join(client);
    MUST(call.result);
    handle_drop(file);
    doomed_end(doomed);
}

/* Several threads use the lost file: it is opened once. */
TEST(reopened_once)
{
    enum { COUNT = 4 };
    struct protocol *protocol = shared(sizeof(*protocol));
    struct call calls[COUNT];
    struct helper *clients[COUNT];

    *protocol = protocol_new();
    struct helper *server = helper_process(serve_protocol, protocol);
    handle_t file = open_uri(protocol, "test://x", OPEN_READ);

    helper_kill(server);
    for (int i = 0; i < COUNT; i++) {
        calls[i] = (struct call){.file = file, .command = command_of(OP_READ)};
        calls[i].command.out = (uintptr_t)calls[i].bytes;
        calls[i].command.out_length = 8;
        clients[i] = helper_thread(call_it, &calls[i]);
    }
    sleep_for(20 * MILLISECOND);
    server = helper_process(serve_protocol, protocol);
    for (int i = 0; i < COUNT; i++) {
        helper_join(clients[i]);
        MUST(calls[i].result);
        CHECK(memcmp(calls[i].bytes, "abcdefgh", 8) == 0);
    }
    CHECK_EQUAL(stat_file(file).size, 1);
    handle_drop(file);
    helper_kill(server);
    protocol_end(protocol);
    unshare(protocol);
}

/* A file whose service died and that is closed without further use: nobody is told, nothing is left. */
TEST(lost_files_are_closed)
{
    struct doomed *doomed = doomed_new(3);
    struct helper *server = helper_process(accept_and_hang, doomed);
    handle_t files[3];
    struct abi_message message;

    for (int i = 0; i < 3; i++)
        files[i] = open_uri(&doomed->protocol, "test://x", OPEN_READ);
    handle_drop(files[0]); /* its closing may not have been seen */
    helper_kill(server);
    handle_drop(files[1]);
    handle_drop(files[2]);
    CHECK_ERROR(sys_proto_accept(doomed->protocol.port, &message, NULL, 0, DEADLINE_NOW), AGAIN);
    doomed_end(doomed);
}

/* A service that kills itself with each command, restarted again and again: reads go on. */
static void dying_reader(void *argument)
{
    struct protocol *protocol = argument;
    handle_t file = open_uri(protocol, "test://x", OPEN_READ);
    char bytes[16];

    for (int i = 0; i < 200; i++) {
        CHECK_EQUAL(read_at(file, (uint64_t)i, bytes, sizeof(bytes)), sizeof(bytes));
        CHECK_EQUAL(bytes[0], 'a' + i % 26);
    }
    MUST(sys_handle_close(file));
}

TEST(readers_outlive_services)
{
    struct protocol *protocol = shared(sizeof(*protocol));
    struct helper *readers[3];
    int restarts = 0;

    *protocol = protocol_new();
    struct helper *server = helper_process(serve_protocol, protocol);

    for (int i = 0; i < 3; i++)
        readers[i] =
            i ? helper_process(dying_reader, protocol) : helper_thread(dying_reader, protocol);
    while (!helper_ended(readers[0]) || !helper_ended(readers[1]) || !helper_ended(readers[2])) {
        sleep_for(3 * MILLISECOND);
        helper_kill(server);
        server = helper_process(serve_protocol, protocol);
        restarts++;
    }
    for (int i = 0; i < 3; i++)
        helper_join(readers[i]);
    CHECK(restarts > 0);
    helper_kill(server);
    protocol_end(protocol);
    unshare(protocol);
}

/* Two processes serve; one dies: its commands and files go to the other at once. */
TEST(the_other_process_takes_over)
{
    struct protocol *protocol = shared(sizeof(*protocol));

    *protocol = protocol_new();
    struct helper *servers[2] = {helper_process(serve_protocol, protocol), NULL};
    handle_t file = open_uri(protocol, "test://x", OPEN_READ);

    servers[1] = helper_process(serve_protocol, protocol);
    CHECK_EQUAL(stat_file(file).inode, servers[0]->id);
    struct call call = {.file = file, .command = command_of(OP_STAT)};

    helper_kill(servers[0]);
    call_it(&call);
    MUST(call.result);
    CHECK_EQUAL(stat_file(file).inode, servers[1]->id);
    handle_drop(file);
    helper_kill(servers[1]);
    protocol_end(protocol);
    unshare(protocol);
}

/* Interrupted while it waits for a service that is not there. */
TEST(waiting_can_be_interrupted)
{
    struct doomed *doomed = doomed_new(1);
    struct helper *first = helper_process(accept_and_hang, doomed);
    handle_t file = open_uri(&doomed->protocol, "test://x", OPEN_READ);
    struct call call = {.file = file, .command = command_of(OP_STAT)};

    helper_kill(first);
    struct helper *client = helper_thread(call_it, &call);

    sleep_for(50 * MILLISECOND);
    CHECK(!helper_ended(client));
    MUST(sys_thread_control(client->thread, THREAD_INTERRUPT, 0, NULL));
    helper_join(client);
    CHECK_EQUAL(call.result, -E_INTERRUPTED);
    call.command.deadline = after(50 * MILLISECOND);
    call_it(&call);
    CHECK_EQUAL(call.result, -E_TIMED_OUT);
    handle_drop(file);
    doomed_end(doomed);
}

/* The service does not come back: everybody who waits, and who comes later, gets an answer. */
TEST(grace)
{
    struct doomed *doomed = doomed_new(1);
    struct helper *first = helper_process(accept_and_hang, doomed);
    handle_t file = open_uri(&doomed->protocol, "test://x", OPEN_READ);
    struct call calls[2] = {
        {.file = file, .command = command_of(OP_STAT)},
        {.file = HANDLE_NONE, .protocol = &doomed->protocol, .command = command_of(TEST_ECHO)}};
    struct helper *clients[2];

    helper_kill(first);
    for (int i = 0; i < 2; i++) {
        calls[i].command.deadline = 0; /* never */
        clients[i] = helper_thread(call_it, &calls[i]);
    }
    for (int i = 0; i < 2; i++) {
        helper_join(clients[i]);
        CHECK_EQUAL(calls[i].result, -E_SERVICE_DOWN);
        CHECK(calls[i].took > GRACE / 2 && calls[i].took < 2 * GRACE);
    }
    for (int i = 0; i < 2; i++) { /* at once now */
        call_it(&calls[i]);
        CHECK_EQUAL(calls[i].result, -E_SERVICE_DOWN);
        CHECK(calls[i].took < SECOND);
    }
    CHECK_ERROR(open_raw(doomed->protocol.names, "test://x", 0, 0), SERVICE_DOWN);

    /* And it may come back even after that. */
    struct helper *second = helper_process(serve_protocol, &doomed->protocol);

    signal_wait(doomed->protocol.port, SIGNAL_WRITABLE); /* somebody serves */
    CHECK_EQUAL(stat_file(file).inode, second->id);
    handle_drop(file);
    helper_kill(second);
    doomed_end(doomed);
}

/* The supervisor knows that no service will come: who waits for one hears of it at once, and who comes later, by what he has open
 * or by name. What the port kept goes. */
TEST(a_port_that_is_closed)
{
    struct doomed *doomed = doomed_new(1);
    struct helper *first = helper_process(accept_and_hang, doomed);
    handle_t file = open_uri(&doomed->protocol, "test://x", OPEN_READ),
             timer = (handle_t)MUST(sys_timer_create());
    struct call calls[2] = {
        {.file = file, .command = command_of(OP_STAT)},
        {.file = HANDLE_NONE, .protocol = &doomed->protocol, .command = command_of(TEST_ECHO)}};
    struct helper *clients[2];
    struct abi_message message;

    MUST(sys_port_keep(doomed->protocol.port, 1, timer));
    helper_kill(first);
    for (int i = 0; i < 2; i++)
        clients[i] = helper_thread(call_it, &calls[i]);
    sleep_for(50 * MILLISECOND);
    CHECK(!helper_ended(clients[0]) && !helper_ended(clients[1]));
    MUST(sys_port_close(doomed->protocol.port, E_NO_DEVICE));
    for (int i = 0; i < 2; i++) {
        helper_join(clients[i]);
        CHECK_EQUAL(calls[i].result, -E_NO_DEVICE);
        CHECK(calls[i].took < SECOND);
        call_it(&calls[i]);
        CHECK_EQUAL(calls[i].result, -E_NO_DEVICE);
        CHECK(calls[i].took < SECOND / 2);
    }
    CHECK_ERROR(open_raw(doomed->protocol.names, "test://x", 0, 0), NO_DEVICE);
    CHECK_ERROR(sys_proto_accept(doomed->protocol.port, &message, NULL, 0, DEADLINE_NOW), CLOSED);
    CHECK_ERROR(sys_port_keep(doomed->protocol.port, 1, timer), CLOSED);
    MUST(sys_port_close(doomed->protocol.port, E_IO)); /* the first counts */
    CHECK_ERROR(open_raw(doomed->protocol.names, "test://x", 0, 0), NO_DEVICE);
    handle_drop(timer);
    handle_drop(file);
    doomed_end(doomed);
}

/* Under a service that lives: what it has in its hands ends too, and it is told as it accepts. */
static void serve_until_closed(void *argument)
{
    struct doomed *doomed = argument;
    struct abi_message message = accept_with(doomed->protocol.port, NULL, 0);

    word_add(&doomed->accepted, 1);
    CHECK_ERROR(sys_proto_accept(doomed->protocol.port, &message, NULL, 0, DEADLINE_NEVER), CLOSED);
    CHECK_ERROR(return_status(doomed->protocol.port, message.token, 0, 0), CANCELLED);
}

TEST(a_port_that_is_closed_while_it_is_served)
{
    struct doomed *doomed = doomed_new(0);
    struct helper *server = helper_process(serve_until_closed, doomed);
    struct call call = {
        .file = HANDLE_NONE, .protocol = &doomed->protocol, .command = command_of(TEST_ECHO)};
    struct helper *client = helper_thread(call_it, &call);

    word_wait(&doomed->accepted, 1);
    sleep_for(10 * MILLISECOND);
    MUST(sys_port_close(doomed->protocol.port, E_NO_DEVICE));
    helper_join(client);
    CHECK_EQUAL(call.result, -E_NO_DEVICE);
    helper_join(server);
    CHECK(!(info_of(doomed->protocol.port).signals & SIGNAL_WRITABLE));
    doomed_end(doomed);
}

TEST(who_may_close_a_port)
{
    struct protocol protocol = protocol_new();
    handle_t service = (handle_t)MUST(sys_handle_duplicate(
        protocol.port, RIGHT_ACCEPT | RIGHT_SEND | RIGHT_WAIT | RIGHT_DUPLICATE));

    CHECK_ERROR(sys_port_close(service, E_NO_DEVICE), ACCESS);
    CHECK_ERROR(sys_port_close(protocol.port, 0), INVALID);
    CHECK_ERROR(sys_port_close(protocol.port, UINT32_MAX), INVALID);
    handle_drop(service);
    protocol_end(&protocol);
}
