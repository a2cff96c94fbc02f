/* What workers inherit from those they work for: priority, deadline and trace id, along chains of calls.
 *
 * A link of a chain is a process with one worker, which passes each command on to the next link and waits before that, if it is
 * told to. The test itself is the last link, and sees in the messages what priority and deadline the link before has: so
 * no verdict depends on time. The tests with a middle load need what they prove to end at all.
 */
#include "tests/guest/protocol.h"

enum { LOW = 2, MIDDLE = 10, HIGH = 20 };

struct link {
    struct protocol protocol, next; /* next.port HANDLE_NONE: the last one, which just returns */
    uint32_t waits; /* it stays with what it has accepted until `go` is at least as high */
    uint32_t got, go;
    struct helper *helper;
};

struct client {
    struct protocol *protocol;
    struct abi_command command;
    int64_t result;
};

static void control(handle_t thread, uint32_t op, uint64_t value)
{
    MUST(sys_thread_control(thread, op, value, NULL));
}

static int64_t call(const struct protocol *protocol, struct abi_command *command)
{
    return path_op(protocol->names, "test://", command);
}

static void pass_on(void *argument)
{
    struct link *link = argument;
    struct abi_message message;

    MUST(sys_proto_accept(link->protocol.port, &message, NULL, 0, DEADLINE_NEVER));
    for (;;) {
        struct abi_command command = {.op = TEST_ECHO};
        struct abi_return result = {.token = message.token};

        if (message.kind == MESSAGE_NOTIFY)
            return;
        if (message.kind == MESSAGE_COMMAND) {
            word_add(&link->got, 1);
            word_wait(&link->go, word_get(&link->waits));
            if (link->next.port != HANDLE_NONE)
                result.status = (int32_t)call(&link->next, &command);
        }
        if (message.kind == MESSAGE_COMMAND)
            MUST(sys_proto_return_accept(link->protocol.port, &result, &message, NULL, 0,
                                         DEADLINE_NEVER));
        else
            MUST(sys_proto_accept(link->protocol.port, &message, NULL, 0, DEADLINE_NEVER));
    }
}

static struct link *link_new(const struct protocol *next)
{
    struct link *link = shared(sizeof(*link));

    link->protocol = protocol_new();
    link->next = next ? *next : (struct protocol){HANDLE_NONE, HANDLE_NONE};
    link->helper = helper_process_suspended(pass_on, link);
    return link;
}

static struct link *link_start(struct link *link)
{
    helper_resume(link->helper);
    signal_wait(link->protocol.port, SIGNAL_WRITABLE);
    return link;
}

static void link_end(struct link *link)
{
    protocol_stop(&link->protocol);
    helper_join(link->helper);
    protocol_end(&link->protocol);
    unshare(link);
}

static void be_client(void *argument)
{
    struct client *client = argument;

    client->result = call(client->protocol, &client->command);
}

static struct helper *client_start(struct client *client, struct link *link, uint32_t priority)
{
    *client = (struct client){.protocol = &link->protocol, .command = {.op = TEST_ECHO}};

    struct helper *helper = helper_thread_suspended(be_client, client);

    control(helper->thread, THREAD_PRIORITY, priority);
    return helper_resume(helper);
}

static void answer(const struct protocol *protocol, const struct abi_message *message)
{
    MUST(return_status(protocol->port, message->token, 0, 0));
}

/* Until that many commands are sent and not completed: their callers sleep. */
static void wait_for_commands(uint64_t count)
{
    while (system_info().commands != count)
        sleep_for(MILLISECOND);
}

/* --- Down the chain ---------------------------------------------------------------------------------------------- */

TEST(priority_and_trace_go_down_the_chain)
{
    struct protocol last = protocol_new();
    struct link *second = link_start(link_new(&last)),
                *first = link_start(link_new(&second->protocol));
    struct client clients[2];
    uint64_t trace = 0;

    for (int i = 0; i < 2; i++) { /* the second time nothing of the first is left */
        struct helper *client = client_start(&clients[i], first, i ? LOW : HIGH);
        struct abi_message message = accept_op(last.port, TEST_ECHO);

        CHECK_EQUAL(message.priority, i ? LOW : HIGH);
        CHECK(message.trace != 0 && message.trace != trace);
        trace = message.trace;
        answer(&last, &message);
        helper_join(client);
        CHECK_EQUAL(clients[i].result, 0);
    }
    control(HANDLE_SELF, THREAD_PRIORITY, 0);
    link_end(first);
    link_end(second);
    protocol_end(&last);
}

