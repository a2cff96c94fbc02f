/* stream_pair, stream_send, stream_receive: bytes, packets, back-pressure, the end. */
#include "tests/guest/stream.h"

TEST(pair_errors)
{
    handle_t ends[2];

    CHECK_ERROR(sys_stream_pair(4, ends), INVALID);
    CHECK_ERROR(sys_stream_pair(0, NULL), FAULT);
    CHECK_ERROR(sys_stream_pair(0, (void *)UINT64_C(0xffffffff80000000)), FAULT);
}

TEST(both_ways)
{
    struct pair pair = pair_new(0);
    char bytes[16];

    CHECK_EQUAL(MUST(send(pair.end[0], "hello", 5, 0)), 5);
    CHECK_EQUAL(MUST(send(pair.end[1], "other", 5, 0)), 5);
    CHECK_EQUAL(MUST(receive(pair.end[1], bytes, 3, 0)), 3);
    CHECK(memcmp(bytes, "hel", 3) == 0);
    CHECK_EQUAL(MUST(receive(pair.end[1], bytes, 16, 0)), 2);
    CHECK(memcmp(bytes, "lo", 2) == 0);
    CHECK_EQUAL(MUST(receive(pair.end[0], bytes, 16, 0)), 5);
    CHECK(memcmp(bytes, "other", 5) == 0);
    pair_end(&pair);
}

TEST(bytes_have_no_boundaries)
{
    struct pair pair = pair_new(0);
    char bytes[16];

    MUST(send(pair.end[0], "abc", 3, 0));
    MUST(send(pair.end[0], "def", 3, 0));
    CHECK_EQUAL(MUST(receive(pair.end[1], bytes, 16, 0)), 6);
    CHECK(memcmp(bytes, "abcdef", 6) == 0);
    CHECK_EQUAL(MUST(send(pair.end[0], "", 0, 0)), 0);
    CHECK_EQUAL(MUST(receive(pair.end[1], bytes, 0, 0)), 0);
    CHECK_ERROR(receive(pair.end[1], bytes, 1, NO_WAIT), AGAIN);
    pair_end(&pair);
}

TEST(packets_have)
{
    struct pair pair = pair_new(STREAM_PACKETS);
    char bytes[16];

    MUST(send(pair.end[0], "abc", 3, 0));
    MUST(send(pair.end[0], "", 0, 0));
    MUST(send(pair.end[0], "defgh", 5, 0));
    CHECK_EQUAL(MUST(receive(pair.end[1], bytes, 16, 0)), 3);
    CHECK_EQUAL(MUST(receive(pair.end[1], bytes, 16, 0)), 0); /* an empty packet, not the end */
    CHECK_EQUAL(MUST(receive(pair.end[1], bytes, 2, 0)), 2);  /* the rest of it is lost */
    CHECK(memcmp(bytes, "de", 2) == 0);
    CHECK_ERROR(receive(pair.end[1], bytes, 1, NO_WAIT), AGAIN);
    pair_end(&pair);
}

TEST(largest_packets)
{
    struct pair pair = pair_new(STREAM_PACKETS);
    static uint8_t out[ROOM], in[ROOM];

    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = (uint8_t)(i * 13 >> 4);
    CHECK_ERROR(send(pair.end[0], out, ROOM, 0), TOO_LONG);
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(MUST(send(pair.end[0], out, ROOM - 4, 0)), ROOM - 4);
        CHECK_ERROR(send(pair.end[0], out, 1, NO_WAIT), AGAIN);
        CHECK_EQUAL(MUST(receive(pair.end[1], in, ROOM, 0)), ROOM - 4);
        CHECK(memcmp(in, out, ROOM - 4) == 0);
        MUST(send(pair.end[0], out, 100 + i, 0)); /* the next one lies across the ring's end */
        CHECK_EQUAL(MUST(receive(pair.end[1], in, ROOM, 0)), 100 + i);
    }
    pair_end(&pair);
}

