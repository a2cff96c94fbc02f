/* Dispatch of native system calls: one table, expanded from abi/syscalls.def.
 *
 * Where the first argument is a handle, it is looked up here and its type and rights are checked before the handler
 * runs. Each call has a small adapter that gives the registers their types.
 */
#include "kernel/syscall.h"

#include "abi/errors.h"
#include "kernel/proto/namespace.h"

/* Arguments are read through a pointer of their own type: uaddr_t is a structure, and the machine is little-endian. */
#define ARGUMENT(type, index) (*(const type *)&a[index])

#define PASS_NONE
#define PASS_ANY       ARGUMENT(handle_t, 0),
#define PASS_MEMORY    object,
#define PASS_PROCESS   object,
#define PASS_THREAD    object,
#define PASS_PORT      object,
#define PASS_FILE      object,
#define PASS_NAMESPACE object,
#define PASS_STREAM    object,
#define PASS_TIMER     object,
#define PASS_RESOURCE  object,
#define PASS_IRQ       object,
#define PASS_LISTENER  object,

#define ALONE_NONE
#define ALONE_ANY      ARGUMENT(handle_t, 0)
#define ALONE_IRQ      object
#define ALONE_RESOURCE object

/* Where the arguments behind the handle start. */
enum {
    BASE_NONE = 0,
    BASE_ANY = 1,
#define OBJECT(number, name, rights, meaning) BASE_##name = 1,
#include "abi/objects.def"
#undef OBJECT
};

#define ADAPTER(name, ...)                                               \
    static int64_t call_##name(struct object *object, const uint64_t *a) \
    {                                                                    \
        (void)object, (void)a;                                           \
        return sys_##name(__VA_ARGS__);                                  \
    }
#define SYSCALL0(number, name, object, rights, meaning) ADAPTER(name, ALONE_##object)
#define SYSCALL1(number, name, object, rights, t1, n1, meaning) \
    ADAPTER(name, PASS_##object ARGUMENT(t1, BASE_##object))
#define SYSCALL2(number, name, object, rights, t1, n1, t2, n2, meaning) \
    ADAPTER(name, PASS_##object ARGUMENT(t1, BASE_##object), ARGUMENT(t2, BASE_##object + 1))
#define SYSCALL3(number, name, object, rights, t1, n1, t2, n2, t3, n3, meaning)               \
    ADAPTER(name, PASS_##object ARGUMENT(t1, BASE_##object), ARGUMENT(t2, BASE_##object + 1), \
            ARGUMENT(t3, BASE_##object + 2))
#define SYSCALL4(number, name, object, rights, t1, n1, t2, n2, t3, n3, t4, n4, meaning)       \
    ADAPTER(name, PASS_##object ARGUMENT(t1, BASE_##object), ARGUMENT(t2, BASE_##object + 1), \
            ARGUMENT(t3, BASE_##object + 2), ARGUMENT(t4, BASE_##object + 3))
#define SYSCALL5(number, name, object, rights, t1, n1, t2, n2, t3, n3, t4, n4, t5, n5, meaning) \
    ADAPTER(name, PASS_##object ARGUMENT(t1, BASE_##object), ARGUMENT(t2, BASE_##object + 1),   \
            ARGUMENT(t3, BASE_##object + 2), ARGUMENT(t4, BASE_##object + 3),                   \
            ARGUMENT(t5, BASE_##object + 4))
#define REGISTERS(number, name, object, rights, meaning) /* kernel/ipc/short.c */
#include "abi/syscalls.def"
#undef SYSCALL0
#undef SYSCALL1
#undef SYSCALL2
#undef SYSCALL3
#undef SYSCALL4
#undef SYSCALL5

struct syscall_entry {
    int64_t (*call)(struct object *object, const uint64_t *arguments);
    uint32_t rights;
    uint8_t type; /* OBJECT_*: what to look up; NONE and ANY: nothing */
};

#define ENTRY(number, name, object, rights_)                    [number] = {call_##name, (rights_), OBJECT_##object},
#define SYSCALL0(number, name, object, rights, meaning)         ENTRY(number, name, object, rights)
#define SYSCALL1(number, name, object, rights, t1, n1, meaning) ENTRY(number, name, object, rights)
#define SYSCALL2(number, name, object, rights, t1, n1, t2, n2, meaning) \
    ENTRY(number, name, object, rights)
#define SYSCALL3(number, name, object, rights, t1, n1, t2, n2, t3, n3, meaning) \
    ENTRY(number, name, object, rights)
#define SYSCALL4(number, name, object, rights, t1, n1, t2, n2, t3, n3, t4, n4, meaning) \
    ENTRY(number, name, object, rights)
#define SYSCALL5(number, name, object, rights, t1, n1, t2, n2, t3, n3, t4, n4, t5, n5, meaning) \
    ENTRY(number, name, object, rights)
static const struct syscall_entry table[SYSCALL_LIMIT] = {
#include "abi/syscalls.def"
};

/* The caller's own object that HANDLE_SELF stands for; NULL: it stands for none. */
static struct object *self_object(struct thread *self, uint8_t type)
{
    switch (type) {
    case OBJECT_PROCESS:
        return &self->process->object;
    case OBJECT_THREAD:
        return &self->object;
    case OBJECT_NAMESPACE: /* another thread may give the process another one meanwhile */
        return &process_names_get(self->process)->object;
    default:
        return NULL;
    }
}

int64_t syscall_entry(const uint64_t arguments[6], uint32_t number)
{
    if (unlikely(number >= SYSCALL_LIMIT || !table[number].call))
        return -E_NO_CALL;

    const struct syscall_entry *entry = &table[number];

    if (entry->type == OBJECT_NONE || entry->type == OBJECT_ANY)
        return entry->call(NULL, arguments);

    struct thread *self = thread_current();
    handle_t handle = (handle_t)arguments[0];
    struct object *object;

    if (handle == HANDLE_SELF && (object = self_object(self, entry->type))) {
        self->call_rights = RIGHT_ALL;

        int64_t result = entry->call(object, arguments);

        if (entry->type == OBJECT_NAMESPACE)
            object_put(object);
        return result;
    }

    int error = handle_lookup(self->process->handles, handle, entry->type, entry->rights, &object,
                              &self->call_rights);

    if (unlikely(error))
        return error;

    int64_t result = entry->call(object, arguments);

    object_put(object);
    return result;
}
