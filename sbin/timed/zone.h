/* The local time zone: a name under /usr/share/zoneinfo. At boot it is that in /etc/timezone. */
#pragma once

#include "lib/base/base.h"

#define ZONE_NAME 64u /* with its end */

/* Letters, digits, + - _ in parts between slashes, as those of tzdata. */
bool zone_name_ok(const char *name, size_t length);

/* The first word of initfs:///etc/timezone, or "UTC". */
void zone_at_boot(char name[ZONE_NAME]);

/* Whether there are rules for it: 0, -E_NOT_FOUND, or why that cannot be said. */
int64_t zone_find(const char *name) MUST_CHECK;

/* Where they are. */
#define ZONE_URI "fs:///usr/share/zoneinfo/"
