/* The threads that speak to the device, each with a lane of its transport, while the main thread serves disk://. As many as there are lanes, but no
 * more than there was ever work for at once.
 *
 *     worker_init(&worker, lanes, count)      its units are opened, and loaded where there is a medium
 *     worker_run(&worker, port)               from then on the device is the threads'
 *     worker_put(&worker, request)            main thread: to be carried out
 *     worker_take(&worker, &request, &status) ... was; false: there is none
 *     worker_news(&worker, unit)              ... what is new of the unit, to be answered by:
 *     worker_serve(&worker, unit, before, disk)    ... requests for this disk are carried out; NULL: for none
 *
 * The port is notified when there is something to take, or news. `lock` is of everything but what units know of themselves (storage.h), and
 * is not held while anything is said to the device. The first thread looks after media.
 *
 *     LOADED, news told, not served --serve(disk)--> served --medium gone--> EMPTY, when nothing is under way: news told --serve(NULL)--> EMPTY
 *       ^                                                                                                                              |
 *       '------------------------------------ looked at every LOOK_NS: a medium is there -----------------------------------------------'
 */
#pragma once

#include <pthread.h>

#include "lib/disk/driver.h"
#include "lib/usb/storage.h"

enum worker_news { NEWS_NONE, NEWS_LOADED, NEWS_EMPTY };

struct worker_unit {
    bool there;       /* it is something that has blocks */
    int64_t reported; /* why it could not be loaded */
    struct storage_unit storage;
    enum worker_news news; /* until the main thread has answered it, the unit is left alone */
    struct disk *serves;   /* whose requests are carried out */
    uint32_t under_way;    /* requests that lanes are at work on */
};

/* Requests linked by their own[0]; own[1] is the status. */
struct worker_queue {
    struct disk_request *first, *last;
};

struct worker {
    struct transport *transport;
    struct lane **lanes; /* those that are free */
    uint32_t lane_count, free_count;
    struct worker_unit units[STORAGE_UNITS];
    uint32_t unit_count;
    bool removable; /* some unit's medium is */
    bool gone;      /* the device is: the threads end */
    handle_t port;
    uint32_t threads, idle, returning; /* how many there are, wait, are about to look into todo */
    uint32_t waiting;                  /* requests in `todo` */
    pthread_mutex_t lock;
    pthread_cond_t wanted, returned; /* a request; a lane */
    struct worker_queue todo, done;
};

/* lanes: the worker's from now on. -E_NOT_SUPPORTED: none of its units is for us; others: the end. */
MUST_CHECK int64_t worker_init(struct worker *worker, struct lane **lanes, uint32_t count);
MUST_CHECK int64_t worker_run(struct worker *worker, handle_t port);

void worker_put(struct worker *worker, struct disk_request *request);
bool worker_take(struct worker *worker, struct disk_request **request, int64_t *status);
enum worker_news worker_news(struct worker *worker, struct worker_unit *unit);
/* Requests of the disk `before` are forgotten; either may be NULL. */
void worker_serve(struct worker *worker, struct worker_unit *unit, struct disk *before,
                  struct disk *disk);
/* At the end of the system: what the unit has in its cache goes to the medium. Waits, for a lane too. */
void worker_flush(struct worker *worker, struct worker_unit *unit);
