// sources: kernel/acpi/tables.c kernel/acpi/decode.c
/* ACPI tables built in a small physical memory, right and wrong. */
#include "kernel/acpi/acpi.h"
#include "kernel/log.h"
#include "tests/host/test.h"

#define MEMORY_SIZE 0x100000u /* the first MiB */
static uint8_t memory[MEMORY_SIZE];
static int views, warnings;

void log_line(enum log_level level, const char *format, ...)
{
    (void)format;
    warnings += level <= LOG_WARNING;
}

/* Each view is a copy of its own, so that the sanitizer sees every access beyond it. */
static const void *map(void *context, uint64_t address, uint64_t length)
{
    (void)context;
    if (address > MEMORY_SIZE || length > MEMORY_SIZE - address)
        return NULL;
    void *view = malloc(length);
    memcpy(view, memory + address, length);
    views++;
    return view;
}

static void unmap(void *context, const void *view, uint64_t length)
{
    (void)context;
    (void)length;
    views--;
    free((void *)(uintptr_t)view);
}

static const struct acpi_memory access = {map, unmap, NULL};
static struct acpi acpi;

static void put(uint64_t at, uint64_t value, unsigned size)
{
    memcpy(memory + at, &value, size);
}

static void fix_sum(uint64_t at, uint32_t length, uint32_t where)
{
    uint8_t sum = 0;
    memory[at + where] = 0;
    for (uint32_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + memory[at + i]);
    memory[at + where] = (uint8_t)-sum;
}

static void table(uint64_t at, const char *signature, uint32_t length)
{
    memcpy(memory + at, signature, 4);
    put(at + 4, length, 4);
    fix_sum(at, length, 9);
}

#define RSDP 0xe0010
#define RSDT 0x80000
#define XSDT 0x80200
#define MADT 0x81000
#define FADT 0x82000
#define DSDT 0x83000
#define HPET 0x84000
#define MCFG 0x85000

static void release(void)
{
    const struct acpi_header *all[] = {acpi.madt, acpi.hpet, acpi.fadt, acpi.mcfg, acpi.dsdt};
    for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
        if (all[i])
            unmap(NULL, all[i], 0);
    }
    memset(&acpi, 0, sizeof(acpi));
    CHECK_EQUAL(views, 0);
}

static void build(void)
{
    memset(memory, 0, sizeof(memory));
    warnings = 0;
    memcpy(memory + RSDP, "RSD PTR ", 8);
    memory[RSDP + 15] = 2;
    put(RSDP + 16, RSDT, 4);
    put(RSDP + 20, 36, 4);
    put(RSDP + 24, XSDT, 8);
    fix_sum(RSDP, 20, 8);
    fix_sum(RSDP, 36, 32);
    put(RSDT + 36, MADT, 4);
    table(RSDT, "RSDT", 40);
    uint64_t list[] = {MADT, FADT, HPET, MCFG};
    memcpy(memory + XSDT + 36, list, sizeof(list));
    table(XSDT, "XSDT", 36 + sizeof(list));
    put(MADT + 36, 0xfee00000, 4);
    const uint8_t entries[] = {
        0,    8,  0,    0,  1,    0,    0,    0, /* CPU, APIC 0 */
        0,    8,  1,    5,  0,    0,    0,    0, /* CPU, APIC 5, disabled */
        9,    16, 0,    0,  0x34, 0x12, 0,    0,    1,    0, 0, 0,
        0,    0,  0,    0,                                         /* CPU, x2APIC 0x1234 */
        1,    12, 2,    0,  0,    0,    0xc0, 0xfe, 0,    0, 0, 0, /* IO-APIC */
        2,    10, 0,    0,  2,    0,    0,    0,    0,    0,       /* ISA 0 is GSI 2, bus default */
        2,    10, 0,    9,  9,    0,    0,    0,    0x0d, 0,       /* ISA 9: level, high */
        2,    10, 0,    11, 11,   0,    0,    0,    0x0f, 0,       /* ISA 11: level, low */
        0x7f, 3,  0,                                               /* unknown */
        4,    6,  0xff, 0,  0,    1,                               /* NMI at LINT1 of all */
    };
    memcpy(memory + MADT + 44, entries, sizeof(entries));
    table(MADT, "APIC", 44 + sizeof(entries));
    put(FADT + 40, DSDT, 4);
    put(FADT + 64, 0x604, 4);
    put(FADT + 76, 0x608, 4);
    put(FADT + 112, BIT(10), 4);
    memory[FADT + 116] = 1;
    put(FADT + 120, 0xcf9, 8);
    memory[FADT + 128] = 6;
    memory[FADT + 108] = 0x32;
    memory[FADT + 109] = 0x20;
    table(FADT, "FACP", 244);
    const uint8_t code[] = {0x10, 0x05, 0x08, '_',  'S',  '5', '_', 0x12,
                            0x06, 0x04, 0x0a, 0x05, 0x00, 0,   0};
    memcpy(memory + DSDT + 36, code, sizeof(code));
    table(DSDT, "DSDT", 36 + sizeof(code));
    put(HPET + 44, 0xfed00000, 8);
    table(HPET, "HPET", 56);
    put(MCFG + 44, 0xb0000000, 8);
    memory[MCFG + 55] = 255;
    table(MCFG, "MCFG", 60);
}

