/* Kernel memory: typed caches for objects, and blocks of any size.
 *
 *     static struct cache thread_cache = CACHE_INIT("thread", sizeof(struct thread), 64);
 *     thread = cache_alloc(&thread_cache);            zeroed; NULL: no memory
 *     cache_free(&thread_cache, thread);
 *     text = heap_alloc(length); heap_free(text);     zeroed; any size up to 4 MiB
 *
 * Slabs of one or more frames, with per-CPU magazines in front that need no lock. Free slabs go back to the
 * frame allocator (one per cache is kept). A cache with CACHE_STABLE keeps its slabs for ever, and the memory of a
 * freed object is neither touched nor zeroed again: a stale pointer still points at an object of the same type,
 * with a generation the owner can count up (commands rely on it). Such an object is zeroed only the first time.
 * With CACHE_RAW an object is zeros only the first time, then what was left in it.
 * Set .flags before the first cache_alloc. Lock: RANK_HEAP.
 */
#pragma once

#include "kernel/lock.h"
#include "lib/base/list.h"

#define CACHE_STABLE 0x1u
#define CACHE_RAW    0x2u

struct magazine;

#define CACHE_MAGAZINE_FRAMES 8u /* each holds the magazines of 32 CPUs */

struct cache {
    const char *name;
    size_t size, alignment;
    unsigned flags;
    struct lock lock;
    unsigned per_slab, order; /* set by the first cache_alloc; and below: the lock's */
    size_t first, stride;
    struct list partial; /* slabs with a free object */
    uint64_t slabs, empty;
    int64_t balance;                                   /* objects handed out past the magazines */
    struct magazine *magazines[CACHE_MAGAZINE_FRAMES]; /* a frame of them, made on first use */
    struct cache *next;                                /* every cache in use */
};

#define CACHE_INIT(name_, size_, alignment_)                         \
    {                                                                \
        .name = (name_), .size = (size_), .alignment = (alignment_), \
        .lock = LOCK_INIT(RANK_HEAP, name_)                          \
    }

void heap_init(void);
void *cache_alloc(struct cache *cache) MUST_CHECK;
void cache_free(struct cache *cache, void *object);
uint64_t cache_used(struct cache *cache); /* objects handed out */
void *heap_alloc(size_t size) MUST_CHECK;
void heap_free(void *block); /* NULL allowed */
uint64_t heap_bytes(void);   /* handed out */
/* Frames that slabs and magazines keep: frame_count_free() + heap_frames() is the same before and after whatever
 * leaks nothing (large blocks are not among them: heap_bytes counts those). */
uint64_t heap_frames(void);
