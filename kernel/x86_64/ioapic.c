/* Device interrupts: lines of the IO-APICs to vectors of CPUs (82093AA datasheet; SDM volume 3, 10.8).
 *
 *     arch_irq_bind     line -> GSI (override) -> entry of an IO-APIC -> the CPU with fewest lines, a free vector
 *     on_device         vector of this CPU -> GSI -> masked if level, acknowledged -> irq_interrupt(gsi)
 *
 * A level line stays masked until its driver has calmed the device and calls arch_irq_unmask. An interrupt that was on
 * its way while its line was unbound finds its vector nobody's, and is acknowledged and dropped.
 *
 * Lock: ioapic_lock (RANK_ARCH): the index/data registers, the entries, and all CPUs' vector maps. on_device reads
 * its own CPU's map without it: a word that changes whole.
 */
#include "kernel/x86_64/ioapic.h"

#include "abi/errors.h"
#include "kernel/log.h"
#include "kernel/vmm/heap.h"
#include "kernel/x86_64/machine.h"
#include "kernel/x86_64/port.h"
#include "kernel/x86_64/routing.h"

#define INDEX   0x00u
#define WINDOW  0x10u
#define VERSION 0x01u
#define ENTRY   0x10u /* + 2 * line: low half */

#define ENTRY_LOW    0x2000u
#define ENTRY_LEVEL  0x8000u
#define ENTRY_MASKED 0x10000u

#define APIC_ID_LIMIT 255u /* entries name 8-bit APIC ids; 255 is everybody */

struct entry {
    struct cpu *cpu; /* NULL: not bound */
    uint32_t low;    /* the register, as it was written last */
};

struct ioapic {
    volatile uint32_t *registers;
    uint32_t gsi_base, count;
    struct entry *entries;
};

static struct lock ioapic_lock = LOCK_INIT(RANK_ARCH, "ioapic");
static struct ioapic *ioapics;
static uint32_t ioapic_count;
static struct routes routes;
static struct vector_map *vectors[CPU_MAX]; /* made when a CPU gets its first line */

static uint32_t ioapic_read(const struct ioapic *ioapic, uint32_t at)
{
    ioapic->registers[INDEX / 4] = at;
    return ioapic->registers[WINDOW / 4];
}

static void ioapic_write(const struct ioapic *ioapic, uint32_t at, uint32_t value)
{
    ioapic->registers[INDEX / 4] = at;
    ioapic->registers[WINDOW / 4] = value;
}

static struct ioapic *find(uint32_t gsi)
{
    for (uint32_t i = 0; i < ioapic_count; i++) {
        if (gsi >= ioapics[i].gsi_base && gsi - ioapics[i].gsi_base < ioapics[i].count)
            return &ioapics[i];
    }
    return NULL;
}

static void set_masked(uint32_t gsi, bool masked)
{
    struct ioapic *ioapic = find(gsi);

    lock_acquire(&ioapic_lock);
    if (ioapic && ioapic->entries[gsi - ioapic->gsi_base].cpu) {
        uint32_t line = gsi - ioapic->gsi_base;
        struct entry *entry = &ioapic->entries[line];

        entry->low = (entry->low & ~ENTRY_MASKED) | (masked ? ENTRY_MASKED : 0);
        ioapic_write(ioapic, ENTRY + 2 * line, entry->low);
    }
    lock_release(&ioapic_lock);
}

void arch_irq_mask(uint32_t gsi)
{
    set_masked(gsi, true);
}

void arch_irq_unmask(uint32_t gsi)
{
    set_masked(gsi, false);
}

static void on_device(struct abi_frame *frame)
{
    struct cpu *cpu = cpu_self();
    const struct vector_map *map = __atomic_load_n(&vectors[cpu->index], __ATOMIC_ACQUIRE);
    uint32_t gsi = map ? vectors_gsi(map, (uint8_t)frame->vector) : GSI_NONE;

    if (gsi == GSI_NONE) {
        lapic_eoi();
        return;
    }
    const struct ioapic *ioapic = find(gsi);
    if (ioapic->entries[gsi - ioapic->gsi_base].low & ENTRY_LEVEL)
        arch_irq_mask(gsi);
    lapic_eoi();
    irq_interrupt(gsi);
}

/* --- Binding ------------------------------------------------------------------------------------------ */

/* The online CPU with the fewest lines, and its map; NULL: none can take one. */
static struct cpu *choose_cpu(void)
{
    struct cpu *best = NULL;
    uint32_t fewest = VECTOR_COUNT;

    for (uint32_t i = 0; i < cpu_count; i++) {
        uint32_t used = vectors[i] ? vectors[i]->used : 0;

        if (!cpus[i] || cpus[i]->arch.apic_id >= APIC_ID_LIMIT || used >= fewest)
            continue;
        fewest = used;
        best = cpus[i];
    }
    return best;
}

static int bind_locked(struct ioapic *ioapic, const struct line *line, struct vector_map **spare)
{
    uint32_t number = line->gsi - ioapic->gsi_base;
    struct entry *entry = &ioapic->entries[number];
    struct cpu *cpu;
    uint8_t vector;

    if (entry->cpu)
        return -E_BUSY;
    cpu = choose_cpu();
    if (!cpu)
        return -E_BUSY;
    if (!vectors[cpu->index]) {
        __atomic_store_n(&vectors[cpu->index], *spare, __ATOMIC_RELEASE);
        *spare = NULL;
    }
    if (!vectors_take(vectors[cpu->index], line->gsi, &vector))
        return -E_BUSY;
    entry->cpu = cpu;
    entry->low =
        ENTRY_MASKED | vector | (line->level ? ENTRY_LEVEL : 0) | (line->low ? ENTRY_LOW : 0);
    ioapic_write(ioapic, ENTRY + 2 * number, entry->low);
    ioapic_write(ioapic, ENTRY + 2 * number + 1, cpu->arch.apic_id << 24);
    return 0;
}

