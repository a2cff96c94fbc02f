/* The machine's part of threads: stacks, registers in user mode, switching.
 *
 * At the top of a thread's kernel stack lies what it brought from user mode: a struct abi_frame (trap.S) or a struct
 * syscall_frame (syscall.S); the last word tells which. A new thread starts below an empty abi_frame there, which
 * arch_enter_user fills in.
 */
#include "kernel/sched/thread.h"
#include "kernel/panic.h"
#include "kernel/process.h"
#include "kernel/vmm/space.h"
#include "kernel/x86_64/hand_over.h"
#include "lib/base/string.h"

struct syscall_frame {
    uint64_t arguments[6];
    uint64_t rip, rflags, rsp;
    uint64_t kind;
};

#define FRAME_KIND_SYSCALL 1u

_Static_assert(sizeof(struct syscall_frame) == 80, "syscall.S pushes it");
_Static_assert(sizeof(struct register_frame) == 136, "syscall.S pushes it");
_Static_assert(sizeof(struct abi_frame) % 16 == 0, "the stack stays aligned");

static struct syscall_frame *syscall_frame(const struct thread *thread)
{
    struct syscall_frame *frame = (struct syscall_frame *)thread->arch.stack_top - 1;

    return frame->kind == FRAME_KIND_SYSCALL ? frame : NULL;
}

static struct abi_frame *trap_frame(const struct thread *thread)
{
    return (struct abi_frame *)thread->arch.stack_top - 1;
}

int arch_thread_create(struct thread *thread)
{
    thread->arch = (struct arch_thread){0};
    return fpu_create(&thread->arch);
}

void arch_thread_destroy(struct thread *thread)
{
    fpu_destroy(&thread->arch);
}

void arch_thread_init(struct thread *thread, void *stack_top, void (*start)(void))
{
    thread->arch.stack_top = (uint64_t)stack_top;
    memset(trap_frame(thread), 0, sizeof(struct abi_frame));

    uint64_t *stack = (uint64_t *)trap_frame(thread);
    *--stack = (uint64_t)thread_begin; /* return address */
    *--stack = 0;                      /* rbp: a backtrace ends here */
    *--stack = (uint64_t)start;        /* rbx */
    for (unsigned i = 0; i < 4; i++)
        *--stack = 0; /* r12 - r15 */
    thread->arch.rsp = (uint64_t)stack;
}

/* --- FS and GS base of user mode. In the kernel, the user's GS base is the one SWAPGS would bring. ---
 *
 * They are written on every switch, even if the old thread was given the same values: without FSGSBASE, too, a program
 * changes them unseen, to 0, by loading a selector. (The selectors themselves are not switched: in 64-bit mode they
 * mean nothing.) */

static void write_fs_base(uint64_t base)
{
    if (cpu_features.fsgsbase)
        __asm__ volatile("wrfsbase %0" : : "r"(base));
    else
        msr_write(MSR_FS_BASE, base);
}

static void write_gs_base(uint64_t base)
{
    if (cpu_features.fsgsbase)
        __asm__ volatile("swapgs\n\twrgsbase %0\n\tswapgs" : : "r"(base));
    else
        msr_write(MSR_KERNEL_GS_BASE, base);
}

void arch_set_fs(struct thread *thread, uint64_t base)
{
    thread->arch.fs_base = base;
    if (thread == thread_current())
        write_fs_base(base);
}

void arch_set_gs(struct thread *thread, uint64_t base)
{
    thread->arch.gs_base = base;
    if (thread == thread_current())
        write_gs_base(base);
}

void switch_user_more(struct cpu *cpu, struct thread *from, struct thread *to)
{
    struct process *process = to->process;

    if (cpu->arch.fpu_live)
        fpu_leave(cpu, from);
    if (process && (process->arch_ports || cpu->arch.ports_open))
        ports_switch(cpu, process);
    if (likely(!cpu->arch.bases_by_msr)) {
        exchange_bases(&from->arch, &to->arch);
    } else {
        msr_write(MSR_FS_BASE, to->arch.fs_base);
        msr_write(MSR_KERNEL_GS_BASE, to->arch.gs_base);
    }
}

void arch_switch(struct thread *from, struct thread *to)
{
    struct cpu *cpu = cpu_self();
    struct process *process = to->process;

    if (likely(process)) { /* a thread of the kernel keeps the space that is there */
        struct space *space = process->space;

        if (space && cpu->arch.space != &space->arch)
            tlb_exchange(cpu, cpu->arch.space, &space->arch);
    }
    switch_user_state(cpu, from, to, process);
    switch_entry_stack(cpu, to);
    switch_stacks(&from->arch.rsp, to->arch.rsp, from);
}

/* --- User registers --- */

void arch_enter_user(uint64_t entry, uint64_t stack, uint64_t argument, uint64_t argument2)
{
    struct abi_frame *frame = trap_frame(thread_current());

    *frame = (struct abi_frame){
        .rip = entry,
        .rsp = stack,
        .rdi = argument,
        .rsi = argument2,
        .rflags = RFLAGS_FIXED | RFLAGS_IF,
        .cs = SELECTOR_USER_CODE,
        .ss = SELECTOR_USER_DATA,
    };
    trap_enter_user(frame);
}

/* The frame's place is part of the stack in use, so everything needed is copied out of the way first; after that
 * nothing returns through what was overwritten. */
void arch_resume_user(const struct abi_frame *registers)
{
    struct abi_frame *frame = trap_frame(thread_current()), copy = *registers;

    arch_frame_change(frame, &copy);
    trap_enter_user(frame);
}

void arch_frame_change(struct abi_frame *frame, const struct abi_frame *registers)
{
    *frame = *registers;
    frame->cs = SELECTOR_USER_CODE;
    frame->ss = SELECTOR_USER_DATA;
    frame->rflags = (frame->rflags & RFLAGS_USER) | RFLAGS_FIXED | RFLAGS_IF;
    frame->vector = frame->error = frame->address = frame->cause = 0;
}

bool arch_thread_frame(struct thread *thread, struct abi_frame *frame)
{
    const struct syscall_frame *call = syscall_frame(thread);

    if (!call) {
        *frame = *trap_frame(thread);
        return true;
    }
    *frame = (struct abi_frame){
        .rip = call->rip,
        .rsp = call->rsp,
        .rflags = call->rflags,
        .cs = SELECTOR_USER_CODE,
        .ss = SELECTOR_USER_DATA,
    };
    return false;
}

void arch_user_redirect(uint64_t rip, uint64_t rsp, uint64_t rdi)
{
    struct syscall_frame *call = syscall_frame(thread_current());

    if (call) {
        call->rip = rip;
        call->rsp = rsp;
        call->arguments[0] = rdi;
    } else {
        struct abi_frame *frame = trap_frame(thread_current());

        frame->rip = rip;
        frame->rsp = rsp;
        frame->rdi = rdi;
    }
}
