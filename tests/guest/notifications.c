/* port_bind, port_notify, file_ready, wait_many: waiting for state. */
#include "tests/guest/protocol.h"

static struct abi_message next_notice(handle_t port)
{
    return accept_kind(port, MESSAGE_NOTIFY);
}

static void expect_nothing(handle_t port)
{
    struct abi_message message;

    CHECK_ERROR(sys_proto_accept(port, &message, NULL, 0, DEADLINE_NOW), AGAIN);
}

static handle_t port_new(void)
{
    return (handle_t)MUST(sys_proto_create(HANDLE_SELF, NULL, 0));
}

/* --- port_notify ---------------------------------------------------------------------------------------------- */

TEST(software_bits_add_up)
{
    handle_t port = port_new();

    MUST(sys_port_notify(port, 1));
    MUST(sys_port_notify(port, 4));
    MUST(sys_port_notify(port, 0));
    struct abi_message message = next_notice(port);

    CHECK_EQUAL(message.cookie, 0);
    CHECK_EQUAL(message.args[0], 5);
    expect_nothing(port);
    MUST(sys_port_notify(port, 0)); /* no bits, no notification */
    expect_nothing(port);
    handle_drop(port);
}

TEST(notify_needs_the_right)
{
    handle_t port = port_new(), weak = duplicate(port, RIGHT_ACCEPT | RIGHT_WAIT);

    CHECK_ERROR(sys_port_notify(weak, 1), ACCESS);
    handle_drop(weak);
    handle_drop(port);
}

static void notify_later(void *argument)
{
    sleep_for(30 * MILLISECOND);
    MUST(sys_port_notify(*(handle_t *)argument, 64));
}

TEST(notify_wakes_a_worker)
{
    handle_t port = port_new();
    struct helper *helper = helper_thread(notify_later, &port);

    CHECK_EQUAL(next_notice(port).args[0], 64);
    helper_join(helper);
    handle_drop(port);
}

/* One thread counts up, another sees every bit of it at least once. */
static void notify_often(void *argument)
{
    for (int i = 0; i < 1000; i++)
        MUST(sys_port_notify(*(handle_t *)argument, UINT64_C(1) << (i % 60)));
    MUST(sys_port_notify(*(handle_t *)argument, STOP));
}

TEST(no_notification_is_lost)
{
    handle_t port = port_new();
    struct helper *helpers_[2] = {helper_thread(notify_often, &port),
                                  helper_process(notify_often, &port)};
    uint64_t seen = 0;

    while (!helper_ended(helpers_[0]) || !helper_ended(helpers_[1]) ||
           info_of(port).signals & SIGNAL_READABLE) {
        struct abi_message message;

        if (sys_proto_accept(port, &message, NULL, 0, after(5 * MILLISECOND)) == 0)
            seen |= message.args[0];
    }
    struct abi_message message;

    while (sys_proto_accept(port, &message, NULL, 0, DEADLINE_NOW) == 0)
        seen |= message.args[0];
    CHECK_EQUAL(seen, STOP | ((UINT64_C(1) << 60) - 1));
    helper_join(helpers_[0]);
    helper_join(helpers_[1]);
    handle_drop(port);
}

/* --- In registers: who waits parked accepts where it is, and runs when it may ------------------------------------- */

struct listening {
    handle_t port;
    uint32_t waits, notices; /* words: it is about to wait; how many came */
    uint64_t bits;
};

static void listen_for_bits(void *argument)
{
    struct listening *listening = argument;

    for (;;) {
        struct abi_message message = {0};

        word_set(&listening->waits, 1);
        struct short_message got = sys_proto_return_accept_short(
            listening->port, (struct short_return){0}, &message, NULL, 0, DEADLINE_NEVER);

        if (got.result == -E_INTERRUPTED)
            continue;
        if (got.result == MESSAGE_NOTIFY) {
            CHECK_EQUAL(got.token | got.cookie | got.op_flags | got.args[1] | got.args[2] |
                            got.args[3] | got.caller | got.file | got.lengths | got.trace,
                        0);
            message.args[0] = got.args[0];
        } else {
            MUST(got.result);
            CHECK_EQUAL(message.kind, MESSAGE_NOTIFY);
        }
        __atomic_fetch_or(&listening->bits, message.args[0], __ATOMIC_SEQ_CST);
        word_add(&listening->notices, 1);
        if (message.args[0] & STOP)
            return;
    }
}

