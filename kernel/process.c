/* Processes: see process.h. */
#include "kernel/process.h"

#include "abi/errors.h"
#include "kernel/account.h"
#include "kernel/circle.h"
#include "kernel/handle.h"
#include "kernel/ipc/command.h"
#include "kernel/ipc/port.h"
#include "kernel/keeper.h"
#include "kernel/panic.h"
#include "kernel/proto/namespace.h"
#include "kernel/sched/sched.h"
#include "kernel/types.h"
#include "kernel/vmm/heap.h"
#include "kernel/vmm/space.h"
#include "lib/base/string.h"

static struct cache process_cache = CACHE_INIT("process", sizeof(struct process), 64);

void process_set_name(struct process *process, const char *name, size_t length)
{
    lock_acquire(&process->lock);
    length = MIN(length, (size_t)PROCESS_NAME_MAX);
    memcpy(process->name, name, length);
    process->name[length] = 0;
    lock_release(&process->lock);
}

/* handles: a table to take over, or NULL for an empty one. */
int process_new(struct account *account, struct space *space, struct handle_table *handles,
                struct namespace *names, struct process **result)
{
    struct process *process;
    int error = -E_NO_MEMORY;

    if (!account_take(account, QUOTA_PROCESSES, 1))
        return -E_QUOTA;
    process = object_alloc_for(account, &process_cache, OBJECT_PROCESS, HANDLE_TABLE_BYTES);
    if (!process) {
        account_give(account, QUOTA_PROCESSES, 1);
        return error;
    }
    process->account = account_get(account);
    lock_init(&process->lock, RANK_PROCESS, "process");
    list_init(&process->threads);
    list_init(&process->servers);
    list_init(&process->stopped_link);
    list_init(&process->member);
    process->start_time = arch_clock();
    process->handles = handles;
    if (!handles) {
        error = handle_table_new(account, &process->handles);
        if (error)
            goto failed;
    }
    if (space) {
        space_get(space);
        process->space = space;
    } else {
        error = space_new(account, &process->space);
        if (error)
            goto failed;
    }
    namespace_use(names);
    process->names = names;
    *result = process;
    return 0;

failed:
    if (handles)
        process->handles = NULL; /* still the caller's */
    object_put(&process->object);
    return error;
}

struct namespace *process_names_get(struct process *process)
{
    lock_acquire(&process->lock);
    struct namespace *names = process->names;

    if (names)
        object_get(&names->object);
    lock_release(&process->lock);
    return names;
}

static int replace_names(struct process *process, const struct namespace *if_still,
                         struct namespace *names)
{
    lock_acquire(&process->lock);
    struct namespace *old = process->names;
    bool alive = old != NULL, replace = alive && (!if_still || old == if_still);
    if (replace) {
        namespace_use(names);
        process->names = names;
    }
    lock_release(&process->lock);
    if (replace)
        namespace_leave(old);
    return alive ? 0 : -E_NO_PROCESS;
}

int process_set_names(struct process *process, struct namespace *names)
{
    return replace_names(process, NULL, names);
}

int process_own_names(struct process *process, struct namespace **names)
{
    for (;;) {
        struct namespace *shared = process_names_get(process), *copy;

        if (!shared)
            return -E_NO_PROCESS;
        if (!namespace_shared(shared)) {
            *names = shared;
            return 0;
        }

        int error = namespace_copy(shared, &copy);

        if (!error)
            error = replace_names(process, shared, copy);
        object_put(&shared->object);
        if (error)
            return error;
        object_put(&copy->object); /* the process has it, unless another thread was faster */
    }
}

struct space *process_space_get(struct process *process)
{
    lock_acquire(&process->lock);
    struct space *space = process->space;

    if (space)
        space_get(space);
    lock_release(&process->lock);
    return space;
}

/* And nobody else runs in its space: one reference is the process's, one process_copy's. */
static bool has_one_thread(struct process *process)
{
    lock_acquire(&process->lock);

    bool one = process->threads.next == process->threads.previous && process->space &&
               __atomic_load_n(&process->space->references, __ATOMIC_RELAXED) <= 2;

    lock_release(&process->lock);
    return one;
}

