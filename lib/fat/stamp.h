/* Time stamps of entries: a day since 1980, two seconds of it, and of creation 10 ms. In the volume's zone. */
#pragma once

#include "lib/fat/directory.h"

#define STAMP_NONE INT64_MIN /* leaves it as it is */

void stamp_created(const struct fat_volume *volume, struct slot *entry, int64_t when);
void stamp_accessed(const struct fat_volume *volume, struct slot *entry, int64_t when);
void stamp_modified(const struct fat_volume *volume, struct slot *entry, int64_t when);
/* ns since 1970 UTC; a date that is none is 0. */
int64_t stamp_read(const struct fat_volume *volume, uint16_t date, uint16_t time, uint8_t ms10);
