/* Resets of functions that have none of PCI's own (pci_reset), by registers of theirs.
 *
 * Bus mastering that is off keeps a device from beginning to read and write memory. What an emulated one (QEMU's) is in the middle
 * of goes on for all that, into memory that is somebody else's soon. So kinds of devices whose drivers die with much under way, and which QEMU does
 * not give a function-level reset, are known here by how they are reset.
 */
#pragma once

#include "sbin/pcid/function.h"

/* The BAR that has the register is decoded from now on. False: it is of no kind that is known here, or it does not answer. May wait a
 * second. */
bool device_reset(const struct config *config, const struct pci_function *function);
