/* Memory: see memory.h. */
#include "sbin/usb.storage/memory.h"

#include <stdlib.h>

#include "lib/disk/driver.h"
#include "sbin/usb.storage/pipes.h"

static const struct pipes *pipes_of(const struct disk_host *host)
{
    return host->context;
}

/* As lib/disk wants to see it. */
static int64_t memory_take(const struct pipes *pipes, struct usb_memory *memory, handle_t handle,
                           struct pci_dma *dma)
{
    *dma = (struct pci_dma){.bytes = memory->bytes,
                            .length = ALIGN_UP(memory->length, (uint64_t)PAGE_SIZE),
                            .number = memory->number,
                            .memory = handle};
    dma->pages = calloc(dma->length / PAGE_SIZE, sizeof(*dma->pages));
    if (!dma->pages) {
        usb_memory_free(&pipes->claim, memory);
        handle_drop(handle);
        dma->memory = HANDLE_NONE;
        return -E_NO_MEMORY;
    }
    for (uint64_t i = 0; i < dma->length / PAGE_SIZE; i++)
        dma->pages[i] = PIPES_ADDRESS(dma->number, i * PAGE_SIZE);
    return 0;
}

static int64_t memory_error(int64_t error)
{
    return pipes_alive(error) == -E_CLOSED ? -E_NO_DEVICE : error;
}

static int64_t memory_make(struct disk_host *host, uint64_t length, struct pci_dma *dma)
{
    const struct pipes *pipes = pipes_of(host);
    struct usb_memory memory;
    int64_t result = usb_memory(&pipes->claim, length, &memory);
    dma->memory = HANDLE_NONE;
    return result < 0 ? memory_error(result) : memory_take(pipes, &memory, HANDLE_NONE, dma);
}

static int64_t memory_lend(struct disk_host *host, uint64_t length, struct pci_dma *dma)
{
    const struct pipes *pipes = pipes_of(host);
    struct usb_memory memory;
    handle_t handle;
    int64_t result = usb_memory_lend(&pipes->claim, length, &memory, &handle);
    dma->memory = HANDLE_NONE;
    return result < 0 ? memory_error(result) : memory_take(pipes, &memory, handle, dma);
}

static int64_t memory_again(struct disk_host *host, handle_t handle, struct pci_dma *dma)
{
    const struct pipes *pipes = pipes_of(host);
    struct usb_memory memory;
    int64_t result = usb_memory_again(&pipes->claim, handle, &memory);
    if (result >= 0)
        return memory_take(pipes, &memory, handle, dma);
    handle_drop(handle);
    dma->memory = HANDLE_NONE;
    return memory_error(result);
}

static void memory_free(struct disk_host *host, struct pci_dma *dma)
{
    struct usb_memory memory = {dma->bytes, dma->length, dma->number};
    if (dma->memory == HANDLE_NONE)
        return;
    usb_memory_free(&pipes_of(host)->claim, &memory);
    handle_drop(dma->memory);
    free(dma->pages);
    *dma = (struct pci_dma){.memory = HANDLE_NONE};
}

const struct disk_memory usb_disk_memory = {memory_make, memory_lend, memory_again, memory_free};
