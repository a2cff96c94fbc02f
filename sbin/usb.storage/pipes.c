/* Pipes: see pipes.h. */
#include "sbin/usb.storage/pipes.h"

#include <stdlib.h>

#include "lib/sys/clock.h"
#include "lib/sys/wait.h"

/* Of the interface (Bulk-Only Transport 1.0, 3). */
enum { GET_MAX_LUN = 0xfe, BULK_ONLY_RESET = 0xff };
#define CLASS_REQUEST (USB_TYPE_CLASS | USB_TYPE_INTERFACE)

#define PROTOCOL_BULK_ONLY 0x50
#define SUBCLASS_SCSI      0x06
#define RESTARTS_MOST      2u
#define LOST_NS            INT64_C(30000000000)

/* Commands that are under way go to the next of us. If initd does not end us for it, we do. */
static NORETURN void rest(void)
{
    sleep_until(clock_monotonic() + LOST_NS);
    exit(1);
}

int64_t pipes_alive(int64_t result)
{
    /* Its successor knows nothing of our claim. */
    if (result == -E_RESTARTED || result == -E_SERVICE_DOWN || result == -E_NOT_FOUND ||
        result == -E_PERMISSION)
        rest();
    return result;
}

/* As bulk_only.h knows errors: what is none of the device's, no memory and the like, may not happen the next time. */
static int64_t check(int64_t result)
{
    pipes_alive(result);
    return result >= 0 || result == -E_CLOSED || result == -E_TIMED_OUT ||
                   result == -E_NOT_SUPPORTED
               ? result
               : -E_IO;
}

static int64_t pipes_move(void *context, struct bulk_move *moves, uint32_t count, int64_t patience)
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
    int64_t begun = check(usb_transfers(&pipes->claim, 0, transfers, count, results,
                                        clock_monotonic() + patience * count));
    for (int64_t i = 0; i < begun; i++)
        moves[i].moved = result = check(results[i]);
    return begun < 0 ? begun : MIN(result, (int64_t)0);
}

static int64_t pipes_clear(void *context, bool in)
{
    const struct pipes *pipes = context;
    return check(usb_clear_halt(in ? pipes->in : pipes->out));
}

static int64_t request(const struct pipes *pipes, uint8_t direction, uint8_t which, void *bytes,
                       uint16_t length)
{
    return check(usb_request(
        &pipes->claim,
        USB_SETUP(CLASS_REQUEST | direction, which, 0, pipes->claim.description.interface, length),
        bytes));
}

static int64_t pipes_reset(void *context)
{
    return request(context, 0, BULK_ONLY_RESET, NULL, 0);
}

static int64_t pipes_units(void *context, uint8_t *last)
{
    int64_t result = request(context, USB_TYPE_IN, GET_MAX_LUN, last, 1);
    return result == 1 || result < 0 ? result : -E_IO;
}

/* The device will be another one, for the next of us; but one to whom that was of no use so often is beyond help. */
static int64_t pipes_begin_anew(void *context)
{
    const struct pipes *pipes = context;
    if (++*pipes->restarts > RESTARTS_MOST)
        return -E_CLOSED;
    int64_t result = pipes_alive(usb_reset(&pipes->claim));
    if (result >= 0)
        rest();
    return result;
}

static void pipes_pause(void *context, int64_t nanoseconds)
{
    (void)context;
    sleep_until(clock_monotonic() + nanoseconds);
}

static int64_t endpoint_open(const struct pipes *pipes, uint8_t direction, uint8_t *address,
                             handle_t *file)
{
    *address = usb_endpoint_find(&pipes->claim, USB_BULK, direction);
    return *address ? usb_endpoint_open(&pipes->claim, *address, file) : -E_BAD_FORMAT;
}

int64_t pipes_open(struct pipes *pipes, const char *interface)
{
    const struct usb_description *description = &pipes->claim.description;
    *pipes = (struct pipes){
        .restarts = pipes->restarts,
        .in = HANDLE_NONE,
        .out = HANDLE_NONE,
        .bulk = {pipes_move, pipes_clear, pipes_reset, pipes_units, pipes_begin_anew, pipes_pause,
                 pipes},
    };
    int64_t result = usb_claim(&pipes->claim, interface);
    if (result < 0)
        return result;
    if (description->protocol != PROTOCOL_BULK_ONLY || description->subclass != SUBCLASS_SCSI)
        return -E_NOT_SUPPORTED;
    result = endpoint_open(pipes, USB_ENDPOINT_IN, &pipes->in_address, &pipes->in);
    return result < 0 ? result : endpoint_open(pipes, 0, &pipes->out_address, &pipes->out);
}
