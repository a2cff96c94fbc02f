// sources: sbin/usbd/endpoint.c sbin/usbd/ring.c sbin/usbd/td.c sbin/usbd/context.c sbin/usbd/request.c sbin/usbd/slot.c
// sources: sbin/usbd/configure.c sbin/usbd/claim.c sbin/usbd/io.c lib/usb/descriptor.c lib/usb/vendor.c
/* Transfers of drivers, with streams and without, on a controller that carries out rings, and on one that lies. */
#include "tests/host/fake_usbd.h"
#include "tests/host/test.h"

#define STREAMS 16u
#define AREA    (256u << 10) /* of memory, for each stream */

static uint8_t *memory;

static void attached(uint16_t streams)
{
    fake_plug();
    memory = fake_memory((uint64_t)AREA * (STREAMS + 1));
    struct fake_call *call = fake_alternate(1, streams);
    fake_jobs();
    CHECK_EQUAL(call->status, 0);
    CHECK_EQUAL(call->value, streams);
}

static void bulk_only(void)
{
    fake_plug();
    memory = fake_memory(4 * AREA);
}

/* What a command of UAS takes: its status, its data, itself. */
static struct fake_call *command(uint32_t stream, uint32_t length, uint32_t data)
{
    const uint64_t at = (uint64_t)stream * AREA;
    const struct usb_transfer transfers[] = {
        {.offset = at, .length = 1024, .endpoint = STATUS_PIPE, .stream = stream},
        {.offset = at + PAGE_SIZE, .length = length, .endpoint = data, .stream = stream},
        {.offset = at + 1024, .length = 32, .endpoint = COMMAND_PIPE},
    };
    return fake_transfers(USB_TOGETHER, transfers, 3);
}

static void results(const struct fake_call *call, int64_t status, int64_t data, int64_t command)
{
    CHECK(call->over);
    CHECK_EQUAL(call->status, 0);
    CHECK_EQUAL(call->value, 3);
    CHECK_EQUAL(call->results[0], status);
    CHECK_EQUAL(call->results[1], data);
    CHECK_EQUAL(call->results[2], command);
}

static bool counts(const uint8_t *bytes, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++)
        if (bytes[i] != (uint8_t)i)
            return false;
    return true;
}

static const uint8_t *data_of(uint32_t stream)
{
    return memory + (size_t)stream * AREA + PAGE_SIZE;
}

static bool end_status(uint32_t stream)
{
    return fake_move(STATUS_PIPE, stream, 16) && fake_end(STATUS_PIPE, stream, CODE_SHORT);
}

/* --- streams --- */

TEST(each_stream_goes_on_by_itself)
{
    struct fake_call *calls[STREAMS + 1];
    attached(STREAMS);
    for (uint32_t lap = 0; lap < 40; lap++) { /* around each ring */
        for (uint32_t id = 1; id <= STREAMS; id++)
            calls[id] = command(id, 12 * PAGE_SIZE, IN_PIPE);
        for (uint32_t id = 1; id <= STREAMS; id++)
            CHECK(fake_move(COMMAND_PIPE, 0, 32));
        CHECK(!fake_move(COMMAND_PIPE, 0, 32));
        for (uint32_t part = 0; part < 2; part++)
            for (uint32_t id = STREAMS; id; id--)
                CHECK(fake_move(IN_PIPE, id, 6 * PAGE_SIZE));
        for (uint32_t id = 1; id <= STREAMS; id++) {
            CHECK(!calls[id]->over);
            CHECK(end_status(id));
            results(calls[id], 16, 12 * PAGE_SIZE, 32);
            CHECK(counts(data_of(id), 12 * PAGE_SIZE));
        }
        CHECK(list_empty(&fake.device.jobs));
    }
    fake_unplug();
}

