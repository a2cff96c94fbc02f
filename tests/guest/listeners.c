/* stream_listen, stream_connect, stream_accept: connections, the backlog, who is at the other end, names. */
#include "tests/guest/protocol.h"

struct listener {
    handle_t accepts, connects;
};

static struct listener listener_new(uint32_t flags, uint32_t backlog)
{
    handle_t handles[2];

    MUST(sys_stream_listen(flags, backlog, handles));
    return (struct listener){handles[0], handles[1]};
}

static void listener_end(struct listener *listener)
{
    handle_drop(listener->accepts);
    handle_drop(listener->connects);
}

static handle_t connect_to(handle_t connects)
{
    return (handle_t)MUST(sys_stream_connect(connects, after(PATIENCE)));
}

static handle_t accept_from(handle_t accepts)
{
    return (handle_t)MUST(sys_stream_accept(accepts, after(PATIENCE)));
}

static void send_text(handle_t end, const char *text)
{
    CHECK_EQUAL(MUST(sys_stream_send(end, text, strlen(text), 0, after(PATIENCE), NULL)),
                strlen(text));
}

static void expect_text(handle_t end, const char *text)
{
    char bytes[64];
    int64_t length = MUST(sys_stream_receive(end, bytes, sizeof(bytes), 0, after(PATIENCE), NULL));

    CHECK_EQUAL(length, strlen(text));
    CHECK(memcmp(bytes, text, strlen(text)) == 0);
}

static uint32_t state(handle_t handle)
{
    return info_of(handle).signals;
}

TEST(errors)
{
    struct listener listener = listener_new(0, 1);
    handle_t handles[2], timer = (handle_t)MUST(sys_timer_create());

    CHECK_ERROR(sys_stream_listen(STREAM_ONE_WAY, 1, handles), INVALID);
    CHECK_ERROR(sys_stream_listen(0, 1, NULL), FAULT);
    CHECK_ERROR(sys_stream_connect(timer, DEADLINE_NOW), WRONG_TYPE);
    CHECK_ERROR(sys_stream_connect(listener.accepts, DEADLINE_NOW), ACCESS);
    CHECK_ERROR(sys_stream_accept(listener.connects, DEADLINE_NOW), ACCESS);
    CHECK_ERROR(sys_stream_accept(12345678, DEADLINE_NOW), BAD_HANDLE);
    CHECK_ERROR(sys_stream_accept(listener.accepts, DEADLINE_NOW), AGAIN);
    CHECK_ERROR(sys_stream_accept(listener.accepts, after(10 * MILLISECOND)), TIMED_OUT);
    handle_drop(timer);
    listener_end(&listener);
}

TEST(connecting)
{
    struct listener listener = listener_new(0, 4);

    CHECK_EQUAL(state(listener.accepts), 0);
    CHECK_EQUAL(state(listener.connects), SIGNAL_WRITABLE);
    handle_t client = connect_to(listener.connects);

    CHECK_EQUAL(state(listener.accepts), SIGNAL_READABLE);
    send_text(client, "before it is accepted");
    handle_t server = accept_from(listener.accepts);

    CHECK_EQUAL(state(listener.accepts), 0);
    expect_text(server, "before it is accepted");
    send_text(server, "answer");
    expect_text(client, "answer");
    handle_drop(client);
    CHECK(state(server) & SIGNAL_HANGUP);
    handle_drop(server);
    listener_end(&listener);
}

TEST(in_order)
{
    struct listener listener = listener_new(STREAM_PACKETS, 8);
    handle_t clients[8];
    char name[8];

    for (int i = 0; i < 8; i++) {
        clients[i] = connect_to(listener.connects);
        snprintf(name, sizeof(name), "%d", i);
        send_text(clients[i], name);
    }
    for (int i = 0; i < 8; i++) {
        handle_t server = accept_from(listener.accepts);

        snprintf(name, sizeof(name), "%d", i);
        CHECK_EQUAL(MUST(sys_stream_control(server, STREAM_KIND, 0)), STREAM_PACKETS);
        expect_text(server, name);
        handle_drop(server);
        handle_drop(clients[i]);
    }
    listener_end(&listener);
}

TEST(backlog)
{
    struct listener listener = listener_new(0, 2);
    handle_t first = connect_to(listener.connects), second = connect_to(listener.connects);

    CHECK_EQUAL(state(listener.connects), 0);
    CHECK_ERROR(sys_stream_connect(listener.connects, DEADLINE_NOW), AGAIN);
    CHECK_ERROR(sys_stream_connect(listener.connects, after(10 * MILLISECOND)), TIMED_OUT);
    handle_drop(accept_from(listener.accepts));
    CHECK_EQUAL(state(listener.connects), SIGNAL_WRITABLE);
    CHECK(state(first) & SIGNAL_HANGUP);
    handle_drop(first);
    first = connect_to(listener.connects);
    handle_drop(first);
    handle_drop(second);
    listener_end(&listener);
}

