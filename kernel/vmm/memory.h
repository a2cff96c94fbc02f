/* Memory objects: numbered pages that spaces map.
 *
 *     memory_new(size, flags, &memory)            anonymous, demand-zero
 *     memory_new_physical(base, length, cache)    device memory: no frames, just addresses
 *     memory_page(memory, index, write, &frame)   the frame of a page; allocates it when absent
 *     memory_clone_range(...)                     copy on write: both share frames until one writes
 *     memory_resize_to, memory_decommit, memory_read, memory_write
 *
 * Pages lie in a radix tree. A present slot owns its frame (frame->owners). A frame with more than one owner is
 * shared with a clone and must be replaced in the object before it is written (memory_page with write does
 * that: it takes the old frame out of every mapping first). Regions that map the object are on `regions`; a page
 * leaves the object only after it is unmapped from all of them.
 * Lock: memory->lock (RANK_MEMORY), after a space's. Unmapping from regions of other spaces would need their
 * lock after this one, against the order: see memory.c for how it is done (the region list is walked with the
 * object's lock dropped, or spaces' page tables have their own leaf lock: the author's choice, documented there).
 */
#pragma once

#include "kernel/object.h"
#include "kernel/vmm/frame.h"

struct memory {
    struct object object; /* OBJECT_MEMORY */
    struct lock lock;
    uint64_t pages; /* size / PAGE_SIZE */
    void *root;     /* radix tree */
    unsigned height;
    unsigned flags; /* MEMORY_* of abi, MEMORY_IS_PHYSICAL */
    unsigned cache; /* CACHE_*, physical only */
    paddr_t base;   /* physical only */
    uint64_t committed;
    struct list regions; /* struct region.mapping */
};

#define MEMORY_IS_PHYSICAL 0x100u

int memory_new(uint64_t size, unsigned flags, struct memory **memory) MUST_CHECK;
int memory_new_physical(paddr_t base, uint64_t length, unsigned cache,
                        struct memory **memory) MUST_CHECK;
/* Wraps frames that are already there (boot module): page-aligned RAM the frame allocator does not own. */
int memory_new_boot(paddr_t base, uint64_t length, struct memory **memory) MUST_CHECK;
int memory_clone_range(struct memory *source, uint64_t offset, uint64_t length,
                       struct memory **clone) MUST_CHECK;
int memory_resize_to(struct memory *memory, uint64_t size) MUST_CHECK;
int memory_decommit(struct memory *memory, uint64_t offset, uint64_t length) MUST_CHECK;
int memory_commit(struct memory *memory, uint64_t offset, uint64_t length) MUST_CHECK;
/* Copy between the object and the current process's memory. May block and fault; no locks held. */
int memory_read(struct memory *memory, uint64_t offset, uaddr_t to, uint64_t length) MUST_CHECK;
int memory_write(struct memory *memory, uint64_t offset, uaddr_t from, uint64_t length) MUST_CHECK;
int memory_fill_zero(struct memory *memory, uint64_t offset, uint64_t length) MUST_CHECK;
/* The kernel's own copy into it (boot). */
int memory_write_kernel(struct memory *memory, uint64_t offset, const void *from,
                        uint64_t length) MUST_CHECK;
void memory_destroy(struct object *object); /* object type's destroy */