TEST(transfers_of_a_stream_are_carried_out_in_order)
{
    const struct usb_transfer each[] = {{.length = 8192, .endpoint = IN_PIPE, .stream = 3}},
                              other[] = {{.offset = 8192,
                                          .length = 4096,
                                          .endpoint = IN_PIPE,
                                          .stream = 3}};
    attached(STREAMS);
    struct fake_call *first = fake_transfers(0, each, 1), *second = fake_transfers(0, other, 1);
    CHECK(fake_move(IN_PIPE, 3, 8192));
    CHECK(first->over && !second->over);
    CHECK(fake_move(IN_PIPE, 3, 4096));
    CHECK_EQUAL(second->results[0], 4096);
    CHECK(counts(memory, 12288));
    fake_unplug();
}

/* A ring has room for 254 blocks: what is more waits, and goes on when there is. */
TEST(what_has_no_room_waits)
{
    struct fake_call *calls[4];
    bulk_only();
    for (uint32_t i = 0; i < 4; i++)
        calls[i] = fake_transfer(IN_PIPE, i * 64 * PAGE_SIZE, 64 * PAGE_SIZE);
    for (uint32_t i = 0; i < 4; i++) {
        CHECK(fake_move(IN_PIPE, 0, 64 * PAGE_SIZE));
        CHECK(calls[i]->over && (i == 3 || !calls[i + 1]->over));
    }
    CHECK(counts(memory, 256 * PAGE_SIZE));
    fake_unplug();
}

TEST(a_stream_has_to_be_there)
{
    struct usb_transfer one = {.length = 32, .endpoint = IN_PIPE, .stream = STREAMS + 1};
    attached(STREAMS);
    CHECK_EQUAL(fake_transfers(0, &one, 1)->status, -E_NOT_FOUND);
    one.stream = 0;
    CHECK_EQUAL(fake_transfers(0, &one, 1)->status, -E_NOT_FOUND);
    one = (struct usb_transfer){.length = 32, .endpoint = COMMAND_PIPE, .stream = 1};
    CHECK_EQUAL(fake_transfers(0, &one, 1)->status, -E_NOT_FOUND);
    CHECK_EQUAL(fake_transfer(IN_PIPE, 0, 32)->status, -E_NOT_FOUND);
    fake_unplug();
}

/* --- together --- */

TEST(what_is_left_when_the_first_has_ended_is_stopped)
{
    for (uint32_t all = 0; all < 2; all++) {
        attached(STREAMS);
        fake.all_stop = all;
        struct fake_call *refused = command(1, 8 * PAGE_SIZE, IN_PIPE),
                         *other = command(2, 8 * PAGE_SIZE, IN_PIPE);
        CHECK(fake_move(COMMAND_PIPE, 0, 32) && fake_move(COMMAND_PIPE, 0, 32));
        CHECK(fake_move(IN_PIPE, 2, 5000)); /* the other one is in the middle of it */
        CHECK(fake_move(IN_PIPE, 1, 3000));
        CHECK(end_status(1));
        CHECK(!refused->over);
        fake_jobs();
        results(refused, 16, 3000, 32);
        CHECK(fake_move(IN_PIPE, 2, 8 * PAGE_SIZE - 5000));
        CHECK(end_status(2));
        results(other, 16, 8 * PAGE_SIZE, 32);
        CHECK(counts(data_of(2), 8 * PAGE_SIZE));
        fake_unplug();
    }
}

TEST(one_that_fails_stops_the_others)
{
    attached(STREAMS);
    struct fake_call *call = command(1, 4096, IN_PIPE), *other = command(2, 4096, IN_PIPE);
    CHECK(fake_move(COMMAND_PIPE, 0, 32) && fake_move(COMMAND_PIPE, 0, 32));
    CHECK(fake_end(IN_PIPE, 1, CODE_TRANSACTION));
    fake_jobs();
    results(call, 0, -E_IO, 32);
    results(other, 0, -E_IO, 32); /* it had its transfer there, too */
    fake_unplug();
}

TEST(what_cannot_be_begun_has_ended)
{
    attached(STREAMS);
    fake_end(STATUS_PIPE, 1, CODE_STALL);
    struct fake_call *first = command(1, 4096, OUT_PIPE);
    CHECK(fake_end(OUT_PIPE, 1, CODE_STALL));
    fake_jobs();
    results(first, 0, -E_NOT_SUPPORTED, 0);
    struct fake_call *second = command(1, 4096, OUT_PIPE);
    fake_jobs();
    results(second, 0, -E_NOT_SUPPORTED, -E_NOT_SUPPORTED);
    fake_unplug();
}

