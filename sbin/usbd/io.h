/* Transfers that drivers ask for: commands that are held until they have ended. Part of claim.h. */
#pragma once

#include "lib/pci/driver.h"
#include "lib/sys/service.h"
#include "sbin/usbd/device.h"

struct claim_memory {
    struct list link; /* of the interface's memories */
    struct pci_dma dma;
    uint64_t number;
    uint32_t users; /* transfers under way */
};

void io_start(handle_t port);

/* NULL: there is none. */
struct claim_memory *claim_memory_find(const struct interface *interface, uint64_t number);

/* Nothing is under way at the endpoint, and it is not halted. *quiet: the controller has let go of what it was given, whatever
 * the device says. Waits. */
MUST_CHECK int64_t io_clear(struct endpoint *endpoint, bool *quiet);
