/* Commands on paths of fs://, handed on to what is mounted there: for whoever does not read the table himself, and for vfsd.
 *
 * Links are followed, up to 40 (E_LOOP). One that leads out of fs:// ends the walk: E_LINK, and `uri` has the rest to be asked.
 */
#pragma once

#include "abi/abi.h"
#include "lib/base/base.h"

struct walk {
    char uri[PATH_LENGTH_MAX + 8]; /* canonical: "fs:///tmp/a" */
    size_t length;
};

/* A path as a client gives it. E_NOT_FOUND, E_TOO_LONG; E_LINK: it is another protocol's. */
MUST_CHECK int64_t walk_begin(struct walk *walk, const char *path, size_t length);
/* The handle of what was opened, or -E_*. */
MUST_CHECK int64_t walk_open(struct walk *walk, uint32_t flags, uint32_t mode);
/* A command without handles; what it answers, out window included, is in it. second: of RENAME and LINK, else NULL. */
MUST_CHECK int64_t walk_call(struct walk *walk, struct walk *second, struct abi_command *command);
/* Where the walk has got to, as a URI of the mounted service: room FS_TARGET_MAX + 1. E_TOO_LONG. */
MUST_CHECK int64_t walk_target(const struct walk *walk, char *target);
