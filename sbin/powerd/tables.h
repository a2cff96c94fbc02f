/* ACPI's tables, as the kernel copied them (abi/boot.h), laid out so that an interpreter finds them: a root pointer and a
 * root table of our own in front, and the one address inside them that matters, the DSDT's, set right. Addresses are
 * TABLES_BASE and on, where no memory is. Changed are the copies here, which nobody else sees.
 *
 *     tables_build(&tables, bytes, length)      the kernel's memory
 *     tables_at(&tables, address, length)       what lies there
 *
 * The kernel has checked lengths and checksums; here nothing depends on that.
 */
#pragma once

#include "lib/base/base.h"

#define TABLES_BASE UINT64_C(0x1000000000000000)

struct tables {
    uint8_t *bytes;
    uint64_t length;
    uint64_t first; /* offset of the first table behind the roots */
    uint32_t count;
    bool has_fadt, has_dsdt;
};

/* False: nothing there is of use, or no memory. */
bool tables_build(struct tables *tables, const void *bytes, uint64_t length);
void tables_destroy(struct tables *tables);

/* NULL: not wholly inside. */
void *tables_at(const struct tables *tables, uint64_t address, uint64_t length);

/* How interrupt `isa` is wired, by the MADT: true if it has an override. */
bool tables_override(const struct tables *tables, uint32_t isa);
