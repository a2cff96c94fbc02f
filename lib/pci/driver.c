#include "lib/pci/driver.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/file.h"
#include "lib/sys/map.h"

#define URI_MAX 64u
#define COMMAND 0x04u /* the command register */

static int64_t ask(const struct pci_device *device, struct abi_command *command)
{
    return file_command(device->file, command);
}

int64_t pci_attach(struct pci_device *device, handle_t claim)
{
    struct abi_command command = {.op = PCI_DESCRIBE,
                                  .out = (uintptr_t)&device->description,
                                  .out_length = sizeof(device->description)};
    device->file = claim;
    int64_t result = ask(device, &command);
    if (result < 0)
        pci_release(device);
    return result;
}

int64_t pci_claim(struct pci_device *device, const char *function)
{
    char uri[URI_MAX];
    handle_t claim;
    if ((size_t)snprintf(uri, sizeof(uri), "%s/device", function) >= sizeof(uri))
        return -E_TOO_LONG;
    int64_t result = file_open(HANDLE_SELF, uri, OPEN_READ | OPEN_WRITE, &claim);
    return result < 0 ? result : pci_attach(device, claim);
}

void pci_release(struct pci_device *device)
{
    handle_drop(device->file);
    device->file = HANDLE_NONE;
}

int64_t pci_config_copy(const char *function, uint8_t *bytes)
{
    char uri[URI_MAX];
    handle_t file;
    if ((size_t)snprintf(uri, sizeof(uri), "%s/config", function) >= sizeof(uri))
        return -E_TOO_LONG;
    int64_t result = file_open(HANDLE_SELF, uri, OPEN_READ, &file);
    if (result < 0)
        return result;
    result = file_read(file, 0, bytes, PCI_CONFIG_LEGACY);
    handle_drop(file);
    if (result < 0)
        return result;
    return result == PCI_CONFIG_LEGACY ? 0 : -E_IO;
}

int64_t pci_enable(const struct pci_device *device, uint32_t what)
{
    struct abi_command command = {.op = PCI_CONFIG_WRITE, .args = {COMMAND, 2, what}};
    return ask(device, &command);
}

int64_t pci_bar(const struct pci_device *device, uint32_t bar, uint32_t cache, handle_t *memory,
                uint64_t *offset, uint64_t *length)
{
    struct abi_command command = {.op = PCI_BAR, .args = {bar, cache}};
    int64_t result = ask(device, &command);
    if (result < 0)
        return result;
    if (command.values[2] & PCI_BAR_PORTS) {
        handle_drop(command.receive[0]);
        return -E_NOT_SUPPORTED;
    }
    *memory = command.receive[0];
    *offset = command.values[0];
    *length = command.values[1];
    return 0;
}

int64_t pci_map(const struct pci_device *device, uint32_t bar, uint64_t offset, uint64_t length,
                uint32_t cache, volatile void **at)
{
    handle_t memory;
    uint64_t start, size;
    int64_t result = pci_bar(device, bar, cache, &memory, &start, &size);
    if (result < 0)
        return result;
    result = length == 0 || offset > size || length > size - offset
                 ? -E_RANGE
                 : memory_map(memory, start + offset, length, PROT_READ_ | PROT_WRITE_);
    handle_drop(memory);
    if (result < 0)
        return result;
    *at = (volatile void *)(uintptr_t)result;
    return 0;
}

int64_t pci_ports(const struct pci_device *device, uint32_t bar)
{
    struct abi_command command = {.op = PCI_BAR, .args = {bar, CACHE_NONE}};
    int64_t result = ask(device, &command);
    if (result < 0)
        return result;
    result =
        command.values[2] & PCI_BAR_PORTS ? sys_ioport_grant(command.receive[0]) : -E_NOT_SUPPORTED;
    handle_drop(command.receive[0]);
    return result;
}

int64_t pci_interrupt(const struct pci_device *device, uint32_t kind, uint32_t index, handle_t *irq)
{
    struct abi_command command = {.op = PCI_INTERRUPT, .args = {kind, index, IRQ_ANY_CPU}};
    int64_t result = ask(device, &command);
    if (result >= 0)
        *irq = command.receive[0];
    return result;
}

/* Its addresses, and where it is mapped. */
static int64_t dma_look(const struct pci_device *device, struct pci_dma *dma)
{
    dma->pages = calloc(dma->length / PAGE_SIZE, sizeof(*dma->pages));
    int64_t result =
        dma->pages ? sys_memory_op(dma->memory, MEMORY_OP_PHYSICAL, 0, dma->length, dma->pages)
                   : -E_NO_MEMORY;
    if (result >= 0)
        result = memory_map(dma->memory, 0, dma->length, PROT_READ_ | PROT_WRITE_);
    if (result >= 0) {
        dma->bytes = (uint8_t *)(uintptr_t)result;
        return 0;
    }
    pci_dma_free(device, dma);
    return result;
}

static int64_t dma_ask(const struct pci_device *device, uint64_t length, uint32_t flags,
                       uint32_t lent, struct pci_dma *dma)
{
    *dma = (struct pci_dma){.length = ALIGN_UP(length, (uint64_t)PAGE_SIZE), .memory = HANDLE_NONE};
    struct abi_command command = {.op = PCI_DMA, .args = {dma->length, flags, lent}};
    int64_t result = ask(device, &command);
    if (result < 0)
        return result;
    dma->number = command.values[0];
    dma->memory = command.receive[0];
    return dma_look(device, dma);
}

int64_t pci_dma_alloc(const struct pci_device *device, uint64_t length, uint32_t flags,
                      struct pci_dma *dma)
{
    return dma_ask(device, length, flags, 0, dma);
}

int64_t pci_dma_lend(const struct pci_device *device, uint64_t length, uint32_t flags,
                     struct pci_dma *dma)
{
    return dma_ask(device, length, flags, PCI_DMA_LENT, dma);
}

int64_t pci_dma_again(const struct pci_device *device, handle_t memory, struct pci_dma *dma)
{
    *dma = (struct pci_dma){.memory = memory};
    struct abi_command command = {.op = PCI_DMA_AGAIN, .send_count = 1};
    int64_t size = sys_memory_op(memory, MEMORY_OP_SIZE, 0, 0, NULL);
    int64_t result = size < 0 ? size : handle_copy(memory, RIGHT_ALL);
    if (result >= 0) {
        command.send[0] = (handle_t)result;
        dma->length = (uint64_t)size;
        result = ask(device, &command);
    }
    if (result < 0) {
        handle_drop(memory);
        dma->memory = HANDLE_NONE;
        return result;
    }
    dma->number = command.values[0];
    return dma_look(device, dma);
}

void pci_dma_forget(const struct pci_device *device, uint64_t number)
{
    struct abi_command command = {.op = PCI_DMA_FREE, .args = {number}};
    sys_ignore(ask(device, &command));
}

void pci_dma_free(const struct pci_device *device, struct pci_dma *dma)
{
    if (dma->memory == HANDLE_NONE)
        return;
    if (dma->bytes)
        sys_ignore(sys_space_unmap(HANDLE_SELF, (uintptr_t)dma->bytes, dma->length));
    handle_drop(dma->memory);
    free(dma->pages);
    pci_dma_forget(device, dma->number);
    *dma = (struct pci_dma){.memory = HANDLE_NONE};
}
