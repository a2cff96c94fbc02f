// sources: sbin/usbd/ring.c sbin/usbd/td.c sbin/usbd/context.c sbin/usbd/extended.c lib/usb/descriptor.c
/* Rings against a controller that keeps the rules and one that lies, transfers as blocks, contexts, capabilities. */
#include "abi/abi.h"
#include "abi/errors.h"
#include "sbin/usbd/context.h"
#include "sbin/usbd/extended.h"
#include "sbin/usbd/td.h"
#include "tests/host/fake_xhci.h"
#include "tests/host/test.h"

#define BASE UINT64_C(0x12340000)
#define SIZE 8u

static struct trb memory[SIZE];
static struct ring ring;
static struct fake_xhci reader;

static void start(void)
{
    memset(memory, 0, sizeof(memory));
    ring_init(&ring, memory, BASE, SIZE);
    reader = (struct fake_xhci){memory, BASE, 0, SIZE, TRB_CYCLE};
}

TEST(blocks_arrive_in_order_for_many_laps)
{
    uint64_t random = 1, put = 0, got = 0, address;
    struct trb trbs[SIZE], trb;
    uint32_t place;
    start();
    while (got < 10000) {
        uint32_t count = (uint32_t)(test_random(&random) % ring_capacity(&ring)) + 1;
        if (count <= ring_room(&ring)) {
            for (uint32_t i = 0; i < count; i++)
                trbs[i] =
                    (struct trb){put++, 0, TRB_OF(TRB_NORMAL) | (i + 1 < count ? TRB_CHAIN : 0)};
            ring_put(&ring, trbs, count);
        }
        for (uint64_t take = test_random(&random) % SIZE;
             take && fake_xhci_get(&reader, &trb, &address); take--) {
            CHECK_EQUAL(trb.parameter, got++);
            CHECK(ring_find(&ring, address, &place));
            CHECK_EQUAL(place, 0);
            ring_retire(&ring, 1);
            CHECK(!ring_find(&ring, address, &place) || ring.used == SIZE - 2);
        }
    }
}

TEST(a_transfer_is_seen_whole_or_not)
{
    const struct trb pair[] = {{1, 0, TRB_OF(TRB_NORMAL) | TRB_CHAIN}, {2, 0, TRB_OF(TRB_NORMAL)}};
    struct trb trb;
    uint64_t address;
    start();
    for (int lap = 0; lap < 5; lap++) {
        uint32_t first = ring_put(&ring, pair, 2);
        memory[first].control ^= TRB_CYCLE; /* as it is before the last store */
        CHECK(!fake_xhci_get(&reader, &trb, &address));
        memory[first].control ^= TRB_CYCLE;
        CHECK(fake_xhci_get(&reader, &trb, &address) && fake_xhci_get(&reader, &trb, &address));
        CHECK(!fake_xhci_get(&reader, &trb, &address));
        ring_retire(&ring, 2);
    }
}

TEST(a_link_within_a_transfer_is_part_of_it)
{
    struct trb trbs[SIZE - 2];
    start();
    for (uint32_t i = 0; i < SIZE - 2; i++)
        trbs[i] = (struct trb){i, 0, TRB_OF(TRB_NORMAL) | (i + 1 < SIZE - 2 ? TRB_CHAIN : 0)};
    ring_put(&ring, trbs, SIZE - 2);
    ring_retire(&ring, SIZE - 2);
    ring_put(&ring, trbs, 2);
    CHECK(memory[SIZE - 1].control & TRB_CHAIN);
    CHECK_EQUAL(memory[SIZE - 1].parameter, BASE);
}

