/* Open files, known to the next process by what the relay calls them: so it finds a file that was renamed or unlinked since.
 *
 * A directory is known by its path. */
#pragma once

#include "lib/sys/syscall.h"
#include "sbin/fsd.fat32/file.h"

struct open {
    uint64_t id; /* the relay's */
    uint32_t flags;
    uint32_t slot;         /* where it is kept; a directory: none */
    struct fat_node *node; /* a reference */
    struct file *file;     /* NULL: a directory */
};

/* node: a reference of the open's, if this succeeds. E_NO_MEMORY. */
MUST_CHECK int64_t opens_add(uint64_t id, uint32_t flags, struct fat_node *node,
                             struct open **open);
void opens_remove(struct open *open);
/* Of a process before this one, if nobody came for it yet; NULL: none. */
struct open *opens_find(uint64_t id);
/* Those whose files were closed before anybody came for them go. */
void opens_sweep(void);
bool opens_wait(void); /* there may be some */
bool opens_any(void);  /* there are open files or directories at all */

/* After files_recover. */
MUST_CHECK int64_t opens_recover(void);
