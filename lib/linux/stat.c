/* What programs ask about files: stat, access, statfs. */
#include "lib/linux/stat.h"

#include "abi/ops.h"
#include "lib/base/string.h"
#include "lib/base/uri.h"
#include "lib/linux/answer.h"
#include "lib/linux/calls.h"
#include "lib/linux/path.h"
#include "lib/linux/user.h"

#define MODE_TYPE_SHIFT 12 /* of S_IFMT: file types are those of d_type */
#define R_OK            4
#define W_OK            2
#define X_OK            1

/* Of what is not a service's: an eventfd and its kin have none. */
static uint32_t file_type(const struct file *file)
{
    switch (file->kind) {
    case KIND_STREAM:
        return (file->flags & LINUX_O_ACCMODE) == LINUX_O_RDWR ? FILE_SOCKET : FILE_PIPE;
    case KIND_SOCKET:
    case KIND_LISTENER:
    case KIND_DATAGRAM:
        return FILE_SOCKET;
    case KIND_FILE:
    case KIND_LOG:
        return FILE_CHARACTER;
    case KIND_NONE:
    case KIND_EVENT:
    case KIND_TIMER:
    case KIND_EPOLL:
        break;
    }
    return FILE_UNKNOWN;
}

int64_t stat_file(struct file *file, struct abi_stat *stat)
{
    struct short_completion completion;

    memset(stat, 0, sizeof(*stat)); /* and a service may answer with less */
    if (file->kind != KIND_FILE) {
        struct abi_handle_info info = {.id = 1};
        if (file->handle != HANDLE_NONE)
            sys_ignore(sys_handle_info(file->handle, &info));
        stat->type = file_type(file);
        stat->inode = info.id;
        stat->mode = 0600;
        stat->links = 1;
        stat->block_size = PAGE_SIZE;
        return 0;
    }
    return answer(sys_file_call_short(file->handle, OP_STAT, COMMAND_OUT, 0, 0, (uint64_t)stat,
                                      sizeof(*stat), &completion));
}

int64_t path_stat(struct path *path, bool follow, union path_answer *out)
{
    bool directory = path->flags & URI_DIRECTORY;
    int64_t result = path_ask(path, OP_STAT, follow || directory ? 0 : OPEN_NOFOLLOW, out);

    if (unlikely(result < 0))
        return result;
    return unlikely(directory) && out->stat.type != FILE_DIRECTORY ? -LINUX_ENOTDIR : 0;
}

static int64_t stat_write(const struct abi_stat *stat, uint64_t address)
{
    struct linux_stat result = {
        .device = stat->device,
        .inode = stat->inode,
        .links = stat->links,
        .mode = stat->type << MODE_TYPE_SHIFT | (stat->mode & 07777),
        .uid = stat->uid,
        .gid = stat->gid,
        .rdev = stat->rdev,
        .size = (int64_t)stat->size,
        .block_size = stat->block_size ? stat->block_size : PAGE_SIZE,
        .blocks = (int64_t)stat->blocks,
        .modified = (uint64_t)(stat->modified / NS_PER_SECOND),
        .modified_ns = (uint64_t)(stat->modified % NS_PER_SECOND),
    };

    result.accessed = result.changed = result.modified;
    result.accessed_ns = result.changed_ns = result.modified_ns;
    if (stat->accessed != stat->modified) {
        result.accessed = (uint64_t)(stat->accessed / NS_PER_SECOND);
        result.accessed_ns = (uint64_t)(stat->accessed % NS_PER_SECOND);
    }
    if (stat->changed != stat->modified) {
        result.changed = (uint64_t)(stat->changed / NS_PER_SECOND);
        result.changed_ns = (uint64_t)(stat->changed % NS_PER_SECOND);
    }
    return user_write(address, &result, sizeof(result)) ? -LINUX_EFAULT : 0;
}

int64_t linux_fstat(struct thread *thread, uint64_t fd, uint64_t address)
{
    struct file *file = file_get(thread->process, (uint32_t)fd);
    struct abi_stat stat;

    if (!file)
        return -LINUX_EBADF;
    int64_t result = stat_file(file, &stat);
    file_put(file);
    return result < 0 ? result : stat_write(&stat, address);
}

static bool empty_path(uint64_t address)
{
    char first;

    return !address || (!user_read(&first, address, 1) && !first);
}

