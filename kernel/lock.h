/* Spinlocks, and the one order in which they are taken.
 *
 * A CPU may take a lock only if its rank is higher than that of every lock it holds; in debug builds
 * lock_acquire asserts that. (lock_try cannot wait, so it may be used against the order.) The list below is the only place where the order is written. The kernel runs
 * with interrupts off, so a lock is never interrupted by its own CPU; ranks from LOCK_INTERRUPT_SAFE up are
 * also taken by interrupt handlers, which is why arch_preempt_window() may be called only below that rank.
 */
#pragma once

#include "kernel/arch.h"

enum lock_rank {
    RANK_NONE = 0,
    RANK_CIRCLES,   /* the search for circles of objects (circle.c) */
    RANK_INHERIT,   /* priorities that change along a chain of calls */
    RANK_PROCESS,   /* a process's threads and state */
    RANK_HANDLES,   /* a handle table */
    RANK_NAMESPACE, /* a namespace's entries */
    RANK_SPACE,     /* an address space: regions and page tables */
    RANK_MEMORY,    /* a memory object: its pages and the list of regions that map it */
    RANK_STREAM,    /* both ends of a stream; a listener */
    RANK_CARGO,     /* which handles lie in which streams */
    RANK_FILE,      /* an open file's position and signals */
    RANK_ACCOUNT,   /* an account: who is in it */
    RANK_PORT,      /* a port: queues, workers, accepted commands */
    RANK_IRQ_LINES, /* which interrupt lines there are */
    RANK_CLOCK,     /* who sets real time; which timers go by it */
    LOCK_INTERRUPT_SAFE,
    RANK_TIMER = LOCK_INTERRUPT_SAFE, /* a CPU's timers */
    RANK_VECTORS,                     /* a CPU's device vectors */
    RANK_IRQ,                         /* an interrupt line: who is bound, who has acknowledged */
    RANK_BINDING,                     /* a source's list of bindings and waiters */
    RANK_NOTIFY,                      /* a port's queue of notifications */
    RANK_FUTEX,                       /* a bucket of the futex table */
    RANK_THREAD,                      /* a thread's wait state */
    RANK_QUEUE,                       /* a CPU's run queue */
    RANK_HEAP,                        /* a slab cache */
    RANK_FRAMES,                      /* the frame allocator */
    RANK_ARCH,                        /* the machine's own: vmap area, IO-APIC, shootdown */
    RANK_LOG,
};

struct lock {
    uint32_t taken;
#if DEBUG
    uint32_t rank;
    const char *name;
    struct cpu *holder;
#endif
};

#if DEBUG
#define LOCK_INIT(rank_, name_)   \
    {                             \
        0, (rank_), (name_), NULL \
    }
#else
#define LOCK_INIT(rank_, name_) \
    {                           \
        0                       \
    }
#endif

void lock_init(struct lock *lock, enum lock_rank rank, const char *name);
/* A second lock of the same rank, in address order: the only exception to the ranks. */
void lock_acquire_nested(struct lock *lock);
void lock_wait(struct lock *lock); /* the slow part of lock_acquire */
bool lock_held(struct lock *lock); /* by this CPU; always true without DEBUG */
#if DEBUG
void lock_debug_acquire(struct lock *lock); /* asserts the order, before waiting */
void lock_debug_acquired(struct lock *lock);
void lock_debug_released(struct lock *lock);
/* What a CPU holds, for a panic: the n-th lock taken, or NULL. */
const struct lock *lock_debug_held(uint32_t cpu, uint32_t n);
#else
static inline void lock_debug_acquire(struct lock *lock)
{
    (void)lock;
}
static inline void lock_debug_acquired(struct lock *lock)
{
    (void)lock;
}
static inline void lock_debug_released(struct lock *lock)
{
    (void)lock;
}
#endif

static inline bool lock_grab(struct lock *lock)
{
    /* One instruction that leaves the answer in a flag. */
    return !(__atomic_fetch_or(&lock->taken, 1, __ATOMIC_ACQUIRE) & 1);
}

static inline void lock_acquire(struct lock *lock)
{
    lock_debug_acquire(lock);
    if (unlikely(!lock_grab(lock)))
        lock_wait(lock);
    lock_debug_acquired(lock);
}

static inline void lock_release(struct lock *lock)
{
    lock_debug_released(lock);
    __atomic_store_n(&lock->taken, 0, __ATOMIC_RELEASE);
}

static inline bool lock_try(struct lock *lock)
{
    if (!lock_grab(lock))
        return false;
    lock_debug_acquired(lock);
    return true;
}
