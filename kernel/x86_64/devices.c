/* The machine's own devices, in the order in which they depend on each other; the console; idling, and calling and
 * stopping other CPUs. */
#include "kernel/boot.h"
#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/vmm/heap.h"
#include "kernel/x86_64/clock.h"
#include "kernel/x86_64/interrupts.h"
#include "kernel/x86_64/ioapic.h"
#include "kernel/x86_64/lapic.h"
#include "kernel/x86_64/machine.h"
#include "kernel/x86_64/port.h"
#include "kernel/x86_64/power.h"
#include "kernel/x86_64/screen.h"
#include "kernel/x86_64/serial.h"
#include "kernel/x86_64/smp.h"
#include "kernel/x86_64/state.h"

#define TABLES_MAX    (4u << 20) /* of ACPI, together */
#define STOP_PATIENCE 10000000u  /* turns of a loop, for other CPUs to take an NMI */

static struct abi_pci_segment pci_segments[ABI_PCI_SEGMENTS];
static void *acpi_tables; /* copies of all of them */
static uint64_t acpi_tables_length;
static struct acpi_rtc rtc;
static uint32_t kicked[CPU_MAX]; /* an interrupt is on its way to that CPU */
static uint32_t stopping, stopped;

/* --- ACPI's view of memory ----------------------------------------------------------------------------- */

/* An address beyond what the CPU has lines for would fault, not fail. */
static bool reachable(uint64_t address, uint64_t length)
{
    uint32_t bits = 36;

    if (cpuid(0x80000000, 0).eax >= 0x80000008)
        bits = cpuid(0x80000008, 0).eax & 0xff;
    return length <= BIT(bits) && address <= BIT(bits) - length;
}

static const void *map_memory(void *context, uint64_t address, uint64_t length)
{
    (void)context;
    return reachable(address, length) ? arch_map_device(PADDR(address), length, 0) : NULL;
}

static void unmap_memory(void *context, const void *view, uint64_t length)
{
    (void)context;
    arch_unmap_device((void *)(uintptr_t)view, length);
}

static const struct acpi_memory acpi_memory = {map_memory, unmap_memory, NULL};

/* Now: where they lie may be memory that is used for other things later. */
static void collect_tables(const struct acpi *acpi, uint64_t rsdp)
{
    uint64_t length = acpi_collect(acpi, rsdp, NULL, TABLES_MAX);

    acpi_tables = length ? heap_alloc(length) : NULL;
    if (acpi_tables)
        acpi_tables_length = acpi_collect(acpi, rsdp, acpi_tables, length);
}

void *arch_acpi_tables(uint64_t *length)
{
    *length = acpi_tables_length;
    return acpi_tables;
}

static void find_acpi(const struct boot_info *boot, struct acpi *acpi)
{
    uint64_t rsdp = boot->rsdp.value;
    struct acpi_mcfg mcfg;
    uint32_t offset = 0;

    *acpi = (struct acpi){.memory = &acpi_memory};
    if (rsdp == 0 && !acpi_find_rsdp(&acpi_memory, &rsdp)) {
        log_warning("acpi: no tables: one CPU, no device interrupts");
        return;
    }
    if (!acpi_load(acpi, &acpi_memory, rsdp))
        return;
    collect_tables(acpi, rsdp);
    log_info("acpi:%s%s%s%s%s", acpi->madt ? " MADT" : "", acpi->fadt ? " FADT" : "",
             acpi->dsdt ? " DSDT" : "", acpi->hpet ? " HPET" : "", acpi->mcfg ? " MCFG" : "");
    acpi_rtc(acpi, &rtc);
    for (uint32_t n = 0; acpi_mcfg_next(acpi, &offset, &mcfg); n++) {
        log_info("acpi: PCI segment %u, buses %u to %u, at 0x%lx%s", mcfg.segment, mcfg.first_bus,
                 mcfg.last_bus, mcfg.address, n < ABI_PCI_SEGMENTS ? "" : ": left out");
        if (n < ABI_PCI_SEGMENTS)
            pci_segments[n] = (struct abi_pci_segment){mcfg.address, mcfg.segment, mcfg.first_bus,
                                                       mcfg.last_bus, 0};
    }
}

void arch_rtc(uint64_t *century, uint64_t *absent)
{
    *century = rtc.century;
    *absent = rtc.absent;
}

