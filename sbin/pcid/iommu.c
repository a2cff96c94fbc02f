/* IOMMUs: see iommu.h. Registers: VT-d 11.4. */
#include "sbin/pcid/iommu.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/sys/acpi_tables.h"
#include "lib/sys/error.h"
#include "lib/sys/map.h"
#include "lib/sys/startup.h"
#include "lib/sys/syscall.h"
#include "sbin/pcid/config.h"
#include "sbin/pcid/pages.h"
#include "sbin/pcid/unit.h"

enum iommu_register {
    REG_CAPABILITY = 0x08,
    REG_EXTENDED = 0x10,
    REG_COMMAND = 0x18,
    REG_STATUS = 0x1c,
    REG_ROOT = 0x20,
    REG_CONTEXT = 0x28, /* invalidates contexts */
    REG_FAULTS = 0x34,
    REG_FAULT_CONTROL = 0x38,
    REG_FAULT_DATA = 0x3c,
    REG_FAULT_ADDRESS = 0x40,
    REG_PROTECTED = 0x64,
};

/* Command and status: the bits that last, and those that start something. */
#define DO_TRANSLATE UINT32_C(0x80000000)
#define DO_SET_ROOT  UINT32_C(0x40000000)
#define DO_FLUSH     UINT32_C(0x08000000) /* the write buffer */

#define CAN_FLUSH                 UINT64_C(0x10)
#define CAN_PROTECT               UINT64_C(0x60)
#define CAN_39_BITS               UINT64_C(0x200)
#define CAN_48_BITS               UINT64_C(0x400)
#define FAULTS_AT(capability)     ((uint32_t)((capability) >> 24 & 0x3ff) * 16)
#define FAULTS_COUNT(capability)  ((uint32_t)((capability) >> 40 & 0xff) + 1)
#define CAN_SNOOP                 UINT64_C(0x1)
#define TRANSLATIONS_AT(extended) ((uint32_t)((extended) >> 8 & 0x3ff) * 16)
#define FAULT_SIZE                16u

#define CONTEXT_DO         (UINT64_C(1) << 63)
#define CONTEXT_ALL        (UINT64_C(1) << 61)
#define CONTEXT_ONE        (UINT64_C(3) << 61)
#define TRANSLATION_DO     (UINT64_C(1) << 63)
#define TRANSLATION_ALL    (UINT64_C(1) << 60)
#define TRANSLATION_DOMAIN (UINT64_C(2) << 60)
#define TRANSLATION_DRAIN  (UINT64_C(3) << 48) /* reads and writes under way */

#define FAULT_OVERFLOW 1u
#define FAULT_RECORDED UINT32_C(0x80000000) /* of a record's last word */
#define FAULT_OF_READ  UINT32_C(0x40000000)
#define FAULT_PASSES   256u
#define FAULT_MASKED   UINT32_C(0x80000000)

#define POLLS_QUICK 1000u
#define POLLS_SLOW  200u /* of a millisecond: hardware that needs as long is broken */

static handle_t port;
static struct dmar dmar;
static struct iommu *iommus;

/* --- Registers ----------------------------------------------------------------------------------------------------- */

static uint32_t read32(const struct iommu *iommu, uint32_t at)
{
    return *(volatile uint32_t *)(iommu->registers + at);
}

static uint64_t read64(const struct iommu *iommu, uint32_t at)
{
    return *(volatile uint64_t *)(iommu->registers + at);
}

static void write32(const struct iommu *iommu, uint32_t at, uint32_t value)
{
    *(volatile uint32_t *)(iommu->registers + at) = value;
}

static void write64(const struct iommu *iommu, uint32_t at, uint64_t value)
{
    *(volatile uint64_t *)(iommu->registers + at) = value;
}

static void report(const struct iommu *iommu, const char *what)
{
    fprintf(stderr, "IOMMU at 0x%" PRIx64 ": %s\n", iommu->entry.base, what);
}

