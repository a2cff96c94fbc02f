/* Memory objects: their life, their pages, their clones. See memory.h. */
#include "kernel/vmm/memory.h"

#include "kernel/boot.h"
#include "kernel/panic.h"
#include "kernel/sched/thread.h"
#include "kernel/types.h"
#include "kernel/vmm/heap.h"
#include "kernel/vmm/pager.h"
#include "lib/base/string.h"

#define BATCH 64u /* pages a loop handles before it lets interrupts in */

static struct cache memory_cache = CACHE_INIT("memory", sizeof(struct memory), 64);

static struct memory *memory_of(struct object *object)
{
    return container_of(object, struct memory, object);
}

#define PURSE_BATCH (16 * PAGE_SIZE)

static struct memory *memory_make(uint64_t pages, unsigned flags)
{
    struct memory *memory = object_alloc(&memory_cache, OBJECT_MEMORY, 0);

    if (!memory)
        return NULL;
    purse_open(&memory->purse, memory->object.account, PURSE_BATCH);
    lock_init(&memory->lock, RANK_MEMORY, "memory");
    list_init(&memory->regions);
    memory->pages = pages;
    memory->flags = flags | (process_is_system() ? MEMORY_IS_SYSTEM : 0);
    return memory;
}

/* --- Pinned memory ------------------------------------------------------------------------------------------ */

static int fill_contiguous(struct memory *memory)
{
    unsigned order = 0;
    struct frame *block;

    while (UINT64_C(1) << order < memory->pages)
        order++;

    int result = frame_alloc_order(order,
                                   FRAME_ZERO | memory_frame_flags(memory) |
                                       (memory->flags & MEMORY_DMA32 ? FRAME_DMA32 : 0),
                                   &block);

    if (result != 0)
        return result;
    frame_split(block, order);
    for (uint64_t i = 0; i < UINT64_C(1) << order; i++) {
        if (i < memory->pages && result == 0)
            result = memory_insert(memory, i, &block[i]);
        if (i >= memory->pages || result != 0)
            frame_put(&block[i]);
    }
    return result;
}

static int fill_scattered(struct memory *memory)
{
    unsigned flags =
        FRAME_ZERO | memory_frame_flags(memory) | (memory->flags & MEMORY_DMA32 ? FRAME_DMA32 : 0);

    for (uint64_t i = 0; i < memory->pages; i++) {
        struct frame *frame;
        int result = frame_alloc(flags, &frame);

        if (result != 0)
            return result;
        result = memory_insert(memory, i, frame);
        if (result != 0) {
            frame_put(frame);
            return result;
        }
        if (i % BATCH == BATCH - 1)
            arch_preempt_window();
    }
    return 0;
}

/* --- Creation and end --------------------------------------------------------------------------------------- */

int memory_new(uint64_t size, unsigned flags, struct memory **result)
{
    if (flags & ~(MEMORY_PINNED | MEMORY_FIXED | MEMORY_OWNED))
        return -E_INVALID;
    if (size > MEMORY_SIZE_MAX ||
        (flags & MEMORY_CONTIGUOUS && size > (uint64_t)PAGE_SIZE << FRAME_ORDER_MAX))
        return -E_RANGE;
    if (flags & MEMORY_PINNED && size == 0)
        return -E_INVALID;
    if (flags & MEMORY_PINNED && size / PAGE_SIZE > frame_count_free())
        return -E_NO_MEMORY; /* rather than take all there is first */

    struct memory *memory = memory_make((size + PAGE_SIZE - 1) / PAGE_SIZE, flags);
    int error = 0;

    if (!memory)
        return -E_NO_MEMORY;
    if (flags & MEMORY_CONTIGUOUS)
        error = fill_contiguous(memory);
    else if (flags & MEMORY_PINNED)
        error = fill_scattered(memory);
    if (error != 0) {
        object_put(&memory->object);
        return error;
    }
    *result = memory;
    return 0;
}

static int new_physical(paddr_t base, uint64_t length, unsigned flags, struct memory **result)
{
    if (!IS_ALIGNED(base.value, (uint64_t)PAGE_SIZE) || length == 0)
        return -E_INVALID;
    if (length > MEMORY_SIZE_MAX || base.value + length > UINT64_C(1) << 52)
        return -E_RANGE;

    struct memory *memory = memory_make((length + PAGE_SIZE - 1) / PAGE_SIZE, flags);

    if (!memory)
        return -E_NO_MEMORY;
    memory->base = base;
    *result = memory;
    return 0;
}

