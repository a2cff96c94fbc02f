/* The name a disk has wherever it is plugged in, as udev makes it for /dev/disk/by-id (its rules 60-persistent-storage; ata_id, usb_id). Pure.
 *
 *     virtio-SERIAL    ata-MODEL_SERIAL    nvme-MODEL_SERIAL    usb-VENDOR_PRODUCT_SERIAL-0:LUN
 *
 * Model and serial are the device's words: white space in front and behind is left out, within it is one '_', and '_' is whatever else may
 * be in no name. A namespace of NVMe behind the first has its number behind its name.
 */
#pragma once

#include "abi/disk.h"
#include "lib/base/base.h"

#define DISK_ID_MAX 160u

/* "": the device does not say enough to be told from others. */
void disk_id(const struct disk_geometry *geometry, char id[DISK_ID_MAX]);
/* Of a partition. id: its disk's. */
void disk_id_of_part(const char *id, uint32_t number, char part[DISK_ID_MAX]);
