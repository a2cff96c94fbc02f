/* Interrupts of claimed functions: messages (MSI-X, MSI) or the line. Nobody but pcid writes a message into a device: it is a vector
 * of a CPU.
 *
 *     interrupts_start(port)
 *     interrupt_give(index, kind, entry, cpu, &chosen)      a handle for the driver
 *     interrupts_end(index)
 *
 * A copy of each is kept by the port and watched for storms: SIGNAL_ERROR comes as a notification with the key index + 1.
 */
#pragma once

#include "abi/abi.h"
#include "lib/base/base.h"

MUST_CHECK int64_t interrupts_start(handle_t port);
/* kind: PCI_INTERRUPT_*; entry: of the MSI-X table. */
MUST_CHECK int64_t interrupt_give(uint32_t index, uint32_t kind, uint32_t entry, uint32_t cpu,
                                  uint64_t *chosen);
/* Of a function that is quiet. */
void interrupts_end(uint32_t index);
