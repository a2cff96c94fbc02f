/* stream_pair, stream_send, stream_receive: bytes, packets, handles, back-pressure, the end. */
#include "tests/guest/stream.h"

static uint32_t state(handle_t end)
{
    return info_of(end).signals;
}

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

/* --- Handles ------------------------------------------------------------------------------------------------------ */

TEST(handles_travel)
{
    struct pair pair = pair_new(0);
    struct abi_stream_message message = {.handle_count = 4};
    handle_t sent[2], got[4];
    uint64_t ids[2];
    char bytes[16];

    for (int i = 0; i < 2; i++) {
        sent[i] = (handle_t)MUST(sys_timer_create());
        ids[i] = info_of(sent[i]).id;
    }
    MUST(send(pair.end[0], "before", 6, 0));
    CHECK_EQUAL(MUST(send_handles(pair.end[0], sent, 2, 0)), 1);
    MUST(send(pair.end[0], "behind", 6, 0));
    CHECK_ERROR(sys_handle_close(sent[0]), BAD_HANDLE);

    /* They come with the bytes they were sent with: those before end a piece. */
    CHECK_EQUAL(MUST(receive_handles(pair.end[1], bytes, 16, got, &message, 0)), 6);
    CHECK_EQUAL(message.handle_count, 0);
    message.handle_count = 4;
    MUST(receive_handles(pair.end[1], bytes, 16, got, &message, STREAM_PEEK));
    CHECK_EQUAL(message.handle_count, 0); /* looking takes none */
    message.handle_count = 4;
    CHECK_EQUAL(MUST(receive_handles(pair.end[1], bytes, 16, got, &message, 0)), 7);
    CHECK(memcmp(bytes, "hbehind", 7) == 0);
    CHECK_EQUAL(message.handle_count, 2);
    CHECK_EQUAL(message.lost, 0);
    for (int i = 0; i < 2; i++) {
        CHECK_EQUAL(info_of(got[i]).id, ids[i]);
        handle_drop(got[i]);
    }
    pair_end(&pair);
}

/* Who wants none, or fewer, gets so many; the others are closed. */
TEST(handles_without_room)
{
    struct pair pair = pair_new(STREAM_PACKETS);
    char byte;

    for (uint32_t room = 0; room <= 3; room++) {
        handle_t got[3], sent[3], other[3];
        struct abi_stream_message message = {.handle_count = room};

        for (int i = 0; i < 3; i++) {
            struct pair inner = pair_new(0);

            other[i] = inner.end[0];
            sent[i] = inner.end[1];
        }
        MUST(send_handles(pair.end[0], sent, 3, 0));
        if (room)
            MUST(receive_handles(pair.end[1], &byte, 1, got, &message, 0));
        else
            MUST(receive(pair.end[1], &byte, 1, 0));
        CHECK_EQUAL(message.handle_count, room);
        CHECK_EQUAL(message.lost, room ? 3 - room : 0);
        for (uint32_t i = 0; i < 3; i++) {
            CHECK_EQUAL(!(state(other[i]) & SIGNAL_HANGUP), i < room);
            handle_drop(other[i]);
            if (i < room)
                handle_drop(got[i]);
        }
    }
    pair_end(&pair);
}

TEST(many_handles)
{
    struct pair pair = pair_new(0);
    static handle_t handles[STREAM_HANDLES];
    struct abi_stream_message message = {.handle_count = STREAM_HANDLES};
    char byte;

    for (uint32_t i = 0; i < STREAM_HANDLES; i++)
        handles[i] = (handle_t)MUST(sys_timer_create());
    MUST(send_handles(pair.end[0], handles, STREAM_HANDLES, 0));
    MUST(receive_handles(pair.end[1], &byte, 1, handles, &message, 0));
    CHECK_EQUAL(message.handle_count, STREAM_HANDLES);
    for (uint32_t i = 0; i < STREAM_HANDLES; i++)
        MUST(sys_handle_close(handles[i]));
    pair_end(&pair);
}

