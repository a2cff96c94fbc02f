/* See path.h; and the calls that open what a path names, or ask for the path itself (stat.c asks about what it names, names.c changes
 * it). */
#include "lib/linux/path.h"

#include "abi/ops.h"
#include "lib/base/string.h"
#include "lib/base/uri.h"
#include "lib/linux/answer.h"
#include "lib/linux/calls.h"
#include "lib/linux/file.h"
#include "lib/linux/heap.h"
#include "lib/linux/mounts.h"
#include "lib/linux/user.h"

#define LINKS_MAX 40
#define NAME_MAX_ \
    255 /* of one part of a path; a trailing underscore: the plain name is the C library's */
#define SCHEME_ROOM 5u /* "fs://" */
#define TRIES       16u /* of a command with a number: one that ends each service is not sent for ever */

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

int64_t path_call(handle_t names, struct abi_path_call *call)
{
    for (unsigned tries = 1;; tries++) {
        int64_t result = sys_path_call(names, call);

        if (likely(result != -E_RESTARTED) || !call->command.args[3] || tries == TRIES)
            return result;
    }
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
        int64_t result = path_call(to.names, call);
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

int64_t path_settle(struct thread *thread, struct path *path, union path_answer *out)
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

/* --- Calls ------------------------------------------------------------------------------------------------------------ */

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
