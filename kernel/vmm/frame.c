/* The page frame allocator: see frame.h.
 *
 * Free blocks of 2^order frames lie on zones[].free[order]; a block is split to serve a smaller request and
 * joined with its buddy (the block whose number differs in bit `order`) when it comes back. In front, each CPU
 * has a stack of single frames, filled and drained CACHE_BATCH at a time.
 *
 * While memory is scarce a CPU's stack is filled with the one frame asked for, so that nobody finds there what was
 * taken from the reserve for another.
 */
#include "kernel/vmm/frame.h"

#include "kernel/boot.h"
#include "kernel/cpu.h"
#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/sched/thread.h"
#include "kernel/vmm/fail.h"
#include "kernel/vmm/ram.h"
#include "lib/base/string.h"

#define CACHE_ORDER   4u
#define CACHE_BATCH   (1u << CACHE_ORDER)
#define CACHE_LIMIT   64u
#define RESERVE_PART  32u   /* of all frames */
#define RESERVE_LIMIT 4096u /* 16 MiB */
#define EASY_PART     8u    /* memory is plenty when more than that part of it is free */

enum zone_number { ZONE_DMA32, ZONE_HIGH, ZONE_COUNT };

struct zone {
    struct list free[FRAME_ORDER_MAX + 1];
    uint64_t count; /* free frames */
};

struct frame_cache {
    struct frame *top; /* linked by link.next */
    uint32_t count;
} ALIGNED(64);

struct frame_section *frame_sections;
uint32_t frame_section_count;
static struct lock frames_lock = LOCK_INIT(RANK_FRAMES, "frames"); /* zones, low */
static struct zone zones[ZONE_COUNT];
static struct list low;
static uint64_t total, reserve;
static bool ram_known;                     /* boot: frame_early came before frame_init */
static struct frame_cache caches[CPU_MAX]; /* each its CPU's own */

/* Whoever frees its buddy looks at a frame's state under the lock, while its owner may change it without: but only from one to
 * another that is not FREE. */
static void state_set(struct frame *frame, enum frame_state state)
{
    __atomic_store_n(&frame->state, (uint8_t)state, __ATOMIC_RELAXED);
}

static bool is_free(const struct frame *frame)
{
    return __atomic_load_n(&frame->state, __ATOMIC_RELAXED) == FRAME_STATE_FREE;
}

/* --- The buddy allocator; the lock is held ------------------------------------------------------------ */

static void block_insert(struct frame *frame, unsigned order)
{
    struct zone *zone = &zones[frame->zone];

    state_set(frame, FRAME_STATE_FREE);
    frame->order = (uint8_t)order;
    list_prepend(&zone->free[order], &frame->link);
    zone->count += UINT64_C(1) << order;
}

static void block_remove(struct frame *frame)
{
    list_remove(&frame->link);
    zones[frame->zone].count -= UINT64_C(1) << frame->order;
    state_set(frame, FRAME_STATE_TAIL);
}

static void block_free(struct frame *frame, unsigned order)
{
    state_set(frame, FRAME_STATE_TAIL);
    while (order < FRAME_ORDER_MAX) {
        struct frame *buddy = frame_numbered(frame->number ^ (1u << order));

        if (!buddy || !is_free(buddy) || buddy->order != order || buddy->zone != frame->zone)
            break;
        block_remove(buddy);
        if (buddy < frame)
            frame = buddy;
        order++;
    }
    block_insert(frame, order);
}

static struct frame *zone_alloc(struct zone *zone, unsigned order)
{
    for (unsigned from = order; from <= FRAME_ORDER_MAX; from++) {
        struct frame *frame = list_first(&zone->free[from], struct frame, link);

        if (!frame)
            continue;
        block_remove(frame);
        while (from > order) {
            from--;
            block_insert(frame + (1u << from), from);
        }
        return frame;
    }
    return NULL;
}

/* How many frames a request must leave. */
static uint64_t kept_back(unsigned flags)
{
    if (flags & FRAME_EASY)
        return MAX(reserve, total / EASY_PART);
    if (!(flags & FRAME_KERNEL))
        return flags & FRAME_SYSTEM ? reserve / 4 : reserve;
    return process_is_system() ? 0 : reserve / 2;
}

