/* See path.h; and the calls that take paths (stat.c has those that ask about them). */
#include "lib/linux/path.h"

#include "abi/ops.h"
#include "lib/base/string.h"
#include "lib/base/uri.h"
#include "lib/linux/answer.h"
#include "lib/linux/calls.h"
#include "lib/linux/file.h"
#include "lib/linux/heap.h"
#include "lib/linux/io.h"
#include "lib/linux/mounts.h"
#include "lib/linux/socket.h"
#include "lib/linux/time.h"
#include "lib/linux/user.h"

#define LINKS_MAX 40
#define NAME_MAX_ \
    255 /* of one part of a path; a trailing underscore: the plain name is the C library's */
#define SCHEME_ROOM 5u /* "fs://" */
#define UNLINK_DIRECTORY \
    0x1u /* OP_UNLINK, args[0]: it must be a directory (rmdir); else it must be none */

/* The rest of a name in /proc/self/, which the personality knows better than any service; NULL: another name. */
static const char *own_name(const struct path *path)
{
    static const char self[] = "fs:///proc/self/";
    size_t length = sizeof(self) - 1;

    /* The compiler's: two words to compare. */
    return path->length > length && __builtin_memcmp(path->uri, self, sizeof(self) - 1) == 0
               ? path->uri + length
               : NULL;
}

/* "fd/12": that open file with a reference; NULL: it is not open, or another name. */
static struct file *own_file(struct process *process, const char *name)
{
    uint64_t fd = 0;
    size_t digits = 0;

    if (memcmp(name, "fd/", MIN(strlen(name), (size_t)3)) != 0 || strlen(name) < 4)
        return NULL;
    for (const char *digit = name + 3; *digit; digit++, digits++) {
        if (*digit < '0' || *digit > '9' || digits > 8)
            return NULL;
        fd = fd * 10 + (uint64_t)(*digit - '0');
    }
    return file_get(process, fd);
}

/* Where a name in /proc/self/ leads; *file is to be put. NULL: nowhere we know. */
static const char *own_target(struct thread *thread, const struct path *path, struct file **file)
{
    struct process *process = thread->process;
    const char *name = own_name(path);

    *file = NULL;
    if (!name)
        return NULL;
    if (strlen(name) == 3 && memcmp(name, "exe", 3) == 0)
        return process->executable;
    *file = own_file(process, name);
    return *file ? (*file)->uri : NULL;
}

static int64_t path_join(struct thread *thread, const char *base, const char *text, size_t length,
                         struct path *path);

static void own_replace(struct thread *thread, struct path *path)
{
    struct file *file;

    if (likely(!own_name(path)))
        return;

    const char *target = own_target(thread, path, &file);
    size_t length = target ? strlen(target) : 0;

    if (target && length < sizeof(path->uri)) {
        memcpy(path->uri, target, length + 1);
        path->length = length;
    }
    file_put(file);
}

/* How much of text is to be walked before its next "..", which is what lies above the directory that the part in front of it leads
 * to, not above its name; 0: none is. */
static size_t walked_first(const char *text, size_t length)
{
    bool named = false;

    for (size_t at = 0, end; at < length; at = end + 1) {
        for (end = at; end < length && text[end] != '/';)
            end++;
        size_t size = end - at;
        if (size == 2 && text[at] == '.' && text[at + 1] == '.') {
            if (named)
                return at;
        } else if (size && !(size == 1 && text[at] == '.') && text[end - 1] != ':') {
            named = true;
        }
    }
    return 0;
}

/* What text means in the directory base, which is canonical and has no links. base may be path's own text. */
static int64_t path_join(struct thread *thread, const char *base, const char *text, size_t length,
                         struct path *path)
{
    size_t first;
    int64_t result;

