/* Names of unix sockets, and who finds whom by them.
 *
 * bind reserves the name with a listener nobody can find (or registers the datagrams' end); listen puts the one that accepts in
 * its place, and shows that first one to prove that the name is its own. So a name is there from bind on, ECONNREFUSED
 * from bind to listen, and gone when its socket is.
 */
#include "lib/base/string.h"
#include "lib/base/uri.h"
#include "lib/linux/answer.h"
#include "lib/linux/calls.h"
#include "lib/linux/epoll.h"
#include "lib/linux/heap.h"
#include "lib/linux/path.h"
#include "lib/linux/process.h"
#include "lib/linux/socket.h"
#include "lib/linux/user.h"
#include "lib/sys/unix.h"

/* --- Names ------------------------------------------------------------------------------------------------------- */

static int64_t name_read(uint64_t address, uint64_t length, struct socket_name *name)
{
    struct linux_sockaddr_un from;

    length = (uint32_t)length;
    if (length < FAMILY_LENGTH || length > sizeof(from))
        return -LINUX_EINVAL;
    if (user_read(&from, address, length))
        return -LINUX_EFAULT;
    if (from.family != LINUX_AF_UNIX)
        return -LINUX_EINVAL;
    name->length = (uint8_t)(length - FAMILY_LENGTH);
    memcpy(name->bytes, from.path, name->length);
    for (uint8_t i = 0; name->length && from.path[0] && i < name->length; i++)
        if (!from.path[i])
            name->length = i; /* a path ends there */
    return 0;
}

/* Bytes of an abstract name that a URI's reader would stumble over go as %xx. */
static size_t escape(const struct socket_name *name, char *text)
{
    static const char digits[] = "0123456789abcdef";
    size_t length = 0;

    text[length++] = '@';
    for (uint8_t i = 1; i < name->length; i++) {
        uint8_t byte = (uint8_t)name->bytes[i];
        if (byte > ' ' && byte < 0x7f && byte != '%' && byte != '/') {
            text[length++] = (char)byte;
            continue;
        }
        text[length++] = '%';
        text[length++] = digits[byte >> 4];
        text[length++] = digits[byte & 15];
    }
    return length;
}

static int64_t path_text(const struct path *path, char *text, size_t *length)
{
    return answer(uri_posix(path->uri, path->length, text, UNIX_NAME_MAX, length));
}

/* The name as unixd knows it, UNIX_NAME_MAX bytes; *path: of one that is a path. */
static int64_t name_text(struct thread *thread, const struct socket_name *name, char *text,
                         size_t *length, struct path *path)
{
    _Static_assert(3 * LINUX_SUN_PATH < UNIX_NAME_MAX, "");
    if (!name->bytes[0]) {
        *length = escape(name, text);
        return 0;
    }
    int64_t result = path_from_text(thread, name->bytes, name->length, path);
    return result < 0 ? result : path_text(path, text, length);
}

int64_t socket_unlink(const struct path *path)
{
    char text[UNIX_NAME_MAX];
    size_t length;

    if (path_text(path, text, &length) < 0)
        return -LINUX_ENOENT;
    int64_t result = unix_unbind(text, length);
    if (result >= 0)
        return 0;
    return result == -E_PERMISSION ? -LINUX_EPERM : -LINUX_ENOENT;
}

/* Whether sockets of this type have to do with what is registered. */
static bool fits(const struct abi_handle_info *info, uint32_t type)
{
    if (type == LINUX_SOCK_DGRAM)
        return info->type == OBJECT_STREAM;
    bool packets = info->flags & HANDLE_FLAG_PACKETS;
    return info->type == OBJECT_LISTENER && packets == (type == LINUX_SOCK_SEQPACKET);
}

static int64_t find_error(struct path *path, bool abstract, int64_t error)
{
    union path_answer out;

    if (error == -E_CLOSED)
        return -LINUX_ECONNREFUSED;
    if (error != -E_NOT_FOUND && error != -E_NO_PROTOCOL)
        return answer(error);
    return abstract || path_stat(path, true, &out) >= 0 ? -LINUX_ECONNREFUSED : -LINUX_ENOENT;
}

int64_t socket_find(struct thread *thread, uint64_t address, uint64_t length, uint32_t type,
                    struct socket_name *name)
{
    struct abi_handle_info info = {.type = OBJECT_NONE};
    char text[UNIX_NAME_MAX];
    struct path path;
    size_t text_length;
    int64_t result = name_read(address, length, name);

    if (!result && !name->length)
        result = -LINUX_EINVAL;
    if (!result)
        result = name_text(thread, name, text, &text_length, &path);
    if (result < 0)
        return result;
    result = unix_find(text, text_length, DEADLINE_NEVER);
    if (result < 0)
        return find_error(&path, !name->bytes[0], result);
    sys_ignore(sys_handle_info((handle_t)result, &info));
    if (fits(&info, type))
        return result;
    handle_drop((handle_t)result);
    /* Of abstract names Linux has a set for each type. */
    return name->bytes[0] ? -LINUX_EPROTOTYPE : -LINUX_ECONNREFUSED;
}

