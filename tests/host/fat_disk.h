/* A disk in memory with a FAT volume that mkfs.fat made, and files' data cached as a file service would: for tests of lib/fat.
 *
 *     disk_make("-F 32 -s 1", 40 << 10);      a fresh one, of so many KiB
 *     disk_mount(), disk_unmount()            `disk.volume`
 *     disk_fsck()                             0: fsck.fat -n finds nothing
 *
 * What must not happen here ends the program. Writes and flushes can be recorded, and replayed up to any point as a disk would have them that lost power there.
 */
#pragma once

#include <setjmp.h>

#include "lib/fat/fat.h"

struct disk_write {
    uint64_t offset;
    uint32_t length; /* 0: a flush */
    uint8_t *bytes;
};

struct disk {
    uint8_t *bytes;
    uint64_t size;
    uint32_t sector_size; /* of the volume, when it is mounted */
    struct fat_volume *volume;
    struct fat_node *root;
    struct fat_config config;
    void *kept;
    bool recording;
    struct disk_write *writes;
    size_t count, room;
    int64_t fail_reads, fail_writes; /* from the n-th on; 0: never */
    int64_t die_at; /* the n-th call of the device ends the test's process (longjmp); 0: never */
    sigjmp_buf death;
    bool quiet;
    uint32_t messages;
};

extern struct disk disk;

#define DISK_KEPT FAT_KEPT_MIN

/* Files of their own for this test, gone when it ends. */
const char *disk_path(const char *name);
/* system() of a format; its exit code. */
int disk_run(const char *format, ...) PRINTF(1, 2);

void disk_make(const char *options, uint64_t kib);
void disk_take(const void *bytes, uint64_t size); /* one that is there already */
const char *disk_image(void); /* the file that has the disk's bytes, for tools of the host */
int disk_fsck(void);
int disk_fsck_repair(void);      /* fsck.fat -a; its exit code */
const char *disk_fsck_log(void); /* what it said last */
void disk_mount(void);
void disk_unmount(void);
/* The process ended without a word, and the next one mounts: kept memory stays, and so do caches; other files that somebody had
 * are put. */
void disk_restart(void);
struct fat_node *disk_inherited(uint64_t id); /* a file with a cache */
/* The process dies in front of its n-th store to kept memory: siglongjmp to disk.death. disk_live: it does not any more. */
void disk_die_at_store(int64_t number);
void disk_live(void);
void disk_lose_kept(void); /* as after a power cut */

void disk_record(void);
void disk_record_write(uint64_t offset, const void *bytes,
                       size_t length); /* somebody else's; 0 bytes: a flush */
/* What the disk has after the first `count` records: of those behind the last flush some are lost, some came before others. seed 0: all
 * are there in their order. base: the disk in front of record `first`, a flush, or 0: when recording began. */
void disk_replay(const uint8_t *base, size_t first, size_t count, uint64_t seed);
/* The last of the first `count` records that is a flush; 0: none is. */
size_t disk_flushed(size_t count);
void disk_forget(void);

/* Data of files, cached until the library wants it written. */
void file_write(struct fat_node *node, uint64_t offset, const void *bytes, size_t length);
int64_t file_try_write(struct fat_node *node, uint64_t offset, const void *bytes, size_t length);
int64_t file_truncate(struct fat_node *node, uint64_t size);
/* Bytes read, up to the file's end. */
size_t file_read(struct fat_node *node, uint64_t offset, void *bytes, size_t length);
int64_t disk_sync(void); /* all data, and fat_sync */
void files_tidy(void);   /* after a sync: lets go of those that are clean */
void files_drop(void);   /* and of all others, written or not */

struct fat_node *disk_open(const char *path); /* NULL: no such name */
