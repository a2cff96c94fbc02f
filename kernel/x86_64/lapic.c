/* The local APIC of each CPU: acknowledging, interrupts to other CPUs, and the timer (SDM volume 3, chapter 10).
 *
 * x2APIC (MSRs) where the CPU has it, else the registers in memory, at the same address on every CPU. The timer is
 * tickless: one deadline per CPU, set by arch_timer_set. With TSC deadlines the hardware compares times itself;
 * otherwise it counts down once. An interrupt that comes early, because the counter is too short or its rate is not
 * known exactly, sets the timer again and is not reported.
 *
 * Everything is per CPU and interrupts are off: no locks. An NMI sends only in a panic.
 */
#include "kernel/x86_64/lapic.h"

#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/x86_64/clock.h"
#include "kernel/x86_64/machine.h"
#include "kernel/x86_64/scale.h"

/* Registers by their offset in memory; the MSR is 0x800 + offset / 16. */
#define ID            0x020u
#define VERSION       0x030u
#define TASK_PRIORITY 0x080u
#define EOI           0x0b0u
#define SPURIOUS      0x0f0u
#define ERROR_STATUS  0x280u
#define LVT_CMCI      0x2f0u
#define COMMAND       0x300u /* x2APIC: both halves */
#define COMMAND_HIGH  0x310u
#define LVT_TIMER     0x320u
#define LVT_THERMAL   0x330u
#define LVT_COUNTERS  0x340u
#define LVT_LINT0     0x350u
#define LVT_LINT1     0x360u
#define LVT_ERROR     0x370u
#define INITIAL_COUNT 0x380u
#define CURRENT_COUNT 0x390u
#define DIVIDE        0x3e0u

#define BASE_ENABLE     BIT(11)
#define BASE_X2APIC     BIT(10)
#define BASE_ADDRESS    UINT64_C(0x000ffffffffff000)
#define SPURIOUS_ENABLE 0x100u
#define LVT_MASKED      0x10000u
#define LVT_NMI         0x400u
#define LVT_LEVEL       0x8000u
#define LVT_LOW         0x2000u
#define TIMER_DEADLINE  0x40000u /* mode bits of LVT_TIMER; 0: one-shot */
#define COMMAND_PENDING 0x1000u
#define COMMAND_ASSERT  0x4000u
#define COMMAND_NMI     0x400u
#define COMMAND_INIT    0x500u
#define COMMAND_STARTUP 0x600u
#define COMMAND_OTHERS  0xc0000u
#define DIVIDE_BY_4     0x1u

#define NS_PER_S UINT64_C(1000000000)

static bool x2apic, deadlines;
static volatile uint32_t *registers;
static struct scale ns_to_count, ns_to_cycles;
static uint32_t nmi_line = LVT_LINT1; /* how the NMI is wired on all CPUs: MADT */
static uint32_t nmi_mode = LVT_NMI;

static uint32_t read(uint32_t at)
{
    return x2apic ? (uint32_t)msr_read(MSR_X2APIC + at / 16) : registers[at / 4];
}

static void write(uint32_t at, uint32_t value)
{
    if (x2apic)
        msr_write(MSR_X2APIC + at / 16, value);
    else
        registers[at / 4] = value;
}

uint32_t lapic_id(void)
{
    return x2apic ? read(ID) : read(ID) >> 24;
}

void lapic_eoi(void)
{
    write(EOI, 0);
}

/* --- Interrupts to other CPUs ------------------------------------------------------------------------ */

static void command(uint32_t apic_id, uint32_t what)
{
    if (x2apic) {
        /* Writing the MSR does not wait for earlier stores, which the receiver is to see. */
        __asm__ volatile("mfence; lfence" : : : "memory");
        msr_write(MSR_X2APIC + COMMAND / 16, (uint64_t)apic_id << 32 | what);
        return;
    }
    while (read(COMMAND) & COMMAND_PENDING)
        arch_pause();
    write(COMMAND_HIGH, apic_id << 24);
    write(COMMAND, what);
}

void lapic_send(uint32_t apic_id, uint8_t vector)
{
    command(apic_id, COMMAND_ASSERT | vector);
}

void lapic_send_init(uint32_t apic_id)
{
    command(apic_id, COMMAND_ASSERT | COMMAND_INIT);
}

void lapic_send_startup(uint32_t apic_id, uint32_t page)
{
    command(apic_id, COMMAND_ASSERT | COMMAND_STARTUP | page);
}

/* In a panic, which may have interrupted a command: the wait is bounded. */
void lapic_send_nmi_others(void)
{
    if (!x2apic && !registers)
        return;
    if (!x2apic) {
        for (uint32_t i = 0; i < 1000000 && read(COMMAND) & COMMAND_PENDING; i++)
            arch_pause();
        write(COMMAND, COMMAND_ASSERT | COMMAND_OTHERS | COMMAND_NMI);
        return;
    }
    msr_write(MSR_X2APIC + COMMAND / 16, COMMAND_ASSERT | COMMAND_OTHERS | COMMAND_NMI);
}

/* --- The timer ---------------------------------------------------------------------------------------- */

