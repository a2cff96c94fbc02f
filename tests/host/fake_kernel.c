/* What tests with fake_cpus.c do not link of the kernel: memory, the personality, objects and calls of other kinds. All of it
 * is weak: a test that is about one of these links the kernel's own. */
#include "abi/errors.h"
#include "kernel/exception.h"
#include "kernel/keeper.h"
#include "kernel/panic.h"
#include "kernel/syscall.h"
#include "kernel/types.h"
#include "kernel/vmm/pager.h"
#include "kernel/vmm/space.h"
#include "tests/host/fake_cpus.h"

#include <stdlib.h>
#include <string.h>

#define WEAK __attribute__((weak))

/* --- Memory: of the test's, for every process ------------------------------------------------------------------ */

char fake_bad[4096], fake_absent[4096];
uint32_t fake_miss_every;
void (*fake_missed)(void), (*fake_copying)(void);

static bool touches(uaddr_t address, uint64_t length, const char *area)
{
    return length && address.value < USER(area) + 4096 && address.value + length > USER(area);
}

static int copy(uint64_t to, uint64_t from, size_t length)
{
    if (touches(UADDR(to), length, fake_bad) || touches(UADDR(from), length, fake_bad))
        return -E_FAULT;
    if (length)
        memcpy((void *)(uintptr_t)to, (const void *)(uintptr_t)from, length);
    return 0;
}

WEAK int user_copy_in(void *to, uaddr_t from, size_t length)
{
    return copy(USER(to), from.value, length);
}

WEAK int user_copy_out(uaddr_t to, const void *from, size_t length)
{
    return copy(to.value, USER(from), length);
}

WEAK int user_copy_in_nofault(void *to, uaddr_t from, size_t length)
{
    return touches(from, length, fake_absent) ? -E_FAULT : user_copy_in(to, from, length);
}

WEAK int user_copy_out_nofault(uaddr_t to, const void *from, size_t length)
{
    return touches(to, length, fake_absent) ? -E_FAULT : user_copy_out(to, from, length);
}

WEAK int user_zero(uaddr_t to, size_t length)
{
    if (touches(to, length, fake_bad))
        return -E_FAULT;
    memset((void *)(uintptr_t)to.value, 0, length);
    return 0;
}

WEAK int user_read_u32(uaddr_t from, uint32_t *value)
{
    if (touches(from, 4, fake_bad))
        return -E_FAULT;
    *value = __atomic_load_n((const uint32_t *)(uintptr_t)from.value, __ATOMIC_RELAXED);
    return 0;
}

WEAK int user_read_u32_nofault(uaddr_t from, uint32_t *value)
{
    return touches(from, 4, fake_absent) ? -E_FAULT : user_read_u32(from, value);
}

WEAK int space_new(struct account *account, struct space **result)
{
    (void)account;

    struct space *space = calloc(1, sizeof(*space));

    if (!space)
        return -E_NO_MEMORY;
    space->references = 1;
    *result = space;
    return 0;
}

WEAK void space_get(struct space *space)
{
    __atomic_fetch_add(&space->references, 1, __ATOMIC_RELAXED);
}

WEAK void space_put(struct space *space)
{
    if (__atomic_fetch_sub(&space->references, 1, __ATOMIC_ACQ_REL) == 1)
        free(space);
}

WEAK void space_leave(struct space *space)
{
    (void)space;
}

WEAK int space_fork(struct space *parent, bool alone, struct space **child)
{
    (void)parent, (void)alone, (void)child;
    return -E_NO_MEMORY;
}

WEAK int space_fault(struct space *space, uint64_t address, unsigned access)
{
    (void)space, (void)access;
    return touches(UADDR(address), 1, fake_bad) ? -E_FAULT : 0;
}

WEAK int space_futex_key(struct space *space, uaddr_t address, bool shared, struct futex_key *key)
{
    *key = (struct futex_key){shared ? 1 : USER(space), address.value};
    return 0;
}

WEAK int space_copy_to(struct space *other, uaddr_t to, uaddr_t from_here, uint64_t length,
                       uint64_t *done)
{
    void (*hook)(void) = __atomic_load_n(&fake_copying, __ATOMIC_RELAXED);

    if (hook)
        hook();

    int error = copy(to.value, from_here.value, length);

    (void)other;
    *done = error ? 0 : length;
    return error;
}

WEAK int space_copy_from(struct space *other, uaddr_t from, uaddr_t to_here, uint64_t length,
                         uint64_t *done)
{
    return space_copy_to(other, to_here, from, length, done);
}

