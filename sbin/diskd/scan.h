/* A driver's disks as they were last found: sizes, partitions, names. Made whole, then never changed.
 *
 *     disks = scan_driver(namespace, root, &count)      asks the driver, and may wait for it
 *     disks_free(disks, count)
 */
#pragma once

#include "abi/abi.h"
#include "abi/disk.h"
#include "sbin/diskd/id.h"
#include "sbin/diskd/partition.h"
#include "sbin/diskd/volume.h"

/* The name a driver's port has in the namespace that is made for it. */
#define DRIVER_SCHEME "driver"

/* A part of a disk; the first of its parts is all of it. */
struct part {
    uint32_t number;       /* 0: all of it */
    uint64_t first, count; /* sectors */
    char id[DISK_ID_MAX];  /* "": it has none; likewise the others */
    char partuuid[37];
    char partlabel[4 * PARTITION_NAME_MAX + 1];
    struct volume volume;
};

struct scanned {
    char unit[DISK_NAME_MAX + 1]; /* what its driver calls it */
    struct disk_geometry geometry;
    enum partition_kind kind;
    struct part *parts;
    uint32_t part_count;
};

/* root: a file of "" of the driver's port. -E_*: the driver cannot be asked. A disk that cannot be read has no parts but itself. */
MUST_CHECK int64_t scan_driver(handle_t namespace, handle_t root, struct scanned **disks,
                               uint32_t *count);
void disks_free(struct scanned *disks, uint32_t count);
