/* The adapter (host bus adapter, HBA): claimed, taken over from the firmware, reset; its ports.
 *
 *     ahci_open(&adapter, "pci:///00:1f.2", &owner)     every port is open; bind adapter.irq
 *     ahci_begin(&adapter, now)
 *     ahci_interrupt(&adapter, now)                     it has fired
 *     ahci_tick(&adapter, now)                          ahci_deadline() has come
 *
 * Results are 0 or -E_*.
 */
#pragma once

#include "sbin/ahcid/port.h"

struct ahci_adapter {
    struct pci_device pci;
    volatile uint8_t *registers;
    uint32_t capabilities, port_bits;
    handle_t irq;
    struct ahci_port ports[AHCI_PORTS]; /* those of port_bits */
};

/* E_NOT_SUPPORTED: it cannot reach all memory. */
MUST_CHECK int64_t ahci_open(struct ahci_adapter *adapter, const char *function,
                             const struct ahci_port_owner *owner);
void ahci_begin(struct ahci_adapter *adapter, int64_t now);
/* False: it is not there any more. */
MUST_CHECK bool ahci_interrupt(struct ahci_adapter *adapter, int64_t now);
void ahci_tick(struct ahci_adapter *adapter, int64_t now);
int64_t ahci_deadline(const struct ahci_adapter *adapter);
/* Of every port it is known what is there. */
bool ahci_is_settled(const struct ahci_adapter *adapter);
