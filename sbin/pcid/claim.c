/* Claims: see claim.h. */
#include "sbin/pcid/claim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/sys/map.h"
#include "lib/sys/startup.h"
#include "lib/sys/syscall.h"
#include "sbin/pcid/iommu.h"
#include "sbin/pcid/names.h"
#include "sbin/pcid/route.h"

#define TABLE_KEY   0u
#define TABLE_MAGIC UINT64_C(0x32656c6261746370)
#define DMA_LIMIT   (UINT64_C(256) << 20) /* bytes of one function */

#define COMMAND 0x04u

#define MSI_CONTROL   2u
#define MSI_ADDRESS   4u
#define MSI_64        0x0080u
#define MSI_ENABLE    0x0001u
#define MSI_SEVERAL   0x0070u
#define MSIX_CONTROL  2u
#define MSIX_ENABLE   0x8000u
#define MSIX_MASK_ALL 0x4000u
#define MSIX_ENTRY    16u
#define ENTRY_MASKED  1u

/* What the port keeps. */
struct record {
    struct pci_function function;
    uint64_t next_dma, dma_bytes;
    uint64_t resets;  /* how often it was taken from a driver */
    uint64_t revoked; /* its owner may do no more than let go of it */
};

struct table {
    uint64_t magic, count;
    struct record records[];
};

/* What this instance knows besides. */
struct claim {
    bool open;
    volatile uint32_t *msix; /* the table, mapped */
    uint64_t msix_mapped;    /* bytes */
    struct confined confined;
    uint32_t faults; /* what an IOMMU has refused it */
};

#define OWNER_NOBODY_KNOWS \
    UINT64_MAX /* an IOMMU does not answer: what the function reaches is never given away */
#define FAULTS_TOLD 4u
#define FAULTS_MOST 32u

/* Keys: of a function's DMA memories by number, and of its interrupts by slot: of the line, the MSI, each MSI-X entry. */
#define KEY_FUNCTION(index) ((uint64_t)((index) + 1) << 32)
#define KEY_INTERRUPT       (UINT64_C(1) << 63)
#define DMA_NUMBERS         UINT32_MAX

enum { SLOT_LINE, SLOT_MSI, SLOT_MSIX };

static handle_t port;
static struct table *table;
static struct claim *claims;

uint32_t claims_count(void)
{
    return (uint32_t)table->count;
}

const struct pci_function *claims_at(uint32_t index)
{
    return &table->records[index].function;
}

bool claim_is_revoked(uint32_t index)
{
    return table->records[index].revoked;
}

uint64_t claim_resets(uint32_t index)
{
    return table->records[index].resets;
}

static void report(const struct pci_function *function, const char *what)
{
    char name[NAME_SIZE];

    function_name(function, name);
    fprintf(stderr, "%s: %s\n", name, what);
}

/* --- Open and close ------------------------------------------------------------------------------------------------ */

static int64_t dma_forget(struct record *record, uint64_t key)
{
    struct abi_kept kept = {.key = key, .flags = KEPT_EXACT};
    int64_t result = sys_port_kept(port, &kept);

    if (result < 0)
        return result;
    bool reached = !iommu_unmap(&claims[record - table->records].confined, kept.handle, kept.size);
    handle_drop(kept.handle);
    if (reached)
        return -E_IO;
    result = sys_port_keep(port, key, HANDLE_NONE);
    record->dma_bytes -= MIN(record->dma_bytes, kept.size);
    return result;
}

/* The next of the keys from *from on, and below end. */
static bool kept_next(uint64_t *from, uint64_t end)
{
    struct abi_kept kept = {.key = *from};

    if (sys_port_kept(port, &kept) < 0)
        return false;
    handle_drop(kept.handle);
    *from = kept.key;
    return kept.key < end;
}

static void dma_forget_all(uint32_t index)
{
    uint64_t key = KEY_FUNCTION(index);

    while (kept_next(&key, KEY_FUNCTION(index + 1)) && dma_forget(&table->records[index], key) >= 0)
        key++;
    table->records[index].dma_bytes = 0;
}

