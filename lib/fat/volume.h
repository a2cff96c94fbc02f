/* A mounted volume: its shape, and what the library's parts have in memory. Shared by lib/fat only.
 *
 *     boot.c       the shape, from a boot sector that nobody trusts; the marks of a volume in use
 *     kept.c       kept memory        buffer.c   sectors of metadata, and which of their cells are changed
 *     commit.c     the order in which changes reach the platter
 *     table.c      the FAT            space.c    which clusters are free          chain.c   the clusters of a node
 *     name.c       names              directory.c, entry.c   slots and their index
 *     node.c       files in use       names.c, rename.c, file.c   what fat.h offers
 *     repair.c     after a power cut
 */
#pragma once

#include "abi/errors.h"
#include "lib/base/list.h"
#include "lib/fat/bits.h"
#include "lib/fat/fat.h"
#include "lib/fat/format.h"
#include "lib/fat/kept.h"

struct cluster_run {
    uint32_t first, count;
};

struct buffer;
struct buffer_link;

#define NODE_HASH  1024u
#define CALL_TAKES 4u

struct fat_volume {
    struct fat_config config;
    /* The shape. Sectors are the volume's. */
    uint32_t bits; /* of a table's entry */
    uint32_t sector_size, cluster_sectors, cluster_size;
    uint32_t table_start, table_sectors, tables; /* of each; tables: how many are written */
    uint32_t table_span;                         /* sectors of it in a buffer */
    uint32_t root_start, root_sectors;           /* FAT12, FAT16 */
    uint32_t root_cluster;                       /* FAT32 */
    uint32_t data_start;
    uint32_t clusters;    /* they are CLUSTER_FIRST to clusters + 1 */
    uint32_t info_sector; /* 0: none */
    uint32_t serial;
    char label[12];
    bool read_only;
    bool unseen;    /* it was not properly left, and nobody looked through it since */
    bool damaged;   /* for ever read-only */
    bool was_dirty; /* when it was mounted */

    struct kept *kept;
    struct record *records;
    uint32_t *records_free; /* a stack of their numbers */
    uint32_t records_free_count;
    uint32_t doomed; /* records */

    struct buffer *heads;
    uint8_t *images;
    struct buffer_link *links;
    uint32_t *buffer_hash, buffer_hash_mask;
    struct list buffers_clean, buffers_dirty; /* the least recently used first */
    uint8_t *run;                             /* RUN_BYTES: those that are written at once */
    uint32_t dirty_count;

    struct bits free; /* clusters known to be free */
    struct bits torn; /* and those of FAT12 that are taken when there are no others */
    uint8_t *scanned; /* of each chunk of the table */
    uint32_t chunks, chunks_left, chunk_next;
    uint32_t free_count; /* in scanned chunks */
    uint32_t rotor;
    struct cluster_run taken[CALL_TAKES]; /* by this call */
    uint32_t taken_count;
    struct numbered number; /* of the next call that bears one */
    uint64_t aborts;        /* calls that were: what is known since before is known no more */

    struct fat_node *root;
    struct fat_node *nodes[NODE_HASH]; /* by slot */
    struct list nodes_idle;            /* directories that nobody has, the latest last */
    uint32_t nodes_idle_count;
    struct list nodes_pending; /* files with RECORD_GREW or RECORD_TRIM */
    struct list nodes_nameless;
    uint32_t inherit_next;
};

/* A line for the log. */
void volume_say(const struct fat_volume *volume, const char *format, ...) PRINTF(2, 3);
/* What is wrong with the volume. -E_IO. */
int64_t volume_malformed(const struct fat_volume *volume, const char *format, ...) PRINTF(2, 3);
/* In bytes. -E_IO. */
MUST_CHECK int64_t volume_read(const struct fat_volume *volume, uint64_t offset, void *bytes,
                               size_t length);
MUST_CHECK int64_t volume_write(const struct fat_volume *volume, uint64_t offset, const void *bytes,
                                size_t length);

static inline bool cluster_valid(const struct fat_volume *volume, uint32_t cluster)
{
    return cluster >= CLUSTER_FIRST && cluster - CLUSTER_FIRST < volume->clusters;
}

/* A cluster's first sector. */
static inline uint64_t cluster_sector(const struct fat_volume *volume, uint32_t cluster)
{
    return volume->data_start + (uint64_t)(cluster - CLUSTER_FIRST) * volume->cluster_sectors;
}

/* Clusters that hold so many bytes. */
static inline uint32_t clusters_for(const struct fat_volume *volume, uint64_t size)
{
    return (uint32_t)((size + volume->cluster_size - 1) / volume->cluster_size);
}
