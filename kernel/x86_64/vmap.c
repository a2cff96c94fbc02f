/* Kernel mappings outside the direct map: device memory, and kernel stacks with a guard page below.
 *
 * Device memory: blocks in a list sorted by address, found first fit, one unmapped page behind each. Unmapping flushes
 * on every CPU at once: a stale entry would let the kernel reach a device, or what took its place.
 *
 * Stacks: the area is an array of slots {guard page, stack}. A slot is in use, or kept by a CPU for the next thread,
 * or free. Freeing takes the frames back at once but flushes nothing: nobody uses the address. Only before an address
 * is mapped again must old translations be gone; so freed slots are collected (dirty) and flushed together:
 *
 *     bump --> in use <--> kept by a CPU
 *                ^  \--> dirty --(STACKS_DIRTY of them: one flush on all CPUs)--> clean --> in use
 *
 * The lists of free slots are chained through the page-table entry of the guard page, which is never present.
 * Lock: vmap_lock for the list of blocks and the lists of slots.
 */
#include "kernel/panic.h"
#include "kernel/sched/thread.h"
#include "kernel/vmm/frame.h"
#include "kernel/vmm/heap.h"
#include "kernel/x86_64/machine.h"

struct block {
    struct list link;
    uint64_t start, end; /* page-aligned, guard page included */
};

#define STACK_PAGES  (KERNEL_STACK_SIZE / PAGE_SIZE)
#define SLOT_SIZE    (KERNEL_STACK_SIZE + PAGE_SIZE)
#define STACKS_DIRTY 64u

static struct lock vmap_lock = LOCK_INIT(RANK_ARCH, "vmap");
static struct list blocks = LIST_INIT(blocks);
static uint64_t slots_used;   /* ever: the rest was never mapped */
static uint64_t clean, dirty; /* first of each list: slot + 1; 0: empty */
static unsigned dirty_count;

/* --- Device memory --- */

/* Finds a hole and puts the block there. */
static bool place_block(struct block *block, uint64_t length)
{
    struct list *position = &blocks;
    uint64_t start = VMAP_BASE;

    lock_acquire(&vmap_lock);
    list_for_each (struct block, other, &blocks, link) {
        if (other->start - start >= length) {
            position = &other->link;
            break;
        }
        start = other->end;
    }
    bool fits = VMAP_BASE + VMAP_SIZE - start >= length;
    if (fits) {
        block->start = start;
        block->end = start + length;
        list_insert_before(position, &block->link);
    }
    lock_release(&vmap_lock);
    return fits;
}

static void remove_block(struct block *block)
{
    lock_acquire(&vmap_lock);
    list_remove(&block->link);
    lock_release(&vmap_lock);
    heap_free(block);
}

static void clear(uint64_t start, uint64_t end)
{
    for (uint64_t address = start; address < end; address += PAGE_SIZE) {
        pte_t *entry = kernel_pte(address, false);

        if (entry)
            *entry = 0;
    }
}

void *arch_map_device(paddr_t base, uint64_t length, unsigned flags)
{
    uint64_t offset = base.value % PAGE_SIZE;
    uint64_t physical = base.value - offset;

    if (!length || length > VMAP_SIZE || base.value + length < base.value ||
        base.value + length > PTE_ADDRESS)
        return NULL;
    uint64_t size = ALIGN_UP(length + offset, PAGE_SIZE);
    struct block *block = heap_alloc(sizeof(*block));
    if (!block)
        return NULL;
    if (!place_block(block, size + PAGE_SIZE)) {
        heap_free(block);
        return NULL;
    }
    for (uint64_t at = 0; at < size; at += PAGE_SIZE) {
        pte_t *entry = kernel_pte(block->start + at, true);

        if (!entry) {
            clear(block->start, block->start + at);
            tlb_flush_kernel(block->start, block->start + size);
            remove_block(block);
            return NULL;
        }
        *entry = pte_make(PADDR(physical + at), (flags & ~PAGE_USER) | PAGE_GLOBAL);
    }
    return (void *)(block->start + offset);
}

void arch_unmap_device(void *address, uint64_t length)
{
    uint64_t start = ALIGN_DOWN((uint64_t)address, PAGE_SIZE);
    struct block *found = NULL;

    (void)length; /* the block knows */
    lock_acquire(&vmap_lock);
    list_for_each (struct block, block, &blocks, link) {
        if (block->start == start)
            found = block;
    }
    lock_release(&vmap_lock);
    ASSERT(found);
    clear(found->start, found->end);
    tlb_flush_kernel(found->start, found->end);
    remove_block(found); /* only now may the addresses be used again */
}