static unsigned count_kind(enum acpi_madt_kind kind)
{
    struct acpi_madt_entry entry;
    uint32_t offset = 0;
    unsigned count = 0;
    while (acpi_madt_next(&acpi, &offset, &entry))
        count += entry.kind == kind;
    return count;
}

TEST(root_is_found_in_bios_area_and_ebda)
{
    uint64_t rsdp = 0;
    build();
    CHECK(acpi_find_rsdp(&access, &rsdp));
    CHECK_EQUAL(rsdp, RSDP);
    put(0x40e, 0x9fc0, 2);
    memcpy(memory + 0x9fc20, memory + RSDP, 36);
    CHECK(acpi_find_rsdp(&access, &rsdp));
    CHECK_EQUAL(rsdp, 0x9fc20);
    memset(memory + RSDP, 0, 36);
    memset(memory + 0x9fc20, 0, 36);
    CHECK(!acpi_find_rsdp(&access, &rsdp));
    CHECK_EQUAL(views, 0);
}

TEST(good_tables_are_read)
{
    struct acpi_madt_entry entry;
    struct acpi_hpet hpet;
    struct acpi_power power;
    struct acpi_mcfg mcfg;
    struct acpi_rtc rtc;
    uint32_t offset = 0;
    uint8_t a = 0xff, b = 0xff;

    build();
    CHECK(acpi_load(&acpi, &access, RSDP));
    CHECK_EQUAL(acpi_lapic_address(&acpi), 0xfee00000);
    acpi_rtc(&acpi, &rtc);
    CHECK(rtc.century == 0x32 && !rtc.absent); /* the FADT is older than that bit */
    CHECK(acpi_madt_next(&acpi, &offset, &entry));
    CHECK(entry.kind == MADT_CPU && entry.cpu.apic_id == 0 && entry.cpu.enabled);
    CHECK(acpi_madt_next(&acpi, &offset, &entry));
    CHECK(entry.kind == MADT_CPU && entry.cpu.apic_id == 5 && !entry.cpu.enabled);
    CHECK(acpi_madt_next(&acpi, &offset, &entry));
    CHECK(entry.kind == MADT_CPU && entry.cpu.apic_id == 0x1234 && entry.cpu.enabled);
    CHECK(acpi_madt_next(&acpi, &offset, &entry));
    CHECK(entry.kind == MADT_IOAPIC && entry.ioapic.address == 0xfec00000 &&
          entry.ioapic.gsi_base == 0);
    CHECK(acpi_madt_next(&acpi, &offset, &entry));
    CHECK(entry.kind == MADT_OVERRIDE && entry.override.isa == 0 && entry.override.gsi == 2);
    CHECK(!entry.override.level && !entry.override.low);
    CHECK(acpi_madt_next(&acpi, &offset, &entry));
    CHECK(entry.override.isa == 9 && entry.override.level && !entry.override.low);
    CHECK(acpi_madt_next(&acpi, &offset, &entry));
    CHECK(entry.override.isa == 11 && entry.override.level && entry.override.low);
    CHECK(acpi_madt_next(&acpi, &offset, &entry));
    CHECK(entry.kind == MADT_LAPIC_NMI && entry.lapic_nmi.apic_id == UINT32_MAX &&
          entry.lapic_nmi.line == 1);
    CHECK(!acpi_madt_next(&acpi, &offset, &entry));
    CHECK(acpi_hpet(&acpi, &hpet));
    CHECK_EQUAL(hpet.address, 0xfed00000);
    CHECK(acpi_power(&acpi, &power));
    CHECK(power.pm1a_control.space == ACPI_IO && power.pm1a_control.address == 0x604);
    CHECK(power.pm_timer.address == 0x608 && !power.pm_timer_32 && power.pm1b_control.address == 0);
    CHECK(power.reset.space == ACPI_IO && power.reset.address == 0xcf9 && power.reset_value == 6);
    offset = 0;
    CHECK(acpi_mcfg_next(&acpi, &offset, &mcfg));
    CHECK(mcfg.address == 0xb0000000 && mcfg.last_bus == 255 && mcfg.segment == 0);
    CHECK(!acpi_mcfg_next(&acpi, &offset, &mcfg));
    CHECK(acpi_sleep_type(&acpi, &a, &b));
    CHECK(a == 5 && b == 0);
    CHECK_EQUAL(warnings, 0);
    release();
}

