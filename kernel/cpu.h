/* Per-CPU data. Stable while in the kernel: interrupts are off and nothing preempts. */
#pragma once

#include "kernel/arch.h"
#include "kernel/lock.h"
#include "lib/base/list.h"
#include "lib/base/rbtree.h"

#define CPU_MAX 256u

struct cpu_queue; /* kernel/sched/sched.h */

#define RESCHED_WANTED 0x1u /* set by anybody: the CPU is to look whom it runs */
#define RESCHED_POLLED \
    0x2u /* set by itself, idle: it looks at this word and needs no interrupt (sched/idle.h) */

struct cpu {
    struct arch_cpu arch; /* must be first: assembly knows its offsets */
    struct cpu *self;
    uint32_t index;
    bool online;
    struct thread *current;
    struct thread *idle;
    struct thread *handed; /* runs when `current` leaves (cpu_hand) */
    union {
        struct {
            uint32_t need_resched; /* RESCHED_*; not 0: something to do on the way to user mode */
            uint32_t handing;      /* handed is not NULL */
        };
        uint64_t attention; /* either */
    };
    uint32_t unread; /* a word to write where nobody looks (ipc/short.c) */
    struct cpu_queue *queue;
    struct rb_tree timers; /* struct timer by time; own CPU and RANK_TIMER */
    struct lock timer_lock;
    uint64_t timer_programmed; /* what the hardware is set to */
    /* counters, read by anybody, written by this CPU */
    uint64_t context_switches, interrupts, page_faults, shootdowns;
    uint64_t shootdown_interrupts;  /* sent: one for each CPU asked */
    uint64_t reschedule_interrupts; /* sent, by arch_cpu_kick */
    int64_t huge_pages;             /* mapped less unmapped or split; a CPU's own may be below 0 */
    int64_t page_tables; /* taken for spaces less given back; a CPU's own may be below 0 */
    uint64_t fail_countdown;
    uint64_t charged_at; /* arch_cycles() up to which its time is some thread's (sched.h) */
    int64_t commands;    /* sent by this CPU less completed by it (ipc/command.h) */
};

/* The CPU's own; NULL: nobody. */
static inline void cpu_hand(struct cpu *cpu, struct thread *thread)
{
    cpu->handed = thread;
    cpu->handing = thread != NULL;
}

extern struct cpu *cpus[CPU_MAX];
extern uint32_t cpu_count; /* online */