static bool interrupt_forget(uint64_t key)
{
    struct abi_kept kept = {.key = key, .flags = KEPT_EXACT};

    if (sys_port_kept(port, &kept) < 0)
        return false;
    sys_ignore(sys_port_bind(port, kept.handle, 0, 0, 0));
    sys_ignore(sys_port_keep(port, key, HANDLE_NONE));
    handle_drop(kept.handle);
    return true;
}

static void interrupts_forget_all(uint32_t index)
{
    uint64_t key = KEY_INTERRUPT | KEY_FUNCTION(index);

    while (kept_next(&key, KEY_INTERRUPT | KEY_FUNCTION(index + 1)) && interrupt_forget(key))
        key++;
}

static void wait_for_reset(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
}

/* Of nobody, it reaches nothing but what firmware wants it to; of somebody, his DMA memory besides. */
static int64_t confine(uint32_t index)
{
    struct confined *confined = &claims[index].confined;
    const struct pci_function *function = &table->records[index].function;
    struct abi_kept kept = {.key = KEY_FUNCTION(index)};
    int64_t result =
        confined->iommu ? 0 : iommu_attach(function->where, (uint16_t)(index + 1), confined);

    while (result >= 0 && sys_port_kept(port, &kept) >= 0) {
        if (kept.key < KEY_FUNCTION(index + 1))
            result = iommu_map(confined, kept.handle, kept.size);
        handle_drop(kept.handle);
        if (kept.key >= KEY_FUNCTION(index + 1))
            break;
        kept = (struct abi_kept){.key = kept.key + 1};
    }
    if (result < 0)
        report(function, "its DMA cannot be confined");
    return result;
}

/* First the device can no longer do anything, then what it did it with goes. */
static void make_free(uint32_t index)
{
    struct record *record = &table->records[index];
    struct claim *claim = &claims[index];

    pci_quiet(&config_machine, &record->function);
    if (record->function.owner)
        pci_reset(&config_machine, &record->function, wait_for_reset);
    interrupts_forget_all(index);
    if (claim->msix)
        sys_ignore(sys_space_unmap(HANDLE_SELF, ALIGN_DOWN((uintptr_t)claim->msix, PAGE_SIZE),
                                   claim->msix_mapped));
    claim->msix = NULL;
    claim->open = false;
    claim->faults = 0;
    if (!iommu_detach(&claim->confined)) {
        report(&record->function, "what it reaches is not known: it is given to nobody any more");
        record->function.owner = OWNER_NOBODY_KNOWS;
        return;
    }
    dma_forget_all(index);
    record->function.owner = 0;
    record->revoked = 0;
    if (iommu_needed(record->function.where))
        sys_ignore(confine(index));
}

/* Whether somebody besides the port has what was kept under keys from `from` on, and below end. */
static bool kept_used(uint64_t from, uint64_t end)
{
    struct abi_kept kept = {.key = from};

    while (sys_port_kept(port, &kept) >= 0) {
        handle_drop(kept.handle);
        if (kept.key >= end)
            return false;
        if (kept.flags & KEPT_USED)
            return true;
        kept = (struct abi_kept){.key = kept.key + 1};
    }
    return false;
}

static bool is_used(uint32_t index)
{
    return kept_used(KEY_FUNCTION(index), KEY_FUNCTION(index + 1)) ||
           kept_used(KEY_INTERRUPT | KEY_FUNCTION(index), KEY_INTERRUPT | KEY_FUNCTION(index + 1));
}

int64_t claim_open(uint32_t index, uint64_t process)
{
    struct pci_function *function = &table->records[index].function;
    struct claim *claim = &claims[index];

    if (function->header != 0 || function->class_code >> 16 == 0x06)
        return -E_PERMISSION; /* what others' devices lie behind */
    if (claim->open || (function->owner && function->owner != process && is_used(index)))
        return -E_BUSY;
    if (function->owner == process && table->records[index].revoked)
        return -E_CLOSED;
    if (function->owner != process)
        make_free(index);
    if (function->owner == OWNER_NOBODY_KNOWS)
        return -E_IO;
    function->owner = process;
    if (confine(index) < 0) {
        make_free(index);
        return -E_IO;
    }
    claim->open = true;
    return 0;
}

