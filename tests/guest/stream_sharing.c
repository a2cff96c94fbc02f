/* Streams with several threads at one end: sends that are not mixed, packets that come to one, the claim on an end. */
#include "tests/guest/protocol.h"
#include "tests/guest/stream.h"

/* Sends up to STREAM_ATOMIC of several threads are not mixed. */
struct mixing {
    handle_t end;
    uint8_t letter;
};

static void send_letters(void *argument)
{
    struct mixing *mixing = argument;
    uint8_t bytes[1000];

    memset(bytes, mixing->letter, sizeof(bytes));
    for (int i = 0; i < 100; i++)
        CHECK_EQUAL(MUST(send(mixing->end, bytes, sizeof(bytes), 0)), sizeof(bytes));
}

TEST(atomic_sends)
{
    struct pair pair = pair_new(0);
    struct mixing mixings[4];
    struct helper *threads[4];
    uint8_t bytes[1000];
    uint32_t counts[4] = {0};

    for (int i = 0; i < 4; i++) {
        mixings[i] = (struct mixing){pair.end[1], (uint8_t)i};
        threads[i] = helper_thread(send_letters, &mixings[i]);
    }
    for (int i = 0; i < 400; i++) {
        uint64_t done = 0;

        while (done < sizeof(bytes))
            done += (uint64_t)MUST(receive(pair.end[0], bytes + done, sizeof(bytes) - done, 0));
        for (size_t j = 1; j < sizeof(bytes); j++)
            CHECK_EQUAL(bytes[j], bytes[0]);
        counts[bytes[0]]++;
    }
    for (int i = 0; i < 4; i++) {
        CHECK_EQUAL(counts[i], 100);
        helper_join(threads[i]);
    }
    pair_end(&pair);
}

/* Several receivers: every packet comes to exactly one. */
struct sharing {
    struct pair pair;
    uint32_t seen[256];
};

static void receive_packets(void *argument)
{
    struct sharing *sharing = argument;
    uint8_t byte;

    while (MUST(receive(sharing->pair.end[0], &byte, 1, 0)) == 1)
        __atomic_fetch_add(&sharing->seen[byte], 1, __ATOMIC_SEQ_CST);
}

TEST(several_receivers)
{
    struct sharing *sharing = shared(sizeof(*sharing));
    struct helper *threads[3];

    sharing->pair = pair_new(STREAM_PACKETS | STREAM_ONE_WAY);
    for (int i = 0; i < 3; i++)
        threads[i] = helper_thread(receive_packets, sharing);
    for (int round = 0; round < 4; round++)
        for (int i = 0; i < 256; i++) {
            uint8_t byte = (uint8_t)i;

            MUST(send(sharing->pair.end[1], &byte, 1, 0));
        }
    handle_drop(sharing->pair.end[1]);
    for (int i = 0; i < 3; i++)
        helper_join(threads[i]);
    for (int i = 0; i < 256; i++)
        CHECK_EQUAL(sharing->seen[i], 4);
    handle_drop(sharing->pair.end[0]);
    unshare(sharing);
}

/* The first to wait is the first to send, though the next one's packet would fit. Receivers and senders are on one CPU, and senders come
 * first there: whenever the test goes on, whoever it has started waits. */
#define BIG   50000u
#define SMALL 100u

struct in_line {
    handle_t end;
    uint32_t started, gave_up;
    int64_t deadline;
};

static void on_first_cpu(uint64_t priority)
{
    MUST(sys_thread_control(HANDLE_SELF, THREAD_AFFINITY, 1, NULL));
    MUST(sys_thread_control(HANDLE_SELF, THREAD_PRIORITY, priority, NULL));
}

static void on_any_cpu(void)
{
    MUST(sys_thread_control(HANDLE_SELF, THREAD_AFFINITY, 0, NULL));
}