int memory_new_physical(paddr_t base, uint64_t length, unsigned cache, struct memory **memory)
{
    if (cache > CACHE_COMBINING)
        return -E_INVALID;

    int result = new_physical(base, length, MEMORY_IS_PHYSICAL | MEMORY_IS_DEVICE, memory);

    if (result == 0)
        (*memory)->cache = cache;
    return result;
}

int memory_new_boot(paddr_t base, uint64_t length, struct memory **memory)
{
    return new_physical(base, length, MEMORY_IS_PHYSICAL, memory);
}

uint64_t memory_size(const struct memory *memory)
{
    return __atomic_load_n(&memory->pages, __ATOMIC_RELAXED) * PAGE_SIZE;
}

void *memory_boot_data(const struct memory *memory, uint64_t index)
{
    return direct_map(PADDR(memory->base.value + index * PAGE_SIZE));
}

void memory_destroy(struct object *object)
{
    struct memory *memory = memory_of(object);
    struct frame *frame;
    unsigned count = 0;

    ASSERT(list_empty(&memory->regions));
    for (uint64_t index = 0;
         (frame = page_tree_next(&memory->tree, &index, PAGE_TREE_LIMIT)) != NULL; index++) {
        (void)memory_remove(memory, index);
        frame_put(frame);
        if (++count % BATCH == 0)
            arch_preempt_window();
    }
    if (memory->flags & MEMORY_IS_PHYSICAL && !(memory->flags & MEMORY_IS_DEVICE) &&
        boot_info.module_length &&
        memory->base.value == ALIGN_DOWN(boot_info.module.value, (uint64_t)PAGE_SIZE))
        frame_release_boot(memory->base, memory->pages * PAGE_SIZE);
    pager_destroy(memory->pager);
    purse_close(&memory->purse);
    cache_free(&memory_cache, memory);
}

/* --- Pages -------------------------------------------------------------------------------------------------- */

static struct frame *slot_frame(const struct memory *memory, uint64_t index)
{
    struct frame **slot = page_tree_find(&memory->tree, index);

    return slot ? *slot : NULL;
}

/* The tree has other nodes than were paid for. */
static void settle_tree(struct memory *memory)
{
    uint32_t nodes = memory->tree.nodes;

    if (nodes > memory->nodes_paid)
        purse_spend(&memory->purse, (nodes - memory->nodes_paid) * sizeof(struct page_node));
    else
        purse_earn(&memory->purse, (memory->nodes_paid - nodes) * sizeof(struct page_node));
    memory->nodes_paid = nodes;
}

int memory_insert(struct memory *memory, uint64_t index, struct frame *frame)
{
    if (!purse_has(&memory->purse, PAGE_SIZE + PAGE_TREE_GROWTH))
        return -E_NO_MEMORY;

    int result = page_tree_insert(&memory->tree, index, frame);

    if (result == 0) {
        purse_spend(&memory->purse, PAGE_SIZE);
        memory->committed++;
    }
    if (unlikely(memory->tree.nodes != memory->nodes_paid))
        settle_tree(memory);
    return result;
}

struct frame *memory_remove(struct memory *memory, uint64_t index)
{
    struct frame *frame = page_tree_remove(&memory->tree, index);

    if (frame) {
        memory->committed--;
        purse_earn(&memory->purse, PAGE_SIZE);
        if (unlikely(memory->tree.nodes != memory->nodes_paid))
            settle_tree(memory);
    }
    return frame;
}

static int supply_zero(struct memory *memory, uint64_t index)
{
    struct frame *frame;
    int result = frame_alloc(FRAME_ZERO | memory_frame_flags(memory), &frame);

    if (result != 0)
        return result;
    lock_acquire(&memory->lock);
    if (index >= memory->pages)
        result = -E_FAULT;
    else if (!slot_frame(memory, index))
        result = memory_insert(memory, index, frame);
    else
        result = 1; /* somebody was faster */
    lock_release(&memory->lock);
    if (result != 0)
        frame_put(frame);
    return MIN(result, 0);
}