/* --- standing still --- */

TEST(who_wants_a_command_back_leaves_the_others_alone)
{
    for (uint32_t all = 0; all < 2; all++) {
        attached(STREAMS);
        fake.all_stop = all;
        struct fake_call *late = command(1, 8192, OUT_PIPE), *other = command(2, 8192, OUT_PIPE),
                         *third = command(3, 8192, IN_PIPE);
        CHECK(fake_move(IN_PIPE, 3, 100));
        CHECK(fake_move(OUT_PIPE, 1, 4096) && fake_move(OUT_PIPE, 2, 4096));
        fake_cancel(late);
        fake_cancel(late);
        fake_jobs();
        CHECK(late->over);
        CHECK_EQUAL(late->status, -E_CANCELLED);
        CHECK(!fake_move(STATUS_PIPE, 1, 16) && !fake_move(OUT_PIPE, 1, 16));
        CHECK(fake_move(COMMAND_PIPE, 0, 32) && fake_move(COMMAND_PIPE, 0, 32));
        CHECK(!fake_move(COMMAND_PIPE, 0, 32));
        CHECK(fake_move(OUT_PIPE, 2, 4096) && fake_move(IN_PIPE, 3, 8192 - 100));
        CHECK(end_status(2) && end_status(3));
        results(other, 16, 8192, 32);
        results(third, 16, 8192, 32);
        CHECK(counts(data_of(3), 8192));
        fake_unplug();
    }
}

/* Wherever it was stopped, also where the ring leads back to its beginning, it goes on where it was. */
TEST(a_transfer_that_stood_still_goes_on)
{
    for (uint32_t before = 0; before < 255; before += 3) {
        bulk_only();
        fake.all_stop = before % 2;
        for (uint32_t i = 0; i < before; i++) { /* the ring begins anywhere */
            fake_transfer(IN_PIPE, 0, 4);
            CHECK(fake_move(IN_PIPE, 0, 4));
        }
        fake_pipe(IN_PIPE)->stream[0].count = 0;
        struct fake_call *whole = fake_transfer(IN_PIPE, 0, 32 * PAGE_SIZE),
                         *unwanted = fake_transfer(IN_PIPE, AREA, 4096);
        for (uint32_t i = 0; i < 16; i++) {
            CHECK(fake_move(IN_PIPE, 0, i % 2 ? 3 * PAGE_SIZE : PAGE_SIZE));
            fake_cancel(unwanted);
            fake_jobs();
            CHECK_EQUAL(unwanted->status, -E_CANCELLED);
            unwanted = fake_transfer(IN_PIPE, AREA, 4096);
        }
        CHECK(whole->over);
        CHECK_EQUAL(whole->value, 32 * PAGE_SIZE);
        CHECK(counts(memory, 32 * PAGE_SIZE));
        fake_unplug();
    }
}

static struct fake_call *meanwhile_call;

static void one_waits(void)
{
    meanwhile_call = fake_transfer(IN_PIPE, 0, 4096);
    CHECK(!fake_move(IN_PIPE, 0, 1));
}

TEST(nothing_goes_onto_a_ring_that_stands_still)
{
    bulk_only();
    struct fake_call *unwanted = fake_transfer(IN_PIPE, AREA, 4096);
    fake_cancel(unwanted);
    fake.meanwhile = one_waits;
    fake.later = 1; /* it has stopped, and is to begin at another place */
    fake_jobs();
    CHECK_EQUAL(unwanted->status, -E_CANCELLED);
    CHECK(fake_move(IN_PIPE, 0, 4096));
    CHECK_EQUAL(meanwhile_call->value, 4096);
    fake_unplug();
}

