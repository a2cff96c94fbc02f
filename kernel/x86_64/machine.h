/* What the files of kernel/x86_64/ offer each other, and nobody else. In the order of boot. */
#pragma once

#include "kernel/cpu.h"
#include "kernel/x86_64/msr.h"
#include "kernel/x86_64/registers.h"
#include "kernel/x86_64/vectors.h"

struct boot_info;
struct abi_frame;

/* --- The portable kernel, as the machine calls it (kernel/arch.h) --- */
NORETURN void kernel_main(struct boot_info *boot);
bool fault_resolve(uint64_t address, unsigned access);
void exception_user(struct abi_frame *frame);
void user_return(struct abi_frame *frame);
void sched_switched(struct thread *previous);

/* --- cpu.c --- */

/* What this machine's CPUs have, as the first one tells. Read-only after boot. */
struct cpu_features {
    bool nx, smep, smap, umip, fsgsbase, pge, pcid, mce, pat, huge_pages; /* huge: 1 GiB */
    bool xsave, xsaveopt;
    uint64_t xcr0;     /* FPU state that is switched */
    uint32_t fpu_size; /* bytes of it */
};
extern struct cpu_features cpu_features;

void cpu_boot_init(void); /* before anything else in C: cpu_self() of the boot CPU */
/* Everything a CPU needs to run threads: descriptor tables, MSRs, control registers, the kernel's page tables. Of
 * the calling CPU; cpu_self() is cpu afterwards. */
void cpu_descriptors_load(struct cpu *cpu);
void cpu_paging_load(void); /* the kernel's page tables, once there are any */
/* For starting CPUs: physical address of page tables that map the lowest 4 GiB one to one, and the kernel.
 * boot_gdt_pointer (boot.S, low memory) is a GDT with SELECTOR_KERNEL_CODE in it. Set EFER.NXE first if there
 * is NX. */
extern char boot_page_tables[], boot_gdt_pointer[];

/* --- trap.c --- */
void trap_init(void);
void trap_descriptors_load(void); /* of the calling CPU */
/* Called with interrupts off, on the current kernel stack; acknowledges the interrupt itself (lapic_eoi). For
 * VECTOR_NMI: may interrupt anything, so it must not take locks. */
void trap_set_handler(uint8_t vector, void (*handler)(struct abi_frame *frame));

/* --- syscall.S --- */
void syscall_enter(void); /* where SYSCALL goes: not to be called */

/* --- paging.c --- */
extern paddr_t kernel_root;    /* PML4 of the kernel's half; 0 before arch_memory_init */
extern uint64_t kernel_tables; /* made since; they stay for ever */
uint64_t tables_cached(void);  /* frames that are kept for the tables of spaces to come */
/* A leaf of the kernel's half in the vmap area; with create, tables are made (NULL: no memory). */
pte_t *kernel_pte(uint64_t address, bool create);

/* --- tlb.c --- */
void tlb_init(void);
void tlb_serve(void); /* what other CPUs ask of this one */
uint64_t tlb_tagged_cr3(struct cpu *cpu, struct arch_space *space); /* with its PCID */
void tlb_forget(struct arch_space *space);           /* no CPU uses its tables when this returns */
void tlb_flush_kernel(uint64_t start, uint64_t end); /* on every CPU; end 0: everything */

/* --- thread.c, switch.S --- */
void switch_stacks(uint64_t *from_rsp, uint64_t to_rsp, struct thread *from);
/* Saves as switch_stacks does, and leaves to user mode with the frame of a short call; resume_stack goes to such a stack
 * from one that nothing is to be kept of. Both clear *left then. */
void leave_stack(uint64_t *from_rsp, struct register_frame *frame, uint32_t *left);
NORETURN void resume_stack(uint64_t to_rsp, uint32_t *left);
void thread_begin(void); /* where a new thread's first switch returns to */
/* What few threads and old CPUs need: FPU registers that may have changed, ports, bases by MSR (arch_cpu.leave_more). */
void switch_user_more(struct cpu *cpu, struct thread *from, struct thread *to);
NORETURN void trap_enter_user(struct abi_frame *frame); /* trap.S */

/* --- fpu.c --- */
void fpu_init(void);
int fpu_create(struct arch_thread *thread) MUST_CHECK;
void fpu_destroy(struct arch_thread *thread);
void fpu_leave(struct cpu *cpu, struct thread *from);   /* if fpu_live */
void fpu_enter(struct cpu *cpu, struct thread *thread); /* #NM */

/* --- ports.c --- */
void ports_switch(struct cpu *cpu, struct process *process);
/* After #GP in user mode: true if the CPU's copy of the process's bitmap was old, and the instruction may be tried
 * again. */
bool ports_refresh(struct cpu *cpu, struct process *process);

/* --- user_copy.S, trap.c: the exception table --- */
struct exception_entry {
    uint64_t instruction, fixup; /* a fault at the one goes on at the other */
    uint64_t flags;              /* EXCEPTION_* */
};
#define EXCEPTION_RESOLVE 1u /* ask fault_resolve first */

/* --- lapic.c --- */
void lapic_send(uint32_t apic_id, uint8_t vector);
void lapic_eoi(void);

/* --- Control registers --- */

static inline uint64_t cr0_read(void)
{
    uint64_t value;

    __asm__ volatile("movq %%cr0, %0" : "=r"(value));
    return value;
}

static inline void cr0_write(uint64_t value)
{
    __asm__ volatile("movq %0, %%cr0" : : "r"(value) : "memory");
}

static inline uint64_t cr2_read(void)
{
    uint64_t value;

    __asm__ volatile("movq %%cr2, %0" : "=r"(value));
    return value;
}

static inline uint64_t cr3_read(void)
{
    uint64_t value;

    __asm__ volatile("movq %%cr3, %0" : "=r"(value));
    return value;
}

static inline void cr3_write(uint64_t value)
{
    __asm__ volatile("movq %0, %%cr3" : : "r"(value) : "memory");
}

static inline uint64_t cr4_read(void)
{
    uint64_t value;

    __asm__ volatile("movq %%cr4, %0" : "=r"(value));
    return value;
}

static inline void cr4_write(uint64_t value)
{
    __asm__ volatile("movq %0, %%cr4" : : "r"(value) : "memory");
}

/* --- tlb.c, what is inlined --- */
static inline uint64_t *tlb_mask(struct cpu *cpu, struct arch_space *space)
{
    return (uint64_t *)((char *)space->cpus + cpu->arch.space_word);
}

/* The space into CR3 of this CPU, which has another's or (old NULL) the kernel's own there: tlb.c has the protocol. */
static inline void tlb_exchange(struct cpu *cpu, struct arch_space *old, struct arch_space *space)
{
    uint64_t bit = cpu->arch.space_bit, *left = old ? tlb_mask(cpu, old) : NULL;

    __atomic_fetch_or(tlb_mask(cpu, space), bit, __ATOMIC_SEQ_CST);
    cr3_write(unlikely(cpu_features.pcid) ? tlb_tagged_cr3(cpu, space) : space->root.value);
    cpu->arch.space = space;
    if (left)
        __atomic_fetch_and(left, ~bit, __ATOMIC_RELEASE);
}

static inline void tlb_invalidate_page(uint64_t address)
{
    __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}
