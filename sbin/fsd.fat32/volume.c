/* See volume.h. */
#include "sbin/fsd.fat32/volume.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/volume.h"
#include "lib/fsd/connection.h"
#include "lib/fsd/numbers.h"
#include "lib/sys/clock.h"
#include "lib/sys/error.h"
#include "lib/sys/keep.h"
#include "sbin/fsd.fat32/cache.h"
#include "sbin/fsd.fat32/found.h"
#include "sbin/fsd.fat32/opens.h"

#define KEPT_SIZE     ((size_t)8 << 20)
#define WRITE_BACK_NS INT64_C(5000000000)  /* what was written is written back after this */
#define DIRTY_MAX     (UINT64_C(16) << 20) /* ... or when it is so much */
#define MEMORY_PART   4u                   /* of the machine's, for pages at most */
#define FILES_MAX     UINT64_C(8192) /* in memory: the library has records for twice as many */
#define KEY_TIMER     1u
#define NOTIFY_WISH   0x1u

handle_t volume_port;
struct fat_volume *volume;
struct device volume_device = {.file = HANDLE_NONE, .memory = HANDLE_NONE};
uint32_t volume_number;

static uint32_t flags;       /* VOLUME_READ_ONLY, _FIXED */
static uint64_t pages_limit; /* that stay in memory */
static handle_t timer;
static bool due;         /* it is set */
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
    result = numbers_recover(volume_port, STORE_KEY_NUMBERS, fat_numbered(volume));
    if (result >= 0)
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

/* Nothing is open, so nobody misses it. The device is another's to mount before this process is ended. */
static void leave(void)
{
    volume = NULL;
    found_forget_all();
    sys_ignore(sys_port_keep(volume_port, STORE_KEY_DEVICE, HANDLE_NONE));
    device_close(&volume_device);
}

static int64_t serve(handle_t device, uint32_t wanted, const char *options)
{
    (void)options; /* none but those that vfsd knows */
    flags = wanted;
    int64_t result = device_open(device, &volume_device);
    if (result >= 0)
        result = mount();
    if (result >= 0)
        result = parameters_keep(device);
    if (result < 0)
        leave();
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
        if (file->writable)
            return true;
    return opens_any_writer();
}

static int64_t remount(uint32_t wanted)
{
    bool read_only = wanted & VOLUME_READ_ONLY;
    int64_t result = 0;
    opens_sweep();
    found_forget_all();
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
    return result;
}

static int64_t end(uint32_t wanted)
{
    int64_t result = 0;
    opens_sweep();
    opens_tell();
    if (volume)
        result = volume_sync();
    ending = opens_any();
    if (ending)
        return -E_BUSY;
    if (result >= 0 && volume && !volume_read_only())
        result = fat_clean(volume);
    if (result < 0 && !(wanted & VOLUME_FORCE))
        return result;
    if (result < 0)
        fprintf(stderr, "unmounted by force, what could not be written is lost: %s\n",
                error_text(result));
    leave();
    return 0;
}

/* --- ... by another thread --- */

enum wish_kind { WISH_NONE, WISH_SERVE, WISH_REMOUNT, WISH_END };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t done;
    enum wish_kind kind; /* WISH_NONE: it is done */
    handle_t device;
    uint32_t flags;
    const char *options;
    int64_t result;
} wish = {.lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};

static int64_t wish_wait(enum wish_kind kind, handle_t device, uint32_t wanted, const char *options)
{
    pthread_mutex_lock(&wish.lock);
    wish.kind = kind;
    wish.device = device;
    wish.flags = wanted;
    wish.options = options;
    sys_ignore(sys_port_notify(volume_port, NOTIFY_WISH));
    while (wish.kind != WISH_NONE)
        pthread_cond_wait(&wish.done, &wish.lock);
    int64_t result = wish.result;
    pthread_mutex_unlock(&wish.lock);
    return result;
}

static int64_t wish_do(void)
{
    switch (wish.kind) {
    case WISH_SERVE:
        return serve(wish.device, wish.flags, wish.options);
    case WISH_REMOUNT:
        return remount(wish.flags);
    case WISH_END:
        return end(wish.flags);
    case WISH_NONE:
        break;
    }
    return 0;
}

