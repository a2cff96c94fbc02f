/* The two loaders' structures, made into struct boot_info.
 *
 * Both readers trust nothing: every pointer and length goes through boot_physical, every list is bounded by the
 * length that was checked. They return false, with boot->... partly filled, if there is nothing to boot from:
 * *reason says what is wrong. tests/fuzz/fuzz_boot.c feeds them.
 */
#pragma once

#include "kernel/boot.h"

#define MULTIBOOT2_MAGIC 0x36d76289u
#define PVH_MAGIC        0x336ec578u

bool boot_read_multiboot(struct boot_info *boot, uint64_t info, const char **reason);
bool boot_read_pvh(struct boot_info *boot, uint64_t info, const char **reason);

/* length bytes at a physical address, or NULL where the first page tables do not reach (4 GiB). */
const void *boot_physical(uint64_t address, uint64_t length);
