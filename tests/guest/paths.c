/* path_call and open: every road they take (a worker parked on this CPU, its buffer too small, nobody there, URIs that need the
 * heap), what both sides see, every error, and services and callers that go in the middle. */
#include "tests/guest/protocol.h"

#define URI_SHORT 256u /* kernel/proto/calls.c: TARGET_ROOM */

/* --- A service that is parked with a buffer -------------------------------------------------------------------------- */

struct served {
    struct protocol protocol;
    uint64_t size;           /* of the buffer */
    uint32_t accepted, hang; /* hang: with the first command that is not OPEN */
    char written[16];
};

static char buffer[PATH_LENGTH_MAX + 64];

static bool named(const struct abi_message *message, const char *name)
{
    return message->path_length == strlen(name) && message->data_length >= message->path_length &&
           memcmp(buffer, name, message->path_length) == 0;
}

static void answer_open(const struct abi_message *message, struct abi_return *result)
{
    result->values[0] = 0xc00c1e;
    result->values[1] = HANDLE_FLAG_SEEKABLE | (named(message, "silent") ? HANDLE_FLAG_SILENT : 0);
    result->values[2] = SIGNAL_READABLE;
    if (named(message, "broken"))
        result->status = -E_IO;
    if (named(message, "timer") || named(message, "broken")) {
        result->handles[0] = (handle_t)MUST(sys_timer_create());
        result->handle_count = 1;
    }
}

/* READLINK: the path comes back; WRITE: what stands behind it; TEST_ECHO: the arguments. */
static void answer(struct served *served, const struct abi_message *message,
                   struct abi_return *result)
{
    static const char link[] = "other://yz";

    *result = (struct abi_return){.token = message->token};
    if (named(message, "none")) {
        result->status = -E_NOT_FOUND;
    } else if (named(message, "link")) {
        result->status = -E_LINK;
        result->data = (uintptr_t)link;
        result->data_length = result->values[0] = strlen(link);
    } else if (message->op == OP_OPEN) {
        answer_open(message, result);
    } else if (message->op == OP_READLINK || message->op == OP_WRITE) {
        uint64_t skip = message->op == OP_WRITE ? message->path_length : 0;

        if (message->in_length > served->size)
            MUST(sys_cmd_read(served->protocol.port, message->token, 0, buffer, sizeof(buffer)));
        if (skip)
            memcpy(served->written, buffer + skip,
                   MIN(message->in_length - skip, sizeof(served->written)));
        result->data = (uintptr_t)buffer + skip;
        result->data_length = result->values[0] = message->in_length - skip;
    } else {
        memcpy(result->values, message->args, sizeof(result->values));
    }
}

static void serve(void *argument)
{
    struct served *served = argument;
    struct abi_return result = {0};
    struct abi_message message;

    for (;;) {
        MUST(sys_proto_return_accept(served->protocol.port, &result, &message, buffer, served->size,
                                     DEADLINE_NEVER));
        result.token = 0;
        if (message.kind != MESSAGE_COMMAND)
            continue;
        word_add(&served->accepted, 1);
        if (word_get(&served->hang) && message.op != OP_OPEN)
            sleep_for(PATIENCE);
        answer(served, &message, &result);
        if (result.handle_count) {
            MUST(sys_proto_return(served->protocol.port, &result));
            result = (struct abi_return){0};
        }
    }
}

static struct served *served_new(uint64_t size)
{
    struct served *served = shared(sizeof(*served));

    served->protocol = protocol_new();
    served->size = size;
    return served;
}

static void served_end(struct served *served, struct helper *server)
{
    helper_kill(server);
    protocol_end(&served->protocol);
    unshare(served);
}

/* --- The client ------------------------------------------------------------------------------------------------------ */

struct asked {
    uint64_t values[3];
};

static int64_t ask_raw(handle_t names, const char *uri, size_t length,
                       const struct abi_command *command, struct asked *got)
{
    struct abi_path_call call = {.uri = (uintptr_t)uri, .uri_length = length, .command = *command};
    int64_t result = sys_path_call(names, &call);

    memcpy(got->values, call.command.values, sizeof(got->values));
    CHECK_EQUAL(call.command.receive_count, 0);
    return result;
}

/* flags: COMMAND_IN or COMMAND_OUT: which way the window is lent. */
static struct abi_command command_with(uint32_t op, uint32_t flags, void *window, uint64_t length)
{
    struct abi_command command = {.op = op}; /* a deadline does not fit into registers */

