/* The relay under stress: cancellation, deadlines, killed callers, tokens, priorities, several workers and several processes, held
 * commands. */
#include "tests/guest/caller.h"

/* --- Deadlines, interrupts, deaths of callers ------------------------------------------------------------------------ */

TEST(deadline_in_the_queue)
{
    struct protocol protocol = protocol_new();
    struct caller caller = caller_new(&protocol, TEST_ECHO);
    struct abi_message message;

    caller.command.deadline = after(50 * MILLISECOND);
    call_it(&caller);
    CHECK_EQUAL(caller.result, -E_TIMED_OUT);
    CHECK(caller.took >= 40 * MILLISECOND);
    CHECK_ERROR(sys_proto_accept(protocol.port, &message, NULL, 0, DEADLINE_NOW), AGAIN);
    protocol_end(&protocol);
}

TEST(deadline_in_the_past)
{
    struct protocol protocol = protocol_new();
    struct caller caller = caller_new(&protocol, TEST_ECHO);

    caller.command.deadline = 1;
    call_it(&caller);
    CHECK_EQUAL(caller.result, -E_TIMED_OUT);
    caller.command.deadline = -1;
    call_it(&caller);
    CHECK_EQUAL(caller.result, -E_TIMED_OUT);
    protocol_end(&protocol);
}

/* The service has it: it is asked to give it back, and its answer counts. */
TEST(deadline_of_an_accepted_command)
{
    static const struct {
        int64_t status, want;
    } answers[] = {{-E_CANCELLED, -E_TIMED_OUT}, {0, 0}, {-E_IO, -E_IO}};

    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        struct protocol protocol = protocol_new();
        struct caller caller = caller_new(&protocol, TEST_ECHO);

        caller.command.deadline = after(50 * MILLISECOND);
        struct helper *client = helper_thread(call_it, &caller);
        struct abi_message message = accept_op(protocol.port, TEST_ECHO);
        struct abi_message cancel = accept_kind(protocol.port, MESSAGE_CANCEL);

        CHECK_EQUAL(cancel.token, message.token);
        CHECK_EQUAL(cancel.op, TEST_ECHO);
        MUST(return_status(protocol.port, message.token, answers[i].status, 5));
        helper_join(client);
        CHECK_EQUAL(caller.result, answers[i].want);
        if (!answers[i].want)
            CHECK_EQUAL(caller.command.values[0], 5);
        protocol_end(&protocol);
    }
}

/* A service that does not react holds nobody: after a grace the caller leaves, and the late return is discarded. */
TEST(deadline_and_a_deaf_service)
{
    struct protocol protocol = protocol_new();
    struct caller caller = caller_new(&protocol, TEST_ECHO);
    static uint8_t out[100];

    caller.command.deadline = after(20 * MILLISECOND);
    caller.command.out = (uintptr_t)out;
    caller.command.out_length = sizeof(out);
    struct helper *client = helper_thread(call_it, &caller);
    struct abi_message message = accept_op(protocol.port, TEST_ECHO);

    helper_join(client);
    CHECK_EQUAL(caller.result, -E_TIMED_OUT);
    CHECK(caller.took < 10 * SECOND);

    struct abi_return result = {
        .token = message.token,
        .data = (uintptr_t) "late",
        .data_length = 4,
        .handles = {(handle_t)MUST(sys_timer_create())},
        .handle_count = 1,
    };

    CHECK_ERROR(sys_proto_return(protocol.port, &result), CANCELLED);
    CHECK_EQUAL(out[0], 0);
    MUST(sys_handle_close(result.handles[0])); /* not moved */
    CHECK_ERROR(sys_cmd_read(protocol.port, message.token, 0, out, 1), CANCELLED);
    CHECK_ERROR(sys_cmd_write(protocol.port, message.token, 0, "x", 1), CANCELLED);
    /* The cancellation went with the command. */
    CHECK_ERROR(sys_proto_accept(protocol.port, &message, NULL, 0, DEADLINE_NOW), AGAIN);
    protocol_end(&protocol);
}

static void hold_on(void *argument)
{
    call_it(argument);
}

