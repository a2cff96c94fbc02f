/* What a function's configuration space says of it, checked: nothing it says is believed that could lead anybody astray.
 *
 *     pci_walk(config, segment, first, last, found, context)   every function there is, bridges' buses included
 *     pci_read(config, where, &function)                       header, BARs with their sizes, capabilities
 *     pci_quiet(config, &function)                             no bus mastering, no interrupts
 *     pci_may_write(config, &function, offset, size)           whether a driver may
 *
 * Hostile devices: capability lists may loop, bridges may lead back, BARs may claim what is not theirs to claim. Reading
 * BARs' sizes moves them for a moment: nobody may use the function meanwhile.
 */
#pragma once

#include "abi/pci.h"
#include "sbin/pcid/config.h"

struct pci_bar {
    uint64_t base, length; /* length 0: none, or not usable */
    uint32_t flags;        /* PCI_BAR_* */
    uint32_t reserved;
};

struct pci_function {
    uint32_t where;
    uint32_t requester; /* whom its requests name (bridge.h); `where` if no bridge changes it */
    uint16_t vendor, device, subsystem_vendor, subsystem;
    uint32_t class_code;
    uint8_t revision, header; /* header: 0 a device, 1 a PCI bridge, 2 a CardBus bridge */
    uint8_t pin;              /* 0: none */
    uint8_t secondary;        /* of a bridge: the bus behind it */
    /* Where capabilities lie; 0: it has none of the kind. */
    uint8_t msi, msix, power, express, advanced;
    uint8_t msix_bar;
    uint16_t msix_count;
    uint32_t msix_table; /* offset in that BAR */
    struct pci_bar bars[PCI_BARS];
    uint64_t owner; /* process; 0: nobody (claim.c) */
};

#define PCI_CAPABILITIES_MOST   48u /* of four bytes each, behind the header */
#define PCI_CAPABILITY_POWER    0x01u
#define PCI_CAPABILITY_MSI      0x05u
#define PCI_CAPABILITY_VENDOR   0x09u
#define PCI_CAPABILITY_EXPRESS  0x10u
#define PCI_CAPABILITY_MSIX     0x11u
#define PCI_CAPABILITY_ADVANCED 0x13u

/* False: there is none. */
bool pci_read(const struct config *config, uint32_t where, struct pci_function *function);
/* The capabilities, in the order of the list, each once; false: the end. *at starts at 0. */
bool pci_capability_next(const struct config *config, uint32_t where, uint8_t *at, uint8_t *id);

/* `found` for every function on the buses first to last; false ends the walk. */
void pci_walk(const struct config *config, uint32_t segment, uint32_t first, uint32_t last,
              bool (*found)(void *context, const struct pci_function *function), void *context);

/* Sets bits of the command register. */
void pci_enable(const struct config *config, const struct pci_function *function, uint32_t what);
void pci_quiet(const struct config *config, const struct pci_function *function);
bool pci_may_write(const struct config *config, const struct pci_function *function,
                   uint32_t offset, uint32_t size);
/* A function-level reset; what the firmware set up of the header is there again afterwards, decoding and interrupts are off.
 * `wait` lets 100 ms pass. False: it has none. */
bool pci_reset(const struct config *config, const struct pci_function *function,
               void (*wait)(void));
