/* Starting the other CPUs (SDM volume 3, 8.4).
 *
 *     boot CPU (arch_cpus_start)                     each other CPU
 *     INIT, 10 ms, STARTUP to all                    ap_boot.S: long mode, its stack
 *     waits, and repeats STARTUP for the slow        smp_entry: descriptor tables, local APIC, TSC compared
 *     WAITING -> GIVEN_UP                   or       WAITING -> ARRIVED
 *     the clock is settled, numbers are given
 *     go = 1  ------------------------------------>  cpu_main()
 *
 * Whoever changes the state first decides: a CPU that comes too late halts for ever, and the system runs without
 * it. Numbers are given when all have arrived, so there are no holes. No locks: one CPU runs the kernel until `go`.
 */
#include "kernel/x86_64/smp.h"

#include "kernel/boot.h"
#include "kernel/log.h"
#include "kernel/vmm/frame.h"
#include "kernel/vmm/heap.h"
#include "kernel/x86_64/clock.h"
#include "kernel/x86_64/lapic.h"
#include "kernel/x86_64/machine.h"
#include "lib/base/string.h"

#define INIT_NS    UINT64_C(10000000)
#define RETRY_NS   UINT64_C(10000000)
#define GIVE_UP_NS UINT64_C(5000000000)
#define CHECKS     2000u

enum { WAITING, ARRIVED, GIVEN_UP };

struct starting { /* ap_boot.S knows its layout */
    uint32_t apic_id;
    uint32_t state;
    void *stack;
    struct cpu *cpu;
    uint64_t reserved;
};

_Static_assert(sizeof(struct starting) == 32 && offsetof(struct starting, stack) == 8, "ap_boot.S");

extern const char ap_boot_start[], ap_boot_end[], ap_boot_efer[], ap_boot_gdt[];

struct starting *smp_starting;
uint32_t smp_starting_count;
static uint32_t go;

NORETURN void smp_entry(struct starting *starting);

uint32_t smp_cpu_count(void)
{
    return smp_starting_count + 1;
}

/* --- Finding ------------------------------------------------------------------------------------------- */

static bool listed(uint32_t apic_id)
{
    for (uint32_t i = 0; i < smp_starting_count; i++) {
        if (smp_starting[i].apic_id == apic_id)
            return true;
    }
    return apic_id == lapic_id();
}

void smp_find(const struct acpi *acpi)
{
    struct acpi_madt_entry entry;
    uint32_t offset = 0, count = 0, room;
    size_t length;

    while (acpi_madt_next(acpi, &offset, &entry))
        count += entry.kind == MADT_CPU && entry.cpu.enabled;
    if (count < 2)
        return;
    if (boot_option("nosmp", &length)) {
        log_info("smp: %u CPUs, one used (nosmp)", count);
        return;
    }
    if (count > CPU_MAX)
        log_warning("smp: %u CPUs, %u used", count, CPU_MAX);
    room = MIN(count, CPU_MAX) - 1;
    smp_starting = heap_alloc(room * sizeof(*smp_starting));
    if (!smp_starting) {
        log_warning("smp: no memory to start other CPUs");
        return;
    }
    for (offset = 0; acpi_madt_next(acpi, &offset, &entry) && smp_starting_count < room;) {
        /* A CPU with a small id is often listed twice: as local APIC and as x2APIC. */
        if (entry.kind == MADT_CPU && entry.cpu.enabled && !listed(entry.cpu.apic_id))
            smp_starting[smp_starting_count++].apic_id = entry.cpu.apic_id;
    }
}

/* --- On the other CPU ------------------------------------------------------------------------------------ */

void smp_entry(struct starting *starting)
{
    struct cpu *cpu = starting->cpu;
    uint32_t expected = WAITING;

    cpu_descriptors_load(cpu);
    lapic_cpu_start();
    for (uint32_t i = 0; i < CHECKS; i++)
        clock_check();
    if (!__atomic_compare_exchange_n(&starting->state, &expected, ARRIVED, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE))
        arch_halt();
    while (!__atomic_load_n(&go, __ATOMIC_ACQUIRE))
        arch_pause();
    cpu_main(cpu);
}