int arch_irq_bind(uint32_t number, uint32_t flags, uint32_t *gsi)
{
    struct line line;
    struct ioapic *ioapic;
    struct vector_map *spare;
    int result;

    if (ioapic_count == 0)
        return -E_NOT_SUPPORTED;
    if (!routing_resolve(&routes, number, flags, &line))
        return -E_RANGE;
    ioapic = find(line.gsi);
    if (!ioapic)
        return -E_RANGE;
    spare = heap_alloc(sizeof(*spare));
    if (!spare)
        return -E_NO_MEMORY;
    vectors_init(spare);
    lock_acquire(&ioapic_lock);
    result = bind_locked(ioapic, &line, &spare);
    lock_release(&ioapic_lock);
    heap_free(spare);
    if (result == 0)
        *gsi = line.gsi;
    return result;
}

void arch_irq_unbind(uint32_t gsi)
{
    struct ioapic *ioapic = find(gsi);

    if (!ioapic)
        return;
    lock_acquire(&ioapic_lock);
    uint32_t number = gsi - ioapic->gsi_base;
    struct entry *entry = &ioapic->entries[number];
    if (entry->cpu) {
        ioapic_write(ioapic, ENTRY + 2 * number, ENTRY_MASKED);
        vectors_give(vectors[entry->cpu->index], (uint8_t)entry->low);
        *entry = (struct entry){NULL, ENTRY_MASKED};
    }
    lock_release(&ioapic_lock);
}

/* --- Starting ------------------------------------------------------------------------------------------ */

/* Both 8259s: away from the exceptions' vectors, and every line masked. While the local APIC still takes their
 * interrupts: QEMU would not forget one that waits when LINT0 is masked, and raise #GP at the first STI. */
void pic_silence(void)
{
    static const uint8_t setup[][2] = {{0x20, 0x11}, {0xa0, 0x11}, {0x21, 0x20}, {0xa1, 0x28},
                                       {0x21, 0x04}, {0xa1, 0x02}, {0x21, 0x01}, {0xa1, 0x01},
                                       {0x21, 0xff}, {0xa1, 0xff}};

    for (unsigned i = 0; i < ARRAY_SIZE(setup); i++) {
        port_out8(setup[i][0], setup[i][1]);
        port_out8(0x80, 0); /* old ones need the time */
    }
}

static void add(uint64_t address, uint32_t gsi_base)
{
    struct ioapic *ioapic = &ioapics[ioapic_count];
    uint32_t version;

    ioapic->registers = arch_map_device(PADDR(address), 0x20, PAGE_WRITE | PAGE_NOCACHE);
    if (!ioapic->registers)
        return;
    version = ioapic_read(ioapic, VERSION);
    ioapic->gsi_base = gsi_base;
    ioapic->count = (version >> 16 & 0xff) + 1;
    ioapic->entries =
        version == UINT32_MAX ? NULL : heap_alloc(ioapic->count * sizeof(struct entry));
    if (!ioapic->entries || gsi_base > UINT32_MAX - 256 || find(gsi_base) ||
        find(gsi_base + ioapic->count - 1)) {
        log_warning("ioapic: at 0x%lx, from GSI %u: left out", address, gsi_base);
        heap_free(ioapic->entries);
        arch_unmap_device((void *)(uintptr_t)ioapic->registers, 0x20);
        return;
    }
    for (uint32_t i = 0; i < ioapic->count; i++) {
        ioapic->entries[i].low = ENTRY_MASKED;
        ioapic_write(ioapic, ENTRY + 2 * i, ENTRY_MASKED);
        ioapic_write(ioapic, ENTRY + 2 * i + 1, 0);
    }
    ioapic_count++;
    log_info("ioapic: GSI %u to %u", gsi_base, gsi_base + ioapic->count - 1);
}

void ioapic_start(const struct acpi *acpi)
{
    struct acpi_madt_entry entry;
    uint32_t offset = 0, listed = 0;

    routing_init(&routes);
    while (acpi_madt_next(acpi, &offset, &entry))
        listed += entry.kind == MADT_IOAPIC;
    ioapics = listed ? heap_alloc(listed * sizeof(*ioapics)) : NULL;
    for (offset = 0; acpi_madt_next(acpi, &offset, &entry);) {
        if (entry.kind == MADT_IOAPIC && ioapics)
            add(entry.ioapic.address, entry.ioapic.gsi_base);
        else if (entry.kind == MADT_OVERRIDE &&
                 !routing_override(&routes, entry.override.isa, entry.override.gsi,
                                   entry.override.level, entry.override.low))
            log_warning("ioapic: an override of ISA line %u: left out", entry.override.isa);
    }
    if (ioapic_count == 0)
        log_warning("ioapic: none: devices have no interrupts");
    for (unsigned vector = VECTOR_DEVICE_FIRST; vector <= VECTOR_DEVICE_LAST; vector++)
        trap_set_handler((uint8_t)vector, on_device);
}