    while ((first = walked_first(text, length))) {
        union path_answer *out = heap_alloc(sizeof(*out));

        if (!out)
            return -LINUX_ENOMEM;
        result = path_join(thread, base, text, first, path);
        if (result >= 0)
            result = path_stat(path, true, out);
        heap_free(out);
        if (result < 0)
            return result;
        base = path->uri;
        text += first;
        length -= first;
    }
    char *copy = base == path->uri ? heap_string(base, strlen(base)) : NULL;
    if (base == path->uri && !copy)
        return -LINUX_ENOMEM;
    result = answer(uri_resolve(copy ? copy : base, text, length, path->uri, sizeof(path->uri),
                                &path->length, &path->flags));
    heap_free(copy);
    return result;
}

int64_t path_from_text(struct thread *thread, const char *text, size_t length, struct path *path)
{
    struct process *process = thread->process;

    char *cwd = NULL;
    int64_t result = 0;
    bool walked = walked_first(text, length);

    lock(&process->lock); /* the cwd may be replaced by another thread */
    if (likely(!walked))
        result = answer(uri_resolve(process->cwd, text, length, path->uri, sizeof(path->uri),
                                    &path->length, &path->flags));
    else
        cwd = heap_string(process->cwd, strlen(process->cwd));
    unlock(&process->lock);
    if (likely(!walked))
        return result;
    result = cwd ? path_join(thread, cwd, text, length, path) : -LINUX_ENOMEM;
    heap_free(cwd);
    return result;
}

static int64_t path_resolve(struct thread *thread, uint64_t dirfd, size_t length, struct path *path)
{
    char text[PATH_LENGTH_MAX];

    memcpy(text, path->uri + SCHEME_ROOM, length);
    if ((int32_t)dirfd == LINUX_AT_FDCWD || text[0] == '/')
        return path_from_text(thread, text, length, path);
    struct file *file = file_get(thread->process, (uint32_t)dirfd);
    if (!file)
        return -LINUX_EBADF;
    int64_t result = file->uri ? path_join(thread, file->uri, text, length, path) : -LINUX_ENOTDIR;
    file_put(file);
    return result;
}

/* Without what own_replace does. The text is read to where a plain path needs only its scheme in front. */
static int64_t path_read_plain(struct thread *thread, uint64_t dirfd, uint64_t address,
                               struct path *path)
{
    char *text = path->uri + SCHEME_ROOM;

    if (!user_range(address, 1))
        return -LINUX_EFAULT;
    int64_t length = user_copy_string(text, (const char *)address, PATH_LENGTH_MAX);
    if (unlikely(length <= 0))
        return length ? -LINUX_EFAULT : -LINUX_ENOENT;
    if (unlikely(length == PATH_LENGTH_MAX))
        return -LINUX_ENAMETOOLONG;
    if (unlikely(!uri_plain(text, (size_t)length)))
        return path_resolve(thread, dirfd, (size_t)length, path);
    __builtin_memcpy(path->uri, "fs://", SCHEME_ROOM);
    path->length = (size_t)length + SCHEME_ROOM;
    path->flags = 0;
    return 0;
}

int64_t path_read(struct thread *thread, uint64_t dirfd, uint64_t address, struct path *path)
{
    int64_t result = path_read_plain(thread, dirfd, address, path);

    if (result >= 0)
        own_replace(thread, path);
    return result;
}

/* The service says what to ask for instead: a URI, or a path of fs://. */
static int64_t follow(struct thread *thread, struct path *path, char *target, size_t room,
                      size_t length)
{
    unsigned flags = path->flags;
    int64_t result = mounts_linked(thread->process, path, target, room, &length);

    if (result >= 0)
        result = path_join(thread, "fs:///", target, length, path);
    if (result < 0)
        return result;
    path->flags |= flags;
    own_replace(thread, path);
    return 0;
}

int64_t path_open(struct path *path, uint32_t flags, uint32_t mode)
{
    struct thread *thread = thread_current();
    struct mounted to;
    char link[PATH_LENGTH_MAX];

    if (path->flags & URI_DIRECTORY)
        flags |= OPEN_DIRECTORY;
    for (int links = 0; links <= LINKS_MAX; links++) {
        mounts_enter(thread->process, path, &to);
        struct abi_open open = {
            .uri = (uint64_t)to.uri,
            .uri_length = to.length,
            .flags = flags,
            .mode = mode,
            .link = (uint64_t)link,
            .link_length = sizeof(link),
        };
        int64_t result = sys_open(to.names, &open);
        mounts_leave(&to);
        if (likely(result >= 0))
            return result;
        if (result != -E_LINK)
            return answer_descriptor(result);
        if ((result = follow(thread, path, link, sizeof(link), open.link_length)) < 0)
            return result;
    }
    return -LINUX_ELOOP;
}

