/* Memory objects, mapped where the kernel finds room. */
#pragma once

#include "lib/sys/syscall.h"

/* The address of [offset, offset + length) of memory, which may begin and end inside a page; -E_*. What is mapped
 * are whole pages, shared with whoever else maps them: sys_space_unmap takes those. The handle is needed no longer. */
static inline MUST_CHECK int64_t memory_map(handle_t memory, uint64_t offset, uint64_t length,
                                            uint32_t protection)
{
    uint64_t start = ALIGN_DOWN(offset, (uint64_t)PAGE_SIZE);
    struct abi_map map = {
        .length = ALIGN_UP(offset + length, (uint64_t)PAGE_SIZE) - start,
        .offset = start,
        .memory = memory,
        .protection = protection,
        .flags = MAP_SHARED_,
    };
    int64_t address = sys_space_map(HANDLE_SELF, &map);
    return address < 0 ? address : address + (int64_t)(offset - start);
}
