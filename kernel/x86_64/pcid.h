/* Process-context identifiers: which of a CPU's few translations-by-tag belong to which space.
 *
 * A space has an id that is never used twice and a count of its flushes. A CPU keeps PCID_SLOTS spaces at a time, each
 * under the PCID of its slot, with the count it was in step with; slots are reused in turn. No locks: each CPU has its
 * own table. Pure logic, tested on the host (tests/host/pcid_test.c), as QEMU has no PCID.
 */
#pragma once

#include "lib/base/base.h"

#define PCID_SLOTS 8u

struct pcid_slot {
    uint64_t space;   /* id; 0: free */
    uint64_t flushes; /* of that space, as of when this CPU was last in step */
};

struct pcid_table {
    struct pcid_slot slots[PCID_SLOTS];
    unsigned next; /* to be evicted */
};

/* A PCID (1 .. PCID_SLOTS) to load the space under. *flush: what is cached under it is another's, or stale; the CPU
 * counts as in step from here on, so the caller must flush. */
unsigned pcid_choose(struct pcid_table *table, uint64_t space, uint64_t flushes, bool *flush);
/* A flush of part of the space, number `flushes`, reached this CPU. True: it was in step with all before and is so
 * again once that part is flushed. False: it missed some; everything must go, then pcid_in_step. */
bool pcid_step(struct pcid_table *table, uint64_t space, uint64_t flushes);
void pcid_in_step(struct pcid_table *table, uint64_t space, uint64_t flushes);
