/* ACPI's tables as initd gives them ("give acpi"): copies, one behind the other (abi/boot.h). The kernel has checked lengths and sums; what
 * is in them is the firmware's word.
 *
 *     const uint8_t *tables = acpi_tables_map(&length);          once; NULL: there are none, or they were not given
 *     while (acpi_table_next(tables, length, &offset, &table))   offset begins at 0
 *         if (acpi_table_is(&table, "DMAR")) ...
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define ACPI_TABLE_HEADER 36u

struct acpi_table {
    const uint8_t *bytes;
    uint32_t length; /* ACPI_TABLE_HEADER at least */
};

/* Mapped for good, to be read. */
const uint8_t *acpi_tables_map(uint64_t *length);

/* The table at or behind *offset, which moves behind it; false: the end. */
bool acpi_table_next(const uint8_t *tables, uint64_t length, uint64_t *offset,
                     struct acpi_table *table);

/* signature: 4 letters */
bool acpi_table_is(const struct acpi_table *table, const char *signature);
