/* USB Attached SCSI (UAS-3): commands out on one pipe, status in on another, data on two more; and many commands at once. Pure: what carries
 * bytes is the caller's, so tests put a device of their own beneath.
 *
 *     uas_find(bytes, length, interface, &settings)        what the descriptors say
 *     uas_open(&uas, &pipes, streams, lanes, count, ...)   each lane with its page
 *     uas_quiet(&uas)                                      whoever was here before may have left commands: they end
 *     uas.lanes[i].lane                                    each a command at a time (transport.h)
 *
 * With streams each command has a stream of its own, whose number is its tag, on all pipes but the command's:
 *
 *     status, data, command: all are begun at once --> status came: what is left of the data is stopped --> DONE, FAILED, ...
 *
 * Without them (USB 2) there is one lane, since one status pipe cannot be shared by threads:
 *
 *     status, command --> "ready": status, data --> status --> ...
 *
 * What goes wrong ends with -E_IO, and the device ready for the next command:
 *
 *     no answer, no sense in it --> halts cleared, ABORT TASK --refused--> LOGICAL UNIT RESET --refused--> the port is reset
 *
 * Who manages tasks has the last tag for himself. Then the lane's own stream is asked until it answers that, so that what the device
 * had said late is not taken for the next command's status.
 */
#pragma once

#include "lib/usb/transport.h"

#define UAS_PAGE   4096u
#define UAS_STATUS 1024u /* what is in front is the command */
#define UAS_DATA   (UAS_PAGE - LANE_DATA)

enum uas_pipe { UAS_COMMAND, UAS_STATUS_IN, UAS_DATA_IN, UAS_DATA_OUT, UAS_PIPES };

/* Of `length` bytes of memory at `address`. moved: how many, or -E_*; -E_NOT_SUPPORTED: a stall. */
struct uas_move {
    enum uas_pipe pipe;
    uint16_t stream; /* 0: the pipe has none */
    uint32_t length;
    uint64_t address;
    int64_t moved;
};

#define UAS_MOVES_MAX 3u

struct uas_pipes {
    /* All at once. What is under way when the first has ended, or any has failed, is stopped, and has moved what it had by then. 0, or the error
     * that kept all of them from being known: E_TIMED_OUT after `patience`. After an error a pipe stands still until it is cleared. */
    int64_t (*move)(void *context, struct uas_move *moves, uint32_t count, int64_t patience);
    int64_t (*clear)(void *context, enum uas_pipe pipe); /* if it stands still */
    /* The port is reset. 0: the device is as after being plugged in, and all pipes are clear. */
    int64_t (*begin_anew)(void *context);
    void (*pause)(void *context, int64_t nanoseconds);
    void (*alone)(void *context, bool begins); /* no other lane manages tasks until it ends */
    void *context;
};

struct uas;

struct uas_lane {
    struct lane lane;
    struct uas *uas;
    uint16_t tag;
    uint8_t *page;
    uint64_t address;
    uint32_t recoveries; /* in a row */
};

struct uas {
    struct transport transport;
    const struct uas_pipes *pipes;
    struct uas_lane *lanes;
    uint32_t lane_count;
    bool streams;
};

/* What an interface offers: its setting with the bulk-only transport, and that of UAS with its pipes' addresses. */
struct uas_settings {
    bool bulk_only, attached;
    uint8_t bulk_only_alternate, attached_alternate;
    uint8_t pipes[UAS_PIPES];
};

/* bytes: a device's descriptor and its configuration's. */
void uas_find(const uint8_t *bytes, size_t length, uint8_t interface,
              struct uas_settings *settings);

/* How many lanes there are for so many streams (0: it is spoken without), at most; 0: too few. */
uint32_t uas_lanes(uint16_t streams);
/* pages: count * UAS_PAGE bytes, which the device reaches at `address`. */
void uas_open(struct uas *uas, const struct uas_pipes *pipes, uint16_t streams,
              struct uas_lane *lanes, uint32_t count, uint8_t *pages, uint64_t address);
/* Before any lane is used. 0, or the end. */
MUST_CHECK int64_t uas_quiet(struct uas *uas);
