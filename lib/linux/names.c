/* Calls that change what names stand for, and what lies behind a name: rename, link, unlink, mkdir, symlink; mode, owner, times, length. */
#include "abi/ops.h"
#include "lib/base/string.h"
#include "lib/base/uri.h"
#include "lib/linux/answer.h"
#include "lib/linux/calls.h"
#include "lib/linux/io.h"
#include "lib/linux/mounts.h"
#include "lib/linux/path.h"
#include "lib/linux/process.h"
#include "lib/linux/socket.h"
#include "lib/linux/time.h"
#include "lib/linux/user.h"

#define UNLINK_DIRECTORY \
    0x1u /* OP_UNLINK, args[0]: it must be a directory (rmdir); else it must be none */

/* A command on a path that answers nothing but its success. */
static int64_t plain(struct path *path, uint32_t op, uint64_t first, uint64_t second)
{
    struct abi_command command;
    union path_answer out;
    int64_t result;

    if (!second) {
        result = MIN(path_ask(path, op, first, &out), INT64_C(0));
    } else {
        memset(&command, 0, sizeof(command));
        command.op = op;
        command.args[0] = first;
        command.args[1] = second;
        result = path_command(path, &command, &out);
    }
    return result == -LINUX_ENOSYS ? -LINUX_EOPNOTSUPP : result;
}

static int64_t plain_at(struct thread *thread, uint64_t dirfd, uint64_t address, uint32_t op,
                        uint64_t first, uint64_t second)
{
    struct path path;
    int64_t result = path_read(thread, dirfd, address, &path);

    return result < 0 ? result : plain(&path, op, first, second);
}

static int64_t plain_file(struct thread *thread, uint64_t fd, uint32_t op, uint64_t first,
                          uint64_t second)
{
    int64_t result = io_command(thread, fd, op, first, second);

    return result == -LINUX_ENOSYS ? -LINUX_EOPNOTSUPP : result;
}

/* UNLINK, MKDIR; SYMLINK, whose in bytes are `text`. */
static int64_t change(struct path *path, uint32_t op, uint64_t argument, const char *text,
                      size_t length)
{
    struct abi_command command = {.op = op,
                                  .args = {argument, 0, 0, command_number()},
                                  .in = (uint64_t)text,
                                  .in_length = length};
    union path_answer out;
    int64_t result = path_command(path, &command, &out);

    return result == -LINUX_ENOSYS ? -LINUX_EOPNOTSUPP : result;
}

/* The command goes to what both are mounted by; the other name goes along as its part behind "scheme://". */
static int64_t two_mounted(struct process *process, uint32_t op, struct path *from, struct path *to,
                           uint64_t flags, union path_answer *out)
{
    struct mounted a, b;
    struct uri uri;
    struct abi_path_call call = {.command = {.op = op,
                                             .args = {flags, 0, 0, command_number()},
                                             .out = (uint64_t)out,
                                             .out_length = sizeof(*out)}};

    mounts_enter(process, from, &a);
    mounts_enter(process, to, &b);
    call.uri = (uint64_t)a.uri;
    call.uri_length = a.length;
    int64_t result = answer(uri_split(b.uri, b.length, &uri));
    if (result >= 0) {
        call.command.in = (uint64_t)uri.rest;
        call.command.in_length = uri.rest_length;
        result = answer(path_call(a.names, &call));
    }
    mounts_leave(&a);
    mounts_leave(&b);
    return MIN(result, INT64_C(0));
}

static bool same_scheme(const struct path *from, const struct path *to)
{
    struct uri a, b;

    return !uri_split(from->uri, from->length, &a) && !uri_split(to->uri, to->length, &b) &&
           a.scheme_length == b.scheme_length && memcmp(a.scheme, b.scheme, a.scheme_length) == 0;
}

/* RENAME and LINK. */
static int64_t two_paths(struct thread *thread, uint32_t op, uint64_t old_fd, uint64_t old,
                         uint64_t new_fd, uint64_t new, uint64_t flags)
{
    struct process *process = thread->process;
    struct path from, to;
    union path_answer out;
    int64_t result = path_read(thread, old_fd, old, &from);

    if (result >= 0)
        result = path_read(thread, new_fd, new, &to);
    if (result >= 0)
        result = path_settle(thread, &from, &out);
    if (result >= 0)
        result = path_settle(thread, &to, &out);
    if (result < 0)
        return result;
    if (op == OP_RENAME && (mounts_cover(process, &from) || mounts_cover(process, &to)))
        return answer(-E_BUSY);
    if (!same_scheme(&from, &to) || !mounts_same(process, &from, &to))
        return answer(-E_CROSS_DEVICE);
    result = two_mounted(process, op, &from, &to, flags, &out);
    return result == -LINUX_ENOSYS ? -LINUX_EOPNOTSUPP : result;
}

