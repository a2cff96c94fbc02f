/* Reading what acpi_load found: MADT, HPET, FADT, MCFG, and \_S5 of the DSDT. See acpi.h.
 *
 * Fields are read by their offset in the specification, and only where the table is long enough to have them:
 * older revisions are shorter.
 */
#include "kernel/acpi/acpi.h"

#include "kernel/log.h"
#include "lib/base/string.h"

/* `size` bytes at `offset`, little endian; 0 where the table ends before. */
static uint64_t field(const struct acpi_header *table, uint32_t offset, uint32_t size)
{
    uint64_t value = 0;

    if (offset + size <= table->length)
        memcpy(&value, (const uint8_t *)table + offset, size);
    return value;
}

/* --- MADT (ACPI 5.2.12) ------------------------------------------------------------------------------ */

#define MADT_ENTRIES 44u

enum {
    TYPE_LAPIC = 0,
    TYPE_IOAPIC = 1,
    TYPE_OVERRIDE = 2,
    TYPE_LAPIC_NMI = 4,
    TYPE_LAPIC_ADDRESS = 5,
    TYPE_X2APIC = 9,
    TYPE_X2APIC_NMI = 10,
};

#define CPU_ENABLED 0x1u
#define ALL_CPUS    0xffu

/* The next entry's offset behind *offset, whatever its type, if it lies wholly inside the table. */
static bool next_raw(const struct acpi_header *madt, uint32_t *offset, uint32_t *entry)
{
    static const uint8_t needed[] = {
        [TYPE_LAPIC] = 8,          [TYPE_IOAPIC] = 12, [TYPE_OVERRIDE] = 10,  [TYPE_LAPIC_NMI] = 6,
        [TYPE_LAPIC_ADDRESS] = 12, [TYPE_X2APIC] = 16, [TYPE_X2APIC_NMI] = 12};

    for (;;) {
        uint32_t at = *offset < MADT_ENTRIES ? MADT_ENTRIES : *offset;
        uint8_t type = (uint8_t)field(madt, at, 1), length = (uint8_t)field(madt, at + 1, 1);

        if (at >= madt->length)
            return false;
        if (length < 2 || at + length > madt->length) {
            log_warning("acpi: MADT entry at %u has length %u: the rest is left out", at, length);
            *offset = madt->length;
            return false;
        }
        *offset = at + length;
        *entry = at;
        if (type >= ARRAY_SIZE(needed) || length >= needed[type])
            return true;
        log_warning("acpi: MADT entry at %u of type %u has length %u: left out", at, type, length);
    }
}

/* MPS INTI flags: polarity in bits 0-1, trigger in bits 2-3; 0: as the bus has it, which for ISA is edge, high. */
static bool flags_low(uint64_t flags)
{
    return (flags & 3) == 3;
}

static bool flags_level(uint64_t flags)
{
    return (flags >> 2 & 3) == 3;
}

bool acpi_madt_next(const struct acpi *acpi, uint32_t *offset, struct acpi_madt_entry *entry)
{
    const struct acpi_header *madt = acpi->madt;
    uint32_t at;

    while (madt && next_raw(madt, offset, &at)) {
        memset(entry, 0, sizeof(*entry));
        switch (field(madt, at, 1)) {
        case TYPE_LAPIC:
            entry->kind = MADT_CPU;
            entry->cpu.apic_id = (uint32_t)field(madt, at + 3, 1);
            entry->cpu.enabled = field(madt, at + 4, 4) & CPU_ENABLED;
            return true;
        case TYPE_X2APIC:
            entry->kind = MADT_CPU;
            entry->cpu.apic_id = (uint32_t)field(madt, at + 4, 4);
            entry->cpu.enabled = field(madt, at + 8, 4) & CPU_ENABLED;
            return true;
        case TYPE_IOAPIC:
            entry->kind = MADT_IOAPIC;
            entry->ioapic.id = (uint32_t)field(madt, at + 2, 1);
            entry->ioapic.address = field(madt, at + 4, 4);
            entry->ioapic.gsi_base = (uint32_t)field(madt, at + 8, 4);
            return true;
        case TYPE_OVERRIDE:
            entry->kind = MADT_OVERRIDE;
            entry->override.isa = (uint8_t)field(madt, at + 3, 1);
            entry->override.gsi = (uint32_t)field(madt, at + 4, 4);
            entry->override.low = flags_low(field(madt, at + 8, 2));
            entry->override.level = flags_level(field(madt, at + 8, 2));
            return true;
        case TYPE_LAPIC_NMI: {
            uint32_t id = (uint32_t)field(madt, at + 2, 1);

            entry->kind =
                MADT_LAPIC_NMI; /* by ACPI's number of the CPU: only "all" is told apart */
            entry->lapic_nmi.apic_id = id == ALL_CPUS ? UINT32_MAX : id;
            entry->lapic_nmi.low = flags_low(field(madt, at + 3, 2));
            entry->lapic_nmi.level = flags_level(field(madt, at + 3, 2));
            entry->lapic_nmi.line = (uint8_t)field(madt, at + 5, 1);
            return true;
        }
        default:
            break;
        }
    }
    return false;
}

uint64_t acpi_lapic_address(const struct acpi *acpi)
{
    uint64_t address;
    uint32_t offset = 0, at;

    if (!acpi->madt)
        return 0;
    address = field(acpi->madt, 36, 4);
    while (next_raw(acpi->madt, &offset, &at)) {
        if (field(acpi->madt, at, 1) == TYPE_LAPIC_ADDRESS)
            address = field(acpi->madt, at + 4, 8);
    }
    return address;
}

