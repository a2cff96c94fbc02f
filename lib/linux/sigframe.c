/* The frame a handler runs on, and the way back from it: Linux's struct rt_sigframe, byte for byte.
 *
 *     high   program's stack, then 128 bytes of red zone (or the top of the alternate stack)
 *            FPU image, 64-aligned: FXSAVE area with Linux's software bytes, XSAVE header and components, magic 2
 *            struct linux_sigframe: return address (the restorer), ucontext, siginfo; rsp = 16n + 8
 *     low
 *
 * XSAVE and XRSTOR work on the program's memory directly: the registers they move are the program's, which
 * nothing in here touches.
 */
#include "lib/base/string.h"
#include "lib/linux/answer.h"
#include "lib/linux/calls.h"
#include "lib/linux/process.h"
#include "lib/linux/signal.h"
#include "lib/linux/user.h"

#define RED_ZONE 128u
#define RFLAGS_KEPT \
    UINT64_C(0x254dd5) /* what sigreturn may set: CF PF AF ZF SF TF DF OF NT RF AC ID */
#define RFLAGS_CLEAR UINT64_C(0x10500) /* for the handler: TF, DF, RF */

int fpu_xsave(void *image, uint64_t mask);
int fpu_xrstor(const void *image, uint64_t mask);
int fpu_fxsave(void *image);
int fpu_fxrstor(const void *image);

/* The registers' initial values: what a header without components and the usual control words stand for. */
static const struct {
    uint16_t control, status;
    uint8_t unused[20];
    uint32_t mxcsr;
    uint8_t rest[FXSAVE_SIZE - 28 + XSAVE_HEADER_SIZE];
} __attribute__((aligned(64))) initial_fpu = {.control = 0x37f, .mxcsr = 0x1f80};

void fpu_reset(const struct process *process)
{
    if (process->xsave_size)
        sys_ignore(fpu_xrstor(&initial_fpu, process->xsave_mask));
    else
        sys_ignore(fpu_fxrstor(&initial_fpu));
}

static uint64_t fpu_size(const struct process *process)
{
    return process->xsave_size ? process->xsave_size + sizeof(uint32_t) : FXSAVE_SIZE;
}

static int fpu_write(const struct process *process, uint64_t address)
{
    static const uint8_t header[XSAVE_HEADER_SIZE];
    uint32_t magic = LINUX_FP_XSTATE_MAGIC2;
    struct linux_fpstate_software software = {
        .magic = LINUX_FP_XSTATE_MAGIC1,
        .extended_size = (uint32_t)fpu_size(process),
        .features = process->xsave_mask,
        .xstate_size = (uint32_t)process->xsave_size,
    };

    if (!user_range(address, fpu_size(process)))
        return -E_FAULT;
    if (!process->xsave_size) {
        memset(&software, 0, sizeof(software));
        if (fpu_fxsave((void *)address))
            return -E_FAULT;
        return user_write(address + LINUX_FPSTATE_SOFTWARE, &software, sizeof(software));
    }
    if (user_write(address + FXSAVE_SIZE, header, sizeof(header)) ||
        fpu_xsave((void *)address, process->xsave_mask) ||
        user_write(address + LINUX_FPSTATE_SOFTWARE, &software, sizeof(software)))
        return -E_FAULT;
    return user_write(address + process->xsave_size, &magic, sizeof(magic));
}

/* A frame without Linux's magic, or one the program has shortened, holds the FXSAVE part only. */
static int fpu_read(const struct process *process, uint64_t address)
{
    struct linux_fpstate_software software;

    if (!address) {
        fpu_reset(process);
        return 0;
    }
    if (address % 64 || user_read(&software, address + LINUX_FPSTATE_SOFTWARE, sizeof(software)))
        return -E_FAULT;
    if (!process->xsave_size || software.magic != LINUX_FP_XSTATE_MAGIC1 ||
        software.xstate_size != process->xsave_size)
        return fpu_fxrstor((const void *)address);
    if (!user_range(address, process->xsave_size))
        return -E_FAULT;
    return fpu_xrstor((const void *)address, process->xsave_mask & software.features);
}

static bool on_altstack(const struct thread *thread)
{
    const struct linux_stack_t *stack = &thread->altstack;

    return stack->size && thread->frame.rsp - stack->address - 1 < stack->size;
}

static void context_fill(const struct thread *thread, struct linux_sigcontext *to)
{
    const struct abi_frame *from = &thread->frame;
    uint16_t cs, ss;

    __asm__("mov %%cs, %0" : "=r"(cs));
    __asm__("mov %%ss, %0" : "=r"(ss));
    *to = (struct linux_sigcontext){
        .r8 = from->r8,
        .r9 = from->r9,
        .r10 = from->r10,
        .r11 = from->r11,
        .r12 = from->r12,
        .r13 = from->r13,
        .r14 = from->r14,
        .r15 = from->r15,
        .rdi = from->rdi,
        .rsi = from->rsi,
        .rbp = from->rbp,
        .rbx = from->rbx,
        .rdx = from->rdx,
        .rax = from->rax,
        .rcx = from->rcx,
        .rsp = from->rsp,
        .rip = from->rip,
        .rflags = from->rflags,
        .cs = cs,
        .ss = ss,
        .error = from->error,
        .trap = from->vector,
        .cr2 = from->address,
        .old_mask = thread->mask,
    };
}

