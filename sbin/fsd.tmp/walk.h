/* From a path of tmp:// to what it names.
 *
 *     /3/home/notes        volume 3, its root's "home", therein "notes"
 *
 * Links are not followed here: what they mean depends on where the volume is mounted. Whoever walks is told (E_LINK) what
 * to ask for instead: a URI or an absolute path, or, of a link that is relative, a path of tmp:// without a slash in front.
 */
#pragma once

#include "lib/sys/service.h"
#include "sbin/fsd.tmp/directory.h"

struct place {
    struct volume *volume;
    struct inode *directory; /* where the name is; NULL: the volume's root */
    struct slot *slot;       /* NULL: there is no such name, or the root */
    struct inode *inode;     /* NULL: there is no such name */
    const char *name;        /* of what is there: only if the walk did not follow links */
    size_t length;
};

struct link_text {
    char text[2 * PATH_LENGTH_MAX + 2];
    size_t length;
};

#define WALK_FOLLOW 0x1u /* a link at the end is followed, too */

/* Eight bytes behind the path can be read. A name that is missing at the end is no error. E_LINK (*link), E_NOT_FOUND, E_NOT_DIRECTORY, E_TOO_LONG. */
MUST_CHECK int64_t walk(const char *path, size_t length, unsigned flags, struct place *place,
                        struct link_text *link);