/* It has left, and the service can let go of what it kept for it. */
TEST(a_killed_caller_is_told)
{
    struct protocol protocol = protocol_new();
    struct caller caller = caller_new(&protocol, TEST_ECHO);
    struct helper *client = helper_process(hold_on, &caller);
    struct abi_message message = accept_op(protocol.port, TEST_ECHO), cancel;

    helper_kill(client);
    cancel = accept_kind(protocol.port, MESSAGE_CANCEL);
    CHECK_EQUAL(cancel.token, message.token);
    CHECK_EQUAL(cancel.op, TEST_ECHO);
    CHECK_EQUAL(cancel.cookie, message.cookie);
    CHECK_ERROR(return_status(protocol.port, message.token, 0, 0), CANCELLED);
    CHECK_ERROR(sys_proto_accept(protocol.port, &message, NULL, 0, DEADLINE_NOW), AGAIN);
    protocol_end(&protocol);
}

/* Nobody has it yet: there is nobody to be told. */
TEST(killed_in_the_queue)
{
    struct protocol protocol = protocol_new();
    struct caller caller = caller_new(&protocol, TEST_ECHO);
    struct helper *client = helper_process(hold_on, &caller);
    struct abi_message message;

    signal_wait(protocol.port, SIGNAL_READABLE);
    helper_kill(client);
    CHECK_ERROR(sys_proto_accept(protocol.port, &message, NULL, 0, DEADLINE_NOW), AGAIN);
    protocol_end(&protocol);
}

/* Each of many is told, once, though other callers take over their commands' numbers meanwhile. */
TEST(many_killed_callers)
{
    enum { CALLERS = 20, WAVES = 3 };
    struct protocol protocol = protocol_new();
    struct caller caller = caller_new(&protocol, TEST_ECHO);
    uint64_t tokens[CALLERS * WAVES];

    for (int wave = 0; wave < WAVES; wave++) {
        struct helper *clients[CALLERS];

        for (int i = 0; i < CALLERS; i++)
            clients[i] = helper_process(hold_on, &caller);
        for (int i = 0; i < CALLERS; i++)
            tokens[wave * CALLERS + i] = accept_op(protocol.port, TEST_ECHO).token;
        for (int i = 0; i < CALLERS; i++)
            helper_kill(clients[i]);
        for (int told = 0; told < CALLERS; told++) {
            uint64_t token = accept_kind(protocol.port, MESSAGE_CANCEL).token;
            int found = 0;

            for (int i = 0; i < CALLERS; i++)
                if (tokens[wave * CALLERS + i] == token)
                    found++, tokens[wave * CALLERS + i] = 0;
            CHECK_EQUAL(found, 1);
        }
    }
    protocol_end(&protocol);
}

struct accepting {
    struct protocol protocol;
    uint32_t *accepted;
};

static void accept_one(void *argument)
{
    const struct accepting *accepting = argument;

    accept_op(accepting->protocol.port, TEST_ECHO);
    word_set(accepting->accepted, 1);
    sleep_for(PATIENCE);
}

/* The service does not come to hear of it before it ends as well. */
TEST(a_killed_caller_of_a_killed_service)
{
    struct accepting accepting = {protocol_new(), shared(sizeof(uint32_t))};
    struct helper *server = helper_process(accept_one, &accepting);
    struct caller caller = caller_new(&accepting.protocol, TEST_ECHO);
    struct helper *client = helper_process(hold_on, &caller);

    word_wait(accepting.accepted, 1);
    helper_kill(client);
    helper_kill(server);
    unshare(accepting.accepted);
    protocol_end(&accepting.protocol);
}

TEST(interrupted_in_the_queue)
{
    struct protocol protocol = protocol_new();
    struct caller caller = caller_new(&protocol, TEST_ECHO);
    struct helper *client = helper_thread(call_it, &caller);

    signal_wait(protocol.port, SIGNAL_READABLE);
    MUST(sys_thread_control(client->thread, THREAD_INTERRUPT, 0, NULL));
    helper_join(client);
    CHECK_EQUAL(caller.result, -E_INTERRUPTED);
    protocol_end(&protocol);
}

