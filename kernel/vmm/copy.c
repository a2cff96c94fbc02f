/* Copying between spaces: the windows of commands, and what the kernel reads and writes in a space that need not
 * be the current one.
 *
 * A page of the other space is copied under that space's lock, through the direct map, with the user copies that
 * do not resolve faults. What is missing on either side is faulted in with the lock released, and the page is tried
 * again. Device memory has no place in the direct map: E_FAULT.
 */
#include "kernel/vmm/fault.h"
#include "kernel/vmm/region.h"
#include "lib/base/string.h"

struct window {
    struct space *other;
    uint64_t other_at;
    bool write; /* to the other space */
    uaddr_t user;
    char *kernel;
    int (*move)(const struct window *window, uint64_t done, char *other, size_t length);
};

static int move_from(const struct window *window, uint64_t done, char *other, size_t length)
{
    return user_copy_out_nofault(UADDR(window->user.value + done), other, length);
}

static int move_to(const struct window *window, uint64_t done, char *other, size_t length)
{
    return user_copy_in_nofault(other, UADDR(window->user.value + done), length);
}

static int move_from_kernel(const struct window *window, uint64_t done, char *other, size_t length)
{
    memcpy(window->kernel + done, other, length);
    return 0;
}

static int move_to_kernel(const struct window *window, uint64_t done, char *other, size_t length)
{
    memcpy(other, window->kernel + done, length);
    return 0;
}

/* What a program of that space could read or write at the address; NULL: not without a fault. The lock is held. */
static inline char *mapped(struct space *space, uint64_t address, bool write, bool *device)
{
    const pte_t *entry = arch_pte(&space->arch, address, false);

    *device = false;
    if (unlikely(!entry))
        return NULL;

    pte_t pte = *entry;

    if (unlikely(!pte_present(pte) || (write && !pte_writable(pte))))
        return NULL;
    *device = !pte_owned(pte) && !frame_of(pte_paddr(pte)); /* what is owned is a frame */
    if (unlikely(*device))
        return NULL;
    if (unlikely(pte_huge(pte)))
        return (char *)direct_map(pte_paddr(pte)) + address % TABLE_SPAN;
    return (char *)direct_map(pte_paddr(pte)) + address % PAGE_SIZE;
}

static int touch_here(const struct window *window, uint64_t done, size_t length)
{
    uint64_t first = window->user.value + done;
    unsigned access = window->write ? 0 : FAULT_WRITE;

    return fault_resolve(first, access) && fault_resolve(first + length - 1, access) ? 0 : -E_FAULT;
}

/* The page of the other space, which nobody could access. */
static int touch_other(const struct window *window, uint64_t address)
{
    int result = space_fault(window->other, address, window->write ? FAULT_WRITE : 0);

    return result == 0 || result == -E_AGAIN || result == -E_NO_MEMORY ? result : -E_FAULT;
}

static int run(const struct window *window, uint64_t length, uint64_t *done)
{
    struct space *other = window->other;

    *done = 0;
    if (!user_range_ok(UADDR(window->other_at), length) ||
        (!window->kernel && !user_range_ok(window->user, length)))
        return -E_FAULT;
    while (*done < length) {
        uint64_t at = window->other_at + *done;
        size_t piece = MIN(length - *done, PAGE_SIZE - at % PAGE_SIZE);
        bool device;

        lock_acquire(&other->lock);

        char *memory = mapped(other, at, window->write, &device);
        int result = memory ? window->move(window, *done, memory, piece) : 0;

        lock_release(&other->lock);
        if (device)
            return -E_FAULT;
        if (!memory)
            result = touch_other(window, at);
        else if (result == 0)
            *done += piece;
        else
            result = touch_here(window, *done, piece);
        if (result != 0)
            return result;
        if (at % (64 * PAGE_SIZE) < PAGE_SIZE)
            arch_preempt_window();
    }
    return 0;
}

int space_copy_from(struct space *other, uaddr_t from, uaddr_t to_here, uint64_t length,
                    uint64_t *done)
{
    struct window window = {
        .other = other, .other_at = from.value, .user = to_here, .move = move_from};

    return run(&window, length, done);
}

int space_copy_to(struct space *other, uaddr_t to, uaddr_t from_here, uint64_t length,
                  uint64_t *done)
{
    struct window window = {
        .other = other, .other_at = to.value, .write = true, .user = from_here, .move = move_to};

    return run(&window, length, done);
}

/* The short way for what is there: nothing is resolved, so the lock is held throughout. */
static inline __attribute__((always_inline)) int run_present(const struct window *window,
                                                             uint64_t length)
{
    struct space *other = window->other;
    uint64_t done = 0;
    int error = 0;

    if (unlikely(length > SPACE_NOFAULT_MAX || !user_range_ok(UADDR(window->other_at), length)))
        return -E_FAULT;
    lock_acquire(&other->lock);
    while (done < length && likely(!error)) {
        uint64_t at = window->other_at + done;
        size_t piece = MIN(length - done, PAGE_SIZE - at % PAGE_SIZE);
        bool device;
        char *memory = mapped(other, at, true, &device);

        error = likely(memory) ? window->move(window, done, memory, piece) : -E_FAULT;
        done += piece;
    }
    lock_release(&other->lock);
    return error;
}

int space_copy_to_nofault(struct space *other, uaddr_t to, uaddr_t from_here, uint64_t length)
{
    const struct window window = {
        .other = other, .other_at = to.value, .user = from_here, .move = move_to};

    return run_present(&window, length);
}

int space_write_nofault(struct space *other, uaddr_t to, const void *from, uint64_t length)
{
    const struct window window = {.other = other,
                                  .other_at = to.value,
                                  .kernel = (char *)(uintptr_t)from,
                                  .move = move_to_kernel};

    return run_present(&window, length);
}

int space_read(struct space *other, uaddr_t from, void *to, uint64_t length)
{
    struct window window = {
        .other = other, .other_at = from.value, .kernel = to, .move = move_from_kernel};
    uint64_t done;

    return run(&window, length, &done);
}

int space_write(struct space *other, uaddr_t to, const void *from, uint64_t length)
{
    struct window window = {.other = other,
                            .other_at = to.value,
                            .write = true,
                            .kernel = (char *)(uintptr_t)from,
                            .move = move_to_kernel};
    uint64_t done;

    return run(&window, length, &done);
}