/* The call, of which all but the name and the out window is there: the first value. */
static int64_t call_followed(struct path *path, struct abi_path_call *call, union path_answer *out)
{
    struct thread *thread = thread_current();
    struct mounted to;

    call->command.out = (uint64_t)out;
    call->command.out_length = sizeof(*out);
    for (int links = 0; links <= LINKS_MAX; links++) {
        mounts_enter(thread->process, path, &to);
        call->uri = (uint64_t)to.uri;
        call->uri_length = to.length;
        int64_t result = sys_path_call(to.names, call);
        mounts_leave(&to);
        if (likely(!result))
            return (int64_t)call->command.values[0];
        if (result != -E_LINK)
            return answer(result);
        if ((result = follow(thread, path, out->text, sizeof(out->text),
                             MIN(call->command.values[0], (uint64_t)sizeof(out->text)))) < 0)
            return result;
    }
    return -LINUX_ELOOP;
}

int64_t path_ask(struct path *path, uint32_t op, uint64_t argument, union path_answer *out)
{
    struct abi_path_call call = {.command = {.op = op, .args = {argument}}};

    return call_followed(path, &call, out);
}

int64_t path_command(struct path *path, const struct abi_command *command, union path_answer *out)
{
    struct abi_path_call call = {.command = *command};
    int64_t result = call_followed(path, &call, out);

    return MIN(result, INT64_C(0));
}

static uint32_t open_flags(uint64_t flags)
{
#define FLAG(linux, native) ((flags & (linux)) / (linux) * (native)) /* the compiler shifts */
    uint32_t access = (flags & LINUX_O_ACCMODE) != LINUX_O_WRONLY ? OPEN_READ : 0;
    uint32_t only_named =
        (uint32_t)(FLAG(LINUX_O_DIRECTORY, OPEN_DIRECTORY) | FLAG(LINUX_O_NOFOLLOW, OPEN_NOFOLLOW));

    if (flags & LINUX_O_PATH)
        return only_named | OPEN_PATH;
    if (flags & LINUX_O_ACCMODE)
        access |= OPEN_WRITE;
    return access | only_named |
           (uint32_t)(FLAG(LINUX_O_CREAT, OPEN_CREATE) | FLAG(LINUX_O_EXCL, OPEN_EXCLUSIVE) |
                      FLAG(LINUX_O_TRUNC, OPEN_TRUNCATE) | FLAG(LINUX_O_APPEND, OPEN_APPEND) |
                      FLAG(LINUX_O_NONBLOCK, OPEN_NONBLOCK));
#undef FLAG
}

/* The kind of what an open gave us: a service may hand out a stream instead of a file. KIND_NONE: what cannot be opened, but
 * connected to. */
static enum file_kind handle_kind(handle_t handle)
{
    struct abi_handle_info info = {.type = OBJECT_FILE};

    sys_ignore(sys_handle_info(handle, &info));
    return info.type == OBJECT_LISTENER ? KIND_NONE
           : info.type == OBJECT_STREAM ? KIND_STREAM
                                        : KIND_FILE;
}

