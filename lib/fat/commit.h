/* All that was changed goes to the platter, phase by phase, each on the platter before the next begins (buffer.h, docs/fat.md).
 *
 * If it fails, or the process dies, what is not known to be on the platter stays changed, and the next commit begins anew: what is
 * written twice is the same. Afterwards slots and clusters that were freed may be used again (kept->turn).
 */
#pragma once

#include "lib/fat/volume.h"

/* E_IO. An error of the caller's file data is told of, but does not hold up the rest. */
MUST_CHECK int64_t commit(struct fat_volume *volume);
/* Frees the clusters that nothing on the platter leads to any more, as many as there is room for in buffers; cuts off those that
 * files do not need. Changes, to be committed. */
MUST_CHECK int64_t reap(struct fat_volume *volume);
/* A predecessor may have died in the middle of making cells clean. */
void commit_recover(struct fat_volume *volume);

/* The device's zeros for what was never written in front of `end` (file.c). */
MUST_CHECK int64_t file_fill(struct fat_node *node, uint64_t end);