static struct listening *listening_new(void)
{
    struct listening *listening = shared(sizeof(*listening));

    listening->port = port_new();
    return listening;
}

static void listening_end(struct listening *listening)
{
    handle_drop(listening->port);
    unshare(listening);
}

/* Both on one CPU: who is notified does not run beside who notifies. */
static void stay_together(handle_t thread)
{
    MUST(sys_thread_control(thread, THREAD_AFFINITY, 1, NULL));
}

static struct helper *listen_here(struct listening *listening)
{
    struct helper *helper = helper_process_suspended(listen_for_bits, listening);

    stay_together(helper->thread);
    stay_together(HANDLE_SELF);
    helper_resume(helper);
    word_wait(&listening->waits, 1);
    sleep_for(5 * MILLISECOND); /* as a rule it is parked now */
    return helper;
}

static void go_anywhere(void)
{
    MUST(sys_thread_control(HANDLE_SELF, THREAD_AFFINITY, 0, NULL));
}

TEST(notified_in_registers)
{
    struct listening *listening = listening_new();
    struct helper *helper = listen_here(listening);

    for (uint32_t i = 0; i < 100; i++) {
        MUST(sys_port_notify(listening->port, UINT64_C(1) << (i % 60)));
        word_wait(&listening->notices, i + 1);
    }
    MUST(sys_port_notify(listening->port, 1));
    MUST(sys_port_notify(listening->port, 2)); /* the first may be in its registers already */
    MUST(sys_port_notify(listening->port, STOP));
    helper_join(helper);
    CHECK_EQUAL(listening->bits, STOP | ((UINT64_C(1) << 60) - 1));
    go_anywhere();
    listening_end(listening);
}

/* Who notifies and does not wait gives way all the same, a little later. */
TEST(notified_by_one_who_goes_on)
{
    struct listening *listening = listening_new();
    struct helper *helper = listen_here(listening);
    int64_t deadline = after(PATIENCE);

    MUST(sys_port_notify(listening->port, STOP));
    while (!word_get(&listening->notices))
        CHECK(now() < deadline);
    helper_join(helper);
    go_anywhere();
    listening_end(listening);
}

/* Who outranks the one that notifies runs before that goes on. */
TEST(notified_above)
{
    struct listening *listening = listening_new();
    struct helper *helper = listen_here(listening);

    MUST(sys_thread_control(helper->thread, THREAD_PRIORITY, 3, NULL));
    MUST(sys_port_notify(listening->port, 1)); /* it waits anew with its own priority */
    word_wait(&listening->notices, 1);
    sleep_for(5 * MILLISECOND);
    for (uint32_t i = 1; i < 50; i++) {
        MUST(sys_port_notify(listening->port, 1));
        CHECK_EQUAL(word_get(&listening->notices), i + 1);
    }
    MUST(sys_port_notify(listening->port, STOP));
    helper_join(helper);
    go_anywhere();
    listening_end(listening);
}

/* Who is notified by somebody above it waits its turn. */
TEST(notified_below)
{
    struct listening *listening = listening_new();
    struct helper *helper = listen_here(listening);
    int64_t until;

    MUST(sys_thread_control(HANDLE_SELF, THREAD_PRIORITY, 3, NULL));
    MUST(sys_port_notify(listening->port, STOP));
    for (until = after(20 * MILLISECOND); now() < until;)
        CHECK_EQUAL(word_get(&listening->notices), 0);
    MUST(sys_thread_control(HANDLE_SELF, THREAD_PRIORITY, 0, NULL));
    helper_join(helper);
    go_anywhere();
    listening_end(listening);
}

