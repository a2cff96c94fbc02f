/* See fat_disk.h. */
#include "tests/host/fat_disk.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "abi/errors.h"

#define ATOM 512u /* bytes a disk writes as one */

struct disk disk;

#define MUST(condition)                                                                   \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
            abort();                                                                      \
        }                                                                                 \
    } while (0)

/* --- Files of the host --- */

static char folder[64];

static void folder_remove(void)
{
    (void)disk_run("rm -rf %s", folder);
}

const char *disk_path(const char *name)
{
    static char paths[4][128];
    static unsigned next;
    if (!folder[0]) {
        snprintf(folder, sizeof(folder), "%s/fat_XXXXXX",
                 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
        MUST(mkdtemp(folder));
        atexit(folder_remove);
    }
    char *path = paths[next++ % 4];
    snprintf(path, 128, "%s/%s", folder, name);
    return path;
}

int disk_run(const char *format, ...)
{
    char command[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(command, sizeof(command), format, arguments);
    va_end(arguments);
    MUST(length > 0 && (size_t)length < sizeof(command));
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void image_unmap(void)
{
    if (disk.bytes)
        munmap(disk.bytes, disk.size);
    disk.bytes = NULL;
}

/* The disk is the file: what is written there is here. */
static void image_map(const char *path)
{
    int file = open(path, O_RDWR);
    MUST(file >= 0);
    disk.size = (uint64_t)lseek(file, 0, SEEK_END);
    disk.bytes = mmap(NULL, disk.size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    MUST(disk.bytes != MAP_FAILED);
    close(file);
}

const char *disk_image(void)
{
    return disk_path("image");
}

void disk_make(const char *options, uint64_t kib)
{
    const char *path = disk_image();
    image_unmap();
    (void)unlink(path);
    MUST(!disk_run("PATH=$PATH:/sbin:/usr/sbin mkfs.fat --invariant -C %s %s %llu >%s 2>&1",
                   options, path, (unsigned long long)kib, disk_path("mkfs.log")));
    image_map(path);
    disk_lose_kept();
}

void disk_take(const void *bytes, uint64_t size)
{
    const char *path = disk_image();
    image_unmap();
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    MUST(file >= 0 && write(file, bytes, size) == (ssize_t)size);
    close(file);
    image_map(path);
    disk_lose_kept();
}

const char *disk_fsck_log(void)
{
    return disk_path("fsck.log");
}

static int fsck(const char *how, bool quiet)
{
    int code = disk_run("PATH=$PATH:/sbin:/usr/sbin fsck.fat %s %s >%s 2>&1", how, disk_image(),
                        disk_fsck_log());
    if (code && !quiet)
        (void)disk_run("head -20 %s >&2", disk_fsck_log());
    return code;
}

int disk_fsck(void)
{
    return fsck("-n", disk.quiet);
}

int disk_fsck_repair(void)
{
    return fsck("-a", true);
}

/* --- The device --- */

static bool dies(void)
{
    return disk.die_at && --disk.die_at == 0;
}

static int64_t device_read(void *context, uint64_t offset, void *bytes, size_t length)
{
    (void)context;
    if (dies())
        siglongjmp(disk.death, 1);
    if (disk.fail_reads && --disk.fail_reads <= 0) {
        disk.fail_reads = 1;
        return -E_IO;
    }
    MUST(offset % disk.sector_size == 0 && length % disk.sector_size == 0 &&
         offset + length <= disk.size);
    memcpy(bytes, disk.bytes + offset, length);
    return 0;
}

void disk_record_write(uint64_t offset, const void *bytes, size_t length)
{
    if (!disk.recording)
        return;
    if (disk.count == disk.room) {
        disk.room = disk.room ? 2 * disk.room : 1024;
        disk.writes = realloc(disk.writes, disk.room * sizeof(*disk.writes));
        MUST(disk.writes);
    }
    struct disk_write *write = &disk.writes[disk.count++];
    *write = (struct disk_write){offset, (uint32_t)length, length ? malloc(length) : NULL};
    if (length)
        memcpy(write->bytes, bytes, length);
}

static int64_t device_write(void *context, uint64_t offset, const void *bytes, size_t length)
{
    (void)context;
    if (dies())
        siglongjmp(disk.death, 1);
    if (disk.fail_writes && --disk.fail_writes <= 0) {
        disk.fail_writes = 1;
        return -E_IO;
    }
    MUST(offset % disk.sector_size == 0 && length % disk.sector_size == 0 &&
         offset + length <= disk.size);
    MUST(!disk.config.read_only);
    disk_record_write(offset, bytes, length);
    memcpy(disk.bytes + offset, bytes, length);
    return 0;
}

static int64_t device_flush(void *context)
{
    (void)context;
    if (dies())
        siglongjmp(disk.death, 1);
    disk_record_write(0, NULL, 0);
    return 0;
}

static void message(void *context, const char *text)
{
    (void)context;
    disk.messages++;
    if (!disk.quiet)
        printf("# %s\n", text);
}

void disk_record(void)
{
    disk_forget();
    disk.recording = true;
}

void disk_forget(void)
{
    for (size_t i = 0; i < disk.count; i++)
        free(disk.writes[i].bytes);
    disk.count = 0;
    disk.recording = false;
}

static uint64_t random_next(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return *state >> 33;
}

/* Each atom of a write behind the last flush is there or not, whatever its neighbours do; of two writes of the same the later one wins
 * only if it is there. */
static void replay_loose(const struct disk_write *write, uint64_t *seed)
{
    for (uint32_t at = 0; at < write->length; at += ATOM)
        if (random_next(seed) % 2)
            memcpy(disk.bytes + write->offset + at, write->bytes + at, ATOM);
}

size_t disk_flushed(size_t count)
{
    while (count && disk.writes[count - 1].length)
        count--;
    return count ? count - 1 : 0;
}

void disk_replay(const uint8_t *base, size_t first, size_t count, uint64_t seed)
{
    size_t flushed = disk_flushed(count);
    memcpy(disk.bytes, base, disk.size);
    for (size_t i = first; i < count; i++) {
        const struct disk_write *write = &disk.writes[i];
        if (!write->length)
            continue;
        if (i < flushed || !seed)
            memcpy(disk.bytes + write->offset, write->bytes, write->length);
        else
            replay_loose(write, &seed);
    }
}

/* --- Data of files --- */

struct cache {
    struct cache *next;
    struct fat_node *node;
    uint64_t id;
    uint8_t *bytes;
    size_t size, room;
    bool dirty;
};

static struct cache *caches;

static void cache_resize(struct cache *cache, size_t size)
{
    if (size > cache->room) {
        cache->room = MAX(2 * cache->room, ALIGN_UP(size, (size_t)4096));
        cache->bytes = realloc(cache->bytes, cache->room);
        MUST(cache->bytes);
    }
    if (size > cache->size)
        memset(cache->bytes + cache->size, 0, size - cache->size);
    cache->size = size;
}

static void cache_fill(struct cache *cache)
{
    size_t size = fat_size(cache->node);
    cache_resize(cache, size);
    for (size_t at = 0; at < size;) {
        struct fat_run run;
        int64_t result = fat_map(cache->node, at, size - at, &run);
        if (result < 0)
            return; /* a malformed volume: what lies there stays zero */
        MUST(run.length && at + run.length <= size);
        if (run.device != FAT_ZEROS) {
            MUST(run.device + run.length <= disk.size && (run.device - at) % ATOM == 0);
            memcpy(cache->bytes + at, disk.bytes + run.device, run.length);
        }
        at += run.length;
    }
}

static struct cache *cache_of(struct fat_node *node)
{
    struct cache *cache = *fat_user(node);
    if (cache)
        return cache;
    cache = calloc(1, sizeof(*cache));
    MUST(cache);
    cache->node = fat_get(node);
    cache->id = fat_id(node);
    cache_fill(cache); /* in which the process may die */
    cache->next = caches;
    caches = cache;
    *fat_user(node) = cache;
    return cache;
}

static int64_t write_back(void *context, struct fat_node *node)
{
    (void)context;
    struct cache *cache = *fat_user(node);
    if (!cache || !cache->dirty)
        return 0;
    for (uint64_t at = 0; at < cache->size;) {
        struct fat_run run;
        int64_t result =
            fat_map_write(node, at, ALIGN_UP(cache->size, (size_t)disk.sector_size) - at, &run);
        if (result < 0)
            return result;
        uint64_t length = MIN(run.length, ALIGN_UP(cache->size, (size_t)disk.sector_size) - at);
        MUST(length % disk.sector_size == 0 && length);
        uint8_t *bytes = calloc(1, length);
        memcpy(bytes, cache->bytes + at, MIN(length, cache->size - at));
        result = device_write(NULL, run.device, bytes, length);
        free(bytes);
        if (result >= 0)
            result = fat_wrote(node, at, length);
        if (result < 0)
            return result;
        at += length;
    }
    cache->dirty = false;
    return 0;
}

int64_t file_try_write(struct fat_node *node, uint64_t offset, const void *bytes, size_t length)
{
    struct cache *cache = cache_of(node);
    if (offset + length > fat_size(node)) {
        int64_t result = fat_resize(node, offset + length, 0);
        if (result < 0)
            return result;
    }
    cache_resize(cache, fat_size(node));
    memcpy(cache->bytes + offset, bytes, length);
    cache->dirty = true;
    return 0;
}

void file_write(struct fat_node *node, uint64_t offset, const void *bytes, size_t length)
{
    int64_t result = file_try_write(node, offset, bytes, length);
    if (result < 0)
        fprintf(stderr, "fat_resize: %lld\n", (long long)result);
    MUST(result >= 0);
}

int64_t file_truncate(struct fat_node *node, uint64_t size)
{
    struct cache *cache = cache_of(node);
    int64_t result = fat_resize(node, size, 0);
    if (result < 0)
        return result;
    cache_resize(cache, size);
    cache->dirty = true;
    return 0;
}

size_t file_read(struct fat_node *node, uint64_t offset, void *bytes, size_t length)
{
    struct cache *cache = cache_of(node);
    if (offset >= cache->size)
        return 0;
    length = MIN(length, cache->size - offset);
    memcpy(bytes, cache->bytes + offset, length);
    return length;
}

static void tidy(bool all)
{
    for (struct cache **place = &caches; *place;) {
        struct cache *cache = *place;
        if (cache->dirty && !all) {
            place = &cache->next;
            continue;
        }
        *place = cache->next;
        *fat_user(cache->node) = NULL;
        fat_put(cache->node);
        free(cache->bytes);
        free(cache);
    }
}

void files_tidy(void)
{
    tidy(false);
}

void files_drop(void)
{
    tidy(true);
}

/* --- Mounting --- */

void disk_mount(void)
{
    if (!disk.kept)
        disk.kept =
            mmap(NULL, DISK_KEPT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(disk.kept != MAP_FAILED);
    disk.config = (struct fat_config){
        .read = device_read,
        .write = device_write,
        .flush = device_flush,
        .write_back = write_back,
        .message = message,
        .size = disk.size,
        .block_size = 512,
        .read_only = disk.config.read_only,
    };
    disk.sector_size = 512; /* until it is known */
    int64_t result = fat_mount(&disk.config, disk.kept, DISK_KEPT, &disk.volume);
    if (result < 0)
        fprintf(stderr, "fat_mount: %lld\n", (long long)result);
    MUST(result >= 0);
    disk.sector_size = disk.bytes[11] | (uint32_t)disk.bytes[12] << 8;
    disk.sector_size = disk.sector_size ? disk.sector_size : 512; /* a boot sector that was lost */
    disk.root = fat_root(disk.volume);
}

int64_t disk_sync(void)
{
    for (struct cache *cache = caches; cache; cache = cache->next) {
        int64_t result = write_back(NULL, cache->node);
        if (result < 0)
            return result;
    }
    return fat_sync(disk.volume);
}

void disk_unmount(void)
{
    int64_t result = disk_sync();
    files_drop();
    fat_put(disk.root);
    result = MIN(result, fat_unmount(disk.volume));
    MUST(result >= 0 || disk.fail_writes || disk.fail_reads);
    disk.volume = NULL;
}

/* Whose cache survived gets it again; the reference is the cache's. */
static bool cache_adopt(struct fat_node *node)
{
    for (struct cache *cache = caches; cache; cache = cache->next)
        if (cache->id == fat_id(node)) {
            cache->node = node;
            *fat_user(node) = cache;
            cache_resize(cache, fat_size(node));
            return true;
        }
    return false;
}

void disk_restart(void)
{
    struct fat_node *node, *none[64];
    size_t count = 0;
    for (struct cache *cache = caches; cache; cache = cache->next)
        cache->node = NULL;
    disk_mount();
    while ((node = fat_inherit(disk.volume)) != NULL)
        if (!cache_adopt(node)) {
            MUST(count < ARRAY_SIZE(none));
            none[count++] = node;
        }
    while (count)
        fat_put(none[--count]);
    for (struct cache *cache = caches; cache; cache = cache->next)
        MUST(cache->node);
}

struct fat_node *disk_inherited(uint64_t id)
{
    for (struct cache *cache = caches; cache; cache = cache->next)
        if (cache->id == id)
            return fat_get(cache->node);
    return NULL;
}

/* --- Deaths --- */

static int64_t stores_left;

/* One store to kept memory: the process steps over it, or dies in front of it. */
static void on_store(int signal, siginfo_t *info, void *context)
{
    uint8_t *address = info->si_addr;
    ucontext_t *machine = context;
    (void)signal;
    MUST(address >= (uint8_t *)disk.kept && address < (uint8_t *)disk.kept + DISK_KEPT);
    (void)mprotect(disk.kept, DISK_KEPT, PROT_READ | PROT_WRITE);
    if (--stores_left == 0)
        siglongjmp(disk.death, 1);
    machine->uc_mcontext.gregs[REG_EFL] |= 0x100;
}

static void on_step(int signal, siginfo_t *info, void *context)
{
    ucontext_t *machine = context;
    (void)signal, (void)info;
    machine->uc_mcontext.gregs[REG_EFL] &= ~0x100;
    (void)mprotect(disk.kept, DISK_KEPT, PROT_READ);
}

void disk_die_at_store(int64_t number)
{
    struct sigaction store = {.sa_sigaction = on_store, .sa_flags = SA_SIGINFO | SA_NODEFER};
    struct sigaction step = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO | SA_NODEFER};
    stores_left = number;
    MUST(!sigaction(SIGSEGV, &store, NULL) && !sigaction(SIGTRAP, &step, NULL));
    MUST(!mprotect(disk.kept, DISK_KEPT, PROT_READ));
}

void disk_live(void)
{
    disk.die_at = 0;
    (void)mprotect(disk.kept, DISK_KEPT, PROT_READ | PROT_WRITE);
    (void)signal(SIGSEGV, SIG_DFL);
}

void disk_lose_kept(void)
{
    if (disk.kept)
        munmap(disk.kept, DISK_KEPT);
    disk.kept = NULL;
}

struct fat_node *disk_open(const char *path)
{
    struct fat_node *node = fat_get(disk.root);
    while (*path) {
        struct fat_node *next = NULL;
        size_t length = strcspn(path, "/");
        int64_t result = length ? fat_lookup(node, path, length, &next) : 0;
        if (!length)
            next = fat_get(node);
        fat_put(node);
        if (result < 0)
            return NULL;
        node = next;
        path += length + (path[length] == '/');
    }
    return node;
}
