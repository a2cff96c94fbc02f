/* A controller's disks at the service of lib/disk: what it asks for, and what the controller tells by its interrupts.
 *
 *     disk request --start--> a pair of queues --interrupt--> disk_done
 *                                |
 *                                +- not done in time, or a queue is broken: the controller is reset, what was under way begins anew
 */
#pragma once

#include <stdint.h>

/* What is bound to the port with which key: interrupts with their index, and a timer. */
#define NVMED_KEY_LATER UINT64_C(0x10000)

/* function: "pci:///00:12.0". Returns when there is nothing to serve (any more): -E_*. */
int64_t nvmed_serve(const char *function);