void arch_pci_segments(struct abi_pci_segment segments[ABI_PCI_SEGMENTS])
{
    for (uint32_t i = 0; i < ABI_PCI_SEGMENTS; i++)
        segments[i] = pci_segments[i];
}

/* --- Interprocessor interrupts --------------------------------------------------------------------------- */

static void on_reschedule(struct abi_frame *frame)
{
    (void)frame;
    /* Before need_resched is read, on the way out: who finds kicked set afterwards, finds it set anew. */
    __atomic_exchange_n(&kicked[cpu_self()->index], 0, __ATOMIC_SEQ_CST);
    lapic_eoi();
}

void arch_cpu_kick(struct cpu *cpu)
{
    if (cpu == cpu_self() || __atomic_exchange_n(&kicked[cpu->index], 1, __ATOMIC_SEQ_CST))
        return;
    cpu_self()->reschedule_interrupts++;
    lapic_send(cpu->arch.apic_id, VECTOR_RESCHEDULE);
}

/* Another CPU panics; or the machine, or somebody at QEMU's monitor, wants attention: a hung kernel then tells
 * where it hangs. No locks: an NMI comes anywhere. */
static void on_nmi(struct abi_frame *frame)
{
    uint8_t status;

    if (__atomic_load_n(&stopping, __ATOMIC_ACQUIRE)) {
        state_stopped(frame);
        __atomic_fetch_add(&stopped, 1, __ATOMIC_RELEASE);
        arch_halt();
    }
    status = port_in8(0x61); /* NMI status and control */
    panic_frame(frame, "NMI%s%s", status != 0xff && status & 0x80 ? ": memory or system error" : "",
                status != 0xff && status & 0x40 ? ": I/O channel check" : "");
}

void arch_cpus_stop(void)
{
    uint32_t others = cpu_count - 1;

    if (others == 0 || __atomic_exchange_n(&stopping, 1, __ATOMIC_ACQ_REL))
        return;
    lapic_send_nmi_others();
    for (uint32_t i = 0; i < STOP_PATIENCE && __atomic_load_n(&stopped, __ATOMIC_ACQUIRE) < others;
         i++)
        arch_pause();
}

/* --- What is the kernel's own ------------------------------------------------------------------------------ */

#define MESSAGES_BASE \
    UINT64_C(0xfee00000) /* local APICs' registers; writes of devices there are interrupts */
#define MESSAGES_SIZE UINT64_C(0x100000)

bool arch_memory_reserved(uint64_t base, uint64_t length)
{
    if (base < MESSAGES_BASE + MESSAGES_SIZE && base + length > MESSAGES_BASE)
        return true;
    return ioapic_reserved(base, length) || hpet_reserved(base, length);
}

/* --- Idle and the end -------------------------------------------------------------------------------------- */

/* STI takes effect behind the next instruction: an interrupt that comes before HLT ends the HLT. */
void arch_idle(void)
{
    __asm__ volatile("sti; hlt; cli" : : : "memory");
}

void arch_preempt_window(void)
{
    __asm__ volatile("sti; nop; cli" : : : "memory");
}

void arch_halt(void)
{
    for (;;)
        __asm__ volatile("cli; hlt" : : : "memory");
}

void arch_halt_all(void)
{
    arch_cpus_stop();
    arch_halt();
}

/* --- Console ------------------------------------------------------------------------------------------------ */

void arch_console_write(const char *text, size_t length)
{
    serial_write(text, length);
    screen_write(text, length);
}

void arch_screen_write(const char *text, size_t length)
{
    screen_write(text, length);
}

void arch_screen_show_text(void)
{
    screen_show_text();
}

void arch_screen_taken(void)
{
    screen_taken();
}

void arch_console_panic(void)
{
    screen_panic();
}

/* --- In order ------------------------------------------------------------------------------------------------- */

void arch_devices_init(const struct boot_info *boot)
{
    static struct acpi acpi;

    trap_set_handler(VECTOR_NMI, on_nmi);
    trap_set_handler(VECTOR_RESCHEDULE, on_reschedule);
    screen_start(&boot->framebuffer);
    find_acpi(boot, &acpi);
    pic_silence();
    lapic_start(&acpi);
    clock_start(&acpi);
    lapic_timer_start();
    interrupts_start(&acpi);
    power_start(&acpi);
    smp_find(&acpi);
}
