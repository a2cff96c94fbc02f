/* IOMMUs (Intel's VT-d, specification 4.1): a claimed function reaches its own DMA memory, and nothing else; an unclaimed one nothing.
 *
 *     iommu_find(port)                      those that the DMAR tells of; nothing changes yet
 *     iommu_enable()                        from now on DMA is translated by the tables of group.h; those of the pcid before are given back
 *     iommu_faults(key, report)             a notification with that key: what was refused
 *
 * Addresses are translated to themselves, so drivers need not know. A pcid that comes back makes all tables anew from what is
 * claimed and kept, and puts them in the place of those before with one register: no DMA under way notices.
 *
 * Interrupts are messages and pass: there is no interrupt remapping. One thread.
 */
#pragma once

#include "abi/abi.h"
#include "lib/base/base.h"

void iommu_find(handle_t port);
/* False: some IOMMU could not be switched on, or there is none. */
bool iommu_enable(void);

/* Whether the function is behind an IOMMU that can be used. */
bool iommu_has(uint32_t where);
/* Whether firmware's own use of it needs memory, at all times. */
bool iommu_needed(uint32_t where);
/* Whether something of an IOMMU lies there, which no driver may map. */
bool iommu_overlaps(uint64_t base, uint64_t length);

struct iommu_fault {
    uint32_t requester; /* bridge.h */
    bool write;
    uint32_t reason; /* VT-d, table 26 */
    uint64_t address;
};

#define IOMMU_KEYS UINT64_C(0x100000000) /* a notification's key: this | number of the IOMMU */

/* Each fault that was recorded; not all are, when many come at once. */
void iommu_faults(uint64_t key, void (*report)(const struct iommu_fault *fault));