/* Nothing may be there, but what it would lie in. */
static int64_t place_check(struct path *path)
{
    char uri[PATH_ROOM];
    union path_answer out;
    size_t length = uri_basename(path->uri, path->length);

    memcpy(uri, path->uri, length); /* a link replaces it */
    if (path_stat(path, true, &out) >= 0)
        return -LINUX_EADDRINUSE;
    memcpy(path->uri, uri, length);
    path->uri[length] = '\0';
    path->length = length;
    path->flags = 0;
    int64_t result = path_stat(path, true, &out);
    if (!result && out.stat.type != FILE_DIRECTORY)
        result = -LINUX_ENOTDIR;
    return result;
}

/* What the name is registered with until it listens. */
static int64_t place_make(struct socket *state)
{
    handle_t ends[2];

    if (state->connector != HANDLE_NONE)
        return 0;
    int64_t result = answer_descriptor(sys_stream_listen(0, 1, ends));
    if (result < 0)
        return result;
    state->place = ends[0];
    state->connector = ends[1];
    return 0;
}

static int64_t bind_name(struct socket *state, const struct socket_name *name, const char *text,
                         size_t length)
{
    int64_t result = place_make(state);

    if (result < 0)
        return result;
    char *registered = heap_string(text, length);
    if (!registered)
        return -LINUX_ENOMEM;
    result = unix_bind(text, length, state->connector,
                       state->type == LINUX_SOCK_DGRAM ? 0 : UNIX_RESERVE);
    if (result < 0) {
        heap_free(registered);
        return result == -E_EXISTS ? -LINUX_EADDRINUSE : answer(result);
    }
    state->name = *name;
    state->registered = registered;
    return 0;
}

/* A name of our own finding, as Linux has them: an abstract one of five digits. */
static int64_t bind_any(struct thread *thread, struct socket *state)
{
    static uint32_t next;
    struct socket_name name = {.length = 6};
    char text[UNIX_NAME_MAX];
    int64_t result = -LINUX_EADDRINUSE;

    for (uint32_t tries = 0; tries < 0x100000 && result == -LINUX_EADDRINUSE; tries++) {
        uint32_t number = (uint32_t)process_pid(thread->process) * 0x101 +
                          __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED);
        for (int i = 5; i > 0; i--, number >>= 4)
            name.bytes[i] = "0123456789abcdef"[number & 15];
        result = bind_name(state, &name, text, escape(&name, text));
    }
    return result;
}

static int64_t bind_socket(struct thread *thread, struct file *socket, uint64_t address,
                           uint64_t length)
{
    struct socket *state = socket->more;
    struct socket_name name;
    char text[UNIX_NAME_MAX];
    struct path path;
    size_t text_length;
    int64_t result = name_read(address, length, &name);

    if (!result && (!state || state->registered ||
                    (socket->kind != KIND_SOCKET && socket->kind != KIND_DATAGRAM)))
        result = -LINUX_EINVAL;
    if (!result && !name.length)
        return bind_any(thread, state);
    if (!result)
        result = name_text(thread, &name, text, &text_length, &path);
    if (!result && name.bytes[0])
        result = place_check(&path);
    return result < 0 ? result : bind_name(state, &name, text, text_length);
}

int64_t linux_bind(struct thread *thread, uint64_t fd, uint64_t address, uint64_t length)
{
    struct file *socket;
    int64_t result = socket_get(thread, fd, &socket);

    if (result < 0)
        return result;
    result = bind_socket(thread, socket, address, length);
    file_put(socket);
    return result;
}

/* --- Connections ----------------------------------------------------------------------------------------------------- */

/* From now on it is a stream or listens; the flags move to where that has them. */
static void socket_become(struct thread *thread, struct file *socket, enum file_kind kind,
                          handle_t handle)
{
    if (socket->flags & LINUX_O_NONBLOCK)
        sys_ignore(sys_handle_flags(handle, HANDLE_FLAG_NONBLOCK, HANDLE_FLAG_NONBLOCK));
    lock(&thread->process->lock);
    socket->flags &= ~(uint32_t)LINUX_O_NONBLOCK;
    socket->handle = handle;
    __atomic_store_n(&socket->kind, kind, __ATOMIC_RELEASE);
    epoll_changed_locked(socket);
    unlock(&thread->process->lock);
}

static int64_t listen_socket(struct thread *thread, struct file *socket, uint64_t backlog)
{
    struct socket *state = socket->more;
    handle_t ends[2];

    if (socket->kind == KIND_LISTENER)
        return 0;
    if (socket->kind == KIND_DATAGRAM)
        return -LINUX_EOPNOTSUPP;
    if (socket->kind != KIND_SOCKET || !state->registered)
        return -LINUX_EINVAL;
    uint32_t kind = state->type == LINUX_SOCK_STREAM ? 0 : STREAM_PACKETS;
    uint32_t room = MIN((uint32_t)backlog, STREAM_BACKLOG_MAX) + 1; /* Linux lets in one more */
    int64_t result = answer_descriptor(sys_stream_listen(kind, room, ends));
    if (result < 0)
        return result;
    result = unix_listen(state->registered, strlen(state->registered), state->connector, ends[1]);
    if (result < 0) {
        handle_drop(ends[0]);
        handle_drop(ends[1]);
        return result == -E_NOT_FOUND || result == -E_ACCESS ? -LINUX_EINVAL : answer(result);
    }
    handle_drop(state->place);
    handle_drop(state->connector);
    state->place = HANDLE_NONE;
    state->connector = ends[1];
    socket_become(thread, socket, KIND_LISTENER, ends[0]);
    return 0;
}

