#include "sbin/ahcid/driver.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/error.h"
#include "sbin/ahcid/adapter.h"

#define SETTLE_MOST INT64_C(10000000000)

static struct ahci_adapter adapter;
static struct disk_host host;
static handle_t timer;
static int64_t timer_due; /* what it is set to; DEADLINE_NEVER: it is not */
static uint32_t ordinal;  /* of the adapter among all */

static int64_t now(void)
{
    return sys_clock_get(CLOCK_MONOTONIC_);
}

/* --- Disks ------------------------------------------------------------------------------------------------------ */

static void geometry_fill(struct disk *disk, const struct ahci_port *port)
{
    const struct ata_facts *facts = &port->facts;
    uint32_t sector = 1u << facts->sector_shift;
    disk->geometry = (struct disk_geometry){
        .size = facts->sectors << facts->sector_shift,
        .sector = sector,
        .physical_sector = 1u << facts->physical_shift,
        .flags = (facts->cache ? DISK_HAS_CACHE : 0) | (facts->rotates ? DISK_IS_ROTATING : 0),
        .depth = facts->depth > 1 ? port->slots.count : 1,
        .discard = facts->trim_blocks ? sector : 0,
        .bus = "ata",
    };
    snprintf(disk->geometry.model, sizeof(disk->geometry.model), "%s", facts->model);
    snprintf(disk->geometry.serial, sizeof(disk->geometry.serial), "%s", facts->serial);
    snprintf(disk->geometry.firmware, sizeof(disk->geometry.firmware), "%s", facts->firmware);
    disk->segments = AHCI_TABLE_ROOM;
    disk->segment_bytes = AHCI_PIECE_MOST;
    disk->bytes = ATA_SECTORS_MAX * sector;
    disk->discard_bytes = AHCI_TRIM_MOST * sector;
}

static void disk_came(struct ahci_port *port)
{
    if (port->own)
        return; /* it is back from a reset */
    struct disk *disk = calloc(1, sizeof(*disk));
    if (!disk)
        return;
    snprintf(disk->name, sizeof(disk->name), "ahci%u.%u", ordinal, port->number);
    geometry_fill(disk, port);
    disk->own = port;
    int64_t result = disk_add(&host, disk);
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", disk->name, error_text(result));
        free(disk);
        return;
    }
    port->own = disk;
}

static void disk_went(struct ahci_port *port)
{
    struct disk *disk = port->own;
    port->own = NULL;
    if (disk)
        disk_remove(disk);
}

static void request_done(struct ahci_port *port, struct disk_request *request, int64_t status)
{
    (void)port;
    disk_done(request, status);
}

/* It may write to memory that is somebody else's soon: pcid takes it from the bus when we are gone, and the next instance begins anew. */
static void adapter_runaway(struct ahci_port *port)
{
    (void)port;
    exit(1);
}

static const struct ahci_port_owner owner = {disk_came, disk_went, request_done, adapter_runaway};

/* --- What lib/disk asks for ------------------------------------------------------------------------------------- */

/* After everything that may have brought another deadline. */
static void timer_renew(void)
{
    int64_t deadline = ahci_deadline(&adapter);
    if (deadline == timer_due)
        return;
    timer_due = deadline;
    sys_ignore(sys_timer_set(timer, deadline == DEADLINE_NEVER ? 0 : deadline, 0));
}

static int64_t request_start(struct disk *disk, struct disk_request *request)
{
    return ahci_port_start(disk->own, request);
}

static void requests_send(struct disk *disk)
{
    ahci_port_send(disk->own);
}

static int64_t disk_reset(struct disk *disk)
{
    ahci_port_reset(disk->own, now());
    timer_renew();
    return 0;
}

/* False: the adapter is not there any more, and neither are its disks. */
static bool interrupt_take(void)
{
    if (ahci_interrupt(&adapter, now()))
        return true;
    fprintf(stderr, "the adapter is gone\n");
    for (uint32_t i = 0; i < AHCI_PORTS; i++)
        disk_went(&adapter.ports[i]);
    return false;
}

static void adapter_notified(void *context, uint64_t key, uint64_t signals)
{
    (void)context;
    (void)signals;
    uint64_t count;
    if (key == AHCID_KEY_TIMER) {
        sys_ignore(sys_timer_take(timer, &count, DEADLINE_NOW));
        timer_due = DEADLINE_NEVER;
        ahci_tick(&adapter, now());
    } else if (!interrupt_take()) {
        return;
    }
    timer_renew();
}

static void disk_stopping(struct disk *disk)
{
    if (disk->geometry.flags & DISK_HAS_CACHE)
        ahci_port_finish(disk->own);
}

static void disk_released(struct disk *disk)
{
    free(disk);
}

static const struct disk_driver driver = {
    .start = request_start,
    .send = requests_send,
    .reset = disk_reset,
    .notified = adapter_notified,
    .stopping = disk_stopping,
    .released = disk_released,
};

/* --- Started ---------------------------------------------------------------------------------------------------- */

static bool is_ahci(uint32_t class_code, uint16_t vendor, uint16_t device)
{
    (void)vendor;
    (void)device;
    return class_code == 0x010601;
}

/* Files that a predecessor had are opened again as soon as we serve, so the disks are to be there by then. For one that takes its time the
 * others do not wait for ever. */
static void settle(void)
{
    struct abi_wait wait = {.handle = adapter.irq, .signals = SIGNAL_READABLE};
    int64_t limit = now() + SETTLE_MOST;
    ahci_begin(&adapter, now());
    while (!ahci_is_settled(&adapter) && now() < limit) {
        int64_t deadline = ahci_deadline(&adapter);
        if (sys_wait_many(&wait, 1, MIN(deadline, limit)) <= 0)
            ahci_tick(&adapter, now());
        else if (!interrupt_take())
            return;
    }
}

int64_t ahcid_serve(const char *function)
{
    int64_t result = ahci_open(&adapter, function, &owner);
    if (result >= 0)
        result = disk_host_open(&host, function, &adapter.pci, &driver, NULL);
    if (result >= 0)
        result = timer = sys_timer_create();
    if (result < 0)
        return result;
    timer_due = DEADLINE_NEVER;
    ordinal = disk_ordinal(function, is_ahci);
    settle();
    result = sys_port_bind(host.port, timer, SIGNAL_READABLE, AHCID_KEY_TIMER, 0);
    if (result >= 0)
        result = sys_port_bind(host.port, adapter.irq, SIGNAL_READABLE, AHCID_KEY_IRQ, 0);
    if (result < 0)
        return result;
    timer_renew();
    return disk_host_run(&host);
}
