/* Which interrupt line a function's INTA..INTD is on. The firmware tells by AML (_PRT), which is not run here; two chip sets are
 * known by heart, and every other has messages only.
 *
 *     route_line(config, &function, &line, &flags)     for irq_bind; false: nobody knows
 */
#pragma once

#include "sbin/pcid/function.h"

bool route_line(const struct config *config, const struct pci_function *function, uint32_t *line,
                uint32_t *flags);
