/* The FAT file system (FAT12, FAT16, FAT32, long names) as a library: names, attributes and where the bytes of files lie.
 *
 *     fat_mount(&config, kept, length, &volume)      a volume by its device; kept: memory that outlives the process
 *     node = fat_root(volume)                        a file or directory in use; fat_put() gives it back
 *     fat_lookup(directory, name, length, &node)     fat_create, fat_mkdir, fat_unlink, fat_rmdir, fat_rename, fat_list
 *     fat_resize(node, size, when)                   allocates or gives back clusters: E_NO_SPACE comes here, never later
 *     fat_map(node, offset, length, &run)            which bytes of the device hold this part of the file
 *     fat_wrote(node, offset, length)                the caller wrote them there
 *     fat_sync(volume)                               all that was done is on the platter
 *     fat_clean(volume), fat_unmount(volume)         the volume is marked as properly left
 *
 * File data belongs to the caller: he caches it, reads and writes it at the places fat_map tells. The library caches metadata,
 * changes it in memory only, and writes it in fat_sync (or when much has gathered, at the start of any call that
 * changes something), in an order such that a power cut at any moment leaves at worst clusters that nobody has (docs/fat.md).
 * Before a file's entry says that it is longer, config.write_back is called for the file.
 *
 * Kept memory: what was changed and not yet written lies there, valid at each instant. If the process dies the next one mounts
 * with the same memory and goes on where its predecessor stopped, in the middle of a call or of fat_sync. No addresses lie in it.
 *
 * Results: 0 (or a count) or -E_*. E_IO: the device failed, or the volume is malformed there (config.message tells); the call
 * has then changed nothing. E_READ_ONLY: by config, or the volume was found damaged. E_NO_MEMORY.
 * One caller at a time. Calls wait only in config's functions, which must not call the library back, but for write_back.
 *
 * Names are UTF-8 without '/', 1 to 255 UTF-16 units, case-preserving and compared without case. E_INVALID: a character that
 * FAT has no names for ("*:<>?\| and control characters), not UTF-8, or nothing left without trailing dots and spaces.
 * "." and ".." are the caller's (fat_parent).
 * Times are nanoseconds since 1970 UTC. Stored are config.zone_minutes more, to 2 s (modified), 10 ms (created), a day (accessed).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/fsd/numbered.h"

struct fat_volume;
struct fat_node;

struct fat_config {
    void *context; /* for all of these */
    /* Offsets and lengths in bytes, multiples of the volume's sector size (fat_statfs) after the first 512 to 4096 bytes were
     * read at 0. Done when they return: a later read sees it. -E_*: E_IO. */
    int64_t (*read)(void *context, uint64_t offset, void *bytes, size_t length);
    int64_t (*write)(void *context, uint64_t offset, const void *bytes, size_t length);
    /* All writes that have returned are on the platter. */
    int64_t (*flush)(void *context);
    /* Write all dirty data of the file to the device now, by fat_map and fat_wrote, the only calls allowed meanwhile. */
    int64_t (*write_back)(void *context, struct fat_node *node);
    void (*message)(void *context, const char *text); /* for the log: one line, without its end */
    uint64_t size;                                    /* of the device, bytes */
    uint32_t
        block_size; /* of the device: the volume's sectors must not be smaller. A power of two */
    int32_t zone_minutes; /* of the times on the volume, east of UTC; 0: they are UTC */
    bool read_only;
};

#define FAT_KEPT_MIN ((size_t)4 << 20) /* is enough for every volume; most make do with less */

/* kept: `length` bytes, zero or what the predecessor left, at any address aligned to 16. E_BAD_FORMAT: not a FAT volume (the
 * memory is as it was); E_INVALID: there is too little for this one. A volume that was not properly left is repaired first: what is in no file is free again. */
MUST_CHECK int64_t fat_mount(const struct fat_config *config, void *kept, size_t length,
                             struct fat_volume **volume);
/* Every node must have been put but the root. Syncs and marks the volume clean; an error of that is returned and the volume is
 * gone all the same. Kept memory is zero at its start afterwards if all went well. */
int64_t fat_unmount(struct fat_volume *volume);
/* All done before is on the platter, for fsync of files and of directories alike: names, sizes, data of files that grew (write_back). Other
 * dirty data the caller has written to the device before. */
