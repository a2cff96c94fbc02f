/* The IO-APICs: lines of devices to vectors of CPUs (82093AA datasheet; SDM volume 3, 10.8). Which vector of which CPU
 * is decided in interrupts.c; here are the registers.
 *
 * Lock: ioapic_lock (RANK_ARCH): the index and data registers, the entries.
 */
#include "kernel/x86_64/ioapic.h"

#include "kernel/irq.h"
#include "kernel/log.h"
#include "kernel/vmm/heap.h"
#include "kernel/x86_64/machine.h"
#include "kernel/x86_64/port.h"

#define INDEX   0x00u
#define WINDOW  0x10u
#define VERSION 0x01u
#define ENTRY   0x10u /* + 2 * line: low half */

#define ENTRY_LOW 0x2000u
#define ENTRY_REMOTE \
    0x4000u /* read-only: a level interrupt was sent and its EOI has not come back */
#define ENTRY_LEVEL  0x8000u
#define ENTRY_MASKED 0x10000u

struct entry {
    bool bound;
    uint32_t low; /* the register, as it was written last */
};

struct ioapic {
    volatile uint32_t *registers;
    uint64_t address;
    uint32_t gsi_base, count;
    struct entry *entries;
};

static struct lock ioapic_lock = LOCK_INIT(RANK_ARCH, "ioapic");
static struct ioapic *ioapics;
static uint32_t ioapic_count;

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

static struct entry *entry_of(const struct ioapic *ioapic, uint32_t gsi)
{
    return &ioapic->entries[gsi - ioapic->gsi_base];
}

bool ioapic_has(uint32_t gsi)
{
    return find(gsi) != NULL;
}

bool ioapic_reserved(uint64_t base, uint64_t length)
{
    for (uint32_t i = 0; i < ioapic_count; i++)
        if (ioapics[i].address < base + length && base < ioapics[i].address + PAGE_SIZE)
            return true;
    return false;
}

void ioapic_set_masked(uint32_t gsi, bool masked)
{
    struct ioapic *ioapic = find(gsi);

    lock_acquire(&ioapic_lock);
    struct entry *entry = entry_of(ioapic, gsi);
    if (entry->bound) {
        entry->low = (entry->low & ~ENTRY_MASKED) | (masked ? ENTRY_MASKED : 0);
        ioapic_write(ioapic, ENTRY + 2 * (gsi - ioapic->gsi_base), entry->low);
    }
    lock_release(&ioapic_lock);
}

void ioapic_bind(const struct irq_line *line, uint32_t apic_id)
{
    struct ioapic *ioapic = find(line->number);
    uint32_t at = ENTRY + 2 * (line->number - ioapic->gsi_base);

    lock_acquire(&ioapic_lock);
    struct entry *entry = entry_of(ioapic, line->number);
    /* The EOI of what its last driver still had under way names another vector, and would never be taken. */
    if (ioapic_read(ioapic, at) & ENTRY_REMOTE)
        ioapic_write(ioapic, at, ENTRY_MASKED);
    entry->bound = true;
    entry->low =
        ENTRY_MASKED | line->vector | (line->level ? ENTRY_LEVEL : 0) | (line->low ? ENTRY_LOW : 0);
    ioapic_write(ioapic, at, entry->low);
    ioapic_write(ioapic, at + 1, apic_id << 24);
    lock_release(&ioapic_lock);
}

/* Vector and trigger stay: an EOI under way finds its entry. And QEMU does not look at a line again when its entry changes
 * from edge to level: what asks in between would not be heard. */
void ioapic_unbind(uint32_t gsi)
{
    struct ioapic *ioapic = find(gsi);

    lock_acquire(&ioapic_lock);
    struct entry *entry = entry_of(ioapic, gsi);
    entry->bound = false;
    entry->low |= ENTRY_MASKED;
    ioapic_write(ioapic, ENTRY + 2 * (gsi - ioapic->gsi_base), entry->low);
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
    ioapic->address = address & ~(uint64_t)(PAGE_SIZE - 1);
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
        ioapic_write(ioapic, ENTRY + 2 * i + 1, 0);
    }
    ioapic_count++;
    log_info("ioapic: GSI %u to %u", gsi_base, gsi_base + ioapic->count - 1);
}

/* Masked, and with the trigger it will most likely be bound with: see ioapic_unbind. */
static void set_triggers(const struct routes *routes)
{
    for (uint32_t i = 0; i < ioapic_count; i++) {
        for (uint32_t n = 0; n < ioapics[i].count; n++) {
            bool level = ioapics[i].gsi_base + n >= ISA_LINES;

            for (uint32_t isa = 0; isa < ISA_LINES; isa++)
                level |= routes->isa[isa].level && routes->isa[isa].gsi == ioapics[i].gsi_base + n;
            if (level)
                ioapics[i].entries[n].low |= ENTRY_LEVEL;
            ioapic_write(&ioapics[i], ENTRY + 2 * n, ioapics[i].entries[n].low);
        }
    }
}

void ioapic_start(const struct acpi *acpi, struct routes *routes)
{
    struct acpi_madt_entry entry;
    uint32_t offset = 0, listed = 0;

    routing_init(routes);
    while (acpi_madt_next(acpi, &offset, &entry))
        listed += entry.kind == MADT_IOAPIC;
    ioapics = listed ? heap_alloc(listed * sizeof(*ioapics)) : NULL;
    for (offset = 0; acpi_madt_next(acpi, &offset, &entry);) {
        if (entry.kind == MADT_IOAPIC && ioapics)
            add(entry.ioapic.address, entry.ioapic.gsi_base);
        else if (entry.kind == MADT_OVERRIDE &&
                 !routing_override(routes, entry.override.isa, entry.override.gsi,
                                   entry.override.level, entry.override.low))
            log_warning("ioapic: an override of ISA line %u: left out", entry.override.isa);
    }
    set_triggers(routes);
    if (ioapic_count == 0)
        log_warning("ioapic: none: devices have no interrupt lines");
}