TEST(one_way)
{
    struct pair pair = pair_new(STREAM_ONE_WAY);
    char byte;

    CHECK_EQUAL(info_of(pair.end[0]).rights & (RIGHT_READ | RIGHT_WRITE), RIGHT_READ);
    CHECK_EQUAL(info_of(pair.end[1]).rights & (RIGHT_READ | RIGHT_WRITE), RIGHT_WRITE);
    CHECK_ERROR(send(pair.end[0], "x", 1, 0), ACCESS);
    CHECK_ERROR(receive(pair.end[1], &byte, 1, 0), ACCESS);
    MUST(send(pair.end[1], "x", 1, 0));
    CHECK_EQUAL(MUST(receive(pair.end[0], &byte, 1, 0)), 1);
    pair_end(&pair);
}

TEST(rights)
{
    struct pair pair = pair_new(0);
    handle_t reader = duplicate(pair.end[0], RIGHT_READ),
             writer = duplicate(pair.end[0], RIGHT_WRITE);
    char byte;

    CHECK_ERROR(send(reader, "x", 1, 0), ACCESS);
    CHECK_ERROR(receive(writer, &byte, 1, 0), ACCESS);
    handle_drop(reader);
    handle_drop(writer);
    pair_end(&pair);
}

TEST(bad_memory)
{
    struct pair pair = pair_new(0);
    struct abi_stream_message message = {.handle_count = STREAM_HANDLES + 1};
    char *page = pages_map(2), bytes[16];

    CHECK_ERROR(send(pair.end[0], NULL, 1, 0), FAULT);
    CHECK_ERROR(sys_stream_send(pair.end[0], "x", 1, 0, DEADLINE_NOW, (void *)16), FAULT);
    CHECK_ERROR(sys_stream_receive(pair.end[0], bytes, 1, 0, DEADLINE_NOW, (void *)16), FAULT);
    CHECK_ERROR(sys_stream_send(pair.end[0], "x", 1, 0, DEADLINE_NOW, &message), TOO_LONG);
    message.handle_count = 1; /* where nothing is mapped */
    CHECK_ERROR(sys_stream_send(pair.end[0], "x", 1, 0, DEADLINE_NOW, &message), FAULT);
    CHECK_ERROR(send(pair.end[0], "x", 1, 1), INVALID);
    CHECK_ERROR(receive(pair.end[0], bytes, 1, 1), INVALID);
    CHECK_ERROR(send(pair.end[0], (void *)16, 4, 0), FAULT);
    CHECK_ERROR(send(pair.end[0], (void *)UINT64_C(0xffff800000000000), 4, 0), FAULT);
    CHECK_ERROR(send(pair.end[0], "x", UINT64_MAX, 0), FAULT);
    CHECK_ERROR(receive(pair.end[1], bytes, 16, NO_WAIT), AGAIN); /* nothing of it came through */
    MUST(send(pair.end[0], "keep", 4, 0));
    CHECK_ERROR(receive(pair.end[1], (void *)16, 4, 0), FAULT);
    CHECK_ERROR(receive(pair.end[1], (void *)UINT64_C(0xffffffff80000000), 4, 0), FAULT);
    pages_unmap(page + PAGE_SIZE, 1);
    CHECK_ERROR(receive(pair.end[1], page + PAGE_SIZE - 2, 4, 0), FAULT);
    CHECK_EQUAL(MUST(receive(pair.end[1], bytes, 16, 0)), 4); /* nor was it lost */
    CHECK(memcmp(bytes, "keep", 4) == 0);
    pages_unmap(page, 1);
    pair_end(&pair);
}

TEST(peeking)
{
    for (uint32_t flags = 0; flags <= STREAM_PACKETS; flags++) {
        struct pair pair = pair_new(flags);
        char bytes[16];

        MUST(send(pair.end[0], "abcdef", 6, 0));
        CHECK_EQUAL(MUST(receive(pair.end[1], bytes, 3, STREAM_PEEK)), 3);
        CHECK_EQUAL(MUST(receive(pair.end[1], bytes, 16, STREAM_PEEK)), 6);
        CHECK_EQUAL(MUST(receive(pair.end[1], bytes, 16, 0)), 6);
        CHECK(memcmp(bytes, "abcdef", 6) == 0);
        CHECK_ERROR(receive(pair.end[1], bytes, 16, STREAM_PEEK | NO_WAIT), AGAIN);
        pair_end(&pair);
    }
}

