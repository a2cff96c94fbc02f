/* The ways into the personality and out of it.
 *
 *   program --syscall--> kernel --> personality_call_entry --> handler --> window --jmp--> program
 *   program --fault----> kernel --> personality_exception_entry --> C ----> window --thread_resume--> program
 *   program --kick-----> kernel --> personality_kick_entry --> C ---------> window --thread_resume--> program
 *
 * At the first three, rsp is the thread's block (struct thread, thread.h); what the program had in its registers
 * is kept in thread->frame and nowhere else. The window [personality_window_start, _end) puts it back. It
 * may be left and begun anew at any instruction: it reads the block only, writes nothing but the stack just
 * below the block, and what it loads is loaded again. That closes the race with kicks:
 *
 *     window                              kernel, another CPU
 *     thread->kick is 0
 *                                         kick: thread->kick = 1, RIP in the window: RIP = window start
 *     window start: thread->kick is 1 --> personality_kicked
 *
 * No kernel entry lies on the way back from a call: same privilege, so a `jmp` will do.
 */
#include "lib/linux/offsets.h"

#define PERSONALITY_FIRST_BLOCK 0x7fffd000f000

.section .header, "a"
    .quad 0x3178756e696c7270                /* struct personality_header */
    .quad personality_text_start, personality_text_end
    .quad personality_window_start, personality_window_end
    .quad personality_call_entry, personality_exception_entry
    .quad personality_kick_entry, personality_nested_entry
    .quad personality_start

.section .text.entry, "ax"
.globl personality_start, personality_call_entry, personality_exception_entry, personality_kick_entry
.globl personality_nested_entry, personality_window_start, personality_window_end
.globl personality_fork_entry, personality_thread_entry, personality_resume

/* First instruction of the process: rdi = startup structure, rsi = START_*. */
    .balign 16
personality_start:
    movabs  $PERSONALITY_FIRST_BLOCK, %rsp
    mov     %rsi, %rdx
    mov     %rdi, %rsi
    mov     %rsp, %rdi
    call    start_process                   /* (thread, startup, kind) */
    jmp     personality_window_start

/* A foreign call: all registers but rsp, rcx and r11 are the program's. rbx, rbp and r12 to r15 survive the handler
 * as they survive any function: they are saved for those who look (fork, signals), and not loaded again. */
    .balign 16
personality_call_entry:
    mov     %rax, THREAD_NUMBER(%rsp)
    mov     %rdi, FRAME_RDI(%rsp)
    mov     %rsi, FRAME_RSI(%rsp)
    mov     %rdx, FRAME_RDX(%rsp)
    mov     %r10, FRAME_R10(%rsp)
    mov     %r8, FRAME_R8(%rsp)
    mov     %r9, FRAME_R9(%rsp)
    mov     %rbx, FRAME_RBX(%rsp)
    mov     %rbp, FRAME_RBP(%rsp)
    mov     %r12, FRAME_R12(%rsp)
    mov     %r13, FRAME_R13(%rsp)
    mov     %r14, FRAME_R14(%rsp)
    mov     %r15, FRAME_R15(%rsp)
    mov     THREAD_RIP(%rsp), %rcx
    mov     %rcx, FRAME_RIP(%rsp)
    mov     THREAD_RFLAGS(%rsp), %rcx
    mov     %rcx, FRAME_RFLAGS(%rsp)
    mov     THREAD_RSP(%rsp), %rcx
    mov     %rcx, FRAME_RSP(%rsp)
    movl    $0, THREAD_FULL(%rsp)
    mov     %rsp, %rdi
    cmp     $CALLS_LIMIT, %rax
    jae     unknown_call
    lea     calls_table(%rip), %rcx
    call    *(%rcx,%rax,8)
call_answered:
    mov     %rax, FRAME_RAX(%rsp)
    lea     RESTART_LAST(%rax), %rcx        /* an internal answer, RESTART_* of offsets.h? */
    cmp     $RESTART_LAST - RESTART_FIRST, %rcx
    jbe     call_interrupted

personality_window_start:
    cmpl    $0, THREAD_KICK(%rsp)
    jne     kick_latched
    cmpl    $0, THREAD_FULL(%rsp)
    jne     full_return
    pushq   FRAME_RFLAGS(%rsp)
    popfq
    mov     FRAME_RDI(%rsp), %rdi
    mov     FRAME_RSI(%rsp), %rsi
    mov     FRAME_RDX(%rsp), %rdx
    mov     FRAME_R10(%rsp), %r10
    mov     FRAME_R8(%rsp), %r8
    mov     FRAME_R9(%rsp), %r9
    mov     FRAME_RAX(%rsp), %rax
    mov     FRAME_RIP(%rsp), %rcx
    mov     FRAME_RFLAGS(%rsp), %r11
    mov     FRAME_RSP(%rsp), %rsp
    jmp     *%rcx

/* Every register from thread->frame: the kernel's part, since no instruction of ring 3 loads rip, rsp, rcx and
 * r11 at once (iretq would, but QEMU's TCG faults on it for ever under SMAP). A kick that comes meanwhile finds
 * the program's registers in place. */
