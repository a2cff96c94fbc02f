/* What outlives a service: handles kept with its port. What does not: its bindings. */
#include "tests/guest/protocol.h"

/* What is kept under exactly this key: a new handle, or -E_*. */
static int64_t found_under(handle_t port, uint64_t key)
{
    struct abi_kept kept = {.key = key, .flags = KEPT_EXACT};
    int64_t result = sys_port_kept(port, &kept);

    return result < 0 ? result : kept.handle;
}

static void keep_and_hang(void *argument)
{
    const struct protocol *protocol = argument;
    handle_t memory = (handle_t)MUST(sys_memory_create(PAGE_SIZE, 0));

    MUST(sys_memory_op(memory, MEMORY_OP_WRITE, 8, 5, (void *)"state"));
    MUST(sys_port_keep(protocol->port, 7, memory));
    serve_port(protocol->port);
}

/* The next instance reads what the killed one wrote. */
TEST(memory_outlives_the_service)
{
    struct protocol protocol = protocol_new();
    struct helper *server = helper_process(keep_and_hang, &protocol);
    char text[5];

    signal_wait(protocol.port, SIGNAL_WRITABLE);
    helper_kill(server);
    handle_t memory = (handle_t)MUST(found_under(protocol.port, 7));
    MUST(sys_memory_op(memory, MEMORY_OP_READ, 8, 5, text));
    CHECK(memcmp(text, "state", 5) == 0);
    handle_drop(memory);
    protocol_end(&protocol);
}

TEST(keys_are_in_order)
{
    static const uint64_t keys[] = {900, 3, 77, INT64_MAX, 12};
    struct protocol protocol = protocol_new();
    handle_t timer = (handle_t)MUST(sys_timer_create());
    uint64_t last = 0, count = 0;
    struct abi_kept kept = {0};

    CHECK_ERROR(sys_port_kept(protocol.port, &kept), NOT_FOUND);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        MUST(sys_port_keep(protocol.port, keys[i], timer));
    for (kept.key = 0; sys_port_kept(protocol.port, &kept) >= 0; kept.key++, count++) {
        CHECK(kept.key > last);
        CHECK_EQUAL(kept.size, 0);
        last = kept.key;
        kept.flags = 0;
        handle_drop(kept.handle);
    }
    CHECK_ERROR(sys_port_kept(protocol.port, &kept), NOT_FOUND);
    CHECK_EQUAL(count, ARRAY_SIZE(keys));
    CHECK_EQUAL(last, INT64_MAX);
    handle_drop(timer);
    protocol_end(&protocol);
}

TEST(taken_keys_and_free_ones)
{
    struct protocol protocol = protocol_new();
    handle_t first = (handle_t)MUST(sys_timer_create()),
             second = (handle_t)MUST(sys_timer_create());
    uint64_t id = info_of(second).id;

    MUST(sys_port_keep(protocol.port, 1, first));
    CHECK_ERROR(sys_port_keep(protocol.port, 1, second), EXISTS);
    MUST(sys_port_keep(protocol.port, 1, HANDLE_NONE));
    MUST(sys_port_keep(protocol.port, 1, second));
    handle_drop(first);
    handle_drop(second);
    handle_t found = (handle_t)MUST(found_under(protocol.port, 1));
    CHECK_EQUAL(info_of(found).id, id);
    handle_drop(found);
    MUST(sys_port_keep(protocol.port, 1, HANDLE_NONE));
    CHECK_ERROR(sys_port_keep(protocol.port, 1, HANDLE_NONE), NOT_FOUND);
    CHECK_ERROR(found_under(protocol.port, 1), NOT_FOUND);
    protocol_end(&protocol);
}

/* What is kept has the rights it was kept with, no more. */
TEST(rights_are_kept)
{
    struct protocol protocol = protocol_new();
    handle_t timer = (handle_t)MUST(sys_timer_create());
    handle_t weak = duplicate(timer, RIGHT_WAIT | RIGHT_DUPLICATE | RIGHT_TRANSFER);

    MUST(sys_port_keep(protocol.port, 1, weak));
    handle_drop(weak);
    handle_drop(timer);
    handle_t found = (handle_t)MUST(found_under(protocol.port, 1));
    CHECK_EQUAL(info_of(found).rights, RIGHT_WAIT | RIGHT_DUPLICATE | RIGHT_TRANSFER);
    CHECK_ERROR(sys_timer_set(found, 0, 0), ACCESS);
    handle_drop(found);
    protocol_end(&protocol);
}

