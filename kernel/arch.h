/* The machine, as the portable kernel sees it. kernel/x86_64/ implements it; tests/host/fake_arch.{h,c} do
 * so for host tests.
 *
 * The kernel runs with interrupts off (docs/scheduler.md): nothing here needs them saved. ARCH_INLINE is the
 * header with what must be inline:
 *
 *     struct cpu *cpu_self(void)                the calling CPU's data (GS base)
 *     struct arch_thread, struct arch_space     the machine's part of a thread and of an address space
 *     struct arch_cpu                           the machine's part of struct cpu
 *     struct register_frame                     the user registers of a short call (abi.h), as the entry saved them
 *     pte_t and pte_* (below)                   leaf page-table entries
 *     void arch_pause(void)                     hint inside a spin loop
 *     uint64_t arch_cycles(void)                a counter that never stops: the TSC
 *     void *direct_map(paddr_t), paddr_t direct_map_paddr(const void *)
 *     bool user_range_ok(uaddr_t, size_t)       wholly below the user limit, no wrap
 */
#pragma once

#include "abi/abi.h"
#include "lib/base/address.h"
#include "lib/base/base.h"
#include "lib/base/list.h"

struct cpu;
struct thread;
struct process;
struct boot_info;
struct irq_line;
struct abi_time;

/* Where an interrupt may arrive: CPUs first to first + count - 1, as far as there are any. */
struct irq_cpus {
    uint32_t first, count;
};

/* Flags of leaf page-table entries, defined in ARCH_INLINE as the bits that the machine's entries have:
 *     PAGE_USER, PAGE_WRITE, PAGE_EXECUTE, PAGE_GLOBAL
 *     PAGE_NOCACHE, PAGE_COMBINE   not cached, write combining: to be passed on, not to be tested for
 *     PAGE_OWNED                   software: the entry owns its frame (private page)
 *     PAGE_HOT                     software: owned, and was written to after a fork */

#ifndef ARCH_INLINE
#define ARCH_INLINE "kernel/x86_64/inline.h"
#endif
#include ARCH_INLINE

/* --- Boot, in the order main.c calls it ------------------------------------------------------------- */

void arch_early_init(void); /* descriptor tables, traps of the boot CPU, features */
void arch_memory_init(
    const struct boot_info *boot); /* direct map of all RAM; needs early frames (frame_early) */
void arch_devices_init(const struct boot_info *boot); /* ACPI, APIC, IO-APIC, HPET, TSC, timer */
void arch_cpus_start(void); /* every other CPU ends up in cpu_main() (kernel/main.c) */

/* --- Leaf page-table entries --------------------------------------------------------------------------- */

#define TABLE_PAGES (1u << TABLE_BITS) /* entries of a lowest table (ARCH_INLINE) */
#define TABLE_SPAN \
    ((uint64_t)PAGE_SIZE << TABLE_BITS) /* what it maps; or a huge page in its place */
#define HUGE_ORDER TABLE_BITS

/* Inline, in ARCH_INLINE:
 *     bool pte_present(pte_t), paddr_t pte_paddr(pte_t), unsigned pte_flags(pte_t) (PAGE_*),
 *     pte_t pte_make(paddr_t, unsigned flags), bool pte_dirty(pte_t), bool pte_accessed(pte_t)
 *     bool pte_owned(pte_t), bool pte_writable(pte_t): PAGE_OWNED, PAGE_WRITE
 *     pte_t pte_touch(pte_t)       the same, accessed and dirty; pte_clean: not dirty
 *     pte_t pte_replacing(pte_t)   the same, accessed: for one that takes the place of a present one and is not flushed,
 *                                  as that may have been accessed at the last moment
 *     pte_t pte_move(pte_t, paddr_t)   the same for another page
 *     pte_t pte_protect(pte_t)     the same without PAGE_WRITE
 *     pte_t *pte_scan(pte_t *from, const pte_t *to)   the first of them in use; to: none
 *     pte_t pte_hide(pte_t)        the same entry, but absent for the CPU: for pages without any access
 *     pte_t pte_clear(pte_t *)     make it unused; what it was. If that was not accessed, no CPU has cached it
 *     pte_t pte_make_huge(paddr_t, unsigned flags), bool pte_huge(pte_t)
 *     uint64_t arch_table_count(const struct arch_space *)   its page tables, without the root
 *     TABLES_MADE_MAX              what one arch_pte or arch_huge_entry may add to them
 * An unused entry is 0; a hidden one is not 0 and not present, and pte_paddr and pte_flags still work on it.
 * Entries are read and written under the space's lock; the CPU sets accessed and dirty. Those of one TABLE_SPAN
 * lie next to each other in memory. The entry of a huge page stands for all of them; it is never hidden. */

