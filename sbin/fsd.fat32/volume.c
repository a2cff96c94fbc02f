/* See volume.h. */
#include "sbin/fsd.fat32/volume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/volume.h"
#include "lib/fsd/connection.h"
#include "lib/sys/clock.h"
#include "lib/sys/error.h"
#include "lib/sys/keep.h"
#include "sbin/fsd.fat32/cache.h"
#include "sbin/fsd.fat32/opens.h"

#define KEPT_SIZE     ((size_t)8 << 20)
#define WRITE_BACK_NS INT64_C(5000000000)  /* what was written is written back after this */
#define DIRTY_MAX     (UINT64_C(16) << 20) /* ... or when it is so much */
#define MEMORY_PART   4u                   /* of the machine's, for pages at most */

pthread_mutex_t volume_lock = PTHREAD_MUTEX_INITIALIZER;
handle_t volume_port;
struct fat_volume *volume;
struct device volume_device;
uint32_t volume_number;

static uint32_t flags;       /* VOLUME_READ_ONLY, _FIXED */
static uint64_t pages_limit; /* that stay in memory */
static int64_t due = DEADLINE_NEVER;
static uint64_t written; /* bytes since the last time */
static bool changed;     /* since it was marked as properly left */
static bool ending;      /* vfsd waits for the last file to be closed */

/* --- what the library calls --- */

static int64_t fat_device_read(void *context, uint64_t offset, void *bytes, size_t length)
{
    return device_read(context, offset, bytes, length);
}

static int64_t fat_device_write(void *context, uint64_t offset, const void *bytes, size_t length)
{
    return device_write(context, offset, bytes, length);
}

static int64_t fat_device_flush(void *context)
{
    return device_flush(context);
}

static int64_t fat_write_back(void *context, struct fat_node *node)
{
    struct file *file = file_known(node);
    (void)context;
    return file ? cache_write_back(file) : 0;
}

static void fat_message(void *context, const char *text)
{
    (void)context;
    fprintf(stderr, "%s\n", text);
}

/* --- mounting --- */

static int64_t mount(void)
{
    struct fat_config config = {
        .context = &volume_device,
        .read = fat_device_read,
        .write = fat_device_write,
        .flush = fat_device_flush,
        .write_back = fat_write_back,
        .message = fat_message,
        .size = volume_device.size,
        .block_size = volume_device.sector,
        .read_only = flags & VOLUME_READ_ONLY,
    };
    void *kept = keep_memory(volume_port, STORE_KEY_FAT, KEPT_SIZE);
    if (!kept)
        return -E_NO_MEMORY;
    int64_t result = fat_mount(&config, kept, KEPT_SIZE, &volume);
    if (result < 0) {
        volume = NULL;
        keep_release(kept, KEPT_SIZE);
        return result;
    }
    result = files_recover();
    return result < 0 ? result : opens_recover();
}

/* The flags are kept first: a device that is kept is a volume that was mounted. */
static int64_t parameters_keep(handle_t device)
{
    uint32_t *kept = keep_memory(volume_port, STORE_KEY_FLAGS, sizeof(flags));
    if (!kept)
        return -E_NO_MEMORY;
    *kept = flags;
    keep_release(kept, sizeof(flags));
    return device == HANDLE_NONE ? 0 : keep_handle(volume_port, STORE_KEY_DEVICE, device);
}

static int64_t serve(handle_t device, uint32_t wanted, const char *options)
{
    (void)options; /* none but those that vfsd knows */
    pthread_mutex_lock(&volume_lock);
    flags = wanted;
    int64_t result = device_open(device, &volume_device);
    if (result >= 0)
        result = mount();
    if (result >= 0)
        result = parameters_keep(device);
    pthread_mutex_unlock(&volume_lock);
    if (result < 0)
        handle_drop(device);
    return result;
}

/* Whether a predecessor had mounted it; it goes on without asking anybody. */
static bool recover(void)
{
    handle_t device = keep_get(volume_port, STORE_KEY_DEVICE);
    if (device == HANDLE_NONE)
        return false;
    uint32_t *kept = keep_memory(volume_port, STORE_KEY_FLAGS, sizeof(flags));
    flags = kept ? *kept : 0;
    keep_release(kept, sizeof(flags));
    int64_t result = kept ? device_open(device, &volume_device) : -E_NO_MEMORY;
    if (result >= 0)
        result = mount();
    if (result < 0)
        fprintf(stderr, "cannot go on with it: %s\n", error_text(result));
    else
        volume_changed();
    return true;
}

/* --- what vfsd asks --- */

