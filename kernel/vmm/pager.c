/* Asking a service for pages, and taking its answer: see pager.h for the states. */
#include "kernel/vmm/pager.h"

#include "abi/ops.h"
#include "kernel/panic.h"
#include "kernel/sched/wait.h"
#include "kernel/vmm/fault.h"
#include "kernel/vmm/heap.h"
#include "lib/base/string.h"

#define AROUND 16u /* what a question asks for at most, in pages: what a fault maps around it */

/* A question under way: pages [first, end) are in transit. On the asking thread's stack. */
struct transit {
    struct rb_node node; /* pager->transits, by first; disjoint */
    uint64_t first, end;
    struct list waiters; /* struct page_waiter */
};

struct page_waiter {
    struct list link;
    struct thread *thread;
    uint64_t index;
};

static struct cache pager_cache = CACHE_INIT("pager", sizeof(struct pager), 16);

int memory_new_paged(uint64_t size, struct object *port, uint64_t key, struct memory **result)
{
    struct pager *pager = cache_alloc(&pager_cache);

    if (!pager)
        return -E_NO_MEMORY;

    int error = memory_new(size, 0, result);

    if (error != 0) {
        cache_free(&pager_cache, pager);
        return error;
    }
    object_get(port);
    pager->port = port;
    pager->key = key;
    (*result)->pager = pager;
    return 0;
}

void pager_destroy(struct pager *pager)
{
    if (!pager)
        return;
    ASSERT(!pager->transits.root);
    if (pager->source)
        object_put(&pager->source->object);
    object_put(pager->port);
    cache_free(&pager_cache, pager);
}

bool pager_fetch_missed(void)
{
    struct thread *self = thread_current();
    uint64_t page = self->missed_page;

    self->missed_page = 0;
    return page && fault_resolve(page, self->missed_access);
}

/* --- Questions; the object's lock is held ----------------------------------------------------------------- */

static struct frame *page_at(const struct memory *memory, uint64_t index)
{
    struct frame **slot = page_tree_find(&memory->tree, index);

    return slot ? *slot : NULL;
}

/* The transit that ends above index, the first of them; NULL: none. */
static struct transit *transit_above(const struct pager *pager, uint64_t index)
{
    struct rb_node *node = pager->transits.root;
    struct transit *best = NULL;

    while (node) {
        struct transit *transit = container_of(node, struct transit, node);

        if (index < transit->end) {
            best = transit;
            node = node->left;
        } else {
            node = node->right;
        }
    }
    return best;
}

static void transit_insert(struct pager *pager, struct transit *transit)
{
    struct rb_node **place = &pager->transits.root, *parent = NULL;

    while (*place) {
        parent = *place;
        place = transit->first < container_of(parent, struct transit, node)->first ? &parent->left
                                                                                   : &parent->right;
    }
    rb_insert(&pager->transits, &transit->node, parent, place);
}

/* Where a question that begins at index may end: the absent pages of its group, up to what others have asked for. slots:
 * the group's from index on, which lie together; or NULL. */
static uint64_t question_end(const struct memory *memory, uint64_t index,
                             struct frame *const *slots, const struct transit *above)
{
    uint64_t end = MIN(ALIGN_DOWN(index, (uint64_t)AROUND) + AROUND, memory->pages), at = index;

    if (above)
        end = MIN(end, above->first);
    if (!slots)
        return end;
    while (at < end && !slots[at - index])
        at++;
    return at;
}

static void wake_waiters(struct transit *transit, int result)
{
    list_for_each (struct page_waiter, waiter, &transit->waiters, link) {
        list_remove(&waiter->link);
        thread_wake(waiter->thread, result, 0);
    }
}

/* A page came: those who wait for it need not wait for the rest. */
static void page_arrived(struct pager *pager, uint64_t index)
{
    struct transit *transit = transit_above(pager, index);

    pager->supplied++;
    if (!transit || transit->first > index)
        return;
    list_for_each (struct page_waiter, waiter, &transit->waiters, link) {
        if (waiter->index != index)
            continue;
        list_remove(&waiter->link);
        thread_wake(waiter->thread, 0, 0);
    }
}

