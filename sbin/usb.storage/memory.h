/* Memory of a USB disk and its clients (struct disk_memory): the controller reaches it, by usbd's leave. */
#pragma once

#include "lib/disk/driver.h"

/* The host's context is struct pipes. */
extern const struct disk_memory usb_disk_memory;