/* Whoever takes it from the queue hears at once that it is wanted back: what is short is done, what waits is given up. */
TEST(interrupted_in_the_queue_and_accepted)
{
    static const struct {
        int64_t returned, seen;
    } answers[] = {{0, 0}, {-E_CANCELLED, -E_INTERRUPTED}};

    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        struct protocol protocol = protocol_new();
        struct caller caller = caller_new(&protocol, TEST_ECHO);
        struct helper *client = helper_thread(call_it, &caller);

        signal_wait(protocol.port, SIGNAL_READABLE);
        MUST(sys_thread_control(client->thread, THREAD_INTERRUPT, 0, NULL));
        struct abi_message message = accept_op(protocol.port, TEST_ECHO);

        CHECK_EQUAL(accept_kind(protocol.port, MESSAGE_CANCEL).token, message.token);
        MUST(return_status(protocol.port, message.token, answers[i].returned, 5));
        helper_join(client);
        CHECK_EQUAL(caller.result, answers[i].seen);
        if (!caller.result)
            CHECK_EQUAL(caller.command.values[0], 5);
        protocol_end(&protocol);
    }
}

TEST(interrupted_after_acceptance)
{
    struct protocol protocol = protocol_new();
    struct caller caller = caller_new(&protocol, TEST_ECHO);
    struct helper *client = helper_thread(call_it, &caller);
    struct abi_message message = accept_op(protocol.port, TEST_ECHO);

    MUST(sys_thread_control(client->thread, THREAD_INTERRUPT, 0, NULL));
    CHECK_EQUAL(accept_kind(protocol.port, MESSAGE_CANCEL).token, message.token);
    MUST(return_status(protocol.port, message.token, 0, 3)); /* what was done is not lost */
    helper_join(client);
    CHECK_EQUAL(caller.result, 0);
    CHECK_EQUAL(caller.command.values[0], 3);
    protocol_end(&protocol);
}

TEST(restartable_commands_are_not_interrupted)
{
    struct protocol protocol = protocol_new();
    struct caller caller = caller_new(&protocol, TEST_ECHO);
    struct abi_message message, other;

    caller.command.flags = COMMAND_RESTARTABLE;
    struct helper *client = helper_thread(call_it, &caller);

    message = accept_op(protocol.port, TEST_ECHO);
    MUST(sys_thread_control(client->thread, THREAD_INTERRUPT, 0, NULL));
    CHECK_ERROR(sys_proto_accept(protocol.port, &other, NULL, 0, after(50 * MILLISECOND)),
                TIMED_OUT);
    MUST(return_status(protocol.port, message.token, 0, 4));
    helper_join(client);
    CHECK_EQUAL(caller.command.values[0], 4);
    protocol_end(&protocol);
}

struct forked_caller {
    struct protocol protocol;
    uint8_t bytes[3 * PAGE_SIZE];
};

static void call_and_be_killed(void *argument)
{
    struct forked_caller *forked = argument;
    struct caller caller = caller_new(&forked->protocol, OP_READ);

    caller.command.out = (uintptr_t)forked->bytes;
    caller.command.out_length = sizeof(forked->bytes);
    call_it(&caller);
}

TEST(callers_killed_in_the_queue)
{
    struct forked_caller *forked = shared(sizeof(*forked));
    struct abi_message message;

    forked->protocol = protocol_new();
    struct helper *client = helper_process(call_and_be_killed, forked);

    signal_wait(forked->protocol.port, SIGNAL_READABLE);
    helper_kill(client);
    CHECK_ERROR(sys_proto_accept(forked->protocol.port, &message, NULL, 0, DEADLINE_NOW), AGAIN);
    CHECK_EQUAL(system_info().commands, 0);
    protocol_end(&forked->protocol);
    unshare(forked);
}

/* A killed caller leaves at once, and whatever the service still does with the token fails cleanly. */
TEST(callers_killed_after_acceptance)
{
    struct forked_caller *forked = shared(sizeof(*forked));

    forked->protocol = protocol_new();
    struct helper *client = helper_process(call_and_be_killed, forked);
    struct abi_message message = accept_op(forked->protocol.port, OP_READ);

    CHECK_EQUAL(message.caller, client->id);
    int64_t start = now();

    helper_kill(client);
    CHECK(now() - start < SECOND);
    CHECK_ERROR(sys_cmd_write(forked->protocol.port, message.token, 0, "x", 1), CANCELLED);
    CHECK_ERROR(return_status(forked->protocol.port, message.token, 0, 0), CANCELLED);
    CHECK_EQUAL(accept_kind(forked->protocol.port, MESSAGE_CANCEL).token, message.token);
    protocol_end(&forked->protocol);
    unshare(forked);
}

