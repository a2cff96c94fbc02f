/* A request of lib/disk as a command table (4.2.3): the disk's command, and where its data lies. Pure. */
#pragma once

#include "lib/disk/driver.h"
#include "sbin/ahcid/ahci.h"
#include "sbin/ahcid/ata.h"

/* Where the ranges of a TRIM lie in the table's page, behind the one piece they are. */
#define AHCI_TRIM_AT 512u
#define AHCI_TRIM_MOST \
    (ATA_TRIM_RANGES * (uint64_t)ATA_TRIM_SECTORS_MAX) /* sectors of one request */

/* What stands in the header of a command (4.2.2). */
struct ahci_work {
    uint16_t flags, pieces;
    uint32_t bytes; /* that are to be transferred */
};

/* Into a page of the slot's, whose address the adapter knows as `address`. `queued`: a read or write of a disk that can. 0;
 * -E_RANGE: more than one command takes; -E_INVALID: pieces of odd length or at odd addresses; -E_NOT_SUPPORTED: no such request. */
MUST_CHECK int64_t ahci_command_build(void *page, uint64_t address,
                                      const struct disk_request *request, bool queued,
                                      uint32_t slot, struct ahci_work *work);
/* What the driver itself asks for: IDENTIFY, with its answer to be written to `answer`, and FLUSH. */
void ahci_identify_build(struct ahci_table *table, uint64_t answer, struct ahci_work *work);
void ahci_flush_build(struct ahci_table *table, struct ahci_work *work);
