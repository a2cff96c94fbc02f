/* See boot.h. Specification: "Boot Sector and BPB", "FAT Type Determination", "FSInfo". */
#include "lib/fat/boot.h"

#include <stdlib.h>
#include <string.h>

#include "lib/fat/table.h"

#define BACKUP_SECTOR \
    6u /* where FAT32's second boot sector is if the first cannot be read to say so */

static bool is_power(uint32_t number)
{
    return number && !(number & (number - 1));
}

/* What must hold whatever the type: 0, or what is wrong. */
static const char *unfit(const struct fat_volume *volume, const struct boot_sector *boot)
{
    if (boot->signature != BOOT_SIGNATURE)
        return "no signature";
    if (boot->sector_size < 512 || boot->sector_size > 4096 || !is_power(boot->sector_size))
        return "the sector size";
    if (boot->sector_size < volume->config.block_size)
        return "sectors smaller than the device's";
    if (!is_power(boot->cluster_sectors))
        return "the cluster size";
    if (!boot->reserved_sectors || !boot->tables || boot->tables > 8)
        return "the number of reserved sectors or of FATs";
    return NULL;
}

/* Clusters by the sectors there are for them; false: the parts overlap or are not on the device. */
static bool layout(struct fat_volume *volume, const struct boot_sector *boot)
{
    uint32_t sectors = boot->sectors16 ? boot->sectors16 : boot->sectors32;
    volume->sector_size = boot->sector_size;
    volume->cluster_sectors = boot->cluster_sectors;
    volume->cluster_size = volume->sector_size * volume->cluster_sectors;
    volume->tables = boot->tables;
    volume->table_start = boot->reserved_sectors;
    volume->table_sectors = boot->table_sectors16 ? boot->table_sectors16 : boot->table_sectors32;
    uint64_t root = volume->table_start + (uint64_t)volume->tables * volume->table_sectors;
    volume->root_sectors =
        (boot->root_entries * SLOT_SIZE + volume->sector_size - 1) / volume->sector_size;
    uint64_t data = root + volume->root_sectors;
    if (!volume->table_sectors || data >= sectors ||
        (uint64_t)sectors * volume->sector_size > volume->config.size)
        return false;
    volume->root_start = (uint32_t)root;
    volume->data_start = (uint32_t)data;
    volume->clusters = (uint32_t)((sectors - data) / volume->cluster_sectors);
    volume->bits = !boot->table_sectors16 ? 32 : volume->clusters <= CLUSTERS_FAT12_MAX ? 12 : 16;
    uint64_t entries = (uint64_t)volume->table_sectors * volume->sector_size * 8 / volume->bits;
    uint32_t most = volume->bits == 32 ? CLUSTERS_FAT32_MAX : CLUSTERS_FAT16_MAX;
    if (volume->clusters > most || entries < CLUSTER_FIRST + 1)
        return false;
    volume->clusters = (uint32_t)MIN(volume->clusters, entries - CLUSTER_FIRST);
    uint32_t bytes = (volume->clusters + CLUSTER_FIRST) * 3 / 2 + 1;
    volume->table_span =
        volume->bits == 12 ? MIN(3u, (bytes + volume->sector_size - 1) / volume->sector_size) : 1;
    return true;
}

static bool layout_fat32(struct fat_volume *volume, const struct boot_sector *boot)
{
    volume->root_cluster = boot->root_cluster;
    if (boot->version || boot->root_entries || !cluster_valid(volume, volume->root_cluster))
        return false;
    if (boot->flags & BOOT_ONE_TABLE) {
        if ((boot->flags & 0xf) >= volume->tables)
            return false;
        volume->table_start += (boot->flags & 0xf) * volume->table_sectors;
        volume->tables = 1;
    }
    if (boot->info_sector && boot->info_sector < boot->reserved_sectors)
        volume->info_sector = boot->info_sector;
    return true;
}

static void describe(struct fat_volume *volume, const struct boot_sector *boot)
{
    const struct boot_volume *about = volume->bits == 32 ? &boot->volume32 : &boot->volume;
    if (about->signature == BOOT_EXTENDED || about->signature == BOOT_SERIAL)
        volume->serial = about->serial;
    if (about->signature != BOOT_EXTENDED || !memcmp(about->label, "NO NAME    ", 11))
        return;
    memcpy(volume->label, about->label, sizeof(about->label));
    for (uint32_t i = sizeof(about->label); i-- > 0 && volume->label[i] == ' ';)
        volume->label[i] = '\0';
}

static int64_t boot_use(struct fat_volume *volume, const struct boot_sector *boot)
{
    const char *what = unfit(volume, boot);
    if (!what && !layout(volume, boot))
        what = "parts that do not fit the device";
    if (!what && volume->bits == 32 ? !layout_fat32(volume, boot) : !what && !boot->root_entries)
        what = "the root directory";
    if (what) {
        volume_say(volume, "not a FAT volume: %s", what);
        return -E_BAD_FORMAT;
    }
    describe(volume, boot);
    return 0;
}

/* If the first boot sector is none, FAT32 has a second one. Which sectors it counts in is not known yet. */
int64_t boot_read(struct fat_volume *volume)
{
    uint32_t length = MAX(volume->config.block_size, 512u);
    if (!is_power(length) || length > 4096 || volume->config.size < length)
        return -E_BAD_FORMAT;
    uint8_t *bytes = malloc(length);
    if (!bytes)
        return -E_NO_MEMORY;
    const struct boot_sector *boot = (const struct boot_sector *)(const void *)bytes;
    int64_t result = volume_read(volume, 0, bytes, length);
    if (result >= 0)
        result = boot_use(volume, boot);
    for (uint32_t size = length; result < 0 && size <= 4096; size *= 2) {
        uint64_t at = (uint64_t)BACKUP_SECTOR * size;
        if (at + length > volume->config.size || volume_read(volume, at, bytes, length) < 0 ||
            boot->signature != BOOT_SIGNATURE || boot->sector_size != size ||
            boot->backup_sector != BACKUP_SECTOR)
            continue;
        result = boot_use(volume, boot);
        if (result >= 0)
            volume_say(volume, "the boot sector is damaged, the second one is used");
    }
    free(bytes);
    return result;
}