TEST(signals)
{
    struct pair pair = pair_new(0);
    static char bytes[ROOM];

    CHECK_EQUAL(state(pair.end[0]), SIGNAL_WRITABLE);
    CHECK_EQUAL(state(pair.end[1]), SIGNAL_WRITABLE);
    MUST(send(pair.end[0], "x", 1, 0));
    CHECK_EQUAL(state(pair.end[1]), SIGNAL_WRITABLE | SIGNAL_READABLE);
    CHECK_EQUAL(MUST(send(pair.end[0], bytes, ROOM, NO_WAIT)), ROOM - 1);
    CHECK_EQUAL(state(pair.end[0]), 0);
    MUST(receive(pair.end[1], bytes, 100, 0));
    CHECK_EQUAL(state(pair.end[0]), 0); /* not yet room for an atomic send */
    MUST(receive(pair.end[1], bytes, STREAM_ATOMIC, 0));
    CHECK_EQUAL(state(pair.end[0]), SIGNAL_WRITABLE);
    MUST(receive(pair.end[1], bytes, ROOM, 0));
    CHECK_EQUAL(state(pair.end[1]), SIGNAL_WRITABLE);
    handle_drop(pair.end[1]);
    CHECK_EQUAL(state(pair.end[0]),
                SIGNAL_READABLE | SIGNAL_WRITABLE | SIGNAL_ENDED | SIGNAL_HANGUP | SIGNAL_ERROR);
    handle_drop(pair.end[0]);
}

TEST(one_way_signals)
{
    struct pair pair = pair_new(STREAM_ONE_WAY);

    CHECK_EQUAL(state(pair.end[0]), 0);
    CHECK_EQUAL(state(pair.end[1]), SIGNAL_WRITABLE);
    MUST(send(pair.end[1], "x", 1, 0));
    CHECK_EQUAL(state(pair.end[0]) & (SIGNAL_READABLE | SIGNAL_HANGUP), SIGNAL_READABLE);
    handle_drop(pair.end[0]);
    CHECK_EQUAL(state(pair.end[1]) & SIGNAL_ERROR, SIGNAL_ERROR);
    handle_drop(pair.end[1]);
}

/* What was sent is received after the sender is gone; then comes the end. */
TEST(end_of_stream)
{
    for (uint32_t flags = 0; flags <= STREAM_PACKETS; flags++) {
        struct pair pair = pair_new(flags);
        char bytes[16];

        MUST(send(pair.end[0], "last", 4, 0));
        handle_drop(pair.end[0]);
        CHECK_ERROR(send(pair.end[1], "x", 1, 0), CLOSED);
        CHECK_EQUAL(MUST(receive(pair.end[1], bytes, 16, 0)), 4);
        CHECK_EQUAL(MUST(receive(pair.end[1], bytes, 16, 0)), 0);
        CHECK_EQUAL(MUST(receive(pair.end[1], bytes, 16, NO_WAIT)), 0);
        handle_drop(pair.end[1]);
    }
}

TEST(deadlines)
{
    struct pair pair = pair_new(0);
    static char bytes[ROOM + 1];
    int64_t start = now();

    CHECK_ERROR(sys_stream_receive(pair.end[0], bytes, 1, 0, after(20 * MILLISECOND), NULL),
                TIMED_OUT);
    CHECK(now() - start >= 15 * MILLISECOND);
    CHECK_ERROR(sys_stream_receive(pair.end[0], bytes, 1, 0, 1, NULL), TIMED_OUT);
    /* What went through counts. */
    CHECK_EQUAL(
        MUST(sys_stream_send(pair.end[0], bytes, ROOM + 1, 0, after(20 * MILLISECOND), NULL)),
        ROOM);
    CHECK_ERROR(sys_stream_send(pair.end[0], bytes, ROOM + 1, 0, after(20 * MILLISECOND), NULL),
                TIMED_OUT);
    pair_end(&pair);
}

