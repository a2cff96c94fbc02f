/* Dirty pages of memory with a pager: which there are, writing them back, and taking clean ones away. See pager.h for
 * the states. The marks are the tree's, changed under memory->lock.
 *
 * A page that is collected loses its mark first and its writable entries after that:
 *
 *     service: pager_collect                        program
 *     memory->lock: DIRTY -> WRITING
 *                                                   writes through its old entry: in the page before it is read
 *     every entry read-only, flushed
 *     reads the page, writes it to the medium       writes: faults, DIRTY
 *
 * so no write is missed: it is in what the service reads, or the page is dirty again.
 */
#include "abi/errors.h"
#include "abi/ops.h"
#include "kernel/panic.h"
#include "kernel/vmm/pager.h"

#define RUN_MAX 256u /* pages of a run, so that a lock is not held for long */
#define BATCH   64u

/* A range of pages of memory with a pager. E_NOT_SUPPORTED, E_INVALID (alignment), E_RANGE. */
static int check_range(const struct memory *memory, uint64_t offset, uint64_t length,
                       uint64_t *first, uint64_t *end)
{
    if (!memory->pager)
        return -E_NOT_SUPPORTED;
    if ((offset | length) % PAGE_SIZE)
        return -E_INVALID;
    if (offset + length < offset || offset + length > memory_size(memory))
        return -E_RANGE;
    *first = offset / PAGE_SIZE;
    *end = (offset + length) / PAGE_SIZE;
    return 0;
}

/* The first dirty pages of [first, end) that lie together. */
static uint64_t find_run_locked(const struct memory *memory, uint64_t *first, uint64_t end)
{
    uint64_t last;

    if (!page_tree_next_marked(&memory->tree, PAGE_DIRTY, first, end))
        return 0;
    end = MIN(end, *first + RUN_MAX);
    last = *first + 1;
    while (last < end && page_tree_marked(&memory->tree, last, PAGE_DIRTY))
        last++;
    return last - *first;
}

int pager_dirty(struct memory *memory, uint64_t offset, uint64_t length, struct page_run *run)
{
    uint64_t first, end;
    int error = check_range(memory, offset, length, &first, &end);

    if (error != 0)
        return error;
    lock_acquire(&memory->lock);
    run->count = find_run_locked(memory, &first, end);
    lock_release(&memory->lock);
    run->first = first;
    return 0;
}

int pager_collect(struct memory *memory, uint64_t offset, uint64_t length, struct page_run *run)
{
    uint64_t first, end;
    int error = check_range(memory, offset, length, &first, &end);

    if (error != 0)
        return error;
    lock_acquire(&memory->lock);
    run->count = find_run_locked(memory, &first, end);
    run->first = first;
    for (uint64_t i = first; i < first + run->count; i++) {
        page_tree_unmark(&memory->tree, i, PAGE_DIRTY);
        page_tree_mark(&memory->tree, i, PAGE_WRITING);
    }
    lock_release(&memory->lock);
    if (run->count)
        mapping_change(memory, first, first + run->count, MAPPING_PROTECT);
    return 0;
}

/* Pages that are being written leave that state, and become dirty again or not. */
static void end_writing(struct memory *memory, uint64_t first, uint64_t end, bool dirty)
{
    unsigned count = 0;

    lock_acquire(&memory->lock);
    while (page_tree_next_marked(&memory->tree, PAGE_WRITING, &first, end)) {
        page_tree_unmark(&memory->tree, first, PAGE_WRITING);
        if (dirty)
            page_tree_mark(&memory->tree, first, PAGE_DIRTY);
        first++;
        if (++count % BATCH == 0) {
            lock_release(&memory->lock);
            arch_preempt_window();
            lock_acquire(&memory->lock);
        }
    }
    lock_release(&memory->lock);
}

int pager_written(struct memory *memory, uint64_t offset, uint64_t length)
{
    uint64_t first, end;
    int error = check_range(memory, offset, length, &first, &end);

    if (error == 0)
        end_writing(memory, first, end, false);
    return error;
}

int pager_redirty(struct memory *memory, uint64_t offset, uint64_t length)
{
    uint64_t first, end;
    int error = check_range(memory, offset, length, &first, &end);

    if (error == 0)
        end_writing(memory, first, end, true);
    return error;
}

int pager_present(struct memory *memory, uint64_t offset, uint64_t length, uint64_t *words)
{
    uint64_t first, end;
    int error = check_range(memory, offset, length, &first, &end);

    if (error != 0)
        return error;
    lock_acquire(&memory->lock);
    for (uint64_t at = first; at < end; at += PAGE_TREE_WAYS) {
        uint64_t *word = &words[(at - first) / PAGE_TREE_WAYS];

        *word = page_tree_present(&memory->tree, at);
        if (end - at < PAGE_TREE_WAYS)
            *word &= BIT(end - at) - 1;
    }
    lock_release(&memory->lock);
    return 0;
}

void pager_restart(struct memory *memory)
{
    end_writing(memory, 0, PAGE_TREE_LIMIT, true);
}

/* --- Taking pages away ------------------------------------------------------------------------------------- */

/* Clean pages of [*first, end) out of the tree, up to BATCH; *first: where to go on. */
static unsigned take_clean(struct memory *memory, uint64_t *first, uint64_t end,
                           struct frame **frames)
{
    unsigned count = 0, looked = 0;

    lock_acquire(&memory->lock);
    while (count < BATCH && looked++ < RUN_MAX &&
           page_tree_next(&memory->tree, first, end) != NULL) {
        uint64_t index = (*first)++;

        if (page_tree_marked(&memory->tree, index, PAGE_DIRTY) ||
            page_tree_marked(&memory->tree, index, PAGE_WRITING))
            continue;
        frames[count++] = memory_remove(memory, index);
    }
    lock_release(&memory->lock);
    return count;
}

int pager_evict(struct memory *memory, uint64_t offset, uint64_t length, uint64_t *pages)
{
    struct frame *frames[BATCH];
    uint64_t first, end;
    int error = check_range(memory, offset, length, &first, &end);

    *pages = 0;
    if (error != 0)
        return error;
    while (first < end) {
        uint64_t from = first;
        unsigned count = take_clean(memory, &first, end, frames);

        if (count > 0)
            mapping_change(memory, from, first, MAPPING_UNMAP); /* dirty ones come back */
        for (unsigned i = 0; i < count; i++)
            frame_put(frames[i]);
        *pages += count;
        arch_preempt_window();
    }
    return 0;
}

/* --- For clients ------------------------------------------------------------------------------------------- */

/* Is anything of the range not on the medium? */
static bool unwritten(struct memory *memory, uint64_t first, uint64_t end)
{
    uint64_t dirty = first, writing = first;

    lock_acquire(&memory->lock);

    bool found = page_tree_next_marked(&memory->tree, PAGE_DIRTY, &dirty, end) ||
                 page_tree_next_marked(&memory->tree, PAGE_WRITING, &writing, end);

    lock_release(&memory->lock);
    return found;
}

int pager_sync(struct memory *memory, uint64_t offset, uint64_t length)
{
    uint64_t first, end;
    int error = check_range(memory, offset, length, &first, &end);

    if (error != 0 || !unwritten(memory, first, end))
        return error;
    if (pager_serves(memory->pager))
        return -E_DEADLOCK;

    struct pager_answer answer;

    return pager_ask(memory->pager, OP_PAGE_OUT, offset, length, 0, &answer);
}
