/* A driver's process: its loop, and how diskd finds it. */
#include <pthread.h>
#include <stdio.h>
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
    list_init(&host->holds);
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
    file_cancel(context, token);
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