static void connect_one(void *argument)
{
    handle_t client = connect_to(*(handle_t *)argument);

    send_text(client, "late");
    handle_drop(client);
}

TEST(waiting_for_room)
{
    struct listener listener = listener_new(0, 1);
    handle_t first = connect_to(listener.connects);
    struct helper *helper = helper_process(connect_one, &listener.connects);

    sleep_for(20 * MILLISECOND);
    handle_drop(accept_from(listener.accepts));
    handle_t server = accept_from(listener.accepts);

    expect_text(server, "late");
    helper_join(helper);
    handle_drop(server);
    handle_drop(first);
    listener_end(&listener);
}

TEST(nobody_accepts)
{
    struct listener listener = listener_new(0, 4);
    handle_t client = connect_to(listener.connects);

    handle_drop(listener.accepts);
    CHECK(state(client) & SIGNAL_HANGUP);
    CHECK_EQUAL(state(listener.connects), SIGNAL_WRITABLE | SIGNAL_HANGUP | SIGNAL_ERROR);
    CHECK_ERROR(sys_stream_connect(listener.connects, after(PATIENCE)), CLOSED);
    handle_drop(client);
    handle_drop(listener.connects);
}

TEST(nobody_connects)
{
    struct listener listener = listener_new(0, 4);
    handle_t client = connect_to(listener.connects);

    handle_drop(listener.connects);
    CHECK_EQUAL(state(listener.accepts), SIGNAL_READABLE);
    handle_drop(accept_from(listener.accepts));
    CHECK_EQUAL(state(listener.accepts), SIGNAL_READABLE | SIGNAL_HANGUP);
    CHECK_ERROR(sys_stream_accept(listener.accepts, after(PATIENCE)), CLOSED);
    handle_drop(client);
    handle_drop(listener.accepts);
}

static void connect_in_vain(void *argument)
{
    CHECK_ERROR(sys_stream_connect(*(handle_t *)argument, after(PATIENCE)), CLOSED);
}

TEST(closing_wakes)
{
    struct listener listener = listener_new(0, 1);
    handle_t client = connect_to(listener.connects);
    struct helper *helper = helper_thread(connect_in_vain, &listener.connects);

    sleep_for(20 * MILLISECOND);
    handle_drop(listener.accepts);
    helper_join(helper);
    handle_drop(client);
    handle_drop(listener.connects);
}

static void accept_interrupted(void *argument)
{
    CHECK_ERROR(sys_stream_accept(*(handle_t *)argument, after(PATIENCE)), INTERRUPTED);
}

TEST(interrupted)
{
    struct listener listener = listener_new(0, 1);
    struct helper *helper = helper_thread(accept_interrupted, &listener.accepts);

    sleep_for(20 * MILLISECOND);
    MUST(sys_thread_control(helper->thread, THREAD_INTERRUPT, 0, NULL));
    helper_join(helper);
    listener_end(&listener);
}

/* Each knows who is at the other end: who connected, who listens. */
struct peers {
    struct listener listener;
    uint64_t seen;
};

static void connect_and_look(void *argument)
{
    struct peers *peers = argument;
    handle_t client = connect_to(peers->listener.connects);

    peers->seen = (uint64_t)MUST(sys_stream_control(client, STREAM_PEER, 0));
}

TEST(peers)
{
    struct peers *peers = shared(sizeof(*peers));

    peers->listener = listener_new(0, 1);
    struct helper *helper = helper_process(connect_and_look, peers);
    uint64_t id = helper->id;
    handle_t server = accept_from(peers->listener.accepts);

    helper_join(helper);
    CHECK_EQUAL(MUST(sys_stream_control(server, STREAM_PEER, 0)), id);
    CHECK_EQUAL(peers->seen, process_info(HANDLE_SELF).id);
    handle_drop(server);
    listener_end(&peers->listener);
    unshare(peers);
}

/* A connection that waits in the listener, and the listener on its way through that connection. */
TEST(a_listener_in_itself)
{
    struct listener listener = listener_new(0, 1);
    handle_t client = connect_to(listener.connects);
    struct abi_stream_message message = {.handles = (uintptr_t)&listener.accepts,
                                         .handle_count = 1};

    CHECK_ERROR(sys_stream_send(client, "x", 1, 0, DEADLINE_NOW, &message), LOOP);
    message.handles = (uintptr_t)&listener.connects; /* nothing lies in that */
    CHECK_EQUAL(MUST(sys_stream_send(client, "x", 1, 0, DEADLINE_NOW, &message)), 1);
    handle_drop(client);
    handle_drop(listener.accepts);
}

