/* Open files, known to the next process by what the relay calls them: so it finds a file that was renamed or unlinked since.
 *
 *     opens_add(id, flags, node, &open)     one more; those that were closed go when there are twice as many as were left last time
 *     opens_sweep()                         they go now
 *     opens_tell_of(file), opens_tell()     from now on a closing is told of (opens_closed); a file that nobody has goes
 *
 * Programs close files far more often than it matters here, so nobody is told (HANDLE_FLAG_SILENT); the relay knows which are open.
 * A directory is known by its path.
 */
#pragma once

#include "lib/sys/syscall.h"
#include "sbin/fsd.fat32/file.h"

struct open {
    uint64_t id; /* the relay's */
    uint32_t flags;
    uint32_t slot;         /* where it is kept; a directory: none */
    struct fat_node *node; /* a reference */
    struct file *file;     /* NULL: a directory */
    struct file *readable; /* the same, if it was opened for reading */
    struct list link;      /* file->opened; or of those that are no more */
    uint32_t place;        /* in the list of all */
    bool waiting;          /* a predecessor's, and nobody came for it yet */
    bool told;             /* its closing will be told of: until then it stays */
};

/* node: a reference of the open's, if this succeeds. E_NO_MEMORY. */
MUST_CHECK int64_t opens_add(uint64_t id, uint32_t flags, struct fat_node *node,
                             struct open **open);
/* The relay tells of a closing. */
void opens_closed(struct open *open);
/* Of a process before this one, if nobody came for it yet; NULL: none. */
struct open *opens_find(uint64_t id);
void opens_sweep(void);
void opens_tell_of(struct file *file);
void opens_tell(void);
bool opens_wait(void); /* there may be some that somebody comes for */
bool opens_any_writer(void);
bool opens_any(void); /* there are open files or directories at all */

/* After files_recover. */
MUST_CHECK int64_t opens_recover(void);