    if (flags & COMMAND_IN) {
        command.in = (uintptr_t)window;
        command.in_length = length;
    }
    if (flags & COMMAND_OUT) {
        command.out = (uintptr_t)window;
        command.out_length = length;
    }
    return command;
}

static int64_t ask(const struct served *served, const char *uri, uint32_t op, uint32_t flags,
                   void *window, uint64_t length, struct asked *got)
{
    struct abi_command command = command_with(op, flags, window, length);

    return ask_raw(served->protocol.names, uri, strlen(uri), &command, got);
}

static int64_t open_with(handle_t names, const char *uri, size_t length, uint32_t flags, char *link,
                         size_t room, uint64_t *link_length)
{
    struct abi_open open = {
        .uri = (uintptr_t)uri,
        .uri_length = length,
        .flags = flags,
        .link = (uintptr_t)link,
        .link_length = room,
    };
    int64_t result = sys_open(names, &open);

    *link_length = open.link_length;
    return result;
}

static int64_t open_named(const struct served *served, const char *uri, uint32_t flags)
{
    uint64_t none;

    return open_with(served->protocol.names, uri, strlen(uri), flags, NULL, 0, &none);
}

/* "test://aaaa...", so long that the whole of it has this length. */
static const char *uri_of(size_t length)
{
    static char uri[PATH_LENGTH_MAX + 2];

    memset(uri, 'a', length);
    memcpy(uri, "test://", 7);
    uri[length] = '\0';
    return uri;
}

static void paths_arrive(uint64_t size)
{
    static const size_t lengths[] = {
        7, 8, 11, 16, 100, URI_SHORT - 1, URI_SHORT, URI_SHORT + 1, 1000, PATH_LENGTH_MAX};
    struct served *served = served_new(size);
    struct helper *server = helper_process(serve, served);
    struct asked got;
    char back[PATH_LENGTH_MAX];

    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        for (int again = 0; again < 3; again++) { /* the first call may come before the service */
            const char *uri = uri_of(lengths[i]);

            memset(back, 0, sizeof(back));
            MUST(ask(served, uri, OP_READLINK, COMMAND_OUT, back, sizeof(back), &got));
            CHECK_EQUAL(got.values[0], lengths[i] - 7);
            CHECK(memcmp(back, uri + 7, lengths[i] - 7) == 0);
        }
    }
    served_end(served, server);
}

TEST(paths_of_every_length)
{
    paths_arrive(sizeof(buffer));
}

/* What does not fit into the buffer is fetched by cmd_read. */
TEST(paths_longer_than_the_buffer)
{
    paths_arrive(9);
    paths_arrive(0);
}

TEST(in_bytes_behind_the_path)
{
    struct served *served = served_new(sizeof(buffer));
    struct helper *server = helper_process(serve, served);
    struct asked got;

    for (int again = 0; again < 3; again++) {
        MUST(ask(served, "test://some/path", OP_WRITE, COMMAND_IN, (char[]){"behind"}, 6, &got));
        CHECK_EQUAL(got.values[0], 6);
        CHECK(memcmp(served->written, "behind", 6) == 0);
        memset(served->written, 0, sizeof(served->written));
    }
    served_end(served, server);
}

TEST(arguments_and_values)
{
    struct served *served = served_new(sizeof(buffer));
    struct helper *server = helper_process(serve, served);
    struct abi_command command = {.op = TEST_ECHO};
    struct asked got;

    for (uint64_t i = 0; i < 3; i++)
        command.args[i] = 11 + i;
    for (int again = 0; again < 3; again++) {
        MUST(ask_raw(served->protocol.names, "test://x", 8, &command, &got));
        for (uint64_t i = 0; i < 3; i++)
            CHECK_EQUAL(got.values[i], 11 + i);
    }
    served_end(served, server);
}

TEST(what_the_service_answers)
{
    struct served *served = served_new(sizeof(buffer));
    struct helper *server = helper_process(serve, served);
    struct asked got;
    char back[64] = "";

    for (int again = 0; again < 3; again++) {
        CHECK_ERROR(ask(served, "test://none", TEST_ECHO, 0, NULL, 0, &got), NOT_FOUND);
        CHECK_ERROR(ask(served, "test://link", OP_STAT, COMMAND_OUT, back, sizeof(back), &got),
                    LINK);
        CHECK_EQUAL(got.values[0], 10);
        CHECK(memcmp(back, "other://yz", 10) == 0);
        CHECK_ERROR(ask(served, "test://x", OP_READLINK, COMMAND_OUT, (void *)16, 100, &got),
                    FAULT);
    }
    served_end(served, server);
}

