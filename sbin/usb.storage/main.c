/* usb.storage: a disk on USB as disks of disk:// (lib/disk/driver.h), one for each of its units that has a medium.
 *
 *     lib/disk --start--> worker.c --lib/usb/storage.h: SCSI--> uas.h or bulk_only.h --> attached.c, bulk.c --usb://--> device
 *              <--disk_done-- worker_take <--
 *
 * Started with the interface's URI, after whose place its disks are called: "usb1-5", other units "usb1-5.lun2", of another interface
 * than the first "usb1-5:2". A device that is pulled out takes its disks with it (E_NO_DEVICE), and initd ends us. When usbd dies we
 * hold what is under way until initd starts the next of us.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/error.h"
#include "lib/sys/startup.h"
#include "sbin/usb.storage/media.h"
#include "sbin/usb.storage/memory.h"
#include "sbin/usb.storage/pipes.h"
#include "sbin/usb.storage/worker.h"

/* Of one command: what USB 2 devices are used to, and what a transfer of usbd's holds, wherever its pages lie. */
#define BYTES_SLOW 0x10000u
#define BYTES_FAST 0x80000u

#define DEPTH_LEAST 4u                     /* if the device works on one the next are at hand */
#define PATIENCE_NS INT64_C(3600000000000) /* the worker knows better when to give up, and does */

static struct pipes pipes;
static struct bulk_only bulk;
static struct uas uas;
static struct lane **lanes; /* the worker's, in the end */
static uint32_t lane_count;
static struct worker worker;
static struct disk_host host;
static struct disk *disks[STORAGE_UNITS]; /* by unit; NULL: no medium */

/* --- what lib/disk wants --- */

static int64_t start(struct disk *disk, struct disk_request *request)
{
    (void)disk;
    worker_put(&worker, request);
    return 0;
}

static int64_t reset(struct disk *disk)
{
    fprintf(stderr, "%s: its worker does not come to an end\n", disk->name);
    exit(1);
}

static uint32_t unit_of(const struct disk *disk)
{
    uint32_t unit = 0;
    while (unit < worker.unit_count - 1 && disks[unit] != disk)
        unit++;
    return unit;
}

static void stopping(struct disk *disk)
{
    worker_flush(&worker, &worker.units[unit_of(disk)]);
}

static int64_t opens(struct disk *disk, uint64_t file)
{
    return media_opens(unit_of(disk), file);
}

static void released(struct disk *disk)
{
    free(disk);
}

/* --- disks --- */

static void name_make(const struct storage_unit *unit, char *name, size_t size)
{
    const struct usb_description *device = &pipes.claim.description;
    char interface[8] = "", number[12] = "";
    if (device->interface)
        snprintf(interface, sizeof(interface), ":%u", device->interface);
    if (unit->number)
        snprintf(number, sizeof(number), ".lun%u", unit->number);
    snprintf(name, size, "usb%s%s%s", device->name, interface, number);
}

static uint32_t flags_of(const struct storage_unit *unit)
{
    return (unit->mode.read_only ? DISK_IS_READ_ONLY : 0) |
           (unit->inquiry.removable ? DISK_IS_REMOVABLE : 0) |
           (unit->mode.cache ? DISK_HAS_CACHE : 0);
}

static void disk_describe(struct disk *disk, const struct storage_unit *unit)
{
    const struct usb_description *device = &pipes.claim.description;
    struct disk_geometry *geometry = &disk->geometry;
    geometry->sector = unit->capacity.block;
    geometry->physical_sector = unit->capacity.physical;
    geometry->size = unit->capacity.blocks * unit->capacity.block;
    geometry->flags = flags_of(unit);
    geometry->depth = MAX(worker.lane_count, DEPTH_LEAST);
    snprintf(geometry->model, sizeof(geometry->model), "%s%s%s", unit->inquiry.vendor,
             unit->inquiry.vendor[0] ? " " : "", unit->inquiry.product);
    snprintf(geometry->serial, sizeof(geometry->serial), "%s", device->serial);
    snprintf(geometry->bus, sizeof(geometry->bus), "usb");
    geometry->unit = unit->number;
    snprintf(geometry->firmware, sizeof(geometry->firmware), "%s", unit->inquiry.revision);
    if (unit->limits.most && !unit->mode.read_only) {
        geometry->discard = (uint64_t)unit->limits.unit * unit->capacity.block;
        disk->discard_bytes = (uint64_t)unit->limits.most * unit->capacity.block;
    }
    disk->segments = 1;
    disk->bytes = device->speed >= USB_SUPER ? BYTES_FAST : BYTES_SLOW;
    disk->patience = PATIENCE_NS;
    name_make(unit, disk->name, sizeof(disk->name));
}

/* Who it is, as far as it says. */
static uint64_t identity_of(const struct storage_unit *unit)
{
    const struct usb_description *device = &pipes.claim.description;
    const uint16_t numbers[] = {device->vendor, device->product, device->release};
    uint64_t identity = media_identity(0, numbers, sizeof(numbers));
    identity = media_identity(identity, device->serial, sizeof(device->serial));
    identity = media_identity(identity, &unit->inquiry.vendor, sizeof(unit->inquiry.vendor));
    identity = media_identity(identity, &unit->inquiry.product, sizeof(unit->inquiry.product));
    return media_identity(identity, &unit->capacity.blocks, sizeof(unit->capacity.blocks));
}

