/* Pipes of the bulk-only transport: see pipes.h. */
#include "lib/sys/clock.h"
#include "sbin/usb.storage/media.h"
#include "sbin/usb.storage/pipes.h"

/* Of the interface (Bulk-Only Transport 1.0, 3). */
enum { GET_MAX_LUN = 0xfe, BULK_ONLY_RESET = 0xff };
#define CLASS_REQUEST (USB_TYPE_CLASS | USB_TYPE_INTERFACE)

static int64_t bulk_move(void *context, struct bulk_move *moves, uint32_t count, int64_t patience)
{
    const struct pipes *pipes = context;
    struct usb_transfer transfers[BULK_MOVES_MAX];
    int64_t results[BULK_MOVES_MAX], result = 0;
    for (uint32_t i = 0; i < count; i++)
        transfers[i] = (struct usb_transfer){
            .memory = moves[i].address >> 32,
            .offset = (uint32_t)moves[i].address,
            .length = moves[i].length,
            .endpoint = moves[i].in ? pipes->in_address : pipes->out_address,
        };
    int64_t begun = pipes_check(usb_transfers(&pipes->claim, 0, transfers, count, results,
                                              clock_monotonic() + patience * count));
    for (int64_t i = 0; i < begun; i++)
        moves[i].moved = result = pipes_check(results[i]);
    return begun < 0 ? begun : MIN(result, (int64_t)0);
}

static int64_t bulk_clear(void *context, bool in)
{
    const struct pipes *pipes = context;
    return pipes_check(usb_clear_halt(in ? pipes->in : pipes->out));
}

static int64_t request(const struct pipes *pipes, uint8_t direction, uint8_t which, void *bytes,
                       uint16_t length)
{
    return pipes_check(usb_request(
        &pipes->claim,
        USB_SETUP(CLASS_REQUEST | direction, which, 0, pipes->claim.description.interface, length),
        bytes));
}

static int64_t bulk_reset(void *context)
{
    return request(context, 0, BULK_ONLY_RESET, NULL, 0);
}

static int64_t bulk_units(void *context, uint8_t *last)
{
    int64_t result = request(context, USB_TYPE_IN, GET_MAX_LUN, last, 1);
    return result == 1 || result < 0 ? result : -E_IO;
}

/* The device will be another one, for the next of us; but one to whom that was of no use so often is beyond help. */
static int64_t bulk_begin_anew(void *context)
{
    return media_restarts_more() ? pipes_reset(context) : -E_CLOSED;
}

static int64_t endpoint_open(const struct pipes *pipes, uint8_t direction, uint8_t *address,
                             handle_t *file)
{
    *address = usb_endpoint_find(&pipes->claim, USB_BULK, direction);
    return *address ? usb_endpoint_open(&pipes->claim, *address, file) : -E_BAD_FORMAT;
}

int64_t bulk_open(struct pipes *pipes)
{
    const struct usb_description *description = &pipes->claim.description;
    pipes->bulk = (struct bulk_pipes){bulk_move,       bulk_clear,  bulk_reset, bulk_units,
                                      bulk_begin_anew, pipes_pause, pipes};
    int64_t result = 0;
    if (description->alternate != pipes->settings.bulk_only_alternate)
        result = usb_alternate(&pipes->claim, pipes->settings.bulk_only_alternate, 0);
    if (result >= 0)
        result = endpoint_open(pipes, USB_ENDPOINT_IN, &pipes->in_address, &pipes->in);
    return result < 0 ? result : endpoint_open(pipes, 0, &pipes->out_address, &pipes->out);
}
