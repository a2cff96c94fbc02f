/* Drivers: their ports, as they showed them, and the disks behind these.
 *
 *     links_attach("00:04.0", port)       a driver has shown its port: for the first time, or once more
 *     link_open(link, path, flags, token) what the driver answers is the answer to the open with this token
 *     link_rescan(link, token)            its disks are looked at again, then the command is answered
 *
 * Each has two threads, so that a driver that hangs keeps nobody from the others' disks: one asks it, in the order things are
 * wanted of it; the other waits for it to say that its list has changed, and has the first one look.
 *
 *     (none) --attached--> BEGINNING --its list--> UP --list changed--> UP
 *       ^                                           |
 *       +-- its port is closed, or it does not -----+ (a driver that is started again does, and nothing is noticed here)
 *           come back in time
 *
 * links_lock is of everything below; it is never held while a driver is asked.
 */
#pragma once

#include <pthread.h>

#include "lib/base/list.h"
#include "sbin/diskd/scan.h"

#define FUNCTION_MAX 31u

struct link {
    struct list link; /* of links, in the order of their functions */
    char function[FUNCTION_MAX + 1];
    bool up;
    struct scanned *disks; /* as last seen */
    uint32_t disk_count;

    struct list wants; /* of the thread that asks */
    pthread_cond_t wanted, done;
    handle_t shown; /* a namespace with the port that was shown last; HANDLE_NONE: it is in use */
    handle_t namespace, root; /* the asking thread's */
};

extern pthread_mutex_t links_lock;
extern struct list links;

/* changed: called with links_lock held, whenever there are other disks than before. */
void links_start(handle_t port, void (*changed)(void));

MUST_CHECK int64_t links_attach(const char *function, handle_t port);

/* With links_lock held. 0: the command is answered later. path: behind DRIVER_SCHEME ":///". */
MUST_CHECK int64_t link_open(struct link *link, const char *path, uint32_t flags, uint64_t token);
MUST_CHECK int64_t link_rescan(struct link *link, uint64_t token);