TEST(what_an_event_may_not_name)
{
    const struct trb one = {0, 0, TRB_OF(TRB_NORMAL)};
    uint32_t place;
    start();
    ring_put(&ring, &one, 1);
    CHECK(ring_find(&ring, BASE, &place));
    CHECK(!ring_find(&ring, BASE + 16, &place)); /* not given to it */
    CHECK(!ring_find(&ring, BASE + 8, &place));
    CHECK(!ring_find(&ring, BASE + 16 * SIZE, &place));
    CHECK(ring_find(&ring, BASE + 16 * (SIZE - 1), &place) &&
          place == 0); /* the link leads there */
    CHECK(!ring_find(&ring, BASE + 16 * (SIZE - 1) + 8, &place));
    CHECK(!ring_find(&ring, BASE - 16, &place));
    CHECK(!ring_find(&ring, 0, &place));
    CHECK(!ring_find(&ring, UINT64_MAX, &place));
}

TEST(what_is_skipped_is_not_seen)
{
    struct trb trb;
    uint64_t address;
    for (uint32_t before = 0; before < 3 * SIZE; before++) {
        start();
        for (uint32_t i = 0; i < before; i++) { /* the ring begins anywhere */
            ring_put(&ring, &(struct trb){0, 0, TRB_OF(TRB_NORMAL)}, 1);
            CHECK(fake_xhci_get(&reader, &trb, &address));
            ring_retire(&ring, 1);
        }
        for (uint32_t i = 1; i <= 4; i++)
            ring_put(&ring, &(struct trb){i, 0, TRB_OF(TRB_NORMAL)}, 1);
        fake_xhci_set(&reader, ring_skip(&ring));
        CHECK(!fake_xhci_get(&reader, &trb, &address));
        CHECK_EQUAL(ring_room(&ring), ring_capacity(&ring));
        ring_put(&ring, &(struct trb){5, 0, TRB_OF(TRB_NORMAL)}, 1);
        CHECK(fake_xhci_get(&reader, &trb, &address));
        CHECK_EQUAL(trb.parameter, 5);
    }
}

TEST(events_for_many_laps)
{
    static struct trb ring_memory[16];
    struct events events;
    struct fake_xhci writer = {ring_memory, BASE, 0, 16, TRB_CYCLE};
    struct trb event;
    uint64_t random = 7, put = 0, got = 0;
    events_init(&events, ring_memory, BASE, 16);
    while (got < 2000) {
        for (uint64_t n = test_random(&random) % 20; n; n--)
            put += fake_xhci_put(&writer, &(struct trb){put, 5, TRB_OF(TRB_PORT_EVENT)},
                                 events_address(&events));
        for (uint64_t n = test_random(&random) % 20; n && events_take(&events, &event); n--)
            CHECK_EQUAL(event.parameter, got++);
    }
    while (events_take(&events, &event))
        got++;
    CHECK_EQUAL(got, put);
}

static uint64_t pages[] = {0x10000, 0x11000, 0x12000, 0x30000, 0x1f000, 0x20000};

TEST(transfers_in_pieces)
{
    struct td_request request = {pages, 0x800, 4 * PAGE_SIZE, 512, true};
    struct trb trbs[8];
    CHECK_EQUAL(td_normal(&request, trbs, 8), 3);
    CHECK_EQUAL(trbs[0].parameter, 0x10800);
    CHECK_EQUAL(trbs[0].status & 0x1ffff,
                0x2800); /* three pages in one piece, from the middle of the first */
    CHECK_EQUAL(trbs[1].parameter, 0x30000);
    CHECK_EQUAL(trbs[2].status, 0x800);
    CHECK_EQUAL(trbs[0].status >> 17, 12);
    CHECK_EQUAL(trbs[1].status >> 17, 4);
    CHECK_EQUAL(trbs[0].control, TRB_OF(TRB_NORMAL) | TRB_CHAIN | TRB_SHORT);
    CHECK_EQUAL(trbs[2].control, TRB_OF(TRB_NORMAL) | TRB_TELL | TRB_SHORT);
    CHECK_EQUAL(td_normal(&request, trbs, 2), -E_TOO_BIG);
    CHECK_EQUAL(td_moved(&request, false, 0, 0x100), 0x2700);
    CHECK_EQUAL(td_moved(&request, false, 2, 0), 4 * PAGE_SIZE);
    CHECK_EQUAL(td_moved(&request, false, 1, UINT32_MAX), 0x2800); /* more left than there was */
    request = (struct td_request){pages + 4, 0, 2 * PAGE_SIZE, 512, false};
    CHECK_EQUAL(td_normal(&request, trbs, 8), 2); /* 64 KiB end between them */
    request.length = 0;
    CHECK_EQUAL(td_normal(&request, trbs, 8), 1);
    CHECK_EQUAL(trbs[0].control, TRB_OF(TRB_NORMAL) | TRB_TELL);
}

