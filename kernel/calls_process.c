/* System calls on processes and threads. */
#include "abi/errors.h"
#include "kernel/account.h"
#include "kernel/circle.h"
#include "kernel/exception.h"
#include "kernel/ipc/command.h"
#include "kernel/ipc/inherit.h"
#include "kernel/ipc/port.h"
#include "kernel/keeper.h"
#include "kernel/map.h"
#include "kernel/proto/namespace.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/wait.h"
#include "kernel/syscall.h"
#include "kernel/vmm/heap.h"
#include "kernel/vmm/space.h"
#include "lib/base/string.h"

#define EXEC_MAPS_MAX    256u
#define EXEC_HANDLES_MAX 64u

#define PROCESS_RIGHTS (RIGHT_CONTROL | RIGHT_MAP | RIGHT_WAIT | RIGHT_DUPLICATE | RIGHT_TRANSFER)
#define THREAD_RIGHTS  (RIGHT_CONTROL | RIGHT_WAIT | RIGHT_DUPLICATE | RIGHT_TRANSFER)

static struct process *process_of(struct object *object)
{
    return container_of(object, struct process, object);
}

/* --- Making processes ----------------------------------------------------------------------------------------- */

static int copy_name(uint64_t from, uint64_t length, char name[PROCESS_NAME_MAX])
{
    if (length > PROCESS_NAME_MAX)
        return -E_TOO_LONG;
    return user_copy_in(name, UADDR(from), length);
}

/* What a new process's threads may have: what flags say, but no more than the caller's. */
static int priority_limit(uint32_t flags, uint32_t *limit)
{
    uint32_t own = process_current()->priority_limit;

    *limit = own;
    if (!flags)
        return 0;
    if (!(flags & PROCESS_PRIORITY_LIMIT) || (flags & ~PROCESS_PRIORITY_LIMIT) > PRIORITY_MAX)
        return -E_INVALID;
    *limit = flags & ~PROCESS_PRIORITY_LIMIT;
    return *limit > own ? -E_PERMISSION : 0;
}

/* What account a process is of, or holds; a reference. */
static struct account *account_of(const struct process *process)
{
    return account_get(process->held ? process->held : process->account);
}

/* The account that create is about, the one that is there already; a reference. */
static int account_within(const struct abi_process_create *create, struct account **account)
{
    struct object *object;

    if (create->account_of == HANDLE_SELF) {
        *account = account_get(account_current());
        return 0;
    }
    int error = handle_lookup(process_current()->handles, create->account_of, OBJECT_PROCESS,
                              RIGHT_CONTROL, &object, NULL);

    if (error)
        return error;
    *account = account_of(process_of(object));
    object_put(object);
    return 0;
}

/* The account the process is to be of, and the one that it is to hold; references. */
static int accounts_for(const struct abi_process_create *create, struct account **own,
                        struct account **held)
{
    uint64_t limits[QUOTA_COUNT];
    struct account *new;

    if (create->limit_count > QUOTA_COUNT ||
        (create->flags & PROCESS_HOLDS_ACCOUNT && create->limit_count == 0))
        return -E_INVALID;

    int error =
        user_copy_in(limits, UADDR(create->limits), create->limit_count * sizeof(limits[0]));

    if (!error)
        error = account_within(create, own);
    if (error || create->limit_count == 0)
        return error;
    error = account_new(*own, limits, create->limit_count, &new);
    if (error)
        return error;
    if (create->flags & PROCESS_HOLDS_ACCOUNT) {
        *held = new;
    } else {
        account_put(*own);
        *own = new;
    }
    return 0;
}

/* The space of another process, a reference; NULL: it is to have one of its own. */
static int space_for(const struct abi_process_create *create, struct space **space)
{
    struct object *other;

    *space = NULL;
    if (create->space_of == HANDLE_NONE)
        return 0;

    int error = handle_lookup(process_current()->handles, create->space_of, OBJECT_PROCESS,
                              RIGHT_MAP, &other, NULL);

    if (error)
        return error;
    *space = process_space_get(process_of(other));
    object_put(other);
    return *space ? 0 : -E_NO_PROCESS;
}

/* As create says, with its name and without a handle. */
static int make(const struct abi_process_create *create, struct namespace *names,
                struct process **process)
{
    struct account *account = NULL, *held = NULL;
    struct space *space;
    int error = space_for(create, &space);

    if (error)
        return error;
    error = accounts_for(create, &account, &held);
    if (!error)
        error = process_new(account, space, NULL, names, process);
    account_put(account);
    if (space)
        space_put(space);
    if (error) {
        account_put(held);
        return error;
    }
    (*process)->held = held;
    (*process)->system = process_current()->system && !(create->flags & PROCESS_ORDINARY);
    if (!space)
        (*process)->space->system = (*process)->system;
    return 0;
}

