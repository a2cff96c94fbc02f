#include "lib/sys/acpi_tables.h"

#include <string.h>

#include "abi/boot.h"
#include "lib/base/base.h"

#define LENGTH 4u

bool acpi_table_next(const uint8_t *tables, uint64_t length, uint64_t *offset,
                     struct acpi_table *table)
{
    uint64_t at = *offset;
    uint32_t size;
    if (at > length || length - at < ACPI_TABLE_HEADER)
        return false;
    memcpy(&size, tables + at + LENGTH, sizeof(size));
    if (size < ACPI_TABLE_HEADER || size > length - at)
        return false;
    *offset = at + ALIGN_UP((uint64_t)size, ACPI_TABLE_ALIGNMENT);
    *table = (struct acpi_table){tables + at, size};
    return true;
}

bool acpi_table_is(const struct acpi_table *table, const char *signature)
{
    return memcmp(table->bytes, signature, 4) == 0;
}
