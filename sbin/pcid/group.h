/* What functions reach behind an IOMMU (iommu.h): a domain for each name that requests carry (bridge.h).
 *
 *     group_join(function, id, &group)          it reaches the regions that firmware says it uses, and what the others of the group do
 *     group_map, group_unmap                    DMA memory of one of them
 *     group_leave(&group, function)             it reaches nothing
 *
 * A group is one function where PCI Express leads to it. Behind a bridge to conventional PCI it is all functions there: no IOMMU can tell
 * whose a request is, nor would a request from one to another ever come to it. They have one domain, and their drivers
 * must trust each other (docs/decisions/017).
 *
 * What unmap and leave have returned true for is out of the devices' reach; false: nobody knows, and the memory must stay. One thread.
 */
#pragma once

#include "abi/abi.h"
#include "sbin/pcid/function.h"

struct group;

/* id: the function's own, below 2^16 - 1. 0 or -E_*; *group is NULL where there is no IOMMU, and after an error, unless
 * what the function reaches is not known. */
MUST_CHECK int64_t group_join(const struct pci_function *function, uint16_t id,
                              struct group **group);
/* *group becomes NULL. What was mapped for it must have been unmapped, if the group has others (group_has_others). */
MUST_CHECK bool group_leave(struct group **group, const struct pci_function *function);
bool group_has_others(const struct group *group);

/* Of no group these do nothing. */
MUST_CHECK int64_t group_map(struct group *group, handle_t memory, uint64_t length);
MUST_CHECK bool group_unmap(struct group *group, handle_t memory, uint64_t length);
