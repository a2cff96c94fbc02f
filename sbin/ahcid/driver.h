/* An adapter's disks at the service of lib/disk: what it asks for, what the adapter tells by its interrupt, and a timer that brings
 * the deadlines of port.c.
 *
 *     disk request --start--> a slot of the port --interrupt--> disk_done
 */
#pragma once

#include <stdint.h>

/* What is bound to the port with which key. */
enum ahcid_key { AHCID_KEY_IRQ, AHCID_KEY_TIMER };

/* function: "pci:///00:1f.2". Returns when there is nothing to serve (any more): -E_*. */
int64_t ahcid_serve(const char *function);