MUST_CHECK int64_t fat_sync(struct fat_volume *volume);
/* fat_sync, then the volume is marked as properly left and FSInfo is right: for a volume that is idle. The next change undoes it. Not while
 * somebody has a file without a name, whose clusters would be nobody's after a power cut. */
MUST_CHECK int64_t fat_clean(struct fat_volume *volume);
bool fat_is_clean(
    const struct fat_volume *volume); /* it is marked so, and there is nothing to do */
/* From now on. Read-only: after fat_clean. To be written: E_READ_ONLY if the volume is damaged; E_BUSY if it was not properly left, has not
 * been repaired, and somebody has a node besides the root. */
MUST_CHECK int64_t fat_set_read_only(struct fat_volume *volume, bool read_only);
bool fat_dirty(const struct fat_volume *volume); /* fat_sync has something to do */
/* Bytes; the only calls besides fat_map and fat_wrote that config.write_back may make. */
uint32_t fat_sector_size(const struct fat_volume *volume);
uint32_t fat_cluster_size(const struct fat_volume *volume);

struct fat_statfs {
    uint32_t bits; /* 12, 16, 32 */
    uint32_t sector_size, cluster_size;
    uint32_t clusters, clusters_free;
    uint32_t serial;
    char label[12]; /* terminated; empty: none */
    bool read_only;
};

/* Waits for a scan of the FAT at most once in a mount, and for a sync when files were deleted since the last. */
MUST_CHECK int64_t fat_statfs(struct fat_volume *volume, struct fat_statfs *statfs);

/* For who must know, after his predecessor's death, whether its last call was carried out: the next one that makes, removes or moves a name
 * or resizes bears this number (0: none), and when it succeeds, in the same instant, fat_numbered says that it was the last that did. */
void fat_number(struct fat_volume *volume, const struct numbered *number);
const struct numbered *fat_numbered(const struct fat_volume *volume);

/* --- Nodes ---
 * The same file is the same node as long as anybody has it; a reference is what fat_root, fat_lookup, fat_create, fat_mkdir,
 * fat_parent, fat_get and fat_inherit give. A file without a name keeps its clusters until its last reference is put.
 * Whoever caches dirty data of a file has a reference. */

struct fat_node *fat_root(struct fat_volume *volume);
struct fat_node *fat_get(struct fat_node *node); /* one reference more */
void fat_put(struct fat_node *node);             /* NULL is allowed */
/* The directory it was found in, the root for the root; NULL for a file that was inherited and not looked up since. */
struct fat_node *fat_parent(struct fat_node *node);
struct fat_volume *fat_volume(const struct fat_node *node);
void **
fat_user(struct fat_node
             *node); /* the caller's own; NULL at first, and again when nobody had it for a while */
/* Of a file: its key, the same after the process's death as long as somebody had a reference, never another file's. Not 0. */
uint64_t fat_id(const struct fat_node *node);
uint32_t fat_size(const struct fat_node *node); /* of a file, bytes; of a directory 0 */
bool fat_is_directory(const struct fat_node *node);
bool fat_is_unlinked(const struct fat_node *node);

/* After a mount with kept memory: every file that somebody had when the predecessor died, one at each call, with a
 * reference that is the caller's from now on. NULL: that were all. Must be called until then before anything else changes the volume;
 * he puts those that nobody needs (no dirty data is kept under fat_id, and no one will come back to a file without a name). */
struct fat_node *fat_inherit(struct fat_volume *volume);

#define FAT_READ_ONLY 0x01u
#define FAT_HIDDEN    0x02u
#define FAT_SYSTEM    0x04u
#define FAT_DIRECTORY 0x10u
#define FAT_ARCHIVE   0x20u

struct fat_stat {
    uint64_t inode; /* by the entry's place; stays while somebody has the node; 1: the root */
    uint32_t size;
    uint32_t allocated; /* clusters that hold the size; of a directory all */
    uint32_t attributes;
    int64_t created, accessed, modified; /* 0 of the root */
};

MUST_CHECK int64_t fat_stat(struct fat_node *node, struct fat_stat *stat);
/* Those of the attributes in mask that may be changed: READ_ONLY, HIDDEN, SYSTEM, ARCHIVE. No error for the root and for files
 * without a name, which have nowhere to keep them. READ_ONLY does not keep the library from writing. */
