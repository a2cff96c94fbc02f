/* The thread that speaks to the device: one command at a time, whichever unit it is for, while the main thread serves disk://.
 *
 *     worker_init(&worker, &bulk)             its units are opened, and loaded where there is a medium
 *     worker_run(&worker, port)               from then on the device is the thread's
 *     worker_put(&worker, request)            main thread: to be carried out
 *     worker_take(&worker, &request, &status) ... was; false: there is none
 *     worker_news(&worker, unit)              ... what is new of the unit, to be answered by:
 *     worker_serve(&worker, unit, before, disk)    ... requests for this disk are carried out; NULL: for none
 *
 * The port is notified when there is something to take, or news. `lock` is of the queues, `serves`, `news` and `gone`; `device`, with
 * which it is never held, of whatever is said to the device. What a unit knows of itself is the thread's, but while there is news of it.
 *
 *     LOADED, news told, not served --serve(disk)--> served --medium gone--> EMPTY, news told --serve(NULL)--> EMPTY
 *       ^                                                                                                        |
 *       '------------------------------------ looked at every LOOK_NS: a medium is there -------------------------'
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
};

/* Requests linked by their own[0]; own[1] is the status. */
struct worker_queue {
    struct disk_request *first, *last;
};

struct worker {
    struct bulk_only *bulk;
    struct worker_unit units[BULK_UNITS_MAX];
    uint32_t unit_count;
    bool removable; /* some unit's medium is */
    bool gone;      /* the device is: the thread has ended */
    handle_t port;
    pthread_mutex_t device, lock;
    pthread_cond_t wanted;
    struct worker_queue todo, done;
};

/* -E_NOT_SUPPORTED: none of its units is for us; others: the end. */
MUST_CHECK int64_t worker_init(struct worker *worker, struct bulk_only *bulk);
MUST_CHECK int64_t worker_run(struct worker *worker, handle_t port);

void worker_put(struct worker *worker, struct disk_request *request);
bool worker_take(struct worker *worker, struct disk_request **request, int64_t *status);
enum worker_news worker_news(struct worker *worker, struct worker_unit *unit);
/* Requests of the disk `before` are forgotten; either may be NULL. */
void worker_serve(struct worker *worker, struct worker_unit *unit, struct disk *before,
                  struct disk *disk);
/* At the end of the system: what the unit has in its cache goes to the medium. Waits. */
void worker_flush(struct worker *worker, struct worker_unit *unit);
