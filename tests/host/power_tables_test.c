// sources: lib/sys/acpi_tables.c sbin/powerd/tables.c
/* ACPI's tables as powerd lays them out for the interpreter. */
#include "sbin/powerd/tables.h"

#include "abi/boot.h"
#include "tests/host/test.h"

static uint8_t blob[4096];
static uint64_t blob_length;

static uint8_t *add(const char *signature, uint32_t length)
{
    uint8_t *at = blob + ALIGN_UP(blob_length, (uint64_t)ACPI_TABLE_ALIGNMENT);
    memcpy(at, signature, 4);
    memcpy(at + 4, &length, 4);
    blob_length = (uint64_t)(at - blob) + length;
    return at;
}

static void build(uint32_t fadt_length)
{
    memset(blob, 0, sizeof(blob));
    blob_length = 0;
    uint8_t *fadt = add("FACP", fadt_length);
    memset(fadt + 36, 0xee, 8); /* FACS and DSDT: where the firmware has them */
    add("DSDT", 77);
    uint8_t *madt = add("APIC", 64);
    memcpy(madt + 44, (const uint8_t[]){2, 10, 0, 9, 9, 0, 0, 0, 13, 0}, 10);
    add("SSDT", 40);
}

static uint64_t read64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

static uint8_t sum(const uint8_t *bytes, uint64_t length)
{
    uint8_t total = 0;
    for (uint64_t i = 0; i < length; i++)
        total = (uint8_t)(total + bytes[i]);
    return total;
}

static void check_roots(const struct tables *tables, uint32_t entries)
{
    const uint8_t *rsdp = tables_at(tables, TABLES_BASE, 36);
    const uint8_t *xsdt = tables_at(tables, read64(rsdp + 24), 36 + 8 * entries);
    CHECK(memcmp(rsdp, "RSD PTR ", 8) == 0);
    CHECK_EQUAL(sum(rsdp, 20), 0);
    CHECK_EQUAL(sum(rsdp, 36), 0);
    CHECK_EQUAL(read64(xsdt + 4) & UINT32_MAX, 36 + 8 * entries);
    CHECK_EQUAL(sum(xsdt, 36 + 8 * entries), 0);
    for (uint32_t i = 0; i < entries; i++)
        CHECK(tables_at(tables, read64(xsdt + 36 + 8 * (uint64_t)i), 36) != NULL);
}

static void check_fadt(const struct tables *tables, uint32_t length)
{
    const uint8_t *fadt = tables_at(tables, TABLES_BASE + tables->first, length);
    CHECK_EQUAL(read64(fadt + 4) & UINT32_MAX, length);
    CHECK_EQUAL(sum(fadt, length), 0);
    CHECK_EQUAL(read64(fadt + 36), 0); /* FACS, DSDT */
    CHECK_EQUAL(read64(fadt + 132), 0);
    const char *dsdt = tables_at(tables, read64(fadt + 140), 77);
    CHECK(dsdt && memcmp(dsdt, "DSDT", 4) == 0);
}

TEST(the_interpreter_finds_everything_through_roots_of_ours)
{
    struct tables tables;
    build(244);
    CHECK(tables_build(&tables, blob, sizeof(blob)));
    CHECK(tables.has_fadt && tables.has_dsdt);
    check_roots(&tables, 3);
    check_fadt(&tables, 244);
    tables_destroy(&tables);
}

TEST(a_short_fadt_is_made_longer)
{
    struct tables tables;
    build(116);
    CHECK(tables_build(&tables, blob, blob_length));
    check_roots(&tables, 3);
    check_fadt(&tables, 148);
    tables_destroy(&tables);
}

TEST(overrides_are_found)
{
    struct tables tables;
    build(244);
    CHECK(tables_build(&tables, blob, blob_length));
    CHECK(tables_override(&tables, 9));
    CHECK(!tables_override(&tables, 10));
    tables_destroy(&tables);
}

TEST(what_lies_outside_is_nothing)
{
    struct tables tables;
    build(244);
    CHECK(tables_build(&tables, blob, blob_length));
    CHECK(!tables_at(&tables, TABLES_BASE - 1, 1));
    CHECK(!tables_at(&tables, 0, 1));
    CHECK(!tables_at(&tables, TABLES_BASE + tables.length, 1));
    CHECK(!tables_at(&tables, TABLES_BASE + 8, UINT64_MAX - 4));
    tables_destroy(&tables);
    CHECK(!tables_build(&tables, blob, 35));
    memset(blob, 0, sizeof(blob));
    CHECK(!tables_build(&tables, blob, sizeof(blob)));
}
