/* Requests, as many at once as there are lanes: see worker.h. */
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

/* How many there were. */
static uint32_t queue_forget(struct worker_queue *queue, const struct disk *disk)
{
    struct worker_queue kept = {0};
    struct disk_request *request;
    uint32_t count = 0;
    while ((request = queue_take(queue))) {
        if (request->disk != disk)
            queue_put(&kept, request);
        else
            count++;
    }
    *queue = kept;
    return count;
}

/* --- units --- */

/* What there is to say, once, of a unit that cannot be worked with; no medium is nothing to speak of. */
static void unit_report(struct worker_unit *unit, int64_t result)
{
    const struct storage_unit *storage = &unit->storage;
    uint32_t sense = __atomic_load_n(&storage->sense, __ATOMIC_RELAXED);
    if (result != unit->reported && result < 0 && result != -E_NO_DEVICE)
        fprintf(stderr, "unit %u, %s %s: %s (sense %x/%02x/%02x)\n", storage->number,
                storage->inquiry.vendor, storage->inquiry.product, error_text(result), sense >> 16,
                sense >> 8 & 0xff, sense & 0xff);
    unit->reported = result;
}

static int64_t unit_open(struct worker *worker, struct worker_unit *unit, uint8_t number)
{
    struct lane *lane = worker->lanes[0];
    int64_t result = storage_open(&unit->storage, lane, number);
    unit->there = result >= 0;
    if (result >= 0)
        result = storage_load(&unit->storage, lane);
    if (transport_over(worker->transport))
        return transport_over(worker->transport);
    unit_report(unit, result);
    worker->removable |= unit->there && unit->storage.inquiry.removable;
    unit->news = unit->storage.loaded ? NEWS_LOADED : NEWS_NONE;
    return 0;
}

static void locks_init(struct worker *worker)
{
    pthread_condattr_t attributes;
    pthread_mutex_init(&worker->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&worker->wanted, &attributes);
    pthread_cond_init(&worker->returned, NULL);
}

int64_t worker_init(struct worker *worker, struct lane **lanes, uint32_t count)
{
    bool any = false;
    uint32_t units, more;
    *worker = (struct worker){.transport = lanes[0]->transport,
                              .lanes = lanes,
                              .lane_count = count,
                              .free_count = count,
                              .port = HANDLE_NONE};
    locks_init(worker);
    int64_t result = storage_units(lanes[0], &units, &more);
    if (result < 0)
        return result;
    if (more)
        fprintf(stderr, "%u units more than there are numbers for; left alone\n", more);
    for (uint8_t i = 0; i < STORAGE_UNITS && units >> i; i++) {
        worker->unit_count = i + 1;
        result = units >> i & 1 ? unit_open(worker, &worker->units[i], i) : 0;
        if (result < 0)
            return result;
        any |= worker->units[i].there;
    }
    return any ? 0 : -E_NOT_SUPPORTED;
}

/* --- lanes --- */

static struct lane *lane_take(struct worker *worker)
{
    while (!worker->free_count)
        pthread_cond_wait(&worker->returned, &worker->lock);
    return worker->lanes[--worker->free_count];
}

static void lane_put(struct worker *worker, struct lane *lane)
{
    worker->lanes[worker->free_count++] = lane;
    worker->gone |= transport_over(worker->transport) != 0;
    pthread_cond_signal(&worker->returned);
}

/* --- the threads --- */

static struct worker_unit *unit_of(struct worker *worker, const struct disk *disk)
{
    for (uint32_t i = 0; i < worker->unit_count; i++)
        if (worker->units[i].serves == disk)
            return &worker->units[i];
    return NULL;
}

static int64_t request_run(struct storage_unit *unit, struct lane *lane,
                           const struct disk_request *request)
{
    switch (request->op) {
    case DISK_READ:
    case DISK_WRITE:
        return storage_transfer(unit, lane, request->op == DISK_WRITE, request->sector,
                                request->count, request->segments[0].address);
    case DISK_DISCARD:
        return storage_discard(unit, lane, request->sector, request->count);
    case OP_SYNC:
        return storage_flush(unit, lane);
    default:
        return -E_NOT_SUPPORTED;
    }
}

/* The main thread has something to take, or hears of a loss: all units, when the device is gone, else the one whose medium is. Whoever is told
 * takes the lock at once: it is let go of meanwhile. */
static void outcome_tell(struct worker *worker)
{
    for (uint32_t i = 0; i < worker->unit_count; i++) {
        struct worker_unit *unit = &worker->units[i];
        if (!unit->serves || (storage_is_loaded(&unit->storage) && !worker->gone))
            continue;
        unit->serves = NULL;
        unit->news = NEWS_EMPTY;
    }
    if (worker->gone)
        pthread_cond_broadcast(&worker->wanted);
    pthread_mutex_unlock(&worker->lock);
    sys_ignore(sys_port_notify(worker->port, 1));
    pthread_mutex_lock(&worker->lock);
}

