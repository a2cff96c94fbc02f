/* What a virtio-blk device says of itself (Virtual I/O Device 1.2, 5.2.4), as lib/disk wants it. Pure.
 *
 * None of it is believed: what makes no sense is as if the device had not said it.
 */
#pragma once

#include "lib/disk/driver.h"

#define VIRTIO_BLK_SIZE_MAX     (UINT64_C(1) << 1)
#define VIRTIO_BLK_SEG_MAX      (UINT64_C(1) << 2)
#define VIRTIO_BLK_RO           (UINT64_C(1) << 5)
#define VIRTIO_BLK_BLK_SIZE     (UINT64_C(1) << 6)
#define VIRTIO_BLK_FLUSH        (UINT64_C(1) << 9)
#define VIRTIO_BLK_TOPOLOGY     (UINT64_C(1) << 10)
#define VIRTIO_BLK_DISCARD      (UINT64_C(1) << 13)
#define VIRTIO_BLK_WRITE_ZEROES (UINT64_C(1) << 14)

#define VIRTIO_BLK_FEATURES                                                           \
    (VIRTIO_BLK_SIZE_MAX | VIRTIO_BLK_SEG_MAX | VIRTIO_BLK_RO | VIRTIO_BLK_BLK_SIZE | \
     VIRTIO_BLK_FLUSH | VIRTIO_BLK_TOPOLOGY | VIRTIO_BLK_DISCARD | VIRTIO_BLK_WRITE_ZEROES)

#define VIRTIO_SECTOR 512u /* what the device counts in, whatever its blocks are */

struct virtio_blk_config {
    uint64_t capacity; /* of VIRTIO_SECTOR */
    uint32_t size_max, seg_max;
    uint16_t cylinders;
    uint8_t heads, sectors;
    uint32_t block_size;
    uint8_t physical_exponent, alignment_offset;
    uint16_t min_io_size;
    uint32_t opt_io_size;
    uint8_t writeback, reserved;
    uint16_t queues;
    uint32_t discard_sectors, discard_segments, discard_alignment;
    uint32_t zero_sectors, zero_segments;
    uint8_t zero_may_unmap, reserved1[7];
};

/* Geometry and limits of the disk. config: what the device has not got is zero. */
void virtio_blk_describe(const struct virtio_blk_config *config, uint64_t features,
                         struct disk *disk);
