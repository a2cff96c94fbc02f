/* initfsd, brought back by a thread of its own.
 *
 * Everything else initd starts comes from initfs://, so nothing that may wait for initfs:// may be what brings it back.
 * This thread has all it needs in memory from the start: the program (handle "program:initfsd"), the personality
 * ("image") and the archive. The first initfsd is the bootstrap process ("process:initfsd"); those after it are found in
 * the roster.
 */
#pragma once

#include <stdio.h>

#include "sbin/initd/posix.h"

/* Starts the thread; returns at once. */
void initfs_guard(void);

/* procd is new: enters initfsd. */
void initfs_adopt(void);

/* The system stops: it is no program. */
void initfs_spare(struct posix_spared *spared);

/* Its line of log:///status. */
void initfs_status(FILE *stream);
