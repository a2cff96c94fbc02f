/* What carries SCSI commands to the units of a USB disk: bulk_only.h or uas.h, used by storage.h.
 *
 *     lane->transport->command(lane, &command)      TRANSPORT_* or -E_*
 *
 * A lane carries one command at a time, and has memory for short answers. Who has several has them at work at once, each with a thread of its
 * own: a lane is its thread's, what the transport shares is atomic or the transport's affair.
 *
 * -E_IO: nobody knows what became of the command, and the device is ready for the next one. Other errors are the end: `over`.
 */
#pragma once

#include "abi/errors.h"
#include "lib/base/base.h"

#define LANE_DATA 2048u /* bytes for short answers */

enum transport_outcome {
    TRANSPORT_DONE,
    TRANSPORT_FAILED,  /* for a cause the unit has sense data of */
    TRANSPORT_BUSY,    /* not now */
    TRANSPORT_REFUSED, /* for a cause of its own */
};

struct scsi_command {
    uint8_t unit, length; /* of the bytes */
    uint8_t bytes[16];
    bool in;
    uint64_t address; /* of the data */
    uint32_t count;   /* bytes of it; 0: none */
    int64_t patience; /* for each of its transfers, ns */
    /* Afterwards, when it was answered: bytes that were seen to be moved (none, if the device ended them by a stall), how many the device says
     * were of use, and the sense data that came with the answer, until the lane's next command. */
    uint32_t moved, used;
    const uint8_t *sense;
    uint32_t sense_length; /* 0: they are to be asked for */
};

struct lane;

struct transport {
    int64_t (*command)(struct lane *lane, struct scsi_command *command);
    void (*pause)(const struct lane *lane, int64_t nanoseconds);
    /* How many units there are, from 0 on; -E_*: the end. NULL: the first one is asked (REPORT LUNS). */
    int64_t (*units)(struct lane *lane);
    int64_t
        over; /* -E_*: what it ended with, as every command does from then on; by transport_over */
};

struct lane {
    struct transport *transport;
    uint8_t *data; /* LANE_DATA bytes, which the device reaches at `address` */
    uint64_t address;
};

static inline int64_t transport_over(const struct transport *transport)
{
    return __atomic_load_n(&transport->over, __ATOMIC_RELAXED);
}

/* Whether nothing more is to be tried, after this result of the device's pipes. */
static inline bool transport_is_over(struct transport *transport, int64_t result)
{
    if (result < 0 && result != -E_IO && result != -E_NOT_SUPPORTED && result != -E_TIMED_OUT)
        __atomic_store_n(&transport->over, result, __ATOMIC_RELAXED);
    return transport_over(transport);
}
