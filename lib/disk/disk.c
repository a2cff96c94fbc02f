/* Disks of a host: how they come, change and go. */
#include "lib/disk/internal.h"

static bool is_power_of_two(uint32_t number, uint32_t least, uint32_t most)
{
    return number >= least && number <= most && !(number & (number - 1));
}

/* What the device says is taken if it can be worked with. */
static int64_t geometry_check(struct disk *disk)
{
    struct disk_geometry *geometry = &disk->geometry;
    if (!is_power_of_two(geometry->sector, 512, PAGE_SIZE))
        return -E_NOT_SUPPORTED;
    if (!is_power_of_two(geometry->physical_sector, geometry->sector, CHUNK_BYTES))
        geometry->physical_sector = geometry->sector;
    geometry->size = ALIGN_DOWN(geometry->size, (uint64_t)geometry->sector);
    return 0;
}

int64_t disk_add(struct disk_host *host, struct disk *disk)
{
    uint32_t sector = disk->geometry.sector;
    int64_t result = geometry_check(disk);
    if (result < 0)
        return result;
    disk->host = host;
    disk->limits = (struct disk_limits){
        .segments = MAX(disk->segments, 1u),
        .segment_bytes = ALIGN_DOWN(disk->segment_bytes, sector),
        .bytes = ALIGN_DOWN(disk->bytes ? disk->bytes : UINT32_MAX, sector),
        .whole_pages = disk->whole_pages,
    };
    if (!disk->limits.bytes || (disk->segment_bytes && !disk->limits.segment_bytes))
        return -E_NOT_SUPPORTED;
    disk->discard_bytes = ALIGN_DOWN(disk->discard_bytes, (uint64_t)sector);
    disk->geometry.transfer = disk->limits.bytes;
    struct list *lists[] = {&disk->files, &disk->jobs,  &disk->waiting, &disk->started,
                            &disk->spare, &disk->ready, &disk->blocked};
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        list_init(lists[i]);
    result = queue_begin(disk);
    if (result < 0)
        return result;
    disk->number = host->disk_count++ + 2;
    list_append(&host->disks, &disk->link);
    files_tell(host);
    return 0;
}

void disk_changed(struct disk *disk)
{
    disk->geometry.size = ALIGN_DOWN(disk->geometry.size, (uint64_t)disk->geometry.sector);
    files_tell(disk->host);
}

void disk_remove(struct disk *disk)
{
    if (disk->gone)
        return;
    disk->gone = disk->leaving = true;
    queue_end_all(disk);
    jobs_end_all(disk);
    holds_end(disk);
    files_tell(disk->host);
    disk->leaving = false;
    disk_release(disk);
}

void disk_release(struct disk *disk)
{
    if (!disk->gone || disk->leaving || !list_empty(&disk->files))
        return;
    queue_end(disk);
    list_remove(&disk->link);
    if (disk->host->driver->released)
        disk->host->driver->released(disk);
}
