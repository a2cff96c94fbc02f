/* Circles of objects: processes that cannot run and hold the only ways to each other. Each test builds one on purpose, lets go of
 * it, and the frame's leak check sees that nothing of it stays. Then what must not be taken for one. */
#include "tests/guest/protocol.h"

#define SEARCH_TIME (SECOND / 5) /* a search is done by then, if nobody is in its way */

/* A process whose only thread never runs, with these handles, which are given away. */
static handle_t stopped_new(void)
{
    struct abi_process_create create = {
        .name = (uintptr_t) "stopped", .name_length = 7, .space_of = HANDLE_NONE};

    return (handle_t)MUST(sys_process_create(HANDLE_SELF, &create));
}

static void stopped_give(handle_t process, handle_t *handles, size_t count)
{
    handle_t values[4];
    struct abi_exec exec = {
        .entry = 0x10000,
        .flags = EXEC_SUSPENDED,
        .handles = (uintptr_t)handles,
        .handle_count = count,
        .handle_values = (uintptr_t)values,
    };

    handle_drop((handle_t)MUST(sys_process_exec(process, &exec)));
}

/* A new process that holds what handles lists, and itself is not to be found there. */
static handle_t stopped_with(handle_t *handles, size_t count)
{
    handle_t process = stopped_new();

    stopped_give(process, handles, count);
    return process;
}

static void send_handle(handle_t stream, handle_t handle)
{
    struct abi_stream_message message = {.handles = (uintptr_t)&handle, .handle_count = 1};

    CHECK_EQUAL(MUST(sys_stream_send(stream, "h", 1, 0, after(PATIENCE), &message)), 1);
}

TEST(a_process_that_holds_itself)
{
    handle_t process = stopped_new(), own[] = {duplicate(process, RIGHT_ALL)};

    stopped_give(process, own, 1);
    handle_drop(process);
}

/* It comes by the last handle itself: nobody closes one. */
TEST(a_process_that_is_given_the_last_handle_to_itself)
{
    handle_t process = stopped_new();

    stopped_give(process, &process, 1);
}

TEST(processes_in_a_ring)
{
    enum { RING = 24 };
    handle_t ring[RING], handles[2];

    for (int i = 0; i < RING; i++)
        ring[i] = stopped_new();
    for (int i = 0; i < RING; i++) {
        handles[0] = duplicate(ring[(i + 1) % RING], RIGHT_ALL);
        handles[1] = duplicate(ring[(i + 7) % RING], RIGHT_ALL);
        stopped_give(ring[i], handles, 2);
    }
    for (int i = 0; i < RING; i++)
        handle_drop(ring[i]);
}

TEST(a_process_and_its_thread)
{
    handle_t ends[2], process = stopped_new();
    struct abi_thread thread = {.entry = 0x10000, .flags = THREAD_CREATE_SUSPENDED};

    MUST(sys_stream_pair(0, ends));
    stopped_give(process, &ends[1], 1);
    send_handle(ends[0], (handle_t)MUST(sys_thread_create(process, &thread)));
    handle_drop(process);
    handle_drop(ends[0]);
}

TEST(a_process_in_a_stream_that_it_holds)
{
    handle_t ends[2], process;

    MUST(sys_stream_pair(0, ends));
    process = stopped_with(&ends[1], 1);
    send_handle(ends[0], process);
    handle_drop(ends[0]);
}

/* The stream goes first: what is given up last is not a handle but a place in it. */
TEST(a_process_sent_last)
{
    handle_t ends[2], process;

    MUST(sys_stream_pair(STREAM_ONE_WAY, ends));
    process = stopped_with(&ends[0], 1);
    send_handle(ends[1], process);
    handle_drop(ends[1]);
}

TEST(a_process_in_a_connection_that_waits)
{
    handle_t ends[2], process, stream;

    MUST(sys_stream_listen(0, 4, ends));
    process = stopped_with(&ends[0], 1);
    stream = (handle_t)MUST(sys_stream_connect(ends[1], after(PATIENCE)));
    send_handle(stream, process);
    handle_drop(stream);
    handle_drop(ends[1]);
}

TEST(a_process_kept_by_its_port)
{
    handle_t port = (handle_t)MUST(sys_proto_create(HANDLE_SELF, NULL, 0)), process;
    handle_t held[] = {duplicate(port, RIGHT_ALL)};

    process = stopped_with(held, 1);
    for (uint64_t key = 1; key <= 300; key++) /* more than is looked at in one piece */
        MUST(sys_port_keep(port, key, process));
    handle_drop(process);
    handle_drop(port);
}

