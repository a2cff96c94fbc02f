/* Kernel memory: see heap.h.
 *
 * A slab is 2^order frames: a header, the chain of free objects as an array of indexes (so that free objects
 * are not written to), then the objects. frame->user of each of its frames points at the header. Blocks above
 * BLOCK_MAX are frames of their own, with frame->user NULL.
 *
 *     cache_alloc: magazine --empty--> MAGAZINE_BATCH objects from slabs --none--> a new slab
 *     cache_free:  magazine --full---> MAGAZINE_BATCH objects back to their slabs --all free--> frames
 */
#include "kernel/vmm/heap.h"

#include "kernel/cpu.h"
#include "kernel/panic.h"
#include "kernel/vmm/fail.h"
#include "kernel/vmm/frame.h"
#include "lib/base/string.h"

#define MAGAZINE_SIZE  15u
#define MAGAZINE_BATCH 8u
#define SLAB_ORDER_MAX 3u
#define SLAB_END       UINT16_MAX
#define BLOCK_MAX      2048u

struct magazine { /* 128 bytes; written by its CPU only */
    uint32_t count;
    int32_t balance; /* allocated less freed through here */
    void *objects[MAGAZINE_SIZE];
};

#define MAGAZINES_PER_FRAME (PAGE_SIZE / sizeof(struct magazine))

struct slab {
    struct list link; /* cache->partial; linked to itself when full */
    struct cache *cache;
    uint16_t free, first_free;
    uint16_t next[]; /* per object: the next free one */
};

static struct lock caches_lock = LOCK_INIT(RANK_HEAP, "caches");
static struct cache *caches;
static uint64_t large_bytes, frames;

/* --- Slabs; the cache's lock is held ----------------------------------------------------------------------- */

static size_t slab_capacity(const struct cache *cache, unsigned order, size_t *first)
{
    size_t bytes = (size_t)PAGE_SIZE << order;
    size_t count = (bytes - sizeof(struct slab)) / (cache->stride + sizeof(uint16_t));

    while (count > 0) {
        *first = ALIGN_UP(sizeof(struct slab) + count * sizeof(uint16_t), cache->alignment);
        if (*first + count * cache->stride <= bytes)
            break;
        count--;
    }
    return count;
}

static void cache_lay_out(struct cache *cache)
{
    if (cache->alignment < 8)
        cache->alignment = 8;
    cache->stride = ALIGN_UP(cache->size, cache->alignment);
    for (cache->order = 0; cache->order <= SLAB_ORDER_MAX; cache->order++) {
        size_t bytes = (size_t)PAGE_SIZE << cache->order;
        size_t count = slab_capacity(cache, cache->order, &cache->first);

        if (count >= 8 || (count > 0 && bytes - count * cache->stride <= bytes / 8) ||
            (count > 0 && cache->order == SLAB_ORDER_MAX)) {
            cache->per_slab = (unsigned)count;
            list_init(&cache->partial);
            return;
        }
    }
    panic("heap: objects of %s are too large: %zu bytes", cache->name, cache->size);
}

static void *slab_object(const struct cache *cache, struct slab *slab, unsigned index)
{
    return (char *)slab + cache->first + index * cache->stride;
}

/* Blocks of frames lie at multiples of their size. */
static struct slab *slab_of(const struct cache *cache, const void *object)
{
    uint64_t address = direct_map_paddr(object).value;

    return direct_map(PADDR(ALIGN_DOWN(address, (uint64_t)PAGE_SIZE << cache->order)));
}

/* Called without the lock. */
static struct slab *slab_new(struct cache *cache)
{
    struct frame *frame;

    if (frame_alloc_order(cache->order, FRAME_KERNEL | FRAME_ASKED, &frame) != 0)
        return NULL;

    struct slab *slab = frame_data(frame);

    memset((char *)slab + cache->first, 0, cache->per_slab * cache->stride);
    for (unsigned i = 0; i < 1u << cache->order; i++)
        frame[i].user = slab;
    list_init(&slab->link);
    slab->cache = cache;
    slab->free = (uint16_t)cache->per_slab;
    slab->first_free = 0;
    for (unsigned i = 0; i < cache->per_slab; i++)
        slab->next[i] = (uint16_t)(i + 1);
    slab->next[cache->per_slab - 1] = SLAB_END;
    return slab;
}

/* Up to count objects of the slabs there are; how many. */
static unsigned slabs_take(struct cache *cache, void **objects, unsigned count)
{
    unsigned taken = 0;
    struct slab *slab;

    while (taken < count && (slab = list_first(&cache->partial, struct slab, link)) != NULL) {
        if (slab->free == cache->per_slab)
            cache->empty--;
        while (taken < count && slab->free > 0) {
            unsigned index = slab->first_free;

            slab->first_free = slab->next[index];
            slab->free--;
            objects[taken++] = slab_object(cache, slab, index);
        }
        if (slab->free == 0)
            list_remove(&slab->link);
    }
    return taken;
}

