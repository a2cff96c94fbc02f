/* System calls on processes that there are. */
#include "kernel/calls_process.h"
#include "abi/errors.h"
#include "kernel/account.h"
#include "kernel/circle.h"
#include "kernel/exception.h"
#include "kernel/ipc/port.h"
#include "kernel/keeper.h"
#include "kernel/proto/namespace.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/wait.h"
#include "kernel/syscall.h"
#include "kernel/vmm/space.h"
#include "lib/base/string.h"

int name_copy_in(uint64_t from, uint64_t length, char name[PROCESS_NAME_MAX])
{
    if (length > PROCESS_NAME_MAX)
        return -E_TOO_LONG;
    return user_copy_in(name, UADDR(from), length);
}

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
    struct account *account = process_account_get(process_of(object));
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
    int error = name_copy_in(name.value, length, text);

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