/* Until the bits of a register's upper half are as wanted: microseconds, or never. */
static bool wait_for(const struct iommu *iommu, uint32_t at, uint32_t bits, bool set)
{
    for (unsigned i = 0; i < POLLS_QUICK + POLLS_SLOW; i++) {
        if (((read32(iommu, at) & bits) != 0) == set)
            return true;
        if (i >= POLLS_QUICK)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    report(iommu, "does not answer");
    return false;
}

/* What firmware switched on besides (queues, remapping of interrupts) goes off by this. */
static bool command(const struct iommu *iommu, uint32_t what, bool ends)
{
    write32(iommu, REG_COMMAND, (iommu->on ? DO_TRANSLATE : 0) | what);
    return wait_for(iommu, REG_STATUS, what, !ends);
}

bool iommu_flush_writes(const struct iommu *iommu)
{
    return !(iommu->capability & CAN_FLUSH) || command(iommu, DO_FLUSH, true);
}

static bool forget_contexts(const struct iommu *iommu, uint64_t which)
{
    write64(iommu, REG_CONTEXT, CONTEXT_DO | which);
    return wait_for(iommu, REG_CONTEXT + 4, CONTEXT_DO >> 32, false);
}

static bool forget_translations(const struct iommu *iommu, uint64_t which)
{
    uint32_t at = TRANSLATIONS_AT(iommu->extended) + 8;

    write64(iommu, at, TRANSLATION_DO | TRANSLATION_DRAIN | which);
    return wait_for(iommu, at + 4, TRANSLATION_DO >> 32, false);
}

bool iommu_forget_context(const struct iommu *iommu, uint32_t source, uint16_t domain)
{
    return forget_contexts(iommu, CONTEXT_ONE | (uint64_t)(source & 0xffff) << 16 | domain);
}

bool iommu_forget_domain(const struct iommu *iommu, uint16_t domain)
{
    return iommu_flush_writes(iommu) &&
           forget_translations(iommu, TRANSLATION_DOMAIN | (uint64_t)domain << 32);
}

/* --- Finding them -------------------------------------------------------------------------------------------------- */

static int64_t map_registers(struct iommu *iommu, uint64_t length)
{
    int64_t memory =
        sys_memory_physical(startup_handle("memory:0x0"), iommu->entry.base, length, CACHE_NONE);

    if (memory < 0)
        return memory;
    int64_t address = memory_map((handle_t)memory, 0, length, PROT_READ_ | PROT_WRITE_);
    handle_drop((handle_t)memory);
    if (address < 0)
        return address;
    iommu->registers = (volatile uint8_t *)(uintptr_t)address;
    iommu->mapped = length;
    return 0;
}

/* All registers there are: two groups lie where the first page says. */
static int64_t find_registers(struct iommu *iommu)
{
    int64_t result = map_registers(iommu, PAGE_SIZE);

    if (result < 0)
        return result;
    iommu->capability = read64(iommu, REG_CAPABILITY);
    iommu->extended = read64(iommu, REG_EXTENDED);
    uint64_t end = MAX(FAULTS_AT(iommu->capability) + FAULTS_COUNT(iommu->capability) * FAULT_SIZE,
                       TRANSLATIONS_AT(iommu->extended) + 16);
    if (end <= PAGE_SIZE)
        return 0;
    sys_ignore(sys_space_unmap(HANDLE_SELF, (uintptr_t)iommu->registers, PAGE_SIZE));
    return map_registers(iommu, ALIGN_UP(end, (uint64_t)PAGE_SIZE));
}

static int64_t start_one(struct iommu *iommu)
{
    int64_t result = find_registers(iommu);

    if (result < 0)
        return result;
    iommu->levels = iommu->capability & CAN_48_BITS ? 4 : iommu->capability & CAN_39_BITS ? 3 : 0;
    if (!iommu->levels)
        return -E_NOT_SUPPORTED;
    if (!(iommu->extended & CAN_SNOOP))
        pages_not_snooped();
    iommu->root = pages_tables.get(&iommu->root_physical);
    return iommu->root ? 0 : -E_NO_MEMORY;
}

static void add(const struct dmar_entry *entry)
{
    static uint32_t number;
    struct iommu *iommu = calloc(1, sizeof(*iommu));
    int64_t result = -E_NO_MEMORY;

    if (iommu) {
        iommu->entry = *entry;
        iommu->number = number++;
        result = start_one(iommu);
    }
    if (result < 0) {
        fprintf(stderr, "IOMMU at 0x%" PRIx64 " is not used: %s\n", entry->base,
                error_text(result));
        free(iommu);
        return;
    }
    iommu->next = iommus;
    iommus = iommu;
}

void iommu_find(handle_t own)
{
    struct acpi_table table = {0};
    struct dmar_entry entry;
    uint64_t length, at = 0;
    uint32_t offset = 0;
    const uint8_t *tables = acpi_tables_map(&length);

    port = own;
    do {
        if (!tables || !acpi_table_next(tables, length, &at, &table))
            return;
    } while (!acpi_table_is(&table, "DMAR"));
    if (!dmar_open(&dmar, table.bytes, table.length)) {
        fprintf(stderr, "the DMAR cannot be read\n");
        return;
    }
    pages_start(port);
    while (dmar_next(&dmar, &offset, &entry))
        if (entry.kind == DMAR_UNIT)
            add(&entry);
}

/* The one that names the function, or the one for the rest. */
struct iommu *iommu_of(uint32_t where)
{
    struct iommu *rest = NULL;

    for (struct iommu *iommu = iommus; iommu; iommu = iommu->next) {
        if (iommu->entry.segment == where >> 16 && iommu->entry.rest)
            rest = iommu;
        else if (dmar_covers(&config_machine, &iommu->entry, where))
            return iommu;
    }
    return rest;
}

bool iommu_has(uint32_t where)
{
    return iommu_of(where);
}

bool iommu_overlaps(uint64_t base, uint64_t length)
{
    for (const struct iommu *iommu = iommus; iommu; iommu = iommu->next)
        if (base < iommu->entry.base + iommu->mapped && base + length > iommu->entry.base)
            return true;
    return false;
}

/* --- Functions ----------------------------------------------------------------------------------------------------- */

/* The next reserved region of the function. */
bool iommu_reserved_next(uint32_t where, uint32_t *offset, struct dmar_entry *entry)
{
    while (iommus && dmar_next(&dmar, offset, entry))
        if (entry->kind == DMAR_RESERVED && dmar_covers(&config_machine, entry, where))
            return true;
    return false;
}

bool iommu_needed(uint32_t where)
{
    struct dmar_entry entry;
    uint32_t offset = 0;

    return iommu_reserved_next(where, &offset, &entry);
}

/* --- On, and what is refused --------------------------------------------------------------------------------------- */

static void watch_faults(struct iommu *iommu)
{
    struct abi_irq_message message;
    int64_t irq = sys_irq_bind(startup_handle("messages:0x0"), IRQ_ANY_CPU, IRQ_MESSAGE, &message);
    int64_t result = irq;

    if (result >= 0)
        result = sys_port_bind(port, (handle_t)irq, SIGNAL_READABLE, IOMMU_KEYS | iommu->number, 0);
    if (result < 0) {
        report(iommu, "what it refuses is not reported");
        if (irq >= 0)
            handle_drop((handle_t)irq);
        iommu->irq = HANDLE_NONE;
        return;
    }
    iommu->irq = (handle_t)irq;
    write32(iommu, REG_FAULT_DATA, message.data);
    write32(iommu, REG_FAULT_ADDRESS, (uint32_t)message.address);
    write32(iommu, REG_FAULT_ADDRESS + 4, (uint32_t)(message.address >> 32));
    write32(iommu, REG_FAULT_CONTROL, 0);
}

static bool switch_on(struct iommu *iommu)
{
    iommu->on = read32(iommu, REG_STATUS) & DO_TRANSLATE;
    write32(iommu, REG_FAULT_CONTROL, FAULT_MASKED);
    write64(iommu, REG_ROOT, iommu->root_physical);
    if (!iommu_flush_writes(iommu) || !command(iommu, DO_SET_ROOT, false) ||
        !forget_contexts(iommu, CONTEXT_ALL) || !forget_translations(iommu, TRANSLATION_ALL))
        return false;
    watch_faults(iommu);
    iommu->on = true;
    if (!command(iommu, DO_TRANSLATE, false))
        return false;
    if (iommu->capability & CAN_PROTECT) /* firmware's stopgap */
        write32(iommu, REG_PROTECTED, 0);
    return true;
}

bool iommu_enable(void)
{
    bool all = iommus;

    for (struct iommu *iommu = iommus; iommu; iommu = iommu->next) {
        bool on = switch_on(iommu);

        report(iommu, on ? "DMA is confined" : "cannot be switched on");
        all &= on;
    }
    if (all)
        pages_forget_old();
    else if (!iommus)
        fprintf(stderr, "DMA unconfined (no IOMMU)\n");
    return all;
}

/* False: there was none. */
static bool tell_recorded(const struct iommu *iommu, void (*tell)(const struct iommu_fault *fault))
{
    bool any = false;

    for (uint32_t i = 0; i < FAULTS_COUNT(iommu->capability); i++) {
        uint32_t at = FAULTS_AT(iommu->capability) + i * FAULT_SIZE;
        uint32_t last = read32(iommu, at + 12);

        if (!(last & FAULT_RECORDED))
            continue;
        struct iommu_fault fault = {.requester = iommu->entry.segment << 16 |
                                                 (read32(iommu, at + 8) & 0xffff),
                                    .write = !(last & FAULT_OF_READ),
                                    .reason = last & 0xff,
                                    .address = ALIGN_DOWN(read64(iommu, at), (uint64_t)PAGE_SIZE)};
        write32(iommu, at + 12, FAULT_RECORDED);
        tell(&fault);
        any = true;
    }
    return any;
}

/* It interrupts again when a fault finds no other recorded: so none may stay behind. */
void iommu_faults(uint64_t key, void (*tell)(const struct iommu_fault *fault))
{
    struct iommu *iommu = iommus;
    unsigned passes = 0;

    while (iommu && (IOMMU_KEYS | iommu->number) != key)
        iommu = iommu->next;
    if (!iommu || iommu->irq == HANDLE_NONE)
        return;
    sys_ignore(sys_irq_ack(iommu->irq, 0));
    while (tell_recorded(iommu, tell) && ++passes < FAULT_PASSES)
        ;
    write32(iommu, REG_FAULTS, FAULT_OVERFLOW);
    if (passes == FAULT_PASSES)
        report(iommu, "refuses without end, and is not asked any more");
}
