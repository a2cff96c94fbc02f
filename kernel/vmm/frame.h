/* Physical memory: page frames.
 *
 *     frame_init(&boot_info)                    build the map of free frames; log what was found
 *     frame_alloc(flags, &frame), frame_put     one frame, owners == 1; the last put frees
 *     frame_alloc_order / frame_free_order      2^order contiguous, aligned frames (buddy)
 *     frame_split                               makes such a block single frames, each put on its own
 *     frame_early()                             before frame_init: for the direct map only
 *     frame_low()                               one page below 1 MiB, for the start of other CPUs
 *
 * A buddy allocator per zone (below 4 GiB; above), with per-CPU caches of single frames in front that need no
 * lock (interrupts are off). Zeroing happens outside every lock. `owners` counts who keeps the frame: slots of
 * memory objects and OWNED page-table entries (space.h); it is atomic, since two spaces may share a frame; who
 * sees 1 and is an owner is the only one. Failure injection (fail.h) is asked before every allocation.
 *
 * Part of the memory is a reserve, so that a program which takes all it gets is refused while the services go on:
 *
 *     for a page of an ordinary process          the reserve is not touched
 *     for the kernel, by such a process's call   half of it is left
 *     for a page of a system process             a quarter is left
 *     for the kernel, by a system process        all of it may be used
 *
 * Every RAM page the loader reported has a struct frame, found through a table with one section per GiB, so that
 * holes cost nothing. Frames of the kernel image, the module and the struct frames themselves are RESERVED.
 * Locks: RANK_FRAMES, a leaf but for RANK_ARCH.
 */
#pragma once

#include "abi/errors.h"
#include "kernel/arch.h"
#include "lib/base/list.h"

#define FRAME_ORDER_MAX 10u /* 4 MiB */

#define FRAME_ZERO   0x1u
#define FRAME_DMA32  0x2u  /* below 4 GiB */
#define FRAME_KERNEL 0x4u  /* for the kernel itself: page tables, heap */
#define FRAME_ASKED  0x8u  /* failure injection has been asked by the caller */
#define FRAME_SYSTEM 0x10u /* a page of a system process (process.h) */
#define FRAME_EASY   0x20u /* only where memory is plenty and whole: the caller has another way */

enum frame_state {
    FRAME_STATE_RESERVED, /* never the allocator's: kernel image, module, this array */
    FRAME_STATE_FREE,     /* head of a free block of the buddy allocator */
    FRAME_STATE_CACHED,   /* in a CPU's cache */
    FRAME_STATE_LOW,      /* below 1 MiB: frame_low only */
    FRAME_STATE_USED,     /* head of an allocated block */
    FRAME_STATE_TAIL,     /* inside a block, free or allocated */
};

struct frame { /* 32 bytes */
    union {
        struct list link; /* free list, or the owner's own use */
        void *user;       /* the owner's own use: slab page header */
    };
    uint32_t owners;
    uint32_t number; /* physical address / PAGE_SIZE */
    uint8_t order;   /* of the free or allocated block this frame starts */
    uint8_t state;   /* enum frame_state */
    uint8_t zone;
    uint32_t own; /* the owner's own use */
};

void frame_init(const struct boot_info *boot);
/* A page no one else has, lowest address first; its contents are undefined. Panics when there is none. */
paddr_t frame_early(void);
/* A page below 1 MiB, for good; address 0 when there is none. */
paddr_t frame_low(void);

int frame_alloc(unsigned flags, struct frame **frame) MUST_CHECK;
bool frame_put(struct frame *frame); /* whether it is free now */

static inline void frame_get(struct frame *frame)
{
    __atomic_fetch_add(&frame->owners, 1, __ATOMIC_RELAXED);
}

static inline uint32_t frame_owners(const struct frame *frame)
{
    return __atomic_load_n(&frame->owners, __ATOMIC_ACQUIRE);
}

int frame_alloc_order(unsigned order, unsigned flags, struct frame **frame) MUST_CHECK;
void frame_free_order(struct frame *frame, unsigned order);
void frame_split(struct frame *frame, unsigned order);
/* A block that was allocated may have several owners who each own all of it (spaces that map it as a huge page), and one
 * of them may need it in pieces: from then on each frame has an owner for each owner of the block, whoever still takes it for
 * a whole. */
void frame_block_get(struct frame *block, unsigned order);
uint32_t frame_block_put(struct frame *block, unsigned order); /* how many frames are free now */
void frame_block_split(struct frame *block, unsigned order);
bool frame_block_alone(struct frame *block); /* the caller is its only owner, and it is whole */
/* RESERVED frames of a boot module nobody needs any more become ordinary free ones. */
void frame_release_boot(paddr_t base, uint64_t length);

#define FRAME_SECTION_SHIFT 18u /* frames: 1 GiB */

struct frame_section {
    struct frame *frames; /* of the numbers first .. first + count - 1 */
    uint32_t first, count;
};

extern struct frame_section *frame_sections; /* fixed from frame_init on */
extern uint32_t frame_section_count;

/* NULL: no RAM there, or not ours. */
static inline struct frame *frame_numbered(uint64_t number)
{
    uint64_t index = number >> FRAME_SECTION_SHIFT;

    if (unlikely(index >= frame_section_count))
        return NULL;

    const struct frame_section *section = &frame_sections[index];

    number -= section->first;
    return likely(number < section->count) ? &section->frames[number] : NULL;
}

static inline struct frame *frame_of(paddr_t address)
{
    return frame_numbered(address.value / PAGE_SIZE);
}

uint64_t frame_count_total(void); /* RAM, whoever has it */
uint64_t frame_count_free(void);  /* caches included */
bool frame_scarce(void); /* no more than the reserve is left: ordinary processes get nothing */

static inline paddr_t frame_paddr(const struct frame *frame)
{
    return PADDR((uint64_t)frame->number * PAGE_SIZE);
}

/* In the direct map. */
static inline void *frame_data(const struct frame *frame)
{
    return direct_map(frame_paddr(frame));
}