static struct frame *block_alloc(unsigned order, unsigned flags)
{
    struct frame *frame = NULL;

    if (zones[ZONE_DMA32].count + zones[ZONE_HIGH].count <
        kept_back(flags) + (UINT64_C(1) << order))
        return NULL;
    if (!(flags & FRAME_DMA32))
        frame = zone_alloc(&zones[ZONE_HIGH], order);
    if (!frame)
        frame = zone_alloc(&zones[ZONE_DMA32], order);
    return frame;
}

/* --- Per-CPU caches -------------------------------------------------------------------------------------- */

static void cache_push(struct frame_cache *cache, struct frame *frame)
{
    state_set(frame, FRAME_STATE_CACHED);
    frame->link.next = cache->top ? &cache->top->link : NULL;
    cache->top = frame;
    cache->count++;
}

static struct frame *cache_pop(struct frame_cache *cache)
{
    struct frame *frame = cache->top;
    struct list *next = frame->link.next;

    cache->top = next ? container_of(next, struct frame, link) : NULL;
    cache->count--;
    return frame;
}

static COLD bool cache_fill(struct frame_cache *cache, unsigned flags)
{
    lock_acquire(&frames_lock);

    /* As for an ordinary process. */
    struct frame *block = block_alloc(CACHE_ORDER, 0);

    for (unsigned i = block ? CACHE_BATCH : 0; i-- > 0;)
        cache_push(cache, block + i);
    if (!block && (block = block_alloc(0, flags)) != NULL)
        cache_push(cache, block);
    lock_release(&frames_lock);
    return cache->count != 0;
}

static COLD void cache_drain(struct frame_cache *cache)
{
    lock_acquire(&frames_lock);
    while (cache->count > CACHE_LIMIT - 2 * CACHE_BATCH)
        block_free(cache_pop(cache), 0);
    lock_release(&frames_lock);
}

/* --- The interface ------------------------------------------------------------------------------------------ */

int frame_alloc(unsigned flags, struct frame **result)
{
    if (unlikely(flags & FRAME_DMA32))
        return frame_alloc_order(0, flags, result);
    if (!(flags & FRAME_ASKED) && fail_now())
        return -E_NO_MEMORY;

    struct frame_cache *cache = &caches[cpu_self()->index];

    if (unlikely(!cache->top) && !cache_fill(cache, flags))
        return -E_NO_MEMORY;

    struct frame *frame = cache_pop(cache);

    state_set(frame, FRAME_STATE_USED);
    frame->order = 0;
    frame->owners = 1;
    if (flags & FRAME_ZERO)
        memset(frame_data(frame), 0, PAGE_SIZE);
    *result = frame;
    return 0;
}

bool frame_put(struct frame *frame)
{
    /* Who sees 1 is the only owner: no one else is left to change it. */
    if (__atomic_load_n(&frame->owners, __ATOMIC_ACQUIRE) != 1 &&
        __atomic_sub_fetch(&frame->owners, 1, __ATOMIC_ACQ_REL) != 0)
        return false;
    ASSERT(frame->state == FRAME_STATE_USED && frame->order == 0);
    frame->owners = 0;

    struct frame_cache *cache = &caches[cpu_self()->index];

    cache_push(cache, frame);
    if (unlikely(cache->count > CACHE_LIMIT))
        cache_drain(cache);
    return true;
}

int frame_alloc_order(unsigned order, unsigned flags, struct frame **result)
{
    if (order > FRAME_ORDER_MAX)
        return -E_RANGE;
    if (order == 0 && !(flags & FRAME_DMA32))
        return frame_alloc(flags, result);
    if (!(flags & FRAME_ASKED) && fail_now())
        return -E_NO_MEMORY;

    lock_acquire(&frames_lock);

    struct frame *frame = block_alloc(order, flags);

    if (!frame &&
        !(flags &
          FRAME_EASY)) { /* this CPU's own cache may hold what is missing, or a buddy of it */
        struct frame_cache *cache = &caches[cpu_self()->index];

        while (cache->count)
            block_free(cache_pop(cache), 0);
        frame = block_alloc(order, flags);
    }
    lock_release(&frames_lock);
    if (!frame)
        return -E_NO_MEMORY;

    state_set(frame, FRAME_STATE_USED);
    frame->order = (uint8_t)order;
    frame->owners = 1;
    if (flags & FRAME_ZERO)
        memset(frame_data(frame), 0, (size_t)PAGE_SIZE << order);
    *result = frame;
    return 0;
}

