/* Kernel memory: typed caches for objects, and blocks of any size.
 *
 *     static struct cache thread_cache = CACHE_INIT("thread", sizeof(struct thread), 64);
 *     thread = cache_alloc(&thread_cache);            zeroed; NULL: no memory
 *     cache_free(&thread_cache, thread);
 *     text = heap_alloc(length); heap_free(text);     zeroed; any size up to 4 MiB
 *
 * Slabs of one or more frames, with per-CPU magazines in front that need no lock. Free slabs go back to the
 * frame allocator. A cache with CACHE_STABLE keeps its slabs for ever: a stale pointer to an object still points
 * at an object of the same type (commands rely on it). Lock: RANK_HEAP.
 */
#pragma once

#include "kernel/lock.h"
#include "lib/base/list.h"

#define CACHE_STABLE 0x1u
#define CACHE_CPUS   64u

struct cache {
    const char *name;
    size_t size, alignment;
    unsigned flags;
    struct lock lock;
    struct list partial, full;
    uint64_t slabs, used;
    struct magazine *magazines; /* one per CPU, made on first use */
    struct list all;            /* every cache, for heap_bytes and debugging */
};

#define CACHE_INIT(name_, size_, alignment_)                                                       \
    {                                                                                              \
        .name = (name_), .size = (size_), .alignment = (alignment_),                               \
        .lock = LOCK_INIT(RANK_HEAP, name_)                                                        \
    }

void heap_init(void);
void *cache_alloc(struct cache *cache) MUST_CHECK;
void cache_free(struct cache *cache, void *object);
void *heap_alloc(size_t size) MUST_CHECK;
void heap_free(void *block); /* NULL allowed */
uint64_t heap_bytes(void);   /* handed out */