/* --- Kernel stacks --- */

static uint64_t slot_address(uint64_t slot)
{
    return STACKS_BASE + slot * SLOT_SIZE;
}

/* Room for "the next free slot" of a free one. Bit 0, present, stays clear. */
static pte_t *slot_link(uint64_t slot)
{
    return kernel_pte(slot_address(slot), false);
}

/* The lists' lock is held. */
static void push_slot(uint64_t *head, uint64_t slot)
{
    *slot_link(slot) = *head << 1;
    *head = slot + 1;
}

static uint64_t pop_slot(uint64_t *head)
{
    uint64_t slot = *head - 1;

    *head = *slot_link(slot) >> 1;
    *slot_link(slot) = 0;
    return slot;
}

static bool take_slot(uint64_t *slot)
{
    bool taken = true;

    lock_acquire(&vmap_lock);
    if (clean)
        *slot = pop_slot(&clean);
    else if ((slots_used + 1) * SLOT_SIZE <= STACKS_SIZE)
        *slot = slots_used++;
    else
        taken = false;
    lock_release(&vmap_lock);
    return taken;
}

/* The slot has no pages, but other CPUs may have cached some that it had. */
static void give_slot(uint64_t slot)
{
    uint64_t batch = 0;

    lock_acquire(&vmap_lock);
    push_slot(&dirty, slot);
    if (++dirty_count == STACKS_DIRTY) {
        batch = dirty;
        dirty = 0;
        dirty_count = 0;
    }
    lock_release(&vmap_lock);
    if (!batch)
        return;
    tlb_flush_kernel(0, 0);
    lock_acquire(&vmap_lock);
    while (batch)
        push_slot(&clean, pop_slot(&batch));
    lock_release(&vmap_lock);
}

static void unmap_stack(uint64_t slot, unsigned pages)
{
    uint64_t bottom = slot_address(slot) + PAGE_SIZE;

    for (unsigned i = 0; i < pages; i++) {
        pte_t *entry = kernel_pte(bottom + i * PAGE_SIZE, false);

        frame_put(frame_of(pte_paddr(*entry)));
        *entry = 0;
    }
}

/* False: no memory. The guard page's table is made as well: slot_link needs it. */
static bool map_stack(uint64_t slot)
{
    uint64_t bottom = slot_address(slot) + PAGE_SIZE;

    if (!kernel_pte(slot_address(slot), true))
        return false;
    for (unsigned i = 0; i < STACK_PAGES; i++) {
        pte_t *entry = kernel_pte(bottom + i * PAGE_SIZE, true);
        struct frame *frame;

        if (!entry || frame_alloc(process_is_system() ? FRAME_SYSTEM : 0, &frame)) {
            unmap_stack(slot, i);
            return false;
        }
        *entry = pte_make(frame_paddr(frame), PAGE_WRITE | PAGE_GLOBAL);
    }
    return true;
}

void *arch_stack_alloc(void)
{
    struct arch_cpu *arch = &cpu_self()->arch;
    uint64_t slot;

    if (arch->stack_count)
        return arch->stacks[--arch->stack_count];
    if (!take_slot(&slot))
        return NULL;
    if (!map_stack(slot)) {
        if (slot_link(slot))
            give_slot(slot);
        return NULL;
    }
    return (void *)(slot_address(slot) + SLOT_SIZE);
}

void arch_stack_free(void *top)
{
    struct arch_cpu *arch = &cpu_self()->arch;
    uint64_t slot = ((uint64_t)top - STACKS_BASE) / SLOT_SIZE - 1;

    if (arch->stack_count < STACKS_KEPT) {
        arch->stacks[arch->stack_count++] = top;
        return;
    }
    unmap_stack(slot, STACK_PAGES);
    give_slot(slot);
}

uint64_t arch_frames_cached(void)
{
    uint64_t stacks = 0;

    for (uint32_t i = 0; i < CPU_MAX; i++)
        if (cpus[i])
            stacks += __atomic_load_n(&cpus[i]->arch.stack_count, __ATOMIC_RELAXED);
    return stacks * STACK_PAGES + tables_cached() +
           __atomic_load_n(&kernel_tables, __ATOMIC_RELAXED);
}