static void unit_loaded(uint32_t index)
{
    struct worker_unit *unit = &worker.units[index];
    struct disk *disk = calloc(1, sizeof(*disk));
    if (disk)
        disk_describe(disk, &unit->storage);
    int64_t result = disk ? disk_add(&host, disk) : -E_NO_MEMORY;
    if (result < 0) {
        fprintf(stderr, "unit %u: %s\n", unit->storage.number, error_text(result));
        free(disk);
        disk = NULL;
    }
    disks[index] = disk;
    media_loaded(index, identity_of(&unit->storage));
    worker_serve(&worker, unit, NULL, disk);
}

static void unit_emptied(uint32_t index)
{
    struct disk *disk = disks[index];
    disks[index] = NULL;
    media_emptied(index);
    worker_serve(&worker, &worker.units[index], disk, NULL);
    if (disk)
        disk_remove(disk);
}

static void news_hear(void)
{
    for (uint32_t i = 0; i < worker.unit_count; i++) {
        enum worker_news news = worker_news(&worker, &worker.units[i]);
        if (news == NEWS_LOADED)
            unit_loaded(i);
        else if (news == NEWS_EMPTY)
            unit_emptied(i);
    }
}

static void notified(void *context, uint64_t key, uint64_t signals)
{
    struct disk_request *request;
    int64_t status;
    (void)context, (void)key, (void)signals;
    while (worker_take(&worker, &request, &status)) {
        if (status >= 0)
            media_works();
        disk_done(request, status);
    }
    news_hear();
}

static const struct disk_driver driver = {
    .start = start,
    .reset = reset,
    .notified = notified,
    .stopping = stopping,
    .released = released,
    .opens = opens,
    .memory = &usb_disk_memory,
};

/* --- the beginning --- */

static int64_t lanes_make(uint32_t count)
{
    lanes = calloc(count, sizeof(struct lane *));
    lane_count = count;
    return lanes ? 0 : -E_NO_MEMORY;
}

static int64_t bulk_start(void)
{
    struct usb_memory page;
    int64_t result = bulk_open(&pipes);
    if (result >= 0)
        result = usb_memory(&pipes.claim, BULK_PAGE, &page);
    if (result >= 0)
        result = lanes_make(1);
    if (result < 0)
        return pipes_alive(result);
    bulk_only_open(&bulk, &pipes.bulk, page.bytes, PIPES_ADDRESS(page.number, 0));
    lanes[0] = &bulk.lane;
    return 0;
}

/* Commands of the driver before us end first. */
static int64_t attached_start(void)
{
    struct usb_memory pages;
    uint16_t streams;
    int64_t result = attached_open(&pipes, &streams);
    if (result < 0)
        return result;
    uint32_t count = uas_lanes(streams);
    struct uas_lane *own = calloc(count, sizeof(*own));
    result = own ? usb_memory(&pipes.claim, (uint64_t)count * UAS_PAGE, &pages) : -E_NO_MEMORY;
    if (result >= 0)
        result = lanes_make(count);
    if (result < 0) {
        free(own);
        return pipes_alive(result);
    }
    uas_open(&uas, &pipes.attached, streams, own, count, pages.bytes,
             PIPES_ADDRESS(pages.number, 0));
    /* The last is taken first: usbd finds low streams soonest. */
    for (uint32_t i = 0; i < count; i++)
        lanes[count - 1 - i] = &own[i].lane;
    result = media_noted(MEDIA_COMMANDS) ? uas_quiet(&uas) : 0;
    media_note(MEDIA_COMMANDS, true);
    return result;
}

/* UAS where the device has it. */
static int64_t transport_open(void)
{
    const struct uas_settings *settings = &pipes.settings;
    int64_t result = -E_NOT_SUPPORTED;
    if (settings->attached && !media_noted(MEDIA_BULK_ONLY)) {
        result = attached_start();
        if (result >= 0 || result == -E_CLOSED)
            return result;
        fprintf(stderr, "%s: UAS does not work: %s%s\n", pipes.claim.uri, error_text(result),
                settings->bulk_only ? "; bulk-only from now on" : "");
    }
    return settings->bulk_only ? bulk_start() : result;
}

static int64_t device_open(const char *interface)
{
    if (!media_start(startup_require("port:disk")))
        return -E_NO_MEMORY;
    int64_t result = pipes_open(&pipes, interface);
    if (result >= 0)
        result = transport_open();
    if (result >= 0)
        result = worker_init(&worker, lanes, lane_count);
    pipes.worked = result >= 0;
    return result;
}

/* What is open with us is opened again as soon as we accept, so the disks come first. */
static int64_t serve(const char *interface)
{
    int64_t result = disk_host_open(&host, interface, NULL, &driver, &pipes);
    if (result < 0)
        return result;
    news_hear();
    result = worker_run(&worker, host.port);
    return result < 0 ? result : disk_host_run(&host);
}

/* A device for somebody else stays claimed, and its driver serves nothing: one that ended would be started again. */
static int64_t rest(const char *interface)
{
    const struct usb_description *device = &pipes.claim.description;
    fprintf(stderr, "%s: not a disk for us (class %02x%02x%02x)\n", interface, device->class_code,
            device->subclass, device->protocol);
    int64_t result = disk_host_open(&host, interface, NULL, &driver, &pipes);
    return result < 0 ? result : disk_host_run(&host);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: usb.storage usb:///INTERFACE\n");
        return 2;
    }
    int64_t result = device_open(argv[1]);
    if (result == -E_NOT_SUPPORTED && pipes.claim.file != HANDLE_NONE)
        result = rest(argv[1]);
    else if (result >= 0)
        result = serve(argv[1]);
    fprintf(stderr, "%s: %s\n", argv[1], error_text(result));
    return 1;
}
