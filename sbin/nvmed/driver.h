/* A controller's disks at the service of lib/disk: what it asks for, and what the controller tells by its interrupts.
 *
 *     disk request --start--> a pair of queues --interrupt--> disk_done
 *                                |
 *                                +- not done in time, or a queue is broken: the controller is reset, what was under way begins anew
 */
#pragma once

#include <stdint.h>

/* function: "pci:///00:12.0". Returns when there is nothing to serve (any more): -E_*. */
int64_t nvmed_serve(const char *function);