int64_t linux_openat(struct thread *thread, uint64_t dirfd, uint64_t address, uint64_t flags,
                     uint64_t mode)
{
    const uint32_t kept = LINUX_O_ACCMODE | LINUX_O_PATH | LINUX_O_DIRECTORY;
    struct process *process = thread->process;
    struct path path;
    int64_t result = path_read(thread, dirfd, address, &path);

    if (unlikely(result < 0))
        return result;
    if ((flags & LINUX_O_CREAT) && (path.flags & URI_DIRECTORY))
        return -LINUX_EISDIR;
    result = path_open(&path, open_flags(flags), (uint32_t)(mode & 07777 & ~process->umask));
    if (unlikely(result < 0))
        return result;
    handle_t handle = (handle_t)result;
    uint32_t status = (flags & LINUX_O_NONBLOCK ? HANDLE_FLAG_NONBLOCK : 0) |
                      (flags & LINUX_O_APPEND ? HANDLE_FLAG_APPEND : 0);
    if (status && !(flags & LINUX_O_PATH)) /* the service may have handed out another's */
        sys_ignore(sys_handle_flags(handle, status, status));
    enum file_kind kind = handle_kind(handle);
    if (kind == KIND_NONE) {
        handle_drop(handle);
        return -LINUX_ENXIO;
    }
    struct file *file = file_new(kind, handle, (uint32_t)flags & kept, path.uri, path.length);
    if (!file) {
        handle_drop(handle);
        return -LINUX_ENOMEM;
    }
    result = file_install(process, file, 0, flags & LINUX_O_CLOEXEC);
    if (result < 0)
        file_put(file);
    return result;
}

int64_t linux_open(struct thread *thread, uint64_t address, uint64_t flags, uint64_t mode)
{
    return linux_openat(thread, (uint64_t)LINUX_AT_FDCWD, address, flags, mode);
}

int64_t linux_creat(struct thread *thread, uint64_t address, uint64_t mode)
{
    return linux_openat(thread, (uint64_t)LINUX_AT_FDCWD, address,
                        LINUX_O_CREAT | LINUX_O_WRONLY | LINUX_O_TRUNC, mode);
}

int64_t linux_getcwd(struct thread *thread, uint64_t address, uint64_t room)
{
    char text[PATH_LENGTH_MAX + 8];
    struct process *process = thread->process;
    size_t length = 0;

    lock(&process->lock);
    int64_t result =
        answer(uri_posix(process->cwd, strlen(process->cwd), text, sizeof(text), &length));
    unlock(&process->lock);
    if (result < 0)
        return result;
    if (length + 1 > room)
        return -LINUX_ERANGE;
    return user_write(address, text, length + 1) ? -LINUX_EFAULT : (int64_t)length + 1;
}

static int64_t set_cwd(struct process *process, struct path *path)
{
    union path_answer out;
    int64_t result = path_stat(path, true, &out);

    if (result < 0)
        return result;
    if (out.stat.type != FILE_DIRECTORY)
        return -LINUX_ENOTDIR;
    char *text = heap_string(path->uri, path->length);
    if (!text)
        return -LINUX_ENOMEM;
    lock(&process->lock);
    char *old = process->cwd;
    process->cwd = text;
    unlock(&process->lock);
    heap_free(old);
    return 0;
}

int64_t linux_chdir(struct thread *thread, uint64_t address)
{
    struct path path;
    int64_t result = path_read(thread, (uint64_t)LINUX_AT_FDCWD, address, &path);

    return result < 0 ? result : set_cwd(thread->process, &path);
}

int64_t linux_fchdir(struct thread *thread, uint64_t fd)
{
    struct file *file = file_get(thread->process, (uint32_t)fd);
    struct path path;

    if (!file)
        return -LINUX_EBADF;
    int64_t result =
        file->uri ? path_from_text(thread, file->uri, strlen(file->uri), &path) : -LINUX_ENOTDIR;
    file_put(file);
    return result < 0 ? result : set_cwd(thread->process, &path);
}

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

/* A command on `path` whose in bytes are `text`. */
static int64_t with_text(struct path *path, uint32_t op, const char *text, size_t length,
                         uint64_t argument)
{
    struct abi_command command;
    union path_answer out;

    memset(&command, 0, sizeof(command));
    command.op = op;
    command.args[0] = argument;
    command.in = (uint64_t)text;
    command.in_length = length;
    return path_command(path, &command, &out);
}