TEST(not_blocking)
{
    struct pair pair = pair_new(0);
    static char bytes[ROOM + 1];

    CHECK_ERROR(receive(pair.end[0], bytes, 1, NO_WAIT), AGAIN);
    CHECK_EQUAL(MUST(send(pair.end[1], bytes, ROOM + 1, NO_WAIT)), ROOM);
    CHECK_ERROR(send(pair.end[1], bytes, 1, NO_WAIT), AGAIN);

    /* As a flag of the end. */
    MUST(sys_handle_flags(pair.end[1], HANDLE_FLAG_NONBLOCK, HANDLE_FLAG_NONBLOCK));
    CHECK_ERROR(send(pair.end[1], bytes, 1, 0), AGAIN);
    CHECK_ERROR(receive(pair.end[1], bytes, 1, 0), AGAIN);

    /* An atomic send goes whole or not at all. */
    MUST(receive(pair.end[0], bytes, 100, 0));
    CHECK_ERROR(send(pair.end[1], bytes, 101, 0), AGAIN);
    CHECK_EQUAL(MUST(send(pair.end[1], bytes, 100, 0)), 100);
    pair_end(&pair);
}

static void sleep_in_receive(void *argument)
{
    char byte;

    CHECK_ERROR(receive(*(handle_t *)argument, &byte, 1, 0), INTERRUPTED);
}

TEST(interrupted)
{
    struct pair pair = pair_new(0);
    struct helper *helper = helper_thread(sleep_in_receive, &pair.end[0]);

    sleep_for(30 * MILLISECOND);
    MUST(sys_thread_control(helper->thread, THREAD_INTERRUPT, 0, NULL));
    helper_join(helper);
    pair_end(&pair);
}

static void sleep_until_closed(void *argument)
{
    static char bytes[2 * ROOM];
    handle_t *end = argument;

    if (end[1])
        CHECK_EQUAL(send(end[0], bytes, sizeof(bytes), 0),
                    ROOM); /* then it finds the other end gone */
    else
        CHECK_EQUAL(receive(end[0], bytes, 1, 0), 0);
}

TEST(closing_wakes)
{
    for (handle_t sends = 0; sends < 2; sends++) {
        struct pair pair = pair_new(0);
        handle_t argument[2] = {pair.end[0], sends};
        struct helper *helper = helper_thread(sleep_until_closed, argument);

        sleep_for(30 * MILLISECOND);
        handle_drop(pair.end[1]);
        helper_join(helper);
        handle_drop(pair.end[0]);
    }
}

/* --- Closing one direction, and what can be asked ------------------------------------------------------------------ */

TEST(shutting_down)
{
    for (uint32_t flags = 0; flags <= STREAM_PACKETS; flags++) {
        struct pair pair = pair_new(flags);
        char bytes[16];

        MUST(send(pair.end[0], "last", 4, 0));
        MUST(sys_stream_control(pair.end[0], STREAM_SHUTDOWN, RIGHT_WRITE));
        CHECK_ERROR(send(pair.end[0], "x", 1, 0), CLOSED);
        CHECK_EQUAL(state(pair.end[1]), SIGNAL_READABLE | SIGNAL_WRITABLE | SIGNAL_ENDED);
        CHECK_EQUAL(state(pair.end[0]), SIGNAL_WRITABLE);
        CHECK_EQUAL(MUST(receive(pair.end[1], bytes, 16, 0)), 4);
        CHECK_EQUAL(MUST(receive(pair.end[1], bytes, 16, 0)), 0);
        MUST(send(pair.end[1], "answer", 6, 0)); /* the other direction goes on */
        CHECK_EQUAL(MUST(receive(pair.end[0], bytes, 16, 0)), 6);
        MUST(sys_stream_control(pair.end[1], STREAM_SHUTDOWN, RIGHT_WRITE));
        CHECK(state(pair.end[0]) & state(pair.end[1]) & SIGNAL_HANGUP);
        CHECK_EQUAL(MUST(receive(pair.end[0], bytes, 16, 0)), 0);
        pair_end(&pair);
    }
}