static void send_in_line(struct in_line *line, uint64_t length)
{
    static const uint8_t bytes[BIG];

    on_first_cpu(5);
    word_add(&line->started, 1);

    int64_t result = sys_stream_send(line->end, bytes, length, 0, line->deadline, NULL);

    if (result == -E_TIMED_OUT)
        word_add(&line->gave_up, 1);
    else
        CHECK_EQUAL(result, length);
}

static void send_big(void *argument)
{
    send_in_line(argument, BIG);
}

static void send_little(void *argument)
{
    send_in_line(argument, SMALL);
}

TEST(senders_stand_in_line)
{
    static uint8_t bytes[ROOM];
    struct pair pair = pair_new(STREAM_PACKETS);
    struct in_line line = {.end = pair.end[1], .deadline = after(PATIENCE)};

    on_first_cpu(0);
    MUST(send(pair.end[1], bytes, BIG, 0));
    struct helper *big = helper_thread(send_big, &line);
    word_wait(&line.started, 1);
    struct helper *little = helper_thread(send_little, &line);
    word_wait(&line.started, 2);
    MUST(send(pair.end[1], bytes, 7, NO_WAIT)); /* who does not wait takes what room there is */
    CHECK_ERROR(send(pair.end[1], bytes, BIG, NO_WAIT), AGAIN);
    CHECK_EQUAL(MUST(receive(pair.end[0], bytes, ROOM, 0)), BIG);
    CHECK_EQUAL(MUST(receive(pair.end[0], bytes, ROOM, 0)), 7);
    CHECK_EQUAL(MUST(receive(pair.end[0], bytes, ROOM, 0)), BIG);
    CHECK_EQUAL(MUST(receive(pair.end[0], bytes, ROOM, 0)), SMALL);
    helper_join(big);
    helper_join(little);
    on_any_cpu();
    pair_end(&pair);
}

/* Who gives up its place lets the next one have its turn. */
TEST(who_leaves_the_line_holds_nobody_up)
{
    static uint8_t bytes[ROOM];
    struct pair pair = pair_new(STREAM_PACKETS);
    struct in_line hasty = {.end = pair.end[1], .deadline = after(50 * MILLISECOND)};
    struct in_line patient = {.end = pair.end[1], .deadline = after(PATIENCE)};

    on_first_cpu(0);
    MUST(send(pair.end[1], bytes, BIG, 0));
    struct helper *big = helper_thread(send_big, &hasty);
    word_wait(&hasty.started, 1);
    struct helper *little = helper_thread(send_little, &patient);
    helper_join(little); /* with nothing received */
    helper_join(big);
    CHECK_EQUAL(hasty.gave_up, 1);
    CHECK_EQUAL(MUST(receive(pair.end[0], bytes, ROOM, 0)), BIG);
    CHECK_EQUAL(MUST(receive(pair.end[0], bytes, ROOM, 0)), SMALL);
    on_any_cpu();
    pair_end(&pair);
}

/* Forth and back, a byte at a time. */
static void echo(void *argument)
{
    handle_t end = *(handle_t *)argument;
    char byte;

    while (MUST(receive(end, &byte, 1, 0)) == 1)
        MUST(send(end, &byte, 1, 0));
}

TEST(ping_pong)
{
    struct pair pair = pair_new(0);
    struct helper *helper = helper_process(echo, &pair.end[1]);

    handle_drop(pair.end[1]);
    for (int i = 0; i < 2000; i++) {
        char byte = (char)i, back = 0;

        MUST(send(pair.end[0], &byte, 1, 0));
        MUST(receive(pair.end[0], &back, 1, 0));
        CHECK_EQUAL(back, byte);
    }
    handle_drop(pair.end[0]);
    helper_kill(helper); /* its own copy of end 0 keeps the stream open */
}

/* A receiver killed in the middle of a copy leaves the claim to the next. */
static void receive_for_ever(void *argument)
{
    static char bytes[ROOM];

    for (;;)
        MUST(receive(*(handle_t *)argument, bytes, sizeof(bytes), 0));
}

