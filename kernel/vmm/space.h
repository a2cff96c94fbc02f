/* Address spaces: regions, and the page tables behind them.
 *
 *     space_new(&space), space_get, space_put         the last put unmaps everything
 *     space_map_region(space, &request, &address)
 *     space_unmap_range, space_protect_range, space_discard, space_move, space_query, space_find
 *     space_fork(parent, alone, &child)               copy on write
 *     space_fault(space, address, access)             0: try again
 *     space_copy_from / space_copy_to                 between another space and the current one, page by page
 *
 * Regions are disjoint, sorted, in a red-black tree; neighbours that can be one are merged. The rules for
 * OWNED and borrowed page-table entries stand in docs/memory.md:
 *   - OWNED: the entry owns its frame (private page). owners == 1: may be writable; > 1: read-only, copied on write.
 *   - borrowed: the frame is the region's memory object's, which the region keeps alive.
 * Lock: space->lock (RANK_SPACE) for regions and page tables. Faults allocate and zero before taking it where
 * that saves holding it. TLB flushes happen under it; frames are freed after the flush.
 */
#pragma once

#include "kernel/vmm/memory.h"
#include "lib/base/rbtree.h"

struct region {
    struct rb_node node; /* in space->regions, by start */
    struct list order;   /* in space->order: where its neighbours are at hand */
    struct space *space; /* NULL: not a region but a cursor on memory->regions (mapping.c) */
    uint64_t start,
        end; /* page-aligned; with memory: changed under its lock too, so read under either */
    uint64_t offset;     /* of start in memory; the same */
    uint32_t protection; /* PROT_* */
    uint32_t maximum;    /* PROT_* the memory handle's rights allow */
    bool shared;
    uint8_t huge;          /* HUGE_*: what the program said */
    struct memory *memory; /* NULL: anonymous. Holds a reference */
    struct list mapping;   /* in memory->regions: its lock */
};

/* Where page tables may be empty (trim.c). */
#define TRIM_RANGES 8u
struct trim {
    uint64_t start, end; /* whole tables */
};

struct space {
    uint32_t references;
    struct lock lock;
    struct arch_space arch;
    struct purse purse; /* pays for what docs/quotas.md lists; space->lock */
    uint64_t tables_paid;
    bool system; /* pages may come from the reserve (frame.h) */
    struct rb_tree regions;
    struct list order;     /* the same regions, from the lowest on */
    struct region *recent; /* found last, or put in last; or NULL: where the next search begins */
    uint64_t next_free;    /* where the search for a free range starts */
    uint64_t owned_pages;  /* private pages, for process_info: shared with forks or not */
    uint64_t mapped;       /* bytes that regions cover */
    uint64_t most;         /* bytes one private writable mapping may have; constant */
    uint64_t region_count;
    uint64_t fresh_start,
        fresh_end; /* where a page was zero-filled last; atomic, read without the lock */
    bool paged;    /* a region's object has a pager, or one had */
    struct trim trims[TRIM_RANGES];
    unsigned trim_count;
    uint64_t trim_tables; /* as many as fit into them */
};

#define SPACE_START UINT64_C(0x1000)
#define SPACE_END   UINT64_C(0x7ffffffff000)

/* Where mappings without an address go. */
#define SPACE_AUTO_START UINT64_C(0x100000000000)
#define SPACE_AUTO_END   UINT64_C(0x7ff000000000)

struct map_request {
    uint64_t address, length, offset;
    struct memory
        *memory; /* or NULL; the caller's reference becomes the region's, if all goes well */
    uint32_t protection; /* PROT_* */
    uint32_t maximum;    /* PROT_*: may later be protected to this (W^X apart) */
    uint32_t flags;      /* MAP_* */
};

/* account: who pays for it; forks share its frames, so they are of the same. */
int space_new(struct account *account, struct space **space) MUST_CHECK;
void space_get(struct space *space);
bool space_try_get(struct space *space) MUST_CHECK; /* false: the last reference is gone already */
void space_put(struct space *space);
/* The caller's process gives the space up: if nobody else holds it, everything is unmapped now, while it may still
 * be the current one; the caller's reference stays and is put later, off it. */
void space_leave(struct space *space);