/* Returns the slab if it is to be given back: the caller does so once the lock is released. */
static struct slab *slab_give(struct cache *cache, void *object)
{
    struct slab *slab = slab_of(cache, object);

    ASSERT(slab->cache == cache);

    size_t offset = (size_t)((char *)object - (char *)slab) - cache->first;
    unsigned index = (unsigned)(offset / cache->stride);

    ASSERT(offset % cache->stride == 0 && slab->free < cache->per_slab);
    slab->next[index] = slab->first_free;
    slab->first_free = (uint16_t)index;
    if (slab->free++ == 0)
        list_prepend(&cache->partial, &slab->link);
    if (slab->free < cache->per_slab)
        return NULL;
    if (cache->empty == 0 || cache->flags & CACHE_STABLE) {
        cache->empty++;
        list_remove(&slab->link); /* emptied last, used last */
        list_append(&cache->partial, &slab->link);
        return NULL;
    }
    list_remove(&slab->link);
    cache->slabs--;
    return slab;
}

static void slab_release(struct cache *cache, struct slab *slab)
{
    __atomic_fetch_sub(&frames, UINT64_C(1) << cache->order, __ATOMIC_RELAXED);
    frame_free_order(frame_of(direct_map_paddr(slab)), cache->order);
}

/* --- Magazines -------------------------------------------------------------------------------------------------- */

static struct magazine *magazine_here(struct cache *cache)
{
    uint32_t cpu = cpu_self()->index;
    struct magazine *row =
        __atomic_load_n(&cache->magazines[cpu / MAGAZINES_PER_FRAME], __ATOMIC_ACQUIRE);

    return likely(row) ? &row[cpu % MAGAZINES_PER_FRAME] : NULL;
}

