/* What becomes of an interrupt or exception (trap.S says how it gets here).
 *
 *     from user mode, 0-31    page fault: fault_resolve; #NM: load the FPU; #GP: perhaps the port bitmap was old;
 *                             everything else, and what stays unresolved: exception_user(frame)
 *     from user mode, 32-255  the handler of the vector
 *     from the kernel         page fault of a user copy: fault_resolve, else its fix-up; interrupts that idle or
 *                             arch_preempt_window lets in: the handler; everything else: panic
 *     NMI, #DF, #MC           trap_anywhere
 *
 * A thread goes back to user mode only through trap_leave (or syscall.S), which sees to rescheduling and thread->work
 * first. No lock is held on any of these roads.
 */
#include "abi/errors.h"
#include "kernel/panic.h"
#include "kernel/process.h"
#include "kernel/sched/thread.h"
#include "kernel/x86_64/machine.h"

struct gate { /* SDM volume 3, 6.14.1 */
    uint16_t offset_low;
    uint16_t selector;
    uint8_t ist, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
};

#define GATE_INTERRUPT 0x8eu /* present, ring 0 only; interrupts go off */
#define GATE_USER      0xeeu /* also by INT n of a program */

/* Bits of a page fault's error code (SDM volume 3, 4.7). */
#define FAULT_CODE_PRESENT BIT(0)
#define FAULT_CODE_WRITE   BIT(1)
#define FAULT_CODE_USER    BIT(2)
#define FAULT_CODE_FETCH   BIT(4)

extern const uint64_t trap_stubs[VECTORS];
extern const struct exception_entry exception_table_start[], exception_table_end[];

static struct gate idt[VECTORS] ALIGNED(16);
static void (*handlers[VECTORS])(struct abi_frame *frame);

/* trap.S and syscall.S call these. */
void trap_user(struct abi_frame *frame);
void trap_leave(struct abi_frame *frame);
void trap_kernel(struct abi_frame *frame);
void trap_anywhere(struct abi_frame *frame);
NORETURN void thread_lost(uint32_t vector);

static void set_gate(unsigned vector, uint8_t type, uint8_t ist)
{
    uint64_t stub = trap_stubs[vector];

    idt[vector] = (struct gate){
        .offset_low = (uint16_t)stub,
        .selector = SELECTOR_KERNEL_CODE,
        .ist = ist,
        .type = type,
        .offset_middle = (uint16_t)(stub >> 16),
        .offset_high = (uint32_t)(stub >> 32),
    };
}

void trap_init(void)
{
    for (unsigned vector = 0; vector < VECTORS; vector++)
        set_gate(vector, GATE_INTERRUPT, 0);
    set_gate(VECTOR_NMI, GATE_INTERRUPT, IST_NMI);
    set_gate(VECTOR_DOUBLE_FAULT, GATE_INTERRUPT, IST_DOUBLE_FAULT);
    set_gate(VECTOR_MACHINE_CHECK, GATE_INTERRUPT, IST_MACHINE_CHECK);
    set_gate(VECTOR_BREAKPOINT, GATE_USER, 0);
}

void trap_descriptors_load(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } PACKED pointer = {sizeof(idt) - 1, (uint64_t)idt};

    __asm__ volatile("lidt %0" : : "m"(pointer));
}

void trap_set_handler(uint8_t vector, void (*handler)(struct abi_frame *frame))
{
    __atomic_store_n(&handlers[vector], handler, __ATOMIC_RELEASE);
}

static void interrupt(struct abi_frame *frame)
{
    void (*handler)(struct abi_frame *) =
        __atomic_load_n(&handlers[frame->vector & 0xff], __ATOMIC_ACQUIRE);

    cpu_self()->interrupts++;
    if (handler)
        handler(frame);
    else if (frame->vector != VECTOR_SPURIOUS)
        lapic_eoi(); /* nobody's: a line that was just unbound */
}

/* QEMU now and then (once in some hundred boots) accepts an interrupt for which its APIC then has no vector, and makes
 * that #GP with an error code of -14. Nothing is lost: the instruction goes on. No CPU has error codes of more than
 * 32 bits. */
static bool interrupt_of_nobody(const struct abi_frame *frame)
{
    return frame->vector == VECTOR_PROTECTION && frame->error >> 32;
}

static unsigned fault_access(const struct abi_frame *frame)
{
    return (frame->error & FAULT_CODE_WRITE ? FAULT_WRITE : 0) |
           (frame->error & FAULT_CODE_FETCH ? FAULT_EXECUTE : 0) |
           (frame->error & FAULT_CODE_PRESENT ? 0 : FAULT_ABSENT);
}