void frame_free_order(struct frame *frame, unsigned order)
{
    ASSERT(frame->state == FRAME_STATE_USED && frame->order == order && frame->owners == 1);
    if (order == 0) {
        frame_put(frame);
        return;
    }
    frame->owners = 0;
    lock_acquire(&frames_lock);
    block_free(frame, order);
    lock_release(&frames_lock);
}

void frame_split(struct frame *frame, unsigned order)
{
    ASSERT(frame->state == FRAME_STATE_USED && frame->order == order);
    for (uint32_t i = 0; i < 1u << order; i++) {
        state_set(&frame[i], FRAME_STATE_USED);
        frame[i].order = 0;
        frame[i].owners = 1;
    }
}

void frame_block_get(struct frame *block, unsigned order)
{
    lock_acquire(&frames_lock);
    if (block->order == order)
        block->owners++;
    else
        for (uint32_t i = 0; i < 1u << order; i++)
            frame_get(&block[i]);
    lock_release(&frames_lock);
}

uint32_t frame_block_put(struct frame *block, unsigned order)
{
    uint32_t freed = 0;

    lock_acquire(&frames_lock);

    bool whole = block->order == order;

    if (whole && --block->owners == 0) {
        block_free(block, order);
        freed = 1u << order;
    }
    lock_release(&frames_lock);
    for (uint32_t i = 0; !whole && i < 1u << order; i++)
        freed += frame_put(&block[i]);
    return freed;
}

void frame_block_split(struct frame *block, unsigned order)
{
    lock_acquire(&frames_lock);
    if (block->order == order) {
        uint32_t owners = block->owners;

        frame_split(block, order);
        for (uint32_t i = 0; i < 1u << order; i++)
            block[i].owners = owners;
    }
    lock_release(&frames_lock);
}

bool frame_block_alone(struct frame *block)
{
    lock_acquire(&frames_lock);

    bool alone = block->order != 0 && block->owners == 1;

    lock_release(&frames_lock);
    return alone;
}

void frame_release_boot(paddr_t base, uint64_t length)
{
    lock_acquire(&frames_lock);
    for (uint64_t at = base.value; at < base.value + length; at += PAGE_SIZE) {
        struct frame *frame = frame_of(PADDR(at));

        if (frame && frame->state == FRAME_STATE_RESERVED && at >= RAM_LOW)
            block_free(frame, 0);
    }
    lock_release(&frames_lock);
}

uint64_t frame_count_total(void)
{
    return total;
}

uint64_t frame_count_free(void)
{
    lock_acquire(&frames_lock);

    uint64_t count = zones[ZONE_DMA32].count + zones[ZONE_HIGH].count;

    lock_release(&frames_lock);
    for (unsigned i = 0; i < CPU_MAX; i++)
        count += __atomic_load_n(&caches[i].count, __ATOMIC_RELAXED);
    return count;
}

bool frame_scarce(void)
{
    return __atomic_load_n(&zones[ZONE_DMA32].count, __ATOMIC_RELAXED) +
               __atomic_load_n(&zones[ZONE_HIGH].count, __ATOMIC_RELAXED) <=
           reserve;
}

/* --- Boot ------------------------------------------------------------------------------------------------------- */

paddr_t frame_early(void)
{
    paddr_t page;

    if (!ram_known)
        ram_init(&boot_info);
    ram_known = true;
    if (!ram_early(&page))
        panic("memory: no RAM above 1 MiB");
    return page;
}

