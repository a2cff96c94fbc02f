/* The CPU itself: what it can do, and how it is set up for the kernel.
 *
 *     boot_start --> cpu_boot_init         the boot CPU's struct cpu, so that cpu_self() works
 *     arch_early_init                      features, traps, cpu_descriptors_load of the boot CPU
 *     (each other CPU) cpu_descriptors_load
 *
 * Every bit of a control register is set only where CPUID offers it: real CPUs raise #GP otherwise, and QEMU 7
 * executes the MOV again for ever.
 */
#include "kernel/boot.h"
#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/x86_64/machine.h"
#include "kernel/x86_64/port.h"
#include "lib/base/string.h"

struct cpu_features cpu_features;
uint64_t pte_no_execute = PTE_SOFT_NX; /* until NX is known to exist */

static struct cpu boot_cpu;
struct cpu *cpus[CPU_MAX] = {&boot_cpu};
uint32_t cpu_count = 1;

_Static_assert(offsetof(struct cpu, arch) == 0, "cpu_self() reads the first word at GS base");
_Static_assert(CPU_MAX == CPU_WORDS * 64, "masks of CPUs hold them all");
_Static_assert(offsetof(struct arch_cpu, port_bitmap) ==
                   offsetof(struct arch_cpu, tss) + sizeof(struct tss),
               "the permission bitmap is part of the TSS");
_Static_assert(sizeof(struct ist_stack) == IST_SIZE, "trap.S finds the CPU above the frame");

static void load_gs_base(struct cpu *cpu)
{
    cpu->arch.self = cpu;
    msr_write(MSR_GS_BASE, (uint64_t)cpu);
    msr_write(MSR_KERNEL_GS_BASE, 0);
}

void cpu_boot_init(void)
{
    boot_cpu.self = &boot_cpu;
    load_gs_base(&boot_cpu);
}

/* CPUID: SDM volume 2, table 3-8. */
static void find_features(void)
{
    struct cpu_features *f = &cpu_features;
    struct cpuid basic = cpuid(1, 0);
    uint32_t last = cpuid(0, 0).eax;
    struct cpuid extended = cpuid(0x80000001, 0);
    struct cpuid structured = {0};

    if (last >= 7)
        structured = cpuid(7, 0);
    f->mce = basic.edx & BIT(7);
    f->pge = basic.edx & BIT(13);
    f->pat = basic.edx & BIT(16);
    f->pcid = (basic.ecx & BIT(17)) && f->pge; /* tlb.c counts on global pages */
    f->xsave = basic.ecx & BIT(26);
    f->fsgsbase = structured.ebx & BIT(0);
    f->smep = structured.ebx & BIT(7);
    f->smap = structured.ebx & BIT(20);
    f->umip = structured.ecx & BIT(2);
    f->nx = extended.edx & BIT(20);
    f->huge_pages = extended.edx & BIT(26);
    if (f->xsave) {
        struct cpuid state = cpuid(0xd, 0);
        uint64_t offered = (uint64_t)state.edx << 32 | state.eax;

        f->xsaveopt = cpuid(0xd, 1).eax & BIT(0);
        f->xcr0 = offered & (XCR0_X87 | XCR0_SSE | XCR0_AVX);
        if ((offered & XCR0_AVX512) == XCR0_AVX512)
            f->xcr0 |= XCR0_AVX512;
    }
    if (f->nx)
        pte_no_execute = PTE_NX;
}

/* The three bytes of each place that opens or closes user memory (user_access.h) are a NOP; where there is SMAP
 * they become STAC or CLAC. The kernel's text is still writable: the first page tables are in use. */
static void patch_user_access(void)
{
    extern const struct {
        uint64_t address;
        uint64_t opcode; /* third byte */
    } user_access_sites_start[], user_access_sites_end[];

    if (!cpu_features.smap)
        return;
    for (__typeof__(&user_access_sites_start[0]) site = user_access_sites_start;
         site < user_access_sites_end; site++) {
        uint8_t *code = (uint8_t *)site->address;

        code[0] = 0x0f;
        code[1] = 0x01;
        code[2] = (uint8_t)site->opcode;
    }
    cpuid(0, 0); /* serializes: what was fetched before is fetched again */
}