/* With the notification in its registers and before it ran: killed, kicked, suspended. */
TEST(notified_and_killed)
{
    for (int i = 0; i < 5; i++) {
        struct listening *listening = listening_new();
        struct helper *helper = listen_here(listening);

        MUST(sys_port_notify(listening->port, 1));
        MUST(sys_process_kill(helper->process, 7));
        CHECK_EQUAL(helper_status(helper), 7);
        go_anywhere();
        listening_end(listening);
    }
}

TEST(notified_and_kicked)
{
    struct listening *listening = listening_new();
    struct helper *helper = listen_here(listening);

    for (uint32_t i = 0; i < 20; i++) {
        MUST(sys_port_notify(listening->port, 1));
        MUST(sys_thread_control(helper->thread, THREAD_INTERRUPT, 0, NULL));
        word_wait(&listening->notices, i + 1);
    }
    MUST(sys_port_notify(listening->port, 1));
    MUST(sys_process_control(helper->process, PROCESS_SUSPEND, 0));
    MUST(sys_port_notify(listening->port, STOP));
    MUST(sys_process_control(helper->process, PROCESS_RESUME, 0));
    helper_join(helper);
    CHECK_EQUAL(listening->bits, STOP | 1);
    go_anywhere();
    listening_end(listening);
}

/* Two that notify each other: the CPU goes to and fro. */
static void notify_back(void *argument)
{
    struct listening *listening = argument; /* two of them: mine, the other's */
    struct abi_message message;

    for (;;) {
        struct short_message got = sys_proto_return_accept_short(
            listening[0].port, (struct short_return){0}, &message, NULL, 0, DEADLINE_NEVER);
        uint64_t bits = got.result == MESSAGE_NOTIFY ? got.args[0] : message.args[0];

        CHECK(got.result >= 0);
        MUST(sys_port_notify(listening[1].port, bits));
        if (bits & STOP)
            return;
    }
}

TEST(to_and_fro)
{
    struct listening *listening = shared(2 * sizeof(*listening));
    struct abi_message message;

    listening[0].port = port_new();
    listening[1].port = port_new();
    struct helper *helper = helper_process(notify_back, listening);
    for (uint64_t i = 1; i <= 1000; i++) {
        uint64_t bits = i == 1000 ? STOP : i;

        MUST(sys_port_notify(listening[0].port, bits));
        struct short_message got = sys_proto_return_accept_short(
            listening[1].port, (struct short_return){0}, &message, NULL, 0, DEADLINE_NEVER);

        CHECK(got.result >= 0);
        CHECK_EQUAL(got.result == MESSAGE_NOTIFY ? got.args[0] : message.args[0], bits);
    }
    helper_join(helper);
    handle_drop(listening[0].port);
    handle_drop(listening[1].port);
    unshare(listening);
}

/* --- port_bind ------------------------------------------------------------------------------------------------- */

TEST(bound_sources)
{
    handle_t port = port_new(), ends[2];
    char byte;

    MUST(sys_stream_pair(0, ends));
    MUST(sys_port_bind(port, ends[0], SIGNAL_READABLE, 77, 0));
    CHECK_EQUAL(system_info().bindings, 1);
    expect_nothing(port);
    MUST(sys_stream_send(ends[1], "x", 1, 0, DEADLINE_NOW, NULL));
    struct abi_message message = next_notice(port);

    CHECK_EQUAL(message.cookie, 77);
    CHECK_EQUAL(message.args[0], SIGNAL_READABLE);
    expect_nothing(port); /* told once */
    MUST(sys_stream_receive(ends[0], &byte, 1, 0, DEADLINE_NOW, NULL));
    expect_nothing(port);
    MUST(sys_stream_send(ends[1], "x", 1, 0, DEADLINE_NOW, NULL));
    CHECK_EQUAL(next_notice(port).cookie, 77);   /* and again */
    MUST(sys_port_bind(port, ends[0], 0, 0, 0)); /* taken off */
    CHECK_ERROR(sys_port_bind(port, ends[0], 0, 0, 0), NOT_FOUND);
    handle_drop(ends[0]);
    handle_drop(ends[1]);
    handle_drop(port);
}

