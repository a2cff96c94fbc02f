/* The boot sector, FSInfo, and the marks of a volume in use. */
#pragma once

#include "lib/fat/volume.h"

/* Sets the volume's shape. E_BAD_FORMAT: this is none, or none that fits the device; E_IO. */
MUST_CHECK int64_t boot_read(struct fat_volume *volume);
/* Marks the volume as in use or as properly left, and flushes. volume->was_dirty is what was there when boot_check looked. */
MUST_CHECK int64_t boot_mark(struct fat_volume *volume, bool in_use);
MUST_CHECK int64_t boot_check(struct fat_volume *volume);
/* FSInfo's hint where to look for free clusters (volume->rotor), and both of its numbers. FAT32 only. */
void info_read(struct fat_volume *volume);
MUST_CHECK int64_t info_write(struct fat_volume *volume, uint32_t free);