void arch_timer_set(uint64_t deadline)
{
    uint64_t now;

    cpu_self()->arch.timer_deadline = deadline;
    if (deadline == UINT64_MAX) {
        if (deadlines)
            msr_write(MSR_TSC_DEADLINE, 0);
        else
            write(INITIAL_COUNT, 0);
        return;
    }
    now = arch_clock();
    uint64_t wait = deadline > now ? deadline - now : 0;
    if (deadlines) {
        uint64_t cycles = scale_apply(ns_to_cycles, wait), tsc = arch_cycles();

        msr_write(MSR_TSC_DEADLINE, cycles < UINT64_MAX - tsc ? tsc + cycles : UINT64_MAX);
        return;
    }
    uint64_t count = scale_apply(ns_to_count, wait) + 1; /* 0 would stop it */
    write(INITIAL_COUNT, (uint32_t)MIN(count, UINT32_MAX));
}

static void on_timer(struct abi_frame *frame)
{
    struct cpu *cpu = cpu_self();

    (void)frame;
    lapic_eoi();
    if (cpu->arch.timer_deadline == UINT64_MAX)
        return; /* it was on its way when the timer was stopped */
    if (arch_clock() < cpu->arch.timer_deadline) {
        arch_timer_set(cpu->arch.timer_deadline);
        return;
    }
    cpu->arch.timer_deadline = UINT64_MAX;
    timer_interrupt();
}

static uint32_t read_count(void)
{
    return read(CURRENT_COUNT);
}

void lapic_timer_start(void)
{
    uint64_t hz = 0;

    deadlines = cpuid(1, 0).ecx & BIT(24) && clock_tsc_steady();
    ns_to_cycles = scale_make(NS_PER_S, arch_cycles_hz());
    if (!deadlines) {
        write(LVT_TIMER, LVT_MASKED | VECTOR_TIMER);
        write(INITIAL_COUNT, UINT32_MAX);
        clock_measure_lapic(read_count, &hz);
        write(INITIAL_COUNT, 0);
        if (hz == 0)
            panic("lapic: the timer does not count");
        ns_to_count = scale_make(NS_PER_S, hz);
        log_info("lapic: timer %lu.%03lu MHz", hz / 1000000, hz / 1000 % 1000);
    }
    write(LVT_TIMER, VECTOR_TIMER | (deadlines ? TIMER_DEADLINE : 0));
    log_info("lapic: %s, %s", x2apic ? "x2APIC" : "xAPIC",
             deadlines ? "TSC deadlines" : "one-shot timer");
}

/* --- Starting ------------------------------------------------------------------------------------------ */

static void on_spurious(struct abi_frame *frame)
{
    (void)frame; /* not to be acknowledged (10.9) */
}

static void on_error(struct abi_frame *frame)
{
    (void)frame;
    write(ERROR_STATUS, 0); /* latches */
    uint32_t status = read(ERROR_STATUS);
    lapic_eoi();
    if (status)
        log_warning("lapic: CPU %u: error 0x%x", cpu_self()->index, status);
}

/* The CPU's own registers, into a known state, whatever the firmware left. */
void lapic_cpu_start(void)
{
    uint64_t base = msr_read(MSR_APIC_BASE) | BASE_ENABLE;

    msr_write(MSR_APIC_BASE, base);
    if (x2apic)
        msr_write(MSR_APIC_BASE, base | BASE_X2APIC);
    uint32_t highest = read(VERSION) >> 16 & 0xff; /* LVT entries - 1 */
    write(TASK_PRIORITY, 0);
    write(SPURIOUS, SPURIOUS_ENABLE | VECTOR_SPURIOUS);
    write(LVT_LINT0, LVT_MASKED);
    write(LVT_LINT1, LVT_MASKED);
    write(nmi_line, nmi_mode);
    write(LVT_ERROR, VECTOR_APIC_ERROR);
    if (highest >= 4)
        write(LVT_COUNTERS, LVT_MASKED);
    if (highest >= 5)
        write(LVT_THERMAL, LVT_MASKED);
    if (highest >= 6)
        write(LVT_CMCI, LVT_MASKED);
    write(ERROR_STATUS, 0);
    write(DIVIDE, DIVIDE_BY_4);
    write(INITIAL_COUNT, 0);
    write(LVT_TIMER, VECTOR_TIMER | (deadlines ? TIMER_DEADLINE : 0));
    cpu_self()->arch.apic_id = lapic_id();
    cpu_self()->arch.timer_deadline = UINT64_MAX;
    lapic_eoi(); /* what the firmware left in service */
}

static void find_nmi(const struct acpi *acpi)
{
    struct acpi_madt_entry entry;
    uint32_t offset = 0;

    while (acpi_madt_next(acpi, &offset, &entry)) {
        if (entry.kind != MADT_LAPIC_NMI || entry.lapic_nmi.line > 1)
            continue;
        nmi_line = entry.lapic_nmi.line == 0 ? LVT_LINT0 : LVT_LINT1;
        nmi_mode =
            LVT_NMI | (entry.lapic_nmi.low ? LVT_LOW : 0) | (entry.lapic_nmi.level ? LVT_LEVEL : 0);
    }
}

void lapic_start(const struct acpi *acpi)
{
    struct cpuid features = cpuid(1, 0);

    if (!(features.edx & BIT(9)))
        panic("lapic: this CPU has no local APIC");
    x2apic = features.ecx & BIT(21);
    if (!x2apic) {
        registers = arch_map_device(PADDR(msr_read(MSR_APIC_BASE) & BASE_ADDRESS), PAGE_SIZE,
                                    PAGE_WRITE | PAGE_NOCACHE);
        if (!registers)
            panic("lapic: its registers cannot be mapped");
    }
    find_nmi(acpi);
    trap_set_handler(VECTOR_TIMER, on_timer);
    trap_set_handler(VECTOR_SPURIOUS, on_spurious);
    trap_set_handler(VECTOR_APIC_ERROR, on_error);
    lapic_cpu_start();
}