/* Killed again and again while the service copies to it. */
TEST(callers_killed_while_copied_to)
{
    struct forked_caller *forked = shared(sizeof(*forked));
    static uint8_t source[3 * PAGE_SIZE];

    forked->protocol = protocol_new();
    for (int i = 0; i < 30; i++) {
        struct helper *client = helper_process(call_and_be_killed, forked);
        struct abi_message message = accept_op(forked->protocol.port, OP_READ);
        handle_t process = duplicate(client->process, RIGHT_ALL);
        bool killed = false;

        for (int j = 0;; j++) {
            int64_t result =
                sys_cmd_write(forked->protocol.port, message.token, 0, source, sizeof(source));

            if (result == -E_CANCELLED)
                break;
            CHECK_EQUAL(result, sizeof(source));
            if (j == i % 7 && !killed) {
                MUST(sys_process_kill(process, 0));
                killed = true;
            }
            CHECK(j < 100000);
        }
        helper_status(client);
        handle_drop(process);
        CHECK_EQUAL(accept_kind(forked->protocol.port, MESSAGE_CANCEL).token, message.token);
    }
    protocol_end(&forked->protocol);
    unshare(forked);
}

/* --- Tokens ----------------------------------------------------------------------------------------------------------- */

TEST(tokens_are_good_once)
{
    struct protocol protocol = protocol_new();
    struct caller caller = caller_new(&protocol, TEST_ECHO);
    struct helper *client = helper_thread(call_it, &caller);
    struct abi_message message = accept_op(protocol.port, TEST_ECHO);

    MUST(return_status(protocol.port, message.token, 0, 1));
    CHECK_ERROR(return_status(protocol.port, message.token, 0, 2), CANCELLED);
    helper_join(client);
    CHECK_EQUAL(caller.command.values[0], 1);

    /* The same thread sends the next, with the same command: the old token is not good for it. */
    client = helper_thread(call_it, &caller);
    struct abi_message next = accept_op(protocol.port, TEST_ECHO);

    CHECK_ERROR(return_status(protocol.port, message.token, 0, 3), CANCELLED);
    MUST(return_status(protocol.port, next.token, 0, 4));
    helper_join(client);
    CHECK_EQUAL(caller.command.values[0], 4);
    protocol_end(&protocol);
}

TEST(forged_tokens)
{
    struct protocol protocol = protocol_new();
    struct caller caller = caller_new(&protocol, TEST_ECHO);
    struct helper *client = helper_thread(call_it, &caller);
    struct abi_message message = accept_op(protocol.port, TEST_ECHO);
    uint64_t seed = 99;

    for (int i = 0; i < 20000; i++) {
        uint64_t token = test_random(&seed);

        if (i % 2)
            token = (token & UINT64_C(0xff000003ff)) ^ message.token; /* near the real one */
        if (token != message.token)
            CHECK_ERROR(return_status(protocol.port, token, 0, 0), CANCELLED);
    }
    MUST(return_status(protocol.port, message.token, 0, 0));
    helper_join(client);
    protocol_end(&protocol);
}

/* A token belongs to the port it came from and the process it was given to. */
struct thief {
    handle_t port;
    uint64_t token;
    int64_t result;
};

static void return_anothers(void *argument)
{
    struct thief *thief = argument;

    thief->result = return_status(thief->port, thief->token, 0, 666);
}