static void context_take(struct thread *thread, const struct linux_sigcontext *from)
{
    struct abi_frame *to = &thread->frame;

    to->r8 = from->r8, to->r9 = from->r9, to->r10 = from->r10, to->r11 = from->r11;
    to->r12 = from->r12, to->r13 = from->r13, to->r14 = from->r14, to->r15 = from->r15;
    to->rdi = from->rdi, to->rsi = from->rsi, to->rbp = from->rbp, to->rbx = from->rbx;
    to->rdx = from->rdx, to->rax = from->rax, to->rcx = from->rcx, to->rsp = from->rsp;
    to->rip = from->rip;
    to->rflags = (to->rflags & ~RFLAGS_KEPT) | (from->rflags & RFLAGS_KEPT);
}

void siginfo_fill(struct linux_siginfo *to, int signal, const struct signal_info *from)
{
    uint64_t faults = SIGNAL_MASK(LINUX_SIGSEGV) | SIGNAL_MASK(LINUX_SIGBUS) |
                      SIGNAL_MASK(LINUX_SIGILL) | SIGNAL_MASK(LINUX_SIGFPE) |
                      SIGNAL_MASK(LINUX_SIGTRAP);

    memset(to, 0, sizeof(*to));
    to->signal = signal;
    to->code = from->code;
    if ((SIGNAL_MASK(signal) & faults) && from->code > 0) {
        to->fault.address = from->value;
    } else if (signal == LINUX_SIGCHLD && from->code > 0) {
        to->child.pid = from->pid;
        to->child.uid = from->uid;
        to->child.status = from->status;
    } else {
        to->sender.pid = from->pid;
        to->sender.uid = from->uid;
        to->sender.value = (int64_t)from->value;
    }
}

int sigframe_push(struct thread *thread, int signal, const struct signal_info *info,
                  const struct action *action)
{
    struct process *process = thread->process;
    struct linux_sigframe frame;
    bool alternate = (action->flags & LINUX_SA_ONSTACK) && thread->altstack.size;
    bool entering = alternate && !on_altstack(thread);
    uint64_t top =
        entering ? thread->altstack.address + thread->altstack.size : thread->frame.rsp - RED_ZONE;
    uint64_t fpu = ALIGN_DOWN(top - fpu_size(process), (uint64_t)64);
    uint64_t at = ALIGN_DOWN(fpu - sizeof(frame), (uint64_t)16) - 8;

    if (!(action->flags & LINUX_SA_RESTORER))
        return -E_FAULT;
    if (alternate && (at < thread->altstack.address || at >= top))
        return -E_FAULT;
    memset(&frame, 0, sizeof(frame));
    frame.return_address = action->restorer;
    frame.context.flags = LINUX_UC_SIGCONTEXT_SS | LINUX_UC_STRICT_RESTORE_SS |
                          (process->xsave_size ? LINUX_UC_FP_XSTATE : 0);
    frame.context.stack = thread->altstack;
    if (!thread->altstack.size)
        frame.context.stack.flags = LINUX_SS_DISABLE;
    else if (on_altstack(thread))
        frame.context.stack.flags |= LINUX_SS_ONSTACK;
    context_fill(thread, &frame.context.context);
    frame.context.context.fpstate = fpu;
    frame.context.mask = thread->restore_mask_set ? thread->restore_mask : thread->mask;
    siginfo_fill(&frame.info, signal, info);
    if (fpu_write(process, fpu) || user_write(at, &frame, sizeof(frame)))
        return -E_FAULT;

    struct abi_frame *registers = &thread->frame;
    registers->rdi = (uint64_t)signal;
    registers->rsi = at + offsetof(struct linux_sigframe, info);
    registers->rdx = at + offsetof(struct linux_sigframe, context);
    registers->rax = 0;
    registers->rsp = at;
    registers->rip = action->handler;
    registers->rflags &= ~RFLAGS_CLEAR;
    thread->full = 1;
    thread->restore_mask_set = false;
    thread->mask |= action->mask;
    if (!(action->flags & LINUX_SA_NODEFER))
        thread->mask |= SIGNAL_MASK(signal);
    if (thread->altstack.flags & LINUX_SS_AUTODISARM)
        thread->altstack = (struct linux_stack_t){.flags = 0};
    fpu_reset(process);
    return 0;
}

int64_t linux_rt_sigreturn(struct thread *thread)
{
    struct linux_sigframe frame;
    uint64_t at = thread->frame.rsp - sizeof(frame.return_address);

    if (user_read(&frame, at, sizeof(frame)) ||
        fpu_read(thread->process, frame.context.context.fpstate))
        process_exit(thread->process, LINUX_SIGSEGV);
    context_take(thread, &frame.context.context);
    thread->full = 1;
    thread->altstack = frame.context.stack;
    thread->altstack.flags &= LINUX_SS_AUTODISARM;
    if (frame.context.stack.flags & LINUX_SS_DISABLE)
        thread->altstack.size = 0;
    signal_mask_set(thread, frame.context.mask);
    personality_resume(thread); /* not by way of an answer: rax is the program's */
}