static void request_serve(struct worker *worker, struct disk_request *request)
{
    struct worker_unit *unit = unit_of(worker, request->disk);
    if (!unit)
        return; /* its disk is about to be removed, and it with it */
    unit->under_way++;
    struct lane *lane = lane_take(worker);
    pthread_mutex_unlock(&worker->lock);
    int64_t status = request_run(&unit->storage, lane, request);
    pthread_mutex_lock(&worker->lock);
    lane_put(worker, lane);
    unit->under_way--;
    request->own[1] = (uint64_t)(worker->gone ? -E_NO_DEVICE : status);
    queue_put(&worker->done, request);
    worker->returning++;
    outcome_tell(worker);
    worker->returning--;
}

static void unit_look(struct worker *worker, struct worker_unit *unit)
{
    if (!unit->there || !unit->storage.inquiry.removable || unit->news || worker->gone)
        return;
    bool before = storage_is_loaded(&unit->storage);
    struct lane *lane = lane_take(worker);
    pthread_mutex_unlock(&worker->lock);
    int64_t result =
        before ? storage_look(&unit->storage, lane) : storage_load(&unit->storage, lane);
    pthread_mutex_lock(&worker->lock);
    lane_put(worker, lane);
    bool after = storage_is_loaded(&unit->storage);
    if (!worker->gone)
        unit_report(unit, result);
    if (!before && after)
        unit->news = NEWS_LOADED;
    if (unit->news || before != after || worker->gone)
        outcome_tell(worker);
}

/* The next request; NULL: it is time to look at the media, or the device is gone. look: DEADLINE_NEVER: for others than the first. */
static struct disk_request *request_await(struct worker *worker, int64_t look)
{
    struct disk_request *request = NULL;
    struct timespec until = {.tv_sec = look / SECOND, .tv_nsec = look % SECOND};
    worker->idle++;
    while (!worker->gone && !(request = queue_take(&worker->todo))) {
        if (!worker->removable || look == DEADLINE_NEVER)
            pthread_cond_wait(&worker->wanted, &worker->lock);
        else if (clock_monotonic() < look)
            pthread_cond_timedwait(&worker->wanted, &worker->lock, &until);
        else
            break;
    }
    worker->idle--;
    worker->waiting -= request ? 1 : 0;
    return request;
}

static void *first_thread(void *argument)
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

static void *other_thread(void *argument)
{
    struct worker *worker = argument;
    struct disk_request *request;
    pthread_mutex_lock(&worker->lock);
    while ((request = request_await(worker, DEADLINE_NEVER)))
        request_serve(worker, request);
    pthread_mutex_unlock(&worker->lock);
    return NULL;
}

static bool thread_start(struct worker *worker, void *(*run)(void *worker))
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, run, worker))
        return false;
    pthread_detach(thread);
    worker->threads++;
    return true;
}

int64_t worker_run(struct worker *worker, handle_t port)
{
    worker->port = port;
    return thread_start(worker, first_thread) ? 0 : -E_NO_MEMORY;
}

/* --- the main thread's side --- */

/* Who is about to look for more need not be woken: who reads one piece after the other has one thread at work, as the answer to the piece before is told by
 * it. A thread that cannot be started is one that is missed by nobody but those who count. */
void worker_put(struct worker *worker, struct disk_request *request)
{
    pthread_mutex_lock(&worker->lock);
    queue_put(&worker->todo, request);
    worker->waiting++;
    bool taken = worker->waiting <= worker->returning;
    if (worker->waiting > worker->returning + worker->idle && worker->threads < worker->lane_count)
        (void)thread_start(worker, other_thread);
    pthread_mutex_unlock(&worker->lock);
    if (!taken)
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
    enum worker_news news = unit->under_way ? NEWS_NONE : unit->news;
    pthread_mutex_unlock(&worker->lock);
    return news;
}

void worker_serve(struct worker *worker, struct worker_unit *unit, struct disk *before,
                  struct disk *disk)
{
    pthread_mutex_lock(&worker->lock);
    if (before) {
        worker->waiting -= queue_forget(&worker->todo, before);
        (void)queue_forget(&worker->done, before);
    }
    unit->news = NEWS_NONE;
    unit->serves = disk;
    if (worker->gone) /* it went meanwhile: nobody will say so any more */
        outcome_tell(worker);
    pthread_mutex_unlock(&worker->lock);
}

void worker_flush(struct worker *worker, struct worker_unit *unit)
{
    pthread_mutex_lock(&worker->lock);
    struct lane *lane = lane_take(worker);
    pthread_mutex_unlock(&worker->lock);
    int64_t result = storage_flush(&unit->storage, lane);
    pthread_mutex_lock(&worker->lock);
    lane_put(worker, lane);
    pthread_mutex_unlock(&worker->lock);
    if (result < 0)
        fprintf(stderr, "unit %u: not flushed: %s\n", unit->storage.number, error_text(result));
}