TEST(revision_0_uses_the_rsdt)
{
    build();
    memory[RSDP + 15] = 0;
    fix_sum(RSDP, 20, 8);
    CHECK(acpi_load(&acpi, &access, RSDP));
    CHECK(acpi.madt && !acpi.hpet && !acpi.fadt && !acpi.dsdt);
    CHECK_EQUAL(warnings, 0);
    release();
}

TEST(a_bad_xsdt_falls_back_to_the_rsdt)
{
    build();
    memory[XSDT + 20] ^= 1;
    CHECK(acpi_load(&acpi, &access, RSDP));
    CHECK(acpi.madt && !acpi.hpet);
    CHECK(warnings > 0);
    release();
}

TEST(a_table_that_lies_is_left_out)
{
    struct acpi_hpet hpet;

    build();
    memory[HPET + 44] ^= 1; /* checksum */
    CHECK(acpi_load(&acpi, &access, RSDP));
    CHECK(acpi.madt && !acpi.hpet && !acpi_hpet(&acpi, &hpet));
    CHECK_EQUAL(warnings, 1);
    release();

    build();
    put(MADT + 4, 20, 4); /* shorter than its header */
    CHECK(acpi_load(&acpi, &access, RSDP));
    CHECK(!acpi.madt && acpi.hpet);
    release();

    build();
    put(MADT + 4, 0xfffffff0, 4); /* beyond memory */
    CHECK(acpi_load(&acpi, &access, RSDP));
    CHECK(!acpi.madt && acpi.hpet);
    release();

    build();
    put(XSDT + 36, UINT64_MAX - 8, 8); /* an address that wraps */
    fix_sum(XSDT, 36 + 32, 9);
    CHECK(acpi_load(&acpi, &access, RSDP));
    CHECK(!acpi.madt && acpi.hpet && warnings == 1);
    release();
}

TEST(whole_tables_are_collected)
{
    static uint8_t all[4096];
    uint64_t length, at = 0;
    char names[64] = "";

    build();
    put(XSDT + 36 + 32, 0x86000, 8);
    put(XSDT + 36 + 40, 0x87000, 8);
    table(XSDT, "XSDT", 36 + 48);
    table(0x86000, "SSDT", 41);
    table(0x87000, "BERT", 48);
    memory[0x87000 + 40]++; /* its checksum is wrong now */
    CHECK(acpi_load(&acpi, &access, RSDP));
    length = acpi_collect(&acpi, RSDP, NULL, sizeof(all));
    CHECK(length > 0 && length < sizeof(all));
    CHECK_EQUAL(acpi_collect(&acpi, RSDP, all, length), length);
    while (at < length) {
        struct acpi_header header;
        memcpy(&header, all + at, sizeof(header));
        strncat(names, header.signature, 4);
        at = ALIGN_UP(at + header.length, ACPI_TABLE_ALIGNMENT);
    }
    CHECK_STRING(names, "FACPDSDTAPICHPETMCFGSSDT");
    /* What does not fit is left out. */
    memset(all, 0, sizeof(all));
    CHECK_EQUAL(acpi_collect(&acpi, RSDP, all, 250), 244);
    CHECK_EQUAL(all[250], 0);
    release();
}

TEST(a_bad_madt_entry_ends_or_is_skipped)
{
    build();
    memory[MADT + 44 + 1] =
        4; /* a CPU entry too short for one: skipped, the bytes behind it misread */
    fix_sum(MADT, (uint32_t)memory[MADT + 4], 9);
    CHECK(acpi_load(&acpi, &access, RSDP));
    CHECK(count_kind(MADT_IOAPIC) <= 1);
    CHECK(warnings > 0);
    release();

    build();
    memory[MADT + 44 + 8 + 1] = 0; /* would never end */
    fix_sum(MADT, (uint32_t)memory[MADT + 4], 9);
    CHECK(acpi_load(&acpi, &access, RSDP));
    CHECK_EQUAL(count_kind(MADT_CPU), 1);
    release();
}

TEST(sleep_type_wants_the_usual_encoding)
{
    uint8_t a, b;

    build();
    memory[DSDT + 36 + 7] = 0x13; /* not a package */
    fix_sum(DSDT, 36 + 15, 9);
    CHECK(acpi_load(&acpi, &access, RSDP));
    CHECK(!acpi_sleep_type(&acpi, &a, &b));
    release();
}

TEST(no_root_pointer_is_an_error)
{
    build();
    memory[RSDP] = 'X';
    CHECK(!acpi_load(&acpi, &access, RSDP));
    CHECK(!acpi_load(&acpi, &access, 0));
    CHECK(!acpi_load(&acpi, &access, UINT64_MAX));
    CHECK_EQUAL(views, 0);
}