TEST(a_listener_travels)
{
    struct listener listener = listener_new(0, 1);
    handle_t ends[2], client = connect_to(listener.connects);
    struct abi_stream_message message = {.handles = (uintptr_t)&listener.accepts,
                                         .handle_count = 1};
    char byte;

    MUST(sys_stream_pair(0, ends));
    MUST(sys_stream_send(ends[0], "x", 1, 0, DEADLINE_NOW, &message));
    MUST(sys_stream_receive(ends[1], &byte, 1, 0, DEADLINE_NOW, &message));
    send_text(client, "hello");
    handle_t server = accept_from(listener.accepts);

    expect_text(server, "hello");
    handle_drop(server);
    handle_drop(client);
    handle_drop(ends[0]);
    handle_drop(ends[1]);
    listener_end(&listener);
}

/* Many clients, several threads that accept: everyone is served once. */
#define CLIENTS 6
#define ROUNDS  40

static void connect_often(void *argument)
{
    handle_t connects = *(handle_t *)argument;

    for (int i = 0; i < ROUNDS; i++) {
        handle_t client = connect_to(connects);

        send_text(client, "ping");
        expect_text(client, "pong");
        handle_drop(client);
    }
}

static void accept_often(void *argument)
{
    handle_t accepts = *(handle_t *)argument;
    int64_t server;

    while ((server = sys_stream_accept(accepts, after(PATIENCE))) > 0) {
        expect_text((handle_t)server, "ping");
        send_text((handle_t)server, "pong");
        handle_drop((handle_t)server);
    }
    CHECK_ERROR(server, CLOSED);
}

TEST(many_at_once)
{
    struct listener listener = listener_new(0, 3);
    struct helper *clients[CLIENTS], *servers[2];

    for (int i = 0; i < 2; i++)
        servers[i] = helper_thread(accept_often, &listener.accepts);
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = helper_thread(connect_often, &listener.connects);
    for (int i = 0; i < CLIENTS; i++)
        helper_join(clients[i]);
    handle_drop(listener.connects);
    for (int i = 0; i < 2; i++)
        helper_join(servers[i]);
    handle_drop(listener.accepts);
}

/* Clients are killed at any moment; the listener goes on. */
static void connect_for_ever(void *argument)
{
    for (;;)
        handle_drop(connect_to(*(handle_t *)argument));
}

TEST(killed_clients)
{
    struct listener listener = listener_new(0, 2);

    for (int i = 0; i < 10; i++) {
        struct helper *helper = helper_process(connect_for_ever, &listener.connects);
        int64_t until = after(5 * MILLISECOND);

        while (now() < until) {
            int64_t server = sys_stream_accept(listener.accepts, after(MILLISECOND));

            if (server > 0)
                handle_drop((handle_t)server);
        }
        helper_kill(helper);
    }
    int64_t server;

    while ((server = sys_stream_accept(listener.accepts, DEADLINE_NOW)) > 0)
        handle_drop((handle_t)server);
    handle_drop(connect_to(listener.connects));
    handle_drop(accept_from(listener.accepts));
    listener_end(&listener);
}

/* A name: a service hands out the connecting handle to whoever opens it. */
struct named {
    struct protocol protocol;
    struct listener listener;
};

static void serve_name(void *argument)
{
    struct named *named = argument;
    struct abi_message message = accept_op(named->protocol.port, OP_OPEN);
    struct abi_return result = {
        .token = message.token,
        .handles = {duplicate(named->listener.connects, RIGHT_ALL)},
        .handle_count = 1,
    };

    MUST(sys_proto_return(named->protocol.port, &result));
}

TEST(names)
{
    struct named named = {protocol_new(), listener_new(0, 1)};
    struct helper *service = helper_thread(serve_name, &named);
    handle_t connects = open_uri(&named.protocol, "test://name", 0);

    CHECK_EQUAL(info_of(connects).type, OBJECT_LISTENER);
    CHECK_ERROR(sys_stream_accept(connects, DEADLINE_NOW), ACCESS);
    handle_t client = connect_to(connects), server = accept_from(named.listener.accepts);

    send_text(client, "by name");
    expect_text(server, "by name");
    helper_join(service);
    handle_drop(client);
    handle_drop(server);
    handle_drop(connects);
    listener_end(&named.listener);
    protocol_end(&named.protocol);
}
