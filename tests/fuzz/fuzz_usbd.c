/* Drivers that ask usbd for anything, in any order, of a controller that keeps the rules and fails now and then, or of one that makes up what
 * it says. What must hold: each command is answered once, nothing waits for ever, nothing is written that was given back. */
// sources: sbin/usbd/endpoint.c sbin/usbd/ring.c sbin/usbd/td.c sbin/usbd/context.c sbin/usbd/request.c sbin/usbd/slot.c
// sources: sbin/usbd/configure.c sbin/usbd/claim.c sbin/usbd/io.c lib/usb/descriptor.c lib/usb/vendor.c
#include "tests/fuzz/input.h"
#include "tests/host/fake_usbd.h"

#define MEMORY (UINT64_C(1) << 17)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct input input;
static uint32_t depth; /* of what happens while something is waited for */

static uint32_t pipe_next(void)
{
    static const uint8_t pipes[] = {COMMAND_PIPE, STATUS_PIPE, IN_PIPE, OUT_PIPE};
    return pipes[next_byte(&input) % ARRAY_SIZE(pipes)];
}

static uint32_t stream_next(void)
{
    return next_byte(&input) % (FAKE_STREAMS / 2 + 2);
}

static void transfers(void)
{
    struct usb_transfer each[USB_TRANSFERS_MAX];
    uint8_t what = next_byte(&input);
    uint32_t count = what % USB_TRANSFERS_MAX + 1;
    for (uint32_t i = 0; i < count; i++)
        each[i] = (struct usb_transfer){.offset = next(&input, 2),
                                        .length = next(&input, 2),
                                        .endpoint = pipe_next(),
                                        .stream = stream_next()};
    fake_transfers(what & 0x80 ? USB_TOGETHER : 0, each, count);
}

static void transfer(uint32_t pipe)
{
    if (claim_endpoint(&fake.device, fake_interface(), (uint8_t)pipe))
        fake_transfer(pipe, next(&input, 2), next(&input, 2));
}

/* About any block of any ring, or what lies beside it. */
static void lie(void)
{
    uint8_t dci = next_byte(&input) % CONTEXT_ENDPOINTS,
            about = next_byte(&input) % CONTEXT_ENDPOINTS;
    const struct endpoint *endpoint = device_endpoint(&fake.device, about);
    uint64_t address = next(&input, 2) % 0x220 * 8;
    if (endpoint && endpoint->stream_count)
        address += endpoint->streams[next_byte(&input) % endpoint->stream_count].ring.address;
    fake_say(dci, address, next_byte(&input) % 40, next(&input, 2));
}

static void step(void);

static void meanwhile(void)
{
    if (!depth++)
        for (uint8_t steps = next_byte(&input) % 4; steps; steps--)
            step();
    depth--;
}

static void claim_again(void)
{
    if (fake_interface()->owner != FAKE_OWNER) {
        fake_claim();
        fake_memory(MEMORY);
    }
}

static void step_honest(uint8_t what)
{
    static const enum trb_code codes[] = {CODE_SHORT, CODE_STALL, CODE_TRANSACTION, CODE_BABBLE};
    uint32_t pipe = pipe_next(), stream = stream_next();
    if (what % 4) {
        fake_move(pipe, stream, next(&input, 2));
        return;
    }
    enum trb_code code = codes[next_byte(&input) % ARRAY_SIZE(codes)];
    if (code != CODE_SHORT || pipe & USB_ENDPOINT_IN)
        fake_end(pipe, stream, code);
}

static void step(void)
{
    uint8_t what = next_byte(&input);
    if (fake_number() == FAKE_CALLS)
        return;
    switch (what % 16) {
    case 0:
    case 1:
    case 2:
        transfers();
        break;
    case 3:
        transfer(pipe_next());
        break;
    case 4:
        fake_cancel(&fake.calls[what / 16 * 4 + next_byte(&input) % 4]);
        break;
    case 5:
        if (fake_interface()->alternate && !fake.device.gone)
            fake_clear(pipe_next());
        break;
    case 6:
        if (!depth)
            fake_jobs();
        break;
    case 7:
        if (!fake.device.gone && claim_check(fake_interface(), FAKE_OWNER) == 0)
            fake_alternate(what / 16 & 1, what / 16);
        break;
    case 8:
        if (!depth && !fake.device.gone && claim_check(fake_interface(), FAKE_OWNER) == 0) {
            claim_close(&fake.device, fake_interface());
            fake_jobs();
            if (!fake.device.gone && fake_interface()->owner != FAKE_OWNER)
                claim_again();
        }
        break;
    case 9:
        fake.fails = what / 16 == 1;
        break;
    case 10:
        fake.meanwhile = meanwhile;
        fake.later = what / 16 % 8;
        break;
    case 11:
        if (what / 16 == 7 && !fake.device.gone)
            fake_gone();
        break;
    default:
        if (fake.lies)
            lie();
        else
            step_honest(what / 16);
    }
}

/* What a ring has under way is what its transfers say. */
static void check(void)
{
    for (uint8_t dci = 1; dci < CONTEXT_ENDPOINTS; dci++) {
        const struct endpoint *endpoint = device_endpoint(&fake.device, dci);
        for (uint32_t i = 0; endpoint && i < endpoint->stream_count; i++) {
            uint32_t used = 0;
            list_for_each (const struct transfer, transfer, &endpoint->streams[i].transfers, link) {
                fake_require(transfer->before + transfer->moved <=
                                 transfer->before + transfer->request.length,
                             "more was moved than there was");
                used += transfer->blocks;
            }
            fake_require(used == endpoint->streams[i].ring.used, "blocks that are nobody's");
            fake_require(!endpoint->halted || list_empty(&endpoint->streams[i].transfers),
                         "a transfer under way where nothing goes on");
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input = (struct input){data, data + size};
    depth = 0;
    fake_plug();
    fake_memory(MEMORY);
    uint8_t first = next_byte(&input);
    fake.lies = first & 1;
    fake.all_stop = first & 2;
    if (first & 4)
        fake_alternate(1, 16);
    fake_jobs();
    while (input.at < input.end) {
        step();
        check();
    }
    fake.meanwhile = NULL;
    fake.fails = false;
    fake_jobs();
    fake_unplug();
    return 0;
}