TEST(tokens_of_others)
{
    struct protocol protocol = protocol_new(), other = protocol_new();
    struct caller caller = caller_new(&protocol, TEST_ECHO);
    struct helper *client = helper_thread(call_it, &caller);
    struct abi_message message = accept_op(protocol.port, TEST_ECHO);
    struct thief *thief = shared(sizeof(*thief));

    *thief = (struct thief){protocol.port, message.token, 0};
    helper_join(helper_process(return_anothers, thief));
    CHECK_EQUAL(thief->result, -E_CANCELLED);
    CHECK_ERROR(return_status(other.port, message.token, 0, 0), CANCELLED);
    MUST(return_status(protocol.port, message.token, 0, 1));
    helper_join(client);
    CHECK_EQUAL(caller.command.values[0], 1);
    unshare(thief);
    protocol_end(&protocol);
    protocol_end(&other);
}

/* --- Order, priority ------------------------------------------------------------------------------------------------------ */

TEST(queue_by_priority_then_order)
{
    enum { COUNT = 6 };
    struct protocol protocol = protocol_new();
    struct caller callers[COUNT];
    struct helper *clients[COUNT];
    static const uint32_t priorities[COUNT] = {0, 3, 0, 7, 3, 0}, order[COUNT] = {3, 1, 4, 0, 2, 5};

    for (uint32_t i = 0; i < COUNT; i++) {
        callers[i] = caller_new(&protocol, TEST_ECHO);
        callers[i].command.args[0] = i;
        clients[i] = helper_thread_suspended(call_it, &callers[i]);
        MUST(sys_thread_control(clients[i]->thread, THREAD_PRIORITY, priorities[i], NULL));
        helper_resume(clients[i]);
        while (system_info().commands != i + 1)
            sleep_for(MILLISECOND);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        struct abi_message message = accept_op(protocol.port, TEST_ECHO);

        CHECK_EQUAL(message.args[0], order[i]);
        CHECK_EQUAL(message.priority, priorities[order[i]]);
        MUST(return_status(protocol.port, message.token, 0, 0));
    }
    for (int i = 0; i < COUNT; i++)
        helper_join(clients[i]);
    MUST(sys_thread_control(HANDLE_SELF, THREAD_PRIORITY, 0, NULL)); /* what it inherited goes */
    protocol_end(&protocol);
}

/* --- Many --------------------------------------------------------------------------------------------------------------- */

static void serve_forever(void *argument)
{
    serve_port(((struct protocol *)argument)->port);
}

struct load {
    struct protocol protocol;
    uint32_t wrong;
    uint64_t servers[16];
};

static void many_calls(void *argument)
{
    struct load *load = argument;
    handle_t file = open_uri(&load->protocol, "test://x", OPEN_READ);
    uint64_t seed = (uintptr_t)&file | 1;
    char bytes[2000];

    for (int i = 0; i < 300; i++) {
        uint64_t offset = test_random(&seed) % (FILE_SIZE - sizeof(bytes)),
                 length = test_random(&seed) % sizeof(bytes);

        if (read_at(file, offset, bytes, length) != (int64_t)length)
            __atomic_fetch_add(&load->wrong, 1, __ATOMIC_SEQ_CST);
        for (uint64_t j = 0; j < length; j++)
            if (bytes[j] != (char)('a' + (offset + j) % 26))
                __atomic_fetch_add(&load->wrong, 1, __ATOMIC_SEQ_CST);
    }
    MUST(sys_handle_close(file));
}

/* Several processes serve, several call; each file stays with the process that opened it. */
TEST(several_processes)
{
    struct load *load = shared(sizeof(*load));
    struct helper *servers[3], *clients[6];

    load->protocol = protocol_new();
    for (int i = 0; i < 3; i++)
        servers[i] = helper_process(serve_forever, &load->protocol);
    for (int i = 0; i < 6; i++)
        clients[i] = i % 2 ? helper_process(many_calls, load) : helper_thread(many_calls, load);
    for (int i = 0; i < 6; i++)
        helper_join(clients[i]);
    CHECK_EQUAL(load->wrong, 0);
    for (int i = 0; i < 3; i++)
        helper_kill(servers[i]);
    protocol_end(&load->protocol);
    unshare(load);
}

struct second {
    struct protocol protocol;
    uint32_t opened, go;
};

static void open_and_echo(void *argument)
{
    struct second *second = argument;

    serve_open(second->protocol.port, 2);
    word_set(&second->opened, 1);
    word_wait(&second->go, 1);
    struct abi_message message = accept_op(second->protocol.port, TEST_ECHO);
    MUST(return_status(second->protocol.port, message.token, 0, 2));
}