/* An address space with the kernel's half and an empty user half. E_NO_MEMORY. */
int arch_space_init(struct arch_space *space) MUST_CHECK;
/* No page is mapped any more in the user half; its tables are freed, too. */
void arch_space_destroy(struct arch_space *space);
/* Inline, in ARCH_INLINE:
 *     pte_t *arch_pte(struct arch_space *space, uint64_t address, bool create)
 * The entry for address, which may be that of a huge page; with create, missing tables are made (NULL: no memory). Else
 * NULL if there is none. */
/* The first entry in use (not 0) at or above *address and below end: moves *address there; NULL if none. */
pte_t *arch_pte_next(struct arch_space *space, uint64_t *address, uint64_t end);
/* Where the entry of a huge page goes that starts at address. NULL: no memory, or there is a table for small pages. */
pte_t *arch_huge_entry(struct arch_space *space, uint64_t address);
/* The huge page at address becomes small ones that show and allow the same. What CPUs have cached stays right; the flush
 * of any one of them makes them forget it all. E_NO_MEMORY. */
int arch_huge_split(struct arch_space *space, uint64_t address) MUST_CHECK;
/* No entry of [low, high) is in use: take out the tables that lie wholly inside it and touch [start, end). They are
 * put on the chain, by their frames' links; to be given to arch_tables_free after an arch_tlb_flush of any page of
 * the space, which makes CPUs' walkers forget them. */
void arch_tables_unhook(struct arch_space *space, uint64_t start, uint64_t end, uint64_t low,
                        uint64_t high, struct list **unhooked);
void arch_tables_free(struct list *unhooked);
/* No CPU uses an old translation of the range (or of the whole space: end 0) when this returns. May be
 * called with the space's lock held. Only CPUs that run or cache the space are interrupted. */
void arch_tlb_flush(struct arch_space *space, uint64_t start, uint64_t end);

/* Kernel mappings in the vmap area, for device memory and kernel stacks. NULL: no memory. */
void *arch_map_device(paddr_t base, uint64_t length, unsigned flags);
void arch_unmap_device(void *address, uint64_t length);
/* KERNEL_STACK_SIZE bytes with an unmapped page below; top (highest address) returned. Recycled per CPU. */
void *arch_stack_alloc(void);
void arch_stack_free(void *top);
uint64_t arch_frames_cached(void); /* in stacks and page tables that are kept for the next ones */
#define KERNEL_STACK_SIZE 16384u

/* --- Threads -------------------------------------------------------------------------------------- */

/* A new thread whose first arch_switch enters `start` on its kernel stack (never returns from it). */
void arch_thread_init(struct thread *thread, void *stack_top, void (*start)(void));
/* FPU memory etc. E_NO_MEMORY. arch_thread_destroy when the thread is dead and off its stack. */
int arch_thread_create(struct thread *thread) MUST_CHECK;
void arch_thread_destroy(struct thread *thread);
/* The child of a fork gets its parent's FPU state. */
void arch_thread_copy_fpu(struct thread *to, struct thread *from);
/* From the running thread to another: stack, space (CR3 only when it differs), FPU, FS, GS, port bitmap.
 * Returns when somebody switches back. The previous thread is handed to sched_switched(previous) on the new
 * stack. Interrupts off. */