TEST(what_cannot_be_kept)
{
    struct protocol protocol = protocol_new(), other = protocol_new(), third = protocol_new();
    handle_t timer = (handle_t)MUST(sys_timer_create()), ends[2];
    handle_t still = duplicate(timer, RIGHT_WAIT | RIGHT_TRANSFER);
    handle_t bound = duplicate(timer, RIGHT_WAIT | RIGHT_DUPLICATE);
    handle_t sender = duplicate(protocol.port, RIGHT_SEND);
    struct abi_kept kept = {0};

    MUST(sys_stream_pair(0, ends));
    CHECK_ERROR(sys_port_keep(protocol.port, 1, still), ACCESS);
    CHECK_ERROR(sys_port_keep(protocol.port, 1, bound), ACCESS);
    CHECK_ERROR(sys_port_keep(sender, 1, timer), ACCESS);
    CHECK_ERROR(sys_port_keep(protocol.port, 1, HANDLE_NONE), NOT_FOUND);
    CHECK_ERROR(sys_port_keep(protocol.port, 1, 12345678), BAD_HANDLE);
    CHECK_ERROR(sys_port_kept(sender, NULL), ACCESS);
    CHECK_ERROR(sys_port_kept(protocol.port, NULL), FAULT);
    kept.flags = KEPT_USED;
    CHECK_ERROR(sys_port_kept(protocol.port, &kept), INVALID);
    CHECK_ERROR(sys_port_keep(protocol.port, 1, ends[0]), NOT_SUPPORTED);
    CHECK_ERROR(sys_port_keep(protocol.port, 1, protocol.names), NOT_SUPPORTED);
    /* Ports: one level, so that there is no circle and no chain. */
    CHECK_ERROR(sys_port_keep(protocol.port, 1, protocol.port), INVALID);
    MUST(sys_port_keep(protocol.port, 1, other.port));
    CHECK_ERROR(sys_port_keep(other.port, 1, protocol.port), INVALID);
    CHECK_ERROR(sys_port_keep(other.port, 1, third.port), INVALID);
    CHECK_ERROR(sys_port_keep(third.port, 1, protocol.port), INVALID);
    MUST(sys_port_keep(protocol.port, 2, third.port));
    for (int i = 0; i < 2; i++)
        handle_drop(ends[i]);
    handle_drop(still);
    handle_drop(bound);
    handle_drop(sender);
    handle_drop(timer);
    protocol_end(&third);
    protocol_end(&other);
    protocol_end(&protocol);
}

#define MANY 3000u

/* Of streams and listeners what only sends or connects, for nothing lies in that. */
TEST(keeping_ends)
{
    struct protocol protocol = protocol_new();
    struct abi_kept kept = {0};
    handle_t pipe[2], ends[2];
    char byte;

    MUST(sys_stream_pair(STREAM_ONE_WAY, pipe));
    MUST(sys_stream_listen(0, 1, ends));
    CHECK_ERROR(sys_port_keep(protocol.port, 1, pipe[0]), NOT_SUPPORTED);
    CHECK_ERROR(sys_port_keep(protocol.port, 1, ends[0]), NOT_SUPPORTED);
    MUST(sys_port_keep(protocol.port, 1, pipe[1]));
    MUST(sys_port_keep(protocol.port, 2, ends[1]));
    handle_drop(pipe[1]);
    handle_drop(ends[1]);
    CHECK_EQUAL(signals_now(pipe[0], SIGNAL_HANGUP), 0);
    MUST(sys_port_kept(protocol.port, &kept));
    MUST(sys_stream_send(kept.handle, "x", 1, 0, DEADLINE_NOW, NULL));
    CHECK_EQUAL(MUST(sys_stream_receive(pipe[0], &byte, 1, 0, DEADLINE_NOW, NULL)), 1);
    handle_drop(kept.handle);
    protocol_end(&protocol);
    CHECK_EQUAL(signal_wait(pipe[0], 0), SIGNAL_HANGUP);
    CHECK_EQUAL(signal_wait(ends[0], 0), SIGNAL_HANGUP);
    handle_drop(pipe[0]);
    handle_drop(ends[0]);
}

TEST(many)
{
    struct protocol protocol = protocol_new();
    handle_t timer = (handle_t)MUST(sys_timer_create());

    for (uint64_t i = 0; i < MANY; i++)
        MUST(sys_port_keep(protocol.port, 1 + i * 7919 % MANY, timer));
    for (uint64_t i = 1; i <= MANY; i += 2)
        MUST(sys_port_keep(protocol.port, i, HANDLE_NONE));
    struct abi_kept kept = {0};
    MUST(sys_port_kept(protocol.port, &kept));
    CHECK_EQUAL(kept.key, 2);
    handle_drop(kept.handle);
    handle_drop(timer);
    protocol_end(&protocol); /* the rest goes with it */
}

