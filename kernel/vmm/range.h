/* What the operations on ranges of a space begin with (space.c, protect.c, move.c). */
#pragma once

#include "kernel/vmm/region.h"

#define PROT_ALL (PROT_READ_ | PROT_WRITE_ | PROT_EXECUTE_)

/* *end: of the range, its length rounded up. */
static inline int check_range(uint64_t start, uint64_t length, uint64_t *end)
{
    if (!IS_ALIGNED(start, (uint64_t)PAGE_SIZE) || length == 0)
        return -E_INVALID;
    if (length > SPACE_END || start < SPACE_START || start > SPACE_END - length)
        return -E_RANGE;
    *end = ALIGN_UP(start + length, (uint64_t)PAGE_SIZE);
    return 0;
}

static inline int check_protection(uint32_t protection, uint32_t maximum)
{
    if (protection & ~PROT_ALL)
        return -E_INVALID;
    if (protection & ~maximum ||
        (protection & (PROT_WRITE_ | PROT_EXECUTE_)) == (PROT_WRITE_ | PROT_EXECUTE_))
        return -E_ACCESS;
    return 0;
}

/* Private memory is allocated when it is touched, and then it may be refused. But what could never be had at all
 * is refused at once. */
static inline int check_amount(const struct space *space, uint64_t length, uint32_t protection)
{
    return protection & PROT_WRITE_ && length > space->most ? -E_NO_MEMORY : 0;
}

/* Regions, and huge pages, begin and end where the range does. E_NO_MEMORY, and nothing has changed. unused: what is to be
 * freed without the lock. Space locked. */
int make_borders(struct space *space, uint64_t start, uint64_t end,
                 struct list **unused) MUST_CHECK;