TEST(refused_path_calls)
{
    struct served *served = served_new(sizeof(buffer));
    handle_t names = served->protocol.names, deaf = duplicate(names, RIGHT_WRITE);
    struct abi_command command;
    struct asked got;

#define PATH_CALL(handle, uri, length, op, flags, window, size)            \
    (command = command_with(op, flags, (void *)(uintptr_t)(window), size), \
     ask_raw(handle, uri, length, &command, &got))
    CHECK_ERROR(PATH_CALL(names, "other://x", 9, OP_STAT, 0, 0, 0), NO_PROTOCOL);
    CHECK_ERROR(PATH_CALL(names, "/x", 2, OP_STAT, 0, 0, 0), NO_PROTOCOL); /* fs:// is not listed */
    CHECK_ERROR(PATH_CALL(names, "", 0, OP_STAT, 0, 0, 0), NO_PROTOCOL);
    CHECK_ERROR(PATH_CALL(names, "test:/xxx", 9, OP_STAT, 0, 0, 0), NO_PROTOCOL);
    CHECK_ERROR(PATH_CALL(names, "tes://xxx", 9, OP_STAT, 0, 0, 0), NO_PROTOCOL);
    CHECK_ERROR(PATH_CALL(names, "test\0\0://x", 10, OP_STAT, 0, 0, 0), NO_PROTOCOL);
    CHECK_ERROR(PATH_CALL(names, "testtesttest://x", 16, OP_STAT, 0, 0, 0), NO_PROTOCOL);
    CHECK_ERROR(PATH_CALL(12345678, "test://x", 8, OP_STAT, 0, 0, 0), BAD_HANDLE);
    CHECK_ERROR(PATH_CALL(HANDLE_NONE, "test://x", 8, OP_STAT, 0, 0, 0), BAD_HANDLE);
    CHECK_ERROR(PATH_CALL(served->protocol.port, "test://x", 8, OP_STAT, 0, 0, 0), WRONG_TYPE);
    CHECK_ERROR(PATH_CALL(deaf, "test://x", 8, OP_STAT, 0, 0, 0), ACCESS);
    CHECK_ERROR(PATH_CALL(names, NULL, 8, OP_STAT, 0, 0, 0), FAULT);
    CHECK_ERROR(PATH_CALL(names, (char *)UINT64_C(0xffff800000000000), 8, OP_STAT, 0, 0, 0), FAULT);
    CHECK_ERROR(PATH_CALL(names, (char *)UINT64_C(0x7ffffffff000) - 4, 1000, OP_STAT, 0, 0, 0),
                FAULT);
    CHECK_ERROR(PATH_CALL(names, uri_of(8), PATH_LENGTH_MAX + 1, OP_STAT, 0, 0, 0), TOO_LONG);
    CHECK_ERROR(PATH_CALL(names, uri_of(8), UINT32_MAX, OP_STAT, 0, 0, 0), TOO_LONG);
    CHECK_ERROR(PATH_CALL(names, "test://x", 8, OP_OPEN, 0, 0, 0), INVALID);
    CHECK_ERROR(PATH_CALL(names, "test://x", 8, OP_PAGE_IN, 0, 0, 0), INVALID);
    CHECK_ERROR(
        PATH_CALL(names, "test://x", 8, OP_READ, COMMAND_OUT, UINT64_C(0xffff800000000000), 1),
        FAULT);
    CHECK_ERROR(PATH_CALL(names, "test://x", 8, OP_READ, COMMAND_IN, 0, UINT64_MAX), FAULT);
#undef PATH_CALL
    handle_drop(deaf);
    protocol_end(&served->protocol);
    unshare(served);
}

/* --- Opening --------------------------------------------------------------------------------------------------------- */