void claim_close(uint32_t index)
{
    make_free(index);
}

/* --- BARs ------------------------------------------------------------------------------------------------------------ */

static uint64_t page_of(uint64_t address)
{
    return ALIGN_DOWN(address, (uint64_t)PAGE_SIZE);
}

/* Whether the pages of a BAR have something of another function in them. */
static bool shares_page(uint32_t index, const struct pci_bar *bar)
{
    uint64_t start = page_of(bar->base), end = page_of(bar->base + bar->length - 1) + PAGE_SIZE;

    for (uint32_t i = 0; i < table->count; i++) {
        for (unsigned n = 0; n < PCI_BARS && i != index; n++) {
            const struct pci_bar *other = &table->records[i].function.bars[n];

            if (other->length && !(other->flags & PCI_BAR_PORTS) && other->base < end &&
                other->base + other->length > start)
                return true;
        }
    }
    return false;
}

/* Sets bits of the command register. */
static void enable(const struct pci_function *function, uint32_t what)
{
    uint32_t command = config_read(&config_machine, function->where, COMMAND, 2);

    config_write(&config_machine, function->where, COMMAND, 2, command | what);
}

int64_t claim_bar(uint32_t index, uint32_t number, uint32_t cache, uint64_t values[3])
{
    const struct pci_function *function = &table->records[index].function;
    const struct pci_bar *bar = &function->bars[number < PCI_BARS ? number : 0];
    int64_t result;

    if (number >= PCI_BARS || cache > CACHE_COMBINING)
        return -E_INVALID;
    if (!bar->length)
        return -E_NOT_FOUND;
    values[1] = bar->length;
    values[2] = bar->flags;
    if (bar->flags & PCI_BAR_PORTS) {
        result = sys_resource_create(startup_handle("ioport:0x1000"), RESOURCE_IOPORT, bar->base,
                                     bar->length);
        if (result >= 0)
            enable(function, PCI_COMMAND_PORTS);
        return result;
    }
    if (shares_page(index, bar) || iommu_overlaps(bar->base, bar->length))
        return -E_ACCESS;
    values[0] = bar->base - page_of(bar->base);
    result = sys_memory_physical(startup_handle("memory:0x0"), page_of(bar->base),
                                 ALIGN_UP(values[0] + bar->length, (uint64_t)PAGE_SIZE), cache);
    if (result >= 0)
        enable(function, PCI_COMMAND_MEMORY);
    return result;
}

/* --- Interrupts ------------------------------------------------------------------------------------------------------- */

static int64_t bind_message(uint32_t cpu, struct abi_irq_message *message)
{
    return sys_irq_bind(startup_handle("messages:0x0"), cpu, IRQ_MESSAGE, message);
}

static int64_t use_msi(const struct pci_function *function, uint32_t cpu)
{
    uint32_t where = function->where, at = function->msi;
    struct abi_irq_message message = {0};
    int64_t irq = bind_message(cpu, &message);

    if (irq < 0)
        return irq;

    uint32_t control = config_read(&config_machine, where, at + MSI_CONTROL, 2);
    bool wide = control & MSI_64;

    config_write(&config_machine, where, at + MSI_ADDRESS, 4, (uint32_t)message.address);
    if (wide)
        config_write(&config_machine, where, at + MSI_ADDRESS + 4, 4,
                     (uint32_t)(message.address >> 32));
    config_write(&config_machine, where, at + MSI_ADDRESS + (wide ? 8 : 4), 2, message.data);
    config_write(&config_machine, where, at + MSI_CONTROL, 2,
                 (control & ~MSI_SEVERAL) | MSI_ENABLE);
    return irq;
}

