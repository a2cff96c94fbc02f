/* Root pointer, XSDT, and the tables behind them. ACPI 5.2.5.3, 5.2.6, 5.2.8, 5.2.9. */
#include "sbin/powerd/tables.h"

#include <stdlib.h>
#include <string.h>

#include "abi/boot.h"
#include "lib/sys/acpi_tables.h"

#define RSDP_SIZE   36u
#define FADT_LEAST  148u /* where X_DSDT ends: shorter ones, of ACPI 1.0, are made longer */
#define FADT_FACS   36u
#define FADT_DSDT   40u
#define FADT_X_FACS 132u
#define FADT_X_DSDT 140u

#define MADT_ENTRIES  44u
#define MADT_OVERRIDE 2u

static void sum_correct(uint8_t *bytes, uint32_t length, uint32_t where)
{
    uint8_t sum = 0;
    bytes[where] = 0;
    for (uint32_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + bytes[i]);
    bytes[where] = (uint8_t)-sum;
}

static void put(uint8_t *to, uint64_t value, size_t size)
{
    memcpy(to, &value, size);
}

/* Without a FACS: the lock and the waking vector in it are the firmware's memory, which nobody here has. */
static void fadt_correct(uint8_t *fadt, uint32_t length, uint64_t dsdt)
{
    put(fadt + FADT_FACS, 0, 4);
    put(fadt + FADT_DSDT, 0, 4);
    put(fadt + FADT_X_FACS, 0, 8);
    put(fadt + FADT_X_DSDT, dsdt, 8);
    put(fadt + 4, length, 4);
    sum_correct(fadt, length, 9);
}

static void roots_write(struct tables *tables, uint32_t entries)
{
    uint8_t *rsdp = tables->bytes, *xsdt = tables->bytes + ALIGN_UP(RSDP_SIZE, 16u);
    uint32_t length = ACPI_TABLE_HEADER + entries * 8;
    memcpy(rsdp, "RSD PTR ", 8);
    rsdp[15] = 2;
    put(rsdp + 20, RSDP_SIZE, 4);
    put(rsdp + 24, TABLES_BASE + (uint64_t)(xsdt - rsdp), 8);
    sum_correct(rsdp, 20, 8);
    sum_correct(rsdp, RSDP_SIZE, 32);
    memcpy(xsdt, "XSDT", 4);
    put(xsdt + 4, length, 4);
    xsdt[8] = 1;
    sum_correct(xsdt, length, 9);
}

/* Copies every table behind the roots; the DSDT is reached through the FADT, the others through the XSDT. */
static void tables_copy(struct tables *tables, const uint8_t *bytes, uint64_t length)
{
    uint64_t at = tables->first;
    uint8_t *entry = tables->bytes + ALIGN_UP(RSDP_SIZE, 16u) + ACPI_TABLE_HEADER, *fadt = NULL;
    uint64_t offset = 0, dsdt = 0;
    uint32_t entries = 0, fadt_length = 0;
    struct acpi_table found;
    while (acpi_table_next(bytes, length, &offset, &found)) {
        uint8_t *copy = tables->bytes + at;
        uint32_t size = found.length;
        memcpy(copy, found.bytes, size);
        if (acpi_table_is(&found, "FACP") && !fadt) {
            fadt = copy;
            fadt_length = size = MAX(size, FADT_LEAST);
        }
        if (acpi_table_is(&found, "DSDT"))
            dsdt = dsdt ? dsdt : TABLES_BASE + at;
        else
            put(entry + 8 * entries++, TABLES_BASE + at, 8);
        at += ALIGN_UP((uint64_t)size, ACPI_TABLE_ALIGNMENT);
    }
    if (fadt)
        fadt_correct(fadt, fadt_length, dsdt);
    tables->has_fadt = fadt;
    tables->has_dsdt = dsdt;
    roots_write(tables, entries);
}

bool tables_build(struct tables *tables, const void *bytes, uint64_t length)
{
    uint64_t offset = 0;
    *tables = (struct tables){0};
    struct acpi_table found;
    while (acpi_table_next(bytes, length, &offset, &found))
        tables->count++;
    tables->first =
        ALIGN_UP(RSDP_SIZE, 16u) + ALIGN_UP(ACPI_TABLE_HEADER + tables->count * 8u, 16u);
    tables->length = tables->first + ALIGN_UP(offset, 16u) + ALIGN_UP(FADT_LEAST, 16u);
    tables->bytes = tables->count ? calloc(1, tables->length) : NULL;
    if (!tables->bytes)
        return false;
    tables_copy(tables, bytes, length);
    return true;
}

void tables_destroy(struct tables *tables)
{
    free(tables->bytes);
    *tables = (struct tables){0};
}

void *tables_at(const struct tables *tables, uint64_t address, uint64_t length)
{
    uint64_t offset = address - TABLES_BASE;
    if (address < TABLES_BASE || offset > tables->length || length > tables->length - offset)
        return NULL;
    return tables->bytes + offset;
}

/* ACPI 5.2.12.5 */
static bool madt_overrides(struct acpi_table madt, uint32_t isa)
{
    uint32_t at = MADT_ENTRIES;
    while (at + 2 <= madt.length && madt.bytes[at + 1] >= 2) {
        if (madt.bytes[at] == MADT_OVERRIDE && at + 4 <= madt.length && madt.bytes[at + 3] == isa)
            return true;
        at += madt.bytes[at + 1];
    }
    return false;
}

bool tables_override(const struct tables *tables, uint32_t isa)
{
    uint64_t offset = tables->first;
    struct acpi_table found;
    while (acpi_table_next(tables->bytes, tables->length, &offset, &found))
        if (acpi_table_is(&found, "APIC") && madt_overrides(found, isa))
            return true;
    return false;
}