int64_t sys_process_create(struct object *object, uaddr_t argument)
{
    uint32_t limit;
    struct abi_process_create create;
    struct process *process;
    char name[PROCESS_NAME_MAX];
    int error = user_copy_in(&create, argument, sizeof(create));

    if (!error)
        error = priority_limit(create.flags & ~(PROCESS_ORDINARY | PROCESS_HOLDS_ACCOUNT), &limit);
    if (!error)
        error = copy_name(create.name, create.name_length, name);
    if (error)
        return error;
    circle_search();
    error = make(&create, container_of(object, struct namespace, object), &process);
    if (error)
        return error;
    process->priority_limit = limit;
    process_set_name(process, name, create.name_length);
    error = account_join(process);
    if (error) {
        process_end(process, EXIT_ACCOUNT);
        object_put(&process->object);
        return error;
    }
    object_get(&process->object);

    int64_t handle = handle_return(&process->object, PROCESS_RIGHTS);

    circle_watch(process); /* now that it has a handle */
    object_put(&process->object);
    return handle;
}

static bool personality_ok(const struct abi_personality *personality)
{
    const uint64_t entries[] = {personality->text_start,   personality->text_end,
                                personality->window_start, personality->window_end,
                                personality->call_entry,   personality->exception_entry,
                                personality->kick_entry,   personality->nested_entry};

    for (uint32_t i = 0; i < ARRAY_SIZE(entries); i++)
        if (entries[i] >= SPACE_END)
            return false;
    return true;
}

static bool start_ok(uint64_t entry, uint64_t stack, uint64_t fs, uint64_t gs, uint64_t block)
{
    return entry < SPACE_END && stack <= SPACE_END && fs < SPACE_END && gs < SPACE_END &&
           block <= SPACE_END - PAGE_SIZE && IS_ALIGNED(block, 16);
}

static int exec_maps(struct space *space, const struct abi_exec *exec)
{
    for (uint64_t i = 0; i < exec->map_count; i++) {
        struct abi_map map;
        uint64_t address;
        int error = user_copy_in(&map, UADDR(exec->maps + i * sizeof(map)), sizeof(map));

        map.flags |= MAP_FIXED_;
        if (!error)
            error = map_into(space, process_current()->handles, &map, &address);
        if (error)
            return error;
    }
    return 0;
}

static int exec_handles(struct process *process, const struct abi_exec *exec)
{
    struct handle_table *mine = process_current()->handles;
    handle_t handles[EXEC_HANDLES_MAX];
    struct transfer transfers[EXEC_HANDLES_MAX] = {{0}};
    uint32_t count = (uint32_t)exec->handle_count;
    int error = user_copy_in(handles, UADDR(exec->handles), count * sizeof(handle_t));

    if (!error)
        error = transfer_take(mine, handles, count, transfers);
    if (error)
        return error;
    error = transfer_install(process->handles, transfers, count, handles);
    if (error) {
        transfer_drop(transfers, count);
        return error;
    }
    return user_copy_out(UADDR(exec->handle_values), handles, count * sizeof(handle_t));
}

static int start_thread(struct process *process, uint64_t block, const struct thread_start *start,
                        bool suspended, struct thread **result)
{
    int error = thread_new(process, result);

    if (error)
        return error;
    (*result)->block = block;
    if (!suspended)
        circle_unwatch(process);
    else
        thread_post_work(*result, WORK_SUSPEND); /* its process may be killing it already */
    thread_start(*result, start);
    return 0;
}

/* Filled and started; the handle of its first thread. */
static int64_t exec_into(struct process *process, const struct abi_exec *exec)
{
    struct thread *thread;
    struct space *space = process_space_get(process);

    if (!space)
        return -E_NO_PROCESS;
    /* Claimed by whoever sets the personality; a process that has had a thread is not filled again. */
    lock_acquire(&process->lock);
    bool fresh = !process->started && process->state == PROCESS_ALIVE;
    process->started = true;
    if (fresh)
        process->personality = exec->personality;
    lock_release(&process->lock);
    int error = fresh ? exec_maps(space, exec) : -E_BUSY;
    if (!error)
        error = exec_handles(process, exec);
    space_put(space);

    struct thread_start start = {.entry = exec->entry,
                                 .stack = exec->stack,
                                 .argument = exec->argument,
                                 .argument2 = exec->argument2};

    if (!error)
        error = start_thread(process, exec->block, &start, exec->flags & EXEC_SUSPENDED, &thread);
    if (!error)
        return handle_return(&thread->object, THREAD_RIGHTS);
    if (fresh) {
        process_end(process, EXIT_EXCEPTION);
        handle_table_clear(process->handles); /* if it was ended before it got them */
    }
    return error;
}

