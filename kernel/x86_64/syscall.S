/* System calls: entry and exit.
 *
 * SYSCALL (SDM volume 2) leaves the user's rip in rcx and rflags in r11, clears the flags in SFMASK (interrupts are
 * off from here to SYSRET) and changes nothing else: not even the stack. On the thread's kernel stack a native
 * call then builds
 *
 *     top   (CPU_KERNEL_STACK)
 *      -8   1                      tells it from a trap frame, which has abi_frame.cause = 0 here
 *     -16   rsp    of user mode
 *     -24   rflags (r11)
 *     -32   rip    (rcx)
 *     -40   r9                     arguments[5]
 *     -48   r8
 *     -56   r10
 *     -64   rdx
 *     -72   rsi
 *     -80   rdi                    arguments[0]      <- rsp at the call of syscall_entry: 16-byte aligned
 *
 * = struct syscall_frame (thread.h). rbx, rbp and r12-r15 are kept by the C code. So all but rax, rcx and r11 come
 * back as they were.
 *
 * A short call of the relay (kernel/ipc/short.h) has all registers on the stack: below the above rax, rbp, rbx and r12-r15
 * (struct register_frame), and below that short_resumed, where switch_stacks returns to if the thread is left with nothing
 * else on its stack; the six words further down that it pops first may hold anything. What the program passed in rdi, rsi and rdx
 * the C code gets there, too. It says whose frame is loaded on the way out; once its stack is the one in use, the thread that was
 * left may run elsewhere (on_cpu, as in sched_switched).
 *
 * A foreign call (any number outside our range) of a thread with a block needs no C code: {rip, rflags, rsp} go from
 * the kernel stack into the block and SYSRET enters the personality with rsp = block. rcx and r11, which the
 * instruction lost anyway, are the only registers used. Work for the thread that came meanwhile waits for the
 * interrupt that announces it: interrupts are on again right after SYSRET.
 *
 * What makes SYSRET safe:
 *   - rip is canonical and the user's. Intel's SYSRET with another rcx raises #GP in ring 0 on the user's stack.
 *     From SYSCALL it is at most USER_LIMIT (no page is mapped there, so that the instruction behind a SYSCALL at
 *     its end is canonical); arch_user_redirect may have changed it, hence the test before SYSRET. call_entry and
 *     thread->block are checked when they are set (process_exec, thread_control): both lie below USER_LIMIT.
 *   - between `pop %rsp` and SYSRET only NMI, #MC and #DF can come; these have stacks of their own and do not trust GS.
 */
#include "kernel/x86_64/registers.h"
#include "kernel/x86_64/user_access.h"
#include "kernel/x86_64/vectors.h"

#define ENOSYS              38 /* Linux's: for a foreign call nobody answers */
#define FRAME_KIND_SYSCALL  1

    .macro save_short
    pushq %r9
    pushq %r8
    pushq %r10
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %rax
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushq $short_resumed
    .endm

    .text
    .globl syscall_enter
    .balign 64
syscall_enter:
    swapgs
    movq %rsp, %gs:CPU_USER_RSP
    movq %gs:CPU_KERNEL_STACK, %rsp
    pushq $FRAME_KIND_SYSCALL
    pushq %gs:CPU_USER_RSP
    pushq %r11
    pushq %rcx
    leaq MINUS_SYSCALL_BASE(%rax), %rcx
    cmpl $SYSCALL_COUNT, %ecx
    jae not_listed
    pushq %r9
    pushq %r8
    pushq %r10
    pushq %rdx
    pushq %rsi
    pushq %rdi
    movq %rsp, %rdi
    movl %ecx, %esi
    call syscall_entry /* int64_t (const uint64_t arguments[6], uint32_t number) */

leave:
    movq %gs:CPU_CURRENT, %rcx
    movl %gs:CPU_NEED_RESCHED, %r11d
    orl THREAD_WORK(%rcx), %r11d
    jnz work
    popq %rdi
    popq %rsi
    popq %rdx
    popq %r10
    popq %r8
    popq %r9
    popq %rcx
    movq %rcx, %r11
    shrq $47, %r11
    jnz rip_lost
    popq %r11
    popq %rsp
    swapgs
    sysretq

/* Something to see to first: reschedule, or WORK_*. user_return may block; it may change the frame
 * (arch_user_redirect), and may not return at all. */
work:
    pushq %rax
    subq $8, %rsp
    xorl %edi, %edi
    call user_return
    addq $8, %rsp
    popq %rax
    jmp leave

/* rip is none of the user's half: see above. */
rip_lost:
    movl $VECTOR_PROTECTION, %edi
    jmp lost

not_listed:
    jne 1f
    save_short
    leaq 8(%rsp), %rdx
    call relay_call /* struct leave (uint64_t rdi, uint64_t rsi, struct register_frame *frame) */
    jmp short_leave
1:  cmpl $SHORT_RETURN_ACCEPT, %ecx
    jne foreign
    save_short
    leaq 8(%rsp), %rcx
    call relay_return_accept /* the same with rdx */
short_leave:
    movq %rax, %rsp
    movl $0, (%rdx)
    .globl short_checked
short_checked:
    movq %gs:CPU_CURRENT, %rcx
    movl %gs:CPU_NEED_RESCHED, %r11d
    orl THREAD_WORK(%rcx), %r11d
    jnz short_work
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    popq %rax
    popq %rdi
    popq %rsi
    popq %rdx
    popq %r10
    popq %r8
    popq %r9
    popq %rcx
    popq %r11
    popq %rsp
    swapgs
    sysretq

/* Where switch_stacks returns to for a thread that was left in a short call: rsp is its frame. */
short_resumed:
    movq %rsp, %rdi
    pushq $short_resumed
    call relay_resume
    jmp short_leave

short_work:
    subq $8, %rsp
    xorl %edi, %edi
    call user_return
    movq REGISTER_FRAME_RIP + 8(%rsp), %rcx
    shrq $47, %rcx
    jnz rip_lost
    addq $8, %rsp
    jmp short_checked

foreign:
    movq %gs:CPU_CURRENT, %r11
    movq THREAD_BLOCK(%r11), %rcx
    testq %rcx, %rcx
    jz no_personality
    USER_ACCESS_OPEN
1:  popq BLOCK_RIP(%rcx)
2:  popq BLOCK_RFLAGS(%rcx)
3:  popq BLOCK_RSP(%rcx)
    USER_ACCESS_CLOSE
    movq THREAD_PROCESS(%r11), %r11
    movq %rcx, %rsp
    movq PROCESS_CALL_ENTRY(%r11), %rcx
    movl $(RFLAGS_FIXED | RFLAGS_IF), %r11d
    swapgs
    sysretq
    EXCEPTION 1b, block_lost, EXCEPTION_RESOLVE
    EXCEPTION 2b, block_lost, EXCEPTION_RESOLVE
    EXCEPTION 3b, block_lost, EXCEPTION_RESOLVE

/* The block is not memory the thread can write. */
block_lost:
    USER_ACCESS_CLOSE
    movl $VECTOR_PAGE_FAULT, %edi
lost:
    movq %gs:CPU_KERNEL_STACK, %rsp
    xorl %ebp, %ebp
    call thread_lost /* (vector), does not return */
    ud2

no_personality:
    movq $-ENOSYS, %rax
    popq %rcx
    popq %r11
    popq %rsp
    swapgs
    sysretq

    .section .note.GNU-stack, "", @progbits
