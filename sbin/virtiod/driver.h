/* A virtio-blk device at the service of lib/disk.
 *
 *     lib/disk --start--> request.c --the queue--> device --interrupt--> device_notified --disk_done--> lib/disk
 *
 * What is not done in time has the device reset, and is begun anew. A device at fault, which breaks its queue or does not come back, ends the
 * process: the next one begins with a reset, and what was under way is sent again by the relay.
 */
#pragma once

#include <stdint.h>

/* Keys of notifications. */
#define VIRTIOD_KEY_CONFIG UINT64_C(1)
#define VIRTIOD_KEY_QUEUE  UINT64_C(2)

/* function: "pci:///00:04.0". Returns when there is nothing to serve (any more): -E_*. */
int64_t virtiod_serve(const char *function);
