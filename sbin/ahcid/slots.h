/* What a port has been given to do: which of its slots are taken, and which commands may be issued together. Pure.
 *
 *     slot = slots_take(&slots, request, queued)      -1: all are taken
 *     bits = slots_issue(&slots)                      these are to be issued now
 *     slots_end(&slots, slot)                         it is done
 *
 * Queued commands (NCQ) go together, others go alone: a disk may not have both at a time (SATA 3, 13.6). Neither kind waits for
 * ever for the other: when one that goes alone waits, no more queued ones are issued; after it those that are queued have
 * their turn.
 */
#pragma once

#include "sbin/ahcid/ahci.h"

struct slots {
    void *requests[AHCI_SLOTS]; /* of those that are taken */
    uint32_t count;             /* 1 to AHCI_SLOTS */
    uint32_t taken, queued, issued;
    uint32_t last; /* the slot that went alone last */
    bool went_alone;
};

static inline bool slots_bit(uint32_t bits, uint32_t slot)
{
    return bits >> slot & 1;
}

/* request is not NULL. */
int slots_take(struct slots *slots, void *request, bool queued);
uint32_t slots_issue(struct slots *slots);
/* The request that was there. */
void *slots_end(struct slots *slots, uint32_t slot);
