/* Which clusters are free. The table is scanned piece by piece, and only as far as needed.
 *
 *     space_take(volume, goal, want, &run)     out of the set; the caller writes the table's entries
 *     space_give(volume, run)                  back into it: what the table says is free
 *
 * A cluster that was freed is given back when nothing on the platter leads to it.
 */
#pragma once

#include "lib/fat/volume.h"

MUST_CHECK int64_t space_open(struct fat_volume *volume);
void space_close(struct fat_volume *volume);

/* At most `want`, at least one, CALL_TAKES times in a call (call.h: they go back if it fails). goal: best these; 0: no wish. `growing`: the file had others in front of goal, so it gets room
 * to go on. E_NO_SPACE. */
MUST_CHECK int64_t space_take(struct fat_volume *volume, uint32_t goal, bool growing, uint32_t want,
                              struct cluster_run *run);
void space_give(struct fat_volume *volume, struct cluster_run run);
/* All of the table. */
MUST_CHECK int64_t space_count(struct fat_volume *volume, uint32_t *free);