void arch_switch(struct thread *from, struct thread *to);
/* Inline, in ARCH_HAND_OVER (kernel/ipc/short.c and hand_over.c only):
 *     void arch_hand_over(struct cpu *cpu, struct thread *from, struct register_frame *frame, struct thread *to)
 * The same as arch_switch for a thread parked in a short call: from continues in relay_resume when somebody switches
 * back to it; to returns to user mode by whoever loads its frame. Stays on from's stack. cpu: cpu_self().
 *     void arch_park(struct thread *thread, struct register_frame *frame)
 * A parked thread that went to sleep deeper on its stack continues in relay_resume, too.
 *     void arch_hand_over_stack(struct cpu *cpu, struct thread *from, struct thread *to, struct register_frame *frame)
 * To a thread that is parked in a short call, from anywhere in the kernel: returns when somebody switches back.
 *     NORETURN void arch_resume_stack(struct thread *to, uint32_t *left)
 * The stack of a thread that was left so (or by arch_switch), behind arch_hand_over; *left is cleared once it is in use. */
#ifndef ARCH_HAND_OVER
#define ARCH_HAND_OVER "kernel/x86_64/hand_over.h"
#endif
/* First entry to user mode: all registers zero but these; never returns. */
NORETURN void arch_enter_user(uint64_t entry, uint64_t stack, uint64_t argument,
                              uint64_t argument2);
/* To user mode with all of these registers (cs, ss aside); rip and rsp are the user's half. Never returns. */
NORETURN void arch_resume_user(const struct abi_frame *registers);
void arch_set_fs(struct thread *thread,
                 uint64_t base); /* thread: the caller or one that is not running */
void arch_set_gs(struct thread *thread, uint64_t base);
/* The user registers of a thread that is in the kernel; false if it entered by system call and so has only
 * rip, rsp, rflags (the rest is then zero). */
bool arch_thread_frame(struct thread *thread, struct abi_frame *frame);
/* A trap frame with what a program may choose of other registers: all but the segments and some flags. */
void arch_frame_change(struct abi_frame *frame, const struct abi_frame *registers);
/* Make the calling thread's return to user mode go to rip with rsp and rdi; other registers are kept. */
void arch_user_redirect(uint64_t rip, uint64_t rsp, uint64_t rdi);

/* --- User memory of the current space ---------------------------------------------------------------- */

/* 0 or -E_FAULT; the range is checked. Faults are resolved by fault_resolve (vmm), which may block. */
int user_copy_in(void *to, uaddr_t from, size_t length) MUST_CHECK;
int user_copy_out(uaddr_t to, const void *from, size_t length) MUST_CHECK;
int user_zero(uaddr_t to, size_t length) MUST_CHECK;
/* The same without resolving faults: for use under spinlocks. */
int user_copy_in_nofault(void *to, uaddr_t from, size_t length) MUST_CHECK;
int user_copy_out_nofault(uaddr_t to, const void *from, size_t length) MUST_CHECK;
int user_read_u32(uaddr_t from, uint32_t *value) MUST_CHECK;
int user_read_u32_nofault(uaddr_t from, uint32_t *value) MUST_CHECK;

/* --- Time and CPUs --------------------------------------------------------------------------------- */

uint64_t arch_clock(void); /* ns since boot, monotonic over all CPUs */
uint64_t arch_cycles_hz(void);
/* How programs read the same clock: factor and bases; factor 0 where they cannot. After arch_cpus_start. */
void arch_clock_source(struct abi_time *time);
/* This page of the kernel's image is at TIME_PAGE in every space, readable. Once, before the first space. */
void arch_show_page(const void *page);
void arch_timer_set(
    uint64_t deadline); /* this CPU: timer_interrupt() at or soon after; UINT64_MAX: never */
void arch_cpu_kick(
    struct cpu *
        cpu); /* make another CPU leave idle or user mode and look at need_resched; see sched_nudge */
void arch_idle(void);           /* until an interrupt; called with interrupts off, returns so */
void arch_preempt_window(void); /* let pending interrupts in, once */
void arch_spin_wait(void); /* pause, and serve what other CPUs want of this one (TLB shootdown) */
void arch_cpus_stop(void); /* for a panic: all others, wherever they are (NMI) */
NORETURN void arch_halt_all(void); /* after a panic */
NORETURN void arch_halt(void);

/* --- Interrupts and ports -------------------------------------------------------------------------- */

/* What line number (a global system interrupt, or with IRQ_ISA an ISA line) is: *line gets its number, trigger and
 * polarity. E_RANGE: there is none; E_NOT_SUPPORTED: no interrupt controller. */