struct file_caller {
    handle_t file;
    int64_t result;
};

static void call_file(void *argument)
{
    struct file_caller *caller = argument;

    caller->result = call_op(caller->file, TEST_ECHO);
}

static void open_file(void *argument)
{
    struct second *second = argument;

    handle_drop(open_uri(&second->protocol, "test://own", OPEN_READ));
}

/* A port is readable as long as a command waits for any of its servers, and no longer. */
TEST(readable_with_two_servers)
{
    struct second *second = shared(sizeof(*second));

    second->protocol = protocol_new();
    struct helper *server = helper_process(open_and_echo, second), *own, *callers[2];
    struct file_caller theirs = {.file = open_uri(&second->protocol, "test://", OPEN_READ)};
    struct caller any = caller_new(&second->protocol, TEST_ECHO);

    word_wait(&second->opened, 1);
    CHECK_EQUAL(signals_now(second->protocol.port, SIGNAL_READABLE), 0);
    own = helper_thread(open_file, second); /* makes this process the other server */
    serve_open(second->protocol.port, 1);
    helper_join(own);
    accept_kind(second->protocol.port, MESSAGE_CLOSE);

    callers[0] = helper_thread(call_file, &theirs); /* waits for the helper alone */
    callers[1] = helper_thread(call_it, &any);
    while (system_info().commands != 2)
        sleep_for(MILLISECOND);
    struct abi_message message = accept_op(second->protocol.port, TEST_ECHO);
    CHECK_EQUAL(signals_now(second->protocol.port, SIGNAL_READABLE), SIGNAL_READABLE);
    MUST(return_status(second->protocol.port, message.token, 0, 0));
    helper_join(callers[1]);
    word_set(&second->go, 1);
    helper_join(callers[0]);
    CHECK_EQUAL(theirs.result, 0);
    CHECK_EQUAL(signals_now(second->protocol.port, SIGNAL_READABLE), 0);
    helper_join(server);

    callers[1] = helper_thread(call_it, &any); /* withdrawn */
    signal_wait(second->protocol.port, SIGNAL_READABLE);
    MUST(sys_thread_control(callers[1]->thread, THREAD_INTERRUPT, 0, NULL));
    helper_join(callers[1]);
    CHECK_EQUAL(signals_now(second->protocol.port, SIGNAL_READABLE), 0);
    handle_drop(theirs.file);
    protocol_end(&second->protocol);
    unshare(second);
}

/* Several threads of one process accept on one port. */
static void worker(void *argument)
{
    serve_port(((struct protocol *)argument)->port);
}

static void serve_with_threads(void *argument)
{
    struct helper *others[3];

    for (int i = 0; i < 3; i++)
        others[i] = helper_thread(worker, argument);
    worker(argument);
    for (int i = 0; i < 3; i++)
        helper_join(others[i]);
}

TEST(several_workers)
{
    struct load *load = shared(sizeof(*load));
    struct helper *server, *clients[6];

    load->protocol = protocol_new();
    server = helper_process(serve_with_threads, &load->protocol);
    for (int i = 0; i < 6; i++)
        clients[i] = i % 2 ? helper_process(many_calls, load) : helper_thread(many_calls, load);
    for (int i = 0; i < 6; i++)
        helper_join(clients[i]);
    CHECK_EQUAL(load->wrong, 0);
    helper_kill(server);
    protocol_end(&load->protocol);
    unshare(load);
}

/* While one worker is busy with one command, another takes the next. */
TEST(a_busy_worker_blocks_nobody)
{
    struct protocol protocol = protocol_new();
    struct caller slow = caller_new(&protocol, TEST_ECHO), quick = caller_new(&protocol, TEST_ECHO);
    struct helper *clients[2] = {helper_thread(call_it, &slow), NULL};
    struct abi_message held = accept_op(protocol.port, TEST_ECHO);

    clients[1] = helper_thread(call_it, &quick);
    struct abi_message message = accept_op(protocol.port, TEST_ECHO);

    MUST(return_status(protocol.port, message.token, 0, 0));
    helper_join(clients[1]);
    CHECK(!helper_ended(clients[0]));
    MUST(return_status(protocol.port, held.token, 0, 0));
    helper_join(clients[0]);
    protocol_end(&protocol);
}