MUST_CHECK int64_t fat_set_attributes(struct fat_node *node, uint32_t mask, uint32_t attributes);
/* INT64_MIN leaves one as it is. Outside of 1980 to 2107 they become the nearest. */
MUST_CHECK int64_t fat_set_times(struct fat_node *node, int64_t created, int64_t accessed,
                                 int64_t modified);

/* --- Names --- E_NOT_DIRECTORY, E_NOT_FOUND, E_INVALID, E_TOO_LONG (a name). A directory that was removed while somebody
 * had it is empty, and nothing can be made in it: E_NOT_FOUND. */

MUST_CHECK int64_t fat_lookup(struct fat_node *directory, const char *name, size_t length,
                              struct fat_node **node);
/* A file or directory that is not there yet: E_EXISTS, E_NO_SPACE (also: the directory has 65,536 entries). */
MUST_CHECK int64_t fat_create(struct fat_node *directory, const char *name, size_t length,
                              uint32_t attributes, int64_t when, struct fat_node **node);
MUST_CHECK int64_t fat_mkdir(struct fat_node *directory, const char *name, size_t length,
                             int64_t when, struct fat_node **node);
MUST_CHECK int64_t fat_unlink(struct fat_node *directory, const char *name,
                              size_t length); /* E_IS_DIRECTORY */
MUST_CHECK int64_t fat_rmdir(struct fat_node *directory, const char *name,
                             size_t length); /* E_NOT_EMPTY */

#define FAT_RENAME_NOREPLACE 0x1u

/* What has the second name goes, as by fat_unlink or fat_rmdir, in the same instant. E_INVALID: a directory into itself;
 * E_EXISTS (NOREPLACE), E_IS_DIRECTORY, E_NOT_DIRECTORY, E_NOT_EMPTY. To another case of the same name: it is changed. */
MUST_CHECK int64_t fat_rename(struct fat_node *from, const char *name, size_t length,
                              struct fat_node *to, const char *to_name, size_t to_length,
                              uint32_t flags);

#define FAT_NAME_MAX 765u /* bytes of UTF-8 */

struct fat_entry {
    uint64_t inode;
    uint32_t next; /* position behind it */
    uint32_t attributes;
    uint32_t length;
    char name[FAT_NAME_MAX + 1]; /* terminated */
};

/* The first entry at or behind a position (0: all): 1, or 0 if there is none. A position stays right whatever comes and goes:
 * what is there all the time is shown once. Without "." and "..". */
MUST_CHECK int64_t fat_list(struct fat_node *directory, uint32_t position, struct fat_entry *entry);

/* --- Bytes of files --- E_IS_DIRECTORY. */

#define FAT_FILE_MAX UINT32_C(0xffffffff)

/* The file has this many bytes, and clusters for them. New ones are zero without being written by anybody. When it becomes shorter the
 * caller's cached page with the new end must be zeroed behind it. E_NO_SPACE, E_FILE_TOO_BIG: nothing was changed. */
MUST_CHECK int64_t fat_resize(struct fat_node *node, uint64_t size, int64_t when);

#define FAT_ZEROS UINT64_MAX

struct fat_run {
    uint64_t
        device; /* offset of the byte asked for; FAT_ZEROS: these bytes were never written, they are zero */
    uint64_t
        length; /* of the run from that byte on, at least 1, not behind what was asked for or the file's end */
};

/* Where bytes lie that are to be read, `length` of them at most. The run ends at the file's size, which may be in a sector's middle: what the device has
 * behind that, and behind the start of zeros, is nothing. E_RANGE: offset is not below the size. */
MUST_CHECK int64_t fat_map(struct fat_node *node, uint64_t offset, uint64_t length,
                           struct fat_run *run);
/* Where bytes are to be written: never FAT_ZEROS. Whole sectors are written, zeros behind the file's size. */
MUST_CHECK int64_t fat_map_write(struct fat_node *node, uint64_t offset, uint64_t length,
                                 struct fat_run *run);
/* Bytes from offset on, a multiple of the sector size, were written where fat_map_write said (whole sectors; the file may
 * have become shorter meanwhile). What was never written in front of them is filled with zeros now: ascending order is cheapest. */
MUST_CHECK int64_t fat_wrote(struct fat_node *node, uint64_t offset, uint64_t length);
