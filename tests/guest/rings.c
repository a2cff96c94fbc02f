/* lib/ring between two processes: traffic, bells by futex and by port, deadlines, memory that is refused. */
#include "lib/ring/ring.h"
#include "tests/guest/guest.h"

#define TOTAL 4000000u

static uint8_t byte_at(uint32_t position)
{
    return (uint8_t)(position * 2654435761u >> 13);
}

static handle_t ring_memory(uint32_t size)
{
    handle_t memory;

    MUST(ring_create(size, &memory));
    return memory;
}

static struct ring ring_on(handle_t memory, enum ring_side side)
{
    struct ring ring;

    MUST(ring_open(&ring, memory, side));
    return ring;
}

TEST(memory_that_is_refused)
{
    handle_t memory, timer = (handle_t)MUST(sys_timer_create());
    struct ring ring;

    CHECK_ERROR(ring_create(0, &memory), INVALID);
    CHECK_ERROR(ring_create(RING_SIZE_MIN / 2, &memory), INVALID);
    CHECK_ERROR(ring_create(3 * RING_SIZE_MIN, &memory), INVALID);
    CHECK_ERROR(ring_open(&ring, timer, RING_PRODUCER), INVALID);
    CHECK_ERROR(ring_open(&ring, 12345678, RING_PRODUCER), BAD_HANDLE);
    /* Of the right size, but whoever has it may take pages away. */
    memory = (handle_t)MUST(sys_memory_create(RING_SIZE_MIN + PAGE_SIZE, 0));
    CHECK_ERROR(ring_open(&ring, memory, RING_PRODUCER), INVALID);
    handle_drop(memory);
    memory = (handle_t)MUST(sys_memory_create(4 * RING_SIZE_MIN, MEMORY_FIXED));
    CHECK_ERROR(ring_open(&ring, memory, RING_PRODUCER), INVALID);
    handle_drop(memory);
    memory = ring_memory(RING_SIZE_MIN);
    CHECK_ERROR(sys_memory_resize(memory, PAGE_SIZE), NOT_SUPPORTED);
    handle_drop(memory);
    handle_drop(timer);
}

TEST(deadlines)
{
    handle_t memory = ring_memory(RING_SIZE_MIN);
    struct ring ring = ring_on(memory, RING_CONSUMER);
    int64_t start = now();

    CHECK_ERROR(ring_wait(&ring, after(20 * MILLISECOND)), TIMED_OUT);
    CHECK(now() - start >= 15 * MILLISECOND);
    ring_unmap(&ring);
    handle_drop(memory);
}

static void produce(void *argument)
{
    static uint8_t bytes[50000];
    struct ring ring = ring_on(*(handle_t *)argument, RING_PRODUCER);
    uint64_t seed = 5;

    for (uint32_t done = 0; done < TOTAL;) {
        uint32_t length = (uint32_t)(test_random(&seed) % sizeof(bytes)) + 1, sent = 0;

        length = MIN(length, TOTAL - done);
        for (uint32_t i = 0; i < length; i++)
            bytes[i] = byte_at(done + i);
        while (sent < length) {
            int64_t result = ring_write(&ring, bytes + sent, length - sent);

            if (result == -E_AGAIN)
                result = ring_wait(&ring, after(PATIENCE));
            sent += (uint32_t)MUST(result);
        }
        done += length;
    }
    ring_close(&ring);
    ring_unmap(&ring);
}

static void consume(handle_t memory)
{
    static uint8_t bytes[30000];
    struct ring ring = ring_on(memory, RING_CONSUMER);
    uint32_t done = 0;
    int64_t result;

    while ((result = ring_read(&ring, bytes, sizeof(bytes))) != -E_CLOSED) {
        if (result == -E_AGAIN) {
            result = ring_wait(&ring, after(PATIENCE));
            CHECK(result == 0 || result == -E_CLOSED);
            continue;
        }
        MUST(result);
        for (int64_t i = 0; i < result; i++)
            CHECK_EQUAL(bytes[i], byte_at(done + (uint32_t)i));
        done += (uint32_t)result;
    }
    CHECK_EQUAL(done, TOTAL);
    ring_unmap(&ring);
}