TEST(shutting_down_the_receiving_side)
{
    struct pair pair = pair_new(0);
    char bytes[16];

    MUST(send(pair.end[0], "there", 5, 0));
    MUST(sys_stream_control(pair.end[1], STREAM_SHUTDOWN, RIGHT_READ));
    CHECK_ERROR(send(pair.end[0], "x", 1, 0), CLOSED);
    CHECK_EQUAL(MUST(receive(pair.end[1], bytes, 16, 0)), 5);
    CHECK_EQUAL(MUST(receive(pair.end[1], bytes, 16, 0)), 0);
    MUST(send(pair.end[1], "x", 1, 0));
    CHECK_EQUAL(MUST(receive(pair.end[0], bytes, 16, 0)), 1);
    pair_end(&pair);
}

TEST(shutting_down_needs_the_right)
{
    struct pair pair = pair_new(0);
    handle_t reader = duplicate(pair.end[0], RIGHT_READ);

    CHECK_ERROR(sys_stream_control(reader, STREAM_SHUTDOWN, RIGHT_WRITE), ACCESS);
    CHECK_ERROR(sys_stream_control(reader, STREAM_SHUTDOWN, RIGHT_READ | RIGHT_WRITE), ACCESS);
    CHECK_ERROR(sys_stream_control(pair.end[0], STREAM_SHUTDOWN, 0), INVALID);
    CHECK_ERROR(sys_stream_control(pair.end[0], STREAM_SHUTDOWN, RIGHT_ALL), INVALID);
    CHECK_ERROR(sys_stream_control(pair.end[0], 99, 0), INVALID);
    CHECK_EQUAL(state(pair.end[1]), SIGNAL_WRITABLE);
    handle_drop(reader);
    pair_end(&pair);
}

static void sleep_until_shut(void *argument)
{
    char byte;

    CHECK_EQUAL(receive(*(handle_t *)argument, &byte, 1, 0), 0);
}

TEST(shutting_down_wakes)
{
    for (int other = 0; other < 2; other++) {
        struct pair pair = pair_new(0);
        struct helper *helper = helper_thread(sleep_until_shut, &pair.end[0]);

        sleep_for(20 * MILLISECOND);
        MUST(
            sys_stream_control(pair.end[other], STREAM_SHUTDOWN, other ? RIGHT_WRITE : RIGHT_READ));
        helper_join(helper);
        pair_end(&pair);
    }
}

TEST(pending_bytes)
{
    struct pair bytes = pair_new(0), packets = pair_new(STREAM_PACKETS);

    CHECK_EQUAL(MUST(sys_stream_control(bytes.end[1], STREAM_PENDING, 0)), 0);
    for (int i = 1; i < 4; i++) {
        MUST(send(bytes.end[0], "abc", (uint64_t)i, 0));
        MUST(send(packets.end[0], "abc", (uint64_t)i, 0));
    }
    CHECK_EQUAL(MUST(sys_stream_control(bytes.end[1], STREAM_PENDING, 0)), 6);
    CHECK_EQUAL(MUST(sys_stream_control(packets.end[1], STREAM_PENDING, 0)), 1);
    CHECK_EQUAL(MUST(sys_stream_control(bytes.end[1], STREAM_KIND, 0)), 0);
    CHECK_EQUAL(MUST(sys_stream_control(packets.end[1], STREAM_KIND, 0)), STREAM_PACKETS);
    pair_end(&bytes);
    pair_end(&packets);
}

static void send_as_child(void *argument)
{
    MUST(send(*(handle_t *)argument, "child", 5, 0));
}

