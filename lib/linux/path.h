/* Paths of the program on their way to services.
 *
 *     path_read(thread, dirfd, address, &path)      the canonical URI of what the program wrote
 *     path_open(&path, flags, mode, &handle)        a file, links followed
 *     path_command(&path, &command, out)            one command on it, links followed; out: PATH_LENGTH_MAX
 *                                                   bytes, the command's out window
 *
 * Results: 0 (or more) or -errno / -RESTART_*. A link that a service answers with (E_LINK) replaces the path, so
 * that afterwards path holds the name of the thing itself.
 */
#pragma once

#include "lib/linux/thread.h"

struct path {
    char uri[PATH_LENGTH_MAX];
    size_t length;
    unsigned flags; /* URI_DIRECTORY */
};

int64_t path_read(struct thread *thread, uint64_t dirfd, uint64_t address,
                  struct path *path) MUST_CHECK;
int64_t path_from_text(struct thread *thread, const char *text, size_t length,
                       struct path *path) MUST_CHECK;
/* handle_t or -errno */
int64_t path_open(struct path *path, uint32_t flags, uint32_t mode) MUST_CHECK;
int64_t path_command(struct path *path, struct abi_command *command, char *out) MUST_CHECK;
/* follow: the link at the end; else the link itself. */
int64_t path_stat(struct path *path, bool follow, struct abi_stat *stat) MUST_CHECK;