/* --- The others -------------------------------------------------------------------------------------- */

/* A generic address structure (ACPI 5.2.3.2): space, width, offset, access size, address. */
static struct acpi_register register_at(const struct acpi_header *table, uint32_t offset)
{
    struct acpi_register reg = {.space = (uint8_t)field(table, offset, 1),
                                .address = field(table, offset + 4, 8)};

    if (reg.space > ACPI_PCI || (reg.space == ACPI_IO && reg.address > 0xffff))
        reg.address = 0;
    return reg;
}

bool acpi_hpet(const struct acpi *acpi, struct acpi_hpet *hpet)
{
    struct acpi_register base;

    if (!acpi->hpet)
        return false;
    base = register_at(acpi->hpet, 40);
    if (base.space != ACPI_MEMORY || base.address == 0 || base.address % 8 != 0) {
        log_warning("acpi: HPET at no usable address");
        return false;
    }
    hpet->address = base.address;
    return true;
}

/* A register that has an old port field and a newer general one. */
static struct acpi_register either(const struct acpi_header *fadt, uint32_t general, uint32_t port)
{
    struct acpi_register reg = register_at(fadt, general);

    if (reg.address == 0) {
        reg.space = ACPI_IO;
        reg.address = field(fadt, port, 4) & 0xffff;
    }
    return reg;
}

bool acpi_power(const struct acpi *acpi, struct acpi_power *power)
{
    const struct acpi_header *fadt = acpi->fadt;
    uint32_t flags;

    memset(power, 0, sizeof(*power));
    if (!fadt)
        return false;
    flags = (uint32_t)field(fadt, 112, 4);
    power->reduced_hardware = flags & BIT(20);
    if (flags & BIT(10)) {
        power->reset = register_at(fadt, 116);
        power->reset_value = (uint8_t)field(fadt, 128, 1);
    }
    if (power->reduced_hardware) {
        power->sleep_control = register_at(fadt, 244);
        return true;
    }
    power->pm1a_control = either(fadt, 172, 64);
    power->pm1b_control = either(fadt, 184, 68);
    power->pm_timer = either(fadt, 208, 76);
    power->pm_timer_32 = flags & BIT(8);
    power->smi_port = (uint16_t)field(fadt, 48, 4);
    power->acpi_enable = (uint8_t)field(fadt, 52, 1);
    return true;
}

/* Bit 5 of IAPC_BOOT_ARCH is ACPI 5.0's. */
void acpi_rtc(const struct acpi *acpi, struct acpi_rtc *rtc)
{
    const struct acpi_header *fadt = acpi->fadt;

    *rtc = (struct acpi_rtc){.century = 0};
    if (!fadt)
        return;
    rtc->century = (uint8_t)field(fadt, 108, 1);
    rtc->absent = fadt->revision >= 5 && field(fadt, 109, 2) & BIT(5);
}

bool acpi_mcfg_next(const struct acpi *acpi, uint32_t *offset, struct acpi_mcfg *mcfg)
{
    uint32_t at = *offset < 44 ? 44 : *offset;

    if (!acpi->mcfg || at + 16 > acpi->mcfg->length)
        return false;
    mcfg->address = field(acpi->mcfg, at, 8);
    mcfg->segment = (uint16_t)field(acpi->mcfg, at + 8, 2);
    mcfg->first_bus = (uint8_t)field(acpi->mcfg, at + 10, 1);
    mcfg->last_bus = (uint8_t)field(acpi->mcfg, at + 11, 1);
    *offset = at + 16;
    return true;
}

/* One element of the package: a byte constant (BytePrefix n), Zero or One (ACPI 20.2.3). */
static bool element(const struct acpi_header *dsdt, uint32_t *at, uint8_t *value)
{
    uint8_t first = (uint8_t)field(dsdt, *at, 1);

    if (*at >= dsdt->length)
        return false;
    (*at)++;
    if (first == 0x00 || first == 0x01) {
        *value = first;
        return true;
    }
    if (first != 0x0a || *at >= dsdt->length)
        return false;
    *value = (uint8_t)field(dsdt, (*at)++, 1);
    return true;
}

/* Name (_S5, Package () {a, b, ...}) is 08 '_S5_' 12 PkgLength NumElements elements (ACPI 20.2.5.1, 20.2.5.4). The
 * name may be written with a leading backslash. What looks different is not \_S5. */
bool acpi_sleep_type(const struct acpi *acpi, uint8_t *type_a, uint8_t *type_b)
{
    const struct acpi_header *dsdt = acpi->dsdt;

    for (uint32_t i = sizeof(*dsdt) + 2; dsdt && i + 8 <= dsdt->length; i++) {
        uint32_t at = i + 4;

        if (memcmp((const uint8_t *)dsdt + i, "_S5_", 4) != 0)
            continue;
        if (field(dsdt, i - 1, 1) != 0x08 &&
            (field(dsdt, i - 1, 1) != '\\' || field(dsdt, i - 2, 1) != 0x08))
            continue;
        if (field(dsdt, at++, 1) != 0x12)
            continue;
        at += 1 + (uint32_t)(field(dsdt, at, 1) >> 6); /* PkgLength: 1 to 4 bytes */
        if (at >= dsdt->length || field(dsdt, at++, 1) < 1)
            continue;
        if (!element(dsdt, &at, type_a))
            continue;
        if (!element(dsdt, &at, type_b))
            *type_b = 0;
        return true;
    }
    return false;
}