/* --- On the boot CPU --------------------------------------------------------------------------------------- */

static bool prepare(struct starting *starting, uint32_t index)
{
    starting->stack = arch_stack_alloc();
    starting->cpu = heap_alloc(sizeof(*starting->cpu));
    if (!starting->stack || !starting->cpu) {
        if (starting->stack)
            arch_stack_free(starting->stack);
        heap_free(starting->cpu);
        starting->cpu = NULL;
        return false;
    }
    starting->cpu->self = starting->cpu;
    starting->cpu->index = index;
    starting->cpu->arch.apic_id = starting->apic_id;
    return true;
}

/* The code of ap_boot.S in its page below 1 MiB, with what it needs to know. False: there is no such page. */
static bool place_code(uint32_t *page)
{
    paddr_t low = frame_low();
    uint8_t *copy = direct_map(low);
    const uint8_t *gdt = direct_map(PADDR((uint64_t)boot_gdt_pointer));
    uint32_t efer = (uint32_t)(EFER_LME | (cpu_features.nx ? EFER_NXE : 0));

    if (low.value == 0 || low.value >= 0x100000)
        return false;
    memcpy(copy, ap_boot_start, (size_t)(ap_boot_end - ap_boot_start));
    memcpy(copy + (ap_boot_efer - ap_boot_start), &efer, sizeof(efer));
    memcpy(copy + (ap_boot_gdt - ap_boot_start), gdt, 6);
    *page = (uint32_t)(low.value / PAGE_SIZE);
    return true;
}

/* True when all have arrived before the time is over. Meanwhile this CPU is one of those whose TSC is compared. */
static bool wait_for_all(uint64_t ns)
{
    uint64_t end = arch_clock() + ns;

    for (;;) {
        uint32_t missing = 0;

        for (uint32_t i = 0; i < smp_starting_count; i++)
            missing += __atomic_load_n(&smp_starting[i].state, __ATOMIC_ACQUIRE) == WAITING;
        clock_check();
        if (missing == 0)
            return true;
        if (arch_clock() >= end)
            return false;
        arch_pause();
    }
}

static void startup(uint32_t page)
{
    for (uint32_t i = 0; i < smp_starting_count; i++) {
        if (__atomic_load_n(&smp_starting[i].state, __ATOMIC_ACQUIRE) == WAITING)
            lapic_send_startup(smp_starting[i].apic_id, page);
    }
}

static void start(uint32_t page)
{
    for (uint32_t i = 0; i < smp_starting_count; i++)
        lapic_send_init(smp_starting[i].apic_id);
    clock_delay(INIT_NS);
    startup(page);
    if (!wait_for_all(RETRY_NS)) {
        startup(page);
        wait_for_all(GIVE_UP_NS);
    }
}

void arch_cpus_start(void)
{
    uint32_t wanted = smp_starting_count, page;

    for (uint32_t i = 0; i < smp_starting_count; i++) {
        if (!prepare(&smp_starting[i], i + 1)) {
            log_warning("smp: no memory for %u more CPUs", smp_starting_count - i);
            smp_starting_count = i;
        }
    }
    if (smp_starting_count > 0 && !place_code(&page)) {
        log_warning("smp: no page below 1 MiB to start CPUs from");
        smp_starting_count = 0;
    }
    if (smp_starting_count > 0)
        start(page);
    clock_settle();

    uint32_t count = 1;
    for (uint32_t i = 0; i < smp_starting_count; i++) {
        struct starting *starting = &smp_starting[i];
        uint32_t expected = WAITING;

        if (__atomic_compare_exchange_n(&starting->state, &expected, GIVEN_UP, false,
                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            log_warning("smp: the CPU with APIC id %u did not start", starting->apic_id);
            continue;
        }
        starting->cpu->index = count;
        cpus[count++] = starting->cpu;
    }
    cpu_count = count;
    log_info("smp: %u of %u CPUs", count, wanted + 1);
    __atomic_store_n(&go, 1, __ATOMIC_RELEASE);
}
