// sources: lib/ring/ring.c
/* A hostile other side: the input is a list of operations of ours, and of words that somebody writes anywhere into the
 * shared memory between them, even while we look. The memory and the buffers are blocks of their own, so any step
 * outside is found. What must hold: never more bytes than there are, and what was found bad stays bad. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "abi/errors.h"
#include "lib/ring/ring.h"
#include "tests/fuzz/input.h"

#define SIZE 64u /* smaller than ring_open allows: the edges are near */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static uint8_t *memory; /* the ring's: its bytes end where the block does */

static void check(bool condition)
{
    if (!condition)
        abort();
}

/* One word of the words, or a byte of the bytes. */
static void vandalise(struct input *input)
{
    uint32_t where = next(input, 1), value = next(input, 4);

    if (where & 1) {
        memory[PAGE_SIZE + where / 2 % SIZE] = (uint8_t)value;
    } else {
        uint32_t *words = (uint32_t *)memory;
        words[where / 2 % (sizeof(struct ring_words) / 4)] = value;
    }
}

/* The memory changes while it sleeps, and it is woken for nothing. */
static int64_t bell_sleep(struct ring *ring, uint32_t *word, int64_t deadline)
{
    struct input *input = ring->context;

    (void)word, (void)deadline;
    if (input->at == input->end)
        return -E_TIMED_OUT;
    vandalise(input);
    return 0;
}

static void bell_wake(struct ring *ring, uint32_t *word)
{
    (void)word;
    vandalise(ring->context);
}

static const struct ring_bell bell = {bell_wake, bell_sleep};

static void operate(struct ring *ring, struct input *input)
{
    uint32_t length = next(input, 1) % (2 * SIZE) + 1;
    uint8_t *buffer = malloc(length);
    bool broken = ring->broken;
    const void *data;
    void *room;
    int64_t result = 0;

    memset(buffer, 0x55, length);
    switch (next(input, 1) % 5) {
    case 0:
        result = ring->side == RING_PRODUCER ? ring_write(ring, buffer, length)
                                             : ring_read(ring, buffer, length);
        check(result <= (int64_t)length && result <= (int64_t)SIZE && result != 0);
        break;
    case 1:
        if (ring->side == RING_PRODUCER) {
            result = ring_room(ring, &room);
            if (result > 0)
                memset(room, 0xaa, (size_t)result);
        } else {
            result = ring_data(ring, &data);
            if (result > 0)
                memcpy(buffer, data, MIN((size_t)result, (size_t)length));
        }
        check(result <= (int64_t)SIZE && result != 0);
        if (result > 0)
            ring_advance(ring, MIN((uint32_t)result, length));
        break;
    case 2:
        result = ring_arm(ring);
        check(result <= 0);
        break;
    case 3:
        result = ring_wait(ring, 0);
        check(result <= 0 && result != -E_AGAIN);
        break;
    default:
        vandalise(input);
    }
    check(!broken || ring->broken);
    free(buffer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    struct input input = {data, data + length};
    struct ring ring;

    memory = aligned_alloc(RING_LINE, PAGE_SIZE + SIZE);
    memset(memory, 0, PAGE_SIZE + SIZE);
    ring_init(&ring, memory, SIZE, next(&input, 1) & 1 ? RING_PRODUCER : RING_CONSUMER, &bell,
              &input);
    ring.own = ring.other = next(&input, 4);
    while (input.at < input.end)
        operate(&ring, &input);
    free(memory);
    return 0;
}
