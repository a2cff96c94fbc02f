#include "sbin/virtiod/config.h"

#include <stddef.h>

#define SEGMENTS_MOST 126u /* with header and status, half of a queue */

_Static_assert(offsetof(struct virtio_blk_config, zero_may_unmap) == 56, "5.2.4");

static uint32_t flags_of(uint64_t features)
{
    return (features & VIRTIO_BLK_RO ? DISK_IS_READ_ONLY : 0) |
           (features & VIRTIO_BLK_FLUSH ? DISK_HAS_CACHE : 0) |
           (features & VIRTIO_BLK_WRITE_ZEROES ? DISK_HAS_ZERO : 0);
}

static uint32_t sector_of(const struct virtio_blk_config *config, uint64_t features)
{
    uint32_t size = features & VIRTIO_BLK_BLK_SIZE ? config->block_size : VIRTIO_SECTOR;
    bool sound = size >= VIRTIO_SECTOR && size <= PAGE_SIZE && !(size & (size - 1));
    return sound ? size : VIRTIO_SECTOR;
}

/* One request has one range, and what goes for discarding goes for zeroing, too. */
static uint64_t discard_most(const struct virtio_blk_config *config, uint64_t features)
{
    uint64_t most = UINT32_MAX;
    if (features & VIRTIO_BLK_DISCARD && config->discard_sectors)
        most = MIN(most, config->discard_sectors);
    if (features & VIRTIO_BLK_WRITE_ZEROES && config->zero_sectors)
        most = MIN(most, config->zero_sectors);
    return most * VIRTIO_SECTOR;
}

void virtio_blk_describe(const struct virtio_blk_config *config, uint64_t features,
                         struct disk *disk)
{
    struct disk_geometry *geometry = &disk->geometry;
    uint32_t sector = sector_of(config, features);
    geometry->sector = sector;
    geometry->size = MIN(config->capacity, UINT64_MAX / VIRTIO_SECTOR) * VIRTIO_SECTOR;
    geometry->physical_sector = sector;
    if (features & VIRTIO_BLK_TOPOLOGY && config->physical_exponent < 8)
        geometry->physical_sector = sector << config->physical_exponent;
    geometry->flags = flags_of(features);
    if (features & VIRTIO_BLK_DISCARD)
        geometry->discard = MAX((uint64_t)config->discard_alignment * VIRTIO_SECTOR, sector);
    disk->discard_bytes = discard_most(config, features);
    disk->segments = SEGMENTS_MOST;
    if (features & VIRTIO_BLK_SEG_MAX && config->seg_max)
        disk->segments = MIN(disk->segments, config->seg_max);
    if (features & VIRTIO_BLK_SIZE_MAX && config->size_max >= sector)
        disk->segment_bytes = config->size_max;
    disk->bytes = 1u << 20;
}
