#include "sbin/diskd/volume.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAT_LABEL     11u
#define EXT_AT        1024u
#define EXT_LABEL     16u
#define EXT_MAGIC     0xef53u
#define EXTENDED_BOOT 0x29u

#define FAT12_CLUSTERS 4085u
#define FAT16_CLUSTERS 65525u

static uint32_t number_at(const uint8_t *bytes, unsigned size)
{
    uint32_t number = 0;
    for (unsigned i = size; i-- > 0;)
        number = number << 8 | bytes[i];
    return number;
}

/* --- Names --- */

void name_encode(const char *from, size_t length, char *to, size_t size)
{
    char *end = to + size - 1;
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)from[i];
        bool plain = byte >= 0x80 || (isgraph(byte) && !strchr("/\\\"'%?#", byte));
        if (end - to < (plain ? 1 : 4))
            break;
        if (plain)
            *to++ = (char)byte;
        else
            to += sprintf(to, "\\x%02x", byte);
    }
    *to = '\0';
}

void guid_format(const uint8_t guid[16], char text[37])
{
    snprintf(text, 37, "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", number_at(guid, 4),
             number_at(guid + 4, 2), number_at(guid + 6, 2), guid[8], guid[9], guid[10], guid[11],
             guid[12], guid[13], guid[14], guid[15]);
}

/* A label of fixed length, padded. Bytes of an old code page say nothing here. */
static void label_read(const uint8_t *bytes, size_t length, struct volume *volume)
{
    char text[EXT_LABEL];
    while (length && (bytes[length - 1] == ' ' || !bytes[length - 1]))
        length--;
    memcpy(text, bytes, length);
    name_encode(text, strnlen(text, length), volume->label, sizeof(volume->label));
}

/* --- FAT --- */

static bool is_power(uint32_t number, uint32_t least, uint32_t most)
{
    return number >= least && number <= most && !(number & (number - 1));
}

/* The number of clusters decides (section 3.5); 0: it is no FAT volume. */
static uint32_t fat_clusters(const uint8_t *boot, uint64_t volume_bytes)
{
    uint32_t sector = number_at(boot + 11, 2), per_cluster = boot[13];
    uint32_t reserved = number_at(boot + 14, 2), tables = boot[16];
    uint32_t root_entries = number_at(boot + 17, 2);
    uint64_t sectors = number_at(boot + 19, 2), table = number_at(boot + 22, 2);
    if (!is_power(sector, 512, 4096) || !is_power(per_cluster, 1, 128) || !reserved || !tables ||
        tables > 2 || (boot[21] != 0xf0 && boot[21] < 0xf8) || (boot[0] != 0xeb && boot[0] != 0xe9))
        return 0;
    sectors = sectors ? sectors : number_at(boot + 32, 4);
    table = table ? table : number_at(boot + 36, 4);
    uint64_t head = reserved + tables * table + (root_entries * 32 + sector - 1) / sector;
    if (!table || sectors <= head || sectors * sector > volume_bytes)
        return 0;
    return (uint32_t)((sectors - head) / per_cluster);
}

static bool fat_read(const uint8_t *boot, uint64_t bytes, struct volume *volume)
{
    uint32_t clusters = fat_clusters(boot, bytes);
    if (!clusters || boot[510] != 0x55 || boot[511] != 0xaa)
        return false;
    bool wide = number_at(boot + 22, 2) == 0;
    const uint8_t *extended = boot + (wide ? 66 : 38);
    volume->type = wide                        ? "fat32"
                   : clusters < FAT12_CLUSTERS ? "fat12"
                   : clusters < FAT16_CLUSTERS ? "fat16"
                                               : NULL;
    if (!volume->type)
        return false;
    if (*extended != EXTENDED_BOOT)
        return true;
    snprintf(volume->uuid, sizeof(volume->uuid), "%04X-%04X", number_at(extended + 3, 2),
             number_at(extended + 1, 2));
    if (memcmp(extended + 5, "NO NAME    ", FAT_LABEL) != 0)
        label_read(extended + 5, FAT_LABEL, volume);
    return true;
}

/* --- ext --- */

static bool ext_read(const uint8_t *super, struct volume *volume)
{
    const uint8_t *uuid = super + 104;
    if (number_at(super + 56, 2) != EXT_MAGIC)
        return false;
    volume->type = number_at(super + 96, 4) & 0x40 ? "ext4" : "ext2"; /* extents */
    uint8_t guid[16] = {uuid[3], uuid[2], uuid[1], uuid[0], uuid[5], uuid[4], uuid[7], uuid[6]};
    memcpy(guid + 8, uuid + 8, 8);
    guid_format(guid, volume->uuid);
    label_read(super + 120, EXT_LABEL, volume);
    return true;
}

void volume_read(const struct medium *medium, uint64_t first, uint64_t count, struct volume *volume)
{
    uint32_t wanted = (2 * EXT_AT + medium->sector - 1) / medium->sector;
    *volume = (struct volume){.type = NULL};
    if (count < wanted)
        return;
    uint8_t *bytes = malloc((size_t)wanted * medium->sector);
    if (bytes && medium->read(medium->context, first, wanted, bytes) &&
        !fat_read(bytes, count * medium->sector, volume))
        ext_read(bytes + EXT_AT, volume);
    free(bytes);
}