TEST(handles_need_bytes_and_rights)
{
    struct pair pair = pair_new(0);
    handle_t timer = (handle_t)MUST(sys_timer_create()), stays = duplicate(timer, RIGHT_WAIT);
    handle_t handles[2] = {timer, stays};
    struct abi_stream_message message = {.handles = (uintptr_t)handles, .handle_count = 1};
    char bytes[4];

    CHECK_ERROR(sys_stream_send(pair.end[0], NULL, 0, 0, DEADLINE_NOW, &message), INVALID);
    CHECK_ERROR(send_handles(pair.end[0], handles, 2, 0), ACCESS);
    handles[1] = 12345678;
    CHECK_ERROR(send_handles(pair.end[0], handles, 2, 0), BAD_HANDLE);
    handles[1] = timer;
    CHECK_ERROR(send_handles(pair.end[0], handles, 2, 0), INVALID); /* twice */
    CHECK_ERROR(receive(pair.end[1], bytes, 4, NO_WAIT), AGAIN);
    MUST(sys_handle_close(timer));
    MUST(sys_handle_close(stays));
    pair_end(&pair);
}

/* A send that fails leaves the handles where they are. */
TEST(handles_of_a_failed_send)
{
    struct pair pair = pair_new(0);
    static char bytes[ROOM];
    handle_t timer = (handle_t)MUST(sys_timer_create());

    MUST(send(pair.end[0], bytes, ROOM, 0));
    CHECK_ERROR(send_handles(pair.end[0], &timer, 1, NO_WAIT), AGAIN);
    MUST(receive(pair.end[1], bytes, ROOM, 0));
    struct abi_stream_message message = {.handles = (uintptr_t)&timer, .handle_count = 1};
    CHECK_ERROR(sys_stream_send(pair.end[0], (void *)16, 1, 0, DEADLINE_NOW, &message), FAULT);
    handle_drop(pair.end[1]);
    CHECK_ERROR(send_handles(pair.end[0], &timer, 1, NO_WAIT), CLOSED);
    CHECK_EQUAL(info_of(timer).type, OBJECT_TIMER);
    MUST(sys_handle_close(timer));
    handle_drop(pair.end[0]);
}

/* Nor does a receive that fails take any: the next one has them. */
TEST(handles_of_a_failed_receive)
{
    struct pair pair = pair_new(0);
    handle_t timer = (handle_t)MUST(sys_timer_create()), got;
    uint64_t id = info_of(timer).id;
    struct abi_stream_message message = {.handle_count = 1};
    char byte;

    MUST(send_handles(pair.end[0], &timer, 1, 0));
    CHECK_ERROR(receive_handles(pair.end[1], (void *)16, 1, &got, &message, NO_WAIT), FAULT);
    CHECK_ERROR(receive_handles(pair.end[1], &byte, 1, (void *)16, &message, NO_WAIT), FAULT);
    message.handle_count = 1;
    MUST(receive_handles(pair.end[1], &byte, 1, &got, &message, NO_WAIT));
    CHECK_EQUAL(message.handle_count, 1);
    CHECK_EQUAL(info_of(got).id, id);
    MUST(sys_handle_close(got));
    pair_end(&pair);
}

/* Handles under way are bounded as bytes are: then there is no room. */
TEST(too_many_handles_under_way)
{
    struct pair pair = pair_new(0);
    int sent = 0;
    char byte;

    for (;; sent++) {
        handle_t timer = (handle_t)MUST(sys_timer_create());
        int64_t result = send_handles(pair.end[0], &timer, 1, NO_WAIT);

        if (result == 1)
            continue;
        CHECK_ERROR(result, AGAIN);
        MUST(sys_handle_close(timer));
        break;
    }
    CHECK(sent >= 16 && sent <= 1024);
    CHECK_EQUAL(state(pair.end[0]) & SIGNAL_WRITABLE, 0);
    MUST(receive(pair.end[1], &byte, 1, 0));
    CHECK_EQUAL(state(pair.end[0]) & SIGNAL_WRITABLE, SIGNAL_WRITABLE);
    pair_end(&pair);
}

TEST(handles_of_a_closed_stream)
{
    struct pair pair = pair_new(0), inner = pair_new(0);

    MUST(send_handles(pair.end[0], &inner.end[1], 1, 0));
    CHECK_EQUAL(state(inner.end[0]) & SIGNAL_HANGUP, 0);
    handle_drop(pair.end[1]); /* nobody will ever receive it */
    CHECK_EQUAL(state(inner.end[0]) & SIGNAL_HANGUP, SIGNAL_HANGUP);
    handle_drop(inner.end[0]);
    handle_drop(pair.end[0]);
}

