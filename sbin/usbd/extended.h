/* Extended capabilities of a controller (xHCI 1.2, 7): the firmware's hold on it, and which of its ports speak what. Pure.
 *
 * They are a list in the BAR, read through a function so that tests have one of their own. It may not lead anybody astray: each
 * entry lies behind the one before it and within the BAR.
 */
#pragma once

#include "lib/base/base.h"

struct extended {
    uint32_t (*read)(void *context, uint32_t offset);
    void *context;
    uint32_t length; /* of the BAR */
    uint32_t first;  /* offset of the first one; 0: none */
};

/* The first one of this id behind *at (0: from the first on), which becomes its offset; false: there is none. */
MUST_CHECK bool extended_next(const struct extended *extended, uint8_t id, uint32_t *at);

#define EXTENDED_PORTS 256u

/* For each port from 1 on: 2 or 3, the generation it speaks; 0: nobody says. */
void extended_ports(const struct extended *extended, uint8_t ports, uint8_t major[EXTENDED_PORTS]);
