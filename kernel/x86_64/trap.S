/* Interrupts and exceptions: all 256 vectors come here.
 *
 * The CPU aligns rsp, pushes five words and for some vectors an error code; the stub of the vector adds what is
 * missing, and `save` the registers. The result is a struct abi_frame (abi/abi.h), addresses growing upwards:
 *
 *     rsp -> r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi        save
 *            vector error                                                     stub (error: stub or CPU)
 *            rip cs rflags rsp ss                                             CPU
 *            address cause (0)                                                only where room was left for them
 *
 * From user mode the stack is the thread's kernel stack, whose last 16 bytes TSS.rsp0 leaves free for the last two
 * words. From the kernel it is the stack in use, and there are no such words: what follows is the interrupted
 * function's. 15 + 2 + 5 words and the CPU's alignment keep rsp 16-byte aligned for the calls.
 *
 * Three roads:
 *     from user mode   swapgs; trap_user(frame), trap_leave(frame); swapgs; iretq
 *     from the kernel  trap_kernel(frame); iretq
 *     NMI, #DF, #MC    on stacks of their own (IST), at any instruction, also between SYSCALL and SWAPGS: GS says
 *                      nothing, so the CPU is found from the stack and GS base is set and put back;
 *                      trap_anywhere(frame)
 */
#include "kernel/x86_64/registers.h"
#include "kernel/x86_64/user_access.h"
#include "kernel/x86_64/vectors.h"

    .macro save
    pushq %rdi
    pushq %rsi
    pushq %rdx
    pushq %rcx
    pushq %rax
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    cld
    USER_ACCESS_CLOSE /* an exception does not clear AC, which the user may have set */
    .endm

    .macro restore
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rax
    popq %rcx
    popq %rdx
    popq %rsi
    popq %rdi
    addq $16, %rsp /* vector, error */
    .endm

    .text
    .balign 16
trap:
    save
    testb $3, FRAME_CS(%rsp)
    jz from_kernel
    swapgs
    lfence /* no speculation past the test with the user's GS */
    xorl %ebp, %ebp /* a backtrace ends here */
    movq %rsp, %rdi
    call trap_user

/* rsp: a complete user frame. arch_enter_user comes here, too. */
    .globl trap_return_user
trap_return_user:
    movq %rsp, %rdi
    call trap_leave
    restore
    swapgs
    iretq

from_kernel:
    movq %rsp, %rdi
    call trap_kernel
    restore
    iretq

    .balign 16
trap_ist:
    save
    movl $MSR_GS_BASE, %ecx
    rdmsr
    movl %eax, %r12d
    movl %edx, %r13d
    movq FRAME_TO_IST_CPU(%rsp), %rax
    movq %rax, %rdx
    shrq $32, %rdx
    wrmsr
    movq %rsp, %rdi
    call trap_anywhere
    movl $MSR_GS_BASE, %ecx
    movl %r12d, %eax
    movl %r13d, %edx
    wrmsr
    restore
    iretq

/* void trap_enter_user(struct abi_frame *frame): the frame lies at the top of the kernel stack. */
    .globl trap_enter_user
trap_enter_user:
    movq %rdi, %rsp
    xorl %ebp, %ebp
    jmp trap_return_user

/* The stubs, and a table of them for the IDT. The CPU pushes an error code for vectors 8, 10-14, 17, 21, 29, 30. */
#define ERROR_CODES (1 << 8 | 0x1f << 10 | 1 << 17 | 1 << 21 | 1 << 29 | 1 << 30)

    .macro stub
    .pushsection .rodata.trap_stubs, "a", @progbits
    .quad 1f
    .popsection
    .balign 4
1:
    .if number >= VECTOR_EXCEPTIONS || !(ERROR_CODES >> (number & 31) & 1)
    pushq $0
    .endif
    pushq $number
    .if number == VECTOR_NMI || number == VECTOR_DOUBLE_FAULT || number == VECTOR_MACHINE_CHECK
    jmp trap_ist
    .else
    jmp trap
    .endif
    .endm

    .section .rodata.trap_stubs, "a", @progbits
    .balign 8
    .globl trap_stubs
trap_stubs:
    .text
    .set number, 0
    .rept VECTORS
    stub
    .set number, number + 1
    .endr

    .section .note.GNU-stack, "", @progbits