/* Of all that take a range: E_INVALID: not page-aligned, or empty; E_RANGE: not within SPACE_START .. SPACE_END. Lengths
 * are rounded up to pages. What fails has changed nothing, but where noted. */

/* E_ACCESS: writable and executable, or beyond maximum. E_EXISTS (NOREPLACE). E_NO_MEMORY: also for more private
 * writable memory than there is RAM, or than the account may use. E_NOT_SUPPORTED: a private mapping of device memory. MAP_POPULATE is best
 * effort: a page it could not get is fetched, or refused, at its first use. */
int space_map_region(struct space *space, const struct map_request *request,
                     uint64_t *address) MUST_CHECK;
int space_unmap_range(struct space *space, uint64_t address,
                      uint64_t length) MUST_CHECK; /* holes allowed */
/* E_FAULT: there is a hole in the range. E_ACCESS as for mapping. */
int space_protect_range(struct space *space, uint64_t address, uint64_t length,
                        uint32_t protection) MUST_CHECK;
/* Private pages go: anonymous memory reads as zero again, a private mapping as its object. E_FAULT: there was
 * a hole; the rest is done. */
int space_discard(struct space *space, uint64_t address, uint64_t length) MUST_CHECK;
/* The regions of the range, with their pages, go to `to`. E_FAULT: a hole. E_EXISTS: something is there. */
int space_move(struct space *space, uint64_t address, uint64_t length, uint64_t to) MUST_CHECK;
/* Dirty pages of shared memory are on their media. Waits for services, kicks end it. E_FAULT: but for a hole. sync.c */
int space_sync(struct space *space, uint64_t address, uint64_t length) MUST_CHECK;
int space_query(struct space *space, uint64_t address, uint32_t *protection,
                bool *shared) MUST_CHECK; /* E_FAULT: nothing there */
/* HUGE_*: whether anonymous memory is to have huge pages. E_FAULT: there is a hole in the range. */
int space_advise_huge(struct space *space, uint64_t address, uint64_t length,
                      unsigned huge) MUST_CHECK;
/* The lowest free range at or above from. E_NO_MEMORY: none. */
int space_find(struct space *space, uint64_t from, uint64_t length, uint64_t *address) MUST_CHECK;
/* alone: no thread runs in the parent but perhaps the caller's, until this returns. */
int space_fork(struct space *parent, bool alone, struct space **child) MUST_CHECK;
/* access: FAULT_*. No locks held; may block. E_FAULT: no such access. E_RANGE: past the end of the object. E_NO_MEMORY.
 * What pager_fetch answers: E_AGAIN also of another space's page. */
int space_fault(struct space *space, uint64_t address, unsigned access) MUST_CHECK;

/* Copy between the current thread's memory and another space (the caller of a command). Whole pages at a time under
 * the other space's lock with the no-fault user copies; faults on either side are resolved outside it and the
 * page is tried again. The other space may be the current one. *done counts what was copied, also on error. */
int space_copy_from(struct space *other, uaddr_t from, uaddr_t to_here, uint64_t length,
                    uint64_t *done) MUST_CHECK;
int space_copy_to(struct space *other, uaddr_t to, uaddr_t from_here, uint64_t length,
                  uint64_t *done) MUST_CHECK;
/* All of it, or -E_FAULT where a page is missing on either side, or it is too much to be copied under the other space's
 * lock; blocks for nothing. from: kernel memory. */
#define SPACE_NOFAULT_MAX 65536u
int space_copy_to_nofault(struct space *other, uaddr_t to, uaddr_t from_here,
                          uint64_t length) MUST_CHECK;
int space_write_nofault(struct space *other, uaddr_t to, const void *from,
                        uint64_t length) MUST_CHECK;
/* Kernel buffer versions, for paths and small structures. */
int space_read(struct space *other, uaddr_t from, void *to, uint64_t length) MUST_CHECK;
int space_write(struct space *other, uaddr_t to, const void *from, uint64_t length) MUST_CHECK;

/* What a shared futex waits on: the memory object and offset behind an address; or, for private memory, the space
 * itself and the address. Takes no reference. */
struct futex_key {
    uint64_t object; /* address of struct memory or struct space: only compared */
    uint64_t offset;
};
int space_futex_key(struct space *space, uaddr_t address, bool shared,
                    struct futex_key *key) MUST_CHECK;