static int64_t map_msix(const struct pci_function *function, struct claim *claim)
{
    const struct pci_bar *bar = &function->bars[function->msix_bar];
    uint64_t table_at = bar->base + function->msix_table, base = page_of(table_at);
    uint64_t length = ALIGN_UP(table_at + function->msix_count * MSIX_ENTRY - base, PAGE_SIZE);

    if (claim->msix)
        return 0;

    int64_t memory = sys_memory_physical(startup_handle("memory:0x0"), base, length, CACHE_NONE);

    if (memory < 0)
        return memory;
    int64_t address = memory_map((handle_t)memory, 0, length, PROT_READ_ | PROT_WRITE_);

    handle_drop((handle_t)memory);
    if (address < 0)
        return address;
    claim->msix = (volatile uint32_t *)(uintptr_t)((uint64_t)address + (table_at - base));
    claim->msix_mapped = length;
    enable(function, PCI_COMMAND_MEMORY);
    return 0;
}

/* Entries are masked before the whole is switched on for the first time: what firmware left in them is nobody's. */
static int64_t use_msix(const struct pci_function *function, struct claim *claim, uint32_t entry,
                        uint32_t cpu)
{
    uint32_t where = function->where, control_at = function->msix + MSIX_CONTROL;
    struct abi_irq_message message = {0};
    int64_t irq = map_msix(function, claim);

    if (irq < 0)
        return irq;
    irq = bind_message(cpu, &message);
    if (irq < 0)
        return irq;

    uint32_t control = config_read(&config_machine, where, control_at, 2);
    volatile uint32_t *words = claim->msix + entry * (MSIX_ENTRY / 4);

    if (!(control & MSIX_ENABLE)) {
        config_write(&config_machine, where, control_at, 2, control | MSIX_ENABLE | MSIX_MASK_ALL);
        for (uint32_t i = 0; i < function->msix_count; i++)
            claim->msix[i * (MSIX_ENTRY / 4) + 3] |= ENTRY_MASKED;
    }
    words[3] |= ENTRY_MASKED;
    words[0] = (uint32_t)message.address;
    words[1] = (uint32_t)(message.address >> 32);
    words[2] = message.data;
    words[3] &= ~ENTRY_MASKED;
    config_write(&config_machine, where, control_at, 2, (control | MSIX_ENABLE) & ~MSIX_MASK_ALL);
    return irq;
}

static int64_t use_line(const struct pci_function *function)
{
    uint32_t line = 0, flags = 0, command;

    if (!route_line(&config_machine, function, &line, &flags))
        return -E_NOT_SUPPORTED;

    int64_t irq = sys_irq_bind(startup_handle("lines:0x0"), line, flags, NULL);

    if (irq >= 0) {
        command = config_read(&config_machine, function->where, COMMAND, 2);
        config_write(&config_machine, function->where, COMMAND, 2, command & ~PCI_COMMAND_NO_LINE);
    }
    return irq;
}

/* A copy of ours, watched for storms; without it there would be nobody to stop one. It takes the place of an earlier one. */
static int64_t watch(uint32_t index, unsigned slot, handle_t irq)
{
    uint64_t key = KEY_INTERRUPT | KEY_FUNCTION(index) | slot;
    int64_t result = handle_copy(irq, RIGHT_WAIT | RIGHT_DUPLICATE | RIGHT_TRANSFER);

    if (result < 0)
        return result;
    handle_t copy = (handle_t)result;
    interrupt_forget(key);
    result = sys_port_keep(port, key, copy);
    if (result >= 0) {
        result = sys_port_bind(port, copy, SIGNAL_ERROR, index + 1, 0);
        if (result < 0)
            sys_ignore(sys_port_keep(port, key, HANDLE_NONE));
    }
    handle_drop(copy);
    return result;
}

static int64_t bind_kind(uint32_t index, uint32_t kind, uint32_t entry, uint32_t cpu,
                         unsigned *slot)
{
    const struct pci_function *function = &table->records[index].function;

    switch (kind) {
    case PCI_INTERRUPT_LINE:
        *slot = SLOT_LINE;
        return entry ? -E_RANGE : use_line(function);
    case PCI_INTERRUPT_MSI:
        *slot = SLOT_MSI;
        return !function->msi ? -E_NOT_SUPPORTED : entry ? -E_RANGE : use_msi(function, cpu);
    case PCI_INTERRUPT_MSIX:
        *slot = SLOT_MSIX + entry;
        if (!function->msix)
            return -E_NOT_SUPPORTED;
        return entry >= function->msix_count ? -E_RANGE
                                             : use_msix(function, &claims[index], entry, cpu);
    default:
        return -E_INVALID;
    }
}

