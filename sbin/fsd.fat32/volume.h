/* The volume that this process serves.
 *
 *     volume_start(port, uri)                 what a predecessor of this process had mounted, or what vfsd says
 *     volume_sync()                           everything that was written is on the platter
 *
 * Kept with the port: the device's file, the library's memory, open files (opens.h), and the pages of files (cache.h). All of
 * it is found by the next process, which goes on with it.
 *
 * One thread serves, and does all of this. Another one is connected with vfsd: what is wanted there it has done by the first
 * (volume_notified), and waits.
 */
#pragma once

#include "lib/fat/fat.h"
#include "lib/sys/syscall.h"
#include "sbin/fsd.fat32/device.h"

#define STORE_KEY_DEVICE 1u
#define STORE_KEY_FLAGS  2u
#define STORE_KEY_FAT    3u
#define STORE_KEY_OPENS  4u

/* | fat_id: of a file, that clients have its pages to write to (what is kept means nothing); its pages. */
#define STORE_KEY_WRITTEN (UINT64_C(1) << 62)
#define STORE_KEY_DATA    (UINT64_C(1) << 63)

extern handle_t volume_port;
extern struct fat_volume *volume; /* NULL: none is mounted */
extern struct device volume_device;
extern uint32_t volume_number; /* of volumes:// */

/* volumes:///<number>; recovers or waits for vfsd. E_*: it cannot be served. */
MUST_CHECK int64_t volume_start(handle_t port, const char *uri);
bool volume_read_only(void);
MUST_CHECK int64_t volume_sync(void);
/* The same, but other files' bad places are not this one's. */
struct file;
MUST_CHECK int64_t volume_sync_file(struct file *file);
/* Before pages, or a file, come: others go when there are many. */
void volume_make_room(void), volume_make_file_room(void);
/* vfsd is told that nothing is open any more, if that is so and it waits for it. */
void volume_closed(void);
/* ... it does: closings are to be told of. */
bool volume_ending(void);
/* The process ends: on the platter, and marked as properly left. */
void volume_stop(void);

/* Something was changed: it is written back after a while. */
void volume_changed(void);
/* So many bytes of files were. */
void volume_wrote(uint64_t bytes);
/* What the port is told: it is time to write back, or vfsd wants something. */
void volume_notified(void *context, uint64_t key, uint64_t signals);