/* It never had a thread, and holds nothing but its names. */
TEST(a_process_kept_by_what_its_names_list)
{
    struct protocol protocol = protocol_new();
    struct abi_process_create create = {.space_of = HANDLE_NONE};
    handle_t process = (handle_t)MUST(sys_process_create(protocol.names, &create));

    MUST(sys_port_keep(protocol.port, 1, process));
    handle_drop(process);
    protocol_end(&protocol);
}

TEST(a_namespace_in_a_stream)
{
    struct protocol protocol = protocol_new();
    handle_t ends[2], process;

    MUST(sys_stream_pair(0, ends));
    process = stopped_with(&ends[1], 1);
    send_handle(ends[0], protocol.names);
    handle_drop(ends[0]);
    MUST(sys_port_keep(protocol.port, 1, process));
    handle_drop(process);
    handle_drop(protocol.port);
}

/* The known fault of once: what the circle's port is bound to stays as well. */
TEST(an_interrupt_bound_to_a_port_in_a_circle)
{
    handle_t port = (handle_t)MUST(sys_proto_create(HANDLE_SELF, NULL, 0)), process = stopped_new();
    handle_t held[] = {duplicate(process, RIGHT_ALL), port};
    handle_t line = (handle_t)MUST(sys_irq_bind(root(), 5, IRQ_EDGE, NULL));

    MUST(sys_port_bind(port, line, SIGNAL_READABLE, 1, 0));
    handle_drop(line);
    stopped_give(process, held, 2);
    handle_drop(process);
}

/* Two circles that meet, and a tail. */
TEST(circles_that_meet)
{
    handle_t left = stopped_new(), middle = stopped_new(), right = stopped_new(),
             tail = stopped_new();
    handle_t of_left[] = {duplicate(middle, RIGHT_ALL)},
             of_right[] = {duplicate(middle, RIGHT_ALL), tail};
    handle_t of_middle[] = {duplicate(left, RIGHT_ALL), duplicate(right, RIGHT_ALL)};

    stopped_give(left, of_left, 1);
    stopped_give(right, of_right, 2);
    stopped_give(middle, of_middle, 2);
    handle_drop(left);
    handle_drop(right);
    handle_drop(middle);
}

/* --- Processes that ran ---------------------------------------------------------------------------------------- */

/* Takes a handle to itself out of the stream, and stops for good. */
static void stop_with_itself(void *argument)
{
    handle_t own, stream = *(handle_t *)argument;
    struct abi_stream_message message = {.handles = (uintptr_t)&own, .handle_count = 1};
    char byte;

    CHECK_EQUAL(MUST(sys_stream_receive(stream, &byte, 1, 0, after(PATIENCE), &message)), 1);
    MUST(sys_process_control(own, PROCESS_SUSPEND, 0));
    sleep_for(PATIENCE);
}

/* The test keeps the process's end and no way to it: a port that is bound to it holds no handle. */
static void expect_end(handle_t port)
{
    struct abi_message message;

    MUST(sys_proto_accept(port, &message, NULL, 0, after(PATIENCE)));
    CHECK_EQUAL(message.kind, MESSAGE_NOTIFY);
    CHECK_EQUAL(message.cookie, 77);
}

TEST(a_process_that_stops_itself)
{
    handle_t ends[2], port = (handle_t)MUST(sys_proto_create(HANDLE_SELF, NULL, 0));
    struct helper *helper;

    MUST(sys_stream_pair(0, ends));
    helper = helper_process(stop_with_itself, &ends[1]);
    MUST(sys_port_bind(port, helper->process, SIGNAL_EXITED, 77, 0));
    send_handle(ends[0], helper->process);
    helper->process = HANDLE_NONE;
    handle_drop(helper->thread);
    helper->thread = HANDLE_NONE;
    expect_end(port);
    helper_free(helper);
    handle_drop(ends[0]);
    handle_drop(ends[1]);
    handle_drop(port);
}

/* Takes a handle to its thread out of the stream, and stops for good. */
static void stop_its_thread(void *argument)
{
    handle_t own, stream = *(handle_t *)argument;
    struct abi_stream_message message = {.handles = (uintptr_t)&own, .handle_count = 1};
    char byte;

    CHECK_EQUAL(MUST(sys_stream_receive(stream, &byte, 1, 0, after(PATIENCE), &message)), 1);
    MUST(sys_thread_control(own, THREAD_SUSPEND, 0, NULL));
    sleep_for(PATIENCE);
}

