/* Memory that the device reaches: its PCI function's, unless the driver has something else (driver.h). */
#include "lib/disk/internal.h"

static int64_t function_make(struct disk_host *host, uint64_t length, struct pci_dma *dma)
{
    return pci_dma_alloc(host->pci, length, MEMORY_CONTIGUOUS, dma);
}

static int64_t function_lend(struct disk_host *host, uint64_t length, struct pci_dma *dma)
{
    return pci_dma_lend(host->pci, length, MEMORY_STAYS, dma);
}

static int64_t function_again(struct disk_host *host, handle_t memory, struct pci_dma *dma)
{
    return pci_dma_again(host->pci, memory, dma);
}

static void function_free(struct disk_host *host, struct pci_dma *dma)
{
    pci_dma_free(host->pci, dma);
}

const struct disk_memory *memory_of(const struct disk_host *host)
{
    static const struct disk_memory function = {function_make, function_lend, function_again,
                                                function_free};
    return host->driver->memory ? host->driver->memory : &function;
}