TEST(requests)
{
    struct td_request request = {pages, 0, 18, 64, true};
    struct trb trbs[8];
    uint64_t setup = USB_SETUP(USB_TYPE_IN, USB_GET_DESCRIPTOR, 0x100, 0, 18);
    CHECK_EQUAL(setup, UINT64_C(0x0012000001000680));
    CHECK_EQUAL(td_control(&request, setup, trbs, 8), 3);
    CHECK_EQUAL(trbs[0].control, TRB_OF(TRB_SETUP) | TRB_IMMEDIATE | 3u << 16);
    CHECK_EQUAL(trbs[1].control, TRB_OF(TRB_DATA) | TRB_IN | TRB_SHORT);
    CHECK_EQUAL(trbs[2].control, TRB_OF(TRB_STATUS) | TRB_TELL);
    CHECK_EQUAL(td_moved(&request, true, 0, 8), 0);
    CHECK_EQUAL(td_moved(&request, true, 1, 10), 8);
    CHECK_EQUAL(td_moved(&request, true, 2, 0), 18);
    request.length = 0;
    CHECK_EQUAL(td_control(&request, setup, trbs, 8), 2);
    CHECK_EQUAL(trbs[1].control, TRB_OF(TRB_STATUS) | TRB_TELL | TRB_IN);
    request.length = 3;
    request.in = false;
    CHECK_EQUAL(td_control(&request, setup, trbs, 8), 3);
    CHECK_EQUAL(trbs[1].control, TRB_OF(TRB_DATA));
    CHECK_EQUAL(td_control(&request, setup, trbs, 2), -E_TOO_BIG);
}

TEST(contexts)
{
    uint32_t words[64] = {0};
    CHECK_EQUAL(context_of(words, 32, 2) - words, 16);
    CHECK_EQUAL(context_of(words, 64, 2) - words, 32);
    CHECK_EQUAL(context_dci(0x81), 3);
    CHECK_EQUAL(context_dci(0x0f), 30);
    context_slot(words, &(struct context_place){.route = 0x321,
                                                .root_port = 5,
                                                .speed = USB_LOW,
                                                .entries = 3,
                                                .tt_slot = 7,
                                                .tt_port = 2});
    CHECK_EQUAL(words[0], 0x321 | 2 << 20 | 3u << 27);
    CHECK_EQUAL(words[1], 5 << 16);
    CHECK_EQUAL(words[2], 7 | 2 << 8);
    context_slot(words, &(struct context_place){.root_port = 1,
                                                .speed = USB_HIGH,
                                                .entries = 3,
                                                .hub_ports = 8,
                                                .think_time = 1,
                                                .tt_multiple = true});
    CHECK_EQUAL(words[0], 3u << 20 | 1u << 25 | 1u << 26 | 3u << 27);
    CHECK_EQUAL(words[1], 1u << 16 | 8u << 24);
    CHECK_EQUAL(words[2], 1u << 16);
    context_endpoint(words,
                     &(struct usb_endpoint){
                         .type = USB_CONTROL_PIPE, .packet = 64, .burst = 1, .transactions = 1},
                     USB_HIGH, 0x1122334455667781);
    CHECK_EQUAL(words[1], 3u << 1 | 4u << 3 | 64u << 16);
    CHECK_EQUAL(words[2], 0x55667781);
    CHECK_EQUAL(words[3], 0x11223344);
    CHECK_EQUAL(words[4], 8);
    context_endpoint(words,
                     &(struct usb_endpoint){.address = 0x81,
                                            .type = USB_INTERRUPT,
                                            .packet = 8,
                                            .burst = 1,
                                            .transactions = 1,
                                            .interval = 10},
                     USB_LOW, 1);
    CHECK_EQUAL(words[0], 6u << 16);
    CHECK_EQUAL(words[1], 3u << 1 | 7u << 3 | 8u << 16);
    CHECK_EQUAL(words[4], 8 | 8 << 16);
    context_endpoint(
        words,
        &(struct usb_endpoint){
            .address = 2, .type = USB_BULK, .packet = 1024, .burst = 16, .transactions = 1},
        USB_SUPER, 1);
    CHECK_EQUAL(words[1], 3u << 1 | 2u << 3 | 15u << 8 | 1024u << 16);
    context_endpoint(words,
                     &(struct usb_endpoint){.address = 0x83,
                                            .type = USB_INTERRUPT,
                                            .packet = 1024,
                                            .burst = 1,
                                            .transactions = 3,
                                            .interval = 4},
                     USB_HIGH, 1);
    CHECK_EQUAL(words[1], 3u << 1 | 7u << 3 | 2u << 8 | 1024u << 16);
    CHECK_EQUAL(words[4], 3072 | 3072u << 16);
}

