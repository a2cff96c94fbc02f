/* Copies between the kernel and the current space's user memory. C callers: user_copy.c, which checks ranges.
 *
 *     int raw_user_copy(void *to, const void *from, size_t length)           0, or -E_FAULT
 *     int raw_user_copy_nofault(...)
 *     int raw_user_zero(void *to, size_t length)
 *     int raw_user_read_u32(const uint32_t *from, uint32_t *value), raw_user_read_u32_nofault
 *
 * Leaf functions without a frame. A fault in one of the marked instructions is resolved (trap_kernel; it may block
 * and come back on another CPU) and the instruction goes on where it was: a string instruction keeps its progress in
 * rdi, rsi and rcx. Unresolvable, or in the nofault variants, it continues at `fault`.
 *
 * Words by REP MOVSQ, then the up to seven bytes that are left: the same on every CPU, whatever it says of fast
 * strings.
 */
#include "kernel/x86_64/user_access.h"

    .macro COPY name, flags
    .globl \name
    .balign 16
\name:
    movq %rdx, %rcx
    shrq $3, %rcx
    andl $7, %edx
    USER_ACCESS_OPEN
1:  rep movsq
    movl %edx, %ecx
2:  rep movsb
    USER_ACCESS_CLOSE
    xorl %eax, %eax
    ret
    EXCEPTION 1b, fault, \flags
    EXCEPTION 2b, fault, \flags
    .endm

    .macro READ_U32 name, flags
    .globl \name
    .balign 16
\name:
    USER_ACCESS_OPEN
1:  movl (%rdi), %eax
    USER_ACCESS_CLOSE
    movl %eax, (%rsi)
    xorl %eax, %eax
    ret
    EXCEPTION 1b, fault, \flags
    .endm

    .text
    COPY raw_user_copy, EXCEPTION_RESOLVE
    COPY raw_user_copy_nofault, 0
    READ_U32 raw_user_read_u32, EXCEPTION_RESOLVE
    READ_U32 raw_user_read_u32_nofault, 0

    .globl raw_user_zero
    .balign 16
raw_user_zero:
    movq %rsi, %rcx
    shrq $3, %rcx
    andl $7, %esi
    xorl %eax, %eax
    USER_ACCESS_OPEN
1:  rep stosq
    movl %esi, %ecx
2:  rep stosb
    USER_ACCESS_CLOSE
    ret
    EXCEPTION 1b, fault, EXCEPTION_RESOLVE
    EXCEPTION 2b, fault, EXCEPTION_RESOLVE

fault:
    USER_ACCESS_CLOSE
    movq $MINUS_E_FAULT, %rax
    ret

    .section .note.GNU-stack, "", @progbits
