#include "sbin/diskd/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/error.h"
#include "lib/sys/file.h"

#define LIST_BYTES 4096u
#define DISKS_MAX  1024u /* of a driver; more are left out */

/* --- One disk --- */

struct source {
    handle_t file;
    uint32_t sector;
};

static bool source_read(void *context, uint64_t first, uint32_t count, void *bytes)
{
    const struct source *source = context;
    uint64_t length = (uint64_t)count * source->sector;
    return file_read(source->file, first * source->sector, bytes, length) == (int64_t)length;
}

static void part_describe(const struct medium *medium, const struct partition_table *table,
                          const struct partition *partition, const char *id, struct part *part)
{
    *part = (struct part){
        .number = partition->number, .first = partition->first, .count = partition->count};
    disk_id_of_part(id, partition->number, part->id);
    if (table->kind == PARTITIONS_GPT)
        guid_format(partition->guid, part->partuuid);
    else
        snprintf(part->partuuid, sizeof(part->partuuid), "%08x-%02x", table->signature,
                 partition->number);
    name_encode(partition->name, strlen(partition->name), part->partlabel, sizeof(part->partlabel));
    volume_read(medium, part->first, part->count, &part->volume);
}

static int64_t parts_describe(struct scanned *disk, const struct medium *medium,
                              const struct partition_table *table)
{
    disk->kind = table->kind;
    disk->parts = calloc(table->count + 1, sizeof(*disk->parts));
    if (!disk->parts)
        return -E_NO_MEMORY;
    disk->part_count = table->count + 1;
    disk->parts[0].count = medium->sectors;
    disk_id(&disk->geometry, disk->parts[0].id);
    if (table->kind == PARTITIONS_NONE)
        volume_read(medium, 0, medium->sectors, &disk->parts[0].volume);
    for (uint32_t i = 0; i < table->count; i++)
        part_describe(medium, table, &table->items[i], disk->parts[0].id, &disk->parts[i + 1]);
    return 0;
}

/* A driver that does not keep to the rules is not to be divided by, nor are its texts to be read on and on. */
static bool geometry_sound(struct disk_geometry *geometry)
{
    uint32_t sector = geometry->sector;
    geometry->model[sizeof(geometry->model) - 1] = '\0';
    geometry->serial[sizeof(geometry->serial) - 1] = '\0';
    geometry->firmware[sizeof(geometry->firmware) - 1] = '\0';
    geometry->bus[sizeof(geometry->bus) - 1] = '\0';
    return sector >= 512 && sector <= PAGE_SIZE && !(sector & (sector - 1));
}

static int64_t disk_read(struct scanned *disk, handle_t file)
{
    struct abi_command command = {.op = DISK_GEOMETRY,
                                  .out = (uintptr_t)&disk->geometry,
                                  .out_length = sizeof(disk->geometry)};
    struct partition_table table = {.kind = PARTITIONS_NONE};
    int64_t result = file_command(file, &command);
    if (result < 0)
        return result;
    if (!geometry_sound(&disk->geometry))
        return -E_NO_DEVICE;
    struct source source = {file, disk->geometry.sector};
    struct medium medium = {.sectors = disk->geometry.size / disk->geometry.sector,
                            .sector = disk->geometry.sector,
                            .read = source_read,
                            .context = &source};
    result = partitions_read(&medium, &table);
    if (table.problem || result < 0)
        fprintf(stderr, "%s: %s\n", disk->unit, table.problem ? table.problem : error_text(result));
    if (result >= 0 || result == -E_IO)
        result = parts_describe(disk, &medium, &table);
    partitions_free(&table);
    return result;
}

static int64_t disk_scan(handle_t namespace, struct scanned *disk)
{
    char uri[DISK_NAME_MAX + sizeof(DRIVER_SCHEME) + 4];
    handle_t file;
    snprintf(uri, sizeof(uri), DRIVER_SCHEME ":///%s", disk->unit);
    int64_t result = file_open(namespace, uri, OPEN_READ, &file);
    if (result < 0)
        return result;
    result = disk_read(disk, file);
    handle_drop(file);
    return result;
}

/* --- All of a driver's --- */

void disks_free(struct scanned *disks, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        free(disks[i].parts);
    free(disks);
}

static int64_t unit_add(struct scanned **disks, uint32_t *count, const char *name)
{
    if (!name[0] || strlen(name) > DISK_NAME_MAX || strpbrk(name, "/ ") || *count == DISKS_MAX)
        return 0; /* a driver that does not keep to the rules */
    struct scanned *grown = realloc(*disks, (*count + 1) * sizeof(*grown));
    if (!grown)
        return -E_NO_MEMORY;
    *disks = grown;
    grown[*count] = (struct scanned){.kind = PARTITIONS_NONE};
    strcpy(grown[(*count)++].unit, name);
    return 0;
}

/* The entries of one answer, whose layout is the driver's word. */
static int64_t units_add(struct scanned **disks, uint32_t *count, const uint8_t *bytes,
                         uint64_t length)
{
    const size_t name_at = offsetof(struct abi_dirent, name);
    int64_t result = 0;
    for (uint64_t at = 0; length - at > name_at && result >= 0;) {
        struct abi_dirent head;
        const char *name = (const char *)bytes + at + name_at;
        memcpy(&head, bytes + at, name_at);
        if (head.length <= name_at || head.length > length - at ||
            !memchr(name, '\0', head.length - name_at))
            return 0;
        result = unit_add(disks, count, name);
        at += head.length;
    }
    return result;
}

static int64_t units_list(handle_t root, struct scanned **disks, uint32_t *count)
{
    uint8_t bytes[LIST_BYTES];
    struct abi_command command = {.op = OP_LIST};
    int64_t result;
    uint64_t position = 0;
    do {
        command = (struct abi_command){.op = OP_LIST,
                                       .args = {position},
                                       .out = (uintptr_t)bytes,
                                       .out_length = sizeof(bytes)};
        result = file_command(root, &command);
        if (result < 0)
            return result;
        result = units_add(disks, count, bytes, MIN(command.values[0], sizeof(bytes)));
        if (command.values[1] <= position)
            break;
        position = command.values[1];
    } while (result >= 0 && command.values[0]);
    return result;
}

int64_t scan_driver(handle_t namespace, handle_t root, struct scanned **disks, uint32_t *count)
{
    *disks = NULL;
    *count = 0;
    int64_t result = units_list(root, disks, count);
    for (uint32_t i = 0; i < *count && result >= 0;) {
        result = disk_scan(namespace, &(*disks)[i]);
        if (result != -E_NO_DEVICE && result != -E_NOT_FOUND) {
            i++;
            continue;
        }
        (*disks)[i] = (*disks)[--*count]; /* unplugged meanwhile */
        result = 0;
    }
    if (result < 0) {
        disks_free(*disks, *count);
        *disks = NULL;
        *count = 0;
    }
    return result;
}
