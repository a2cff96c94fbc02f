/* From one thread to another: everything but the stacks. arch_switch (thread.c) and the relay's short calls use it. */
#pragma once

#include "kernel/process.h"
#include "kernel/sched/thread.h"
#include "kernel/vmm/space.h"
#include "kernel/x86_64/machine.h"

#define SWITCH_FRAME (7 * sizeof(uint64_t)) /* what switch_stacks pops */

/* FS and GS base of user mode: see thread.c. For threads of the kernel, too: what they are given and leave behind means
 * nothing. */
static inline void exchange_bases(struct arch_thread *from, const struct arch_thread *to)
{
    __asm__ volatile("rdfsbase %0\n\t"
                     "wrfsbase %2\n\t"
                     "swapgs\n\t"
                     "rdgsbase %1\n\t"
                     "wrgsbase %3\n\t"
                     "swapgs"
                     : "=&r"(from->fs_base), "=&r"(from->gs_base)
                     : "r"(to->fs_base), "r"(to->gs_base));
}

/* Kernel stack of the thread that comes, for traps and system calls. */
static inline void switch_entry_stack(struct cpu *cpu, const struct thread *to)
{
    cpu->arch.kernel_stack = to->arch.stack_top;
    /* Room for abi_frame.address and .cause. */
    cpu->arch.tss.rsp[0] = to->arch.stack_top - 2 * sizeof(uint64_t);
}

/* What is the user's in the CPU besides general registers; process: to's, NULL: of the kernel. */
static inline void switch_user_state(struct cpu *cpu, struct thread *from, struct thread *to,
                                     struct process *process)
{
    if (likely(!cpu->arch.leave_more && !(process && process->arch_ports)))
        exchange_bases(&from->arch, &to->arch);
    else
        switch_user_more(cpu, from, to);
}

/* Both are user threads, from is in its own space. */
static inline void switch_user(struct cpu *cpu, struct thread *from, struct thread *to)
{
    struct arch_space *old = cpu->arch.space, *space = &to->process->space->arch;

    switch_user_state(cpu, from, to, to->process);
    if (likely(old != space))
        tlb_exchange(cpu, old, space);
    switch_entry_stack(cpu, to);
}

/* The thread, which does not run, continues in relay_resume, whatever else is on its stack: below the frame of a short call
 * syscall.S has put what switch_stacks wants to find there. */
static inline void arch_park(struct thread *thread, struct register_frame *frame)
{
    thread->arch.rsp = (uint64_t)frame - SWITCH_FRAME;
}

static inline void arch_hand_over(struct cpu *cpu, struct thread *from,
                                  struct register_frame *frame, struct thread *to)
{
    switch_user(cpu, from, to);
    arch_park(from, frame);
}

static inline void arch_hand_over_stack(struct cpu *cpu, struct thread *from, struct thread *to,
                                        struct register_frame *frame)
{
    switch_user(cpu, from, to);
    leave_stack(&from->arch.rsp, frame, &from->on_cpu);
}

static inline NORETURN void arch_resume_stack(struct thread *to, uint32_t *left)
{
    resume_stack(to->arch.rsp, left);
}
