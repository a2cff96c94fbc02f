/* unix://: names for listeners, natively, across the death of unixd. A linux_ program because it needs the whole system. */
#include "lib/sys/unix.h"
#include "tests/guest/guest.h"

#define NAME   "/tests/unixd"
#define LENGTH (sizeof(NAME) - 1)

struct listener {
    handle_t accepts, connects;
};

static struct listener listener_new(uint32_t backlog)
{
    handle_t ends[2];

    MUST(sys_stream_listen(0, backlog, ends));
    return (struct listener){ends[0], ends[1]};
}

static void listener_end(struct listener *listener)
{
    handle_drop(listener->accepts);
    handle_drop(listener->connects);
}

static struct listener named_listener(const char *name, uint32_t backlog)
{
    struct listener listener = listener_new(backlog);

    MUST(unix_bind(name, strlen(name), listener.connects, 0));
    return listener;
}

/* unixd is told, and takes the name off in its own time. */
static void expect_free(const char *name)
{
    int64_t deadline = after(PATIENCE), found;

    while ((found = unix_find(name, strlen(name), DEADLINE_NEVER)) != -E_NOT_FOUND) {
        CHECK(found == -E_CLOSED || found > 0);
        handle_drop((handle_t)found);
        CHECK(now() < deadline);
        sleep_for(MILLISECOND);
    }
}

static void talk(const struct listener *listener, const char *name)
{
    handle_t client = (handle_t)MUST(unix_connect(name, strlen(name), after(PATIENCE)));
    handle_t server = (handle_t)MUST(sys_stream_accept(listener->accepts, after(PATIENCE)));
    char bytes[8];

    MUST(sys_stream_send(client, "hello", 5, 0, after(PATIENCE), NULL));
    CHECK_EQUAL(MUST(sys_stream_receive(server, bytes, 8, 0, after(PATIENCE), NULL)), 5);
    CHECK_EQUAL(MUST(sys_stream_control(client, STREAM_PEER, 0)), process_info(HANDLE_SELF).id);
    handle_drop(client);
    handle_drop(server);
}

static void kill_unixd(void)
{
    CHECK_EQUAL(system("kill -9 $(pidof unixd)"), 0);
}

TEST(found_by_name)
{
    struct listener listener = named_listener(NAME, 4);
    struct abi_path_call call = {.uri = (uintptr_t) "unix://" NAME, .uri_length = 7 + LENGTH};
    struct abi_stat stat;

    talk(&listener, NAME);
    call.command.op = OP_STAT;
    call.command.out = (uintptr_t)&stat;
    call.command.out_length = sizeof(stat);
    MUST(sys_path_call(HANDLE_SELF, &call));
    CHECK_EQUAL(stat.type, FILE_SOCKET);
    listener_end(&listener);
    expect_free(NAME);
}

TEST(what_is_given_out_connects_only)
{
    struct listener listener = named_listener(NAME, 4);
    handle_t found = (handle_t)MUST(unix_find(NAME, LENGTH, DEADLINE_NEVER));

    CHECK_EQUAL(info_of(found).type, OBJECT_LISTENER);
    CHECK_ERROR(sys_stream_accept(found, DEADLINE_NOW), ACCESS);
    handle_drop(found);
    listener_end(&listener);
    expect_free(NAME);
}

TEST(errors)
{
    struct listener listener = named_listener(NAME, 1), other = listener_new(1);
    char longest[UNIX_NAME_MAX + 1];
    handle_t ends[2], timer = (handle_t)MUST(sys_timer_create()), mute;

    memset(longest, 'x', sizeof(longest));
    MUST(sys_stream_pair(0, ends));
    mute = duplicate(other.connects, RIGHT_SEND | RIGHT_DUPLICATE | RIGHT_TRANSFER);
    CHECK_ERROR(unix_bind(NAME, LENGTH, other.connects, 0), EXISTS);
    MUST(unix_bind(NAME, LENGTH, listener.connects, 0)); /* the same again is no error */
    CHECK_ERROR(unix_bind("", 0, other.connects, 0), INVALID);
    CHECK_ERROR(unix_bind("/", 1, other.connects, 0), INVALID);
    CHECK_ERROR(unix_bind("@x", 2, other.connects, 2), INVALID);
    CHECK_ERROR(unix_bind("@x", 2, other.accepts, 0), INVALID);
    CHECK_ERROR(unix_bind("@x", 2, timer, 0), INVALID);
    CHECK_ERROR(unix_bind("@x", 2, ends[0], 0), NOT_SUPPORTED); /* it receives as well */
    CHECK_ERROR(unix_bind("@x", 2, mute, 0), ACCESS);           /* its end could not be told */
    CHECK_ERROR(unix_bind(longest, sizeof(longest), other.connects, 0), TOO_LONG);
    CHECK_ERROR(unix_command("@x", 2, UNIX_BIND, 0, NULL, 0), INVALID);
    CHECK_ERROR(unix_listen(NAME, LENGTH, other.connects, other.connects), ACCESS);
    CHECK_ERROR(unix_listen("@x", 2, other.connects, other.connects), NOT_FOUND);
    CHECK_ERROR(unix_find("@x", 2, DEADLINE_NEVER), NOT_FOUND);
    CHECK_ERROR(unix_unbind("@x", 2), NOT_FOUND);
    MUST(unix_bind(longest, UNIX_NAME_MAX, other.connects, 0));
    CHECK_ERROR(unix_bind("@x", 2, other.connects, 0), BUSY);
    MUST(unix_unbind(longest, UNIX_NAME_MAX));
    CHECK_ERROR(unix_find(longest, UNIX_NAME_MAX, DEADLINE_NEVER), NOT_FOUND);
    handle_drop(mute);
    handle_drop(timer);
    handle_drop(ends[0]);
    handle_drop(ends[1]);
    listener_end(&listener);
    listener_end(&other);
    expect_free(NAME);
}

