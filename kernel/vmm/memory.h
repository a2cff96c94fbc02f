/* Memory objects: numbered pages that spaces map.
 *
 *     memory_new(size, flags, &memory)            anonymous, demand-zero
 *     memory_new_physical(base, length, cache)    device memory: no frames, just addresses
 *     memory_new_boot(base, length)               RAM that was filled before the kernel ran: the module
 *     memory_new_paged(size, port, key, &memory)  a service supplies the pages: pager.h
 *     memory_clone_range(...)                     copy on write: both share frames until one writes
 *     memory_resize_to, memory_decommit, memory_commit, memory_read, memory_write, memory_fill_zero
 *
 * Pages lie in a radix tree (tree.h). A slot in use owns its frame (frame->owners). A frame with more than one owner
 * is shared with a clone and must be replaced in the object before it is written (memory_supply with write).
 *
 * The object's account pays for each slot in use, shared or not: the frame may be its alone one day.
 *
 * Lock: memory->lock (RANK_MEMORY), after a space's. A page leaves an object in this order, without a lock held
 * at the start:
 *     1. under memory->lock the slot is emptied (or gets another frame): from here on no fault finds the old one;
 *     2. mapping_change takes it out of every region on memory->regions, one space's lock at a time;
 *     3. the frame is put.
 * A fault looks a slot up and fills its page-table entry under one hold of its space's lock, so 2 finds whatever a
 * fault before 1 mapped. See docs/memory.md and mapping.c.
 */
#pragma once

#include "kernel/account.h"
#include "kernel/object.h"
#include "kernel/vmm/tree.h"

struct memory {
    struct object object; /* OBJECT_MEMORY */
    struct lock lock;
    uint64_t pages; /* size / PAGE_SIZE */
    struct page_tree tree;
    unsigned flags;      /* MEMORY_* of abi, MEMORY_IS_* */
    unsigned cache;      /* CACHE_*, physical only */
    paddr_t base;        /* physical and boot only */
    uint64_t committed;  /* frames in the tree */
    struct purse purse;  /* of who made it: pays for the frames in the tree, and the tree */
    uint32_t nodes_paid; /* of the tree */
    uint32_t cloning;    /* clones whose source may still be mapped writable */
    bool resizing;
    struct pager *pager; /* who supplies absent pages (pager.h); NULL: they read as zero */
    struct list regions; /* struct region.mapping; also cursors (mapping.c), whose space is NULL */
};

#define MEMORY_IS_PHYSICAL 0x100u /* no frames: base + offset */
#define MEMORY_IS_DEVICE   0x200u /* and no RAM either: only to be mapped, shared */
#define MEMORY_IS_SYSTEM   0x400u /* pages may come from the reserve (frame.h): a system process's */
#define MEMORY_PINNED \
    (MEMORY_STAYS | MEMORY_CONTIGUOUS | MEMORY_DMA32) /* frames are allocated at once and stay */
#define MEMORY_SIZE_MAX (UINT64_C(1) << 47)

/* What frame_alloc is told of a page of this object. */
static inline unsigned memory_frame_flags(const struct memory *memory)
{
    return memory->flags & MEMORY_IS_SYSTEM ? FRAME_SYSTEM : 0;
}

/* size is rounded up to pages and may be 0. E_INVALID (flags), E_RANGE (size), E_NO_MEMORY. */
int memory_new(uint64_t size, unsigned flags, struct memory **memory) MUST_CHECK;
int memory_new_physical(paddr_t base, uint64_t length, unsigned cache,
                        struct memory **memory) MUST_CHECK;
/* Wraps frames that are already there (boot module): page-aligned RAM the frame allocator does not own. When the
 * object that wraps the loader's module goes, its frames become free ones. */
int memory_new_boot(paddr_t base, uint64_t length, struct memory **memory) MUST_CHECK;
/* Page-aligned, inside the object. Pinned and boot memory is copied at once; what a pager supplies is fetched, all of
 * it. E_INVALID, E_RANGE, E_NO_MEMORY, E_NOT_SUPPORTED (device memory), what pager_fetch answers. */
int memory_clone_range(struct memory *source, uint64_t offset, uint64_t length,
                       struct memory **clone) MUST_CHECK;
/* Pages past the end go from every mapping, private copies too. E_NOT_SUPPORTED: pinned, fixed, physical. */
int memory_resize_to(struct memory *memory, uint64_t size) MUST_CHECK;
/* The pages wholly inside the range read as zero again; private copies of them stay. */
int memory_decommit(struct memory *memory, uint64_t offset, uint64_t length) MUST_CHECK;
/* Allocates every page of the range; what it got stays when memory runs out (decommit gives it back). */
int memory_commit(struct memory *memory, uint64_t offset, uint64_t length) MUST_CHECK;
/* Copy between the object and the current process's memory. May block and fault; no locks held. */
int memory_read(struct memory *memory, uint64_t offset, uaddr_t to, uint64_t length) MUST_CHECK;
int memory_write(struct memory *memory, uint64_t offset, uaddr_t from, uint64_t length) MUST_CHECK;
int memory_fill_zero(struct memory *memory, uint64_t offset, uint64_t length) MUST_CHECK;
/* The kernel's own copy into and out of it. */
int memory_write_kernel(struct memory *memory, uint64_t offset, const void *from,
                        uint64_t length) MUST_CHECK;
int memory_read_kernel(struct memory *memory, uint64_t offset, void *to,
                       uint64_t length) MUST_CHECK;
/* Where a page is: pinned and physical memory only, others may move. E_RANGE, E_NOT_SUPPORTED. */
int memory_paddr(struct memory *memory, uint64_t index, paddr_t *address) MUST_CHECK;
uint64_t memory_size(const struct memory *memory);

/* --- For the rest of vmm -------------------------------------------------------------------------------- */

#define PAGE_FOR_WRITE 0x1u /* also not shared with a clone */
#define PAGE_KICKABLE  0x2u /* a kick may end the wait for a pager */

/* Page `index` present. May block; no locks held: whoever needs the page looks it up again afterwards, under the lock.
 * E_FAULT: past the end. E_NO_MEMORY. With a pager also what pager_fetch answers. */
int memory_supply(struct memory *memory, uint64_t index, unsigned how) MUST_CHECK;
/* A frame into an empty slot, paid for; the slot then owns it. E_NO_MEMORY. Locked, or nobody knows the object yet. */
int memory_insert(struct memory *memory, uint64_t index, struct frame *frame) MUST_CHECK;
/* The frame of a slot that is empty from here on, still to be put; NULL: it was empty. Likewise. */
struct frame *memory_remove(struct memory *memory, uint64_t index);
/* Where the bytes of a physical page are; not for device memory. */
void *memory_boot_data(const struct memory *memory, uint64_t index);

enum mapping_change {
    MAPPING_PROTECT,   /* no entry stays writable */
    MAPPING_UNMAP,     /* no entry of the object's own frames stays */
    MAPPING_UNMAP_ALL, /* and no private copy either */
};

/* In every region that maps pages [first, end) of the object; TLBs are flushed on return. No locks held. */
void mapping_change(struct memory *memory, uint64_t first, uint64_t end,
                    enum mapping_change change);
