/* The bulk-only transport of USB disks (USB Mass Storage Class, Bulk-Only Transport 1.0): a command goes out, its data go
 * either way, its status comes in. Pure: what carries bytes is the caller's, so tests put a device of their own beneath.
 *
 *     bulk_only_open(&bulk, &pipes, page, address)      page: BULK_PAGE bytes that the device reaches at `address`
 *     bulk.lane                                         its only one (transport.h)
 *
 *     command --> data --> status --> DONE, FAILED          all of it in one go, as long as nothing fails
 *        |          | short: the status is asked for by itself; stall: halt cleared, on to the status
 *        |          |         '- stall or nothing: cleared, asked once more
 *        '----------+--------------> no answer, no sense in it, phase error: reset recovery (5.3.4) --> -E_IO
 *                                                   '- fails: the port is reset, the device begins anew
 *
 * Nothing the device says is believed that was not checked: what its status says it did and what was seen to come are told apart.
 * Of pipes an error other than E_IO, E_NOT_SUPPORTED and E_TIMED_OUT is the end (`over`): nothing more is tried.
 */
#pragma once

#include "lib/usb/transport.h"

/* What lies in the page, apart from one another by the longest packet. */
#define BULK_PAGE   4096u
#define BULK_STATUS 1024u                   /* what is in front is the command */
#define BULK_DATA   (BULK_PAGE - LANE_DATA) /* up to the end */

#define BULK_UNITS_MAX 16u

/* Between the device and `length` bytes of memory at `address`, in one transfer. moved: how many, and 0 is an empty packet;
 * -E_NOT_SUPPORTED: a stall. */
struct bulk_move {
    bool in;
    uint32_t length;
    uint64_t address;
    int64_t moved;
};

#define BULK_MOVES_MAX 3u

struct bulk_pipes {
    /* One after the other, until one fails or brings less than its length: 0, or its error, which stands in its `moved` unless it is not known
     * which of them failed; those behind it are left as they are. After an error the pipe stands still until it is cleared. patience: for each. */
    int64_t (*move)(void *context, struct bulk_move *moves, uint32_t count, int64_t patience);
    int64_t (*clear)(void *context, bool in);
    int64_t (*reset)(void *context);                /* Bulk-Only Mass Storage Reset (3.1) */
    int64_t (*units)(void *context, uint8_t *last); /* Get Max LUN (3.2) */
    /* The port is reset. 0: the device is as after being plugged in, and both pipes are clear. */
    int64_t (*begin_anew)(void *context);
    void (*pause)(void *context, int64_t nanoseconds);
    void *context;
};

struct bulk_only {
    struct transport transport;
    struct lane lane;
    const struct bulk_pipes *pipes;
    uint8_t *page;
    uint64_t address;
    uint32_t tag;
    uint32_t recoveries; /* in a row */
};

void bulk_only_open(struct bulk_only *bulk, const struct bulk_pipes *pipes, uint8_t *page,
                    uint64_t address);
