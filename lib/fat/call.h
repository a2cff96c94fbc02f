/* One call of fat.h that changes the volume.
 *
 *     int64_t result = call_begin(volume);     E_READ_ONLY; writes what has gathered if there would be no room
 *     ...                                      changes of kept memory; in the end what is in memory only
 *     return call_end(volume, result);         < 0: none of it
 *     return call_end_numbered(...)            of those that fat_number is about
 */
#pragma once

#include "lib/fat/node.h"

MUST_CHECK int64_t call_begin(struct fat_volume *volume);
int64_t call_end(struct fat_volume *volume, int64_t result);
int64_t call_end_numbered(struct fat_volume *volume, int64_t result);
