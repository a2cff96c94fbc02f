// sources: lib/sys/acpi_tables.c sbin/powerd/tables.c
/* The input is what the kernel would have copied, unchecked: lengths that lie, tables of one kind twice, none at all. Whatever
 * the roots name lies inside. */
#include <stdlib.h>
#include <string.h>

#include "sbin/powerd/tables.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static uint64_t read_number(const uint8_t *at, size_t size)
{
    uint64_t value = 0;
    memcpy(&value, at, size);
    return value;
}

static void expect(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    struct tables tables;
    if (!tables_build(&tables, data, length))
        return 0;
    const uint8_t *rsdp = tables_at(&tables, TABLES_BASE, 36);
    expect(rsdp);
    uint64_t root = read_number(rsdp + 24, 8);
    const uint8_t *xsdt = tables_at(&tables, root, 36);
    expect(xsdt);
    uint64_t size = read_number(xsdt + 4, 4);
    expect(tables_at(&tables, root, size));
    for (uint64_t at = 36; at < size; at += 8) {
        uint64_t address = read_number(xsdt + at, 8);
        const uint8_t *table = tables_at(&tables, address, 36);
        expect(table && tables_at(&tables, address, read_number(table + 4, 4)));
    }
    for (uint32_t isa = 0; isa < 16; isa++)
        (void)tables_override(&tables, isa);
    tables_destroy(&tables);
    return 0;
}