int64_t sys_process_exec(struct object *object, uaddr_t argument)
{
    struct abi_exec exec;
    int error = user_copy_in(&exec, argument, sizeof(exec));

    if (error)
        return error;
    if (exec.map_count > EXEC_MAPS_MAX || exec.handle_count > EXEC_HANDLES_MAX)
        return -E_TOO_LONG;
    if (exec.flags & ~(uint64_t)EXEC_SUSPENDED || !personality_ok(&exec.personality) ||
        !start_ok(exec.entry, exec.stack, 0, 0, exec.block))
        return -E_INVALID;
    /* Among the handles it is given may be the last one to itself: not a circle before the caller has its thread. */
    if (!object_hold_open(object))
        return -E_NO_PROCESS;

    int64_t result = exec_into(process_of(object), &exec);

    object_release_open(object);
    return result;
}

/* The thread of the process that waits for the current process's answer: it is the one that forks. */
static void copy_fpu(struct thread *child, struct process *parent)
{
    struct thread *self = thread_current();

    if (parent == self->process) {
        arch_thread_copy_fpu(child, self);
        return;
    }
    lock_acquire(&parent->lock);
    list_for_each (struct thread, thread, &parent->threads, sibling) {
        struct command *command = thread->command;

        if (command->state == COMMAND_ACCEPTED &&
            command_trace(thread, command) == thread_trace(self)) {
            arch_thread_copy_fpu(child, thread);
            break;
        }
    }
    lock_release(&parent->lock);
}

int64_t sys_process_fork(struct object *object, uaddr_t argument)
{
    struct process *parent = process_of(object), *child;
    struct abi_fork fork;
    struct thread *thread;
    int error = user_copy_in(&fork, argument, sizeof(fork));

    if (error)
        return error;
    /* The caller may be a system process; who is forked may not use what is kept for those. */
    if (!parent->system && frame_scarce())
        return -E_NO_MEMORY;
    if (fork.flags & ~(uint64_t)FORK_SHARE_SPACE ||
        !start_ok(fork.entry, fork.stack, fork.fs_base, fork.gs_base, fork.block))
        return -E_INVALID;
    circle_search();
    error = process_copy(parent, fork.flags & FORK_SHARE_SPACE, &child);
    if (error)
        return error;

    struct thread_start start = {fork.entry,     fork.stack,   fork.argument,
                                 fork.argument2, fork.fs_base, fork.gs_base};

    error = account_join(child);
    if (!error)
        error = thread_new(child, &thread);
    if (error) {
        process_end(child, 0);
        object_put(&child->object);
        return error;
    }
    thread->block = fork.block;
    thread_post_work(thread, WORK_SUSPEND);
    copy_fpu(thread, parent);
    fork.id = child->object.id;
    object_handle_get(&child->object); /* it can be reached while its handles are made */
    thread_start(thread, &start);

    int64_t thread_handle = handle_return(&thread->object, THREAD_RIGHTS);
    int64_t handle = handle_return(&child->object, PROCESS_RIGHTS);

    if (thread_handle > 0 && handle > 0) {
        fork.thread = (handle_t)thread_handle;
        error = user_copy_out(argument, &fork, sizeof(fork));
    } else {
        error = (int)(handle < 0 ? handle : thread_handle);
    }
    if (error && thread_handle > 0)
        (void)!handle_remove(process_current()->handles, (handle_t)thread_handle);
    if (error && handle > 0)
        (void)!handle_remove(process_current()->handles, (handle_t)handle);
    object_release_open(&child->object); /* ends it if it got none */
    circle_watch(child);
    object_put(&child->object);
    return error ? error : handle;
}

/* --- Processes ------------------------------------------------------------------------------------------------ */

int64_t sys_process_kill(struct object *object, uint32_t status)
{
    process_end(process_of(object), status);
    return 0;
}