int process_copy(struct process *parent, bool share, struct process **child)
{
    struct handle_table *handles = NULL;
    struct space *space = process_space_get(parent), *copy = NULL;
    struct namespace *names;
    int error;

    if (!space)
        return -E_NO_PROCESS;
    if (share) {
        space_get(space);
        copy = space;
        error = 0;
    } else {
        error = space_fork(space, has_one_thread(parent), &copy);
    }
    space_put(space);
    if (error)
        return error;
    names = process_names_get(parent);
    error = names ? handle_table_clone(parent->handles, &handles) : -E_NO_PROCESS;
    if (!error) {
        error = process_new(parent->account, copy, handles, names, child);
        if (error) {
            handle_table_clear(handles);
            handle_table_free(handles);
        }
    }
    if (names)
        object_put(&names->object);
    space_put(copy);
    if (error)
        return error;

    lock_acquire(&parent->lock);
    (*child)->personality = parent->personality;
    (*child)->priority_limit = parent->priority_limit;
    (*child)->system = parent->system;
    (*child)->started = true;
    memcpy((*child)->name, parent->name, sizeof(parent->name));
    lock_release(&parent->lock);
    return 0;
}

/* What a process holds goes: by its last thread, or by whoever ends one that has none. The space stays usable
 * for the CPU that still runs in it: the caller puts it. */
static struct space *give_up(struct process *process)
{
    if (unlikely(process->held))
        account_end(process->held);
    circle_unwatch(process);
    port_process_gone(process);
    handle_table_clear(process->handles);
    lock_acquire(&process->lock);
    struct space *space = process->space;
    struct namespace *names = process->names;
    struct port *exceptions = process->exceptions;
    process->space = NULL;
    process->names = NULL;
    process->exceptions = NULL;
    lock_release(&process->lock);
    /* Whoever waits for this process may be reached by these names: together they would stay for ever. */
    namespace_leave(names);
    if (exceptions)
        object_put(&exceptions->object);
    if (space)
        space_leave(space);
    return space;
}

static void announce(struct process *process)
{
    account_leave(process);
    __atomic_store_n(&process->state, PROCESS_DONE, __ATOMIC_RELEASE);
    object_signal(&process->object, SIGNAL_EXITED, 0);
}

#define KILL_PIECE 32u

/* Whoever is killed goes behind those that are not; none joins a process that ends. True: all are killed. */
static bool kill_some_locked(struct process *process)
{
    for (uint32_t i = 0; i < KILL_PIECE; i++) {
        struct thread *thread = list_first(&process->threads, struct thread, sibling);

        if (!thread || __atomic_load_n(&thread->work, __ATOMIC_RELAXED) & WORK_KILL)
            return true;
        thread_kill(thread);
        list_remove(&thread->sibling);
        list_append(&process->threads, &thread->sibling);
    }
    return false;
}

/* In pieces: interrupts and who waits for the lock come in between. */
static void kill_threads(struct process *process)
{
    bool all;

    do {
        lock_acquire(&process->lock);
        all = kill_some_locked(process);
        lock_release(&process->lock);
        arch_preempt_window();
    } while (!all);
}

void process_end(struct process *process, uint32_t status)
{
    lock_acquire(&process->lock);
    if (process->state != PROCESS_ALIVE) {
        lock_release(&process->lock);
        return;
    }
    process->state = PROCESS_ENDING;
    process->status = status;
    bool empty = process->thread_count == 0;
    lock_release(&process->lock);
    if (!empty) {
        kill_threads(process);
        return;
    }

    struct space *space = give_up(process);

    if (space)
        space_put(space);
    announce(process);
}