TEST(between_processes)
{
    for (uint32_t size = RING_SIZE_MIN; size <= 64 * RING_SIZE_MIN; size *= 64) {
        handle_t memory = ring_memory(size);
        struct helper *helper = helper_process(produce, &memory);

        consume(memory);
        helper_join(helper);
        handle_drop(memory);
    }
}

/* A service that waits for its port is told there. */
struct served {
    handle_t memory, port;
};

static void produce_for_a_service(void *argument)
{
    struct served *served = argument;
    struct ring ring = ring_on(served->memory, RING_PRODUCER);

    ring.bell = &ring_port;
    ring.context = &served->port;
    for (int i = 0; i < 20; i++) {
        CHECK_EQUAL(MUST(ring_write(&ring, "tick", 4)), 4);
        sleep_for(2 * MILLISECOND);
    }
    ring_close(&ring);
    ring_unmap(&ring);
}

TEST(a_port_as_the_bell)
{
    struct served served = {ring_memory(RING_SIZE_MIN),
                            (handle_t)MUST(sys_proto_create(HANDLE_SELF, NULL, 0))};
    struct ring ring = ring_on(served.memory, RING_CONSUMER);
    struct helper *helper = helper_process(produce_for_a_service, &served);
    struct abi_message message;
    int64_t result, bytes = 0;
    char text[64];

    while ((result = ring_arm(&ring)) != -E_CLOSED) {
        if (result == -E_AGAIN) {
            MUST(sys_proto_accept(served.port, &message, NULL, 0, after(PATIENCE)));
            CHECK_EQUAL(message.kind, MESSAGE_NOTIFY);
        } else {
            bytes += MUST(ring_read(&ring, text, sizeof(text)));
        }
    }
    CHECK_EQUAL(bytes, 80);
    helper_join(helper);
    ring_unmap(&ring);
    handle_drop(served.memory);
    handle_drop(served.port);
}

/* The other side writes anything anywhere, as fast as it can: this one gets bytes or an error, and its deadline holds. */
static void vandalise(void *argument)
{
    struct ring ring = ring_on(*(handle_t *)argument, RING_PRODUCER);
    uint32_t *words = (uint32_t *)ring.words;
    uint64_t seed = 9;

    for (;;) {
        uint64_t random = test_random(&seed);

        words[random % (sizeof(struct ring_words) / 4)] =
            (uint32_t)(random >> 32) % (2 * RING_SIZE_MIN);
        ring.words->side[RING_CONSUMER].bell = 0;
        sys_ignore(
            sys_futex_wake(&ring.words->side[RING_CONSUMER].bell, 1, FUTEX_SHARED_, FUTEX_ANY));
    }
}

TEST(a_hostile_other_side)
{
    handle_t memory = ring_memory(RING_SIZE_MIN);
    struct helper *helper = helper_process(vandalise, &memory);
    static char bytes[3 * RING_SIZE_MIN];

    for (int i = 0; i < 200; i++) {
        struct ring ring = ring_on(memory, i & 1 ? RING_CONSUMER : RING_PRODUCER);
        int64_t deadline = after(5 * MILLISECOND), result;

        do {
            result = i & 1 ? ring_read(&ring, bytes, sizeof(bytes))
                           : ring_write(&ring, bytes, sizeof(bytes));
            CHECK(result <= (int64_t)RING_SIZE_MIN);
            if (result == -E_AGAIN || result == -E_CLOSED)
                result = ring_wait(&ring, deadline);
        } while (result != -E_RANGE && now() < deadline);
        CHECK(now() - deadline < 2 * SECOND);
        ring_unmap(&ring);
    }
    helper_kill(helper);
    handle_drop(memory);
}