int64_t sys_process_info(struct object *object, uaddr_t to)
{
    struct process *process = process_of(object);
    struct abi_process_info info = {0};
    struct space *space = process_space_get(process);

    info.id = process->object.id;
    info.pages = space ? space->owned_pages : 0;
    info.mapped = space ? space->mapped : 0;
    lock_acquire(&process->lock);
    info.state = (process->state == PROCESS_DONE ? PROCESS_EXITED : 0) |
                 (keeper_keeps(process) ? PROCESS_KEPT : 0);
    info.status = process->status;
    info.cpu_time = process->cpu_time;
    info.start_time = process->start_time;
    info.threads = process->thread_count;
    info.handles = process->handles->count;
    info.name_length = (uint32_t)strlen(process->name);
    memcpy(info.name, process->name, sizeof(info.name));
    list_for_each (struct thread, thread, &process->threads, sibling)
        info.cpu_time += sched_cpu_time(thread);
    lock_release(&process->lock);
    if (space)
        space_put(space);
    return user_copy_out(to, &info, sizeof(info));
}

int64_t sys_process_quotas(struct object *object, uaddr_t to, uint64_t count)
{
    struct account *account = account_of(process_of(object));
    struct abi_quota quotas[QUOTA_COUNT];

    for (uint32_t i = 0; i < QUOTA_COUNT; i++)
        quotas[i] = account_quota(account, (enum quota)i);
    account_put(account);

    int error = user_copy_out(to, quotas, MIN(count, (uint64_t)QUOTA_COUNT) * sizeof(quotas[0]));

    return error ? error : QUOTA_COUNT;
}

int64_t sys_process_rename(struct object *object, uaddr_t name, uint64_t length)
{
    char text[PROCESS_NAME_MAX];
    int error = copy_name(name.value, length, text);

    if (!error)
        process_set_name(process_of(object), text, length);
    return error;
}

/* One thread gets the kick: one that waits and can be interrupted, or the first. */
static void interrupt_one(struct process *process)
{
    struct thread *chosen = list_first(&process->threads, struct thread, sibling);

    list_for_each (struct thread, thread, &process->threads, sibling) {
        if (__atomic_load_n(&thread->waiting, __ATOMIC_RELAXED) & WAIT_INTERRUPTIBLE) {
            chosen = thread;
            break;
        }
    }
    if (chosen)
        thread_post_work(chosen, WORK_KICK);
}

static int set_namespace(struct process *process, uint64_t handle)
{
    struct object *names;

    if (handle > INT32_MAX)
        return -E_BAD_HANDLE;

    int error = handle_lookup(process_current()->handles, (handle_t)handle, OBJECT_NAMESPACE,
                              RIGHT_READ, &names, NULL);

    if (error)
        return error;
    error = process_set_names(process, container_of(names, struct namespace, object));
    object_put(names);
    return error;
}

/* Whoever may do all this to the process already: thread_control and space_map take the same rights. */
static int set_exceptions(struct process *process, int64_t handle)
{
    struct object *port;

    if (!(thread_current()->call_rights & RIGHT_MAP))
        return -E_ACCESS;
    if (handle == HANDLE_NONE)
        return exception_set_handler(process, NULL);
    if (handle < 0 || handle > INT32_MAX)
        return -E_BAD_HANDLE;

    int error = handle_lookup(process_current()->handles, (handle_t)handle, OBJECT_PORT,
                              RIGHT_ACCEPT, &port, NULL);

    if (error)
        return error;
    error = exception_set_handler(process, container_of(port, struct port, object));
    object_put(port);
    return error;
}

int64_t sys_process_control(struct object *object, uint32_t op, uint64_t value)
{
    struct process *process = process_of(object);
    int error = 0;

    if (op == PROCESS_NAMESPACE)
        return set_namespace(process, value);
    if (op == PROCESS_EXCEPTIONS)
        return set_exceptions(process, (int64_t)value);
    if (value)
        return -E_INVALID;
    lock_acquire(&process->lock);
    switch (op) {
    case PROCESS_INTERRUPT:
        interrupt_one(process);
        break;
    case PROCESS_SUSPEND:
        list_for_each (struct thread, thread, &process->threads, sibling)
            thread_post_work(thread, WORK_SUSPEND);
        break;
    case PROCESS_RESUME:
        list_for_each (struct thread, thread, &process->threads, sibling)
            thread_resume(thread);
        break;
    default:
        error = -E_INVALID;
    }
    lock_release(&process->lock);
    if (op == PROCESS_SUSPEND)
        circle_watch(process);
    else if (op == PROCESS_RESUME)
        circle_unwatch(process);
    return error;
}

/* --- Threads -------------------------------------------------------------------------------------------------- */