/* It is told how far the one at work came, and of another that waits behind the front of its stream nothing. */
TEST(a_transfer_of_which_nothing_is_known_is_not_begun_again)
{
    const struct usb_transfer front = {.length = 8192, .endpoint = IN_PIPE, .stream = 1},
                              behind = {.offset = 8192,
                                        .length = 4096,
                                        .endpoint = IN_PIPE,
                                        .stream = 1},
                              other = {
                                  .offset = AREA, .length = 8192, .endpoint = IN_PIPE, .stream = 2};
    attached(STREAMS);
    struct fake_call *first = fake_transfers(0, &front, 1), *second = fake_transfers(0, &behind, 1),
                     *third = fake_transfers(0, &other, 1);
    CHECK(fake_move(IN_PIPE, 1, 5000) && fake_move(IN_PIPE, 2, 5000));
    fake_cancel(second);
    fake_jobs();
    CHECK_EQUAL(second->status, -E_CANCELLED);
    CHECK(!first->over || first->results[0] == -E_IO);
    CHECK(!fake_move(IN_PIPE, 1, 8192 - 5000) || counts(memory, 8192));
    CHECK(fake_move(IN_PIPE, 2, 8192 - 5000));
    CHECK_EQUAL(third->results[0], 8192);
    fake_unplug();
}

/* --- halts --- */

static void cleared(uint32_t address)
{
    struct fake_call *call = fake_clear(address);
    fake_jobs();
    CHECK_EQUAL(call->status, 0);
}

TEST(a_stall_of_one_stream_halts_all_until_it_is_cleared)
{
    attached(STREAMS);
    struct fake_call *one = command(1, 4096, IN_PIPE), *two = command(2, 4096, IN_PIPE);
    CHECK(fake_end(IN_PIPE, 2, CODE_STALL));
    fake_jobs();
    results(one, 0, -E_NOT_SUPPORTED, 0);
    results(two, 0, -E_NOT_SUPPORTED, 0);
    struct usb_transfer more = {.length = 4096, .endpoint = IN_PIPE, .stream = 5};
    CHECK_EQUAL(fake_transfers(0, &more, 1)->status, -E_NOT_SUPPORTED);
    cleared(IN_PIPE);
    CHECK_EQUAL(fake.asked,
                USB_SETUP(USB_TYPE_ENDPOINT, USB_CLEAR_FEATURE, USB_FEATURE_HALT, IN_PIPE, 0));
    for (uint32_t id = 1; id <= 2; id++) {
        fake_pipe(IN_PIPE)->stream[id].count = 0;
        one = command(id, 4096, IN_PIPE);
        CHECK(fake_move(COMMAND_PIPE, 0, 32) && fake_move(IN_PIPE, id, 4096) && end_status(id));
        results(one, 16, 4096, 32);
        CHECK(counts(data_of(id), 4096));
    }
    fake_unplug();
}

/* Babble above all: the device sends more than it was asked for. */
TEST(whatever_fails_halts_until_it_is_cleared)
{
    static const enum trb_code codes[] = {CODE_BABBLE, CODE_TRANSACTION, CODE_DATA_BUFFER};
    for (uint32_t i = 0; i < ARRAY_SIZE(codes); i++) {
        attached(STREAMS);
        struct fake_call *call = command(1, 4096, IN_PIPE);
        CHECK(fake_end(IN_PIPE, 1, codes[i]));
        fake_jobs();
        results(call, 0, -E_IO, 0);
        struct usb_transfer more = {.length = 4096, .endpoint = IN_PIPE, .stream = 1};
        CHECK_EQUAL(fake_transfers(0, &more, 1)->status, -E_IO);
        cleared(IN_PIPE);
        fake_pipe(IN_PIPE)->stream[1].count = 0;
        call = command(1, 4096, IN_PIPE);
        CHECK(fake_move(COMMAND_PIPE, 0, 32) && fake_move(IN_PIPE, 1, 4096) && end_status(1));
        results(call, 16, 4096, 32);
        fake_unplug();
    }
}

