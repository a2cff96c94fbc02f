/* Threads: what the scheduler runs.
 *
 *     thread_new(process, &thread)              suspended, with a kernel stack
 *     thread_start(thread, &start)              runnable; enters user mode at start->entry
 *     thread_exit()                             the caller ends
 *     thread_kill(thread)                       it ends at its next return to user mode; its waits end now
 *
 * States, and who moves a thread from one to the other:
 *
 *     NEW --thread_start--> READY --sched--> RUNNING --sched_block--> BLOCKED
 *                             ^                 |  \---thread_exit--> DEAD --sched_switched--> freed
 *                             +--- preempted ---+          BLOCKED --thread_wake--> READY
 *
 * Suspension is a flag: a suspended thread is parked (BLOCKED) when it is about to return to user mode.
 * Waiting is in wait.h. Lock: thread->lock (RANK_THREAD) for state and wait; run-queue fields belong to
 * the queue's lock.
 */
#pragma once

#include "kernel/ipc/worker.h"
#include "kernel/object.h"
#include "kernel/process.h"
#include "lib/base/rbtree.h"

enum thread_state { THREAD_NEW, THREAD_READY, THREAD_RUNNING, THREAD_BLOCKED, THREAD_DEAD };

/* What a thread must see to before it goes back to user mode (thread->work). */
#define WORK_KILL    0x1u
#define WORK_SUSPEND 0x2u
#define WORK_KICK    0x4u
#define WORK_ANY     (~0u)

/* What becomes of a kick that lies in block->kick (thread->latched; see return.c). */
enum latched_kick { LATCHED_NONE, LATCHED_KICK, LATCHED_TOLD };

#define PRIORITY_FAIR 0u
#define PRIORITY_MAX  31u
#define WEIGHT_USUAL  1024u

struct command;
struct request;
struct register_frame;

/* How a thread enters user mode. */
struct thread_start {
    uint64_t entry, stack, argument, argument2, fs_base, gs_base;
};

struct thread {
    struct object object; /* OBJECT_THREAD */
    struct arch_thread arch;
    struct process *process; /* holds a reference; NULL: idle */
    struct list sibling;     /* process->threads */
    void *stack_top;
    struct thread_start start;
    uint64_t block; /* user address of struct abi_block; 0: no personality */
    union {
        struct {
            uint32_t work;     /* WORK_*, atomic */
            uint16_t latched;  /* enum latched_kick; the thread's own */
            uint16_t borrowed; /* priority or limit are not its own (ipc/inherit.c) */
        };
        uint64_t attention; /* any of them */
    };

    struct lock lock; /* RANK_THREAD */
    bool parked;      /* waits in return_check to be resumed */
    enum thread_state state;
    uint32_t on_cpu;  /* still on its stack: whoever wants to run it elsewhere waits for 0 */
    int wait_result;  /* what sched_block returns */
    uint32_t waiting; /* WAIT_* while it may be woken */
    /* Waits in a short call with nothing on its kernel stack but this: whoever ends the wait may also answer the call
     * there and switch to its return to user mode (ipc/short.h). */
    struct register_frame *parked_call;
    /* READY to leave with it: its call has been answered there, and has nothing more to do (ipc/hand_over.h). */
    struct register_frame *answered;
    struct cpu *cpu;   /* where it ran last */
    uint64_t affinity; /* mask of the first 64 CPUs; 0: all */

    /* Scheduling: the queue's lock */
    uint32_t priority; /* effective: own or inherited through a command */
    uint32_t own_priority;
    uint32_t served, pressed; /* ipc/inherit.c, thread->lock */
    uint32_t weight;
    uint64_t virtual_time;     /* fair class */
    uint64_t cpu_time;         /* cycles */
    struct list queue_link;    /* real-time class */
    struct rb_node queue_node; /* fair class */
    bool queued;
    uint32_t
        level; /* the priority it was queued with: its own may change while it is between queues */
    bool migrating; /* leaves a CPU it may no longer use: sched_switched queues it elsewhere */

    uint32_t call_rights;          /* of the handle the system call under way names */
    struct command *command;       /* what it calls with: one, made with the thread */
    const struct request *sending; /* whose handles it holds while it calls; NULL: none */
    struct worker worker;          /* what it accepts with */
    uint64_t trace;          /* of the command it accepted last: what it sends on carries it too */
    uint64_t limit;          /* its deadline: none of its own commands waits longer (inherit.c) */
    struct list ripple_link; /* inherit.c */
    struct space *leaving;   /* its dead process's space, put once it is off it */
    bool paging_forbidden;   /* it must not wait for pagers now (vmm/pager.h) */
    uint32_t fault_cause;    /* E_*: why the last fault was not resolved */
    uint32_t missed_access;  /* FAULT_*, of */
    uint64_t missed_page;    /* what it would have had to wait for; 0: nothing */
    struct list *cargos; /* handles in streams that are gone, to be dropped (ipc/stream_cargo.c) */
};

int thread_new(struct process *process, struct thread **thread) MUST_CHECK;
/* The caller keeps its reference; the thread has one of its own until it is reaped. */
void thread_start(struct thread *thread, const struct thread_start *start);
NORETURN void thread_exit(uint64_t clear);
void thread_kill(struct thread *thread);
void thread_post_work(struct thread *thread, uint32_t work);
void thread_resume(struct thread *thread); /* undoes WORK_SUSPEND */
void thread_reap(struct thread *thread);   /* off its stack for good */
struct thread *thread_new_idle(struct cpu *cpu) MUST_CHECK;

static inline struct thread *thread_current(void)
{
    return cpu_self()->current;
}

static inline struct process *process_current(void)
{
    return thread_current()->process;
}

/* Other CPUs read and change these at any time, each by itself. */
static inline uint32_t thread_priority(const struct thread *thread)
{
    return __atomic_load_n(&thread->priority, __ATOMIC_RELAXED);
}

static inline uint32_t thread_own_priority(const struct thread *thread)
{
    return __atomic_load_n(&thread->own_priority, __ATOMIC_RELAXED);
}

static inline uint32_t thread_weight(const struct thread *thread)
{
    return __atomic_load_n(&thread->weight, __ATOMIC_RELAXED);
}

static inline struct cpu *thread_cpu(const struct thread *thread)
{
    return __atomic_load_n(&thread->cpu, __ATOMIC_RELAXED);
}

static inline void thread_set_state(struct thread *thread, enum thread_state state)
{
    __atomic_store_n(&thread->state, state, __ATOMIC_RELAXED);
}

static inline struct register_frame *thread_parked_call(const struct thread *thread)
{
    return __atomic_load_n(&thread->parked_call, __ATOMIC_RELAXED);
}

static inline void thread_set_parked_call(struct thread *thread, struct register_frame *frame)
{
    __atomic_store_n(&thread->parked_call, frame, __ATOMIC_RELAXED);
}

static inline uint64_t thread_trace(const struct thread *thread)
{
    return __atomic_load_n(&thread->trace, __ATOMIC_RELAXED);
}

static inline void thread_set_trace(struct thread *thread, uint64_t trace)
{
    __atomic_store_n(&thread->trace, trace, __ATOMIC_RELAXED);
}

static inline bool thread_has_work(const struct thread *thread, uint32_t work)
{
    return __atomic_load_n(&thread->work, __ATOMIC_ACQUIRE) & work;
}

/* Whether what is allocated now may come from the reserve (vmm/frame.h): the kernel's own work, or a system process's. */
static inline bool process_is_system(void)
{
    const struct thread *thread = thread_current();

    return !thread || !thread->process || thread->process->system;
}
