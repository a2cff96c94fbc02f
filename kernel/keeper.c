/* The process that comes back: see keeper.h. */
#include "kernel/keeper.h"

#include "abi/errors.h"
#include "kernel/handle.h"
#include "kernel/log.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/wait.h"

#define MS          UINT64_C(1000000)
#define PAUSE_LAST  (5000 * MS)
#define PAUSE_FIRST (10 * MS)
#define LIFE        (10000 * MS) /* who lived so long begins with the first pause again */

/* Written once, by keeper_set; `instance` and `pause` then belong to the last thread of the instance. */
static struct {
    struct process *pristine; /* never runs */
    struct process *instance;
    struct thread_start start;
    uint64_t block;
    uint32_t priority, weight;
    uint64_t pause;
} keeper;

static struct lock keeper_lock = LOCK_INIT(RANK_NOTIFY, "keeper");

/* Its only thread, which waits to be let run; a reference. */
static struct thread *first_thread(struct process *process)
{
    lock_acquire(&process->lock);
    struct thread *thread = process->ran || process->thread_count != 1
                                ? NULL
                                : list_first(&process->threads, struct thread, sibling);
    if (thread)
        object_get(&thread->object);
    lock_release(&process->lock);
    return thread;
}

int keeper_set(struct process *process)
{
    struct thread *thread = first_thread(process);
    struct process *pristine;

    if (!thread)
        return process->ran ? -E_BUSY : -E_NO_PROCESS;
    int error = process_copy(process, false, &pristine);
    if (!error) {
        handle_table_replace(pristine->handles, &process->object, &pristine->object);
        lock_acquire(&keeper_lock);
        bool first = !keeper.pristine;
        if (first) {
            keeper.start = thread->start;
            keeper.block = thread->block;
            keeper.priority = thread->own_priority;
            keeper.weight = thread->weight;
            keeper.pristine = pristine;
            object_get(&process->object);
            __atomic_store_n(&keeper.instance, process, __ATOMIC_RELEASE);
        }
        lock_release(&keeper_lock);
        if (!first) {
            process_end(pristine, 0);
            object_put(&pristine->object);
            error = -E_BUSY;
        }
    }
    object_put(&thread->object);
    return error;
}

static int start_successor(struct process **result)
{
    struct process *process;
    struct thread *thread;
    int error = process_copy(keeper.pristine, false, &process);

    if (error)
        return error;
    handle_table_replace(process->handles, &keeper.pristine->object, &process->object);
    error = thread_new(process, &thread);
    if (error) {
        process_end(process, 0);
        object_put(&process->object);
        return error;
    }
    thread->block = keeper.block;
    thread->own_priority = thread->priority = keeper.priority;
    thread->weight = keeper.weight;
    *result = process;
    __atomic_store_n(&keeper.instance, process, __ATOMIC_RELEASE); /* before it can end */
    thread_start(thread, &keeper.start);
    object_put(&thread->object);
    return 0;
}

static void pause_for(uint64_t time)
{
    wait_prepare(WAIT_UNKILLABLE);
    if (wait_block(arch_clock() + time)) { /* its end is all that is wanted */
    }
}

bool keeper_keeps(const struct process *process)
{
    return process == __atomic_load_n(&keeper.instance, __ATOMIC_ACQUIRE);
}

void keeper_process_gone(struct process *process)
{
    struct process *successor;

    if (likely(!keeper_keeps(process)))
        return;
    if (keeper.pause == 0 || arch_clock() - process->start_time >= LIFE)
        keeper.pause = PAUSE_FIRST;
    log_warning("%s ended (status 0x%x); it starts again in %lu ms", process->name, process->status,
                (unsigned long)(keeper.pause / MS));
    pause_for(keeper.pause);
    keeper.pause = MIN(keeper.pause * 2, PAUSE_LAST);
    while (start_successor(&successor)) /* memory is short: it may come back */
        pause_for(PAUSE_LAST);
    object_put(&process->object);
}
