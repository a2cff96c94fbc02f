/* A controller that does anything: the input is a list of transfers of ours, of events it makes up, and of what it writes into
 * rings. What must hold: an event names what is under way or nothing, and what is under way stays in order. */
// sources: sbin/usbd/ring.c sbin/usbd/td.c
#include <stdlib.h>
#include <string.h>

#include "sbin/usbd/td.h"

#define BASE UINT64_C(0x100000)
#define SIZE 16u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool condition)
{
    if (!condition)
        abort();
}

static void transfer_put(struct ring *ring, const uint8_t *bytes)
{
    uint64_t pages[8];
    struct trb trbs[SIZE];
    for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
        pages[i] = (uint64_t)(bytes[i % 3] + i * (bytes[2] & 1)) << 12;
    struct td_request request = {pages, bytes[0], (uint32_t)(bytes[1] << 4 | bytes[2]), bytes[0],
                                 bytes[1] & 1};
    int64_t count = td_normal(&request, trbs, ring_room(ring));
    if (count <= 0)
        return;
    check(count <= ring_room(ring) &&
          td_moved(&request, false, (uint32_t)count - 1, 0) == request.length);
    for (uint32_t i = 0; i < count; i++)
        check(td_moved(&request, false, i, bytes[2]) <= request.length);
    ring_put(ring, trbs, (uint32_t)count);
}

static void event_take(struct events *events, struct ring *ring)
{
    struct trb event;
    uint32_t place;
    if (!events_take(events, &event) || !ring_find(ring, event.parameter, &place))
        return;
    check(place < ring->used);
    ring_retire(ring, place + 1);
    if (event.status & 1)
        check((ring_skip(ring) & ~UINT64_C(1)) == BASE + ring->enqueue * sizeof(struct trb));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trb *memory = calloc(SIZE, sizeof(*memory)), *said = calloc(SIZE, sizeof(*said));
    struct ring ring;
    struct events events;
    ring_init(&ring, memory, BASE, SIZE);
    events_init(&events, said, BASE, SIZE);
    for (; size >= 4; data += 4, size -= 4) {
        switch (data[0] % 4) {
        case 0:
            transfer_put(&ring, data + 1);
            break;
        case 1:
            said[data[1] % SIZE] = (struct trb){BASE + data[2] * 8u, data[3], data[3]};
            break;
        case 2:
            event_take(&events, &ring);
            break;
        default:
            ((uint8_t *)memory)[data[1]] = data[2];
        }
        check(ring.used <= SIZE - 2 && ring.enqueue < SIZE - 1 && events.dequeue < SIZE);
    }
    free(memory);
    free(said);
    return 0;
}