int64_t claim_interrupt(uint32_t index, uint32_t kind, uint32_t entry, uint32_t cpu,
                        uint64_t *chosen)
{
    static const uint32_t best_first[] = {PCI_INTERRUPT_MSIX, PCI_INTERRUPT_MSI,
                                          PCI_INTERRUPT_LINE};
    int64_t irq = -E_NOT_SUPPORTED;
    unsigned slot = 0;

    *chosen = kind;
    if (kind != PCI_INTERRUPT_ANY)
        irq = bind_kind(index, kind, entry, cpu, &slot);
    for (unsigned i = 0; kind == PCI_INTERRUPT_ANY && irq < 0 && i < ARRAY_SIZE(best_first); i++) {
        *chosen = best_first[i];
        irq = bind_kind(index, best_first[i], entry, cpu, &slot);
    }
    if (irq < 0)
        return irq;
    int64_t result = watch(index, slot, (handle_t)irq);
    if (result < 0) {
        handle_drop((handle_t)irq);
        return result;
    }
    if (slot != SLOT_LINE)
        enable(&table->records[index].function, PCI_COMMAND_MASTER); /* a message is a write */
    return irq;
}

bool claim_is_confined(uint32_t index)
{
    return iommu_has(table->records[index].function.where);
}

/* One that nobody has goes on with what firmware told it; then it is to be quiet. */
bool claim_fault(const struct iommu_fault *fault)
{
    char what[96];

    for (uint32_t i = 0; i < table->count; i++) {
        const struct pci_function *function = &table->records[i].function;

        if (function->where != fault->where)
            continue;
        if (claims[i].faults++ < FAULTS_TOLD) {
            snprintf(what, sizeof(what), "its DMA %s 0x%" PRIx64 " is refused (reason %u)",
                     fault->write ? "to" : "from", fault->address, fault->reason);
            report(function, what);
        }
        if (!function->owner)
            pci_quiet(&config_machine, function);
        return claims[i].faults >= FAULTS_MOST &&
               claim_revoke(i, "its DMA goes astray without end");
    }
    fprintf(stderr, "DMA of %06x, which is no function, is refused\n", fault->where);
    return false;
}

bool claim_revoke(uint32_t index, const char *why)
{
    struct record *record = &table->records[index];

    if (!record->function.owner || record->revoked)
        return false;
    report(&record->function, why);
    pci_quiet(&config_machine, &record->function);
    record->revoked = 1;
    record->resets++;
    return true;
}

/* --- DMA and configuration space ----------------------------------------------------------------------------------------- */

int64_t claim_dma(uint32_t index, uint64_t length, uint32_t flags, uint64_t *number)
{
    struct record *record = &table->records[index];
    handle_t resource = startup_handle("dma:0x0");

    if (flags & ~(MEMORY_STAYS | MEMORY_CONTIGUOUS | MEMORY_DMA32))
        return -E_INVALID;
    if (length > DMA_LIMIT - MIN(record->dma_bytes, DMA_LIMIT))
        return -E_QUOTA;
    int64_t memory = sys_memory_physical(resource, 0, length, flags | MEMORY_STAYS);
    if (memory < 0)
        return memory;
    *number = record->next_dma;
    int64_t result = sys_port_keep(port, KEY_FUNCTION(index) | *number, (handle_t)memory);
    if (result < 0) {
        handle_drop((handle_t)memory);
        return result;
    }
    record->next_dma = (record->next_dma + 1) % DMA_NUMBERS;
    record->dma_bytes += ALIGN_UP(length, (uint64_t)PAGE_SIZE);
    result = iommu_map(&claims[index].confined, (handle_t)memory, length);
    if (result < 0) {
        sys_ignore(dma_forget(record, KEY_FUNCTION(index) | *number));
        handle_drop((handle_t)memory);
        return result;
    }
    return memory;
}