/* `old` is shared with a clone (and the caller holds one more owner of it, so that it stays shared): give the
 * object a copy of its own. While a clone is being made the page may still be mapped writable, and what is written
 * must not be lost between copy and exchange; otherwise a shared frame is never mapped writable. */
static int supply_copy(struct memory *memory, uint64_t index, struct frame *old, bool protect)
{
    struct frame *fresh;
    int result = frame_alloc(memory_frame_flags(memory), &fresh);

    if (result != 0)
        return result;
    if (protect)
        mapping_change(memory, index, index + 1, MAPPING_PROTECT);
    memcpy(frame_data(fresh), frame_data(old), PAGE_SIZE);

    lock_acquire(&memory->lock);

    struct frame **slot = page_tree_find(&memory->tree, index);
    bool exchanged = slot && *slot == old && index < memory->pages;

    if (exchanged)
        *slot = fresh;
    lock_release(&memory->lock);
    if (!exchanged) {
        frame_put(fresh);
        return 0;
    }
    mapping_change(memory, index, index + 1, MAPPING_UNMAP);
    frame_put(old);
    return 0;
}

int memory_supply(struct memory *memory, uint64_t index, unsigned how)
{
    lock_acquire(&memory->lock);

    struct frame *frame = slot_frame(memory, index);
    bool beyond = index >= memory->pages;
    bool copy = frame && how & PAGE_FOR_WRITE && frame_owners(frame) > 1;
    bool protect = memory->cloning != 0;

    if (copy && !beyond)
        frame_get(frame);
    lock_release(&memory->lock);
    if (beyond)
        return -E_FAULT;
    if (memory->flags & MEMORY_IS_PHYSICAL)
        return 0;
    if (!frame)
        return memory->pager ? pager_fetch(memory, index, how) : supply_zero(memory, index);
    if (!copy)
        return 0;

    int result = supply_copy(memory, index, frame, protect);

    frame_put(frame);
    return result;
}

/* Take the pages [first, end) out of the object and of its mappings. */
static void remove_pages(struct memory *memory, uint64_t first, uint64_t end)
{
    struct frame *frames[BATCH];
    unsigned count;

    do {
        uint64_t index = first;
        struct frame *frame;

        count = 0;
        lock_acquire(&memory->lock);
        while (count < BATCH && (frame = page_tree_next(&memory->tree, &index, end)) != NULL) {
            frames[count++] = memory_remove(memory, index);
            index++;
        }
        lock_release(&memory->lock);
        if (count > 0)
            mapping_change(memory, first, index, MAPPING_UNMAP);
        for (unsigned i = 0; i < count; i++)
            frame_put(frames[i]);
        first = index;
        arch_preempt_window();
    } while (count == BATCH);
}

int memory_decommit(struct memory *memory, uint64_t offset, uint64_t length)
{
    if (memory->flags & (MEMORY_PINNED | MEMORY_IS_PHYSICAL))
        return -E_NOT_SUPPORTED;
    if (offset + length < offset || offset + length > memory_size(memory))
        return -E_RANGE;

    uint64_t first = (offset + PAGE_SIZE - 1) / PAGE_SIZE, end = (offset + length) / PAGE_SIZE;

    if (first < end)
        remove_pages(memory, first, end);
    return 0;
}

int memory_resize_to(struct memory *memory, uint64_t size)
{
    if (memory->flags & (MEMORY_PINNED | MEMORY_FIXED | MEMORY_IS_PHYSICAL))
        return -E_NOT_SUPPORTED;
    if (size > MEMORY_SIZE_MAX)
        return -E_RANGE;

    uint64_t pages = (size + PAGE_SIZE - 1) / PAGE_SIZE;

    /* One at a time, or a shrinking would remove what a later growing made room for. It goes on on another
     * CPU: nothing in here sleeps. */
    lock_acquire(&memory->lock);
    while (memory->resizing) {
        lock_release(&memory->lock);
        arch_spin_wait();
        lock_acquire(&memory->lock);
    }

    uint64_t before = memory->pages;

    memory->resizing = true;
    __atomic_store_n(&memory->pages, pages, __ATOMIC_RELAXED);
    lock_release(&memory->lock);
    if (pages < before) {
        mapping_change(memory, pages, before, MAPPING_UNMAP_ALL);
        remove_pages(memory, pages, before);
    }
    lock_acquire(&memory->lock);
    memory->resizing = false;
    lock_release(&memory->lock);
    return 0;
}