/* What went wrong before a stream was at work names no block (4.17.4). */
TEST(an_error_of_no_stream_halts_all)
{
    static const enum trb_code codes[] = {CODE_STALL, CODE_TRANSACTION, CODE_STREAM_TYPE,
                                          CODE_STREAM_ID};
    for (uint32_t i = 0; i < ARRAY_SIZE(codes); i++) {
        attached(STREAMS);
        struct fake_call *call = command(1, 4096, IN_PIPE);
        CHECK(fake_move(COMMAND_PIPE, 0, 32));
        fake_pipe(IN_PIPE)->state = FAKE_HALTED;
        fake_say(context_dci(IN_PIPE), 0, codes[i], 0);
        fake_jobs();
        results(call, 0, codes[i] == CODE_STALL ? -E_NOT_SUPPORTED : -E_IO, 32);
        cleared(IN_PIPE);
        CHECK_EQUAL(fake_pipe(IN_PIPE)->state, FAKE_STOPPED);
        fake_unplug();
    }
}

/* --- a controller that lies --- */

TEST(events_that_name_nothing_change_nothing)
{
    bulk_only();
    struct fake_call *call = fake_transfer(IN_PIPE, 0, 4 * PAGE_SIZE);
    uint64_t ring = fake.device.endpoints[context_dci(IN_PIPE)]->only.ring.address;
    const uint64_t wrong[] = {0,
                              1,
                              ring - 16,
                              ring + 8,
                              ring + 4 * sizeof(struct trb),
                              ring + PAGE_SIZE,
                              fake.device.control.only.ring.address,
                              UINT64_MAX};
    for (uint32_t i = 0; i < ARRAY_SIZE(wrong); i++)
        for (uint32_t code = 0; code < 40; code++)
            fake_say(context_dci(IN_PIPE), wrong[i], code, 7);
    for (uint32_t dci = 0; dci < CONTEXT_ENDPOINTS; dci++)
        if (dci != context_dci(IN_PIPE))
            fake_say((uint8_t)dci, ring, CODE_SUCCESS, 0); /* of another endpoint */
    CHECK(fake_move(IN_PIPE, 0, 4 * PAGE_SIZE));
    CHECK(call->over);
    CHECK_EQUAL(call->value, 4 * PAGE_SIZE);
    fake_unplug();
}

TEST(one_that_was_passed_over_has_got_lost)
{
    bulk_only();
    struct fake_call *first = fake_transfer(IN_PIPE, 0, 4096),
                     *second = fake_transfer(IN_PIPE, 4096, 4096);
    fake_say(context_dci(IN_PIPE),
             fake.device.endpoints[context_dci(IN_PIPE)]->only.ring.address + sizeof(struct trb),
             CODE_SUCCESS, 0);
    CHECK_EQUAL(first->status, -E_IO);
    CHECK_EQUAL(second->value, 4096);
    fake_unplug();
}

TEST(more_left_than_there_was_is_nothing_moved)
{
    attached(STREAMS);
    struct fake_call *call = command(4, 4096, IN_PIPE);
    uint64_t ring = endpoint_stream(fake.device.endpoints[context_dci(IN_PIPE)], 4)->ring.address;
    CHECK(fake_move(COMMAND_PIPE, 0, 32));
    fake_say(context_dci(IN_PIPE), ring, CODE_SHORT, 0xffffff);
    CHECK(end_status(4));
    results(call, 16, 0, 32);
    fake_say(context_dci(IN_PIPE), ring, CODE_SUCCESS, 0); /* once more */
    fake_unplug();
}

TEST(a_controller_that_does_not_stop)
{
    attached(STREAMS);
    struct fake_call *call = command(1, 4096, IN_PIPE), *other = command(2, 4096, IN_PIPE);
    fake.fails = true;
    fake_cancel(call);
    fake_jobs();
    CHECK_EQUAL(call->status, -E_CANCELLED);
    results(other, -E_IO, 0, 0);
    claim_close(&fake.device, fake_interface());
    fake_jobs();
    CHECK_EQUAL(fake_interface()->owner, FAKE_OWNER); /* nobody gets it */
    CHECK(!list_empty(&fake_interface()->memories));
    fake_unplug();
}

static void another(void)
{
    meanwhile_call = fake_transfer(IN_PIPE, AREA, 4096);
    fake.fails = true;
}