TEST(binding_what_is_already_so)
{
    handle_t port = port_new(), timer = (handle_t)MUST(sys_timer_create());

    MUST(sys_timer_set(timer, 1, 0));
    signal_wait(timer, SIGNAL_READABLE);
    MUST(sys_port_bind(port, timer, SIGNAL_READABLE, 5, 0));
    CHECK_EQUAL(next_notice(port).cookie, 5);
    handle_drop(timer);
    handle_drop(port);
}

TEST(bind_once)
{
    handle_t port = port_new(), timer = (handle_t)MUST(sys_timer_create());

    MUST(sys_port_bind(port, timer, SIGNAL_READABLE, 5, BIND_ONCE));
    MUST(sys_timer_set(timer, 1, 0));
    CHECK_EQUAL(next_notice(port).cookie, 5);
    CHECK_EQUAL(system_info().bindings, 0);
    MUST(sys_timer_set(timer, 1, 0));
    CHECK_ERROR(sys_port_bind(port, timer, 0, 0, 0), NOT_FOUND);
    signal_wait(timer, SIGNAL_READABLE);
    expect_nothing(port);
    handle_drop(timer);
    handle_drop(port);
}

TEST(bind_errors)
{
    handle_t port = port_new(), timer = (handle_t)MUST(sys_timer_create());
    handle_t weak = duplicate(timer, RIGHT_CONTROL), deaf = duplicate(port, RIGHT_SEND);

    CHECK_ERROR(sys_port_bind(port, timer, SIGNAL_READABLE, 0, 2), INVALID);
    CHECK_ERROR(sys_port_bind(port, weak, SIGNAL_READABLE, 0, 0), ACCESS);
    CHECK_ERROR(sys_port_bind(port, 12345678, SIGNAL_READABLE, 0, 0), BAD_HANDLE);
    CHECK_ERROR(sys_port_bind(port, port, SIGNAL_READABLE, 0, 0), INVALID);
    CHECK_ERROR(sys_port_bind(deaf, timer, SIGNAL_READABLE, 0, 0), ACCESS);
    handle_drop(weak);
    handle_drop(deaf);
    handle_drop(timer);
    handle_drop(port);
}

static void end_soon(void *argument)
{
    (void)argument;
    sleep_for(10 * MILLISECOND);
}

TEST(ends_of_processes_and_threads)
{
    handle_t port = port_new();
    struct helper *process = helper_process_suspended(end_soon, NULL),
                  *thread = helper_thread_suspended(end_soon, NULL);
    uint64_t seen = 0;

    MUST(sys_port_bind(port, process->process, SIGNAL_EXITED, 1, BIND_ONCE));
    MUST(sys_port_bind(port, thread->thread, SIGNAL_EXITED, 2, BIND_ONCE));
    helper_resume(process);
    helper_resume(thread);
    for (int i = 0; i < 2; i++) {
        struct abi_message message = next_notice(port);

        CHECK_EQUAL(message.args[0], SIGNAL_EXITED);
        seen |= message.cookie;
    }
    CHECK_EQUAL(seen, 3);
    helper_join(process);
    helper_join(thread);
    handle_drop(port);
}

/* The binding keeps its source alive, and goes with the port. */
TEST(bindings_go_with_the_port)
{
    handle_t port = port_new();

    for (int i = 0; i < 50; i++) {
        handle_t timer = (handle_t)MUST(sys_timer_create());

        MUST(sys_port_bind(port, timer, SIGNAL_READABLE, 0, 0));
        MUST(sys_timer_set(timer, i % 2 ? 1 : after(PATIENCE), 0));
        handle_drop(timer);
    }
    CHECK_EQUAL(system_info().bindings, 50);
    handle_drop(port);
    CHECK_EQUAL(system_info().bindings, 0);
}

