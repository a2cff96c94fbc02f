#include "sbin/nvmed/driver.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/sys/error.h"
#include "sbin/nvmed/command.h"
#include "sbin/nvmed/disks.h"
#include "sbin/nvmed/status.h"

static struct nvme_controller controller;
static struct disk_host host;
static handle_t later; /* a timer */
static struct disks disks = {&controller, &host, 0, LIST_INIT(disks.list)};

/* --- Resets ----------------------------------------------------------------------------------------------------- */

static void give_up(int64_t why)
{
    if (controller.given_up)
        return;
    fprintf(stderr, "the controller is given up: %s\n", error_text(why));
    nvme_give_up(&controller);
}

/* What was under way is lost with all its disks. Disks do not go while lib/disk resets one: what there is now is looked at later. */
static int64_t controller_reset(void)
{
    int64_t result = nvme_start(&controller);
    if (result < 0)
        give_up(result);
    disks_lost(&disks);
    sys_ignore(sys_timer_set(later, sys_clock_get(CLOCK_MONOTONIC_), 0));
    return result;
}

static void look_again(void)
{
    uint64_t count;
    sys_ignore(sys_timer_take(later, &count, DEADLINE_NOW));
    int64_t result = controller.given_up ? 0 : disks_scan(&disks);
    if (result < 0)
        give_up(result);
    if (controller.given_up)
        disks_remove(&disks);
}

/* --- Requests --------------------------------------------------------------------------------------------------- */

static int64_t request_start(struct disk *disk, struct disk_request *request)
{
    struct nvme_command command;
    struct nvme_pair *pair = nvme_pair_choose(&controller);
    if (!pair)
        return controller.given_up ? -E_NO_DEVICE : -E_AGAIN;
    uint64_t offset = (uint64_t)nvme_queue_next(&pair->ring) * NVME_PAGE;
    struct nvme_page page = {(uint64_t *)(void *)(pair->pages.bytes + offset),
                             pci_dma_address(&pair->pages, offset)};
    int64_t result = nvme_command_build(&command, request, nvme_disk_of(disk)->namespace, &page);
    return result < 0 ? result : nvme_queue_add(&pair->ring, &command, request);
}

static void requests_send(struct disk *disk)
{
    (void)disk;
    nvme_send(&controller);
}

static void request_end(const struct nvme_done *done)
{
    struct disk_request *request = done->request;
    int64_t error;
    const char *cause;
    enum nvme_verdict verdict = nvme_status_judge(done->status, &error, &cause);
    if (verdict != NVME_DONE)
        fprintf(stderr, "%s: sector %" PRIu64 ", %u of them: %s (%03x)\n", request->disk->name,
                request->sector, request->count, cause, done->status);
    disk_done(request, verdict == NVME_AGAIN ? DISK_LOST : error);
}

static int64_t disk_reset(struct disk *disk)
{
    int64_t result = controller_reset();
    if (result < 0)
        disks_forget(disk);
    return result;
}

/* With its first disk the whole controller stops. */
static void disk_stopping(struct disk *disk)
{
    (void)disk;
    if (!controller.given_up)
        nvme_shut_down(&controller);
}

static void disk_released(struct disk *disk)
{
    free(nvme_disk_of(disk));
}

/* --- Interrupts ------------------------------------------------------------------------------------------------- */

static void event_look(uint32_t event)
{
    switch (NVME_EVENT_TYPE(event)) {
    case NVME_EVENT_NOTICE:
        if (NVME_EVENT_INFO(event) == NVME_NOTICE_NAMESPACES && disks_scan(&disks) < 0)
            controller.admin.ring.broken = true;
        return;
    case NVME_EVENT_HEALTH:
        fprintf(stderr, "the controller warns of its health (%u)\n", NVME_EVENT_INFO(event));
        return;
    default:
        fprintf(stderr, "the controller tells of an event (%06x)\n", event);
    }
}

/* Whether it was the controller's. */
static bool pairs_take(uint16_t irq)
{
    bool any = false;
    for (uint16_t i = 0; i < controller.pair_count; i++) {
        struct nvme_pair *pair = &controller.pairs[i];
        struct nvme_done done;
        while (pair->irq == irq && nvme_pair_take(&controller, pair, &done)) {
            any = true;
            request_end(&done);
        }
    }
    return any;
}

static void irq_take(uint16_t irq)
{
    uint32_t event;
    bool mine = pairs_take(irq);
    while (irq == controller.admin.irq && nvme_event_next(&controller, &event)) {
        event_look(event);
        mine = true;
    }
    nvme_interrupt_ack(&controller, irq, mine);
    if (nvme_is_broken(&controller)) {
        fprintf(stderr, "the controller does not keep the rules; it is reset\n");
        sys_ignore(controller_reset());
    } else if (!mine && !nvme_is_there(&controller)) {
        give_up(-E_NO_DEVICE);
        disks_remove(&disks);
    }
}

static void notified(void *context, uint64_t key, uint64_t signals)
{
    (void)context;
    (void)signals;
    if (key == NVMED_KEY_LATER)
        look_again();
    else
        irq_take((uint16_t)key);
}

/* --- Started ---------------------------------------------------------------------------------------------------- */

static const struct disk_driver driver = {
    .start = request_start,
    .send = requests_send,
    .reset = disk_reset,
    .notified = notified,
    .stopping = disk_stopping,
    .released = disk_released,
};

static bool is_nvme(uint32_t class_code, uint16_t vendor, uint16_t device)
{
    (void)vendor;
    (void)device;
    return class_code >> 8 == 0x0108;
}

static int64_t start(const char *function)
{
    struct abi_system_info info;
    int64_t result = sys_system_info(&info, sizeof(info));
    if (result >= 0)
        result = nvme_open(&controller, function, (uint32_t)info.cpus);
    if (result >= 0)
        result = disk_host_open(&host, function, &controller.pci, &driver, NULL);
    if (result >= 0)
        result = later = sys_timer_create();
    if (result >= 0)
        result = sys_port_bind(host.port, later, SIGNAL_READABLE, NVMED_KEY_LATER, 0);
    for (uint16_t i = 0; result >= 0 && i < controller.irq_count; i++)
        result = sys_port_bind(host.port, controller.irqs[i], SIGNAL_READABLE, i, 0);
    if (result >= 0)
        result = nvme_start(&controller);
    if (result < 0)
        return result;
    disks.ordinal = disk_ordinal(function, is_nvme);
    return disks_scan(&disks);
}

int64_t nvmed_serve(const char *function)
{
    int64_t result = start(function);
    if (result >= 0)
        return disk_host_run(&host);
    nvme_give_up(&controller);
    disks_remove(&disks);
    return result;
}
