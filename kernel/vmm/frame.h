/* Physical memory: page frames.
 *
 *     frame_init(&boot_info)                    build the map of free frames; log what was found
 *     frame_alloc(flags, &frame), frame_put     one frame, owners == 1; the last put frees
 *     frame_alloc_order / frame_free_order      2^order contiguous, aligned frames (buddy)
 *     frame_early()                             before frame_init: for the direct map only
 *
 * A buddy allocator per zone (below 4 GiB; above), with per-CPU caches of single frames in front that need no
 * lock (interrupts are off). Zeroing happens outside every lock. `owners` counts who keeps the frame: slots of
 * memory objects and OWNED page-table entries (space.h); it is atomic, since two spaces may share a frame.
 * Failure injection (fail.h) is asked before every allocation.
 * Locks: RANK_FRAMES, a leaf but for RANK_ARCH.
 */
#pragma once

#include "kernel/arch.h"
#include "lib/base/list.h"

#define FRAME_ORDER_MAX 10u /* 4 MiB */

#define FRAME_ZERO  0x1u
#define FRAME_DMA32 0x2u /* below 4 GiB */
#define FRAME_KERNEL 0x4u /* for the kernel itself: page tables, heap. May use the last reserve */

struct frame {
    struct list link; /* free list, or the owner's own use */
    uint32_t owners;
    uint8_t order;  /* of the free or allocated block this frame starts */
    uint8_t state;  /* enum frame_state */
    uint16_t zone;
    void *user;     /* the owner's own use: slab page header */
};

void frame_init(const struct boot_info *boot);
paddr_t frame_early(void);

int frame_alloc(unsigned flags, struct frame **frame) MUST_CHECK;
void frame_get(struct frame *frame);
void frame_put(struct frame *frame);
uint32_t frame_owners(const struct frame *frame);
int frame_alloc_order(unsigned order, unsigned flags, struct frame **frame) MUST_CHECK;
void frame_free_order(struct frame *frame, unsigned order);

struct frame *frame_of(paddr_t address); /* NULL: no RAM there, or not ours */
paddr_t frame_paddr(const struct frame *frame);
void *frame_data(const struct frame *frame); /* in the direct map */

uint64_t frame_count_total(void);
uint64_t frame_count_free(void); /* caches included */
