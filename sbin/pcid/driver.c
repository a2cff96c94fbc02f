/* A driver's operations: arguments checked, and passed on to its claim. */
#include "sbin/pcid/driver.h"

#include "abi/pci.h"
#include "sbin/pcid/claim.h"
#include "sbin/pcid/dma.h"
#include "sbin/pcid/interrupt.h"
#include "sbin/pcid/names.h"
#include "sbin/pcid/table.h"

typedef int64_t operation(uint32_t index, const uint64_t *args, struct command *command);

static int64_t describe(uint32_t index, const uint64_t *args, struct command *command)
{
    static _Thread_local struct pci_description description; /* until it is returned */
    const struct pci_function *function = &table_at(index)->function;

    (void)args;
    description = (struct pci_description){
        .segment = (uint16_t)(function->where >> 16),
        .bus = (uint8_t)(function->where >> 8),
        .device_function = (uint8_t)function->where,
        .vendor = function->vendor,
        .device = function->device,
        .subsystem_vendor = function->subsystem_vendor,
        .subsystem = function->subsystem,
        .class_code = function->class_code,
        .revision = function->revision,
        .pin = function->pin,
        .msix_count = function->msix_count,
        .msi = function->msi != 0,
    };
    for (unsigned i = 0; i < PCI_BARS; i++) {
        description.bars[i].base = function->bars[i].base;
        description.bars[i].length = function->bars[i].length;
        description.bars[i].flags = function->bars[i].flags;
    }
    return command_answer(command, &description, sizeof(description));
}

static bool aligned(uint64_t offset, uint64_t size)
{
    return (size == 1 || size == 2 || size == 4) && offset % size == 0 && offset < PCI_CONFIG_SIZE;
}

static int64_t config_get(uint32_t index, const uint64_t *args, struct command *command)
{
    if (!aligned(args[0], args[1]))
        return -E_INVALID;
    command->reply.values[0] = config_read(&config_machine, table_at(index)->function.where,
                                           (uint32_t)args[0], (uint32_t)args[1]);
    return 0;
}

static int64_t config_set(uint32_t index, const uint64_t *args, struct command *command)
{
    (void)command;
    if (!aligned(args[0], args[1]))
        return -E_INVALID;
    return claim_config_write(index, (uint32_t)args[0], (uint32_t)args[1], (uint32_t)args[2]);
}

static int64_t bar(uint32_t index, const uint64_t *args, struct command *command)
{
    if (args[0] >= PCI_BARS || args[1] > CACHE_COMBINING)
        return -E_INVALID;
    return command_answer_handle(
        command, claim_bar(index, (uint32_t)args[0], (uint32_t)args[1], command->reply.values));
}

static int64_t interrupt(uint32_t index, const uint64_t *args, struct command *command)
{
    if (args[0] > PCI_INTERRUPT_MSIX || args[1] > UINT16_MAX || args[2] > UINT32_MAX)
        return -E_INVALID;
    return command_answer_handle(command,
                                 interrupt_give(index, (uint32_t)args[0], (uint32_t)args[1],
                                                (uint32_t)args[2], &command->reply.values[0]));
}

static int64_t dma(uint32_t index, const uint64_t *args, struct command *command)
{
    if (args[1] > UINT32_MAX || args[2] & ~(uint64_t)PCI_DMA_LENT)
        return -E_INVALID;
    return command_answer_handle(
        command, dma_give(index, args[0], (uint32_t)args[1], args[2], &command->reply.values[0]));
}

static int64_t dma_once_more(uint32_t index, const uint64_t *args, struct command *command)
{
    (void)args;
    return command->message.handle_count != 1
               ? -E_INVALID
               : dma_again(index, command->message.handles[0], &command->reply.values[0]);
}

static int64_t dma_free(uint32_t index, const uint64_t *args, struct command *command)
{
    (void)command;
    return dma_forget(index, args[0]);
}

static int64_t reset(uint32_t index, const uint64_t *args, struct command *command)
{
    (void)args, (void)command;
    return claim_reset(index);
}

static const struct {
    operation *run;
    bool looks; /* and changes nothing: of a revoked claim, too */
} operations[] = {
    [PCI_DESCRIBE - OP_PROTOCOL] = {describe, true},
    [PCI_CONFIG_READ - OP_PROTOCOL] = {config_get, true},
    [PCI_CONFIG_WRITE - OP_PROTOCOL] = {config_set, false},
    [PCI_BAR - OP_PROTOCOL] = {bar, false},
    [PCI_INTERRUPT - OP_PROTOCOL] = {interrupt, false},
    [PCI_DMA - OP_PROTOCOL] = {dma, false},
    [PCI_DMA_FREE - OP_PROTOCOL] = {dma_free, false},
    [PCI_RESET - OP_PROTOCOL] = {reset, false},
    [PCI_DMA_AGAIN - OP_PROTOCOL] = {dma_once_more, false},
};

int64_t driver_command(void *context, struct command *command)
{
    uint64_t cookie = command->message.cookie;
    uint32_t index = index_of(cookie), which = command->message.op - OP_PROTOCOL;

    (void)context;
    if (command->message.file == 0 || node_of(cookie) != NODE_DEVICE)
        return -E_NO_CALL;
    if (!operations[which].looks && claim_is_revoked(index))
        return -E_CLOSED;
    return operations[which].run(index, command->message.args, command);
}