/* The process or its thread is its own; the test has the other, and drops the last handle to it when it was looked for already. */
static void drop_the_last_way(void (*stop)(void *), bool thread_is_own)
{
    handle_t ends[2], port = (handle_t)MUST(sys_proto_create(HANDLE_SELF, NULL, 0));
    struct helper *helper;

    MUST(sys_stream_pair(0, ends));
    helper = helper_process(stop, &ends[1]);
    MUST(sys_port_bind(port, helper->process, SIGNAL_EXITED, 77, 0));
    send_handle(ends[0], thread_is_own ? helper->thread : helper->process);
    sleep_for(SEARCH_TIME);
    handle_drop(thread_is_own ? helper->process : helper->thread);
    helper->process = helper->thread = HANDLE_NONE;
    expect_end(port);
    helper_free(helper);
    handle_drop(ends[0]);
    handle_drop(ends[1]);
    handle_drop(port);
}

TEST(a_process_whose_thread_is_let_go)
{
    drop_the_last_way(stop_with_itself, false);
}

TEST(a_process_that_has_its_thread_is_let_go)
{
    drop_the_last_way(stop_its_thread, true);
}

struct caller {
    struct protocol protocol;
    handle_t file, stream;
    uint32_t *calling;
};

/* Its own handle is in a command that nobody accepts. */
static void call_with_itself(void *argument)
{
    const struct caller *caller = argument;
    struct abi_command command = {.op = TEST_ECHO, .send_count = 1};
    struct abi_stream_message message = {.handles = (uintptr_t)command.send, .handle_count = 1};
    char byte;

    CHECK_EQUAL(MUST(sys_stream_receive(caller->stream, &byte, 1, 0, after(PATIENCE), &message)),
                1);
    word_set(caller->calling, 1);
    sys_ignore(sys_file_call(caller->file, &command));
}

/* Opens one file and takes no more. */
static void open_once(void *argument)
{
    const struct caller *caller = argument;
    struct abi_message message;
    struct abi_return result = {0};

    MUST(sys_proto_accept(caller->protocol.port, &message, NULL, 0, after(PATIENCE)));
    result.token = message.token;
    MUST(sys_proto_return(caller->protocol.port, &result));
    word_wait(caller->calling, 2);
}

TEST(a_process_in_a_command_of_its_own)
{
    handle_t ends[2], watch = (handle_t)MUST(sys_proto_create(HANDLE_SELF, NULL, 0));
    struct caller caller = {.protocol = protocol_new(), .calling = shared(sizeof(uint32_t))};
    struct helper *server = helper_process(open_once, &caller), *helper;

    MUST(sys_stream_pair(0, ends));
    caller.stream = ends[1];
    caller.file = open_uri(&caller.protocol, "test://", OPEN_READ);
    helper = helper_process(call_with_itself, &caller);
    MUST(sys_port_bind(watch, helper->process, SIGNAL_EXITED, 77, 0));
    send_handle(ends[0], duplicate(helper->process, RIGHT_ALL));
    word_wait(caller.calling, 1);
    while (system_info().commands == 0)
        sys_ignore(sys_thread_control(HANDLE_SELF, THREAD_YIELD, 0, NULL));
    MUST(sys_process_control(helper->process, PROCESS_SUSPEND, 0));
    handle_drop(helper->thread);
    handle_drop(helper->process);
    helper->thread = helper->process = HANDLE_NONE;
    expect_end(watch);
    helper_free(helper);
    word_set(caller.calling, 2);
    helper_join(server);
    handle_drop(ends[0]);
    handle_drop(ends[1]);
    handle_drop(caller.file);
    handle_drop(watch);
    unshare(caller.calling);
    protocol_end(&caller.protocol);
}

/* --- What is no circle ------------------------------------------------------------------------------------------- */

/* Enough for several searches: each of these circles is found, and what is looked at beside it stays. */
static void make_circles(int count)
{
    for (int i = 0; i < count; i++) {
        handle_t process = stopped_new();

        stopped_give(process, &process, 1);
        sleep_for(2 * MILLISECOND);
    }
}

static bool alive(handle_t process)
{
    return !(process_info(process).state & PROCESS_EXITED);
}

