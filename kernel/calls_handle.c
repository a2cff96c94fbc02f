/* System calls on handles of any type, and waiting for several objects at once. */
#include "abi/errors.h"
#include "kernel/ipc/stream.h"
#include "kernel/ipc/stream_listen.h"
#include "kernel/ipc/timer_object.h"
#include "kernel/proto/file.h"
#include "kernel/sched/wait.h"
#include "kernel/syscall.h"
#include "kernel/vmm/heap.h"
#include "kernel/vmm/memory.h"

int64_t sys_handle_close(handle_t handle)
{
    return handle_remove(process_current()->handles, handle);
}

int64_t sys_handle_duplicate(handle_t handle, uint32_t rights)
{
    handle_t copy;
    int error = handle_duplicate(process_current()->handles, handle, rights, &copy);

    return error ? error : copy;
}

static uint32_t file_flags(struct object *object, uint32_t mask, uint32_t value)
{
    struct file *file = container_of(object, struct file, object);

    return file_change_flags(file, mask, value);
}

#define TIMER_FLAGS (HANDLE_FLAG_SINGLE | HANDLE_FLAG_REAL | HANDLE_FLAG_CANCEL)

/* What a program can open has flags; mask 0 only reads them. */
static int64_t flags_of(struct object *object, uint32_t mask, uint32_t value)
{
    if (mask & TIMER_FLAGS && object->type != OBJECT_TIMER)
        return -E_INVALID;
    switch (object->type) {
    case OBJECT_FILE:
        return file_flags(object, mask, value);
    case OBJECT_STREAM:
        return stream_flags(object, mask, value);
    case OBJECT_LISTENER:
        return listener_flags(object, mask, value);
    case OBJECT_TIMER:
        return timer_object_flags(object, mask, value);
    default:
        return -E_WRONG_TYPE;
    }
}

static int64_t memory_flags(struct object *object)
{
    const struct memory *memory = container_of(object, struct memory, object);

    return memory->flags & MEMORY_FIXED ? HANDLE_FLAG_FIXED : 0;
}

int64_t sys_handle_info(handle_t handle, uaddr_t to)
{
    struct object *object;
    uint32_t rights;
    int error = handle_lookup(process_current()->handles, handle, OBJECT_ANY, 0, &object, &rights);

    if (error)
        return error;

    int64_t flags = object->type == OBJECT_MEMORY ? memory_flags(object) : flags_of(object, 0, 0);
    struct abi_handle_info info = {
        .type = object->type,
        .rights = rights,
        .id = object->id,
        .signals = __atomic_load_n(&object->signals, __ATOMIC_RELAXED),
        .flags = flags < 0 ? 0 : (uint32_t)flags,
    };

    object_put(object);
    return user_copy_out(to, &info, sizeof(info));
}

int64_t sys_handle_flags(handle_t handle, uint32_t mask, uint32_t value)
{
    struct object *object;

    if (mask & ~(HANDLE_FLAG_NONBLOCK | HANDLE_FLAG_APPEND | TIMER_FLAGS))
        return -E_INVALID;

    int error = handle_lookup(process_current()->handles, handle, OBJECT_ANY, 0, &object, NULL);

    if (error)
        return error;

    int64_t old = flags_of(object, mask, value);

    object_put(object);
    return old;
}

/* --- wait_many -------------------------------------------------------------------------------------------- */

#define WAIT_COUNT_MAX 4096u
#define WAIT_ON_STACK  8u

struct wait_entry {
    struct watcher watcher; /* .object NULL: the handle was bad */
    struct abi_wait wait;
    struct thread *thread;
};

static void wait_fire(struct watcher *watcher, uint32_t signals)
{
    (void)signals;
    thread_wake(container_of(watcher, struct wait_entry, watcher)->thread, 0, 0);
}

static int entry_begin(struct wait_entry *entry, uint64_t from)
{
    int error = user_copy_in(&entry->wait, UADDR(from), sizeof(entry->wait));

    if (error)
        return error;
    entry->watcher.signals = entry->wait.signals | SIGNAL_HANGUP | SIGNAL_ERROR;
    entry->watcher.fire = wait_fire;
    entry->thread = thread_current();
    list_init(&entry->watcher.link);
    return handle_lookup(process_current()->handles, entry->wait.handle, OBJECT_ANY, RIGHT_WAIT,
                         &entry->watcher.object, NULL);
}

/* Takes the watcher off; what the object shows now. */
static uint32_t entry_end(struct wait_entry *entry)
{
    struct object *object = entry->watcher.object;

    lock_acquire(&object->lock);
    uint32_t ready = object->signals & entry->watcher.signals;
    list_remove(&entry->watcher.link);
    lock_release(&object->lock);
    object_put(object);
    return ready;
}

static bool entry_watch(struct wait_entry *entry)
{
    struct object *object = entry->watcher.object;

    lock_acquire(&object->lock);
    bool ready = object_watch_locked(&entry->watcher) != 0;
    lock_release(&object->lock);
    return ready;
}

static int64_t wait_for(struct wait_entry *entries, uint64_t count, uaddr_t waits, int64_t deadline)
{
    uint64_t begun = 0;
    int64_t ready = 0;
    bool now = deadline == DEADLINE_NOW;
    int error = 0;

    while (begun < count && !error) {
        error = entry_begin(&entries[begun], waits.value + begun * sizeof(struct abi_wait));
        if (!error)
            begun++;
    }
    wait_prepare(WAIT_INTERRUPTIBLE);
    for (uint64_t i = 0; i < begun && !error; i++)
        now |= entry_watch(&entries[i]);
    if (error || now)
        wait_abandon();
    else
        error = wait_block(wait_deadline(deadline));
    for (uint64_t i = 0; i < begun; i++) {
        entries[i].wait.ready = entry_end(&entries[i]);
        ready += entries[i].wait.ready != 0;
    }
    if (ready)
        error = error == -E_TIMED_OUT || error == -E_INTERRUPTED ? 0 : error;
    for (uint64_t i = 0; i < begun && !error; i++)
        error = user_copy_out(UADDR(waits.value + i * sizeof(struct abi_wait)), &entries[i].wait,
                              sizeof(struct abi_wait));
    if (error)
        return error;
    return ready ? ready : -E_TIMED_OUT;
}

/* Spurious wakes (a signal that came and went) go round again. */
int64_t sys_wait_many(uaddr_t waits, uint64_t count, int64_t deadline)
{
    struct wait_entry few[WAIT_ON_STACK] = {0};
    struct wait_entry *entries = few;
    int64_t result;

    if (count > WAIT_COUNT_MAX)
        return -E_INVALID;
    if (count > WAIT_ON_STACK) {
        entries = heap_alloc(count * sizeof(*entries));
        if (!entries)
            return -E_NO_MEMORY;
    }
    do
        result = wait_for(entries, count, waits, deadline);
    while (result == -E_TIMED_OUT && deadline > 0 && arch_clock() < wait_deadline(deadline));
    if (entries != few)
        heap_free(entries);
    return result;
}
