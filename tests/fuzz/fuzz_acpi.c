// sources: kernel/acpi/tables.c kernel/acpi/decode.c
/* The input is physical memory from 0xe0000 on, with a root pointer at its start. So that the fuzzer need not
 * guess checksums, every table's is corrected the moment it is mapped whole. */
#include <stdlib.h>
#include <string.h>

#include "kernel/acpi/acpi.h"
#include "kernel/log.h"

#define BASE 0xe0000u
#define ROOM 0x10000u

static const uint8_t *input;
static size_t input_length;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

void log_line(enum log_level level, const char *format, ...)
{
    (void)level;
    (void)format;
}

static void correct(uint8_t *view, uint64_t length)
{
    uint8_t sum = 0;
    unsigned where = length == 20 ? 8 : length == 36 && memcmp(view, "RSD ", 4) == 0 ? 32 : 9;

    for (uint64_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + view[i]);
    view[where] = (uint8_t)(view[where] - sum);
}

static const void *map(void *context, uint64_t address, uint64_t length)
{
    (void)context;
    if (address < BASE || address - BASE > input_length || length > input_length - (address - BASE))
        return NULL;
    uint8_t *view = malloc(length ? length : 1);
    memcpy(view, input + (address - BASE), length);
    if (length >= 20)
        correct(view, length);
    return view;
}

static void unmap(void *context, const void *view, uint64_t length)
{
    (void)context;
    (void)length;
    free((void *)(uintptr_t)view);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    static const struct acpi_memory memory = {map, unmap, NULL};
    struct acpi acpi;
    struct acpi_madt_entry entry;
    struct acpi_hpet hpet;
    struct acpi_power power;
    struct acpi_mcfg mcfg;
    uint64_t rsdp = BASE;
    uint32_t offset = 0;
    uint8_t a, b;

    input = data;
    input_length = length;
    (void)acpi_find_rsdp(&memory, &rsdp);
    if (!acpi_load(&acpi, &memory, rsdp))
        return 0;
    (void)acpi_lapic_address(&acpi);
    while (acpi_madt_next(&acpi, &offset, &entry))
        ;
    (void)acpi_hpet(&acpi, &hpet);
    (void)acpi_power(&acpi, &power);
    offset = 0;
    while (acpi_mcfg_next(&acpi, &offset, &mcfg))
        ;
    (void)acpi_sleep_type(&acpi, &a, &b);
    uint64_t needed = acpi_collect(&acpi, rsdp, NULL, ROOM);
    void *copies = malloc(needed + 1);
    if (acpi_collect(&acpi, rsdp, copies, needed) > needed)
        abort();
    free(copies);
    const struct acpi_header *all[] = {acpi.madt, acpi.hpet, acpi.fadt, acpi.mcfg, acpi.dsdt};
    for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
        free((void *)(uintptr_t)all[i]);
    return 0;
}
