/* Finding the tables: RSDP, then XSDT or RSDT, then what they list. See acpi.h. */
#include "kernel/acpi/acpi.h"

#include "kernel/log.h"
#include "lib/base/string.h"

#define RSDP_SIZE_1    20u /* revision 0 */
#define RSDP_SIZE_2    36u
#define TABLE_SIZE_MAX (16u << 20)
#define BIOS_AREA      0xe0000u
#define BIOS_AREA_SIZE 0x20000u
#define EBDA_POINTER   0x40eu
#define EBDA_SIZE      1024u

struct rsdp {
    char signature[8];
    uint8_t checksum;
    char oem[6];
    uint8_t revision;
    uint32_t rsdt;
    uint32_t length; /* from here on: revision 2 */
    uint64_t xsdt;
    uint8_t checksum_all;
    uint8_t reserved[3];
} PACKED;

static bool sum_is_zero(const void *bytes, uint32_t length)
{
    uint8_t sum = 0;

    for (uint32_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + ((const uint8_t *)bytes)[i]);
    return sum == 0;
}

static const void *map(const struct acpi_memory *memory, uint64_t address, uint64_t length)
{
    if (address == 0 || address + length < address)
        return NULL;
    return memory->map(memory->context, address, length);
}

static void unmap(const struct acpi_memory *memory, const void *view, uint64_t length)
{
    if (view)
        memory->unmap(memory->context, view, length);
}

static bool is_rsdp(const void *bytes)
{
    return memcmp(bytes, "RSD PTR ", 8) == 0 && sum_is_zero(bytes, RSDP_SIZE_1);
}

static bool search(const struct acpi_memory *memory, uint64_t base, uint64_t length, uint64_t *rsdp)
{
    const uint8_t *view = map(memory, base, length);
    bool found = false;

    for (uint64_t i = 0; view && !found && i + RSDP_SIZE_1 <= length; i += 16) {
        found = is_rsdp(view + i);
        if (found)
            *rsdp = base + i;
    }
    unmap(memory, view, length);
    return found;
}

bool acpi_find_rsdp(const struct acpi_memory *memory, uint64_t *rsdp)
{
    const uint8_t *pointer = map(memory, EBDA_POINTER, 2);
    uint64_t ebda = pointer ? (uint64_t)(pointer[0] | pointer[1] << 8) << 4 : 0;

    unmap(memory, pointer, 2);
    if (ebda >= 0x400 && ebda <= 0xa0000 - EBDA_SIZE && search(memory, ebda, EBDA_SIZE, rsdp))
        return true;
    return search(memory, BIOS_AREA, BIOS_AREA_SIZE, rsdp);
}

/* A whole table whose length and checksum are right, mapped; NULL, with the reason logged. */
static const struct acpi_header *load_table(const struct acpi_memory *memory, uint64_t address)
{
    const struct acpi_header *header = map(memory, address, sizeof(*header));
    uint32_t length;
    char name[5] = "";

    if (!header) {
        log_warning("acpi: no table can be read at 0x%lx", address);
        return NULL;
    }
    length = header->length;
    for (unsigned i = 0; i < 4; i++)
        name[i] =
            header->signature[i] >= ' ' && header->signature[i] <= '~' ? header->signature[i] : '?';
    unmap(memory, header, sizeof(*header));
    if (length < sizeof(*header) || length > TABLE_SIZE_MAX) {
        log_warning("acpi: %s at 0x%lx has length %u: left out", name, address, length);
        return NULL;
    }
    header = map(memory, address, length);
    if (!header) {
        log_warning("acpi: %s at 0x%lx cannot be read", name, address);
        return NULL;
    }
    if (header->length != length || !sum_is_zero(header, length)) {
        log_warning("acpi: %s at 0x%lx has a wrong checksum: left out", name, address);
        unmap(memory, header, length);
        return NULL;
    }
    return header;
}

static const struct {
    char signature[5];
    uint16_t place;
} wanted[] = {
    {"APIC", offsetof(struct acpi, madt)},
    {"HPET", offsetof(struct acpi, hpet)},
    {"FACP", offsetof(struct acpi, fadt)},
    {"MCFG", offsetof(struct acpi, mcfg)},
};

static void keep(void *context, uint64_t address)
{
    struct acpi *acpi = context;
    const struct acpi_header **place = NULL;
    const struct acpi_header *table = map(acpi->memory, address, sizeof(*table));

    for (unsigned i = 0; table && i < ARRAY_SIZE(wanted); i++) {
        if (memcmp(table->signature, wanted[i].signature, 4) == 0)
            place = (const struct acpi_header **)((char *)acpi + wanted[i].place);
    }
    unmap(acpi->memory, table, sizeof(*table));
    if (!table)
        log_warning("acpi: no table can be read at 0x%lx", address);
    if (place && !*place) /* of several of one kind, the first is meant */
        *place = load_table(acpi->memory, address);
}

typedef void table_visitor(void *context, uint64_t address);

