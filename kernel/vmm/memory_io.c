/* Reading and writing memory objects from the kernel: the MEMORY_OP_* calls and boot.
 *
 * Bytes are copied page by page under memory->lock, with the user copies that do not resolve faults: the lock keeps
 * the frame in the object and unshared while it is written. What a copy lacks (a page of the object, a page of the
 * program) is supplied with the lock released, and the page is tried again.
 */
#include "kernel/panic.h"
#include "kernel/vmm/fault.h"
#include "kernel/vmm/memory.h"
#include "lib/base/string.h"

enum direction { FROM_MEMORY, TO_MEMORY, ZERO_MEMORY };

struct transfer {
    struct memory *memory;
    enum direction direction;
    uaddr_t user; /* where kernel is NULL */
    char *kernel; /* only read when TO_MEMORY */
};

static const char zeros[PAGE_SIZE];

/* One piece within a page, under the lock. E_AGAIN: the object lacks the page. E_FAULT: the user copy failed. */
static int piece_locked(struct transfer *transfer, uint64_t offset, uint64_t done, size_t length)
{
    struct memory *memory = transfer->memory;
    uint64_t index = offset / PAGE_SIZE;
    const char *source = zeros;
    char *data = NULL;

    if (index >= memory->pages)
        return -E_RANGE;
    if (memory->flags & MEMORY_IS_PHYSICAL) {
        data = memory_boot_data(memory, index);
    } else {
        struct frame **slot = page_tree_find(&memory->tree, index);

        if (slot && *slot && (transfer->direction == FROM_MEMORY || frame_owners(*slot) == 1))
            data = frame_data(*slot);
        else if (transfer->direction == TO_MEMORY || memory->pager || (slot && *slot))
            return -E_AGAIN;
        else if (transfer->direction == ZERO_MEMORY)
            return 0;
    }
    if (data) {
        data += offset % PAGE_SIZE;
        source = data;
        if (memory->pager && transfer->direction != FROM_MEMORY)
            page_tree_mark(&memory->tree, index, PAGE_DIRTY);
    }
    switch (transfer->direction) {
    case FROM_MEMORY:
        if (!transfer->kernel)
            return user_copy_out_nofault(UADDR(transfer->user.value + done), source, length);
        memcpy(transfer->kernel + done, source, length);
        return 0;
    case TO_MEMORY:
        if (!transfer->kernel)
            return user_copy_in_nofault(data, UADDR(transfer->user.value + done), length);
        memcpy(data, transfer->kernel + done, length);
        return 0;
    case ZERO_MEMORY:
        memset(data, 0, length);
        return 0;
    }
    return -E_INVALID;
}

/* Make the piece's part of the program's memory accessible; it may lie in two pages. */
static int touch_user(const struct transfer *transfer, uint64_t done, size_t length)
{
    uint64_t first = transfer->user.value + done, last = first + length - 1;
    unsigned access = transfer->direction == FROM_MEMORY ? FAULT_WRITE : 0;

    if (!fault_resolve(first, access) || !fault_resolve(last, access))
        return -E_FAULT;
    return 0;
}

static int run(struct transfer *transfer, uint64_t offset, uint64_t length)
{
    struct memory *memory = transfer->memory;

    if (memory->flags & MEMORY_IS_DEVICE)
        return -E_NOT_SUPPORTED;
    if (offset + length < offset || offset + length > memory_size(memory))
        return -E_RANGE;
    if (transfer->direction != ZERO_MEMORY && !transfer->kernel &&
        !user_range_ok(transfer->user, length))
        return -E_FAULT;
    for (uint64_t done = 0; done < length;) {
        uint64_t at = offset + done;
        size_t piece = MIN(length - done, PAGE_SIZE - at % PAGE_SIZE);

        lock_acquire(&memory->lock);

        int result = piece_locked(transfer, at, done, piece);

        lock_release(&memory->lock);
        if (result == 0)
            done += piece;
        else if (result == -E_AGAIN)
            result = memory_supply(memory, at / PAGE_SIZE,
                                   transfer->direction == FROM_MEMORY ? 0 : PAGE_FOR_WRITE);
        else if (result == -E_FAULT && !transfer->kernel)
            result = touch_user(transfer, done, piece);
        if (result != 0)
            return result;
        arch_preempt_window();
    }
    return 0;
}

int memory_read(struct memory *memory, uint64_t offset, uaddr_t to, uint64_t length)
{
    return run(&(struct transfer){memory, FROM_MEMORY, to, NULL}, offset, length);
}

int memory_write(struct memory *memory, uint64_t offset, uaddr_t from, uint64_t length)
{
    return run(&(struct transfer){memory, TO_MEMORY, from, NULL}, offset, length);
}

int memory_read_kernel(struct memory *memory, uint64_t offset, void *to, uint64_t length)
{
    return run(&(struct transfer){memory, FROM_MEMORY, UADDR(0), to}, offset, length);
}

int memory_write_kernel(struct memory *memory, uint64_t offset, const void *from, uint64_t length)
{
    return run(&(struct transfer){memory, TO_MEMORY, UADDR(0), (char *)(uintptr_t)from}, offset,
               length);
}

int memory_fill_zero(struct memory *memory, uint64_t offset, uint64_t length)
{
    return run(&(struct transfer){memory, ZERO_MEMORY, UADDR(0), NULL}, offset, length);
}

int memory_commit(struct memory *memory, uint64_t offset, uint64_t length)
{
    if (offset + length < offset || offset + length > memory_size(memory))
        return -E_RANGE;
    for (uint64_t at = ALIGN_DOWN(offset, (uint64_t)PAGE_SIZE); at < offset + length;
         at += PAGE_SIZE) {
        int result = memory_supply(memory, at / PAGE_SIZE, 0);

        if (result != 0)
            return result == -E_FAULT ? -E_RANGE : result;
        arch_preempt_window();
    }
    return 0;
}