TEST(a_deadline_goes_down_the_chain)
{
    struct protocol last = protocol_new();
    struct link *second = link_start(link_new(&last)),
                *first = link_start(link_new(&second->protocol));
    struct client limited = {.protocol = &first->protocol,
                             .command = {.op = TEST_ECHO, .deadline = after(PATIENCE)}},
                  free;
    struct helper *client = helper_thread(be_client, &limited);
    struct abi_message message = accept_op(last.port, TEST_ECHO);

    CHECK_EQUAL(message.deadline, limited.command.deadline);
    answer(&last, &message);
    helper_join(client);
    client = client_start(&free, first, 0);
    message = accept_op(last.port, TEST_ECHO);
    CHECK_EQUAL(message.deadline, DEADLINE_NEVER);
    answer(&last, &message);
    helper_join(client);
    link_end(first);
    link_end(second);
    protocol_end(&last);
}

/* Each hop's wait ends when the client's does: the last service is asked to give back what nobody waits for. */
TEST(a_deadline_ends_every_hop)
{
    struct protocol last = protocol_new();
    struct link *second = link_start(link_new(&last)),
                *first = link_start(link_new(&second->protocol));
    struct client client = {.protocol = &first->protocol,
                            .command = {.op = TEST_ECHO, .deadline = after(SECOND / 10)}};
    struct helper *helper = helper_thread(be_client, &client);
    struct abi_message message = accept_op(last.port, TEST_ECHO);

    CHECK_EQUAL(accept_kind(last.port, MESSAGE_CANCEL).token, message.token);
    MUST(return_status(last.port, message.token, -E_CANCELLED, 0));
    helper_join(helper);
    CHECK_EQUAL(client.result, -E_TIMED_OUT);
    link_end(first);
    link_end(second);
    protocol_end(&last);
}

/* --- From behind -------------------------------------------------------------------------------------------------- */

/* The only worker works for a client of low priority when one of high priority comes: it goes on with the priority of that. */
TEST(a_busy_worker_is_pressed_by_what_is_queued)
{
    struct protocol last = protocol_new();
    struct link *link = link_new(&last);
    struct client low, high;

    link->waits = 1;
    link_start(link);
    struct helper *first = client_start(&low, link, LOW);
    word_wait(&link->got, 1);
    struct helper *second = client_start(&high, link, HIGH);
    wait_for_commands(2);
    sleep_for(5 * MILLISECOND);
    word_set(&link->go, 1);
    struct abi_message message = accept_op(last.port, TEST_ECHO);
    CHECK_EQUAL(message.priority, HIGH);
    answer(&last, &message);
    helper_join(first);
    message = accept_op(last.port, TEST_ECHO);
    CHECK_EQUAL(message.priority, HIGH);
    answer(&last, &message);
    helper_join(second);
    control(HANDLE_SELF, THREAD_PRIORITY, 0);
    link_end(link);
    protocol_end(&last);
}

/* ... also when it waits for another service meanwhile: in that one's queue the command moves up, and back when the client
 * of high priority gives up. */
static void press_a_waiting_worker(bool withdrawn)
{
    struct protocol last = protocol_new();
    struct link *second = link_start(link_new(&last)),
                *first = link_start(link_new(&second->protocol));
    struct client low, high;
    struct helper *clients[2] = {client_start(&low, first, LOW), NULL};

    wait_for_commands(3);
    signal_wait(last.port, SIGNAL_READABLE);
    clients[1] = client_start(&high, first, HIGH);
    wait_for_commands(4);
    sleep_for(5 * MILLISECOND);
    if (withdrawn) {
        control(clients[1]->thread, THREAD_INTERRUPT, 0);
        helper_join(clients[1]);
        CHECK_EQUAL(high.result, -E_INTERRUPTED);
        clients[1] = NULL;
    }
    struct abi_message message = accept_op(last.port, TEST_ECHO);
    CHECK_EQUAL(message.priority, withdrawn ? LOW : HIGH);
    answer(&last, &message);
    helper_join(clients[0]);
    if (clients[1]) {
        message = accept_op(last.port, TEST_ECHO);
        CHECK_EQUAL(message.priority, HIGH);
        answer(&last, &message);
        helper_join(clients[1]);
    }
    control(HANDLE_SELF, THREAD_PRIORITY, 0);
    link_end(first);
    link_end(second);
    protocol_end(&last);
}

TEST(a_waiting_worker_is_pressed)
{
    press_a_waiting_worker(false);
}