int64_t linux_listen(struct thread *thread, uint64_t fd, uint64_t backlog)
{
    struct file *socket;
    int64_t result = socket_get(thread, fd, &socket);

    if (result < 0)
        return result;
    result = listen_socket(thread, socket, backlog);
    file_put(socket);
    return result;
}

/* The accepted one has the listener's name. */
static struct file *accepted_file(const struct file *listener, handle_t handle)
{
    const struct socket *from = listener->more;
    struct file *file = file_new(KIND_STREAM, handle, LINUX_O_RDWR, NULL, 0);
    struct socket *state = file && from ? socket_state_add(file, from->type) : NULL;

    if (state) {
        state->name = from->name;
    } else if (file && from) {
        file_put(file);
        return NULL;
    } else if (!file) {
        handle_drop(handle);
    }
    return file;
}

static int64_t accept_socket(struct thread *thread, struct file *socket, uint64_t address,
                             uint64_t length, uint64_t flags)
{
    if (socket->kind != KIND_LISTENER)
        return socket->kind == KIND_DATAGRAM ? -LINUX_EOPNOTSUPP : -LINUX_EINVAL;
    int64_t result = sys_stream_accept(socket->handle, DEADLINE_NEVER);
    if (result < 0)
        return result == -E_CLOSED ? -LINUX_EINVAL : answer_descriptor(result);
    int64_t fd = file_open(thread->process, accepted_file(socket, (handle_t)result), flags);
    if (fd >= 0 && address && (result = socket_name_write(NULL, address, length)) < 0) {
        sys_ignore(linux_close(thread, (uint64_t)fd));
        return result;
    }
    return fd;
}

int64_t linux_accept4(struct thread *thread, uint64_t fd, uint64_t address, uint64_t length,
                      uint64_t flags)
{
    struct file *socket;

    if (flags & ~(uint64_t)(LINUX_O_CLOEXEC | LINUX_O_NONBLOCK))
        return -LINUX_EINVAL;
    int64_t result = socket_get(thread, fd, &socket);
    if (result < 0)
        return result;
    result = accept_socket(thread, socket, address, length, flags);
    file_put(socket);
    return result;
}

int64_t linux_accept(struct thread *thread, uint64_t fd, uint64_t address, uint64_t length)
{
    return linux_accept4(thread, fd, address, length, 0);
}

static int64_t connect_datagrams(struct thread *thread, struct file *socket, uint64_t address,
                                 uint64_t length)
{
    struct socket *state = socket->more;
    struct socket_name peer = {.length = 0};
    uint16_t family;

    if ((uint32_t)length < FAMILY_LENGTH)
        return -LINUX_EINVAL;
    if (user_read(&family, address, sizeof(family)))
        return -LINUX_EFAULT;
    int64_t target = HANDLE_NONE;
    if (family != LINUX_AF_UNSPEC) {
        target = socket_find(thread, address, length, LINUX_SOCK_DGRAM, &peer);
        if (target < 0)
            return target;
    }
    lock(&thread->process->lock);
    handle_t old = state->target;
    state->target = (handle_t)target;
    state->peer = peer;
    unlock(&thread->process->lock);
    handle_drop(old);
    return 0;
}

static int64_t connect_stream(struct thread *thread, struct file *socket, uint64_t address,
                              uint64_t length)
{
    struct socket *state = socket->more;
    struct socket_name peer;
    int64_t found = socket_find(thread, address, length, state->type, &peer);

    if (found < 0)
        return found;
    int64_t stream = sys_stream_connect(
        (handle_t)found, socket->flags & LINUX_O_NONBLOCK ? DEADLINE_NOW : DEADLINE_NEVER);
    handle_drop((handle_t)found);
    if (stream < 0)
        return stream == -E_CLOSED ? -LINUX_ECONNREFUSED : answer(stream);
    state->peer = peer;
    socket_become(thread, socket, KIND_STREAM, (handle_t)stream);
    return 0;
}

int64_t linux_connect(struct thread *thread, uint64_t fd, uint64_t address, uint64_t length)
{
    struct file *socket;
    int64_t result = socket_get(thread, fd, &socket);

    if (result < 0)
        return result;
    if (socket->kind == KIND_DATAGRAM)
        result = connect_datagrams(thread, socket, address, length);
    else if (socket->kind == KIND_SOCKET)
        result = connect_stream(thread, socket, address, length);
    else
        result = socket->kind == KIND_STREAM ? -LINUX_EISCONN : -LINUX_EINVAL;
    file_put(socket);
    return result;
}
