/* Disks: any bytes, of which the last lie at the disk's end, where a GPT has its copy. */
// sources: sbin/diskd/partition.c sbin/diskd/gpt.c sbin/diskd/volume.c
#include <stdlib.h>
#include <string.h>

#include "sbin/diskd/partition.h"
#include "sbin/diskd/volume.h"

#define SECTORS 8192u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct disk {
    const uint8_t *data;
    size_t size;
    uint32_t sector;
};

static uint8_t byte_at(const struct disk *disk, uint64_t at)
{
    uint64_t end = (uint64_t)SECTORS * disk->sector;
    if (at < disk->size)
        return disk->data[at];
    return end - at <= disk->size ? disk->data[disk->size - (end - at)] : 0;
}

/* GPTs have sums: of what a header says is there, the sum is what it says. */
static bool read_sectors(void *context, uint64_t first, uint32_t count, void *bytes)
{
    const struct disk *disk = context;
    uint8_t *to = bytes;
    if (first >= SECTORS || count > SECTORS - first || count * disk->sector > MEDIUM_READ_MAX)
        abort();
    for (uint64_t i = 0; i < (uint64_t)count * disk->sector; i++)
        to[i] = byte_at(disk, first * disk->sector + i);
    if (count != 1 || memcmp(to, "EFI PART", 8) != 0)
        return true;
    uint32_t length, crc = 0;
    memcpy(&length, to + 12, 4);
    memcpy(to + 16, &crc, 4);
    if (length <= disk->sector)
        crc = crc32_update(0, to, length);
    memcpy(to + 16, &crc, 4);
    return true;
}

static void check_table(const struct partition_table *table)
{
    for (uint32_t i = 0; i < table->count; i++) {
        const struct partition *one = &table->items[i];
        if (!one->count || one->first >= SECTORS || one->count > SECTORS - one->first ||
            strlen(one->name) > PARTITION_NAME_MAX)
            abort();
        for (uint32_t j = 0; j < i; j++)
            if (one->first < table->items[j].first + table->items[j].count &&
                table->items[j].first < one->first + one->count)
                abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct partition_table table;
    struct volume volume;
    if (size < 1)
        return 0;
    struct disk disk = {data + 1, size - 1, data[0] & 1 ? 4096 : 512};
    struct medium medium = {SECTORS, disk.sector, read_sectors, &disk};
    if (partitions_read(&medium, &table) >= 0) {
        check_table(&table);
        partitions_free(&table);
    }
    volume_read(&medium, 0, SECTORS, &volume);
    if (strlen(volume.label) > VOLUME_NAME_MAX || strchr(volume.label, '/'))
        abort();
    return 0;
}
