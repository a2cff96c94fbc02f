/* Paths of the program on their way to services.
 *
 *     path_read(thread, dirfd, address, &path)      the canonical URI of what the program wrote
 *     path_open(&path, flags, mode)                 a handle, links followed
 *     path_ask(&path, op, argument, &answer)        one command on it, links followed
 *     path_command(&path, &command, &answer)        ... that has in bytes or more arguments
 *
 * Results: 0 (or more) or -errno / -RESTART_*. A link that a service answers with (E_LINK) replaces the path, so
 * that afterwards path holds the name of the thing itself.
 */
#pragma once

#include "abi/fs.h"
#include "lib/linux/file.h"

#define PATH_ROOM (PATH_LENGTH_MAX + 8u) /* what is too long with its scheme the kernel refuses */

struct path {
    char front[FS_TARGET_MAX + 8]; /* room for what a mount puts in front (mounts.h) */
    char uri[PATH_ROOM];
    size_t length;
    unsigned flags; /* URI_DIRECTORY */
};

/* The out window of a command on a path: what the operation says, or a link. */
union path_answer {
    char text[PATH_LENGTH_MAX];
    struct abi_stat stat;
    struct abi_statfs statfs;
};

int64_t path_read(struct thread *thread, uint64_t dirfd, uint64_t address,
                  struct path *path) MUST_CHECK;
int64_t path_from_text(struct thread *thread, const char *text, size_t length,
                       struct path *path) MUST_CHECK;
/* handle_t or -errno */
int64_t path_open(struct path *path, uint32_t flags, uint32_t mode) MUST_CHECK;
/* The first value, or -errno. */
int64_t path_ask(struct path *path, uint32_t op, uint64_t argument,
                 union path_answer *answer) MUST_CHECK;
int64_t path_command(struct path *path, const struct abi_command *command,
                     union path_answer *answer) MUST_CHECK;
/* One try, E_LINK and all: 0 or -E_*. A command with a number (abi/ops.def) whose service ended with it is sent again. */
int64_t path_call(handle_t names, struct abi_path_call *call) MUST_CHECK;
/* answer->stat. follow: of what the link at the end leads to; else of the link itself. */
int64_t path_stat(struct path *path, bool follow, union path_answer *answer) MUST_CHECK;
/* The directory's own name, without links; the last part is left as it is. */
int64_t path_settle(struct thread *thread, struct path *path, union path_answer *answer) MUST_CHECK;
