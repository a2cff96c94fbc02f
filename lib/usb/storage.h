/* A unit of a USB disk: what a driver wants of it, as commands that are sent until they are done. Pure, as what lies beneath
 * (transport.h, scsi.h).
 *
 *     storage_units(lane, &units)                      which numbers there are, as bits
 *     storage_open(&unit, lane, number)                who it is; -E_NOT_SUPPORTED: nothing that has blocks to read
 *     storage_load(&unit, lane)                        its medium: waits until it is ready, and reads how large it is
 *     storage_transfer(&unit, lane, write, block, count, address)
 *     storage_discard(&unit, lane, block, count)       nobody needs what is there (UNMAP), if unit.limits.most says that it can
 *     storage_flush(&unit, lane)
 *     storage_look(&unit, lane)                        whether its medium is still there, and the same
 *
 *     EMPTY --load--> LOADED --look, transfer, discard, flush: the unit says that it is gone, or was changed--> EMPTY
 *
 * Results are 0 or -E_*: those of abi/disk.h; E_NO_DEVICE: it is EMPTY. When the transport is over that is the answer to everything. What is
 * done to a LOADED unit may be done through several lanes at once; storage_open and storage_load by one alone.
 */
#pragma once

#include "lib/usb/scsi.h"
#include "lib/usb/transport.h"

struct storage_unit {
    uint8_t number;
    bool loaded; /* by storage_is_loaded where others are at work */
    struct scsi_inquiry inquiry;
    struct scsi_capacity capacity; /* of the medium, as is `mode` */
    struct scsi_mode mode;
    struct scsi_limits limits;
    uint32_t sense; /* what it failed with last, for the log: key, code, qualifier */
};

static inline bool storage_is_loaded(const struct storage_unit *unit)
{
    return __atomic_load_n(&unit->loaded, __ATOMIC_ACQUIRE);
}

#define STORAGE_UNITS 16u /* numbers are below */

/* *more: how many others there are. */
MUST_CHECK int64_t storage_units(struct lane *lane, uint32_t *units, uint32_t *more);
MUST_CHECK int64_t storage_open(struct storage_unit *unit, struct lane *lane, uint8_t number);
MUST_CHECK int64_t storage_load(struct storage_unit *unit, struct lane *lane);
MUST_CHECK int64_t storage_look(struct storage_unit *unit, struct lane *lane);
/* count: at most SCSI_BLOCKS_MAX. */
MUST_CHECK int64_t storage_transfer(struct storage_unit *unit, struct lane *lane, bool write,
                                    uint64_t block, uint32_t count, uint64_t address);
/* count: at most unit.limits.most. */
MUST_CHECK int64_t storage_discard(struct storage_unit *unit, struct lane *lane, uint64_t block,
                                   uint32_t count);
MUST_CHECK int64_t storage_flush(struct storage_unit *unit, struct lane *lane);
