/* A unit of a USB disk: what a driver wants of it, as commands that are sent until they are done. Pure, as what lies beneath
 * (bulk_only.h, scsi.h).
 *
 *     storage_open(&unit, &bulk, number)         who it is; -E_NOT_SUPPORTED: nothing that has blocks to read
 *     storage_load(&unit)                        its medium: waits until it is ready, and reads how large it is
 *     storage_transfer(&unit, write, block, count, address)
 *     storage_flush(&unit)
 *     storage_look(&unit)                        whether its medium is still there, and the same
 *
 *     EMPTY --load--> LOADED --look, transfer, flush: the unit says that it is gone, or was changed--> EMPTY
 *
 * Results are 0 or -E_*: those of abi/disk.h; E_NO_DEVICE: it is EMPTY. When bulk.over is set it is the answer to everything.
 */
#pragma once

#include "lib/usb/bulk_only.h"
#include "lib/usb/scsi.h"

struct storage_unit {
    struct bulk_only *bulk;
    uint8_t number;
    bool loaded;
    struct scsi_inquiry inquiry;
    struct scsi_capacity capacity; /* of the medium, as is `mode` */
    struct scsi_mode mode;
    struct scsi_sense sense; /* what it failed with last, for the log */
};

MUST_CHECK int64_t storage_open(struct storage_unit *unit, struct bulk_only *bulk, uint8_t number);
MUST_CHECK int64_t storage_load(struct storage_unit *unit);
MUST_CHECK int64_t storage_look(struct storage_unit *unit);
/* count: at most SCSI_BLOCKS_MAX. */
MUST_CHECK int64_t storage_transfer(struct storage_unit *unit, bool write, uint64_t block,
                                    uint32_t count, uint64_t address);
MUST_CHECK int64_t storage_flush(struct storage_unit *unit);