int64_t linux_renameat2(struct thread *thread, uint64_t old_fd, uint64_t old, uint64_t new_fd,
                        uint64_t new, uint64_t flags)
{
    return two_paths(thread, OP_RENAME, old_fd, old, new_fd, new, (uint32_t)flags);
}

int64_t linux_renameat(struct thread *thread, uint64_t old_fd, uint64_t old, uint64_t new_fd,
                       uint64_t new)
{
    return two_paths(thread, OP_RENAME, old_fd, old, new_fd, new, 0);
}

int64_t linux_rename(struct thread *thread, uint64_t old, uint64_t new)
{
    return two_paths(thread, OP_RENAME, (uint64_t)LINUX_AT_FDCWD, old, (uint64_t)LINUX_AT_FDCWD,
                     new, 0);
}

int64_t linux_linkat(struct thread *thread, uint64_t old_fd, uint64_t old, uint64_t new_fd,
                     uint64_t new, uint64_t flags)
{
    if (flags & ~(uint64_t)LINUX_AT_SYMLINK_FOLLOW)
        return -LINUX_EINVAL;
    return two_paths(thread, OP_LINK, old_fd, old, new_fd, new, 0);
}

int64_t linux_link(struct thread *thread, uint64_t old, uint64_t new)
{
    return linux_linkat(thread, (uint64_t)LINUX_AT_FDCWD, old, (uint64_t)LINUX_AT_FDCWD, new, 0);
}

int64_t linux_mkdirat(struct thread *thread, uint64_t dirfd, uint64_t address, uint64_t mode)
{
    struct path path;
    int64_t result = path_read(thread, dirfd, address, &path);

    return result < 0 ? result
                      : change(&path, OP_MKDIR, mode & 01777 & ~thread->process->umask, NULL, 0);
}

int64_t linux_mkdir(struct thread *thread, uint64_t address, uint64_t mode)
{
    return linux_mkdirat(thread, (uint64_t)LINUX_AT_FDCWD, address, mode);
}

int64_t linux_unlinkat(struct thread *thread, uint64_t dirfd, uint64_t address, uint64_t flags)
{
    struct path path;

    if (flags & ~(uint64_t)LINUX_AT_REMOVEDIR)
        return -LINUX_EINVAL;
    int64_t result = path_read(thread, dirfd, address, &path);
    if (result < 0)
        return result;
    if (!flags && (path.flags & URI_DIRECTORY))
        return -LINUX_ENOTDIR;
    result = change(&path, OP_UNLINK, flags ? UNLINK_DIRECTORY : 0, NULL, 0);
    return result == -LINUX_ENOENT && !flags ? socket_unlink(&path) : result;
}

int64_t linux_unlink(struct thread *thread, uint64_t address)
{
    return linux_unlinkat(thread, (uint64_t)LINUX_AT_FDCWD, address, 0);
}

int64_t linux_rmdir(struct thread *thread, uint64_t address)
{
    return linux_unlinkat(thread, (uint64_t)LINUX_AT_FDCWD, address, LINUX_AT_REMOVEDIR);
}

int64_t linux_symlinkat(struct thread *thread, uint64_t target, uint64_t dirfd, uint64_t address)
{
    struct path path;
    char text[PATH_LENGTH_MAX];

    if (!user_range(target, 1))
        return -LINUX_EFAULT;
    int64_t length = user_copy_string(text, (const char *)target, sizeof(text));
    if (length < 0)
        return -LINUX_EFAULT;
    if (!length || (size_t)length == sizeof(text))
        return length ? -LINUX_ENAMETOOLONG : -LINUX_ENOENT;
    int64_t result = path_read(thread, dirfd, address, &path);
    return result < 0 ? result : change(&path, OP_SYMLINK, 0, text, (size_t)length);
}

int64_t linux_symlink(struct thread *thread, uint64_t target, uint64_t address)
{
    return linux_symlinkat(thread, target, (uint64_t)LINUX_AT_FDCWD, address);
}

int64_t linux_truncate(struct thread *thread, uint64_t address, uint64_t length)
{
    return (int64_t)length < 0
               ? -LINUX_EINVAL
               : plain_at(thread, (uint64_t)LINUX_AT_FDCWD, address, OP_TRUNCATE, length, 0);
}

int64_t linux_fchmodat(struct thread *thread, uint64_t dirfd, uint64_t address, uint64_t mode)
{
    return plain_at(thread, dirfd, address, OP_CHMOD, mode & 07777, 0);
}

int64_t linux_chmod(struct thread *thread, uint64_t address, uint64_t mode)
{
    return linux_fchmodat(thread, (uint64_t)LINUX_AT_FDCWD, address, mode);
}

int64_t linux_fchmod(struct thread *thread, uint64_t fd, uint64_t mode)
{
    return plain_file(thread, fd, OP_CHMOD, mode & 07777, 0);
}