struct races {
    struct protocol protocol;
    handle_t timers[2];
    uint32_t stop;
};

static void replace(void *argument)
{
    struct races *races = argument;

    for (uint32_t i = 0; !word_get(&races->stop); i++) {
        int64_t result = sys_port_keep(races->protocol.port, 1, races->timers[i % 2]);

        if (result != -E_EXISTS)
            MUST(result);
        sys_ignore(sys_port_keep(races->protocol.port, 1, HANDLE_NONE));
    }
}

/* Getting while others replace and forget: found whole or not at all. */
TEST(raced)
{
    struct races races = {.protocol = protocol_new()};
    struct helper *writers[2];
    uint32_t found = 0;

    for (int i = 0; i < 2; i++)
        races.timers[i] = (handle_t)MUST(sys_timer_create());
    for (int i = 0; i < 2; i++)
        writers[i] = helper_thread(replace, &races);
    for (int i = 0; i < 20000 || (!found && i < 10000000); i++) {
        int64_t timer = found_under(races.protocol.port, 1);

        if (timer == -E_NOT_FOUND)
            continue;
        MUST(timer);
        found++;
        MUST(sys_timer_set((handle_t)timer, 0, 0));
        MUST(sys_handle_close((handle_t)timer));
    }
    CHECK(found);
    word_set(&races.stop, 1);
    for (int i = 0; i < 2; i++) {
        helper_join(writers[i]);
        handle_drop(races.timers[i]);
    }
    protocol_end(&races.protocol);
}

/* --- What ends with the service ---------------------------------------------------------------------------------- */

struct binder {
    struct protocol protocol;
    handle_t timer;
    uint32_t bound;
};

static void bind_and_serve(void *argument)
{
    struct binder *binder = argument;

    MUST(sys_port_bind(binder->protocol.port, binder->timer, SIGNAL_READABLE, 5, 0));
    serve_open(binder->protocol.port, 1);
    word_set(&binder->bound, 1);
    serve_port(binder->protocol.port);
}

/* A binding of the dead service is gone; that of another process is not. */
TEST(bindings_end_with_the_service)
{
    struct binder *binder = shared(sizeof(*binder));
    struct abi_message message;

    binder->protocol = protocol_new();
    binder->timer = (handle_t)MUST(sys_timer_create());
    handle_t mine = (handle_t)MUST(sys_timer_create());
    MUST(sys_port_bind(binder->protocol.port, mine, SIGNAL_READABLE, 6, 0));
    uint64_t before = system_info().bindings;

    struct helper *server = helper_process(bind_and_serve, binder);
    handle_t file = open_uri(&binder->protocol, "test://x", OPEN_READ);
    word_wait(&binder->bound, 1);
    CHECK_EQUAL(system_info().bindings, before + 1);
    helper_kill(server);
    CHECK_EQUAL(system_info().bindings, before);
    MUST(sys_timer_set(binder->timer, now(), 0));
    MUST(sys_timer_set(mine, now(), 0));
    message = accept_kind(binder->protocol.port, MESSAGE_NOTIFY);
    CHECK_EQUAL(message.cookie, 6);
    CHECK_ERROR(sys_proto_accept(binder->protocol.port, &message, NULL, 0, DEADLINE_NOW), AGAIN);
    handle_drop(file);
    handle_drop(mine);
    handle_drop(binder->timer);
    protocol_end(&binder->protocol);
    unshare(binder);
}

static void set_word(void *argument)
{
    word_set(argument, 1);
}

TEST(keeping_a_process)
{
    struct helper *suspended = helper_process_suspended(set_word, NULL);
    handle_t weak = duplicate(suspended->process, RIGHT_WAIT);

    CHECK_ERROR(sys_system_control(root(), SYSTEM_KEEP, (uint64_t)(uint32_t)weak), ACCESS);
    CHECK_ERROR(sys_system_control(root(), SYSTEM_KEEP, 0), BAD_HANDLE);
    CHECK_ERROR(sys_system_control(root(), SYSTEM_KEEP, UINT64_MAX), BAD_HANDLE);
    CHECK_ERROR(sys_system_control(root(), SYSTEM_KEEP, (uint64_t)(uint32_t)root()), WRONG_TYPE);
    /* The first program is kept already: that is how these tests were started. */
    CHECK_ERROR(sys_system_control(root(), SYSTEM_KEEP, (uint64_t)suspended->process), BUSY);
    handle_drop(weak);
    helper_kill(suspended);
}
