/* Rings between processes: their memory, and the bells. See ring.h. */
#include "abi/errors.h"
#include "lib/ring/ring.h"
#include "lib/sys/clock.h"
#include "lib/sys/map.h"

static bool size_good(uint64_t size)
{
    return size >= RING_SIZE_MIN && size <= RING_SIZE_MAX && (size & (size - 1)) == 0;
}

int64_t ring_create(uint32_t size, handle_t *memory)
{
    if (!size_good(size))
        return -E_INVALID;

    int64_t result = sys_memory_create((uint64_t)size + PAGE_SIZE, MEMORY_FIXED);

    *memory = result < 0 ? HANDLE_NONE : (handle_t)result;
    return MIN(result, INT64_C(0));
}

int64_t ring_open(struct ring *ring, handle_t memory, enum ring_side side)
{
    struct abi_handle_info info;
    int64_t result = sys_handle_info(memory, &info);

    if (result < 0)
        return result;
    if (info.type != OBJECT_MEMORY || !(info.flags & HANDLE_FLAG_FIXED))
        return -E_INVALID;
    result = sys_memory_op(memory, MEMORY_OP_SIZE, 0, 0, NULL);
    if (result < 0)
        return result;
    if (!size_good((uint64_t)result - PAGE_SIZE))
        return -E_INVALID;

    uint64_t length = (uint64_t)result;

    result = memory_map(memory, 0, length, PROT_READ_ | PROT_WRITE_);
    if (result < 0)
        return result;
    ring_init(ring, (void *)result, (uint32_t)(length - PAGE_SIZE), side, &ring_futex, NULL);
    ring->mapped = length;
    return 0;
}

void ring_unmap(struct ring *ring)
{
    sys_ignore(sys_space_unmap(HANDLE_SELF, (uintptr_t)ring->words, ring->mapped));
    ring->words = NULL;
}

static void futex_wake(struct ring *ring, uint32_t *word)
{
    (void)ring;
    sys_ignore(sys_futex_wake(word, 1, FUTEX_SHARED_, FUTEX_ANY));
}

static int64_t futex_sleep(struct ring *ring, uint32_t *word, int64_t deadline)
{
    int64_t result = sys_futex_wait(word, 1, FUTEX_SHARED_, deadline, FUTEX_ANY);

    (void)ring;
    if (result != -E_AGAIN)
        return MIN(result, INT64_C(0));
    /* Rung already; by a hostile side again and again, and still the deadline holds. */
    if (deadline != DEADLINE_NEVER && clock_monotonic() >= deadline)
        return -E_TIMED_OUT;
    return 0;
}

const struct ring_bell ring_futex = {futex_wake, futex_sleep};

static void port_wake(struct ring *ring, uint32_t *word)
{
    (void)word;
    sys_ignore(sys_port_notify(*(handle_t *)ring->context, 1));
}

/* Its own port is told by the other side's bell; this one is for the side that rings a port and sleeps by futex. */
const struct ring_bell ring_port = {port_wake, futex_sleep};