paddr_t frame_low(void)
{
    lock_acquire(&frames_lock);

    struct frame *frame = list_first(&low, struct frame, link);

    if (frame) {
        list_remove(&frame->link);
        state_set(frame, FRAME_STATE_RESERVED);
    }
    lock_release(&frames_lock);
    return frame ? frame_paddr(frame) : PADDR(0);
}

static void *take_table(uint64_t length)
{
    paddr_t base;

    if (!ram_take(length, &base))
        panic("memory: no room for the frame table");
    return direct_map(base);
}

static void section_init(struct frame_section *section, uint32_t first, uint32_t count)
{
    *section =
        (struct frame_section){take_table((uint64_t)count * sizeof(struct frame)), first, count};
    for (uint32_t i = 0; i < count; i++)
        section->frames[i] = (struct frame){
            .number = first + i,
            .state = FRAME_STATE_RESERVED,
            .zone = first + i < (UINT64_C(1) << 32) / PAGE_SIZE ? ZONE_DMA32 : ZONE_HIGH,
        };
}

static void sections_init(void)
{
    struct ram_map map = ram_all();

    if (map.count == 0)
        panic("memory: the loader reported no RAM");
    frame_section_count =
        (uint32_t)(((map.ranges[map.count - 1].end - 1) / PAGE_SIZE) >> FRAME_SECTION_SHIFT) + 1;
    frame_sections = take_table(frame_section_count * sizeof(struct frame_section));

    unsigned i = 0;

    for (uint64_t s = 0; s < frame_section_count; s++) {
        uint64_t start = (s << FRAME_SECTION_SHIFT) * PAGE_SIZE,
                 end = ((s + 1) << FRAME_SECTION_SHIFT) * PAGE_SIZE;
        uint64_t first = UINT64_MAX, last = 0;

        while (i < map.count && map.ranges[i].end <= start)
            i++;
        for (unsigned j = i; j < map.count && map.ranges[j].start < end; j++) {
            first = MIN(first, MAX(map.ranges[j].start, start));
            last = MIN(map.ranges[j].end, end);
        }
        if (first < last)
            section_init(&frame_sections[s], (uint32_t)(first / PAGE_SIZE),
                         (uint32_t)((last - first) / PAGE_SIZE));
        else
            frame_sections[s] = (struct frame_section){NULL, 0, 0};
    }
}

static void range_free(uint64_t start, uint64_t end)
{
    while (start < end) {
        uint64_t number = start / PAGE_SIZE, count = (end - start) / PAGE_SIZE;
        struct frame *frame = frame_numbered(number);
        unsigned order = 0;

        if (start < RAM_LOW) {
            state_set(frame, FRAME_STATE_LOW);
            list_append(&low, &frame->link);
        } else {
            while (order < FRAME_ORDER_MAX && IS_ALIGNED(number, UINT64_C(2) << order) &&
                   UINT64_C(2) << order <= count)
                order++;
            for (uint64_t i = 1; i < UINT64_C(1) << order; i++)
                state_set(&frame[i], FRAME_STATE_TAIL);
            block_insert(frame, order);
        }
        start += (uint64_t)PAGE_SIZE << order;
    }
}

void frame_init(const struct boot_info *boot)
{
    if (!ram_known)
        ram_init(boot);
    ram_known = false;
    memset(caches, 0, sizeof(caches));
    list_init(&low);
    for (unsigned z = 0; z < ZONE_COUNT; z++) {
        zones[z].count = 0;
        for (unsigned order = 0; order <= FRAME_ORDER_MAX; order++)
            list_init(&zones[z].free[order]);
    }
    sections_init();

    struct ram_map map = ram_free();

    for (unsigned i = 0; i < map.count; i++)
        range_free(map.ranges[i].start, map.ranges[i].end);
    map = ram_all();
    total = 0;
    for (unsigned i = 0; i < map.count; i++)
        total += (map.ranges[i].end - map.ranges[i].start) / PAGE_SIZE;
    reserve = MIN(total / RESERVE_PART, RESERVE_LIMIT);
    log_info("memory: %lu MiB, %lu MiB free", total / 256, frame_count_free() / 256);
}