int64_t linux_newfstatat(struct thread *thread, uint64_t dirfd, uint64_t name, uint64_t address,
                         uint64_t flags)
{
    struct path path;
    union path_answer out;

    if ((flags & LINUX_AT_EMPTY_PATH) && (int32_t)dirfd != LINUX_AT_FDCWD && empty_path(name))
        return linux_fstat(thread, dirfd, address);
    int64_t result = path_read(thread, dirfd, name, &path);
    if (result >= 0)
        result = path_stat(&path, !(flags & LINUX_AT_SYMLINK_NOFOLLOW), &out);
    return result < 0 ? result : stat_write(&out.stat, address);
}

int64_t linux_stat(struct thread *thread, uint64_t name, uint64_t address)
{
    return linux_newfstatat(thread, (uint64_t)LINUX_AT_FDCWD, name, address, 0);
}

int64_t linux_lstat(struct thread *thread, uint64_t name, uint64_t address)
{
    return linux_newfstatat(thread, (uint64_t)LINUX_AT_FDCWD, name, address,
                            LINUX_AT_SYMLINK_NOFOLLOW);
}

int64_t linux_faccessat(struct thread *thread, uint64_t dirfd, uint64_t name, uint64_t mode)
{
    struct path path;
    union path_answer out;
    const struct abi_stat *stat = &out.stat;
    struct process *process = thread->process;

    if (mode & ~(uint64_t)(R_OK | W_OK | X_OK))
        return -LINUX_EINVAL;
    int64_t result = path_read(thread, dirfd, name, &path);
    if (result >= 0)
        result = path_stat(&path, true, &out);
    if (result < 0)
        return result;
    if (!process->uid) /* who may do everything may execute what anybody may */
        return (mode & X_OK) && stat->type == FILE_REGULAR && !(stat->mode & 0111) ? -LINUX_EACCES
                                                                                   : 0;
    unsigned shift = process->uid == stat->uid ? 6 : process->gid == stat->gid ? 3 : 0;
    return mode & ~(uint64_t)(stat->mode >> shift) ? -LINUX_EACCES : 0;
}

int64_t linux_access(struct thread *thread, uint64_t name, uint64_t mode)
{
    return linux_faccessat(thread, (uint64_t)LINUX_AT_FDCWD, name, mode);
}

static int64_t statfs_write(const struct abi_statfs *statfs, uint64_t address)
{
    struct linux_statfs result = {
        .type = (int64_t)statfs->type,
        .block_size = (int64_t)statfs->block_size,
        .blocks = statfs->blocks,
        .free = statfs->free,
        .available = statfs->available,
        .files = statfs->files,
        .files_free = statfs->files_free,
        .name_length = (int64_t)statfs->name_max,
        .fragment_size = (int64_t)statfs->block_size,
    };

    return user_write(address, &result, sizeof(result)) ? -LINUX_EFAULT : 0;
}

/* ENOSYS is what Linux says of a file system without it. */
static int64_t statfs_error(int64_t result)
{
    return result == -LINUX_EOPNOTSUPP ? -LINUX_ENOSYS : result;
}

int64_t linux_statfs(struct thread *thread, uint64_t name, uint64_t address)
{
    struct path path;
    union path_answer out;
    int64_t result = path_read(thread, (uint64_t)LINUX_AT_FDCWD, name, &path);

    if (result < 0)
        return result;
    result = path_ask(&path, OP_STATFS, 0, &out);
    return result < 0 ? statfs_error(result) : statfs_write(&out.statfs, address);
}

int64_t linux_fstatfs(struct thread *thread, uint64_t fd, uint64_t address)
{
    struct file *file = file_get(thread->process, (uint32_t)fd);
    struct abi_command command;
    struct abi_statfs statfs;

    if (!file)
        return -LINUX_EBADF;
    memset(&command, 0, sizeof(command));
    memset(&statfs, 0, sizeof(statfs));
    command.op = OP_STATFS;
    command.out = (uint64_t)&statfs;
    command.out_length = sizeof(statfs);
    int64_t result =
        file->kind == KIND_FILE ? answer(sys_file_call(file->handle, &command)) : -LINUX_ENOSYS;
    file_put(file);
    return result < 0 ? statfs_error(result) : statfs_write(&statfs, address);
}