/* Lock held on entry, released on return. */
static int wait_for_page(struct memory *memory, struct transit *transit, uint64_t index,
                         unsigned how)
{
    struct page_waiter waiter = {.thread = thread_current(), .index = index};

    list_append(&transit->waiters, &waiter.link);
    wait_prepare(how & PAGE_KICKABLE ? WAIT_INTERRUPTIBLE : 0);
    lock_release(&memory->lock);

    int result = wait_block(UINT64_MAX);

    lock_acquire(&memory->lock);
    list_remove(&waiter.link);
    lock_release(&memory->lock);
    return result;
}

/* The service said where in its source the pages are: they become the object's. A place that makes no sense brings none. */
static int take_answer(struct memory *memory, uint64_t index, const struct transit *transit,
                       const struct pager_answer *answer)
{
    struct pager *pager = memory->pager;
    uint64_t length = MIN(answer->length, (transit->end - index) * PAGE_SIZE), pages;

    lock_acquire(&memory->lock);

    struct memory *source = pager->source;
    unsigned flags = pager->source_flags;

    if (source)
        object_get(&source->object);
    lock_release(&memory->lock);
    if (!source)
        return 0;

    int error =
        pager_supply(memory, index * PAGE_SIZE, length, source, answer->offset, flags, &pages);

    object_put(&source->object);
    return error == -E_NO_MEMORY ? error : 0;
}

int pager_fetch(struct memory *memory, uint64_t index, unsigned how)
{
    struct pager *pager = memory->pager;

    if (thread_current()->paging_forbidden)
        return -E_AGAIN;
    if (pager_serves(pager))
        return -E_DEADLOCK;
    lock_acquire(&memory->lock);

    struct frame **slots = page_tree_find(&memory->tree, index);

    if (index >= memory->pages || (slots && *slots)) {
        lock_release(&memory->lock);
        return 0;
    }

    struct transit *above = transit_above(pager, index);

    if (above && above->first <= index)
        return wait_for_page(memory, above, index, how);

    struct transit transit = {.first = index, .end = question_end(memory, index, slots, above)};
    uint64_t supplied = pager->supplied;

    list_init(&transit.waiters);
    transit_insert(pager, &transit);
    lock_release(&memory->lock);

    struct pager_answer answer;
    int result = pager_ask(pager, OP_PAGE_IN, index * PAGE_SIZE,
                           (transit.end - transit.first) * PAGE_SIZE, how, &answer);

    if (result == 0 && answer.length)
        result = take_answer(memory, index, &transit, &answer);
    lock_acquire(&memory->lock);
    if (result == 0 && pager->supplied == supplied && index < memory->pages)
        result = -E_IO; /* it says it did, and did nothing */
    rb_remove(&pager->transits, &transit.node);
    wake_waiters(&transit, result == -E_INTERRUPTED ? 0 : result);
    lock_release(&memory->lock);
    return result;
}

/* --- Answers ---------------------------------------------------------------------------------------------- */

enum { TAKE_SHARE, TAKE_MOVE, TAKE_COPY };

static int check_source(const struct memory *source, unsigned flags, unsigned *take)
{
    *take = flags & SUPPLY_MOVE ? TAKE_MOVE : TAKE_SHARE;
    if (source->flags & MEMORY_IS_DEVICE)
        return -E_NOT_SUPPORTED;
    if (flags & SUPPLY_MOVE &&
        (source->flags & (MEMORY_PINNED | MEMORY_IS_PHYSICAL) || source->pager))
        return -E_NOT_SUPPORTED;
    if (source->flags & (MEMORY_PINNED | MEMORY_IS_PHYSICAL))
        *take = TAKE_COPY;
    return 0;
}

static int take_copy(struct memory *source, uint64_t index, struct frame **result)
{
    const void *data = source->flags & MEMORY_IS_PHYSICAL ? memory_boot_data(source, index)
                                                          : frame_data(page_at(source, index));
    int error = frame_alloc(0, result);

    if (error == 0)
        memcpy(frame_data(*result), data, PAGE_SIZE);
    return error;
}

/* An owner more of the page's frame, which nobody maps writable any more; NULL: the source has no such page. */
static struct frame *take_shared(struct memory *source, uint64_t index)
{
    lock_acquire(&source->lock);