/* Each byte is known by its sender; where that changes a piece ends. */
TEST(senders)
{
    for (uint32_t flags = 0; flags <= STREAM_PACKETS; flags++) {
        struct pair pair = pair_new(flags);
        uint64_t self = process_info(HANDLE_SELF).id, ids[3] = {self, 0, self};
        struct helper *child;
        char bytes[16];

        CHECK_EQUAL(MUST(sys_stream_control(pair.end[0], STREAM_PEER, 0)), self);
        MUST(send(pair.end[0], "hello", 5, 0));
        child = helper_process(send_as_child, &pair.end[0]);
        ids[1] = child->id;
        helper_join(child);
        MUST(send(pair.end[0], "again", 5, 0));
        for (int i = 0; i < 3; i++) {
            struct abi_stream_message message = {0};

            CHECK_EQUAL(MUST(receive_handles(pair.end[1], bytes, 16, NULL, &message, STREAM_PEEK)),
                        5);
            CHECK_EQUAL(message.sender, ids[i]);
            CHECK_EQUAL(MUST(receive_handles(pair.end[1], bytes, 16, NULL, &message, 0)), 5);
            CHECK_EQUAL(message.sender, ids[i]);
            CHECK_EQUAL(message.length, 5);
        }
        pair_end(&pair);
    }
}

TEST(length_of_a_cut_packet)
{
    struct pair pair = pair_new(STREAM_PACKETS);
    struct abi_stream_message message = {0};
    char bytes[4];

    MUST(send(pair.end[0], "twelve bytes", 12, 0));
    CHECK_EQUAL(MUST(receive_handles(pair.end[1], bytes, 4, NULL, &message, 0)), 4);
    CHECK_EQUAL(message.length, 12);
    pair_end(&pair);
}

/* --- Traffic ------------------------------------------------------------------------------------------------------ */

struct traffic {
    struct pair pair;
    uint64_t total, seed;
    uint32_t flags;
};

static uint8_t byte_at(uint64_t position)
{
    return (uint8_t)(position * 2654435761u >> 13);
}

static void send_all(void *argument)
{
    struct traffic *traffic = argument;
    static uint8_t bytes[200000];
    uint64_t seed = traffic->seed, done = 0;

    while (done < traffic->total) {
        uint64_t length = test_random(&seed) % sizeof(bytes) % (done % 3 ? 5000 : 200000) + 1;

        length = MIN(length, traffic->total - done);
        if (traffic->flags & STREAM_PACKETS)
            length = MIN(length, (uint64_t)ROOM - 4);
        for (uint64_t i = 0; i < length; i++)
            bytes[i] = byte_at(done + i);
        CHECK_EQUAL(MUST(send(traffic->pair.end[1], bytes, length, 0)), length);
        done += length;
    }
    MUST(sys_handle_close(traffic->pair.end[1]));
}

static void receive_all(struct traffic *traffic)
{
    static uint8_t bytes[100000];
    uint64_t seed = traffic->seed + 1, done = 0;
    int64_t length;

    for (;;) {
        uint64_t wanted = traffic->flags & STREAM_PACKETS ? sizeof(bytes)
                                                          : test_random(&seed) % sizeof(bytes) + 1;

        length = MUST(receive(traffic->pair.end[0], bytes, wanted, 0));
        if (length == 0)
            break;
        for (int64_t i = 0; i < length; i++)
            CHECK_EQUAL(bytes[i], byte_at(done + (uint64_t)i));
        done += (uint64_t)length;
    }
    CHECK_EQUAL(done, traffic->total);
}

static void traffic_test(uint32_t flags, bool processes)
{
    struct traffic *traffic = shared(sizeof(*traffic));

    *traffic = (struct traffic){pair_new(flags), 1500000, 11, flags};
    struct helper *sender =
        processes ? helper_process(send_all, traffic) : helper_thread(send_all, traffic);

    if (processes)
        MUST(sys_handle_close(traffic->pair.end[1]));
    receive_all(traffic);
    helper_join(sender);
    handle_drop(traffic->pair.end[0]);
    unshare(traffic);
}

TEST(bytes_between_threads)
{
    traffic_test(0, false);
}

TEST(bytes_between_processes)
{
    traffic_test(STREAM_ONE_WAY, true);
}

TEST(packets_between_threads)
{
    traffic_test(STREAM_PACKETS, false);
}

TEST(packets_between_processes)
{
    traffic_test(STREAM_PACKETS | STREAM_ONE_WAY, true);
}
