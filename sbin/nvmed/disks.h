/* The namespaces of a controller as disks (lib/disk/driver.h).
 *
 *     disks_scan(&disks)           what there is now: new ones come, others go, sizes change
 *     disks_remove(&disks)         the controller is gone, and all of them
 *     disks_lost(&disks)           it was reset: what was under way is not any more
 */
#pragma once

#include "lib/disk/driver.h"
#include "sbin/nvmed/controller.h"

struct nvme_disk {
    struct list link;
    struct disk disk;
    uint32_t namespace;
    bool listed; /* by the scan that goes on */
};

struct disks {
    struct nvme_controller *controller;
    struct disk_host *host;
    uint32_t ordinal; /* of the controller among all */
    struct list list; /* of nvme_disk */
};

/* E_*: the controller does not answer; what there was before is still there. */
MUST_CHECK int64_t disks_scan(struct disks *disks);
void disks_remove(struct disks *disks);
void disks_lost(struct disks *disks);
/* lib/disk removes it by itself. */
void disks_forget(struct disk *disk);

static inline struct nvme_disk *nvme_disk_of(struct disk *disk)
{
    return container_of(disk, struct nvme_disk, disk);
}