TEST(reserving)
{
    struct listener place = listener_new(1), listener = listener_new(4);

    MUST(unix_bind(NAME, LENGTH, place.connects, UNIX_RESERVE));
    CHECK_ERROR(unix_find(NAME, LENGTH, DEADLINE_NEVER), CLOSED);
    CHECK_ERROR(unix_listen(NAME, LENGTH, listener.connects, listener.connects), ACCESS);
    MUST(unix_listen(NAME, LENGTH, place.connects, listener.connects));
    MUST(unix_listen(NAME, LENGTH, place.connects, listener.connects));
    listener_end(&place); /* has nothing to do with the name any more */
    talk(&listener, NAME);
    listener_end(&listener);
    expect_free(NAME);
}

TEST(a_stream_by_name)
{
    handle_t ends[2], found;
    char bytes[8];

    MUST(sys_stream_pair(STREAM_ONE_WAY | STREAM_PACKETS, ends));
    MUST(unix_bind("@log", 4, ends[1], 0));
    handle_drop(ends[1]);
    found = (handle_t)MUST(unix_find("@log", 4, DEADLINE_NEVER));
    MUST(sys_stream_send(found, "line", 4, 0, DEADLINE_NOW, NULL));
    CHECK_EQUAL(MUST(sys_stream_receive(ends[0], bytes, 8, 0, DEADLINE_NOW, NULL)), 4);
    CHECK_ERROR(sys_stream_receive(found, bytes, 8, 0, DEADLINE_NOW, NULL), ACCESS);
    handle_drop(ends[0]);
    handle_drop(found);
    expect_free("@log");
}

static struct listener shared_listener;

static void take_it_off(void *argument)
{
    (void)argument;
    CHECK_ERROR(unix_unbind(NAME, LENGTH), PERMISSION);
    CHECK_ERROR(unix_bind(NAME, LENGTH, shared_listener.connects, 0), EXISTS);
}

TEST(only_its_owner_takes_it_off)
{
    shared_listener = named_listener(NAME, 1);
    helper_join(helper_process(take_it_off, NULL));
    MUST(unix_unbind(NAME, LENGTH));
    CHECK_ERROR(unix_find(NAME, LENGTH, DEADLINE_NEVER), NOT_FOUND);
    listener_end(&shared_listener);
}

/* Every name a process may have; others have theirs. */
static void name_many(void *argument)
{
    int64_t result = 0;
    uint32_t count = 0;
    char name[32];

    (void)argument;
    while (result >= 0 && count < 10000) {
        struct listener listener = listener_new(1);

        result = unix_bind(name, (size_t)snprintf(name, sizeof(name), "@many-%u", count++),
                           listener.connects, 0);
    }
    CHECK_ERROR(result, QUOTA);
    CHECK_EQUAL(count, 257);
}

TEST(names_per_process)
{
    struct helper *helper = helper_process(name_many, NULL);
    struct listener listener = named_listener(NAME, 1);

    talk(&listener, NAME);
    helper_join(helper);
    expect_free("@many-0"); /* its end freed them */
    expect_free("@many-255");
    listener_end(&listener);
    expect_free(NAME);
}

/* As many as the backlog holds wait; they cost their makers, and go with them. */
TEST(half_open_connections)
{
    static handle_t clients[STREAM_BACKLOG_MAX];
    struct listener listener = named_listener(NAME, UINT32_MAX);

    for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
        clients[i] = (handle_t)MUST(unix_connect(NAME, LENGTH, after(PATIENCE)));
    handle_t connects = (handle_t)MUST(unix_find(NAME, LENGTH, DEADLINE_NEVER));
    CHECK_ERROR(sys_stream_connect(connects, DEADLINE_NOW), AGAIN);
    handle_drop(connects);
    for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
        handle_drop(clients[i]);
    listener_end(&listener);
    expect_free(NAME);
}

TEST(unixd_comes_back)
{
    struct listener listener = named_listener(NAME, 4), place = listener_new(1),
                    later = listener_new(4);
    handle_t ends[2];

    MUST(sys_stream_pair(STREAM_ONE_WAY | STREAM_PACKETS, ends));
    MUST(unix_bind("@packets", 8, ends[1], 0));
    MUST(unix_bind("@reserved", 9, place.connects, UNIX_RESERVE));
    for (int round = 0; round < 3; round++) {
        kill_unixd();
        talk(&listener, NAME);
        CHECK_ERROR(unix_bind(NAME, LENGTH, later.connects, 0), EXISTS);
        CHECK_ERROR(unix_find("@reserved", 9, DEADLINE_NEVER), CLOSED);
        handle_drop((handle_t)MUST(unix_find("@packets", 8, DEADLINE_NEVER)));
    }
    MUST(unix_listen("@reserved", 9, place.connects, later.connects));
    kill_unixd();
    talk(&later, "@reserved");
    kill_unixd();
    listener_end(&listener); /* while nobody looks */
    listener_end(&place);
    handle_drop(ends[0]);
    handle_drop(ends[1]);
    expect_free(NAME);
    expect_free("@packets");
    talk(&later, "@reserved");
    MUST(unix_unbind("@reserved", 9));
    listener_end(&later);
}