TEST(what_somebody_reaches_stays)
{
    handle_t port = (handle_t)MUST(sys_proto_create(HANDLE_SELF, NULL, 0)), kept = stopped_new();
    handle_t ends[2], sent = stopped_new(), first = stopped_new(), second = stopped_new();
    handle_t of_first[] = {duplicate(second, RIGHT_ALL), duplicate(first, RIGHT_ALL)},
             of_second[] = {duplicate(first, RIGHT_ALL)};
    handle_t of_kept[] = {duplicate(kept, RIGHT_ALL), duplicate(port, RIGHT_ALL)};
    uint64_t ids[] = {process_info(kept).id, process_info(sent).id, process_info(second).id};
    struct abi_kept found = {.key = 9};
    struct abi_stream_message message = {.handles = (uintptr_t)&sent, .handle_count = 1};
    char byte;

    /* By a port that keeps it, in a stream, by another that cannot run. */
    MUST(sys_port_keep(port, 9, kept));
    stopped_give(kept, of_kept, 2);
    handle_drop(kept);
    MUST(sys_stream_pair(0, ends));
    send_handle(ends[0], sent);
    stopped_give(first, of_first, 2);
    stopped_give(second, of_second, 1);
    handle_drop(second);
    make_circles(10);

    MUST(sys_port_kept(port, &found));
    CHECK_EQUAL(process_info(found.handle).id, ids[0]);
    CHECK(alive(found.handle));
    CHECK_EQUAL(MUST(sys_stream_receive(ends[1], &byte, 1, 0, after(PATIENCE), &message)), 1);
    CHECK_EQUAL(process_info(sent).id, ids[1]);
    CHECK(alive(sent));
    CHECK(alive(first));
    CHECK_EQUAL(process_info(first).handles, 2);
    handle_drop(found.handle);
    handle_drop(sent);
    handle_drop(first);
    handle_drop(port);
    handle_drop(ends[0]);
    handle_drop(ends[1]);
}

#define ROUNDS 400

struct juggling {
    handle_t there[2], back[2];
};

static void juggle(void *argument)
{
    const struct juggling *juggling = argument;
    handle_t ball;
    struct abi_stream_message message = {.handles = (uintptr_t)&ball, .handle_count = 1};
    char byte;

    for (int i = 0; i < ROUNDS; i++) {
        message.handle_count = 1;
        CHECK_EQUAL(
            MUST(sys_stream_receive(juggling->there[1], &byte, 1, 0, after(PATIENCE), &message)),
            1);
        send_handle(juggling->back[0], ball);
    }
}

/* The only way to a process that cannot run, and holds itself, is always on its way somewhere; circles are looked for
 * meanwhile, by idle CPUs and by the one who makes them. */
TEST(what_is_on_its_way_stays)
{
    struct juggling juggling;
    handle_t ball = stopped_new(), own[] = {duplicate(ball, RIGHT_ALL)};
    struct abi_stream_message message = {.handles = (uintptr_t)&ball, .handle_count = 1};
    uint64_t id = process_info(ball).id;
    char byte;

    stopped_give(ball, own, 1);
    MUST(sys_stream_pair(0, juggling.there));
    MUST(sys_stream_pair(0, juggling.back));
    struct helper *helper = helper_thread(juggle, &juggling);
    for (int i = 0; i < ROUNDS; i++) {
        send_handle(juggling.there[0], ball);
        if (i % 4 == 0) {
            handle_t process = stopped_new();

            stopped_give(process, &process, 1);
        }
        message.handle_count = 1;
        CHECK_EQUAL(
            MUST(sys_stream_receive(juggling.back[1], &byte, 1, 0, after(PATIENCE), &message)), 1);
        CHECK(alive(ball));
    }
    helper_join(helper);
    CHECK_EQUAL(process_info(ball).id, id);
    handle_drop(ball);
    for (int i = 0; i < 2; i++) {
        handle_drop(juggling.there[i]);
        handle_drop(juggling.back[i]);
    }
}

/* A process that was stopped and let run again is like any other. */
static void wait_for_word(void *argument)
{
    word_wait(argument, 1);
}

TEST(a_process_that_runs_again)
{
    uint32_t *word = shared(sizeof(uint32_t));
    struct helper *helper = helper_process(wait_for_word, word);

    for (int i = 0; i < 5; i++) {
        MUST(sys_process_control(helper->process, PROCESS_SUSPEND, 0));
        make_circles(1);
        MUST(sys_process_control(helper->process, PROCESS_RESUME, 0));
        make_circles(1);
    }
    word_set(word, 1);
    helper_join(helper);
    unshare(word);
}

/* What would make circles without a process is refused: an end that holds what waits to be accepted. */
TEST(accepting_ends_are_not_kept)
{
    handle_t port = (handle_t)MUST(sys_proto_create(HANDLE_SELF, NULL, 0)), ends[2];

    MUST(sys_stream_listen(0, 4, ends));
    CHECK_ERROR(sys_port_keep(port, 1, ends[0]), NOT_SUPPORTED);
    MUST(sys_port_keep(port, 1, ends[1]));
    handle_drop(ends[0]);
    handle_drop(ends[1]);
    handle_drop(port);
}
