/* namespace_create, namespace_bind: what a process can name. */
#include "tests/guest/protocol.h"

static handle_t namespace_new(handle_t from, uint32_t flags)
{
    return (handle_t)MUST(sys_namespace_create(from, flags));
}

static int64_t bind(handle_t names, const char *name, handle_t port)
{
    return sys_namespace_bind(names, name, strlen(name), port);
}

/* Whether the name is listed: an open with no time either waits or finds no protocol. */
static bool listed(handle_t names, const char *uri)
{
    int64_t result = open_raw(names, uri, 0, 1);

    if (result == -E_SERVICE_DOWN) /* taken off and closed just now */
        return false;
    CHECK(result == -E_TIMED_OUT || result == -E_NO_PROTOCOL);
    return result == -E_TIMED_OUT;
}

TEST(copies_and_empty_ones)
{
    struct protocol protocol = protocol_new();
    handle_t copy = namespace_new(protocol.names, 0),
             empty = namespace_new(protocol.names, NAMESPACE_EMPTY);

    CHECK(listed(copy, "test://"));
    CHECK(!listed(empty, "test://"));
    MUST(bind(copy, "test", HANDLE_NONE));
    CHECK(!listed(copy, "test://"));
    CHECK(listed(protocol.names, "test://"));
    CHECK_ERROR(sys_namespace_create(protocol.names, 2), INVALID);
    handle_drop(copy);
    handle_drop(empty);
    protocol_end(&protocol);
}

TEST(binding)
{
    struct protocol protocol = protocol_new();
    handle_t names = namespace_new(HANDLE_SELF, NAMESPACE_EMPTY);

    MUST(bind(names, "other", protocol.port));
    CHECK(listed(names, "other://x"));
    CHECK(!listed(names, "test://x"));
    MUST(bind(names, "other", protocol.port)); /* replaces */
    MUST(bind(names, "other", HANDLE_NONE));
    CHECK(!listed(names, "other://x"));
    CHECK_ERROR(bind(names, "other", HANDLE_NONE), NOT_FOUND);
    handle_drop(names);
    protocol_end(&protocol);
}

TEST(fs_is_the_default)
{
    struct protocol protocol = protocol_new();

    CHECK(!listed(protocol.names, "/a/path"));
    MUST(bind(protocol.names, "fs", protocol.port));
    CHECK(listed(protocol.names, "/a/path"));
    CHECK(listed(protocol.names, "fs:///a/path"));
    CHECK(listed(protocol.names, ""));
    CHECK(listed(protocol.names, "relative"));
    CHECK(listed(protocol.names, "/with://inside"));
    CHECK(listed(protocol.names, "UPPER://is no scheme"));
    CHECK(!listed(protocol.names, "nothing://x"));
    protocol_end(&protocol);
}

TEST(errors)
{
    struct protocol protocol = protocol_new();
    handle_t timer = (handle_t)MUST(sys_timer_create()),
             reader = duplicate(protocol.names, RIGHT_READ);

    CHECK_ERROR(bind(protocol.names, "", protocol.port), INVALID);
    CHECK_ERROR(bind(protocol.names, "a b", protocol.port), INVALID);
    CHECK_ERROR(bind(protocol.names, "12345678901234567890123456789012", protocol.port), TOO_LONG);
    CHECK_ERROR(bind(protocol.names, "x", timer), WRONG_TYPE);
    CHECK_ERROR(bind(protocol.names, "x", 12345678), BAD_HANDLE);
    CHECK_ERROR(bind(reader, "x", protocol.port), ACCESS);
    CHECK_ERROR(sys_namespace_bind(protocol.names, NULL, 1, protocol.port), FAULT);
    handle_drop(reader);
    handle_drop(timer);
    protocol_end(&protocol);
}