static bool open_for_writing(void)
{
    list_for_each (struct file, file, &files, link)
        if (file->writers || file->writable)
            return true;
    return false;
}

static int64_t remount(uint32_t wanted)
{
    bool read_only = wanted & VOLUME_READ_ONLY;
    int64_t result = 0;
    pthread_mutex_lock(&volume_lock);
    opens_sweep();
    if (!volume)
        result = -E_IO;
    else if (read_only && open_for_writing())
        result = -E_BUSY;
    else if (!read_only && flags & VOLUME_FIXED)
        result = -E_READ_ONLY;
    if (result >= 0 && read_only)
        result = volume_sync();
    if (result >= 0)
        result = fat_set_read_only(volume, read_only);
    if (result >= 0) {
        flags = (flags & VOLUME_FIXED) | wanted;
        result = parameters_keep(HANDLE_NONE);
    }
    pthread_mutex_unlock(&volume_lock);
    return result;
}

static int64_t end(void)
{
    int64_t result = 0;
    pthread_mutex_lock(&volume_lock);
    opens_sweep();
    if (volume)
        result = volume_sync();
    ending = opens_any();
    if (ending)
        result = -E_BUSY;
    else if (result >= 0 && volume && !volume_read_only())
        result = fat_clean(volume);
    pthread_mutex_unlock(&volume_lock);
    return result;
}

static struct volume_server server = {.serve = serve, .remount = remount, .end = end};

void volume_closed(void)
{
    if (!ending || opens_any())
        return;
    ending = false;
    volume_unused(&server);
}

int64_t volume_start(handle_t port, const char *uri)
{
    struct abi_system_info info;
    int64_t result = sys_system_info(&info, sizeof(info));
    if (result < 0)
        return result;
    pages_limit = info.frames_total / MEMORY_PART;
    volume_port = server.port = port;
    server.uri = uri;
    volume_number = (uint32_t)strtoul(strrchr(uri, '/') ? strrchr(uri, '/') + 1 : uri, NULL, 10);
    return volume_connect(&server, recover());
}

/* --- writing back --- */

bool volume_read_only(void)
{
    return flags & VOLUME_READ_ONLY;
}

/* Files that clients can write to by a mapping stay on the list: nobody tells us when they do. */
static int64_t data_write_back(void)
{
    int64_t result = 0;
    written = 0;
    list_for_each (struct file, file, &dirty_files, dirty) {
        int64_t one = cache_write_back(file);
        if (one < 0)
            result = one;
        else if (!file->writable)
            list_remove(&file->dirty);
    }
    return result;
}

int64_t volume_sync(void)
{
    if (volume_read_only())
        return 0;
    int64_t result = data_write_back();
    int64_t synced = fat_sync(volume);
    return result < 0 ? result : synced;
}

void volume_make_room(void)
{
    if (files_pages() <= pages_limit)
        return;
    files_trim(pages_limit - pages_limit / 4);
}

void volume_changed(void)
{
    changed = true;
    if (due == DEADLINE_NEVER)
        due = clock_monotonic() + WRITE_BACK_NS;
}

/* What fails here is dirty still, and fails again where somebody is told of it. */
void volume_wrote(uint64_t bytes)
{
    written += bytes;
    if (written >= DIRTY_MAX)
        sys_ignore(data_write_back());
}

int64_t volume_deadline(void *context)
{
    (void)context;
    return due;
}

/* Files without a name go when the last mapping has. */
static void unnamed_release(void)
{
    list_for_each (struct file, file, &files, link)
        file_release(file, false);
}

/* First all is written; if nothing more comes the volume is marked as properly left. */
void volume_expired(void *context)
{
    (void)context;
    pthread_mutex_lock(&volume_lock);
    due = DEADLINE_NEVER;
    if (volume) {
        bool was = changed;
        opens_sweep();
        unnamed_release();
        volume_closed();
        changed = false;
        int64_t result = was ? volume_sync() : volume_read_only() ? 0 : fat_clean(volume);
        if (result < 0)
            fprintf(stderr, "cannot write back: %s\n", error_text(result));
        if (was || result < 0 || opens_wait() || !list_empty(&dirty_files))
            due = clock_monotonic() + WRITE_BACK_NS;
    }
    pthread_mutex_unlock(&volume_lock);
}

void volume_stop(void)
{
    pthread_mutex_lock(&volume_lock);
    int64_t result = volume && !volume_read_only() ? volume_sync() : 0;
    if (result >= 0 && volume && !volume_read_only())
        result = fat_clean(volume);
    if (result < 0)
        fprintf(stderr, "what was written last is lost: %s\n", error_text(result));
    pthread_mutex_unlock(&volume_lock);
}