/* --- In use or properly left --- */

static uint32_t clean_bit(const struct fat_volume *volume)
{
    return volume->bits == 32 ? CLEAN_FAT32 : volume->bits == 16 ? CLEAN_FAT16 : 0;
}

static uint8_t *boot_state(const struct fat_volume *volume, uint8_t *sector)
{
    struct boot_sector *boot = (struct boot_sector *)(void *)sector;
    return volume->bits == 32 ? &boot->volume32.state : &boot->volume.state;
}

/* Not if the volume was found by its second one. */
static bool boot_intact(const struct fat_volume *volume, const uint8_t *sector)
{
    const struct boot_sector *boot = (const struct boot_sector *)(const void *)sector;
    return boot->signature == BOOT_SIGNATURE && boot->sector_size == volume->sector_size;
}

/* The table's entry 1 has the bit in its last byte. */
static int64_t mark_table(struct fat_volume *volume, bool in_use)
{
    struct buffer *buffer;
    uint32_t at = volume->bits / 8 * 2 - 1;
    uint8_t bit = (uint8_t)(clean_bit(volume) >> (volume->bits - 8));
    int64_t result = bit ? buffer_get(volume, BUFFER_TABLE, 0, &buffer) : 0;
    if (!bit || result < 0)
        return result;
    uint8_t *now = buffer_now(volume, buffer), *sector = volume->run;
    uint8_t *device = buffer->phases ? buffer_device(volume, buffer) : now;
    memcpy(sector, device, volume->sector_size);
    sector[at] = in_use ? sector[at] & (uint8_t)~bit : sector[at] | bit;
    for (uint32_t i = 0; i < volume->tables && result >= 0; i++)
        result = volume_write(volume,
                              (volume->table_start + (uint64_t)i * volume->table_sectors) *
                                  volume->sector_size,
                              sector, volume->sector_size);
    if (result < 0)
        return result;
    now[at] = in_use ? now[at] & (uint8_t)~bit : now[at] | bit; /* the device has it */
    device[at] = sector[at];
    return 0;
}

int64_t boot_mark(struct fat_volume *volume, bool in_use)
{
    uint8_t *sector = malloc(volume->sector_size);
    if (!sector)
        return -E_NO_MEMORY;
    volume->kept->marked = MARK_CHANGING;
    int64_t result = volume_read(volume, 0, sector, volume->sector_size);
    if (result >= 0 && boot_intact(volume, sector)) {
        uint8_t *state = boot_state(volume, sector);
        *state = in_use ? *state | BOOT_DIRTY : *state & (uint8_t)~BOOT_DIRTY;
        result = volume_write(volume, 0, sector, volume->sector_size);
    }
    free(sector);
    if (result >= 0)
        result = mark_table(volume, in_use);
    if (result >= 0 && volume->config.flush(volume->config.context) < 0)
        result = -E_IO;
    if (result >= 0)
        volume->kept->marked = in_use ? MARK_IN_USE : MARK_NONE;
    return result;
}

/* Any of the marks will do: power may have failed between them. */
int64_t boot_check(struct fat_volume *volume)
{
    uint32_t bit = clean_bit(volume);
    uint8_t *sector = malloc(volume->sector_size);
    if (!sector)
        return -E_NO_MEMORY;
    int64_t result = volume_read(volume, 0, sector, volume->sector_size);
    if (result >= 0 && boot_intact(volume, sector))
        volume->was_dirty = *boot_state(volume, sector) & BOOT_DIRTY;
    for (uint32_t i = 0; bit && i < volume->tables; i++) {
        uint64_t at = volume->table_start + (uint64_t)i * volume->table_sectors;
        uint32_t entry = 0;
        if (volume_read(volume, at * volume->sector_size, sector, volume->sector_size) < 0)
            continue;
        memcpy(&entry, sector + volume->bits / 8, volume->bits / 8);
        volume->was_dirty |= !(entry & bit);
    }
    free(sector);
    return result;
}

/* --- FSInfo: a hint, and nobody's word --- */

static bool info_valid(const struct info_sector *info)
{
    return info->lead == INFO_LEAD && info->signature == INFO_SIGNATURE;
}

void info_read(struct fat_volume *volume)
{
    uint8_t sector[4096];
    const struct info_sector *info = (const struct info_sector *)(const void *)sector;
    if (!volume->info_sector ||
        volume_read(volume, (uint64_t)volume->info_sector * volume->sector_size, sector,
                    volume->sector_size) < 0)
        return;
    if (info_valid(info) && cluster_valid(volume, info->next))
        volume->rotor = info->next;
}

int64_t info_write(struct fat_volume *volume, uint32_t free)
{
    uint8_t sector[4096];
    struct info_sector *info = (struct info_sector *)(void *)sector;
    uint64_t at = (uint64_t)volume->info_sector * volume->sector_size;
    if (!volume->info_sector)
        return 0;
    int64_t result = volume_read(volume, at, sector, volume->sector_size);
    if (result < 0)
        return result;
    if (!info_valid(info))
        return 0; /* whatever that is, it is not ours to write */
    info->free = free;
    info->next = volume->rotor;
    return volume_write(volume, at, sector, volume->sector_size);
}
