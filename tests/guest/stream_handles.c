/* Handles that travel in streams: with their bytes or not at all, within what there is room for, and never in a circle. */
#include "tests/guest/stream.h"

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