/* Many ports bound to one source; sources and ports come and go while it fires. */
struct storm {
    handle_t port;
    uint32_t stop;
};

static void bind_and_forget(void *argument)
{
    struct storm *storm = argument;

    while (!word_get(&storm->stop)) {
        handle_t timer = (handle_t)MUST(sys_timer_create());

        MUST(sys_timer_set(timer, after(50000), 20000));
        MUST(sys_port_bind(storm->port, timer, SIGNAL_READABLE, 1, now() & 1 ? BIND_ONCE : 0));
        sleep_for(100000);
        if (sys_port_bind(storm->port, timer, 0, 0, 0) < 0) {
            /* told and forgotten */
        }
        MUST(sys_handle_close(timer));
    }
}

TEST(binding_while_it_fires)
{
    struct storm storm = {.port = port_new()};
    struct helper *threads[3];
    int64_t until = after(SECOND / 2);
    struct abi_message message;

    for (int i = 0; i < 3; i++)
        threads[i] = helper_thread(bind_and_forget, &storm);
    while (now() < until) {
        int64_t result = sys_proto_accept(storm.port, &message, NULL, 0, after(MILLISECOND));

        CHECK(result == 0 || result == -E_TIMED_OUT);
    }
    word_set(&storm.stop, 1);
    for (int i = 0; i < 3; i++)
        helper_join(threads[i]);
    handle_drop(storm.port);
}

/* --- file_ready ------------------------------------------------------------------------------------------------- */

struct opening {
    struct protocol *protocol;
    handle_t file;
};

static void open_file(void *argument)
{
    struct opening *opening = argument;

    opening->file = open_uri(opening->protocol, "test://x", OPEN_READ);
}

TEST(readiness_of_files)
{
    struct protocol protocol = protocol_new();
    struct opening opening = {&protocol, HANDLE_NONE};
    struct helper *client = helper_thread(open_file, &opening);
    struct abi_message message = accept_op(protocol.port, OP_OPEN);
    struct abi_return result = {.token = message.token, .values = {1, 0, SIGNAL_WRITABLE}};
    uint64_t id = message.file;

    MUST(sys_proto_return(protocol.port, &result));
    helper_join(client);
    handle_t file = opening.file, port = port_new();
    struct abi_wait wait = {.handle = file, .signals = SIGNAL_READABLE | SIGNAL_WRITABLE};

    CHECK_EQUAL(MUST(sys_wait_many(&wait, 1, DEADLINE_NOW)), 1);
    CHECK_EQUAL(wait.ready, SIGNAL_WRITABLE);
    MUST(sys_port_bind(port, file, SIGNAL_READABLE, 9, 0));
    expect_nothing(port);
    MUST(sys_file_ready(protocol.port, id, SIGNAL_READABLE | SIGNAL_PRIORITY, SIGNAL_WRITABLE));
    CHECK_EQUAL(info_of(file).signals, SIGNAL_READABLE | SIGNAL_PRIORITY);
    CHECK_EQUAL(next_notice(port).cookie, 9);
    MUST(sys_file_ready(protocol.port, id, 0, SIGNAL_READABLE | SIGNAL_PRIORITY));
    CHECK_EQUAL(signals_now(file, SIGNAL_READABLE | SIGNAL_WRITABLE), 0);
    MUST(sys_file_ready(protocol.port, id, SIGNAL_HANGUP, 0));
    CHECK_EQUAL(signals_now(file, SIGNAL_READABLE), SIGNAL_HANGUP); /* always waited for */
    CHECK_ERROR(sys_file_ready(protocol.port, id, SIGNAL_EXITED, 0), INVALID);
    CHECK_ERROR(sys_file_ready(protocol.port, id, 0, 0x80000000), INVALID);
    CHECK_ERROR(sys_file_ready(protocol.port, 999999999, SIGNAL_READABLE, 0), NOT_FOUND);
    CHECK_ERROR(sys_file_ready(port, id, SIGNAL_READABLE, 0), NOT_FOUND); /* not this port's */
    handle_drop(port);
    handle_drop(file);
    CHECK_EQUAL(accept_kind(protocol.port, MESSAGE_CLOSE).file, id);
    CHECK_ERROR(sys_file_ready(protocol.port, id, SIGNAL_READABLE, 0), NOT_FOUND);
    protocol_end(&protocol);
}