/* -1 (leave as it is) travels as it is, 32 bits wide. */
int64_t linux_fchownat(struct thread *thread, uint64_t dirfd, uint64_t address, uint64_t uid,
                       uint64_t gid, uint64_t flags)
{
    struct path path;
    struct abi_command command;
    union path_answer out;
    int64_t result = path_read(thread, dirfd, address, &path);

    if (result < 0)
        return result;
    memset(&command, 0, sizeof(command));
    command.op = OP_CHOWN;
    command.args[0] = (uint32_t)uid;
    command.args[1] = (uint32_t)gid;
    command.args[2] = flags & LINUX_AT_SYMLINK_NOFOLLOW ? OPEN_NOFOLLOW : 0;
    result = path_command(&path, &command, &out);
    return result == -LINUX_ENOSYS ? -LINUX_EOPNOTSUPP : result;
}

int64_t linux_chown(struct thread *thread, uint64_t address, uint64_t uid, uint64_t gid)
{
    return linux_fchownat(thread, (uint64_t)LINUX_AT_FDCWD, address, uid, gid, 0);
}

int64_t linux_lchown(struct thread *thread, uint64_t address, uint64_t uid, uint64_t gid)
{
    return linux_fchownat(thread, (uint64_t)LINUX_AT_FDCWD, address, uid, gid,
                          LINUX_AT_SYMLINK_NOFOLLOW);
}

int64_t linux_fchown(struct thread *thread, uint64_t fd, uint64_t uid, uint64_t gid)
{
    return plain_file(thread, fd, OP_CHOWN, (uint32_t)uid, (uint32_t)gid);
}

/* Times in ns; UINT64_MAX leaves one as it is. */
static int64_t set_times(struct thread *thread, uint64_t dirfd, uint64_t address,
                         const uint64_t times[2])
{
    return address ? plain_at(thread, dirfd, address, OP_UTIME, times[0], times[1])
                   : plain_file(thread, dirfd, OP_UTIME, times[0], times[1]);
}

int64_t linux_utimensat(struct thread *thread, uint64_t dirfd, uint64_t address, uint64_t times,
                        uint64_t flags)
{
    enum { UTIME_NOW = 0x3fffffff, UTIME_OMIT = 0x3ffffffe };
    struct linux_timespec given[2];
    uint64_t wanted[2] = {(uint64_t)clock_realtime(), (uint64_t)clock_realtime()};

    if (flags & ~(uint64_t)(LINUX_AT_SYMLINK_NOFOLLOW | LINUX_AT_EMPTY_PATH))
        return -LINUX_EINVAL;
    if (times && user_read(given, times, sizeof(given)))
        return -LINUX_EFAULT;
    for (int i = 0; times && i < 2; i++) {
        if (given[i].nanoseconds == UTIME_OMIT)
            wanted[i] = UINT64_MAX;
        else if (given[i].nanoseconds != UTIME_NOW) {
            if ((uint64_t)given[i].nanoseconds >= (uint64_t)NS_PER_SECOND)
                return -LINUX_EINVAL;
            wanted[i] = (uint64_t)given[i].seconds * (uint64_t)NS_PER_SECOND +
                        (uint64_t)given[i].nanoseconds;
        }
    }
    return set_times(thread, dirfd, address, wanted);
}

int64_t linux_utimes(struct thread *thread, uint64_t address, uint64_t times)
{
    struct linux_timeval given[2];
    uint64_t wanted[2] = {(uint64_t)clock_realtime(), (uint64_t)clock_realtime()};

    if (times && user_read(given, times, sizeof(given)))
        return -LINUX_EFAULT;
    for (int i = 0; times && i < 2; i++)
        wanted[i] = (uint64_t)given[i].seconds * (uint64_t)NS_PER_SECOND +
                    (uint64_t)given[i].microseconds * 1000;
    return address ? set_times(thread, (uint64_t)LINUX_AT_FDCWD, address, wanted) : -LINUX_EFAULT;
}

int64_t linux_utime(struct thread *thread, uint64_t address, uint64_t times)
{
    uint64_t given[2], wanted[2] = {(uint64_t)clock_realtime(), (uint64_t)clock_realtime()};

    if (times && user_read(given, times, sizeof(given)))
        return -LINUX_EFAULT;
    for (int i = 0; times && i < 2; i++)
        wanted[i] = given[i] * (uint64_t)NS_PER_SECOND;
    return address ? set_times(thread, (uint64_t)LINUX_AT_FDCWD, address, wanted) : -LINUX_EFAULT;
}

int64_t linux_sync(struct thread *thread)
{
    char point[PATH_LENGTH_MAX];
    struct path path;
    size_t length;

    for (uint32_t i = 0; (length = mounts_point(thread->process, i, point)); i++)
        if (path_from_text(thread, point, length, &path) >= 0)
            sys_ignore(plain(&path, OP_SYNC, 0, 0)); /* sync() has no way to fail */
    return 0;
}