static void wish_grant(void)
{
    pthread_mutex_lock(&wish.lock);
    wish.result = wish_do();
    wish.kind = WISH_NONE;
    pthread_cond_signal(&wish.done);
    pthread_mutex_unlock(&wish.lock);
}

static int64_t wish_serve(handle_t device, uint32_t wanted, const char *options)
{
    return wish_wait(WISH_SERVE, device, wanted, options);
}

static int64_t wish_remount(uint32_t wanted)
{
    return wish_wait(WISH_REMOUNT, HANDLE_NONE, wanted, NULL);
}

static int64_t wish_end(uint32_t wanted)
{
    return wish_wait(WISH_END, HANDLE_NONE, wanted, NULL);
}

static struct volume_server server = {
    .serve = wish_serve, .remount = wish_remount, .end = wish_end};

bool volume_ending(void)
{
    return ending;
}

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
    result = sys_timer_create();
    if (result < 0)
        return result;
    timer = (handle_t)result;
    result = sys_port_bind(port, timer, SIGNAL_READABLE, KEY_TIMER, 0);
    if (result < 0)
        return result;
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
static int64_t file_write_back(struct file *file)
{
    int64_t result = cache_write_back(file);
    if (result >= 0 && !file->writable)
        list_remove(&file->dirty);
    return result;
}

static int64_t data_write_back(void)
{
    int64_t result = 0;
    written = 0;
    list_for_each (struct file, file, &dirty_files, dirty) {
        int64_t one = file_write_back(file);
        if (one < 0)
            result = one;
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

int64_t volume_sync_file(struct file *file)
{
    if (volume_read_only())
        return 0;
    int64_t result = file_write_back(file);
    sys_ignore(data_write_back());
    int64_t synced = fat_sync(volume);
    return result < 0 ? result : synced;
}

void volume_make_room(void)
{
    if (likely(files_pages() <= pages_limit))
        return;
    opens_sweep();
    files_trim(pages_limit - pages_limit / 4, UINT64_MAX);
}

void volume_make_file_room(void)
{
    if (likely(files_number() < FILES_MAX))
        return;
    opens_sweep();
    files_trim(UINT64_MAX, FILES_MAX - FILES_MAX / 4);
}

static void timer_start(void)
{
    due = true;
    sys_ignore(sys_timer_set(timer, clock_monotonic() + WRITE_BACK_NS, 0));
}

void volume_changed(void)
{
    changed = true;
    if (!due)
        timer_start();
}

/* What fails here is dirty still, and fails again where somebody is told of it. */
void volume_wrote(uint64_t bytes)
{
    written += bytes;
    if (written >= DIRTY_MAX)
        sys_ignore(data_write_back());
}

/* Files without a name go when the last mapping has. */
static void unnamed_release(void)
{
    list_for_each (struct file, file, &files, link)
        file_release(file, false);
}

/* Whether somebody has written to a mapping. A file that nobody has mapped so any more leaves the list. */
static bool mappings_look(void)
{
    bool any = false;
    list_for_each (struct file, file, &dirty_files, dirty) {
        if (file->writable) /* first: what is written behind this is found the next time */
            (void)!cache_used(file);
        if (cache_dirty(file))
            any = true;
        else if (!file->writable)
            list_remove(&file->dirty);
    }
    return any;
}

/* First all is written; if nothing more comes the volume is marked as properly left. */
static void volume_expired(void)
{
    due = false;
    if (!volume)
        return;
    bool was = mappings_look() || changed;
    opens_sweep();
    unnamed_release();
    volume_closed();
    changed = false;
    int64_t result = 0;
    if (was)
        result = volume_sync();
    else if (!volume_read_only() && !fat_is_clean(volume))
        result = fat_clean(volume);
    if (result < 0)
        fprintf(stderr, "cannot write back: %s\n", error_text(result));
    if (was || result < 0 || opens_wait() || !list_empty(&dirty_files))
        timer_start();
}

void volume_notified(void *context, uint64_t key, uint64_t signals)
{
    (void)context;
    if (key == KEY_TIMER)
        volume_expired();
    else if (signals & NOTIFY_WISH)
        wish_grant();
}

void volume_stop(void)
{
    int64_t result = volume && !volume_read_only() ? volume_sync() : 0;
    if (result >= 0 && volume && !volume_read_only())
        result = fat_clean(volume);
    if (result < 0)
        fprintf(stderr, "what was written last is lost: %s\n", error_text(result));
}