static handle_t open_silently(struct protocol *protocol, uint64_t *id)
{
    struct opening opening = {protocol, HANDLE_NONE};
    struct helper *client = helper_thread(open_file, &opening);
    struct abi_message message = accept_op(protocol->port, OP_OPEN);
    struct abi_return result = {.token = message.token, .values = {7, HANDLE_FLAG_SILENT, 0}};

    MUST(sys_proto_return(protocol->port, &result));
    helper_join(client);
    *id = message.file;
    return opening.file;
}

/* Nobody is told of a silent file's end, unless its service has changed its mind. */
TEST(silent_files_that_are_told_of)
{
    struct protocol protocol = protocol_new();
    uint64_t quiet_id, told_id;
    handle_t quiet = open_silently(&protocol, &quiet_id);
    handle_t told = open_silently(&protocol, &told_id);

    MUST(sys_file_ready(protocol.port, told_id, READY_TELL, 0));
    CHECK_ERROR(sys_file_ready(protocol.port, told_id, 0, READY_TELL), INVALID);
    handle_drop(quiet);
    CHECK_ERROR(sys_file_ready(protocol.port, quiet_id, READY_TELL, 0), NOT_FOUND);
    expect_nothing(protocol.port);
    handle_drop(told);
    CHECK_EQUAL(accept_kind(protocol.port, MESSAGE_CLOSE).file, told_id);
    protocol_end(&protocol);
}

/* A service process that died says nothing of its files any more; a poller is not left with what it said last. */
TEST(readiness_after_a_restart)
{
    struct protocol protocol = protocol_new();
    struct helper *server = helper_process(serve_protocol, &protocol);
    handle_t file = open_uri(&protocol, "test://x", OPEN_READ);

    helper_kill(server);
    server = helper_process(serve_protocol, &protocol);
    stat_file(file);
    CHECK_EQUAL(info_of(file).signals, 0);
    handle_drop(file);
    helper_kill(server);
    protocol_end(&protocol);
}

/* --- wait_many --------------------------------------------------------------------------------------------------- */

TEST(waiting_for_several)
{
    enum { COUNT = 20 };
    struct abi_wait waits[COUNT];

    for (int i = 0; i < COUNT; i++)
        waits[i] = (struct abi_wait){
            .handle = (handle_t)MUST(sys_timer_create()), .signals = SIGNAL_READABLE, .ready = 9};
    CHECK_ERROR(sys_wait_many(waits, COUNT, DEADLINE_NOW), TIMED_OUT);
    CHECK_ERROR(sys_wait_many(waits, COUNT, after(5 * MILLISECOND)), TIMED_OUT);
    MUST(sys_timer_set(waits[7].handle, after(10 * MILLISECOND), 0));
    CHECK_EQUAL(MUST(sys_wait_many(waits, COUNT, after(PATIENCE))), 1);
    for (int i = 0; i < COUNT; i++)
        CHECK_EQUAL(waits[i].ready, i == 7 ? SIGNAL_READABLE : 0);
    MUST(sys_timer_set(waits[12].handle, 1, 0));
    signal_wait(waits[12].handle, SIGNAL_READABLE);
    CHECK_EQUAL(MUST(sys_wait_many(waits, COUNT, after(PATIENCE))), 2);
    for (int i = 0; i < COUNT; i++)
        handle_drop(waits[i].handle);
}