full_return:
    lea     FRAME_R15(%rsp), %rdi           /* the frame's first register */
    mov     $THREAD_RESUME_CALL, %eax
    syscall
personality_window_end:
    mov     %rsp, %rdi
    call    exception_lost                  /* (thread): the registers cannot be put back: an odd rip, say */
    jmp     personality_window_start

unknown_call:
    call    calls_unknown
    jmp     call_answered

call_interrupted:
    mov     %rsp, %rdi
    call    signal_interrupted              /* (thread) */
    jmp     personality_window_start

kick_latched:
    mov     %rsp, %rdi
    call    signal_kicked                   /* (thread) */
    jmp     personality_window_start

    .balign 16
personality_kick_entry:
    cld
    movl    $1, THREAD_FULL(%rsp)
    jmp     kick_latched

    .balign 16
personality_exception_entry:
    cld
    movl    $1, THREAD_FULL(%rsp)
    mov     %rsp, %rdi
    call    exception_program               /* (thread) */
    jmp     personality_window_start

/* An exception in here: rdi = its struct abi_frame on this stack. */
    .balign 16
personality_nested_entry:
    cld
    mov     %rdi, %rbx
    and     $-16, %rsp
    call    exception_nested                /* (frame): corrects frame->rip, or ends the process */
    mov     %rbx, %rdi
    mov     $THREAD_RESUME_CALL, %eax
    syscall
    ud2

/* The only thread of a forked child: rdi = its block, rsi = its pid. */
    .balign 16
personality_fork_entry:
    mov     %rdi, %rsp
    call    process_forked                  /* (thread, pid) */
    jmp     personality_window_start

/* A thread of clone: rdi = its block. */
    .balign 16
personality_thread_entry:
    mov     %rdi, %rsp
    call    thread_started                  /* (thread) */
    jmp     personality_window_start

/* noreturn personality_resume(thread): from any depth of the stack back to the program. */
personality_resume:
    mov     %rdi, %rsp
    jmp     personality_window_start

/* The unwinder-free copy between personality and program: rdi to, rsi from, rdx length. 0, or -E_FAULT. */
    .text
.globl user_copy
    .balign 16
user_copy:
    mov     %rdx, %rcx
    shr     $3, %rcx
1:  rep movsq
    mov     %rdx, %rcx
    and     $7, %ecx
2:  rep movsb
    xor     %eax, %eax
    ret
3:  mov     $-7, %rax                       /* -E_FAULT */
    ret
    .pushsection .exception_table, "a"
    .quad 1b, 3b, 2b, 3b
    .popsection

/* user_copy_string(to, from, room): bytes before the terminator, room if there is none, or -E_FAULT. Words where the
 * source is aligned: an aligned word does not leave the page its first byte is on. What is behind the terminator in
 * its word is copied too. */
.globl user_copy_string
    .balign 16
user_copy_string:
    xor     %eax, %eax
    movabs  $0x0101010101010101, %r8
    movabs  $0x8080808080808080, %r9
1:  lea     (%rsi,%rax), %ecx
    test    $7, %cl
    jnz     3f
    lea     8(%rax), %rcx
    cmp     %rdx, %rcx
    ja      3f
2:  mov     (%rsi,%rax), %rcx
    mov     %rcx, (%rdi,%rax)
    mov     %rcx, %r10                      /* a zero byte: (w - 0x01..) & ~w & 0x80.. */
    sub     %r8, %rcx
    not     %r10
    and     %r10, %rcx
    and     %r9, %rcx
    jnz     5f
    add     $8, %rax
    jmp     1b
3:  cmp     %rdx, %rax
    je      6f
4:  movzbl  (%rsi,%rax), %ecx
    mov     %cl, (%rdi,%rax)
    test    %ecx, %ecx
    jz      6f
    inc     %rax
    jmp     1b
5:  bsf     %rcx, %rcx                      /* the lowest is exact */
    shr     $3, %ecx
    add     %rcx, %rax
6:  ret
7:  mov     $-7, %rax
    ret
    .pushsection .exception_table, "a"
    .quad 2b, 7b, 4b, 7b
    .popsection

/* fpu_xsave(image, mask), fpu_fxsave(image), fpu_xrstor(image, mask), fpu_fxrstor(image): 0, or -E_FAULT. */
.macro FPU name, instruction
.globl \name
    .balign 16
\name:
    mov     %esi, %eax
    mov     %rsi, %rdx
    shr     $32, %rdx
1:  \instruction (%rdi)
    xor     %eax, %eax
    ret
2:  mov     $-7, %rax
    ret
    .pushsection .exception_table, "a"
    .quad 1b, 2b
    .popsection
.endm
    FPU fpu_xsave, xsave64
    FPU fpu_xrstor, xrstor64
    FPU fpu_fxsave, fxsave64
    FPU fpu_fxrstor, fxrstor64

.section .note.GNU-stack, "", @progbits