/* A page that is there, refused to ring 3's instruction as if ring 0 had asked: an implicit access to a system table;
 * under QEMU's TCG with SMAP also the stack of a far return or IRET. Trying again would fault for ever. */
static bool fault_hopeless(const struct abi_frame *frame)
{
    return (frame->error & (FAULT_CODE_PRESENT | FAULT_CODE_USER)) == FAULT_CODE_PRESENT;
}

/* True: the instruction may be tried again. */
static bool exception_resolved(struct abi_frame *frame)
{
    struct cpu *cpu = cpu_self();

    switch (frame->vector) {
    case VECTOR_PAGE_FAULT:
        cpu->current->fault_cause = E_FAULT;
        return frame->address < USER_LIMIT && !fault_hopeless(frame) &&
               fault_resolve(frame->address, fault_access(frame) | FAULT_USER);
    case VECTOR_NO_FPU:
        fpu_enter(cpu, cpu->current);
        return true;
    case VECTOR_PROTECTION:
        return interrupt_of_nobody(frame) || ports_refresh(cpu, process_current());
    }
    return false;
}

void trap_user(struct abi_frame *frame)
{
    frame->address = frame->vector == VECTOR_PAGE_FAULT ? cr2_read() : 0;
    frame->cause = 0;
    if (frame->vector >= VECTOR_EXCEPTIONS)
        interrupt(frame);
    else if (!exception_resolved(frame))
        exception_user(frame);
}

static bool canonical(uint64_t address)
{
    return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

/* IRET to a rip that is not canonical faults in the kernel: what set it (exception_user, arch_user_redirect) took it
 * from the process's own data. */
void trap_leave(struct abi_frame *frame)
{
    struct cpu *cpu = cpu_self();

    while (unlikely(__atomic_load_n(&cpu->need_resched, __ATOMIC_RELAXED) |
                    __atomic_load_n(&cpu->current->work, __ATOMIC_RELAXED))) {
        user_return(frame);
        cpu = cpu_self(); /* it may be another by now */
    }
    if (unlikely(!canonical(frame->rip)))
        thread_lost(VECTOR_PROTECTION);
}

/* The thread cannot go on in user mode: no register state to continue with, nowhere to tell about it. */
void thread_lost(uint32_t vector)
{
    process_end(process_current(), EXIT_EXCEPTION | vector);
    user_return(NULL); /* WORK_KILL */
    panic("a thread outlived its process");
}

static const struct exception_entry *find_entry(uint64_t rip)
{
    for (const struct exception_entry *entry = exception_table_start; entry < exception_table_end;
         entry++)
        if (entry->instruction == rip)
            return entry;
    return NULL;
}

/* frame->address is not there in a frame of the kernel: a copy that has it. */
static NORETURN COLD void kernel_fault(const struct abi_frame *frame, uint64_t address)
{
    static struct abi_frame copy; /* the stack may be what is broken. One CPU reports at a time */

    __builtin_memcpy(&copy, frame, offsetof(struct abi_frame, address));
    copy.address = address;
    if (address >= STACKS_BASE && address < STACKS_BASE + STACKS_SIZE)
        panic_frame(&copy, "kernel stack overflow (vector %lu at %lx)", frame->vector, frame->rip);
    if (frame->vector == VECTOR_PAGE_FAULT)
        panic_frame(&copy, "kernel page fault at %lx, error %lx", address, frame->error);
    panic_frame(&copy, "exception %lu in the kernel, error %lx", frame->vector, frame->error);
}

void trap_kernel(struct abi_frame *frame)
{
    if (frame->vector >= VECTOR_EXCEPTIONS) {
        interrupt(frame);
        return;
    }
    if (interrupt_of_nobody(frame))
        return;

    uint64_t address = frame->vector == VECTOR_PAGE_FAULT ? cr2_read() : 0;
    const struct exception_entry *entry = find_entry(frame->rip);

    if (!entry || (frame->vector != VECTOR_PAGE_FAULT && frame->vector != VECTOR_PROTECTION))
        kernel_fault(frame, address);
    if (frame->vector == VECTOR_PAGE_FAULT) {
        cpu_self()->page_faults++;
        if (address >= USER_LIMIT)
            kernel_fault(frame, address); /* the kernel's side of the copy: its own mistake */
        if (entry->flags & EXCEPTION_RESOLVE && fault_resolve(address, fault_access(frame)))
            return;
    }
    frame->rip = entry->fixup;
}

void trap_anywhere(struct abi_frame *frame)
{
    void (*handler)(struct abi_frame *) = handlers[VECTOR_NMI];

    frame->address = cr2_read();
    frame->cause = 0;
    if (frame->vector != VECTOR_NMI)
        kernel_fault(frame, frame->address);
    if (handler)
        handler(frame);
}