TEST(contexts_of_streams)
{
    static const struct {
        uint16_t streams;
        uint32_t exponent; /* the array has 2 << this, entry 0 is nobody's */
    } sizes[] = {{1, 1}, {3, 1}, {4, 2}, {15, 3}, {16, 4}, {255, 7}};
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        uint32_t words[8] = {0};
        context_endpoint(
            words,
            &(struct usb_endpoint){
                .address = 0x82, .type = USB_BULK, .packet = 1024, .burst = 16, .transactions = 1},
            USB_SUPER, 0x1111);
        context_streams(words, sizes[i].streams, 0x1122334455667000);
        CHECK_EQUAL(words[0], sizes[i].exponent << 10 | 1u << 15);
        CHECK_EQUAL(words[2], 0x55667000);
        CHECK_EQUAL(words[3], 0x11223344);
    }
    start();
    CHECK_EQUAL(context_stream(ring_skip(&ring)), BASE | 1u << 1 | 1);
}

static uint32_t bar[64];

static uint32_t bar_read(void *context, uint32_t offset)
{
    (void)context;
    CHECK(offset % 4 == 0 && offset < sizeof(bar));
    return bar[offset / 4];
}

TEST(capabilities)
{
    struct extended extended = {bar_read, NULL, sizeof(bar), 0x20};
    uint8_t major[EXTENDED_PORTS];
    uint32_t at = 0;
    bar[0x20 / 4] = 0x02000402; /* USB 2: ports 5 to 8 */
    bar[0x28 / 4] = 0x0405;
    bar[0x30 / 4] = 0x03000402; /* USB 3: ports 1 to 255, it says */
    bar[0x38 / 4] = 0xff01;
    bar[0x40 / 4] = 1; /* legacy support, the last one */
    extended_ports(&extended, 6, major);
    CHECK_EQUAL(major[1], 3);
    CHECK_EQUAL(major[6], 3);
    CHECK_EQUAL(major[7], 0);
    CHECK(extended_next(&extended, 1, &at));
    CHECK_EQUAL(at, 0x40);
    CHECK(!extended_next(&extended, 1, &at));
    bar[0x40 / 4] = 0x2c01; /* the next one would end outside */
    CHECK(!extended_next(&extended, 3, &(uint32_t){0}));
    bar[0x40 / 4] = 0xff01;
    CHECK(!extended_next(&extended, 3, &(uint32_t){0}));
    extended.first = 0;
    CHECK(!extended_next(&extended, 1, &(uint32_t){0}));
}
