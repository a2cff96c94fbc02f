/* Interrupts: see interrupt.h. */
#include "sbin/pcid/interrupt.h"

#include <stdlib.h>

#include "lib/sys/map.h"
#include "lib/sys/startup.h"
#include "lib/sys/syscall.h"
#include "sbin/pcid/route.h"
#include "sbin/pcid/table.h"

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

/* What an interrupt is kept under: of the line, the MSI, each MSI-X entry. */
enum { SLOT_LINE, SLOT_MSI, SLOT_MSIX };

/* A function's MSI-X table, mapped. */
struct msix {
    volatile uint32_t *table;
    uint64_t mapped; /* bytes */
};

static handle_t port;
static struct msix *tables; /* by index of the function */

/* --- In the device ------------------------------------------------------------------------------------------------- */

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

static int64_t map_msix(const struct pci_function *function, struct msix *msix)
{
    const struct pci_bar *bar = &function->bars[function->msix_bar];
    uint64_t at = bar->base + function->msix_table, base = ALIGN_DOWN(at, (uint64_t)PAGE_SIZE);
    uint64_t length = ALIGN_UP(at + function->msix_count * MSIX_ENTRY - base, PAGE_SIZE);

    if (msix->table)
        return 0;

    int64_t memory = sys_memory_physical(startup_handle("memory:0x0"), base, length, CACHE_NONE);

    if (memory < 0)
        return memory;
    int64_t address = memory_map((handle_t)memory, 0, length, PROT_READ_ | PROT_WRITE_);

    handle_drop((handle_t)memory);
    if (address < 0)
        return address;
    msix->table = (volatile uint32_t *)(uintptr_t)((uint64_t)address + (at - base));
    msix->mapped = length;
    pci_enable(&config_machine, function, PCI_COMMAND_MEMORY);
    return 0;
}

/* Entries are masked before the whole is switched on for the first time: what firmware left in them is nobody's. */
static int64_t use_msix(const struct pci_function *function, struct msix *msix, uint32_t entry,
                        uint32_t cpu)
{
    uint32_t where = function->where, control_at = function->msix + MSIX_CONTROL;
    struct abi_irq_message message = {0};
    int64_t irq = map_msix(function, msix);

    if (irq < 0)
        return irq;
    irq = bind_message(cpu, &message);
    if (irq < 0)
        return irq;

    uint32_t control = config_read(&config_machine, where, control_at, 2);
    volatile uint32_t *words = msix->table + entry * (MSIX_ENTRY / 4);

    if (!(control & MSIX_ENABLE)) {
        config_write(&config_machine, where, control_at, 2, control | MSIX_ENABLE | MSIX_MASK_ALL);
        for (uint32_t i = 0; i < function->msix_count; i++)
            msix->table[i * (MSIX_ENTRY / 4) + 3] |= ENTRY_MASKED;
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

/* --- Given and taken ----------------------------------------------------------------------------------------------- */

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
    const struct pci_function *function = &table_at(index)->function;

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
                                             : use_msix(function, &tables[index], entry, cpu);
    default:
        return -E_INVALID;
    }
}

int64_t interrupt_give(uint32_t index, uint32_t kind, uint32_t entry, uint32_t cpu,
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
        pci_enable(&config_machine, &table_at(index)->function,
                   PCI_COMMAND_MASTER); /* a message is a write */
    return irq;
}

void interrupts_end(uint32_t index)
{
    uint64_t key = KEY_INTERRUPT | KEY_FUNCTION(index);
    struct msix *msix = &tables[index];

    while (kept_next(port, &key, KEY_INTERRUPT | KEY_FUNCTION(index + 1)) && interrupt_forget(key))
        key++;
    if (msix->table)
        sys_ignore(sys_space_unmap(HANDLE_SELF, ALIGN_DOWN((uintptr_t)msix->table, PAGE_SIZE),
                                   msix->mapped));
    *msix = (struct msix){0};
}

int64_t interrupts_start(handle_t own)
{
    port = own;
    tables = calloc(table_count() + 1, sizeof(*tables));
    return tables ? 0 : -E_NO_MEMORY;
}