int arch_irq_describe(uint32_t number, uint32_t flags, struct irq_line *line) MUST_CHECK;
/* A vector of one of these CPUs; from now on it calls irq_interrupt(line) (kernel/irq.h). A line stays masked until
 * arch_irq_unmask. A message (line->number) has no mask; *message says what its device is to write where. E_BUSY: no
 * vector is left. */
int arch_irq_route(struct irq_line *line, const struct irq_cpus *cpus,
                   struct abi_irq_message *message) MUST_CHECK;
/* No irq_interrupt with this line runs any more, or will. */
void arch_irq_unroute(struct irq_line *line);
void arch_irq_mask(struct irq_line *line); /* lines only */
void arch_irq_unmask(struct irq_line *line);
/* Part of the range is the kernel's own: interrupt controllers, the clock. */
bool arch_memory_reserved(uint64_t base, uint64_t length);
/* The process's port permission bitmap is in process->arch_ports (owned by arch): allow a range. E_NO_MEMORY. */
int arch_ports_grant(struct process *process, uint64_t base, uint64_t count) MUST_CHECK;
void arch_ports_free(struct process *process);
void arch_ports_copy_none(struct process *child);

/* --- Console and power ------------------------------------------------------------------------------- */

bool arch_console_port(uint64_t base,
                       uint64_t count); /* the range has the serial console's ports */
void arch_console_write(const char *text, size_t length); /* serial line (polled) and screen */
void arch_screen_write(const char *text, size_t length);  /* the screen alone */
void arch_screen_show_text(void); /* in place of the boot's picture, if that is there */
void arch_screen_taken(void);     /* a service draws there now: no more until a panic */
void arch_console_panic(void);    /* from now on write to every console there is */
NORETURN void arch_power_off(void);
NORETURN void arch_reset(void);
void arch_debug_exit(uint32_t code);
uint64_t arch_features(void); /* FEATURE_* */
uint64_t arch_xsave_size(void);
/* What there is of them. */
void arch_pci_segments(struct abi_pci_segment segments[ABI_PCI_SEGMENTS]);
/* Copies of ACPI's tables (abi/boot.h), the caller's to heap_free; NULL: there are none. */
void *arch_acpi_tables(uint64_t *length);
/* ACPI: the CMOS register with the century, or 0; that there is no CMOS clock. */
void arch_rtc(uint64_t *century, uint64_t *absent);
void arch_backtrace(void (*print)(uint64_t address)); /* of the caller */
/* ... and of a CPU that arch_cpus_stop stopped, if it could be reached. */
void arch_backtrace_stopped(uint32_t cpu, void (*print)(uint64_t address));
/* CR-like registers and the frame for a panic */
void arch_print_state(const struct abi_frame *frame);

/* --- What the machine calls in the portable kernel ------------------------------------------------------ */

#define FAULT_WRITE    0x1u
#define FAULT_EXECUTE  0x2u
#define FAULT_USER     0x4u  /* from user mode; else from user_copy_* */
#define FAULT_POPULATE 0x10u /* not by a program: all of the range around it is wanted */
#define FAULT_ABSENT   0x8u  /* there was no entry for the page: a hint, by now there may be one */

NORETURN void kernel_main(struct boot_info *boot); /* main.c: the boot CPU */
NORETURN void cpu_main(struct cpu *cpu);           /* main.c: every other CPU, on its idle stack */
void timer_interrupt(void);                        /* sched/timer.c */
void irq_interrupt(struct irq_line *line);         /* irq.c */
/* vmm/fault.c: a fault of the current space, from user mode or user_copy_*; false: it is an exception. */
bool fault_resolve(uint64_t address, unsigned access);
/* exception.c: ring 3, not resolved. May change *frame. */
void exception_user(struct abi_frame *frame);
/* sched/return.c: before every return to user mode if need_resched or thread->work is set; frame NULL on the
 * system-call road. May not return. */
void user_return(struct abi_frame *frame);
void sched_switched(struct thread *previous); /* sched/sched.c */
/* syscall.c: the six argument registers and the number less SYSCALL_BASE. */
int64_t syscall_entry(const uint64_t arguments[6], uint32_t number);