TEST(opening)
{
    struct served *served = served_new(sizeof(buffer));
    struct helper *server = helper_process(serve, served);

    for (int again = 0; again < 3; again++) {
        handle_t file = (handle_t)MUST(open_named(served, "test://x", OPEN_READ));

        CHECK_EQUAL(info_of(file).type, OBJECT_FILE);
        CHECK_EQUAL(info_of(file).rights,
                    RIGHT_READ | RIGHT_CONTROL | RIGHT_WAIT | RIGHT_DUPLICATE | RIGHT_TRANSFER);
        CHECK_EQUAL(info_of(file).flags, HANDLE_FLAG_SEEKABLE);
        CHECK_EQUAL(info_of(file).signals, SIGNAL_READABLE);
        MUST(call_op(file, TEST_ECHO));
        handle_drop(file);
        file = (handle_t)MUST(
            open_named(served, "test://x", OPEN_WRITE | OPEN_NONBLOCK | OPEN_APPEND));
        CHECK_EQUAL(info_of(file).rights & (RIGHT_READ | RIGHT_WRITE), RIGHT_WRITE);
        CHECK_EQUAL(info_of(file).flags,
                    HANDLE_FLAG_SEEKABLE | HANDLE_FLAG_NONBLOCK | HANDLE_FLAG_APPEND);
        handle_drop(file);
        file = (handle_t)MUST(open_named(served, uri_of(1000), OPEN_READ));
        handle_drop(file);
        file = (handle_t)MUST(open_named(served, "test://silent", OPEN_READ));
        CHECK_EQUAL(info_of(file).flags, HANDLE_FLAG_SEEKABLE | HANDLE_FLAG_SILENT);
        handle_drop(file);
    }
    served_end(served, server);
}

TEST(opening_what_is_none_or_elsewhere)
{
    struct served *served = served_new(sizeof(buffer));
    struct helper *server = helper_process(serve, served);
    char link[64];

    for (int again = 0; again < 3; again++) {
        uint64_t more = 0;

        CHECK_ERROR(open_named(served, "test://none", OPEN_READ), NOT_FOUND);
        memset(link, 0, sizeof(link));
        CHECK_ERROR(
            open_with(served->protocol.names, "test://link", 11, 0, link, sizeof(link), &more),
            LINK);
        CHECK_EQUAL(more, 10);
        CHECK(memcmp(link, "other://yz", 11) == 0);
        CHECK_ERROR(open_with(served->protocol.names, "test://link", 11, 0, link, 4, &more), LINK);
        CHECK_EQUAL(more, 4);
        CHECK_ERROR(open_named(served, "test://broken", OPEN_READ), IO); /* with a handle */
        handle_t timer = (handle_t)MUST(open_named(served, "test://timer", OPEN_READ));
        CHECK_EQUAL(info_of(timer).type, OBJECT_TIMER);
        handle_drop(timer);
    }
    served_end(served, server);
}

TEST(refused_opens)
{
    struct served *served = served_new(sizeof(buffer));
    handle_t names = served->protocol.names, deaf = duplicate(names, RIGHT_WRITE);
    uint64_t more;

#define OPEN(handle, uri, length, link, room) open_with(handle, uri, length, 0, link, room, &more)
    CHECK_ERROR(OPEN(names, "other://x", 9, NULL, 0), NO_PROTOCOL);
    CHECK_ERROR(OPEN(names, "", 0, NULL, 0), NO_PROTOCOL);
    CHECK_ERROR(OPEN(12345678, "test://x", 8, NULL, 0), BAD_HANDLE);
    CHECK_ERROR(OPEN(served->protocol.port, "test://x", 8, NULL, 0), WRONG_TYPE);
    CHECK_ERROR(OPEN(deaf, "test://x", 8, NULL, 0), ACCESS);
    CHECK_ERROR(OPEN(names, NULL, 8, NULL, 0), FAULT);
    CHECK_ERROR(OPEN(names, uri_of(8), PATH_LENGTH_MAX + 1, NULL, 0), TOO_LONG);
#undef OPEN
    handle_drop(deaf);
    protocol_end(&served->protocol);
    unshare(served);
}

static void open_with_a_full_table(void *argument)
{
    struct served *served = argument;
    struct asked got;
    uint64_t files = system_info().objects[OBJECT_FILE];

    while (sys_timer_create() > 0)
        ;
    for (int again = 0; again < 3; again++) {
        MUST(ask(served, "test://x", TEST_ECHO, 0, NULL, 0, &got)); /* needs no handle */
        CHECK_ERROR(open_named(served, "test://x", OPEN_READ), QUOTA);
        CHECK_ERROR(open_named(served, "test://silent", OPEN_READ), QUOTA);
        CHECK_ERROR(open_named(served, "test://timer", OPEN_READ), QUOTA);
    }
    MUST(ask(served, "test://x", TEST_ECHO, 0, NULL, 0,
             &got)); /* the service has seen the closings */
    CHECK_EQUAL(system_info().objects[OBJECT_FILE], files);
}

