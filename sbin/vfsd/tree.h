/* The list of mounts: vfsd's own state. It is kept with fs://'s port, and handed out as a table (abi/fs.h).
 *
 *     tree_add(&mount), tree_remove(at)        then
 *     tree_publish(by)                         the next instance, and everybody who names files, knows
 *
 * Lock: tree_lock; whoever reads or changes the list holds it.
 */
#pragma once

#include <pthread.h>
#include <stddef.h>

#include "abi/fs.h"
#include "lib/sys/syscall.h"

struct mount {
    char *source, *type; /* as they were given */
    char *options;       /* as they are shown: "ro" or "rw" in front */
    char *point;         /* without the slash in front: empty for the root */
    char *target;        /* URI */
};

/* A command to mounts://. */
struct tree_change {
    uint64_t caller, number; /* number 0: it is not sent again */
};

extern pthread_rwlock_t tree_lock;
extern struct mount *tree_mounts;
extern size_t tree_count;

/* What an instance before this one had; false: nothing that is whole. */
MUST_CHECK bool tree_recover(handle_t port);
/* All that is mounted at the start has been. */
bool tree_begun(void);
void tree_set_begun(void);
/* Copies of the texts. E_NO_MEMORY. */
MUST_CHECK int64_t tree_add(const struct mount *mount);
void tree_remove(size_t at);
MUST_CHECK int64_t tree_set_options(size_t at, const char *options);
void tree_clear(void);
/* The mount at exactly this point; tree_count: none. */
size_t tree_find(const char *point, size_t length);
/* How many mounts lead to target or below it. */
size_t tree_uses(const char *target);
/* by: whose change is done with this; NULL: nobody's, or not yet. */
MUST_CHECK int64_t tree_publish(const struct tree_change *by);
/* Whether that change is the last that was done: it is asked for once more by who does not know. */
bool tree_has(const struct tree_change *change);
bool tree_published(void);

/* The table as it is handed out now, and its length. tree_lock held. */
const struct fs_table *tree_table(uint64_t *length);
/* The caller's handles to it and to the namespace its targets are in. tree_lock held. */
MUST_CHECK int64_t tree_share(handle_t handles[2]);