TEST(killed_receivers)
{
    struct pair pair = pair_new(0);
    static char bytes[ROOM];

    for (int i = 0; i < 20; i++) {
        struct helper *helper = helper_process(receive_for_ever, &pair.end[0]);
        int64_t until = after(10 * MILLISECOND);

        while (now() < until)
            send(pair.end[1], bytes, 50000, NO_WAIT);
        helper_kill(helper);
    }
    while (receive(pair.end[0], bytes, sizeof(bytes), NO_WAIT) > 0)
        ;
    MUST(send(pair.end[1], "x", 1, 0));
    CHECK_EQUAL(MUST(receive(pair.end[0], bytes, 16, 0)), 1);
    pair_end(&pair);
}

/* Two want the last packet, and nothing comes after it. The one who has it copies to memory whose page is long in coming; the other
 * waits until it has, and then learns that this was all: the sending end is closed, or the receiving one. */
struct slow_copy {
    struct protocol protocol;
    handle_t memory, source;
    struct pair pair;
    uint32_t asked, hold; /* for the page; not answered before hold is 0 */
    uint32_t second;      /* is about to receive */
};

static void serve_late(void *argument)
{
    struct slow_copy *copy = argument;
    struct abi_supply supply = {.source = copy->source};
    struct abi_message message;

    MUST(sys_proto_accept(copy->protocol.port, &message, NULL, 0, after(PATIENCE)));
    CHECK_EQUAL(message.op, OP_PAGE_IN);
    word_add(&copy->asked, 1);
    for (uint32_t held; (held = word_get(&copy->hold)) != 0;)
        sys_ignore(sys_futex_wait(&copy->hold, held, FUTEX_SHARED_, after(PATIENCE), FUTEX_ANY));
    MUST(sys_memory_op(copy->memory, MEMORY_OP_SUPPLY, 0, PAGE_SIZE, &supply));
    sys_ignore(return_status(copy->protocol.port, message.token, 0, 0));
}

static void receive_slowly(void *argument)
{
    struct slow_copy *copy = argument;
    uint8_t *page = memory_map(copy->memory, PAGE_SIZE, PROT_READ_ | PROT_WRITE_, MAP_SHARED_);

    CHECK_EQUAL(MUST(receive(copy->pair.end[0], page, 1, 0)), 1);
    pages_unmap(page, 1);
}

static void receive_end(void *argument)
{
    struct slow_copy *copy = argument;
    uint8_t byte;

    word_add(&copy->second, 1);
    CHECK_EQUAL(MUST(receive(copy->pair.end[0], &byte, 1, 0)), 0);
}

static void last_packet(uint32_t closed)
{
    struct slow_copy *copy = shared(sizeof(*copy));

    copy->protocol = protocol_new();
    copy->memory = (handle_t)MUST(sys_memory_paged(copy->protocol.port, PAGE_SIZE, 0, 0));
    copy->source = (handle_t)MUST(sys_memory_create(PAGE_SIZE, 0));
    copy->hold = 1;

    struct helper *server = helper_process(serve_late, copy);

    copy->pair = pair_new(STREAM_PACKETS |
                          STREAM_ONE_WAY); /* now, so that the server has no handles to it */
    MUST(send(copy->pair.end[1], "x", 1, 0));

    struct helper *first = helper_thread(receive_slowly, copy);

    word_wait(&copy->asked, 1);

    struct helper *second = helper_thread(receive_end, copy);

    word_wait(&copy->second, 1);
    sleep_for(20 * MILLISECOND); /* it waits by now; if not, it has an easier time */
    handle_drop(copy->pair.end[closed]);
    sleep_for(20 * MILLISECOND);
    word_set(&copy->hold, 0);
    helper_join(first);
    helper_join(second);
    helper_join(server);
    handle_drop(copy->pair.end[!closed]);
    handle_drop(copy->memory);
    handle_drop(copy->source);
    protocol_end(&copy->protocol);
    unshare(copy);
}

TEST(last_packet_of_a_closed_sender)
{
    last_packet(1);
}

TEST(last_packet_of_a_closed_receiver)
{
    last_packet(0);
}