/* What is asked for while it is cleared in vain ends, too. */
TEST(a_controller_that_does_not_clear)
{
    bulk_only();
    fake_transfer(IN_PIPE, 0, 4096);
    fake.meanwhile = another;
    fake.later = 1; /* it has stopped, and is to begin at another place */
    bool quiet;
    CHECK_EQUAL(io_clear(fake.device.endpoints[context_dci(IN_PIPE)], &quiet), -E_IO);
    CHECK(!quiet);
    CHECK(meanwhile_call->over);
    CHECK_EQUAL(meanwhile_call->status, -E_IO);
    fake_unplug();
}

/* --- ends --- */

TEST(a_device_goes_with_transfers_in_several_streams)
{
    for (uint32_t wanted_back = 0; wanted_back < 2; wanted_back++) {
        struct fake_call *calls[STREAMS + 1];
        attached(STREAMS);
        for (uint32_t id = 1; id <= STREAMS; id++)
            calls[id] = command(id, 8192, id % 2 ? IN_PIPE : OUT_PIPE);
        CHECK(fake_move(COMMAND_PIPE, 0, 32) && fake_move(IN_PIPE, 1, 100));
        if (wanted_back) {
            fake_cancel(calls[3]);
            fake.meanwhile = fake_gone; /* while a stop is waited for */
            fake_jobs();
        } else {
            fake_gone();
        }
        for (uint32_t id = 1; id <= STREAMS; id++) {
            CHECK(calls[id]->over);
            if (id != 3 || !wanted_back)
                results(calls[id], -E_CLOSED, -E_CLOSED, id == 1 ? 32 : -E_CLOSED);
        }
        CHECK_EQUAL(command(1, 32, IN_PIPE)->status, -E_CLOSED);
        CHECK(list_empty(&fake.device.jobs));
        fake_unplug();
    }
}

TEST(a_claim_ends_with_transfers_in_several_streams)
{
    struct fake_call *calls[STREAMS + 1];
    attached(STREAMS);
    for (uint32_t id = 1; id <= STREAMS; id++)
        calls[id] = command(id, 8192, id % 2 ? IN_PIPE : OUT_PIPE);
    CHECK(fake_move(COMMAND_PIPE, 0, 32) && fake_move(IN_PIPE, 1, 100));
    CHECK(fake_end(OUT_PIPE, 2, CODE_STALL));
    claim_close(&fake.device, fake_interface());
    fake_jobs();
    for (uint32_t id = 1; id <= STREAMS; id++)
        CHECK(calls[id]->over);
    CHECK(list_empty(&fake_interface()->memories));
    CHECK_EQUAL(fake_interface()->owner, 0);
    CHECK_EQUAL(fake_interface()->alternate, 0);
    CHECK_EQUAL(fake_interface()->streams, 0);
    CHECK_EQUAL(fake_pipe(STATUS_PIPE)->state, FAKE_DISABLED);
    fake_claim();
    fake_unplug();
}

/* Its driver has endpoints open that are at rest already. */
static void one_more(void)
{
    CHECK_EQUAL(fake_transfer(IN_PIPE, 0, 4096)->status, -E_CLOSED);
}

TEST(nothing_is_begun_for_a_claim_that_ends)
{
    bulk_only();
    struct fake_call *call = fake_transfer(OUT_PIPE, 0, 4096);
    claim_close(&fake.device, fake_interface());
    CHECK_EQUAL(claim_check(fake_interface(), FAKE_OWNER), -E_CLOSED);
    CHECK_EQUAL(claim_check(fake_interface(), FAKE_OWNER + 1), -E_PERMISSION);
    fake.meanwhile = one_more;
    fake_jobs();
    CHECK(call->over && !fake.meanwhile);
    fake_unplug();
}

TEST(another_setting_ends_what_is_under_way)
{
    attached(STREAMS);
    struct fake_call *call = command(1, 4096, IN_PIPE), *set = fake_alternate(0, 0);
    fake_jobs();
    results(call, 0, 0, -E_CANCELLED); /* what begins first has the others stopped */
    CHECK_EQUAL(set->status, 0);
    CHECK_EQUAL(set->value, 0);
    struct fake_call *read = fake_transfer(IN_PIPE, 0, 512);
    CHECK(fake_move(IN_PIPE, 0, 512) && read->over);
    fake_unplug();
}
