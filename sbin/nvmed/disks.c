#include "sbin/nvmed/disks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/error.h"
#include "sbin/nvmed/command.h"

static struct nvme_disk *disk_find(struct disks *disks, uint32_t namespace)
{
    list_for_each (struct nvme_disk, disk, &disks->list, link)
        if (disk->namespace == namespace)
            return disk;
    return NULL;
}

static void geometry_fill(struct nvme_disk *of_namespace, const struct nvme_controller *controller,
                          const struct nvme_namespace_facts *facts)
{
    struct disk *disk = &of_namespace->disk;
    const struct nvme_controller_facts *of = &controller->facts;
    disk->geometry = (struct disk_geometry){
        .size = facts->blocks << facts->block_shift,
        .sector = 1u << facts->block_shift,
        .physical_sector = 1u << facts->physical_shift,
        .flags = (facts->read_only ? DISK_IS_READ_ONLY : 0) | (of->cache ? DISK_HAS_CACHE : 0) |
                 (of->write_zeroes ? DISK_HAS_ZERO : 0),
        .depth = controller->pair_count * (NVME_ENTRIES - 1),
        .discard = of->dataset ? 1u << facts->block_shift : 0,
        .bus = "nvme",
        .unit = of_namespace->namespace,
    };
    snprintf(disk->geometry.model, sizeof(disk->geometry.model), "%s", of->model);
    snprintf(disk->geometry.serial, sizeof(disk->geometry.serial), "%s", of->serial);
    snprintf(disk->geometry.firmware, sizeof(disk->geometry.firmware), "%s", of->firmware);
    disk->bytes = MIN(of->transfer_most, (uint32_t)NVME_TRANSFER_MAX);
    disk->segments = disk->bytes / NVME_PAGE;
    disk->discard_bytes = (uint64_t)NVME_BLOCKS_MAX << facts->block_shift;
    disk->whole_pages = true;
    disk->through = true;
}

/* The first namespace of most controllers is the only one. */
static void name_fill(struct disks *disks, struct nvme_disk *disk)
{
    if (disk->namespace == 1)
        snprintf(disk->disk.name, sizeof(disk->disk.name), "nvme%u", disks->ordinal);
    else
        snprintf(disk->disk.name, sizeof(disk->disk.name), "nvme%un%u", disks->ordinal,
                 disk->namespace);
}

static int64_t disk_create(struct disks *disks, uint32_t namespace,
                           const struct nvme_namespace_facts *facts)
{
    struct nvme_disk *disk = calloc(1, sizeof(*disk));
    if (!disk)
        return -E_NO_MEMORY;
    disk->namespace = namespace;
    disk->listed = true;
    name_fill(disks, disk);
    geometry_fill(disk, disks->controller, facts);
    int64_t result = disk_add(disks->host, &disk->disk);
    if (result < 0) {
        free(disk);
        return result;
    }
    list_append(&disks->list, &disk->link);
    return 0;
}

/* One that is there, as it is now. With sectors of another size it is another disk: this one goes, the next scan finds that. */
static void disk_update(struct disks *disks, struct nvme_disk *disk,
                        const struct nvme_namespace_facts *facts)
{
    const struct disk_geometry before = disk->disk.geometry;
    disk->listed = before.sector == 1u << facts->block_shift;
    if (!disk->listed)
        return;
    geometry_fill(disk, disks->controller, facts);
    if (memcmp(&before, &disk->disk.geometry, sizeof(before)) != 0)
        disk_changed(&disk->disk);
}

/* Namespaces that cannot be worked with are told of, and left alone. */
static void namespace_take(struct disks *disks, uint32_t namespace)
{
    uint8_t copy[NVME_PAGE];
    struct nvme_namespace_facts facts;
    struct nvme_disk *disk = disk_find(disks, namespace);
    memcpy(copy, disks->controller->page.bytes, sizeof(copy));
    int64_t result = nvme_namespace_parse(copy, &facts);
    if (result >= 0 && disk)
        disk_update(disks, disk, &facts);
    else if (result >= 0)
        result = disk_create(disks, namespace, &facts);
    if (result < 0 && result != -E_NOT_FOUND)
        fprintf(stderr, "namespace %u: %s\n", namespace, error_text(result));
}

/* An error is the controller's: it does not answer. */
static int64_t namespace_look(struct disks *disks, uint32_t namespace)
{
    int64_t result = nvme_identify(disks->controller, NVME_IDENTIFY_NAMESPACE, namespace);
    if (result >= 0)
        namespace_take(disks, namespace);
    return nvme_is_broken(disks->controller) ? -E_IO : 0;
}

/* Numbers are listed in ascending order; 0 ends the list (5.15.2.3). More than a page of them are not looked at. */
static int64_t list_look(struct disks *disks)
{
    uint32_t numbers[NVME_LIST_ENTRIES], last = 0;
    int64_t result = nvme_identify(disks->controller, NVME_IDENTIFY_LIST, 0);
    memcpy(numbers, disks->controller->page.bytes, sizeof(numbers));
    for (uint32_t i = 0; result >= 0 && i < NVME_LIST_ENTRIES && numbers[i] > last; i++) {
        last = numbers[i];
        result = namespace_look(disks, last);
    }
    return result;
}

/* Of controllers that do not list them. */
static int64_t numbers_look(struct disks *disks)
{
    uint32_t most = MIN(disks->controller->facts.namespaces, NVME_LIST_ENTRIES);
    int64_t result = 0;
    for (uint32_t i = 1; result >= 0 && i <= most; i++)
        result = namespace_look(disks, i);
    return result;
}

static void disks_sweep(struct disks *disks)
{
    list_for_each (struct nvme_disk, disk, &disks->list, link) {
        if (disk->listed)
            continue;
        list_remove(&disk->link);
        disk_remove(&disk->disk);
    }
}

int64_t disks_scan(struct disks *disks)
{
    list_for_each (struct nvme_disk, disk, &disks->list, link)
        disk->listed = false;
    int64_t result = disks->controller->facts.lists ? list_look(disks) : numbers_look(disks);
    if (result >= 0)
        disks_sweep(disks);
    return result;
}

void disks_remove(struct disks *disks)
{
    list_for_each (struct nvme_disk, disk, &disks->list, link)
        disk->listed = false;
    disks_sweep(disks);
}

void disks_lost(struct disks *disks)
{
    list_for_each (struct nvme_disk, disk, &disks->list, link)
        disk_lost(&disk->disk);
}

void disks_forget(struct disk *disk)
{
    list_remove(&nvme_disk_of(disk)->link);
}
