/* Which files are open, and which of them still are.
 *
 * Programs open and close far more often than anybody unlinks what is open, so nobody is told of a closing
 * (HANDLE_FLAG_SILENT). Instead the relay is asked whether it still knows a file (file_ready): of all when there are twice as
 * many as the last time, and of an inode's when it has lost its last name. Those that are open then are to be told of.
 */
#pragma once

#include "lib/sys/syscall.h"
#include "sbin/fsd.tmp/inode.h"

/* All that the arena knows; those were opened from a process before this one. */
MUST_CHECK int64_t opens_recover(void);
/* One that was opened already, if only the answer did not arrive; NULL: none. */
struct open *opens_find(uint64_t id);
/* Takes note of a new one; false: no memory. And of its end. */
MUST_CHECK bool opens_enter(struct open *open);
void opens_forget(const struct open *open);
/* Closed ones go, once there are many; in transactions of their own. */
void opens_sweep(bool all);
/* The inode has no name any more: closed ones go, of the others we are told. */
void opens_reap(struct inode *inode);
/* By a file's cookie; NULL: it has gone. */
struct open *opens_of(uint64_t cookie);
bool opens_any(const struct volume *volume);
