/* Rings with threads of the host: what goes in comes out, in order, whoever sleeps; and what a hostile other
 * side can do. Bells are a mutex and a condition. */
// sources: lib/ring/ring.c
// libs: pthread
#include <pthread.h>
#include <time.h>

#include "abi/errors.h"
#include "lib/ring/ring.h"
#include "tests/host/test.h"

#define SIZE 4096u

static uint8_t memory[PAGE_SIZE + 16 * SIZE] ALIGNED(PAGE_SIZE);
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t rung = PTHREAD_COND_INITIALIZER;
static uint64_t wakes;

static void bell_wake(struct ring *ring, uint32_t *word)
{
    (void)ring, (void)word;
    pthread_mutex_lock(&lock);
    wakes++;
    pthread_cond_broadcast(&rung);
    pthread_mutex_unlock(&lock);
}

/* A bell that was missed ends in a deadline, and the test fails. */
static int64_t bell_sleep(struct ring *ring, uint32_t *word, int64_t deadline)
{
    struct timespec until;
    int error = 0;

    (void)ring, (void)deadline;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 20;
    pthread_mutex_lock(&lock);
    while (__atomic_load_n(word, __ATOMIC_RELAXED) == 1 && !error)
        error = pthread_cond_timedwait(&rung, &lock, &until);
    pthread_mutex_unlock(&lock);
    return error ? -E_TIMED_OUT : 0;
}

static const struct ring_bell bell = {bell_wake, bell_sleep};

static void rings_new(struct ring rings[2], uint32_t size, uint32_t start)
{
    memset(memory, 0, sizeof(memory));
    for (int side = 0; side < 2; side++) {
        ring_init(&rings[side], memory, size, (enum ring_side)side, &bell, NULL);
        rings[side].own = rings[side].other = start;
        rings[side].words->side[side].index = start;
    }
}

TEST(in_order)
{
    struct ring rings[2];
    char text[16];

    rings_new(rings, SIZE, 0);
    CHECK_EQUAL(ring_read(&rings[1], text, 16), -E_AGAIN);
    CHECK_EQUAL(ring_write(&rings[0], "hello", 5), 5);
    CHECK_EQUAL(ring_write(&rings[0], " you", 4), 4);
    CHECK_EQUAL(ring_read(&rings[1], text, 16), 9);
    CHECK(memcmp(text, "hello you", 9) == 0);
    CHECK_EQUAL(ring_read(&rings[1], text, 16), -E_AGAIN);
}

TEST(full_and_wrapping)
{
    static uint8_t out[SIZE], in[SIZE + 1];
    struct ring rings[2];

    rings_new(rings, SIZE, UINT32_MAX - 5 * SIZE / 2); /* the index wraps on the way */
    for (uint32_t i = 0; i < SIZE; i++)
        out[i] = (uint8_t)(i * 7 >> 3);
    for (int i = 0; i < 6; i++) {
        CHECK_EQUAL(ring_write(&rings[0], out, SIZE - 100), SIZE - 100);
        CHECK_EQUAL(ring_write(&rings[0], out + SIZE - 100, 200), 100);
        CHECK_EQUAL(ring_write(&rings[0], out, 1), -E_AGAIN);
        CHECK_EQUAL(ring_read(&rings[1], in, sizeof(in)), SIZE);
        CHECK(memcmp(in, out, SIZE) == 0);
        CHECK_EQUAL(ring_write(&rings[0], out, 77), 77); /* the next round starts elsewhere */
        CHECK_EQUAL(ring_read(&rings[1], in, sizeof(in)), 77);
    }
}

TEST(in_place)
{
    struct ring rings[2];
    const void *data;
    void *room;

    rings_new(rings, SIZE, SIZE - 10);
    CHECK_EQUAL(ring_room(&rings[0], &room), 10); /* to the end of the memory */
    memcpy(room, "0123456789", 10);
    ring_advance(&rings[0], 10);
    CHECK_EQUAL(ring_room(&rings[0], &room), SIZE - 10);
    CHECK_EQUAL(ring_data(&rings[1], &data), 10);
    CHECK(memcmp(data, "0123456789", 10) == 0);
    ring_advance(&rings[1], 4);
    CHECK_EQUAL(ring_data(&rings[1], &data), 6);
    ring_advance(&rings[1], 100); /* more than there is: what there is */
    CHECK_EQUAL(ring_data(&rings[1], &data), -E_AGAIN);
}

TEST(closing)
{
    struct ring rings[2];
    char text[4];

    rings_new(rings, SIZE, 0);
    CHECK_EQUAL(ring_write(&rings[0], "last", 4), 4);
    ring_close(&rings[0]);
    CHECK_EQUAL(ring_wait(&rings[1], DEADLINE_NEVER), 0);
    CHECK_EQUAL(ring_read(&rings[1], text, 4), 4);
    CHECK_EQUAL(ring_read(&rings[1], text, 4), -E_CLOSED);
    CHECK_EQUAL(ring_wait(&rings[1], DEADLINE_NEVER), -E_CLOSED);
    rings_new(rings, SIZE, 0);
    ring_close(&rings[1]);
    CHECK_EQUAL(ring_write(&rings[0], "x", 1), -E_CLOSED);
}

