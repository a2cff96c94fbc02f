/* Threads: making, starting and ending them. See thread.h. */
#include "kernel/sched/thread.h"

#include "abi/errors.h"
#include "kernel/account.h"
#include "kernel/ipc/command.h"
#include "kernel/panic.h"
#include "kernel/sched/futex.h"
#include "kernel/sched/return.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/wait.h"
#include "kernel/types.h"
#include "kernel/vmm/heap.h"
#include "kernel/vmm/space.h"

static struct cache thread_cache = CACHE_INIT("thread", sizeof(struct thread), 64);

/* The first thing a thread does, on its kernel stack. */
static void thread_main(void)
{
    struct thread *self = thread_current();
    struct thread_start start = self->start;

    return_check();
    __atomic_store_n(&self->process->ran, true, __ATOMIC_RELAXED);
    arch_enter_user(start.entry, start.stack, start.argument, start.argument2);
}

/* What a thread needs besides its structure: its stack, its registers, its command. */
#define THREAD_BYTES (KERNEL_STACK_SIZE + PAGE_SIZE + sizeof(struct command))

static struct thread *thread_make(struct account *account)
{
    struct thread *thread = object_alloc_for(account, &thread_cache, OBJECT_THREAD, THREAD_BYTES);

    if (!thread)
        return NULL;
    lock_init(&thread->lock, RANK_THREAD, "thread");
    list_init(&thread->sibling);
    list_init(&thread->queue_link);
    list_init(&thread->worker.link);
    list_init(&thread->ripple_link);
    thread->limit = UINT64_MAX;
    thread->weight = WEIGHT_USUAL;
    return thread;
}

int thread_new(struct process *process, struct thread **result)
{
    struct thread *thread;
    int error = -E_NO_MEMORY;

    if (!account_take(process->account, QUOTA_THREADS, 1))
        return -E_QUOTA;
    thread = thread_make(process->account);
    if (!thread) {
        account_give(process->account, QUOTA_THREADS, 1);
        return error;
    }
    thread->stack_top = arch_stack_alloc();
    thread->command = command_new(thread, process);
    if (!thread->stack_top || !thread->command || arch_thread_create(thread))
        goto failed;

    lock_acquire(&process->lock);
    if (process->state != PROCESS_ALIVE) {
        lock_release(&process->lock);
        error = -E_NO_PROCESS;
        goto failed;
    }
    object_get(&process->object);
    thread->process = process;
    list_append(&process->threads, &thread->sibling);
    process->thread_count++;
    lock_release(&process->lock);
    *result = thread;
    return 0;

failed:
    object_put(&thread->object);
    account_give(process->account, QUOTA_THREADS, 1);
    return error;
}

void thread_start(struct thread *thread, const struct thread_start *start)
{
    thread->start = *start;
    arch_set_fs(thread, start->fs_base);
    arch_set_gs(thread, start->gs_base);
    object_get(&thread->object); /* for as long as it runs: thread_reap puts it */
    arch_thread_init(thread, thread->stack_top, thread_main);
    lock_acquire(&thread->lock);
    sched_ready(thread, 0);
    lock_release(&thread->lock);
}

struct thread *thread_new_idle(struct cpu *cpu)
{
    struct thread *thread = thread_make(NULL);

    if (!thread || arch_thread_create(thread))
        return NULL;
    thread->cpu = cpu;
    thread->on_cpu = 1;
    thread->state = THREAD_RUNNING;
    cpu->charged_at = arch_cycles();
    return thread;
}

void thread_exit(uint64_t clear)
{
    struct thread *self = thread_current();

    if (clear) {
        uint32_t zero = 0;

        /* The word may be gone: then nobody waits on it either. */
        if (user_copy_out(UADDR(clear), &zero, sizeof(zero)) == 0)
            futex_wake_all(UADDR(clear));
    }
    arch_preempt_window(); /* the next one to run may be about to end as well, and so on */
    process_thread_gone(self);
    sched_flush_handoff();
    lock_acquire(&self->lock);
    thread_set_state(self, THREAD_DEAD);
    lock_release(&self->lock);
    sched_switch();
    panic("a dead thread ran");
}

/* On another thread's stack, right after the switch away from the dead one. */
void thread_reap(struct thread *thread)
{
    struct process *process = thread->process;

    if (thread->leaving)
        space_put(thread->leaving);
    arch_stack_free(thread->stack_top);
    thread->stack_top = NULL;
    object_signal(&thread->object, SIGNAL_EXITED, 0);
    process_thread_reaped(process, thread->leaving != NULL);
    object_put(&thread->object);
}

void thread_kill(struct thread *thread)
{
    thread_post_work(thread, WORK_KILL);
}

void thread_closed(struct object *object)
{
    struct thread *thread = container_of(object, struct thread, object);

    if (thread->process)
        process_end_unreachable(thread->process);
}

/* No handle, but as good as one: whoever holds the thread can let the process run. */
bool thread_held(struct object *object, uint64_t *position, object_visitor *visit)
{
    struct thread *thread = container_of(object, struct thread, object);

    (void)position;
    if (thread->process)
        visit(&thread->process->object);
    return true;
}

void thread_destroy(struct object *object)
{
    struct thread *thread = container_of(object, struct thread, object);

    if (thread->command)
        command_put(thread->command);
    arch_thread_destroy(thread);
    if (thread->stack_top)
        arch_stack_free(thread->stack_top);
    if (thread->process)
        object_put(&thread->process->object);
    cache_free(&thread_cache, thread);
}
