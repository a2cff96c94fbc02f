/* From the loader to boot_start() in the higher half.
 *
 * One 32-bit entry for both roads. Protected mode, paging off, flat segments, interrupts off:
 *
 *     Multiboot2 (specification 2.0, 3.3)    eax = 0x36d76289, ebx = information structure
 *     PVH (xen/include/public/arch-x86/hvm/start_info.h)    ebx = hvm_start_info, which begins with 0x336ec578;
 *                                            eax is undefined (qboot leaves 0x2badb002 there), so [ebx] decides
 *
 * The first page tables show the lowest 4 GiB twice, by 2 MiB pages, and the kernel:
 *
 *     PML4[0]    0                    4 GiB, executable: this code runs there until it jumps
 *     PML4[256]  0xffff800000000000   the same 4 GiB, not executable: the early direct map
 *     PML4[511]  0xffffffff80000000   the lowest 1 GiB
 *
 * arch_memory_init replaces them; CPUs that are started later go through them once more (boot_page_tables).
 */
#include "kernel/x86_64/registers.h"

#define MULTIBOOT2_HEADER_MAGIC 0xe85250d6
#define MULTIBOOT2_MAGIC        0x36d76289
#define PVH_MAGIC               0x336ec578

#define TAG_END          0
#define TAG_REQUEST      1
#define TAG_ENTRY        3
#define TAG_FRAMEBUFFER  5
#define TAG_MODULE_ALIGN 6

#define PAGE_PRESENT_WRITE 0x003
#define PAGE_LARGE         0x083 /* present, writable, 2 MiB */

#define COM1 0x3f8

    .section .boot.header, "a", @progbits
    .balign 8
header:
    .long MULTIBOOT2_HEADER_MAGIC, 0, header_end - header
    .long -(MULTIBOOT2_HEADER_MAGIC + 0 + (header_end - header))
    .balign 8
    .short TAG_REQUEST, 0 /* must be understood: command line, modules, memory map, RSDP old and new */
    .long 8 + 5 * 4
    .long 1, 3, 6, 14, 15
    .balign 8
    .short TAG_ENTRY, 0
    .long 12
    .long boot_entry
    .balign 8
    .short TAG_FRAMEBUFFER, 1 /* optional */
    .long 20
    .long 1024, 768, 32
    .balign 8
    .short TAG_MODULE_ALIGN, 0
    .long 8
    .balign 8
    .short TAG_END, 0
    .long 8
header_end:

    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 4, 18 /* name, descriptor, XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .long boot_entry

    .section .boot.text, "ax", @progbits
    .code32
    .globl boot_entry
boot_entry:
    cli
    cld
    movl $early_stack_end, %esp
    movl %eax, loader_magic
    movl %ebx, loader_info

    /* Long mode at all? (CPUID itself is there: every loader that loads an ELF64 runs on such a CPU or newer.) */
    movl $0x80000000, %eax
    cpuid
    cmpl $0x80000001, %eax
    movl $text_no_long_mode, %esi
    jb die
    movl $0x80000001, %eax
    cpuid
    movl %edx, extended_features
    testl $(1 << 29), %edx /* LM */
    jz die

    /* Page directories: 2048 entries of 2 MiB. The tables are zero already: memory beyond the file's bytes. */
    movl $boot_directories, %edi
    movl $PAGE_LARGE, %eax
    movl $2048, %ecx
1:  movl %eax, (%edi)
    addl $0x200000, %eax
    addl $8, %edi
    loop 1b

    movl $boot_low_pdpt, %edi
    movl $(boot_directories + PAGE_PRESENT_WRITE), %eax
    movl $4, %ecx
2:  movl %eax, (%edi)
    addl $4096, %eax
    addl $8, %edi
    loop 2b
    movl $(boot_directories + PAGE_PRESENT_WRITE), boot_high_pdpt + 510 * 8

    movl $(boot_low_pdpt + PAGE_PRESENT_WRITE), boot_page_tables
    movl $(boot_low_pdpt + PAGE_PRESENT_WRITE), boot_page_tables + 256 * 8
    movl $(boot_high_pdpt + PAGE_PRESENT_WRITE), boot_page_tables + 511 * 8

    /* No-execute, where there is such a thing: then also on the direct map. */
    movl $EFER_LME, %ebx
    testl $(1 << 20), extended_features /* NX */
    jz 3f
    orl $EFER_NXE, %ebx
    movl $(1 << 31), boot_page_tables + 256 * 8 + 4
3:
    movl $CR4_PAE, %eax
    movl %eax, %cr4
    movl $boot_page_tables, %eax
    movl %eax, %cr3
    movl $MSR_EFER, %ecx
    rdmsr
    orl %ebx, %eax
    wrmsr
    movl %cr0, %eax
    orl $(CR0_PG | CR0_WP), %eax
    movl %eax, %cr0 /* long mode, still in a 32-bit segment */
    lgdtl boot_gdt_pointer
    ljmpl $SELECTOR_KERNEL_CODE, $boot_64

/* The text at esi, on the first serial port, whatever state that is in; then stop. */
die:
    movl $(COM1 + 5), %edx
4:  inb %dx, %al
    testb $0x20, %al /* the transmitter is empty (or there is no port: 0xff) */
    jz 4b
    lodsb
    testb %al, %al
    jz 5f
    movl $COM1, %edx
    outb %al, %dx
    jmp die
5:  hlt
    jmp 5b

    .code64
boot_64:
    movl $SELECTOR_KERNEL_DATA, %eax
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    movl loader_magic, %edi
    movl loader_info, %esi
    movabsq $boot_higher_half, %rax
    jmpq *%rax

    .section .boot.data, "aw", @progbits
    .balign 8
    .globl boot_gdt_pointer
boot_gdt:
    .quad 0, 0
    .quad 0x00af9a000000ffff /* SELECTOR_KERNEL_CODE: 64-bit, ring 0 */
    .quad 0x00cf92000000ffff /* SELECTOR_KERNEL_DATA */
boot_gdt_pointer:
    .short boot_gdt_pointer - boot_gdt - 1
    .quad boot_gdt
    .balign 4
loader_magic:
    .long 0
loader_info:
    .long 0
extended_features:
    .long 0
text_no_long_mode:
    .asciz "protos: this CPU has no 64-bit mode\r\n"
    .balign 16
    .skip 128
early_stack_end:

    .section .boot.tables, "aw", @nobits
    .balign 4096
    .globl boot_page_tables
boot_page_tables:
    .skip 4096
boot_low_pdpt:
    .skip 4096
boot_high_pdpt:
    .skip 4096
boot_directories:
    .skip 4 * 4096

    .text
boot_higher_half:
    leaq boot_stack_end(%rip), %rsp
    xorl %ebp, %ebp /* the backtrace ends here */
    call boot_start /* (magic, physical address of the information) */
6:  cli
    hlt
    jmp 6b

    .bss
    .balign 16
    .globl boot_stack_end
    .skip 16384
boot_stack_end:

    .section .note.GNU-stack, "", @progbits
