/* Requests, one after the other: see worker.h. */
#include "sbin/usb.storage/worker.h"

#include <stdio.h>
#include <time.h>

#include "lib/sys/clock.h"
#include "lib/sys/error.h"

#define SECOND  INT64_C(1000000000)
#define LOOK_NS (2 * SECOND) /* between two looks whether there is a medium */

/* --- queues --- */

static void queue_put(struct worker_queue *queue, struct disk_request *request)
{
    request->own[0] = 0;
    if (queue->last)
        queue->last->own[0] = (uintptr_t)request;
    else
        queue->first = request;
    queue->last = request;
}

static struct disk_request *queue_take(struct worker_queue *queue)
{
    struct disk_request *request = queue->first;
    if (!request)
        return NULL;
    queue->first = (struct disk_request *)(uintptr_t)request->own[0];
    if (!queue->first)
        queue->last = NULL;
    return request;
}

static void queue_forget(struct worker_queue *queue, const struct disk *disk)
{
    struct worker_queue kept = {0};
    struct disk_request *request;
    while ((request = queue_take(queue)))
        if (request->disk != disk)
            queue_put(&kept, request);
    *queue = kept;
}

/* --- units --- */

/* What there is to say, once, of a unit that cannot be worked with; no medium is nothing to speak of. */
static void unit_report(struct worker_unit *unit, int64_t result)
{
    const struct storage_unit *storage = &unit->storage;
    if (result != unit->reported && result < 0 && result != -E_NO_DEVICE)
        fprintf(stderr, "unit %u, %s %s: %s (sense %x/%02x/%02x)\n", storage->number,
                storage->inquiry.vendor, storage->inquiry.product, error_text(result),
                storage->sense.key, storage->sense.code, storage->sense.qualifier);
    unit->reported = result;
}

static int64_t unit_open(struct worker *worker, struct worker_unit *unit, uint8_t number)
{
    int64_t result = storage_open(&unit->storage, worker->bulk, number);
    unit->there = result >= 0;
    if (result >= 0)
        result = storage_load(&unit->storage);
    if (worker->bulk->over)
        return worker->bulk->over;
    unit_report(unit, result);
    worker->removable |= unit->there && unit->storage.inquiry.removable;
    unit->news = unit->storage.loaded ? NEWS_LOADED : NEWS_NONE;
    return 0;
}

static void locks_init(struct worker *worker)
{
    pthread_condattr_t attributes;
    pthread_mutex_init(&worker->device, NULL);
    pthread_mutex_init(&worker->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&worker->wanted, &attributes);
}

int64_t worker_init(struct worker *worker, struct bulk_only *bulk)
{
    bool any = false;
    *worker = (struct worker){.bulk = bulk, .port = HANDLE_NONE};
    locks_init(worker);
    int64_t result = bulk_only_units(bulk);
    if (result < 0)
        return result;
    worker->unit_count = (uint32_t)result;
    for (uint32_t i = 0; i < worker->unit_count; i++) {
        result = unit_open(worker, &worker->units[i], (uint8_t)i);
        if (result < 0)
            return result;
        any |= worker->units[i].there;
    }
    return any ? 0 : -E_NOT_SUPPORTED;
}

/* --- the thread --- */

static struct worker_unit *unit_of(struct worker *worker, const struct disk *disk)
{
    for (uint32_t i = 0; i < worker->unit_count; i++)
        if (worker->units[i].serves == disk)
            return &worker->units[i];
    return NULL;
}

static int64_t request_run(struct storage_unit *unit, const struct disk_request *request)
{
    switch (request->op) {
    case DISK_READ:
    case DISK_WRITE:
        return storage_transfer(unit, request->op == DISK_WRITE, request->sector, request->count,
                                request->segments[0].address);
    case OP_SYNC:
        return storage_flush(unit);
    default:
        return -E_NOT_SUPPORTED;
    }
}

/* The device is at the worker's disposal: lock is let go of, and taken again behind it. */
static void device_take(struct worker *worker)
{
    pthread_mutex_unlock(&worker->lock);
    pthread_mutex_lock(&worker->device);
}

static void device_put(struct worker *worker)
{
    bool gone = worker->bulk->over;
    pthread_mutex_unlock(&worker->device);
    pthread_mutex_lock(&worker->lock);
    worker->gone |= gone;
}

/* The main thread has something to take, or hears of a loss: all units, when the device is gone, else the one whose medium is. Whoever is told
 * takes the lock at once: it is let go of meanwhile. */
