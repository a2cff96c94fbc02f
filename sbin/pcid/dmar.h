/* ACPI's DMAR: the IOMMUs of the machine, which functions are behind which, and what memory firmware's own devices use (Intel's
 * VT-d specification 4.1, chapter 8).
 *
 *     struct dmar dmar;
 *     if (dmar_open(&dmar, bytes, size))
 *         while (dmar_next(&dmar, &offset, &entry))          offset begins at 0
 *             if (dmar_covers(config, &entry, where)) ...
 *
 * Firmware lies: what does not fit into the table, or into its own entry, ends the walk or is passed over. Bridges are asked where a
 * path leads; there are no loops, as a path has an end.
 */
#pragma once

#include "sbin/pcid/config.h"

struct dmar {
    const uint8_t *bytes;
    uint32_t length;
};

enum dmar_kind { DMAR_UNIT, DMAR_RESERVED };

struct dmar_entry {
    enum dmar_kind kind;
    uint32_t segment;
    bool rest; /* a unit: of all functions of the segment that no other names */
    uint64_t base,
        limit; /* a unit's registers at base; reserved memory, limit included, whole pages */
    const uint8_t *scopes;
    uint32_t scopes_length;
};

bool dmar_open(struct dmar *dmar, const void *bytes, uint64_t size);
/* The next unit or reserved memory; other kinds are passed over. */
bool dmar_next(const struct dmar *dmar, uint32_t *offset, struct dmar_entry *entry);
/* Whether the entry names the function, or a bridge it is behind. `rest` does not count. */
bool dmar_covers(const struct config *config, const struct dmar_entry *entry, uint32_t where);
