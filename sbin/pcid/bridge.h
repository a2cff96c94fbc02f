/* Bridges between a function and its root bus.
 *
 *     bridge_parent(config, where, &bridge)     the one that leads to the function's bus; false: it is a root bus
 *     bridge_requester(config, where)           in whose name IOMMUs see what the function asks of memory
 *
 * A parent has a lower bus number: what bridges say cannot lead in circles.
 */
#pragma once

#include "sbin/pcid/config.h"

bool bridge_parent(const struct config *config, uint32_t where, uint32_t *bridge);

/* On PCI Express a request names its function. Conventional PCI knows no such names, so a bridge puts one on what comes through it: one to PCI
 * Express that of device 0, function 0 of the bus behind it (PCI Express to PCI Bridge 1.0, 2.3), every other its own. */
uint32_t bridge_requester(const struct config *config, uint32_t where);
