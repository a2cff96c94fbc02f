/* A volume that was not properly left is looked through when it is mounted.
 *
 * What a power cut leaves of our own changes is put right: clusters that no file has, clusters behind a file's size, an entry that
 * was moved and is still at its old place (SLOT_LEAVING), parts of long names without an entry, "..", copies of the table that differ.
 * Everything else (clusters of two files, chains that lead to nowhere, files shorter than their size) is damage: it is told, the volume is
 * read-only, and nothing is written.
 */
#pragma once

#include "lib/fat/volume.h"

MUST_CHECK int64_t repair(struct fat_volume *volume);
