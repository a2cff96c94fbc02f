/* What a driver asks of its device: the operations of abi/pci.h, on a claimed function's file. */
#pragma once

#include "lib/sys/service.h"

command_handler pci_describe, pci_config_read, pci_config_write, pci_bar, pci_interrupt, pci_dma,
    pci_dma_free, pci_do_reset;
