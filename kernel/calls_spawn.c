/* System calls that make processes: empty, from a program's pages, from another process. */
#include "abi/errors.h"
#include "kernel/account.h"
#include "kernel/calls_process.h"
#include "kernel/circle.h"
#include "kernel/exception.h"
#include "kernel/ipc/command.h"
#include "kernel/map.h"
#include "kernel/proto/namespace.h"
#include "kernel/syscall.h"
#include "kernel/vmm/space.h"

#define EXEC_MAPS_MAX    256u
#define EXEC_HANDLES_MAX 64u

#define PROCESS_RIGHTS (RIGHT_CONTROL | RIGHT_MAP | RIGHT_WAIT | RIGHT_DUPLICATE | RIGHT_TRANSFER)

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
    *account = process_account_get(process_of(object));
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
        error = name_copy_in(create.name, create.name_length, name);
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
        error = thread_launch(process, exec->block, &start, exec->flags & EXEC_SUSPENDED, &thread);
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