TEST(wait_errors)
{
    struct abi_wait wait = {.handle = 12345678, .signals = SIGNAL_READABLE};
    handle_t timer = (handle_t)MUST(sys_timer_create()), weak = duplicate(timer, RIGHT_CONTROL);

    CHECK_ERROR(sys_wait_many(&wait, 1, DEADLINE_NOW), BAD_HANDLE);
    wait.handle = weak;
    CHECK_ERROR(sys_wait_many(&wait, 1, DEADLINE_NOW), ACCESS);
    CHECK_ERROR(sys_wait_many(NULL, 1, DEADLINE_NOW), FAULT);
    CHECK_ERROR(sys_wait_many((void *)UINT64_C(0xffff800000000000), 1, DEADLINE_NOW), FAULT);
    CHECK_ERROR(sys_wait_many(&wait, 1000000, DEADLINE_NOW), INVALID);
    CHECK_ERROR(sys_wait_many(&wait, UINT64_MAX, DEADLINE_NOW), INVALID);
    CHECK_ERROR(sys_wait_many(NULL, 0, DEADLINE_NOW), TIMED_OUT);
    CHECK_ERROR(sys_wait_many(NULL, 0, -5), TIMED_OUT);
    handle_drop(weak);
    handle_drop(timer);
}

TEST(the_same_twice)
{
    handle_t timer = (handle_t)MUST(sys_timer_create());
    struct abi_wait waits[2] = {{.handle = timer, .signals = SIGNAL_READABLE},
                                {.handle = timer, .signals = 0}};

    MUST(sys_timer_set(timer, after(5 * MILLISECOND), 0));
    CHECK_EQUAL(MUST(sys_wait_many(waits, 2, after(PATIENCE))), 1);
    CHECK_EQUAL(waits[0].ready, SIGNAL_READABLE);
    CHECK_EQUAL(waits[1].ready, 0);
    handle_drop(timer);
}

static void wait_for_object(void *argument)
{
    CHECK_EQUAL(signal_wait(*(handle_t *)argument, SIGNAL_READABLE), SIGNAL_READABLE);
}

TEST(many_wait_for_one)
{
    handle_t timer = (handle_t)MUST(sys_timer_create());
    struct helper *threads[6];

    for (int i = 0; i < 6; i++)
        threads[i] = i % 2 ? helper_process(wait_for_object, &timer)
                           : helper_thread(wait_for_object, &timer);
    MUST(sys_timer_set(timer, after(30 * MILLISECOND), 0));
    for (int i = 0; i < 6; i++)
        helper_join(threads[i]);
    handle_drop(timer);
}

/* Its last handle is closed while a thread waits: the waiter keeps it until its deadline. */
static void wait_in_vain(void *argument)
{
    struct abi_wait wait = {.handle = *(handle_t *)argument, .signals = SIGNAL_READABLE};

    CHECK_ERROR(sys_wait_many(&wait, 1, after(100 * MILLISECOND)), TIMED_OUT);
}

TEST(closing_what_is_waited_for)
{
    handle_t timer = (handle_t)MUST(sys_timer_create());
    struct helper *helper = helper_thread(wait_in_vain, &timer);

    sleep_for(30 * MILLISECOND);
    MUST(sys_handle_close(timer));
    helper_join(helper);
}

TEST(ports_can_be_waited_for)
{
    struct protocol protocol = protocol_new();
    struct abi_message message;

    CHECK_EQUAL(signals_now(protocol.port, SIGNAL_READABLE | SIGNAL_WRITABLE), 0);
    CHECK_ERROR(sys_proto_accept(protocol.port, &message, NULL, 0, DEADLINE_NOW), AGAIN);
    CHECK_EQUAL(signals_now(protocol.port, SIGNAL_READABLE | SIGNAL_WRITABLE),
                SIGNAL_WRITABLE); /* it is served */
    protocol_end(&protocol);
}