/* A name keeps the port: who lost its handle can still be found, and served by whoever holds another. */
TEST(names_keep_ports)
{
    struct protocol protocol = protocol_new();
    struct helper *server = helper_process(serve_protocol, &protocol);

    handle_drop(protocol.port);
    handle_t file = open_uri(&protocol, "test://x", 0);

    CHECK_EQUAL(stat_file(file).inode, server->id);
    handle_drop(file);
    helper_kill(server);
    handle_drop(protocol.names);
}

/* Interposing: a protocol bound in front of another, without the client knowing. */
static void interpose(void *argument)
{
    struct protocol *both = argument;
    struct abi_message message = accept_op(both[0].port, TEST_ECHO);
    struct abi_command command = command_of(TEST_ECHO);

    command.args[0] = message.args[0] * 2;
    MUST(path_op(both[1].names, "test://x", &command));
    MUST(return_status(both[0].port, message.token, 0, command.values[0] + 1));
}

TEST(interposing)
{
    struct protocol both[2] = {protocol_new(), protocol_new()};
    struct helper *server = helper_process(serve_protocol, &both[1]),
                  *between = helper_process(interpose, both);
    struct abi_command command = command_of(TEST_ECHO);

    command.args[0] = 20;
    MUST(path_op(both[0].names, "test://x", &command));
    CHECK_EQUAL(command.values[0], 41);
    helper_join(between);
    helper_kill(server);
    protocol_end(&both[0]);
    protocol_end(&both[1]);
}

/* HANDLE_SELF is the caller's own; a forked process shares it. */
static void look_up(void *argument)
{
    *(bool *)argument = listed(HANDLE_SELF, "guesttest://x");
}

TEST(own_namespace)
{
    struct protocol protocol = protocol_new();
    bool *seen = shared(PAGE_SIZE);

    MUST(bind(HANDLE_SELF, "guesttest", protocol.port));
    CHECK(listed(HANDLE_SELF, "guesttest://x"));
    helper_join(helper_process(look_up, seen));
    CHECK(*seen);
    MUST(bind(HANDLE_SELF, "guesttest", HANDLE_NONE));
    helper_join(helper_process(look_up, seen));
    CHECK(!*seen);
    unshare(seen);
    protocol_end(&protocol);
}

TEST(many_names)
{
    struct protocol protocol = protocol_new();
    char name[16], uri[24];

    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "name%d", i);
        MUST(bind(protocol.names, name, protocol.port));
    }
    handle_t copy = namespace_new(protocol.names, 0);

    for (int i = 0; i < 500; i += 50) {
        snprintf(uri, sizeof(uri), "name%d://x", i);
        CHECK(listed(copy, uri));
    }
    handle_drop(copy);
    protocol_end(&protocol);
}

/* Looked up and changed at once. */
struct changing {
    handle_t names;
    uint32_t stop;
};

static void look_up_often(void *argument)
{
    struct changing *changing = argument;

    while (!word_get(&changing->stop))
        listed(changing->names, "x://x");
}

TEST(changing_while_in_use)
{
    struct protocol protocol = protocol_new();
    struct changing changing = {.names = protocol.names};
    struct helper *helper = helper_thread(look_up_often, &changing);

    for (int i = 0; i < 500; i++) {
        handle_t port = (handle_t)MUST(sys_proto_create(protocol.names, "x", 1));

        handle_drop(port);
        if (i % 3 == 0)
            MUST(bind(protocol.names, "x", HANDLE_NONE));
        handle_drop(namespace_new(protocol.names, 0));
    }
    word_set(&changing.stop, 1);
    helper_join(helper);
    protocol_end(&protocol);
}

/* --- What a process makes of its own names ------------------------------------------------------------------------ */

