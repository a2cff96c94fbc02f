/* System calls on threads. */
#include "abi/errors.h"
#include "kernel/calls_process.h"
#include "kernel/circle.h"
#include "kernel/ipc/inherit.h"
#include "kernel/sched/sched.h"
#include "kernel/syscall.h"
#include "kernel/vmm/space.h"

int thread_launch(struct process *process, uint64_t block, const struct thread_start *start,
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
    error = thread_launch(process, create.block, &start, create.flags & THREAD_CREATE_SUSPENDED,
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