/* Of a page that is not there yet, and of one that will never be. */
static bool misses(uaddr_t address, uint64_t length)
{
    if (fake_miss_every && user_random() % fake_miss_every == 0)
        return true;
    return touches(address, length, fake_absent) || touches(address, length, fake_bad);
}

static int missed(void)
{
    if (fake_missed)
        fake_missed();
    return -E_FAULT;
}

WEAK int space_copy_to_nofault(struct space *other, uaddr_t to, uaddr_t from_here, uint64_t length)
{
    (void)other;
    return misses(to, length) || misses(from_here, length)
               ? missed()
               : copy(to.value, from_here.value, length);
}

WEAK int space_write_nofault(struct space *other, uaddr_t to, const void *from, uint64_t length)
{
    (void)other;
    return misses(to, length) ? missed() : copy(to.value, USER(from), length);
}

WEAK bool pager_fetch_missed(void)
{
    return false;
}

/* --- Other parts ------------------------------------------------------------------------------------------------ */

WEAK void port_drop_kept(struct port *port)
{
    (void)port;
}

WEAK void keeper_process_gone(struct process *process)
{
    (void)process;
}

WEAK void arch_ports_free(struct process *process)
{
    (void)process;
}

WEAK void personality_enter(struct thread *thread, struct abi_frame *frame, uint64_t entry)
{
    (void)thread, (void)frame, (void)entry;
    abort();
}

WEAK void arch_frame_change(struct abi_frame *frame, const struct abi_frame *registers)
{
    *frame = *registers;
}

#define NO_FLAGS_OF(name)                                                   \
    WEAK int64_t name(struct object *object, uint32_t mask, uint32_t value) \
    {                                                                       \
        (void)object, (void)mask, (void)value;                              \
        abort();                                                            \
    }
NO_FLAGS_OF(stream_flags)
NO_FLAGS_OF(listener_flags)
NO_FLAGS_OF(timer_object_flags)

#define NO_SUCH_OBJECT(name)              \
    WEAK void name(struct object *object) \
    {                                     \
        (void)object;                     \
        abort();                          \
    }
NO_SUCH_OBJECT(memory_destroy)
NO_SUCH_OBJECT(stream_closed)
NO_SUCH_OBJECT(stream_destroy)
NO_SUCH_OBJECT(listener_closed)
NO_SUCH_OBJECT(listener_destroy)
NO_SUCH_OBJECT(timer_object_closed)
NO_SUCH_OBJECT(timer_object_destroy)
NO_SUCH_OBJECT(resource_destroy)
NO_SUCH_OBJECT(irq_closed)
NO_SUCH_OBJECT(irq_destroy)

/* Ports keep nothing here (kept.c is not linked). */
WEAK bool port_held(struct object *object, uint64_t *position, object_visitor *visit)
{
    (void)object, (void)position, (void)visit;
    return true;
}

#define HOLDS_NOTHING(name)                                                          \
    WEAK bool name(struct object *object, uint64_t *position, object_visitor *visit) \
    {                                                                                \
        (void)object, (void)position, (void)visit;                                   \
        abort();                                                                     \
    }
HOLDS_NOTHING(stream_held)
HOLDS_NOTHING(listener_held)

/* Every call that nothing else defines. */
#pragma GCC diagnostic ignored "-Wunused-parameter"
#define ABSENT(name, ...)                \
    WEAK int64_t sys_##name(__VA_ARGS__) \
    {                                    \
        return -E_NO_CALL;               \
    }
#define SYSCALL0(number, name, object, rights, meaning)         ABSENT(name, ONLY_##object)
#define SYSCALL1(number, name, object, rights, t1, n1, meaning) ABSENT(name, FIRST_##object t1 n1)
#define SYSCALL2(number, name, object, rights, t1, n1, t2, n2, meaning) \
    ABSENT(name, FIRST_##object t1 n1, t2 n2)
#define SYSCALL3(number, name, object, rights, t1, n1, t2, n2, t3, n3, meaning) \
    ABSENT(name, FIRST_##object t1 n1, t2 n2, t3 n3)
#define SYSCALL4(number, name, object, rights, t1, n1, t2, n2, t3, n3, t4, n4, meaning) \
    ABSENT(name, FIRST_##object t1 n1, t2 n2, t3 n3, t4 n4)
#define SYSCALL5(number, name, object, rights, t1, n1, t2, n2, t3, n3, t4, n4, t5, n5, meaning) \
    ABSENT(name, FIRST_##object t1 n1, t2 n2, t3 n3, t4 n4, t5 n5)
#define REGISTERS(number, name, object, rights, meaning)
#include "abi/syscalls.def"
