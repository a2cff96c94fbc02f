/* pci://: what a driver asks of its device.
 *
 * pci:///<bus>:<device>.<function> is a folder: `info` for people, `config` the configuration space, read-only, and
 * `device`, which a driver opens to claim the function (OPEN_READ | OPEN_WRITE): E_PERMISSION unless it was started for that one
 * (abi/bus.h), or opens it below pci-claim://, which has the same files; E_BUSY while another has it. The claim lasts
 * until the last handle of that file is gone. Then the function's bus mastering and interrupts go off before anything else
 * happens to it or to its DMA memory. Numbers are those of the PCI Local Bus Specification 3.0, chapter 6.
 */
#pragma once

#include <stdint.h>

#include "abi/ops.h"

#define PCI_BARS        6u
#define PCI_CONFIG_SIZE 4096u /* of a function with PCI Express' registers; 256 else */

enum pci_op {
    PCI_DESCRIBE = OP_PROTOCOL, /* out: struct pci_description */
    PCI_CONFIG_READ,            /* args: offset, size (1, 2, 4, aligned); value */
    PCI_CONFIG_WRITE, /* args: offset, size, value. E_PERMISSION where it would reach beyond the device; of the command
                       * register only PCI_COMMAND_DRIVER is changed */
    PCI_BAR, /* args: index, CACHE_*; values: offset in the memory, length, PCI_BAR_* flags; handle: memory, or a
                    * resource of ports. The function decodes it from now on */
    PCI_INTERRUPT, /* args: PCI_INTERRUPT_*, index (MSI-X), CPU or IRQ_ANY_CPU; value: which it is; handle: IRQ.
                    * A message is a write: bus mastering is on from now on */
    PCI_DMA, /* args: length, MEMORY_*, PCI_DMA_LENT or 0; value: its number; handle: memory, for MEMORY_OP_PHYSICAL, too */
    PCI_DMA_FREE,  /* args: number. The device has let go of it */
    PCI_RESET,     /* the function as after power-on, where it can do that: E_NOT_SUPPORTED */
    PCI_DMA_AGAIN, /* send: memory of a PCI_DMA with PCI_DMA_LENT (RIGHT_CONTROL), which a driver before had; value: its number.
                    * E_INVALID: other memory */
};

#define PCI_BAR_PORTS        0x1u
#define PCI_BAR_64           0x2u
#define PCI_BAR_PREFETCHABLE 0x4u

/* Others are given it, too, so that it may outlive the claim: then it says nothing of whether the driver lives. */
#define PCI_DMA_LENT 1u

#define PCI_INTERRUPT_ANY  0u /* the best there is of the others */
#define PCI_INTERRUPT_LINE 1u
#define PCI_INTERRUPT_MSI  2u
#define PCI_INTERRUPT_MSIX 3u

#define PCI_COMMAND_PORTS   0x001u
#define PCI_COMMAND_MEMORY  0x002u
#define PCI_COMMAND_MASTER  0x004u
#define PCI_COMMAND_NO_LINE 0x400u /* INTA is off */
#define PCI_COMMAND_DRIVER  (PCI_COMMAND_PORTS | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)

struct pci_description {
    uint16_t segment;
    uint8_t bus, device_function; /* device << 3 | function */
    uint16_t vendor, device, subsystem_vendor, subsystem;
    uint32_t class_code;   /* base << 16 | sub << 8 | interface */
    uint8_t revision, pin; /* pin: 0 none, 1 INTA, ... */
    uint16_t msix_count;   /* vectors; 0: no MSI-X */
    uint32_t msi;          /* 1: it has MSI */
    struct {
        uint64_t base, length; /* 0: none, or nobody has given it an address */
        uint32_t flags, reserved;
    } bars[PCI_BARS];
};
