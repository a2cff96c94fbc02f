/* The driver's side of pci:// (abi/pci.h): one function, and what its driver needs of it.
 *
 *     pci_claim(&device, "pci:///00:04.0")                       E_BUSY: another driver has it; E_PERMISSION: it is not ours
 *     pci_map(&device, 0, 0, 4096, CACHE_NONE, &registers)       a part of a BAR
 *     pci_interrupt(&device, PCI_INTERRUPT_ANY, 0, &irq)         to wait for, or to bind to a port
 *     pci_dma_alloc(&device, length, MEMORY_CONTIGUOUS, &dma)    memory, and its addresses for the device
 *     pci_release(&device)                                       or the driver's end: pcid makes the function quiet
 *
 * Results are 0 or -E_*. What the device says of itself (the description, its configuration space) was checked by pcid as far
 * as others are concerned; what lies in its BARs and in DMA memory is the device's word, and changes at any moment.
 */
#pragma once

#include "abi/pci.h"
#include "lib/sys/syscall.h"

#define PCI_CONFIG_LEGACY 256u /* bytes of configuration space that every function has */

struct pci_device {
    handle_t file; /* the claim */
    struct pci_description description;
};

struct pci_dma {
    uint8_t *bytes;
    uint64_t length; /* whole pages */
    uint64_t number; /* pcid's */
    uint64_t *pages; /* the address of each, for the device */
    handle_t memory; /* with RIGHT_CONTROL */
};

MUST_CHECK int64_t pci_claim(struct pci_device *device, const char *function);
/* The same with a claim that is there, and that becomes the device's: one that outlived a driver. */
MUST_CHECK int64_t pci_attach(struct pci_device *device, handle_t claim);
void pci_release(struct pci_device *device);

/* Its configuration space as it is now, the first PCI_CONFIG_LEGACY bytes. */
MUST_CHECK int64_t pci_config_copy(const char *function, uint8_t *bytes);
/* PCI_COMMAND_MASTER, _MEMORY and _PORTS: these are on, the others are off. */
MUST_CHECK int64_t pci_enable(const struct pci_device *device, uint32_t what);

/* The BAR's memory, which the device decodes from now on; it begins at *offset in it. E_NOT_SUPPORTED: a BAR of ports. */
MUST_CHECK int64_t pci_bar(const struct pci_device *device, uint32_t bar, uint32_t cache,
                           handle_t *memory, uint64_t *offset, uint64_t *length);
/* [offset, offset + length) of a BAR of memory, mapped for good. E_RANGE: it is not that long. */
MUST_CHECK int64_t pci_map(const struct pci_device *device, uint32_t bar, uint64_t offset,
                           uint64_t length, uint32_t cache, volatile void **at);
/* The process may use the ports of the BAR, for its life: description.bars[bar] says which. E_NOT_SUPPORTED: a BAR of memory. */
MUST_CHECK int64_t pci_ports(const struct pci_device *device, uint32_t bar);

/* index: of a MSI-X vector. */
MUST_CHECK int64_t pci_interrupt(const struct pci_device *device, uint32_t kind, uint32_t index,
                                 handle_t *irq);

/* Zero; flags: MEMORY_CONTIGUOUS, MEMORY_DMA32. */
MUST_CHECK int64_t pci_dma_alloc(const struct pci_device *device, uint64_t length, uint32_t flags,
                                 struct pci_dma *dma);
/* The same for memory that others are given, too, by a copy of its handle without RIGHT_CONTROL. It outlives the claim with
 * them; a driver that comes back and has kept the handle reaches it again (the handle becomes dma's). */
MUST_CHECK int64_t pci_dma_lend(const struct pci_device *device, uint64_t length, uint32_t flags,
                                struct pci_dma *dma);
MUST_CHECK int64_t pci_dma_again(const struct pci_device *device, handle_t memory,
                                 struct pci_dma *dma);
/* The device has let go of it. */
void pci_dma_free(const struct pci_device *device, struct pci_dma *dma);
/* The same of memory that a driver before us had, by its number. */
void pci_dma_forget(const struct pci_device *device, uint64_t number);

/* Where the device finds the byte at offset. The next one is behind it up to the end of the page, in contiguous memory
 * everywhere. */
static inline uint64_t pci_dma_address(const struct pci_dma *dma, uint64_t offset)
{
    return dma->pages[offset / PAGE_SIZE] + offset % PAGE_SIZE;
}