static void load_gdt(struct cpu *cpu)
{
    struct arch_cpu *arch = &cpu->arch;
    uint64_t tss = (uint64_t)&arch->tss;
    uint64_t limit = sizeof(arch->tss) + sizeof(arch->port_bitmap) - 1;
    struct {
        uint16_t limit;
        uint64_t base;
    } PACKED pointer = {sizeof(arch->gdt) - 1, (uint64_t)arch->gdt};

    memset(arch->port_bitmap, 0xff, sizeof(arch->port_bitmap));
    memset(&arch->tss, 0, sizeof(arch->tss));
    arch->tss.ports_offset = (uint16_t)(limit + 1);
    for (unsigned i = 0; i < IST_COUNT; i++) {
        arch->ist[i].cpu = cpu;
        arch->tss.ist[i] = (uint64_t)&arch->ist[i].frame_rest;
    }

    /* SDM volume 3, 3.4.5. Code: present, execute/read, long; data: present, read/write. 32-bit user code stays
     * not present: nobody leaves 64-bit mode. */
    arch->gdt[SELECTOR_KERNEL_CODE / 8] = UINT64_C(0x00af9b000000ffff);
    arch->gdt[SELECTOR_KERNEL_DATA / 8] = UINT64_C(0x00cf93000000ffff);
    arch->gdt[SELECTOR_USER_DATA / 8] = UINT64_C(0x00cff3000000ffff);
    arch->gdt[SELECTOR_USER_CODE / 8] = UINT64_C(0x00affb000000ffff);
    arch->gdt[SELECTOR_TSS / 8] = (limit & 0xffff) | (tss & 0xffffff) << 16 | UINT64_C(0x89) << 40 |
                                  (limit >> 16 & 0xf) << 48 | (tss >> 24 & 0xff) << 56;
    arch->gdt[SELECTOR_TSS / 8 + 1] = tss >> 32;

    __asm__ volatile("lgdt %0\n\t"
                     "pushq %1\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "lretq\n"
                     "1:\n\t"
                     "movl %2, %%eax\n\t"
                     "movl %%eax, %%ss\n\t"
                     "xorl %%eax, %%eax\n\t"
                     "movl %%eax, %%ds\n\t"
                     "movl %%eax, %%es\n\t"
                     "movl %%eax, %%fs\n\t"
                     "movl %%eax, %%gs\n\t" /* sets GS base to 0: load_gs_base comes after */
                     "movl %3, %%eax\n\t"
                     "ltr %%ax"
                     :
                     : "m"(pointer), "i"(SELECTOR_KERNEL_CODE), "i"(SELECTOR_KERNEL_DATA),
                       "i"(SELECTOR_TSS)
                     : "rax", "memory");
    load_gs_base(cpu);
}

/* Page attributes by the entry's PCD and PWT bits (SDM volume 3, 11.12): 00 write-back, 01 write-combining, 10
 * uncached unless the MTRRs say combining, 11 uncached. The second is write-through on a fresh CPU. */
#define PAT_VALUE UINT64_C(0x0007010600070106)

static void load_control_registers(void)
{
    const struct cpu_features *f = &cpu_features;
    uint64_t cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;

    msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_SCE | (f->nx ? EFER_NXE : 0));
    if (f->pat)
        msr_write(MSR_PAT, PAT_VALUE);
    cr4 |= f->mce ? CR4_MCE : 0;
    cr4 |= f->pge ? CR4_PGE : 0;
    cr4 |= f->umip ? CR4_UMIP : 0;
    cr4 |= f->fsgsbase ? CR4_FSGSBASE : 0;
    cr4 |= f->xsave ? CR4_OSXSAVE : 0;
    cr4 |= f->smep ? CR4_SMEP : 0;
    cr4 |= f->smap ? CR4_SMAP : 0;
    cr4_write(cr4);
    if (f->xsave)
        __asm__ volatile("xsetbv"
                         :
                         : "c"(0), "a"((uint32_t)f->xcr0), "d"((uint32_t)(f->xcr0 >> 32)));
    cr0_write((cr0_read() & ~CR0_EM) | CR0_MP | CR0_NE | CR0_WP | CR0_TS);
}

static void load_syscall(void)
{
    msr_write(MSR_STAR, (uint64_t)SELECTOR_SYSRET << 48 | (uint64_t)SELECTOR_KERNEL_CODE << 32);
    msr_write(MSR_LSTAR, (uint64_t)syscall_enter);
    msr_write(MSR_SFMASK,
              RFLAGS_IF | RFLAGS_TF | RFLAGS_DF | RFLAGS_IOPL | RFLAGS_NT | RFLAGS_RF | RFLAGS_AC);
}

void cpu_descriptors_load(struct cpu *cpu)
{
    cpu->arch.space_word = cpu->index / 64 * sizeof(uint64_t);
    cpu->arch.space_bit = BIT(cpu->index % 64);
    cpu->arch.bases_by_msr = !cpu_features.fsgsbase;
    load_gdt(cpu);
    trap_descriptors_load();
    load_control_registers();
    load_syscall();
    if (kernel_root.value)
        cpu_paging_load();
}

void cpu_paging_load(void)
{
    cr3_write(kernel_root.value);
    /* Allowed only in long mode with PCID 0 in CR3, which is so now. */
    if (cpu_features.pcid)
        cr4_write(cr4_read() | CR4_PCIDE);
}

/* The firmware's timer may have an interrupt pending at the 8259s. They are masked while the local APIC still passes
 * their line on (LINT0), so that the request goes away: once LINT0 is changed QEMU 7 would keep it, find no vector for
 * it when interrupts are first let in, and raise #GP there. */
static void mask_firmware_interrupts(void)
{
    port_out8(0x21, 0xff);
    port_out8(0xa1, 0xff);
}

void arch_early_init(void)
{
    mask_firmware_interrupts();
    find_features();
    patch_user_access();
    trap_init();
    cpu_descriptors_load(&boot_cpu);
    fpu_init();
    tlb_init();
}

uint64_t arch_features(void)
{
    return (cpu_features.fsgsbase ? FEATURE_FSGSBASE : 0) |
           (cpu_features.xsave ? FEATURE_XSAVE : 0);
}

uint64_t arch_xsave_size(void)
{
    return cpu_features.fpu_size;
}
