/* What bytes cost through a ring (lib/ring) to another process. */
#include <string.h>

#include "bench/common/bench.h"
#include "lib/ring/ring.h"
#include "lib/sys/syscall.h"

#define SIZE  (256u << 10)
#define PIECE (64u << 10)

static handle_t memory = HANDLE_NONE;
static struct ring ring;
static pid_t child;
static uint8_t buffer[PIECE];

/* Reads everything, in pieces, and sleeps when there is nothing. */
static void consume(void)
{
    struct ring input;

    if (ring_open(&input, memory, RING_CONSUMER) < 0)
        return;
    for (;;) {
        int64_t result = ring_read(&input, buffer, sizeof(buffer));

        if (result == -E_AGAIN)
            result = ring_wait(&input, DEADLINE_NEVER);
        if (result < 0)
            return;
    }
}

static void prepare(void)
{
    if (ring_create(SIZE, &memory) < 0 || ring_open(&ring, memory, RING_PRODUCER) < 0)
        bench_refuse_because("ring_create");
    child = bench_child(consume);
}

static void finish(void)
{
    bench_child_end(&child);
    if (ring.words)
        ring_unmap(&ring);
    handle_drop(memory);
    memory = HANDLE_NONE;
}

/* Both sides' work: the ring is filled, the consumer empties it while this side sleeps. */
static void write_piece(void)
{
    for (size_t done = 0; done < PIECE;) {
        int64_t result = ring_write(&ring, buffer + done, PIECE - done);

        if (result == -E_AGAIN)
            result = ring_wait(&ring, DEADLINE_NEVER);
        if (result < 0)
            bench_refuse_because("ring_write");
        done += (size_t)result;
    }
}

static const struct figure figures[] = {
    {.name = "ring-64k",
     .prepare = prepare,
     .call = write_piece,
     .finish = finish,
     .operations = PIECE},
};

int main(int argc, char **argv)
{
    return bench_main(figures, ARRAY_SIZE(figures), argc, argv);
}