/* Held commands are answered in any order, by any thread of the service. */
static void return_from_thread(void *argument)
{
    struct thief *thief = argument;

    MUST(return_status(thief->port, thief->token, 0, thief->token));
}

TEST(held_commands)
{
    enum { COUNT = 8 };
    struct protocol protocol = protocol_new();
    struct caller callers[COUNT];
    struct helper *clients[COUNT];
    uint64_t tokens[COUNT];

    for (int i = 0; i < COUNT; i++) {
        callers[i] = caller_new(&protocol, TEST_ECHO);
        callers[i].command.args[0] = (uint64_t)i;
        clients[i] = helper_thread(call_it, &callers[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        struct abi_message message = accept_op(protocol.port, TEST_ECHO);

        tokens[message.args[0]] = message.token;
    }
    for (int i = COUNT; i-- > 0;) {
        struct thief from = {protocol.port, tokens[i], 0};

        helper_join(helper_thread(return_from_thread, &from));
        helper_join(clients[i]);
        CHECK_EQUAL(callers[i].command.values[0], tokens[i]);
    }
    protocol_end(&protocol);
}

/* One service asks another: the trace is the same on every hop. */
struct hops {
    struct protocol front, back;
    uint64_t traces[2];
};

static void forward(void *argument)
{
    struct hops *hops = argument;
    struct abi_message message = accept_op(hops->front.port, TEST_ECHO);
    struct abi_command command = command_of(TEST_ECHO);

    hops->traces[0] = message.trace;
    command.args[0] = message.args[0] + 1;
    MUST(path_op(hops->back.names, "test://", &command));
    MUST(return_status(hops->front.port, message.token, 0, command.values[0] + 1));
}

static void serve_back(void *argument)
{
    struct hops *hops = argument;
    struct abi_message message = accept_op(hops->back.port, TEST_ECHO);

    hops->traces[1] = message.trace;
    MUST(return_status(hops->back.port, message.token, 0, message.args[0] + 1));
}

TEST(hops_share_a_trace)
{
    struct hops *hops = shared(sizeof(*hops));

    hops->front = protocol_new();
    hops->back = protocol_new();
    struct helper *servers[2] = {helper_process(forward, hops), helper_process(serve_back, hops)};
    struct abi_command command = command_of(TEST_ECHO);

    command.args[0] = 10;
    MUST(path_op(hops->front.names, "test://", &command));
    CHECK_EQUAL(command.values[0], 13);
    helper_join(servers[0]);
    helper_join(servers[1]);
    CHECK_EQUAL(hops->traces[0], hops->traces[1]);
    CHECK(hops->traces[0] != 0);
    protocol_end(&hops->front);
    protocol_end(&hops->back);
    unshare(hops);
}

/* A service that calls itself and nobody is there to serve: the deadline ends it. */
TEST(calling_oneself)
{
    struct protocol protocol = protocol_new();
    struct caller caller = caller_new(&protocol, TEST_ECHO);
    struct abi_message message;

    /* It serves. */
    CHECK_ERROR(sys_proto_accept(protocol.port, &message, NULL, 0, DEADLINE_NOW), AGAIN);
    caller.command.deadline = after(50 * MILLISECOND);
    call_it(&caller);
    CHECK_EQUAL(caller.result, -E_TIMED_OUT);
    protocol_end(&protocol);
}

/* The simple service gives held commands back when asked to. */
TEST(cancellation_by_a_service)
{
    struct protocol protocol = protocol_new();
    struct helper *server = helper_process(serve_protocol, &protocol);
    struct caller caller = caller_new(&protocol, TEST_HOLD);

    caller.command.deadline = after(50 * MILLISECOND);
    call_it(&caller);
    CHECK_EQUAL(caller.result, -E_TIMED_OUT);
    CHECK(caller.took < SECOND); /* not the grace */
    protocol_stop(&protocol);
    helper_join(server);
    protocol_end(&protocol);
}