/* Only who sleeps is rung. */
TEST(bells)
{
    struct ring rings[2];
    char byte;

    rings_new(rings, SIZE, 0);
    wakes = 0;
    CHECK_EQUAL(ring_write(&rings[0], "x", 1), 1);
    CHECK_EQUAL(ring_arm(&rings[1]), 0); /* there is something */
    CHECK_EQUAL(ring_read(&rings[1], &byte, 1), 1);
    CHECK_EQUAL(wakes, 0);
    CHECK_EQUAL(ring_arm(&rings[1]), -E_AGAIN);
    CHECK_EQUAL(ring_write(&rings[0], "x", 1), 1);
    CHECK_EQUAL(wakes, 1);
    CHECK_EQUAL(ring_write(&rings[0], "x", 1), 1); /* once */
    CHECK_EQUAL(wakes, 1);
    CHECK_EQUAL(ring_arm(&rings[1]), 0);
    CHECK_EQUAL(ring_arm(&rings[1]), 0);
}

/* --- Threads -------------------------------------------------------------------------------------------------------- */

#define TOTAL 3000000u

static uint8_t byte_at(uint32_t position)
{
    return (uint8_t)(position * 2654435761u >> 13);
}

struct traffic {
    struct ring ring;
    uint64_t seed;
    uint32_t largest;
    int64_t error;
};

static void *produce(void *argument)
{
    static uint8_t bytes[16 * SIZE];
    struct traffic *traffic = argument;

    for (uint32_t done = 0; done < TOTAL && !traffic->error;) {
        uint32_t length = (uint32_t)(test_random(&traffic->seed) % traffic->largest) + 1, sent = 0;

        length = MIN(length, TOTAL - done);
        for (uint32_t i = 0; i < length; i++)
            bytes[i] = byte_at(done + i);
        while (sent < length && !traffic->error) {
            int64_t result = ring_write(&traffic->ring, bytes + sent, length - sent);

            if (result == -E_AGAIN)
                result = ring_wait(&traffic->ring, DEADLINE_NEVER);
            if (result < 0)
                traffic->error = result;
            else
                sent += (uint32_t)result;
        }
        done += length;
    }
    ring_close(&traffic->ring);
    return NULL;
}

static void run_traffic(uint32_t size, uint32_t written, uint32_t read)
{
    static uint8_t bytes[16 * SIZE];
    struct ring rings[2];
    struct traffic traffic = {.seed = size + written, .largest = written};
    uint64_t seed = read;
    pthread_t thread;
    uint32_t done = 0;

    rings_new(rings, size, UINT32_MAX - 100000);
    traffic.ring = rings[0];
    CHECK_EQUAL(pthread_create(&thread, NULL, produce, &traffic), 0);
    for (;;) {
        int64_t result = ring_read(&rings[1], bytes, test_random(&seed) % read + 1);

        if (result == -E_CLOSED)
            break;
        if (result == -E_AGAIN) {
            result = ring_wait(&rings[1], DEADLINE_NEVER);
            CHECK(result == 0 || result == -E_CLOSED);
            continue;
        }
        CHECK(result > 0);
        for (int64_t i = 0; i < result; i++)
            CHECK_EQUAL(bytes[i], byte_at(done + (uint32_t)i));
        done += (uint32_t)result;
    }
    pthread_join(thread, NULL);
    CHECK_EQUAL(traffic.error, 0);
    CHECK_EQUAL(done, TOTAL);
}

TEST(threads_with_a_small_ring)
{
    run_traffic(SIZE, 5000, 5000);
}

TEST(threads_with_a_large_ring)
{
    run_traffic(16 * SIZE, 700, 16 * SIZE);
}

TEST(a_fast_producer)
{
    run_traffic(SIZE, 16 * SIZE, 300);
}

/* --- A hostile other side ---------------------------------------------------------------------------------------------- */

/* An index that goes back or too far is found out, and for good. */
TEST(bad_indexes)
{
    static const uint32_t offsets[] = {SIZE + 1, UINT32_MAX, UINT32_MAX - SIZE, 1u << 31};
    static char text[2 * SIZE];

    for (size_t i = 0; i < ARRAY_SIZE(offsets); i++)
        for (int side = 0; side < 2; side++) {
            struct ring rings[2];

            rings_new(rings, SIZE, 12345);
            if (side == RING_PRODUCER) /* full, so that it must look */
                CHECK_EQUAL(ring_write(&rings[0], text, SIZE), SIZE);
            rings[0].words->side[!side].index = 12345 + offsets[i];
            int64_t result = side == RING_PRODUCER ? ring_write(&rings[0], text, sizeof(text))
                                                   : ring_read(&rings[1], text, sizeof(text));

            CHECK_EQUAL(result, -E_RANGE);
            rings[0].words->side[!side].index = 12345 + 1;
            CHECK_EQUAL(ring_arm(&rings[side]), -E_RANGE);
        }
}

/* What this side has itself written there it does not read again. */
TEST(own_words_overwritten)
{
    struct ring rings[2];
    char text[8];

    rings_new(rings, SIZE, 0);
    CHECK_EQUAL(ring_write(&rings[0], "abc", 3), 3);
    rings[0].words->side[RING_PRODUCER].index = 99999;
    CHECK_EQUAL(ring_write(&rings[0], "def", 3), 3);
    CHECK_EQUAL(rings[0].words->side[RING_PRODUCER].index, 6);
    CHECK_EQUAL(ring_read(&rings[1], text, 8), 6);
    CHECK(memcmp(text, "abcdef", 6) == 0);
}