TEST(opening_with_a_full_table)
{
    struct served *served = served_new(sizeof(buffer));
    struct helper *server = helper_process(serve, served);

    helper_join(helper_process(open_with_a_full_table, served));
    served_end(served, server);
}

/* --- In the middle --------------------------------------------------------------------------------------------------- */

struct call {
    struct served *served;
    uint32_t op, flags;
    int64_t result;
    char back[64];
};

static void call_it(void *argument)
{
    struct call *call = argument;
    struct asked got;

    call->result = call->op == OP_OPEN
                       ? open_named(call->served, "test://a/path", OPEN_READ)
                       : ask(call->served, "test://a/path", call->op, COMMAND_OUT | call->flags,
                             call->back, sizeof(call->back), &got);
}

/* The service that has it dies; the next one finds the path as it was. */
static int64_t through_a_death(uint32_t op)
{
    struct served *served = served_new(sizeof(buffer));
    struct call call = {.served = served, .op = op};
    struct asked got;

    served->hang = 1;
    struct helper *server = helper_process(serve, served);

    handle_drop((handle_t)MUST(open_named(served, "test://x", 0))); /* it serves */
    uint32_t accepted = word_get(&served->accepted);
    struct helper *client = helper_thread(call_it, &call);

    word_wait(&served->accepted, accepted + 1);
    helper_kill(server);
    word_set(&served->hang, 0);
    server = helper_process(serve, served);
    MUST(ask(served, "test://x", TEST_ECHO, 0, NULL, 0, &got));
    helper_join(client);
    if (call.result == 0)
        CHECK(memcmp(call.back, "a/path", 6) == 0);
    served_end(served, server);
    return call.result;
}

TEST(the_service_dies_with_it)
{
    MUST(through_a_death(OP_READLINK));
    CHECK_ERROR(through_a_death(OP_UNLINK), RESTARTED);
}

/* Nobody has served yet. */
TEST(the_service_comes_late)
{
    struct served *served = served_new(sizeof(buffer));
    struct call calls[] = {{.served = served, .op = OP_READLINK},
                           {.served = served, .op = OP_OPEN}};
    struct helper *clients[ARRAY_SIZE(calls)];

    for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
        clients[i] = helper_thread(call_it, &calls[i]);
    signal_wait(served->protocol.port, SIGNAL_READABLE);
    struct helper *server = helper_process(serve, served);

    for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
        helper_join(clients[i]);
    MUST(calls[0].result);
    CHECK(memcmp(calls[0].back, "a/path", 6) == 0);
    handle_drop((handle_t)MUST(calls[1].result));
    served_end(served, server);
}

/* The port goes while the call waits for somebody to serve it. */
TEST(the_port_closes)
{
    struct served *served = served_new(sizeof(buffer));
    struct call calls[] = {{.served = served, .op = OP_STAT}, {.served = served, .op = OP_OPEN}};
    struct helper *clients[ARRAY_SIZE(calls)];

    for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
        clients[i] = helper_thread(call_it, &calls[i]);
    while (system_info().commands < ARRAY_SIZE(calls))
        sleep_for(MILLISECOND);
    MUST(sys_namespace_bind(served->protocol.names, "test", 4, HANDLE_NONE));
    MUST(sys_handle_close(served->protocol.port));
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        helper_join(clients[i]);
        CHECK_ERROR(calls[i].result, SERVICE_DOWN);
    }
    handle_drop(served->protocol.names);
    unshare(served);
}

/* By hand, in registers: what it accepts stays with it until it says so. */
static struct short_message accept_short(const struct served *served, struct short_return completed,
                                         struct abi_message *message)
{
    return sys_proto_return_accept_short(served->protocol.port, completed, message, buffer,
                                         sizeof(buffer), DEADLINE_NEVER);
}

