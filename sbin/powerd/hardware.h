/* Ports and device memory as the firmware's code reaches them: each is opened when it is first used, if this service's
 * resources (service.conf) have it. What they have not is refused, once for each with a line on the log. One thread.
 */
#pragma once

#include "lib/base/base.h"

void hardware_prepare(void);

/* width: 8, 16 or 32 bits. False: not ours. */
bool hardware_port_read(uint64_t port, unsigned width, uint32_t *value);
bool hardware_port_write(uint64_t port, unsigned width, uint32_t value);

/* Device memory, uncached; NULL: not ours, or RAM, or the kernel's. */
void *hardware_map(uint64_t address, uint64_t length);
void hardware_unmap(void *mapped, uint64_t length);
