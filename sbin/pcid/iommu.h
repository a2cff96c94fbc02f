/* IOMMUs (Intel's VT-d, specification 4.1): a claimed function reaches its own DMA memory, and nothing else; an unclaimed one nothing.
 *
 *     iommu_find(port)                      those that the DMAR tells of; nothing changes yet
 *     iommu_attach(where, id, &confined)    a function gets a domain, in which are the reserved regions that firmware says it uses
 *     iommu_enable()                        from now on DMA is translated; the tables of the pcid before are given back
 *     iommu_map, iommu_unmap, iommu_detach
 *     iommu_faults(key, report)             a notification with that key: what was refused
 *
 * Addresses are translated to themselves, so drivers need not know. A pcid that comes back makes all tables anew from what is
 * claimed and kept, and puts them in the place of those before with one register: no DMA under way notices.
 *
 * What unmap and detach have returned true for is out of the device's reach; false: nobody knows, and the memory must stay.
 * Interrupts are messages and pass: there is no interrupt remapping. One thread.
 */
#pragma once

#include "abi/abi.h"
#include "sbin/pcid/domain.h"

struct iommu;

struct confined {
    struct iommu *iommu; /* NULL: of no IOMMU, or not attached */
    uint32_t where;
    uint16_t id;
    struct domain domain;
};

void iommu_find(handle_t port);
/* False: some IOMMU could not be switched on, or there is none. */
bool iommu_enable(void);

/* Whether the function is behind an IOMMU that can be used. */
bool iommu_has(uint32_t where);
/* Whether firmware's own use of it needs memory, at all times. */
bool iommu_needed(uint32_t where);
/* Whether something of an IOMMU lies there, which no driver may map. */
bool iommu_overlaps(uint64_t base, uint64_t length);

/* id: of no other function. 0 or -E_*; without an IOMMU 0, and the function is not confined. */
MUST_CHECK int64_t iommu_attach(uint32_t where, uint16_t id, struct confined *confined);
MUST_CHECK int64_t iommu_map(struct confined *confined, handle_t memory, uint64_t length);
MUST_CHECK bool iommu_unmap(struct confined *confined, handle_t memory, uint64_t length);
MUST_CHECK bool iommu_detach(struct confined *confined);

struct iommu_fault {
    uint32_t where;
    bool write;
    uint32_t reason; /* VT-d, table 26 */
    uint64_t address;
};

#define IOMMU_KEYS UINT64_C(0x100000000) /* a notification's key: this | number of the IOMMU */

/* Each fault that was recorded; not all are, when many come at once. */
void iommu_faults(uint64_t key, void (*report)(const struct iommu_fault *fault));