    struct frame *frame = page_at(source, index);
    bool mapped = frame && frame_owners(frame) == 1 && !list_empty(&source->regions);

    if (frame)
        frame_get(frame);
    if (mapped)
        source->cloning++;
    lock_release(&source->lock);
    if (mapped) {
        mapping_change(source, index, index + 1, MAPPING_PROTECT);
        lock_acquire(&source->lock);
        source->cloning--;
        lock_release(&source->lock);
    }
    return frame;
}

static struct frame *take_away(struct memory *source, uint64_t index)
{
    lock_acquire(&source->lock);

    struct frame *frame = memory_remove(source, index);
    bool mapped = frame && !list_empty(&source->regions);

    lock_release(&source->lock);
    if (mapped)
        mapping_change(source, index, index + 1, MAPPING_UNMAP);
    return frame;
}

/* The caller owns the frame once. */
static int take_frame(struct memory *source, uint64_t index, unsigned take, struct frame **frame)
{
    if (take == TAKE_COPY)
        return take_copy(source, index, frame);
    *frame = take == TAKE_MOVE ? take_away(source, index) : take_shared(source, index);
    if (*frame)
        return 0;
    if (!source->pager)
        return frame_alloc(FRAME_ZERO, frame);

    int error = memory_supply(source, index, 0);

    if (error != 0)
        return error == -E_FAULT ? -E_RANGE : error;
    *frame = take_shared(source, index);
    return *frame ? 0 : -E_AGAIN; /* gone again: the service may repeat the call */
}

/* 0: the frame is the object's. 1: it has the page. */
static int give_frame(struct memory *memory, uint64_t index, struct frame *frame, bool dirty)
{
    int result = 1;

    lock_acquire(&memory->lock);
    if (index < memory->pages && !page_at(memory, index)) {
        result = memory_insert(memory, index, frame);
        if (result == 0 && dirty)
            page_tree_mark(&memory->tree, index, PAGE_DIRTY);
        if (result == 0)
            page_arrived(memory->pager, index);
    }
    lock_release(&memory->lock);
    return result;
}

static bool wanted(struct memory *memory, uint64_t index)
{
    lock_acquire(&memory->lock);

    bool absent = !page_at(memory, index);

    lock_release(&memory->lock);
    return absent;
}

int pager_supply(struct memory *memory, uint64_t offset, uint64_t length, struct memory *source,
                 uint64_t source_offset, unsigned flags, uint64_t *pages)
{
    unsigned take;
    int error = check_source(source, flags, &take);

    *pages = 0;
    if (!memory->pager || error != 0)
        return -E_NOT_SUPPORTED;
    if (flags & ~(SUPPLY_MOVE | SUPPLY_DIRTY) || source == memory ||
        (offset | length | source_offset) % PAGE_SIZE)
        return -E_INVALID;
    if (offset + length < offset || offset + length > memory_size(memory) ||
        source_offset + length < source_offset || source_offset + length > memory_size(source))
        return -E_RANGE;
    for (uint64_t done = 0; done < length; done += PAGE_SIZE) {
        uint64_t index = (offset + done) / PAGE_SIZE;
        struct frame *frame;

        if (!wanted(memory, index))
            continue;
        error = take_frame(source, (source_offset + done) / PAGE_SIZE, take, &frame);
        if (error == 0) {
            error = give_frame(memory, index, frame, flags & SUPPLY_DIRTY);
            if (error != 0)
                frame_put(frame);
        }
        if (error < 0)
            return error;
        *pages += error == 0;
        arch_preempt_window();
    }
    return 0;
}

int pager_set_source(struct memory *memory, struct memory *source, unsigned flags)
{
    unsigned take;

    if (!memory->pager || (source && (source->pager || check_source(source, flags, &take) != 0)))
        return -E_NOT_SUPPORTED;
    if (flags & ~SUPPLY_MOVE)
        return -E_INVALID;
    if (source)
        object_get(&source->object);
    lock_acquire(&memory->lock);

    struct memory *before = memory->pager->source;

    memory->pager->source = source;
    memory->pager->source_flags = flags;
    lock_release(&memory->lock);
    if (before)
        object_put(&before->object);
    return 0;
}