/* --- Clones --------------------------------------------------------------------------------------------------- */

static int clone_eagerly(struct memory *source, uint64_t first, struct memory *clone)
{
    for (uint64_t i = 0; i < clone->pages; i++) {
        struct frame *fresh;
        int result = frame_alloc(memory_frame_flags(clone), &fresh);

        if (result != 0)
            return result;
        if (source->flags & MEMORY_IS_PHYSICAL)
            memcpy(frame_data(fresh), memory_boot_data(source, first + i), PAGE_SIZE);
        else /* pinned: the frame stays */
            memcpy(frame_data(fresh), frame_data(slot_frame(source, first + i)), PAGE_SIZE);
        result = memory_insert(clone, i, fresh);
        if (result != 0) {
            frame_put(fresh);
            return result;
        }
        if (i % BATCH == BATCH - 1)
            arch_preempt_window();
    }
    return 0;
}

static int clone_shared(struct memory *source, uint64_t first, struct memory *clone)
{
    uint64_t index = first, end = first + clone->pages;
    struct frame *frame;
    int result = 0;
    unsigned count = 0;

    lock_acquire(&source->lock);
    source->cloning++;
    while (result == 0 && (frame = page_tree_next(&source->tree, &index, end)) != NULL) {
        result = memory_insert(clone, index - first, frame);
        if (result == 0)
            frame_get(frame);
        index++;
        if (++count % BATCH == 0) {
            lock_release(&source->lock);
            arch_preempt_window();
            lock_acquire(&source->lock);
        }
    }
    lock_release(&source->lock);
    mapping_change(source, first, end, MAPPING_PROTECT);
    lock_acquire(&source->lock);
    source->cloning--;
    lock_release(&source->lock);
    return result;
}

/* The pages the clone did not get because the source's pager had to bring them. */
static int clone_rest(struct memory *source, uint64_t first, struct memory *clone)
{
    uint64_t index = 0;

    while (index < clone->pages) {
        struct frame *frame = slot_frame(clone, index);
        int result = 0;

        if (frame) {
            index++;
            continue;
        }
        lock_acquire(&source->lock);
        frame = slot_frame(source, first + index);
        if (frame) {
            result = memory_insert(clone, index, frame);
            if (result == 0) {
                frame_get(frame);
                source->cloning++;
            }
        }
        lock_release(&source->lock);
        if (!frame) {
            result = memory_supply(source, first + index, 0);
        } else if (result == 0) {
            mapping_change(source, first + index, first + index + 1, MAPPING_PROTECT);
            lock_acquire(&source->lock);
            source->cloning--;
            lock_release(&source->lock);
        }
        if (result != 0)
            return result == -E_FAULT ? -E_RANGE : result;
        arch_preempt_window();
    }
    return 0;
}

int memory_clone_range(struct memory *source, uint64_t offset, uint64_t length,
                       struct memory **result)
{
    if (!IS_ALIGNED(offset, (uint64_t)PAGE_SIZE) || length == 0)
        return -E_INVALID;
    if (source->flags & MEMORY_IS_DEVICE)
        return -E_NOT_SUPPORTED;
    if (offset + length < offset || offset + length > memory_size(source))
        return -E_RANGE;

    struct memory *clone = memory_make((length + PAGE_SIZE - 1) / PAGE_SIZE, 0);

    if (!clone)
        return -E_NO_MEMORY;

    int error = source->flags & (MEMORY_PINNED | MEMORY_IS_PHYSICAL)
                    ? clone_eagerly(source, offset / PAGE_SIZE, clone)
                    : clone_shared(source, offset / PAGE_SIZE, clone);

    if (error == 0 && source->pager)
        error = clone_rest(source, offset / PAGE_SIZE, clone);
    if (error != 0) {
        object_put(&clone->object);
        return error;
    }
    *result = clone;
    return 0;
}

int memory_paddr(struct memory *memory, uint64_t index, paddr_t *address)
{
    if (index >= memory->pages)
        return -E_RANGE;
    if (memory->flags & MEMORY_IS_PHYSICAL)
        *address = PADDR(memory->base.value + index * PAGE_SIZE);
    else if (memory->flags & MEMORY_PINNED)
        *address = frame_paddr(slot_frame(memory, index));
    else
        return -E_NOT_SUPPORTED;
    return 0;
}
