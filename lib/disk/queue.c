/* Requests: made of jobs as the device takes them, started, done; and started again when the device has lost them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/disk/internal.h"
#include "lib/sys/clock.h"
#include "lib/sys/error.h"

#define DEPTH_DEFAULT 32u

/* A request and its segments. */
struct slot {
    struct disk_request request;
    struct disk_segment segments[];
};

static uint32_t depth_of(const struct disk *disk)
{
    return disk->geometry.depth ? disk->geometry.depth : DEPTH_DEFAULT;
}

/* --- Making them --- */

void queue_add(struct disk_job *job)
{
    list_append(&job->disk->ready, &job->queued);
}

/* NULL: as many are under way as make sense, or there is no memory for more. There always is one (queue_begin). */
static struct disk_request *request_new(struct disk *disk)
{
    struct disk_request *request = list_first(&disk->spare, struct disk_request, link);
    if (request) {
        list_remove(&request->link);
        return request;
    }
    if (disk->request_count >= depth_of(disk))
        return NULL;
    struct slot *slot =
        calloc(1, sizeof(*slot) + disk->limits.segments * sizeof(slot->segments[0]));
    if (!slot)
        return NULL;
    disk->request_count++;
    list_init(&slot->request.link);
    return &slot->request;
}

static void request_free(struct disk_request *request)
{
    list_append(&request->disk->spare, &request->link);
}

int64_t queue_begin(struct disk *disk)
{
    struct disk_request *request = request_new(disk);
    if (!request)
        return -E_NO_MEMORY;
    request->disk = disk;
    request_free(request);
    return 0;
}

void queue_end(struct disk *disk)
{
    list_for_each (struct disk_request, request, &disk->spare, link) {
        list_remove(&request->link);
        free(container_of(request, struct slot, request));
    }
}

/* The next bytes of what the job makes, in this request. */
static uint64_t request_fill(struct disk_job *job, struct disk_request *request)
{
    struct slot *slot = container_of(request, struct slot, request);
    const struct disk *disk = job->disk;
    uint64_t most = (uint64_t)UINT32_MAX / 2 * disk->geometry.sector;
    request->segment_count = 0;
    switch (job->making.op) {
    case DISK_READ:
    case DISK_WRITE:
        request->segments = slot->segments;
        return disk_split(&job->cursor, job->making.left, &disk->limits, slot->segments,
                          &request->segment_count);
    case DISK_DISCARD:
        return MIN(job->making.left, disk->discard_bytes ? disk->discard_bytes : most);
    default:
        return 0;
    }
}

/* Which of the caller's are the device's affair. */
static uint32_t request_flags(const struct disk *disk, uint32_t op)
{
    return op == DISK_DISCARD ? DISK_ZERO : op == DISK_WRITE && disk->through ? DISK_THROUGH : 0;
}

static void request_make(struct disk_job *job, struct disk_request *request)
{
    const struct disk *disk = job->disk;
    uint64_t bytes = request_fill(job, request);
    request->op = job->making.op;
    request->flags = job->flags & request_flags(disk, request->op);
    request->sector = bytes ? job->making.at / disk->geometry.sector : 0;
    request->count = (uint32_t)(bytes / disk->geometry.sector);
    request->disk = job->disk;
    request->job = job;
    request->tries = 0;
    job->making.at += bytes;
    job->making.left -= bytes;
    job->under_way++;
}

/* The next request of the jobs, in turn: none is held up by a long one. */
static struct disk_request *request_next(struct disk *disk)
{
    struct disk_job *job = list_first(&disk->ready, struct disk_job, queued);
    struct disk_request *request = job ? request_new(disk) : NULL;
    if (!request)
        return NULL;
    list_remove(&job->queued);
    request_make(job, request);
    if (job->making.left)
        list_append(&disk->ready, &job->queued);
    else
        job->making.op = 0;
    return request;
}

/* --- The device --- */

/* Its job goes on when it was the last. */
static void request_end(struct disk_request *request, int64_t status)
{
    struct disk_job *job = request->job;
    request_free(request);
    job->under_way--;
    if (status < 0 && !job->status) {
        job->status = status;
        job->making.op = 0;
        list_remove(&job->queued);
    }
    if (!job->under_way && !job->making.op)
        job_advance(job);
}

/* False: the device takes no more now. */
static bool request_start(struct disk *disk, struct disk_request *request)
{
    int64_t result = disk->host->driver->start(disk, request);
    if (result == -E_AGAIN && !list_empty(&disk->started)) {
        list_prepend(&disk->waiting, &request->link);
        return false;
    }
    if (result < 0) {
        request_end(request, result == -E_AGAIN ? -E_IO : result);
        return true;
    }
    request->tries++;
    request->deadline = clock_monotonic() + (disk->patience ? disk->patience : DISK_PATIENCE_NS);
    list_append(&disk->started, &request->link);
    return true;
}

static void disk_pump(struct disk *disk)
{
    bool room = true, any = false;
    while (room && !disk->gone) {
        struct disk_request *request = list_first(&disk->waiting, struct disk_request, link);
        if (request)
            list_remove(&request->link);
        else
            request = request_next(disk);
        if (!request)
            break;
        room = request_start(disk, request);
        any |= room;
    }
    if (any && disk->host->driver->send && !disk->gone)
        disk->host->driver->send(disk);
}

void queue_pump(struct disk_host *host)
{
    do
        list_for_each (struct disk, disk, &host->disks, link)
            disk_pump(disk);
    while (jobs_feed(host)); /* a request that could not be started ends its job, too */
}

void disk_done(struct disk_request *request, int64_t status)
{
    struct disk *disk = request->disk;
    list_remove(&request->link);
    if (status != DISK_LOST)
        request_end(request, status);
    else if (request->tries < DISK_TRIES)
        list_append(&disk->waiting, &request->link);
    else
        request_end(request, -E_IO);
}

void disk_lost(struct disk *disk)
{
    struct list lost = LIST_INIT(lost);
    list_splice(&lost, &disk->started);
    list_for_each (struct disk_request, request, &lost, link)
        disk_done(request, DISK_LOST);
}

void queue_end_all(struct disk *disk)
{
    struct list all = LIST_INIT(all);
    list_splice(&all, &disk->started);
    list_splice(&all, &disk->waiting);
    list_for_each (struct disk_request, request, &all, link)
        disk_done(request, -E_NO_DEVICE);
}

/* --- Time --- */

int64_t queue_deadline(const struct disk_host *host)
{
    int64_t first = DEADLINE_NEVER;
    list_for_each (struct disk, disk, &host->disks, link) {
        const struct disk_request *oldest = list_first(&disk->started, struct disk_request, link);
        if (oldest)
            first = MIN(first, oldest->deadline);
    }
    return first;
}

static bool overdue(const struct disk *disk)
{
    const struct disk_request *oldest = list_first(&disk->started, struct disk_request, link);
    return oldest && oldest->deadline <= clock_monotonic();
}

void queue_expired(struct disk_host *host)
{
    list_for_each (struct disk, disk, &host->disks, link) {
        if (!overdue(disk))
            continue;
        fprintf(stderr, "%s: does not answer: reset\n", disk->name);
        int64_t result = host->driver->reset(disk);
        if (result < 0) {
            fprintf(stderr, "%s: cannot be reset: %s\n", disk->name, error_text(result));
            disk_remove(disk);
        } else {
            disk_lost(disk);
        }
    }
    queue_pump(host);
}
