/* What a driver asks of its device: the operations of abi/pci.h, on a claimed function's file. */
#pragma once

#include "lib/sys/service.h"

/* Of all of them, PCI_DESCRIBE to PCI_DMA_AGAIN. */
command_handler driver_command;