int64_t claim_dma_free(uint32_t index, uint64_t number)
{
    return number >= DMA_NUMBERS ? -E_NOT_FOUND
                                 : dma_forget(&table->records[index], KEY_FUNCTION(index) | number);
}

int64_t claim_config_write(uint32_t index, uint32_t offset, uint32_t size, uint32_t value)
{
    const struct pci_function *function = &table->records[index].function;
    uint32_t where = function->where;

    if (offset == COMMAND && size == 2) {
        uint32_t command = config_read(&config_machine, where, COMMAND, 2);

        config_write(&config_machine, where, COMMAND, 2,
                     (command & ~PCI_COMMAND_DRIVER) | (value & PCI_COMMAND_DRIVER));
        return 0;
    }
    if (!pci_may_write(&config_machine, function, offset, size))
        return -E_PERMISSION;
    config_write(&config_machine, where, offset, size, value);
    return 0;
}

int64_t claim_reset(uint32_t index)
{
    return pci_reset(&config_machine, &table->records[index].function, wait_for_reset)
               ? 0
               : -E_NOT_SUPPORTED;
}

/* --- The table ---------------------------------------------------------------------------------------------------------- */

struct found {
    struct record *records;
    size_t count, room;
    bool failed;
};

static bool add_found(void *context, const struct pci_function *function)
{
    struct found *found = context;

    if (found->count == found->room) {
        size_t room = found->room ? 2 * found->room : 32;
        struct record *records = realloc(found->records, room * sizeof(*records));

        if (!records) {
            found->failed = true;
            return false;
        }
        found->records = records;
        found->room = room;
    }
    found->records[found->count++] = (struct record){.function = *function};
    return true;
}

static int64_t map_table(handle_t memory, uint64_t size)
{
    int64_t address = memory_map(memory, 0, size, PROT_READ_ | PROT_WRITE_);

    if (address >= 0)
        table = (struct table *)(uintptr_t)address;
    return address < 0 ? address : 0;
}

static int64_t make_table(void)
{
    struct found found = {0};
    struct config_segment segment;

    for (unsigned n = 0; config_segment_at(n, &segment); n++)
        pci_walk(&config_machine, segment.segment, segment.first_bus, segment.last_bus, add_found,
                 &found);
    if (found.failed) {
        free(found.records);
        return -E_NO_MEMORY;
    }
    uint64_t size = sizeof(*table) + found.count * sizeof(struct record);
    int64_t memory = sys_memory_create(size, 0);
    int64_t result = memory < 0 ? memory : map_table((handle_t)memory, size);
    if (result >= 0) {
        memcpy(table->records, found.records, found.count * sizeof(struct record));
        table->count = found.count;
        table->magic = TABLE_MAGIC; /* last: a table without it is made anew */
        result = sys_port_keep(port, TABLE_KEY, (handle_t)memory);
    }
    free(found.records);
    if (memory >= 0)
        handle_drop((handle_t)memory);
    return result;
}

static int64_t find_table(void)
{
    struct abi_kept kept = {.key = TABLE_KEY, .flags = KEPT_EXACT};
    int64_t result = sys_port_kept(port, &kept);

    if (result < 0)
        return result;
    result = map_table(kept.handle, kept.size);
    handle_drop(kept.handle);
    if (result < 0)
        return result;
    return table->magic == TABLE_MAGIC &&
                   table->count <= (kept.size - sizeof(*table)) / sizeof(struct record)
               ? 0
               : -E_NOT_FOUND;
}

/* As it was under the pcid before, or for the first time. */
static void confine_all(void)
{
    iommu_find(port);
    for (uint32_t i = 0; i < table->count; i++)
        if (table->records[i].function.owner || iommu_needed(table->records[i].function.where))
            sys_ignore(confine(i));
    iommu_enable();
}

int64_t claims_start(handle_t own)
{
    int64_t result;

    port = own;
    result = find_table();
    if (result == -E_NOT_FOUND)
        result = make_table();
    if (result < 0)
        return result;
    claims = calloc(table->count + 1, sizeof(*claims));
    if (!claims)
        return -E_NO_MEMORY;
    confine_all();
    return 0;
}