/* The directory's own name, without links; the last part is left as it is. */
static int64_t settle(struct thread *thread, struct path *path, union path_answer *out)
{
    size_t at = uri_basename(path->uri, path->length), length = path->length - at;
    unsigned flags = path->flags;
    char name[NAME_MAX_ + 1];

    if (!length)
        return 0; /* a root */
    if (length > NAME_MAX_)
        return -LINUX_ENAMETOOLONG;
    memcpy(name, path->uri + at, length);
    name[length] = '\0';
    path->uri[at] = '\0';
    path->length = at;
    int64_t result = path_ask(path, OP_STAT, 0, out);
    if (result < 0)
        return result;
    if (out->stat.type != FILE_DIRECTORY)
        return -LINUX_ENOTDIR;
    result = path_join(thread, path->uri, name, length, path);
    path->flags = flags;
    return result;
}

/* The command goes to what both are mounted by; the other name goes along as its part behind "scheme://". */
static int64_t two_mounted(struct process *process, uint32_t op, struct path *from, struct path *to,
                           uint64_t flags, union path_answer *out)
{
    struct mounted a, b;
    struct uri uri;
    struct abi_path_call call = {
        .command = {.op = op, .args = {flags}, .out = (uint64_t)out, .out_length = sizeof(*out)}};

    mounts_enter(process, from, &a);
    mounts_enter(process, to, &b);
    call.uri = (uint64_t)a.uri;
    call.uri_length = a.length;
    int64_t result = answer(uri_split(b.uri, b.length, &uri));
    if (result >= 0) {
        call.command.in = (uint64_t)uri.rest;
        call.command.in_length = uri.rest_length;
        result = answer(sys_path_call(a.names, &call));
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
        result = settle(thread, &from, &out);
    if (result >= 0)
        result = settle(thread, &to, &out);
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
    return plain_at(thread, dirfd, address, OP_MKDIR, mode & 01777 & ~thread->process->umask, 0);
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
    result = plain(&path, OP_UNLINK, flags ? UNLINK_DIRECTORY : 0, 0);
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
    return result < 0 ? result : with_text(&path, OP_SYMLINK, text, (size_t)length, 0);
}

int64_t linux_symlink(struct thread *thread, uint64_t target, uint64_t address)
{
    return linux_symlinkat(thread, target, (uint64_t)LINUX_AT_FDCWD, address);
}

int64_t linux_readlinkat(struct thread *thread, uint64_t dirfd, uint64_t address, uint64_t buffer,
                         uint64_t room)
{
    struct path path;
    struct file *file;
    union path_answer out;
    size_t length = 0;

    if ((int32_t)room <= 0)
        return -LINUX_EINVAL;
    int64_t result = path_read_plain(thread, dirfd, address, &path);
    if (result < 0)
        return result;
    const char *target = own_target(thread, &path, &file), *name = own_name(&path);
    if (!target && name && memcmp(name, "fd/", MIN(strlen(name), (size_t)3)) == 0) {
        file_put(file); /* not open, or without a name */
        return -LINUX_ENOENT;
    }
    if (target) {
        result = answer(uri_posix(target, strlen(target), out.text, sizeof(out.text), &length));
    } else {
        result = path_ask(&path, OP_READLINK, 0, &out);
        length = MIN((uint64_t)result, (uint64_t)sizeof(out.text));
        if (result == -LINUX_EOPNOTSUPP || result == -LINUX_ENOSYS)
            result = -LINUX_EINVAL;
    }
    file_put(file);
    if (result < 0)
        return result;
    length = MIN(length, (size_t)(uint32_t)room);
    return user_write(buffer, out.text, length) ? -LINUX_EFAULT : (int64_t)length;
}

int64_t linux_readlink(struct thread *thread, uint64_t address, uint64_t buffer, uint64_t room)
{
    return linux_readlinkat(thread, (uint64_t)LINUX_AT_FDCWD, address, buffer, room);
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
    struct path path;
    int64_t result = path_from_text(thread, "/", 1, &path);

    if (result >= 0)
        sys_ignore(plain(&path, OP_SYNC, 0, 0)); /* sync() has no way to fail */
    return 0;
}
