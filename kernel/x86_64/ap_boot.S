/* Where a started CPU begins: real mode, in a copy of this code in a page below 1 MiB, all of them at once.
 *
 * It goes straight to long mode on the first page tables (boot.S), which show the page at its own address. There it
 * looks itself up by its APIC id in smp_starting (smp.c), takes the stack that is waiting for it, and calls
 * smp_entry(struct starting *). A CPU that is not in the list halts. No memory is written before it has a stack.
 */
#include "kernel/x86_64/registers.h"

#define STARTING_APIC_ID 0 /* struct starting */
#define STARTING_STACK   8
#define STARTING_SIZE    32

    .section .rodata, "a", @progbits
    .balign 16
    .globl ap_boot_start, ap_boot_end, ap_boot_efer, ap_boot_gdt
    .code16
ap_boot_start:
    cli
    cld
    movw %cs, %ax
    movw %ax, %ds
    lgdtl (ap_boot_gdt - ap_boot_start)
    movl $CR4_PAE, %eax
    movl %eax, %cr4
    movl $boot_page_tables, %eax
    movl %eax, %cr3
    movl $MSR_EFER, %ecx
    movl (ap_boot_efer - ap_boot_start), %eax
    xorl %edx, %edx
    wrmsr
    movl $(CR0_PG | CR0_WP | 0x11), %eax /* and PE, ET */
    movl %eax, %cr0
    ljmpl $SELECTOR_KERNEL_CODE, $ap_low

    .balign 4
ap_boot_efer:
    .long 0 /* LME, and NXE if there is NX. In the copy smp.c fills this in, */
ap_boot_gdt:
    .short 0 /* and the limit and 32-bit address of boot_gdt_pointer */
    .long 0
ap_boot_end:

/* Low memory that stays: linked and loaded at the same address below 4 GiB. */
    .section .boot.text, "ax", @progbits
    .code64
ap_low:
    movq $ap_high, %rax
    jmp *%rax

    .text
ap_high:
    movl $SELECTOR_KERNEL_DATA, %eax /* while the GDT is still mapped */
    movl %eax, %ss
    xorl %eax, %eax /* a null selector, and CPUID's leaf 0 */
    movl %eax, %ds
    movl %eax, %es
    movq kernel_root, %rcx /* the list and the stacks are only there */
    movq %rcx, %cr3

    /* The APIC id: 32 bits from leaf 0xb where that says something, else 8 bits from leaf 1. */
    cpuid
    cmpl $0xb, %eax
    jb 1f
    movl $0xb, %eax
    xorl %ecx, %ecx
    cpuid
    testl %ebx, %ebx
    jnz 2f
1:  movl $1, %eax
    cpuid
    shrl $24, %ebx
    movl %ebx, %edx
2:
    movq smp_starting, %rdi
    movl smp_starting_count, %ecx
3:  testl %ecx, %ecx
    jz 5f
    cmpl %edx, STARTING_APIC_ID(%rdi)
    je 4f
    addq $STARTING_SIZE, %rdi
    decl %ecx
    jmp 3b
4:  movq STARTING_STACK(%rdi), %rsp
    xorl %ebp, %ebp
    call smp_entry
5:  cli
    hlt
    jmp 5b

    .section .note.GNU-stack, "", @progbits