/* On the dying thread, which never touches user memory again. */
void process_thread_gone(struct thread *thread)
{
    struct process *process = thread->process;

    lock_acquire(&process->lock);
    list_remove(&thread->sibling);
    process->cpu_time += sched_cpu_time(thread);
    bool last = --process->thread_count == 0;
    if (last)
        process->state = PROCESS_ENDING;
    lock_release(&process->lock);
    account_give(process->account, QUOTA_THREADS, 1);
    if (!last) {
        if (unlikely(process_suspended(process))) {
            circle_watch(process);
            circle_suspect();
        }
        return;
    }
    thread->leaving = give_up(process);
    keeper_process_gone(process);
}

void process_thread_reaped(struct process *process, bool last)
{
    if (last)
        announce(process);
}

/* Whether a thread of it runs, or somebody can make one run. Process locked. */
static bool reachable(const struct process *process)
{
    if (__atomic_load_n(&process->object.handles, __ATOMIC_SEQ_CST))
        return true;
    list_for_each (struct thread, thread, &process->threads, sibling)
        if (!(__atomic_load_n(&thread->work, __ATOMIC_SEQ_CST) & WORK_SUSPEND) ||
            __atomic_load_n(&thread->object.handles, __ATOMIC_SEQ_CST))
            return true;
    return false;
}

void process_end_unreachable(struct process *process)
{
    lock_acquire(&process->lock);
    bool end = !reachable(process);
    lock_release(&process->lock);
    if (end)
        process_end(process, 0);
    else
        circle_suspect(); /* what is left may be its own */
}

static bool all_threads(struct process *process, bool (*are)(const struct thread *thread))
{
    lock_acquire(&process->lock);

    bool all = __atomic_load_n(&process->state, __ATOMIC_RELAXED) == PROCESS_ALIVE;

    list_for_each (struct thread, thread, &process->threads, sibling) {
        all = all && are(thread);
        if (!all)
            break;
    }
    lock_release(&process->lock);
    return all;
}

static bool is_suspended(const struct thread *thread)
{
    return __atomic_load_n(&thread->work, __ATOMIC_SEQ_CST) & WORK_SUSPEND;
}

static bool is_stopped(const struct thread *thread)
{
    return is_suspended(thread) &&
           (__atomic_load_n(&thread->parked, __ATOMIC_RELAXED) ||
            __atomic_load_n(&thread->state, __ATOMIC_SEQ_CST) == THREAD_BLOCKED);
}

bool process_suspended(struct process *process)
{
    return all_threads(process, is_suspended);
}

bool process_stopped(struct process *process)
{
    return all_threads(process, is_stopped);
}

/* The handles that threads hold which sleep while they send them. Process locked. */
static void sending_held(struct process *process, object_visitor *visit)
{
    list_for_each (struct thread, thread, &process->threads, sibling) {
        lock_acquire(&thread->lock);
        const struct request *request = thread->state == THREAD_BLOCKED ? thread->sending : NULL;
        for (uint32_t i = 0; request && i < request->send_count; i++) {
            struct object *object = __atomic_load_n(&request->send[i].object, __ATOMIC_RELAXED);

            if (object)
                visit(object);
        }
        lock_release(&thread->lock);
    }
}

struct account *process_account_get(const struct process *process)
{
    return account_get(process->held ? process->held : process->account);
}

bool process_held(struct object *object, uint64_t *position, object_visitor *visit)
{
    struct process *process = process_of(object);

    if (!handle_table_held(process->handles, position, visit))
        return false;
    lock_acquire(&process->lock);
    if (process->names)
        visit(&process->names->object);
    sending_held(process, visit);
    lock_release(&process->lock);
    return true;
}

void process_closed(struct object *object)
{
    process_end_unreachable(process_of(object));
}

void process_destroy(struct object *object)
{
    struct process *process = process_of(object);

    ASSERT(process->thread_count == 0 && list_empty(&process->threads) &&
           list_empty(&process->servers));
    arch_ports_free(process);
    if (process->space)
        space_put(process->space);
    if (process->handles) {
        handle_table_clear(process->handles);
        handle_table_free(process->handles);
    }
    if (process->names)
        namespace_leave(process->names);
    account_give(process->account, QUOTA_PROCESSES, 1);
    account_put(process->account);
    account_put(process->held);
    cache_free(&process_cache, process);
}
