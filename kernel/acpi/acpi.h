/* ACPI's tables: found, checked, and read as far as the kernel needs them. No AML is run.
 *
 *     acpi_find_rsdp(&memory, &rsdp)            where the loader named none: EBDA and 0xe0000..0xfffff (ACPI 5.2.5.1)
 *     acpi_load(&acpi, &memory, rsdp)           every table we know, whose length and checksum are right
 *     acpi_collect(&acpi, rsdp, buffer, room)   all tables, for user space (abi/boot.h)
 *     acpi_madt_next(&acpi, &offset, &entry)    CPUs, IO-APICs and interrupt overrides, one by one
 *     acpi_hpet(&acpi, &hpet), acpi_power(&acpi, &power), acpi_mcfg_next(...), acpi_sleep_type(...)
 *
 * Firmware lies: whatever does not fit inside its table, or a table whose checksum is wrong, is logged and left
 * out, and the rest is used. Nothing here depends on the machine: physical memory is reached through callbacks,
 * so tests and the fuzzer run this on the host. Tables stay mapped for ever. No locks: boot only.
 */
#pragma once

#include "abi/boot.h"
#include "lib/base/base.h"

/* Read-only views of physical memory. map may fail (NULL). */
struct acpi_memory {
    const void *(*map)(void *context, uint64_t address, uint64_t length);
    void (*unmap)(void *context, const void *view, uint64_t length);
    void *context;
};

struct acpi_header { /* ACPI 5.2.6; tables are not aligned */
    char signature[4];
    uint32_t length;
    uint8_t revision, checksum;
    char oem[6], oem_table[8];
    uint32_t oem_revision;
    char creator[4];
    uint32_t creator_revision;
} PACKED;

struct acpi {
    const struct acpi_memory *memory;
    const struct acpi_header *madt, *hpet, *fadt, *mcfg,
        *dsdt; /* NULL: there is none that can be used */
};

/* What the MADT says, decoded. Other kinds of entry are passed over. */
enum acpi_madt_kind { MADT_CPU, MADT_IOAPIC, MADT_OVERRIDE, MADT_LAPIC_NMI };

struct acpi_madt_entry {
    enum acpi_madt_kind kind;
    union {
        struct {
            uint32_t apic_id;
            bool enabled;
        } cpu;
        struct {
            uint32_t id, gsi_base;
            uint64_t address;
        } ioapic;
        struct {
            uint8_t isa;
            bool level, low;
            uint32_t gsi;
        } override;
        struct {
            uint32_t apic_id; /* UINT32_MAX: of every CPU */
            uint8_t line;     /* LINT0 or LINT1 */
            bool level, low;
        } lapic_nmi;
    };
};

struct acpi_hpet {
    uint64_t address;
};

enum acpi_space { ACPI_MEMORY = 0, ACPI_IO = 1, ACPI_PCI = 2 };

struct acpi_register {
    uint8_t space;    /* enum acpi_space */
    uint64_t address; /* 0: there is none */
};

struct acpi_power {
    struct acpi_register pm1a_control, pm1b_control;
    struct acpi_register pm_timer; /* 24 or 32 bits at 3.579545 MHz */
    bool pm_timer_32;
    struct acpi_register reset;
    uint8_t reset_value;
    struct acpi_register sleep_control; /* reduced hardware */
    bool reduced_hardware;
    uint16_t smi_port; /* 0: ACPI mode is on */
    uint8_t acpi_enable;
};

struct acpi_rtc {
    bool absent;
    uint8_t century; /* its register in CMOS RAM; 0: not said */
};

struct acpi_mcfg {
    uint64_t address;
    uint16_t segment;
    uint8_t first_bus, last_bus;
};

bool acpi_find_rsdp(const struct acpi_memory *memory, uint64_t *rsdp);
/* False: nothing usable at all. */
bool acpi_load(struct acpi *acpi, const struct acpi_memory *memory, uint64_t rsdp);
/* Every table that is whole, copied one behind the other at multiples of ACPI_TABLE_ALIGNMENT, as far as room goes; the
 * length of it all. buffer NULL: only that. */
uint64_t acpi_collect(const struct acpi *acpi, uint64_t rsdp, void *buffer, uint64_t room);
uint64_t acpi_lapic_address(const struct acpi *acpi); /* 0: not said */
/* *offset starts at 0. */
bool acpi_madt_next(const struct acpi *acpi, uint32_t *offset, struct acpi_madt_entry *entry);
bool acpi_hpet(const struct acpi *acpi, struct acpi_hpet *hpet);
bool acpi_power(const struct acpi *acpi, struct acpi_power *power);
void acpi_rtc(const struct acpi *acpi, struct acpi_rtc *rtc); /* zeros: nothing is said */
bool acpi_mcfg_next(const struct acpi *acpi, uint32_t *offset, struct acpi_mcfg *mcfg);
/* The SLP_TYP values of \_S5, found in the DSDT by their usual encoding. */
bool acpi_sleep_type(const struct acpi *acpi, uint8_t *type_a, uint8_t *type_b);