static void outcome_tell(struct worker *worker)
{
    for (uint32_t i = 0; i < worker->unit_count; i++) {
        struct worker_unit *unit = &worker->units[i];
        if (!unit->serves || (unit->storage.loaded && !worker->gone))
            continue;
        unit->serves = NULL;
        unit->news = NEWS_EMPTY;
    }
    pthread_mutex_unlock(&worker->lock);
    sys_ignore(sys_port_notify(worker->port, 1));
    pthread_mutex_lock(&worker->lock);
}

static void request_serve(struct worker *worker, struct disk_request *request)
{
    struct worker_unit *unit = unit_of(worker, request->disk);
    if (!unit)
        return; /* its disk is about to be removed, and it with it */
    device_take(worker);
    int64_t status = request_run(&unit->storage, request);
    device_put(worker);
    request->own[1] = (uint64_t)(worker->gone ? -E_NO_DEVICE : status);
    queue_put(&worker->done, request);
    outcome_tell(worker);
}

static void unit_look(struct worker *worker, struct worker_unit *unit)
{
    if (!unit->there || !unit->storage.inquiry.removable || unit->news || worker->gone)
        return;
    bool before = unit->storage.loaded;
    device_take(worker);
    int64_t result = before ? storage_look(&unit->storage) : storage_load(&unit->storage);
    device_put(worker);
    if (!worker->gone)
        unit_report(unit, result);
    if (!before && unit->storage.loaded)
        unit->news = NEWS_LOADED;
    if (unit->news || before != unit->storage.loaded || worker->gone)
        outcome_tell(worker);
}

/* The next request; NULL: it is time to look at the media. */
static struct disk_request *request_await(struct worker *worker, int64_t look)
{
    struct disk_request *request;
    struct timespec until = {.tv_sec = look / SECOND, .tv_nsec = look % SECOND};
    while (!(request = queue_take(&worker->todo))) {
        if (!worker->removable)
            pthread_cond_wait(&worker->wanted, &worker->lock);
        else if (clock_monotonic() < look)
            pthread_cond_timedwait(&worker->wanted, &worker->lock, &until);
        else
            break;
    }
    return request;
}

static void *worker_thread(void *argument)
{
    struct worker *worker = argument;
    int64_t look = clock_monotonic() + LOOK_NS;
    pthread_mutex_lock(&worker->lock);
    while (!worker->gone) {
        struct disk_request *request = request_await(worker, look);
        if (request) {
            request_serve(worker, request);
            continue;
        }
        for (uint32_t i = 0; i < worker->unit_count; i++)
            unit_look(worker, &worker->units[i]);
        look = clock_monotonic() + LOOK_NS;
    }
    pthread_mutex_unlock(&worker->lock);
    return NULL;
}

int64_t worker_run(struct worker *worker, handle_t port)
{
    pthread_t thread;
    worker->port = port;
    if (pthread_create(&thread, NULL, worker_thread, worker))
        return -E_NO_MEMORY;
    pthread_detach(thread);
    return 0;
}

/* --- the main thread's side --- */

void worker_put(struct worker *worker, struct disk_request *request)
{
    pthread_mutex_lock(&worker->lock);
    queue_put(&worker->todo, request);
    pthread_mutex_unlock(&worker->lock);
    pthread_cond_signal(&worker->wanted); /* who wakes finds the lock free */
}

bool worker_take(struct worker *worker, struct disk_request **request, int64_t *status)
{
    pthread_mutex_lock(&worker->lock);
    *request = queue_take(&worker->done);
    pthread_mutex_unlock(&worker->lock);
    if (*request)
        *status = (int64_t)(*request)->own[1];
    return *request;
}

enum worker_news worker_news(struct worker *worker, struct worker_unit *unit)
{
    pthread_mutex_lock(&worker->lock);
    enum worker_news news = unit->news;
    pthread_mutex_unlock(&worker->lock);
    return news;
}

void worker_serve(struct worker *worker, struct worker_unit *unit, struct disk *before,
                  struct disk *disk)
{
    pthread_mutex_lock(&worker->lock);
    if (before) {
        queue_forget(&worker->todo, before);
        queue_forget(&worker->done, before);
    }
    unit->news = NEWS_NONE;
    unit->serves = disk;
    if (worker->gone) /* it went meanwhile: nobody will say so any more */
        outcome_tell(worker);
    pthread_mutex_unlock(&worker->lock);
}

void worker_flush(struct worker *worker, struct worker_unit *unit)
{
    pthread_mutex_lock(&worker->device);
    int64_t result = storage_flush(&unit->storage);
    pthread_mutex_unlock(&worker->device);
    if (result < 0)
        fprintf(stderr, "unit %u: not flushed: %s\n", unit->storage.number, error_text(result));
}
