/* The volume that this process serves.
 *
 *     volume_start(port, uri)                 what a predecessor of this process had mounted, or what vfsd says
 *     volume_sync()                           everything that was written is on the platter
 *
 * Kept with the port: the device's file, the library's memory, open files (opens.h), and the pages of files (cache.h). All of
 * it is found by the next process, which goes on with it.
 *
 * Lock: volume_lock, for all of this process but the connection to vfsd. Who calls the library holds it.
 */
#pragma once

#include <pthread.h>

#include "lib/fat/fat.h"
#include "lib/sys/syscall.h"
#include "sbin/fsd.fat32/device.h"

#define STORE_KEY_DEVICE 1u
#define STORE_KEY_FLAGS  2u
#define STORE_KEY_FAT    3u
#define STORE_KEY_OPENS  4u
#define STORE_KEY_DATA   (UINT64_C(1) << 63) /* | fat_id: a file's pages */

extern pthread_mutex_t volume_lock;
extern handle_t volume_port;
extern struct fat_volume *volume; /* NULL: none is mounted */
extern struct device volume_device;
extern uint32_t volume_number; /* of volumes:// */

/* volumes:///<number>; recovers or waits for vfsd. E_*: it cannot be served. */
MUST_CHECK int64_t volume_start(handle_t port, const char *uri);
bool volume_read_only(void);
MUST_CHECK int64_t volume_sync(void);
/* Before pages come: others go when there are many. */
void volume_make_room(void);
/* vfsd is told that nothing is open any more, if that is so. */
void volume_closed(void);
/* The process ends: on the platter, and marked as properly left. */
void volume_stop(void);

/* Something was changed: it is written back after a while. */
void volume_changed(void);
/* So many bytes of files were. */
void volume_wrote(uint64_t bytes);
int64_t volume_deadline(void *context);
void volume_expired(void *context);
