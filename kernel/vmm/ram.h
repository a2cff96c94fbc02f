/* The RAM the loader reported, made fit to use: what frame.c builds itself from. Boot only but for ram_overlaps, no locks.
 *
 *     ram_init(&boot_info)         clip, sort, make disjoint; take out what is in use
 *     ram_take(length, &base)      a piece for the frame allocator's own tables, from the top
 *     ram_early()                  a page from the bottom, at or above 1 MiB
 *
 * Nothing a loader says is believed further than this: ranges may overlap, wrap, be unsorted or not page-aligned;
 * RAM shrinks to whole pages, everything that is not RAM grows to whole pages and wins.
 */
#pragma once

#include "lib/base/address.h"

struct boot_info;

struct ram_range {
    uint64_t start, end;
};

struct ram_map {
    struct ram_range *ranges; /* sorted, disjoint, not adjacent */
    unsigned count;
};

#define RAM_LIMIT \
    (UINT64_C(1) << 44) /* what lies above is left alone: frame numbers have 32 bits */
#define RAM_LOW UINT64_C(0x100000)

void ram_init(const struct boot_info *boot);
struct ram_map ram_all(void);  /* usable RAM, whoever has it now */
struct ram_map ram_free(void); /* without kernel, module, loader's structures, taken pieces */
/* Some of the range is usable RAM, or above RAM_LIMIT, where nobody looked. At any time. */
bool ram_overlaps(uint64_t base, uint64_t length);
bool ram_take(uint64_t length, paddr_t *base) MUST_CHECK;
bool ram_early(paddr_t *page) MUST_CHECK;
