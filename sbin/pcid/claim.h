/* Functions and who has claimed them: what outlives pcid itself, and what becomes of a function whose driver is gone.
 *
 *     claims_start(port)               the table (table.h) and what its functions have
 *     claim_open(f, process)           it is that process's; E_BUSY
 *     claim_bar, claim_config_write    and interrupt.h, dma.h: what its driver gets
 *     claim_revoke(f, why)             quiet; its driver is to end
 *     claim_close(f)                   quiet, then everything it was given is let go of
 *
 * While pcid is away nothing changes. A claim that pcid finds in the table belongs to the process that has it
 * open, for as long as anybody has what was given with it. When another comes afterwards, its driver has died meanwhile,
 * and the function is made quiet first.
 *
 *     free --claim_open--> owned, open --claim_close--> free
 *                          owned, open --claim_revoke--> revoked, open --claim_close--> free
 *     owned, open --pcid dies--> owned --claim_open by its owner--> owned, open
 *                                      --claim_open by another--> (quiet) --> owned, open
 *
 * With an IOMMU (group.h) a function that is owned reaches the DMA memory that is kept for it, and nothing else.
 *
 * One thread.
 */
#pragma once

#include "abi/abi.h"
#include "sbin/pcid/iommu.h"

MUST_CHECK int64_t claims_start(handle_t port);

MUST_CHECK int64_t claim_open(uint32_t index, uint64_t process);
void claim_close(uint32_t index);

/* A handle for the driver, or -E_*. */
MUST_CHECK int64_t claim_bar(uint32_t index, uint32_t bar, uint32_t cache, uint64_t values[3]);
MUST_CHECK int64_t claim_config_write(uint32_t index, uint32_t offset, uint32_t size,
                                      uint32_t value);
MUST_CHECK int64_t claim_reset(uint32_t index);

/* Taken from its driver, who still has it: nothing is given to him any more. */
bool claim_is_revoked(uint32_t index);
/* Whether an IOMMU stands between its DMA and memory. */
bool claim_is_confined(uint32_t index);
/* Tells of it; true: its function was taken from its driver for it. */
bool claim_fault(const struct iommu_fault *fault);
/* What its driver does with it cannot go on. False: nobody has it, or it is revoked already. */
bool claim_revoke(uint32_t index, const char *why);
