/* The program's address space. */
#pragma once

#include "lib/linux/thread.h"

/* Where mmap looks first, below the stack and its room to grow. */
#define MMAP_BASE UINT64_C(0x7f0000000000)

static inline bool program_range(uint64_t address, uint64_t length)
{
    return address <= USER_LIMIT && length <= USER_LIMIT - address;
}

/* Maps at a free place at or above MMAP_BASE (map->address is set); the address or -E_*. */
int64_t map_anywhere(struct abi_map *map) MUST_CHECK;
