/* A driver's process: its loop, its disks, and how diskd finds them. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/disk/internal.h"
#include "lib/sys/clock.h"
#include "lib/sys/error.h"
#include "lib/sys/file.h"
#include "lib/sys/startup.h"
#include "lib/sys/wait.h"

#define RETRY_NS INT64_C(1000000000)

/* --- diskd --- */

static int64_t port_show(handle_t file, handle_t port)
{
    int64_t copy = handle_copy(port, RIGHT_DUPLICATE | RIGHT_TRANSFER);
    if (copy < 0)
        return copy;
    struct abi_command command = {.op = DISK_ATTACH, .send = {(handle_t)copy}, .send_count = 1};
    return file_command(file, &command);
}

/* diskd is shown our port, and again whenever it comes back without knowing it: its death makes the file readable. */
static void *attach_thread(void *argument)
{
    const struct disk_host *host = argument;
    char uri[64];
    int64_t reported = 0;
    snprintf(uri, sizeof(uri), "disk:///driver/%s", host->function);
    for (;;) {
        handle_t file;
        int64_t result = file_open(HANDLE_SELF, uri, OPEN_WRITE, &file);
        if (result >= 0) {
            do
                result = port_show(file, host->port);
            while (result >= 0 && handle_wait(file, SIGNAL_READABLE, DEADLINE_NEVER) >= 0);
            handle_drop(file);
        }
        if (result == -E_RESTARTED)
            continue;
        if (result != reported)
            fprintf(stderr, "diskd does not know of %s: %s\n", host->function, error_text(result));
        reported = result;
        sleep_until(clock_monotonic() + RETRY_NS);
    }
    return NULL;
}

int64_t disk_host_open(struct disk_host *host, const char *function, const struct pci_device *pci,
                       const struct disk_driver *driver, void *context)
{
    const char *name = strrchr(function, '/');
    *host = (struct disk_host){
        .port = startup_handle("port:disk"), .driver = driver, .context = context, .pci = pci};
    if (host->port == HANDLE_NONE)
        return -E_NOT_FOUND;
    if ((size_t)snprintf(host->function, sizeof(host->function), "%s",
                         name ? name + 1 : function) >= sizeof(host->function))
        return -E_TOO_LONG;
    list_init(&host->disks);
    list_init(&host->watchers);
    list_init(&host->chunks);
    list_init(&host->starving);
    files_recover(host);
    return 0;
}

/* --- The loop --- */

static int64_t host_deadline(void *context)
{
    /* Asked before each wait, so whatever was begun since is started here, together. */
    queue_pump(context);
    return queue_deadline(context);
}

static void host_expired(void *context)
{
    queue_expired(context);
}

static void host_notified(void *context, uint64_t key, uint64_t signals)
{
    const struct disk_host *host = context;
    if (host->driver->notified)
        host->driver->notified(host->context, key, signals);
}

static void host_cancelled(void *context, uint64_t token)
{
    job_cancel(context, token);
}

static void host_stopping(void *context)
{
    const struct disk_host *host = context;
    list_for_each (struct disk, disk, &host->disks, link)
        if (!disk->gone && host->driver->stopping)
            host->driver->stopping(disk);
}

int64_t disk_host_run(struct disk_host *host)
{
    struct service service = {
        .port = host->port,
        .context = host,
        .operations = disk_file_operations,
        .notified = host_notified,
        .cancelled = host_cancelled,
        .closed = file_closed,
        .deadline = host_deadline,
        .expired = host_expired,
        .stopping = host_stopping,
        .buffer_size = DISK_PIECES_MAX * sizeof(struct disk_piece),
    };
    pthread_t thread;
    int error = pthread_create(&thread, NULL, attach_thread, host);
    if (error)
        return -E_NO_MEMORY;
    pthread_detach(thread);
    return service_run(&service, 1);
}

/* --- Disks --- */

static bool is_power_of_two(uint32_t number, uint32_t least, uint32_t most)
{
    return number >= least && number <= most && !(number & (number - 1));
}

/* What the device says is taken if it can be worked with. */
static int64_t geometry_check(struct disk *disk)
{
    struct disk_geometry *geometry = &disk->geometry;
    if (!is_power_of_two(geometry->sector, 512, PAGE_SIZE))
        return -E_NOT_SUPPORTED;
    if (!is_power_of_two(geometry->physical_sector, geometry->sector, CHUNK_BYTES))
        geometry->physical_sector = geometry->sector;
    geometry->size = ALIGN_DOWN(geometry->size, (uint64_t)geometry->sector);
    return 0;
}

int64_t disk_add(struct disk_host *host, struct disk *disk)
{
    uint32_t sector = disk->geometry.sector;
    int64_t result = geometry_check(disk);
    if (result < 0)
        return result;
    disk->host = host;
    disk->limits = (struct disk_limits){
        .segments = MAX(disk->segments, 1u),
        .segment_bytes = ALIGN_DOWN(disk->segment_bytes, sector),
        .bytes = ALIGN_DOWN(disk->bytes ? disk->bytes : UINT32_MAX, sector),
        .whole_pages = disk->whole_pages,
    };
    if (!disk->limits.bytes || (disk->segment_bytes && !disk->limits.segment_bytes))
        return -E_NOT_SUPPORTED;
    disk->discard_bytes = ALIGN_DOWN(disk->discard_bytes, (uint64_t)sector);
    disk->geometry.transfer = disk->limits.bytes;
    struct list *lists[] = {&disk->files, &disk->jobs,  &disk->waiting, &disk->started,
                            &disk->spare, &disk->ready, &disk->blocked};
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        list_init(lists[i]);
    result = queue_begin(disk);
    if (result < 0)
        return result;
    disk->number = host->disk_count++ + 2;
    list_append(&host->disks, &disk->link);
    files_tell(host);
    return 0;
}

void disk_changed(struct disk *disk)
{
    disk->geometry.size = ALIGN_DOWN(disk->geometry.size, (uint64_t)disk->geometry.sector);
    files_tell(disk->host);
}

void disk_remove(struct disk *disk)
{
    if (disk->gone)
        return;
    disk->gone = true;
    queue_end_all(disk);
    jobs_end_all(disk);
    files_tell(disk->host);
    disk_release(disk);
}