TEST(looking_up)
{
    struct protocol protocol = protocol_new();
    handle_t names = namespace_new(HANDLE_SELF, NAMESPACE_EMPTY),
             reader = duplicate(protocol.names, RIGHT_READ);
    handle_t port = (handle_t)MUST(sys_namespace_lookup(reader, "test", 4));

    CHECK_EQUAL(info_of(port).id, info_of(protocol.port).id);
    CHECK_EQUAL(info_of(port).rights, RIGHT_DUPLICATE | RIGHT_TRANSFER);
    MUST(bind(names, "other", port));
    CHECK(listed(names, "other://x"));
    CHECK_ERROR(sys_port_notify(port, 1), ACCESS);
    CHECK_ERROR(sys_namespace_lookup(reader, "none", 4), NO_PROTOCOL);
    CHECK_ERROR(sys_namespace_lookup(reader, "", 0), NO_PROTOCOL);
    CHECK_ERROR(sys_namespace_lookup(reader, NULL, 4), FAULT);
    CHECK_ERROR(sys_namespace_lookup(reader, "12345678901234567890123456789012", 32), TOO_LONG);
    handle_drop(port);
    handle_drop(reader);
    handle_drop(names);
    protocol_end(&protocol);
}

/* A child starts with its parent's names; what it changes is its own. */
struct inherited {
    struct protocol protocol;
    uint32_t seen, changed;
};

static void change_own(void *argument)
{
    struct inherited *inherited = argument;

    inherited->seen = listed(HANDLE_SELF, "guesttest://x");
    MUST(bind(HANDLE_SELF, "guesttest", HANDLE_NONE));
    MUST(bind(HANDLE_SELF, "mine", inherited->protocol.port));
    inherited->changed = !listed(HANDLE_SELF, "guesttest://x") && listed(HANDLE_SELF, "mine://x");
}

TEST(a_child_changes_only_its_own)
{
    struct inherited *inherited = shared(sizeof(*inherited));

    inherited->protocol = protocol_new();
    MUST(bind(HANDLE_SELF, "guesttest", inherited->protocol.port));
    helper_join(helper_process(change_own, inherited));
    CHECK(inherited->seen && inherited->changed);
    CHECK(listed(HANDLE_SELF, "guesttest://x"));
    CHECK(!listed(HANDLE_SELF, "mine://x"));
    MUST(bind(HANDLE_SELF, "guesttest", HANDLE_NONE));
    protocol_end(&inherited->protocol);
    unshare(inherited);
}

/* Gives itself an empty namespace: then it can name nothing, and neither can what it makes. */
static void look_in_vain(void *argument)
{
    *(uint32_t *)argument += !listed(HANDLE_SELF, "guesttest://x");
}

static void restrict_itself(void *argument)
{
    struct inherited *inherited = argument;
    handle_t names = namespace_new(HANDLE_SELF, NAMESPACE_EMPTY);

    CHECK(listed(HANDLE_SELF, "guesttest://x"));
    MUST(sys_process_control(HANDLE_SELF, PROCESS_NAMESPACE, (uint64_t)names));
    MUST(sys_handle_close(names));
    CHECK(!listed(HANDLE_SELF, "guesttest://x"));
    CHECK(!listed(HANDLE_SELF, "initfs://"));
    CHECK(!listed(HANDLE_SELF, "/"));
    helper_join(helper_process(look_in_vain, &inherited->seen));
}

TEST(an_empty_namespace)
{
    struct inherited *inherited = shared(sizeof(*inherited));

    inherited->protocol = protocol_new();
    MUST(bind(HANDLE_SELF, "guesttest", inherited->protocol.port));
    helper_join(helper_process(restrict_itself, inherited));
    CHECK_EQUAL(inherited->seen, 1);
    CHECK(listed(HANDLE_SELF, "guesttest://x"));
    CHECK_ERROR(sys_process_control(HANDLE_SELF, PROCESS_NAMESPACE, 12345678), BAD_HANDLE);
    CHECK_ERROR(
        sys_process_control(HANDLE_SELF, PROCESS_NAMESPACE, (uint64_t)inherited->protocol.port),
        WRONG_TYPE);
    MUST(bind(HANDLE_SELF, "guesttest", HANDLE_NONE));
    protocol_end(&inherited->protocol);
    unshare(inherited);
}