/* A stream's receiving end in the stream itself would be a circle that nobody holds; the sending one is not. */
TEST(a_stream_in_itself)
{
    struct pair pair = pair_new(0);
    struct abi_stream_message message = {.handle_count = 1};
    handle_t got;
    char byte;

    CHECK_ERROR(send_handles(pair.end[0], &pair.end[1], 1, 0), LOOP);
    CHECK_EQUAL(info_of(pair.end[1]).type, OBJECT_STREAM);
    MUST(send_handles(pair.end[0], &pair.end[0], 1, 0));
    MUST(receive_handles(pair.end[1], &byte, 1, &got, &message, 0));
    CHECK_EQUAL(message.handle_count, 1);
    handle_drop(got);
    handle_drop(pair.end[1]);
}

/* The same by way of others. Every send is made once more with the circle closed at another place. */
TEST(circles_of_streams)
{
    enum { COUNT = 5 };
    struct pair pairs[COUNT];

    for (int i = 0; i < COUNT; i++)
        pairs[i] = pair_new(i & 1 ? STREAM_PACKETS : 0);
    for (int i = 0; i < COUNT; i++) { /* end 1 of each lies in what end 1 of the next receives */
        handle_t end = duplicate(pairs[i].end[1], RIGHT_ALL);
        int64_t result = send_handles(pairs[(i + 1) % COUNT].end[0], &end, 1, 0);

        if (i < COUNT - 1) {
            CHECK_EQUAL(result, 1);
        } else {
            CHECK_ERROR(result, LOOP);
            MUST(sys_handle_close(end));
        }
    }
    /* Once the chain is open somewhere the rest of the circle goes. */
    struct abi_stream_message message = {.handle_count = 1};
    handle_t got;
    char byte;

    MUST(receive_handles(pairs[2].end[1], &byte, 1, &got, &message, 0));
    MUST(sys_handle_close(got));
    MUST(send_handles(pairs[0].end[0], &pairs[COUNT - 1].end[1], 1, 0));
    for (int i = 0; i < COUNT; i++)
        pair_end(&pairs[i]);
}

/* Several threads close the same circle at once: one of them at least is refused, or there is a leak. */
struct circle {
    struct pair pairs[2];
    uint32_t start;
    int64_t results[2];
};

static void close_circle(void *argument)
{
    struct circle *circle = argument;
    handle_t end = duplicate(circle->pairs[1].end[1], RIGHT_ALL);

    word_wait(&circle->start, 1);
    circle->results[1] = send_handles(circle->pairs[0].end[0], &end, 1, 0);
    if (circle->results[1] < 0)
        MUST(sys_handle_close(end));
}

TEST(circles_at_once)
{
    for (int i = 0; i < 50; i++) {
        struct circle circle = {.pairs = {pair_new(0), pair_new(0)}};
        struct helper *helper = helper_thread(close_circle, &circle);
        handle_t end = duplicate(circle.pairs[0].end[1], RIGHT_ALL);

        word_set(&circle.start, 1);
        circle.results[0] = send_handles(circle.pairs[1].end[0], &end, 1, 0);
        if (circle.results[0] < 0)
            MUST(sys_handle_close(end));
        helper_join(helper);
        CHECK((circle.results[0] == 1) != (circle.results[1] == 1));
        pair_end(&circle.pairs[0]);
        pair_end(&circle.pairs[1]);
    }
}

/* Streams in streams, as deep as it is allowed, and all of them gone at once. */
TEST(streams_in_streams)
{
    struct pair outer = pair_new(0);
    int depth = 0;

    for (;; depth++) {
        struct pair pair = pair_new(0);
        int64_t result = send_handles(pair.end[0], outer.end, 2, 0);

        if (result < 0) {
            CHECK_ERROR(result, LOOP);
            pair_end(&pair);
            break;
        }
        CHECK(depth < 10000);
        outer = pair;
    }
    CHECK(depth > 100);
    pair_end(&outer);
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