/* The root's entries are addresses of 4 (RSDT) or 8 (XSDT) bytes behind its header. */
static bool walk_root(const struct acpi_memory *memory, uint64_t address, const char *signature,
                      unsigned size, table_visitor *visit, void *context)
{
    const struct acpi_header *root = load_table(memory, address);

    if (!root)
        return false;
    if (memcmp(root->signature, signature, 4) != 0) {
        log_warning("acpi: no %s at 0x%lx", signature, address);
        unmap(memory, root, root->length);
        return false;
    }
    const uint8_t *entries = (const uint8_t *)root + sizeof(*root);
    uint32_t count = (root->length - (uint32_t)sizeof(*root)) / size;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t entry = 0;

        memcpy(&entry, entries + (size_t)i * size, size);
        visit(context, entry);
    }
    unmap(memory, root, root->length);
    return true;
}

static bool read_rsdp(const struct acpi_memory *memory, uint64_t address, struct rsdp *rsdp)
{
    const void *view = map(memory, address, RSDP_SIZE_1);

    memset(rsdp, 0, sizeof(*rsdp));
    if (!view || !is_rsdp(view)) {
        log_warning("acpi: no root pointer at 0x%lx", address);
        unmap(memory, view, RSDP_SIZE_1);
        return false;
    }
    memcpy(rsdp, view, RSDP_SIZE_1);
    unmap(memory, view, RSDP_SIZE_1);
    if (rsdp->revision >= 2) {
        view = map(memory, address, RSDP_SIZE_2);
        if (view && sum_is_zero(view, RSDP_SIZE_2))
            memcpy(rsdp, view, RSDP_SIZE_2);
        else
            log_warning(
                "acpi: the root pointer's second part has a wrong checksum: the first is used");
        unmap(memory, view, RSDP_SIZE_2);
    }
    return true;
}

static bool walk_tables(const struct acpi_memory *memory, uint64_t address, table_visitor *visit,
                        void *context)
{
    struct rsdp rsdp;

    if (!read_rsdp(memory, address, &rsdp))
        return false;
    if (rsdp.xsdt != 0 && walk_root(memory, rsdp.xsdt, "XSDT", 8, visit, context))
        return true;
    if (rsdp.rsdt != 0 && walk_root(memory, rsdp.rsdt, "RSDT", 4, visit, context))
        return true;
    log_warning("acpi: neither XSDT nor RSDT");
    return false;
}

/* 0: there is none. */
static uint64_t dsdt_address(const struct acpi_header *fadt)
{
    uint64_t address = 0;
    uint32_t low = 0;

    if (fadt->length >= 148) /* X_DSDT */
        memcpy(&address, (const uint8_t *)fadt + 140, 8);
    if (fadt->length >= 44)
        memcpy(&low, (const uint8_t *)fadt + 40, 4);
    return address ? address : low;
}

static void load_dsdt(struct acpi *acpi)
{
    uint64_t address = acpi->fadt ? dsdt_address(acpi->fadt) : 0;

    if (address == 0)
        return;
    acpi->dsdt = load_table(acpi->memory, address);
    if (acpi->dsdt && memcmp(acpi->dsdt->signature, "DSDT", 4) != 0) {
        log_warning("acpi: no DSDT at 0x%lx", address);
        unmap(acpi->memory, acpi->dsdt, acpi->dsdt->length);
        acpi->dsdt = NULL;
    }
}

bool acpi_load(struct acpi *acpi, const struct acpi_memory *memory, uint64_t rsdp)
{
    memset(acpi, 0, sizeof(*acpi));
    acpi->memory = memory;
    if (!walk_tables(memory, rsdp, keep, acpi))
        return false;
    load_dsdt(acpi);
    return true;
}

/* --- All of them, for user space --- */

struct collection {
    const struct acpi *acpi;
    uint8_t *buffer;
    uint64_t room, used;
};

static void collect_table(struct collection *collection, const struct acpi_header *table)
{
    uint64_t at = ALIGN_UP(collection->used, ACPI_TABLE_ALIGNMENT);

    if (table->length > collection->room || at > collection->room - table->length)
        return;
    if (collection->buffer)
        memcpy(collection->buffer + at, table, table->length);
    collection->used = at + table->length;
}

static void collect(void *context, uint64_t address)
{
    struct collection *collection = context;
    const struct acpi_memory *memory = collection->acpi->memory;
    const struct acpi_header *table = map(memory, address, sizeof(*table));
    bool known = false; /* those are loaded already, or were found to be wrong */

    for (unsigned i = 0; table && i < ARRAY_SIZE(wanted); i++)
        known |= memcmp(table->signature, wanted[i].signature, 4) == 0;
    unmap(memory, table, sizeof(*table));
    table = table && !known ? load_table(memory, address) : NULL;
    if (!table)
        return;
    collect_table(collection, table);
    unmap(memory, table, table->length);
}

uint64_t acpi_collect(const struct acpi *acpi, uint64_t rsdp, void *buffer, uint64_t room)
{
    const struct acpi_header *loaded[] = {acpi->fadt, acpi->dsdt, acpi->madt, acpi->hpet,
                                          acpi->mcfg};
    struct collection collection = {.acpi = acpi, .buffer = buffer, .room = room};

    for (unsigned i = 0; i < ARRAY_SIZE(loaded); i++)
        if (loaded[i])
            collect_table(&collection, loaded[i]);
    walk_tables(acpi->memory, rsdp, collect, &collection);
    return collection.used;
}