static COLD void cache_start(struct cache *cache)
{
    lock_acquire(&cache->lock);

    bool fresh = cache->per_slab == 0;

    if (fresh)
        cache_lay_out(cache);
    lock_release(&cache->lock);
    if (fresh) {
        lock_acquire(&caches_lock);
        cache->next = caches;
        __atomic_store_n(&caches, cache, __ATOMIC_RELEASE);
        lock_release(&caches_lock);
    }

    uint32_t row = cpu_self()->index / MAGAZINES_PER_FRAME;
    struct frame *frame;

    if (frame_alloc(FRAME_KERNEL | FRAME_ZERO | FRAME_ASKED, &frame) != 0)
        return; /* it works without, only slower */

    struct magazine *none = NULL;

    if (__atomic_compare_exchange_n(&cache->magazines[row], &none, frame_data(frame), false,
                                    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        __atomic_fetch_add(&frames, 1, __ATOMIC_RELAXED);
    else
        frame_put(frame);
}

/* The magazine, if there is one, is empty: a batch into it, and one object more. */
static COLD void *cache_fill(struct cache *cache, struct magazine *magazine)
{
    void *alone, **objects = magazine ? magazine->objects : &alone;
    unsigned wanted = magazine ? MAGAZINE_BATCH + 1 : 1, got;

    lock_acquire(&cache->lock);
    got = slabs_take(cache, objects, wanted);
    if (got == 0) {
        lock_release(&cache->lock);

        struct slab *slab = slab_new(cache);

        if (!slab)
            return NULL;
        __atomic_fetch_add(&frames, UINT64_C(1) << cache->order, __ATOMIC_RELAXED);
        lock_acquire(&cache->lock);
        list_append(&cache->partial, &slab->link);
        cache->slabs++;
        cache->empty++;
        got = slabs_take(cache, objects, wanted);
    }
    cache->balance++;
    lock_release(&cache->lock);
    if (magazine)
        magazine->count = got - 1;
    return objects[got - 1];
}

void *cache_alloc(struct cache *cache)
{
    if (fail_now())
        return NULL;

    struct magazine *magazine = magazine_here(cache);
    void *object;

    if (unlikely(!magazine)) {
        cache_start(cache);
        magazine = magazine_here(cache);
    }
    if (likely(magazine && magazine->count)) {
        object = magazine->objects[--magazine->count];
        magazine->balance++;
    } else {
        object = cache_fill(cache, magazine);
    }
    if (object && !(cache->flags & (CACHE_STABLE | CACHE_RAW)))
        memset(object, 0, cache->size);
    return object;
}

static COLD void cache_drain(struct cache *cache, struct magazine *magazine, void *object)
{
    struct slab *unneeded[MAGAZINE_BATCH + 1];
    unsigned count = 0;

    lock_acquire(&cache->lock);
    cache->balance--;
    unneeded[count] = slab_give(cache, object);
    count += unneeded[count] != NULL;
    for (unsigned i = 0; magazine && i < MAGAZINE_BATCH; i++) {
        unneeded[count] = slab_give(cache, magazine->objects[--magazine->count]);
        count += unneeded[count] != NULL;
    }
    lock_release(&cache->lock);
    while (count > 0)
        slab_release(cache, unneeded[--count]);
}

void cache_free(struct cache *cache, void *object)
{
    struct magazine *magazine = magazine_here(cache);

#if DEBUG
    struct slab *slab = slab_of(cache, object);

    ASSERT(slab->cache == cache);
#endif
    if (likely(magazine && magazine->count < MAGAZINE_SIZE)) {
        magazine->objects[magazine->count++] = object;
        magazine->balance--;
    } else {
        cache_drain(cache, magazine, object);
    }
}

uint64_t cache_used(struct cache *cache)
{
    lock_acquire(&cache->lock);

    int64_t used = cache->balance;

    lock_release(&cache->lock);
    for (unsigned row = 0; row < CACHE_MAGAZINE_FRAMES; row++) {
        struct magazine *magazines = __atomic_load_n(&cache->magazines[row], __ATOMIC_ACQUIRE);

        for (unsigned i = 0; magazines && i < MAGAZINES_PER_FRAME; i++)
            used += __atomic_load_n(&magazines[i].balance, __ATOMIC_RELAXED);
    }
    return used > 0 ? (uint64_t)used : 0;
}

/* --- Blocks of any size ---------------------------------------------------------------------------------------- */

#define BLOCK_CACHE(size_) CACHE_INIT("block-" #size_, size_, (size_) % 64 ? 16 : 64)

static struct cache blocks[] = {
    BLOCK_CACHE(16),  BLOCK_CACHE(32),   BLOCK_CACHE(48),   BLOCK_CACHE(64),   BLOCK_CACHE(96),
    BLOCK_CACHE(128), BLOCK_CACHE(192),  BLOCK_CACHE(256),  BLOCK_CACHE(384),  BLOCK_CACHE(512),
    BLOCK_CACHE(768), BLOCK_CACHE(1024), BLOCK_CACHE(1536), BLOCK_CACHE(2048),
};

static uint8_t block_kind[BLOCK_MAX / 16 + 1]; /* by size in 16-byte units, rounded up */

void heap_init(void)
{
    unsigned kind = 0;

    _Static_assert(CACHE_MAGAZINE_FRAMES * (PAGE_SIZE / sizeof(struct magazine)) >= CPU_MAX,
                   "a magazine for each CPU");
    for (unsigned units = 0; units < ARRAY_SIZE(block_kind); units++) {
        if (units * 16 > blocks[kind].size)
            kind++;
        block_kind[units] = (uint8_t)kind;
    }
}

static unsigned order_of(size_t size)
{
    unsigned order = 0;

    while ((size_t)PAGE_SIZE << order < size)
        order++;
    return order;
}

void *heap_alloc(size_t size)
{
    struct frame *frame;

    if (likely(size <= BLOCK_MAX))
        return cache_alloc(&blocks[block_kind[(size + 15) / 16]]);
    if (size > (size_t)PAGE_SIZE << FRAME_ORDER_MAX ||
        frame_alloc_order(order_of(size), FRAME_KERNEL | FRAME_ZERO, &frame) != 0)
        return NULL;
    frame->user = NULL;
    __atomic_fetch_add(&large_bytes, (uint64_t)PAGE_SIZE << frame->order, __ATOMIC_RELAXED);
    return frame_data(frame);
}

void heap_free(void *block)
{
    if (!block)
        return;

    struct frame *frame = frame_of(direct_map_paddr(block));

    ASSERT(frame);
    if (frame->user) {
        cache_free(((struct slab *)frame->user)->cache, block);
        return;
    }
    __atomic_fetch_sub(&large_bytes, (uint64_t)PAGE_SIZE << frame->order, __ATOMIC_RELAXED);
    frame_free_order(frame, frame->order);
}

uint64_t heap_bytes(void)
{
    uint64_t bytes = __atomic_load_n(&large_bytes, __ATOMIC_RELAXED);

    for (struct cache *cache = __atomic_load_n(&caches, __ATOMIC_ACQUIRE); cache;
         cache = cache->next)
        bytes += cache_used(cache) * cache->size;
    return bytes;
}

uint64_t heap_frames(void)
{
    return __atomic_load_n(&frames, __ATOMIC_RELAXED);
}