TEST(what_the_service_sees)
{
    struct served *served = served_new(sizeof(buffer));
    struct call call = {.served = served, .op = OP_OPEN};
    struct helper *client = helper_thread(call_it, &call);
    struct abi_message message;
    struct short_message got = accept_short(served, (struct short_return){0}, &message);

    CHECK_EQUAL(got.result & 0xff, MESSAGE_COMMAND);
    CHECK_EQUAL(got.result >> 32, 6);
    CHECK_EQUAL(got.op_flags, OP_OPEN);
    CHECK_EQUAL(got.args[0], OPEN_READ);
    CHECK_EQUAL(got.lengths, 6);
    CHECK_EQUAL(got.cookie, 0);
    CHECK_EQUAL(got.caller, process_info(HANDLE_SELF).id);
    CHECK(got.file != 0);
    CHECK(got.trace != 0);
    CHECK(memcmp(buffer, "a/path", 6) == 0);
    /* The path is read again from where it is kept. */
    CHECK_EQUAL(MUST(sys_cmd_read(served->protocol.port, got.token, 2, buffer, 100)), 4);
    CHECK(memcmp(buffer, "path", 4) == 0);
    MUST(return_status(served->protocol.port, got.token, 0, 7));
    helper_join(client);
    CHECK_EQUAL(info_of((handle_t)MUST(call.result)).id, got.file);
    handle_drop((handle_t)call.result);
    CHECK_EQUAL(accept_kind(served->protocol.port, MESSAGE_CLOSE).cookie, 7);
    protocol_end(&served->protocol);
    unshare(served);
}

TEST(interrupted_and_cancelled)
{
    struct served *served = served_new(sizeof(buffer));

    for (int i = 0; i < 2; i++) {
        struct call call = {.served = served, .op = i ? OP_OPEN : OP_STAT};
        struct helper *client = helper_thread(call_it, &call);
        struct abi_message message;
        struct short_message got = accept_short(served, (struct short_return){0}, &message);

        MUST(sys_thread_control(client->thread, THREAD_INTERRUPT, 0, NULL));
        CHECK_EQUAL(accept_kind(served->protocol.port, MESSAGE_CANCEL).token, got.token);
        MUST(return_status(served->protocol.port, got.token, -E_CANCELLED, 0));
        helper_join(client);
        CHECK_ERROR(call.result, INTERRUPTED);
    }
    protocol_end(&served->protocol);
    unshare(served);
}

static void call_shared(void *argument)
{
    call_it(argument);
}

/* What a killed caller was given is given back; late answers find nothing. */
TEST(the_caller_is_killed)
{
    struct served *served = served_new(sizeof(buffer));

    for (int i = 0; i < 2; i++) {
        struct call *call = shared(sizeof(*call));

        *call = (struct call){.served = served, .op = i ? OP_OPEN : OP_STAT};
        struct helper *client = helper_process(call_shared, call);
        struct abi_message message;
        struct short_message got = accept_short(served, (struct short_return){0}, &message);

        helper_kill(client);
        CHECK_ERROR(return_status(served->protocol.port, got.token, 0, 0), CANCELLED);
        unshare(call);
    }
    protocol_end(&served->protocol);
    unshare(served);
}

/* --- Many at once ---------------------------------------------------------------------------------------------------- */

enum { STORM_CLIENTS = 6, STORM_CALLS = 300 };

static void storm(void *argument)
{
    struct served *served = argument;
    struct asked got;
    char uri[32], back[32];

    for (uint32_t i = 0; i < STORM_CALLS; i++) {
        int length = snprintf(uri, sizeof(uri), "test://%u/%u", (uint32_t)helper_self()->id, i);

        handle_t file =
            (handle_t)MUST(open_named(served, i % 2 ? uri : "test://silent", OPEN_READ));

        MUST(ask(served, uri, OP_READLINK, COMMAND_OUT, back, sizeof(back), &got));
        CHECK_EQUAL(got.values[0], (uint64_t)length - 7);
        CHECK(memcmp(back, uri + 7, (size_t)length - 7) == 0);
        handle_drop(file);
    }
}

TEST(storm)
{
    struct served *served = served_new(sizeof(buffer));
    struct helper *servers[2], *clients[STORM_CLIENTS];

    for (size_t i = 0; i < ARRAY_SIZE(servers); i++)
        servers[i] = helper_process(serve, served);
    for (size_t i = 0; i < STORM_CLIENTS; i++)
        clients[i] = helper_process(storm, served);
    for (size_t i = 0; i < STORM_CLIENTS; i++)
        helper_join(clients[i]);
    helper_kill(servers[1]);
    served_end(served, servers[0]);
}
