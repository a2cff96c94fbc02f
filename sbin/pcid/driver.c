/* A driver's operations: arguments checked, and passed on to its claim. */
#include "sbin/pcid/driver.h"

#include "abi/pci.h"
#include "sbin/pcid/claim.h"
#include "sbin/pcid/names.h"

/* The function of a claimed file, for a look at it. */
static int64_t seen(const struct command *command, uint32_t *index)
{
    uint64_t cookie = command->message.cookie;

    if (command->message.file == 0 || node_of(cookie) != NODE_DEVICE)
        return -E_NO_CALL;
    *index = index_of(cookie);
    return 0;
}

/* ... and to do something with it. */
static int64_t claimed(const struct command *command, uint32_t *index)
{
    int64_t result = seen(command, index);

    return result >= 0 && claim_is_revoked(*index) ? -E_CLOSED : result;
}

int64_t pci_describe(void *context, struct command *command)
{
    static struct pci_description description; /* until it is returned */
    uint32_t index;
    int64_t result = seen(command, &index);

    (void)context;
    if (result < 0)
        return result;
    const struct pci_function *function = claims_at(index);
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

int64_t pci_config_read(void *context, struct command *command)
{
    const uint64_t *args = command->message.args;
    uint32_t index;
    int64_t result = seen(command, &index);

    (void)context;
    if (result < 0)
        return result;
    if (!aligned(args[0], args[1]))
        return -E_INVALID;
    command->reply.values[0] =
        config_read(&config_machine, claims_at(index)->where, (uint32_t)args[0], (uint32_t)args[1]);
    return 0;
}

int64_t pci_config_write(void *context, struct command *command)
{
    const uint64_t *args = command->message.args;
    uint32_t index;
    int64_t result = claimed(command, &index);

    (void)context;
    if (result < 0)
        return result;
    if (!aligned(args[0], args[1]))
        return -E_INVALID;
    return claim_config_write(index, (uint32_t)args[0], (uint32_t)args[1], (uint32_t)args[2]);
}

int64_t pci_bar(void *context, struct command *command)
{
    const uint64_t *args = command->message.args;
    uint32_t index;
    int64_t result = claimed(command, &index);

    (void)context;
    if (result < 0)
        return result;
    if (args[0] >= PCI_BARS || args[1] > CACHE_COMBINING)
        return -E_INVALID;
    return command_answer_handle(
        command, claim_bar(index, (uint32_t)args[0], (uint32_t)args[1], command->reply.values));
}

int64_t pci_interrupt(void *context, struct command *command)
{
    const uint64_t *args = command->message.args;
    uint32_t index;
    int64_t result = claimed(command, &index);

    (void)context;
    if (result < 0)
        return result;
    if (args[0] > PCI_INTERRUPT_MSIX || args[1] > UINT16_MAX || args[2] > UINT32_MAX)
        return -E_INVALID;
    return command_answer_handle(command,
                                 claim_interrupt(index, (uint32_t)args[0], (uint32_t)args[1],
                                                 (uint32_t)args[2], &command->reply.values[0]));
}

int64_t pci_dma(void *context, struct command *command)
{
    const uint64_t *args = command->message.args;
    uint32_t index;
    int64_t result = claimed(command, &index);

    (void)context;
    if (result < 0)
        return result;
    if (args[1] > UINT32_MAX)
        return -E_INVALID;
    return command_answer_handle(
        command, claim_dma(index, args[0], (uint32_t)args[1], &command->reply.values[0]));
}

int64_t pci_dma_free(void *context, struct command *command)
{
    uint32_t index;
    int64_t result = claimed(command, &index);

    (void)context;
    return result < 0 ? result : claim_dma_free(index, command->message.args[0]);
}

int64_t pci_do_reset(void *context, struct command *command)
{
    uint32_t index;
    int64_t result = claimed(command, &index);

    (void)context;
    return result < 0 ? result : claim_reset(index);
}
