/* DMA memory of claimed functions, and what they reach (group.h).
 *
 *     dma_start(port)                           once the table is there: as it was under the pcid before, or for the first time
 *     dma_confine(index)                        the function is somebody's: it reaches what is kept for it, and no more
 *     dma_give, dma_again, dma_forget           one memory more, one less
 *     dma_end(index)                            it is nobody's any more
 *
 * All of it is kept by the port, under numbers of pcid's: while pcid is away no memory that a device may still write to goes
 * back to the kernel.
 */
#pragma once

#include "abi/abi.h"
#include "lib/base/base.h"

MUST_CHECK int64_t dma_start(handle_t port);
MUST_CHECK int64_t dma_confine(uint32_t index);
/* A handle, or -E_*; flags: MEMORY_*; lent: others than the driver will have it. */
MUST_CHECK int64_t dma_give(uint32_t index, uint64_t length, uint32_t flags, bool lent,
                            uint64_t *number);
/* 0: the function reaches memory that was lent under an earlier claim; E_INVALID: it is none. */
MUST_CHECK int64_t dma_again(uint32_t index, handle_t memory, uint64_t *number);
/* E_IO: the device may still reach it, so it stays. */
MUST_CHECK int64_t dma_forget(uint32_t index, uint64_t number);
/* False: what the function reaches is not known, and everything stays. */
MUST_CHECK bool dma_end(uint32_t index);