int64_t sys_thread_create(struct object *object, uaddr_t argument)
{
    struct process *process = process_of(object);
    struct abi_thread create;
    struct thread *thread;
    int error = user_copy_in(&create, argument, sizeof(create));

    if (error)
        return error;
    if (create.flags & ~(uint64_t)THREAD_CREATE_SUSPENDED ||
        !start_ok(create.entry, create.stack, create.fs_base, create.gs_base, create.block))
        return -E_INVALID;

    struct thread_start start = {create.entry,     create.stack,   create.argument,
                                 create.argument2, create.fs_base, create.gs_base};

    lock_acquire(&process->lock);
    process->started = true;
    lock_release(&process->lock);
    error = start_thread(process, create.block, &start, create.flags & THREAD_CREATE_SUSPENDED,
                         &thread);
    if (error)
        return error;
    return handle_return(&thread->object, THREAD_RIGHTS);
}

int64_t sys_thread_exit(uint64_t clear)
{
    thread_exit(clear);
}

int64_t sys_thread_resume(uaddr_t from)
{
    struct abi_frame frame;
    int error = user_copy_in(&frame, from, sizeof(frame));

    if (error)
        return error;
    if (frame.rip >= SPACE_END || frame.rsp > SPACE_END)
        return -E_INVALID;
    arch_resume_user(&frame);
}

static int64_t set_base(struct thread *thread, uint32_t op, uint64_t value)
{
    if (thread != thread_current())
        return -E_INVALID;
    if (value >= SPACE_END)
        return -E_RANGE;
    if (op == THREAD_SET_FS)
        arch_set_fs(thread, value);
    else
        arch_set_gs(thread, value);
    return 0;
}

static int64_t set_block(struct thread *thread, uint64_t value)
{
    if (thread != thread_current() || !IS_ALIGNED(value, 16))
        return -E_INVALID;
    if (value > SPACE_END - PAGE_SIZE)
        return -E_RANGE;
    thread->block = value;
    return 0;
}

static int64_t set_affinity(struct thread *thread, uint64_t mask)
{
    uint64_t online = cpu_count >= 64 ? UINT64_MAX : BIT(cpu_count) - 1;

    if (mask && !(mask & online))
        return -E_INVALID;
    sched_set_affinity(thread, mask);
    return 0;
}

/* While the lock is held a thread that waits goes on waiting, and keeps its stack. */
static int64_t get_frame(struct thread *thread, uaddr_t buffer)
{
    struct abi_frame frame;

    lock_acquire(&thread->lock);
    bool there = __atomic_load_n(&thread->state, __ATOMIC_RELAXED) == THREAD_BLOCKED &&
                 thread_has_work(thread, WORK_SUSPEND) &&
                 !__atomic_load_n(&thread->on_cpu, __ATOMIC_ACQUIRE);
    if (there)
        arch_thread_frame(thread, &frame);
    lock_release(&thread->lock);
    return there ? user_copy_out(buffer, &frame, sizeof(frame)) : -E_BUSY;
}

int64_t sys_thread_control(struct object *object, uint32_t op, uint64_t value, uaddr_t buffer)
{
    struct thread *thread = container_of(object, struct thread, object);

    switch (op) {
    case THREAD_YIELD:
        if (thread != thread_current())
            return -E_INVALID;
        sched_yield();
        return 0;
    case THREAD_PRIORITY:
        if (value > PRIORITY_MAX)
            return -E_RANGE;
        if (value > process_current()->priority_limit)
            return -E_PERMISSION;
        inherit_set_own(thread, (uint32_t)value);
        return 0;
    case THREAD_WEIGHT:
        if (value < 1 || value > 10000)
            return -E_RANGE;
        lock_acquire(&thread->lock); /* its priority may change meanwhile (inherit.c) */
        sched_set_priority(thread, thread_priority(thread), (uint32_t)value);
        lock_release(&thread->lock);
        return 0;
    case THREAD_AFFINITY:
        return set_affinity(thread, value);
    case THREAD_SUSPEND:
        thread_post_work(thread, WORK_SUSPEND);
        if (process_suspended(thread->process))
            circle_watch(thread->process);
        return 0;
    case THREAD_RESUME:
        thread_resume(thread);
        circle_unwatch(thread->process);
        return 0;
    case THREAD_INTERRUPT:
        thread_post_work(thread, WORK_KICK);
        return 0;
    case THREAD_SET_FS:
    case THREAD_SET_GS:
        return set_base(thread, op, value);
    case THREAD_SET_BLOCK:
        return set_block(thread, value);
    case THREAD_GET_FRAME:
        return get_frame(thread, buffer);
    case THREAD_CPU_TIME:
        return (int64_t)sched_cpu_time(thread);
    case THREAD_GET_CPU:
        return thread_cpu(thread) ? thread_cpu(thread)->index : 0;
    case THREAD_ID:
        return (int64_t)thread->object.id;
    default:
        return -E_INVALID;
    }
}
