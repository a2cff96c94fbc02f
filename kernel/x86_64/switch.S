/* From one kernel stack to another.
 *
 *     void switch_stacks(uint64_t *from_rsp, uint64_t to_rsp, struct thread *from)
 *
 * A thread that does not run has on its stack what switch_stacks pushed, and arch_thread.rsp points at it:
 *
 *     rsp -> r15 r14 r13 r12 rbx rbp   return address (into arch_switch; of a new thread: thread_begin, rbx = start)
 *
 * All other registers are the caller's to lose, by the calling convention. sched_switched(from) is called on the new
 * stack and returns to that return address: from may run elsewhere, or be freed, from then on.
 */
    .text
    .globl switch_stacks
switch_stacks:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    movq %rdx, %rdi
    jmp sched_switched

/* void leave_stack(uint64_t *from_rsp, struct register_frame *frame, uint32_t *left)
 * The caller's stack as switch_stacks leaves it; to user mode with the frame of a thread that is parked in a short call. */
    .globl leave_stack
leave_stack:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    movl $0, (%rdx)
    jmp short_checked

/* void resume_stack(uint64_t to_rsp, uint32_t *left)
 * To a stack that leave_stack or switch_stacks left; of the one in use nothing is kept. */
    .globl resume_stack
resume_stack:
    movq %rdi, %rsp
    movl $0, (%rsi)
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret

    .globl thread_begin
thread_begin:
    call *%rbx
    ud2 /* start does not return */

    .section .note.GNU-stack, "", @progbits
