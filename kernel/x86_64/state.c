/* What a panic shows of the machine: registers, machine-check banks, and the chain of frame pointers. */
#include "kernel/x86_64/state.h"

#include "kernel/panic.h"
#include "kernel/x86_64/machine.h"

#define MSR_MCG_CAPABILITY 0x179u
#define MSR_MC0_STATUS     0x401u /* + 4 * bank; then the address */
#define STATUS_VALID       BIT(63)
#define STATUS_ADDRESS     BIT(58)

#define DEPTH_MAX 48u

static void print_machine_check(void)
{
    uint32_t banks;

    if (!cpu_features.mce || !(cpuid(1, 0).edx & BIT(14)))
        return;
    banks = (uint32_t)msr_read(MSR_MCG_CAPABILITY) & 0xff;
    for (uint32_t i = 0; i < banks; i++) {
        uint64_t status = msr_read(MSR_MC0_STATUS + 4 * i);

        if (status & STATUS_VALID)
            panic_print("machine check, bank %u: status %016lx address %016lx\n", i, status,
                        status & STATUS_ADDRESS ? msr_read(MSR_MC0_STATUS + 1 + 4 * i) : 0);
    }
}

void arch_print_state(const struct abi_frame *frame)
{
    if (frame) {
        panic_print("rip %016lx  rsp %016lx  flags %08lx  cs %02lx  vector %lu  error %lx\n",
                    frame->rip, frame->rsp, frame->rflags, frame->cs, frame->vector, frame->error);
        panic_print("rax %016lx  rbx %016lx  rcx %016lx  rdx %016lx\n", frame->rax, frame->rbx,
                    frame->rcx, frame->rdx);
        panic_print("rsi %016lx  rdi %016lx  rbp %016lx  r8  %016lx\n", frame->rsi, frame->rdi,
                    frame->rbp, frame->r8);
        panic_print("r9  %016lx  r10 %016lx  r11 %016lx  r12 %016lx\n", frame->r9, frame->r10,
                    frame->r11, frame->r12);
        panic_print("r13 %016lx  r14 %016lx  r15 %016lx\n", frame->r13, frame->r14, frame->r15);
    }
    panic_print("cr0 %016lx  cr2 %016lx  cr3 %016lx  cr4 %016lx\n", cr0_read(), cr2_read(),
                cr3_read(), cr4_read());
    if (frame && frame->vector == VECTOR_MACHINE_CHECK)
        print_machine_check();
}

/* Where stacks are: threads', or a CPU's own in the image (the boot CPU's) or the heap. What lies there may still be
 * anything: a fault on the way is a second panic, which stops. */
static bool on_stack(uint64_t address)
{
    extern const char kernel_data_start[], kernel_image_end[];

    if (address % 8 != 0)
        return false;
    return (address >= STACKS_BASE && address < STACKS_BASE + STACKS_SIZE) ||
           (address >= (uint64_t)kernel_data_start && address + 16 <= (uint64_t)kernel_image_end) ||
           (address >= DIRECT_MAP_BASE && address < DIRECT_MAP_BASE + DIRECT_MAP_SIZE);
}

static void walk(const uint64_t *frame, void (*print)(uint64_t address))
{
    for (unsigned depth = 0; depth < DEPTH_MAX && on_stack((uint64_t)frame); depth++) {
        const uint64_t *next = (const uint64_t *)frame[0];

        if (frame[1] == 0)
            return;
        print(frame[1]);
        if (next == frame)
            return;
        frame = next;
    }
}

void arch_backtrace(void (*print)(uint64_t address))
{
    walk(__builtin_frame_address(0), print);
}

/* Where the CPUs that were stopped for a panic were. */
static struct {
    uint64_t rip, rbp;
} stopped_at[CPU_MAX];

void state_stopped(const struct abi_frame *frame)
{
    uint32_t cpu = cpu_self()->index;

    stopped_at[cpu].rip = frame->rip;
    stopped_at[cpu].rbp = frame->cs & 3 ? 0 : frame->rbp;
}

void arch_backtrace_stopped(uint32_t cpu, void (*print)(uint64_t address))
{
    if (!stopped_at[cpu].rip)
        return;
    print(stopped_at[cpu].rip);
    walk((const uint64_t *)stopped_at[cpu].rbp, print);
}