TEST(a_withdrawn_command_presses_nobody)
{
    press_a_waiting_worker(true);
}

/* The worker two links on has the command in its hands already. */
TEST(pressure_reaches_who_works_further_down)
{
    struct protocol last = protocol_new();
    struct link *second = link_new(&last), *first;
    struct client low, high;

    second->waits = 1;
    link_start(second);
    first = link_start(link_new(&second->protocol));
    struct helper *one = client_start(&low, first, LOW);
    word_wait(&second->got, 1);
    struct helper *two = client_start(&high, first, HIGH);
    wait_for_commands(3);
    sleep_for(5 * MILLISECOND);
    word_set(&second->go, 1);
    for (int i = 0; i < 2; i++) {
        struct abi_message message = accept_op(last.port, TEST_ECHO);

        CHECK_EQUAL(message.priority, HIGH);
        answer(&last, &message);
    }
    helper_join(one);
    helper_join(two);
    control(HANDLE_SELF, THREAD_PRIORITY, 0);
    link_end(first);
    link_end(second);
    protocol_end(&last);
}

/* Its client's priority is changed while it waits. */
TEST(a_command_has_its_callers_priority)
{
    struct protocol last = protocol_new();
    struct link *link = link_start(link_new(&last));
    struct client client;
    struct helper *helper = client_start(&client, link, LOW);
    static const uint32_t priorities[] = {HIGH, MIDDLE};

    wait_for_commands(2);
    signal_wait(last.port, SIGNAL_READABLE);
    for (size_t i = 0; i < ARRAY_SIZE(priorities); i++)
        control(helper->thread, THREAD_PRIORITY, priorities[i]);
    struct abi_message message = accept_op(last.port, TEST_ECHO);
    CHECK_EQUAL(message.priority, MIDDLE);
    answer(&last, &message);
    helper_join(helper);
    control(HANDLE_SELF, THREAD_PRIORITY, 0);
    link_end(link);
    protocol_end(&last);
}

/* A worker whose client was killed works for nobody of high priority any more. */
TEST(a_killed_client_lends_nothing)
{
    struct protocol last = protocol_new();
    struct link *link = link_new(&last);
    struct client *client = shared(sizeof(*client));

    link->waits = 1;
    link_start(link);
    *client = (struct client){.protocol = &link->protocol, .command = {.op = TEST_ECHO}};
    struct helper *helper = helper_process_suspended(be_client, client);
    control(helper->thread, THREAD_PRIORITY, HIGH);
    helper_resume(helper);
    word_wait(&link->got, 1);
    helper_kill(helper);
    word_set(&link->go, 1);
    struct abi_message message = accept_op(last.port, TEST_ECHO);
    CHECK_EQUAL(message.priority, 0);
    answer(&last, &message);
    link_end(link);
    unshare(client);
    protocol_end(&last);
}

/* --- With a load between ------------------------------------------------------------------------------------------- */

static void burn(void *argument)
{
    while (!word_get(argument))
        ;
}

/* Services of no priority on one CPU, with a thread there that never sleeps and outranks them: it does not hold up a client
 * that outranks it. `behind`: a client of low priority has come first. */
static void call_beside_load(bool behind)
{
    struct link *second = link_new(NULL), *first = link_new(&second->protocol);
    uint32_t stop = 0;
    struct client low, high;
    struct helper *load = helper_thread_suspended(burn, &stop), *early = NULL, *late;

    control(HANDLE_SELF, THREAD_PRIORITY, 31);
    second->waits = behind;
    control(second->helper->thread, THREAD_AFFINITY, 1);
    control(first->helper->thread, THREAD_AFFINITY, 1);
    link_start(second);
    link_start(first);
    if (behind) {
        early = client_start(&low, first, LOW);
        word_wait(&second->got, 1);
    }
    control(load->thread, THREAD_AFFINITY, 1);
    control(load->thread, THREAD_PRIORITY, MIDDLE);
    helper_resume(load);
    word_set(&second->go, 1); /* a service that nothing presses does not get to see that */
    late = client_start(&high, first, HIGH);
    helper_join(late); /* or its patience ends */
    CHECK_EQUAL(high.result, 0);
    word_set(&stop, 1);
    helper_join(load);
    if (early)
        helper_join(early);
    control(HANDLE_SELF, THREAD_PRIORITY, 0);
    link_end(first);
    link_end(second);
}

TEST(a_middle_load_starves_no_chain)
{
    call_beside_load(false);
}

TEST(a_middle_load_starves_no_chain_that_is_busy)
{
    call_beside_load(true);
}
