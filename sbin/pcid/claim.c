/* Claims: see claim.h. */
#include "sbin/pcid/claim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/sys/startup.h"
#include "lib/sys/syscall.h"
#include "sbin/pcid/device_reset.h"
#include "sbin/pcid/dma.h"
#include "sbin/pcid/interrupt.h"
#include "sbin/pcid/table.h"

#define COMMAND 0x04u

#define OWNER_NOBODY_KNOWS \
    UINT64_MAX /* an IOMMU does not answer: what the function reaches is never given away */
#define FAULTS_TOLD 4u
#define FAULTS_MOST 32u

/* What this instance knows of a function besides the table. */
struct claim {
    bool open;
    uint32_t faults; /* what an IOMMU has refused it */
};

static handle_t port;
static struct claim *claims;

bool claim_is_revoked(uint32_t index)
{
    return table_at(index)->revoked;
}

/* --- Open and close ------------------------------------------------------------------------------------------------ */

static void wait_for_reset(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
}

/* First the device can no longer do anything, then what it did it with goes. */
static void make_free(uint32_t index)
{
    struct record *record = table_at(index);

    pci_quiet(&config_machine, &record->function);
    if (record->function.owner && !pci_reset(&config_machine, &record->function, wait_for_reset))
        device_reset(&config_machine, &record->function);
    interrupts_end(index);
    claims[index] = (struct claim){0};
    if (!dma_end(index)) {
        table_report(index, "what it reaches is not known: it is given to nobody any more");
        record->function.owner = OWNER_NOBODY_KNOWS;
        return;
    }
    record->function.owner = 0;
    record->revoked = 0;
    if (iommu_needed(record->function.where))
        sys_ignore(dma_confine(index));
}

static bool is_used(uint32_t index)
{
    return kept_used(port, KEY_FUNCTION(index), KEY_LENT(index)) ||
           kept_used(port, KEY_INTERRUPT | KEY_FUNCTION(index),
                     KEY_INTERRUPT | KEY_FUNCTION(index + 1));
}

int64_t claim_open(uint32_t index, uint64_t process)
{
    struct pci_function *function = &table_at(index)->function;
    struct claim *claim = &claims[index];

    if (function->header != 0 || function->class_code >> 16 == 0x06)
        return -E_PERMISSION; /* what others' devices lie behind */
    if (claim->open || (function->owner && function->owner != process && is_used(index)))
        return -E_BUSY;
    if (function->owner == process && table_at(index)->revoked)
        return -E_CLOSED;
    if (function->owner != process)
        make_free(index);
    if (function->owner == OWNER_NOBODY_KNOWS)
        return -E_IO;
    function->owner = process;
    if (dma_confine(index) < 0) {
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

bool claim_revoke(uint32_t index, const char *why)
{
    struct record *record = table_at(index);

    if (!record->function.owner || record->revoked)
        return false;
    table_report(index, why);
    pci_quiet(&config_machine, &record->function);
    record->revoked = 1;
    record->resets++;
    return true;
}

/* One that nobody has goes on with what firmware told it; then it is to be quiet. */
bool claim_fault(const struct iommu_fault *fault)
{
    char what[96];

    for (uint32_t i = 0; i < table_count(); i++) {
        const struct pci_function *function = &table_at(i)->function;

        if (function->where != fault->where)
            continue;
        if (claims[i].faults++ < FAULTS_TOLD) {
            snprintf(what, sizeof(what), "its DMA %s 0x%" PRIx64 " is refused (reason %u)",
                     fault->write ? "to" : "from", fault->address, fault->reason);
            table_report(i, what);
        }
        if (!function->owner)
            pci_quiet(&config_machine, function);
        return claims[i].faults >= FAULTS_MOST &&
               claim_revoke(i, "its DMA goes astray without end");
    }
    fprintf(stderr, "DMA of %06x, which is no function, is refused\n", fault->where);
    return false;
}

bool claim_is_confined(uint32_t index)
{
    return iommu_has(table_at(index)->function.where);
}

/* --- BARs and configuration space ---------------------------------------------------------------------------------- */

static uint64_t page_of(uint64_t address)
{
    return ALIGN_DOWN(address, (uint64_t)PAGE_SIZE);
}

/* Whether the pages of a BAR have something of another function in them. */
static bool shares_page(uint32_t index, const struct pci_bar *bar)
{
    uint64_t start = page_of(bar->base), end = page_of(bar->base + bar->length - 1) + PAGE_SIZE;

    for (uint32_t i = 0; i < table_count(); i++) {
        for (unsigned n = 0; n < PCI_BARS && i != index; n++) {
            const struct pci_bar *other = &table_at(i)->function.bars[n];

            if (other->length && !(other->flags & PCI_BAR_PORTS) && other->base < end &&
                other->base + other->length > start)
                return true;
        }
    }
    return false;
}

int64_t claim_bar(uint32_t index, uint32_t number, uint32_t cache, uint64_t values[3])
{
    const struct pci_function *function = &table_at(index)->function;
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
            pci_enable(&config_machine, function, PCI_COMMAND_PORTS);
        return result;
    }
    if (shares_page(index, bar) || iommu_overlaps(bar->base, bar->length))
        return -E_ACCESS;
    values[0] = bar->base - page_of(bar->base);
    result = sys_memory_physical(startup_handle("memory:0x0"), page_of(bar->base),
                                 ALIGN_UP(values[0] + bar->length, (uint64_t)PAGE_SIZE), cache);
    if (result >= 0)
        pci_enable(&config_machine, function, PCI_COMMAND_MEMORY);
    return result;
}

int64_t claim_config_write(uint32_t index, uint32_t offset, uint32_t size, uint32_t value)
{
    const struct pci_function *function = &table_at(index)->function;
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
    return pci_reset(&config_machine, &table_at(index)->function, wait_for_reset)
               ? 0
               : -E_NOT_SUPPORTED;
}

int64_t claims_start(handle_t own)
{
    port = own;
    int64_t result = table_start(port);
    if (result < 0)
        return result;
    claims = calloc(table_count() + 1, sizeof(*claims));
    if (!claims)
        return -E_NO_MEMORY;
    result = interrupts_start(port);
    return result < 0 ? result : dma_start(port);
}
