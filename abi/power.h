/* power://, the machine's switch.
 *
 * Commands are for uid 0 (E_PERMISSION) and at once: what is to be stopped first has init stop it (SIGUSR2 and SIGTERM to
 * pid 1). They return only when they fail. Reading power:/// tells people what the machine has.
 */
#pragma once

#include <stdint.h>

#include "abi/ops.h"

enum power_op {
    POWER_OFF = OP_PROTOCOL, /* the firmware's way, else the kernel's */
    POWER_RESET,
};

/* In the software notification of power://'s port (port_notify), so from whoever made it: POWER_OFF. */
#define POWER_NOTIFY_OFF UINT64_C(1)
