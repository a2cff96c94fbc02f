/* Unix sockets: making and asking. See socket.h; names and connections are connect.c's, what goes through them message.c's.
 */
#include "lib/linux/socket.h"

#include "abi/proc.h"
#include "lib/base/string.h"
#include "lib/linux/answer.h"
#include "lib/linux/calls.h"
#include "lib/linux/heap.h"
#include "lib/linux/process.h"
#include "lib/linux/user.h"

#define NOBODY 65534u

bool is_socket(const struct file *file)
{
    switch (file->kind) {
    case KIND_STREAM:
        return (file->flags & LINUX_O_ACCMODE) == LINUX_O_RDWR;
    case KIND_SOCKET:
    case KIND_LISTENER:
    case KIND_DATAGRAM:
        return true;
    default:
        return false;
    }
}

int64_t socket_get(struct thread *thread, uint64_t fd, struct file **socket)
{
    struct file *file = file_get(thread->process, (uint32_t)fd);

    if (!file)
        return -LINUX_EBADF;
    if (!is_socket(file)) {
        file_put(file);
        return -LINUX_ENOTSOCK;
    }
    *socket = file;
    return 0;
}

uint32_t socket_type(const struct file *socket)
{
    const struct socket *state = socket->more;

    if (state)
        return state->type;
    bool packets = socket->kind == KIND_STREAM
                       ? sys_stream_control(socket->handle, STREAM_KIND, 0) & STREAM_PACKETS
                       : sys_handle_flags(socket->handle, 0, 0) & HANDLE_FLAG_PACKETS;
    return packets ? LINUX_SOCK_SEQPACKET : LINUX_SOCK_STREAM;
}

/* --- Making ------------------------------------------------------------------------------------------------- */

/* Takes the handle over. */
static int64_t socket_install(struct process *process, handle_t handle, uint64_t flags)
{
    struct file *file = file_new(KIND_STREAM, handle, LINUX_O_RDWR, NULL, 0);

    if (!file)
        handle_drop(handle);
    return file_open(process, file, flags);
}

/* Datagrams between two are packets. */
static int64_t kind_of(uint64_t family, uint64_t type, uint64_t protocol, uint32_t *kind)
{
    if ((uint32_t)family != LINUX_AF_UNIX)
        return -LINUX_EAFNOSUPPORT;
    if (type & ~(uint64_t)(LINUX_SOCK_TYPE | LINUX_O_CLOEXEC | LINUX_O_NONBLOCK))
        return -LINUX_EINVAL;
    if ((uint32_t)protocol && (uint32_t)protocol != LINUX_AF_UNIX)
        return -LINUX_EPROTONOSUPPORT;
    type &= LINUX_SOCK_TYPE;
    if (type != LINUX_SOCK_STREAM && type != LINUX_SOCK_DGRAM && type != LINUX_SOCK_SEQPACKET)
        return -LINUX_ESOCKTNOSUPPORT;
    *kind = type == LINUX_SOCK_STREAM ? 0 : STREAM_PACKETS;
    return 0;
}

int64_t linux_socketpair(struct thread *thread, uint64_t family, uint64_t type, uint64_t protocol,
                         uint64_t fds_at)
{
    struct process *process = thread->process;
    handle_t handles[2];
    int64_t fds[2];
    uint32_t kind;
    int64_t result = kind_of(family, type, protocol, &kind);

    if (!result)
        result = answer_descriptor(sys_stream_pair(kind, handles));
    if (result < 0)
        return result;
    fds[0] = socket_install(process, handles[0], type);
    if (fds[0] < 0) {
        handle_drop(handles[1]);
        return fds[0];
    }
    fds[1] = socket_install(process, handles[1], type);
    int32_t numbers[2] = {(int32_t)fds[0], (int32_t)fds[1]};
    result = MIN(fds[1], INT64_C(0));
    if (!result && user_write(fds_at, numbers, sizeof(numbers)))
        result = -LINUX_EFAULT;
    if (result < 0) {
        sys_ignore(linux_close(thread, (uint64_t)fds[0]));
        if (fds[1] >= 0)
            sys_ignore(linux_close(thread, (uint64_t)fds[1]));
    }
    return result;
}

static void socket_end(struct file *socket)
{
    struct socket *state = socket->more;

    handle_drop(state->connector);
    handle_drop(state->place);
    handle_drop(state->target);
    heap_free(state->registered);
    heap_free(state);
}

/* What a pair's socket does without; NULL: no memory. */
struct socket *socket_state_add(struct file *socket, uint32_t type)
{
    struct socket *state = heap_alloc(sizeof(*state));

    if (!state)
        return NULL;
    memset(state, 0, sizeof(*state));
    state->type = type;
    state->connector = state->place = state->target = HANDLE_NONE;
    socket->more = state;
    socket->end = socket_end;
    return state;
}

int64_t linux_socket(struct thread *thread, uint64_t family, uint64_t type, uint64_t protocol)
{
    handle_t ends[2] = {HANDLE_NONE, HANDLE_NONE};
    uint32_t kind, plain_type = (uint32_t)type & LINUX_SOCK_TYPE;
    bool datagrams = plain_type == LINUX_SOCK_DGRAM;
    int64_t result = kind_of(family, type, protocol, &kind);

    if (!result && datagrams)
        result = answer_descriptor(sys_stream_pair(STREAM_ONE_WAY | STREAM_PACKETS, ends));
    if (result < 0)
        return result;
    struct file *file =
        file_new(datagrams ? KIND_DATAGRAM : KIND_SOCKET, ends[0], LINUX_O_RDWR, NULL, 0);
    struct socket *state = file ? socket_state_add(file, plain_type) : NULL;
    if (!state) {
        handle_drop(ends[1]);
        if (!file)
            handle_drop(ends[0]);
        file_put(file);
        return -LINUX_ENOMEM;
    }
    state->connector = ends[1];
    return file_open(thread->process, file, type);
}

/* --- Asking -------------------------------------------------------------------------------------------------------- */

int64_t linux_shutdown(struct thread *thread, uint64_t fd, uint64_t how)
{
    static const uint64_t directions[] = {
        [LINUX_SHUT_RD] = RIGHT_READ,
        [LINUX_SHUT_WR] = RIGHT_WRITE,
        [LINUX_SHUT_RDWR] = RIGHT_READ | RIGHT_WRITE,
    };
    struct file *socket;
    int64_t result = socket_get(thread, fd, &socket);

    if (result < 0)
        return result;
    how = (uint32_t)how;
    result = how >= ARRAY_SIZE(directions) ? -LINUX_EINVAL
             : socket->kind != KIND_STREAM
                 ? -LINUX_ENOTCONN
                 : answer(sys_stream_control(socket->handle, STREAM_SHUTDOWN, directions[how]));
    file_put(socket);
    return result;
}

/* sockaddr and its length, cut to the program's room. */
int64_t socket_name_write(const struct socket_name *name, uint64_t address, uint64_t length_at)
{
    struct linux_sockaddr_un to = {.family = LINUX_AF_UNIX};
    uint32_t room, length = FAMILY_LENGTH;

    if (user_read(&room, length_at, sizeof(room)))
        return -LINUX_EFAULT;
    if ((int32_t)room < 0)
        return -LINUX_EINVAL;
    if (name && name->length) {
        memcpy(to.path, name->bytes, name->length);
        length += name->length;
        if (name->bytes[0] && name->length < LINUX_SUN_PATH)
            length++; /* with its end */
    }
    if (user_write(address, &to, MIN(room, length)) || user_put_u32(length_at, length))
        return -LINUX_EFAULT;
    return 0;
}

int64_t linux_getsockname(struct thread *thread, uint64_t fd, uint64_t address, uint64_t length)
{
    struct file *socket;
    int64_t result = socket_get(thread, fd, &socket);

    if (result < 0)
        return result;
    const struct socket *state = socket->more;
    result = socket_name_write(state ? &state->name : NULL, address, length);
    file_put(socket);
    return result;
}

int64_t linux_getpeername(struct thread *thread, uint64_t fd, uint64_t address, uint64_t length)
{
    struct file *socket;
    int64_t result = socket_get(thread, fd, &socket);

    if (result < 0)
        return result;
    const struct socket *state = socket->more;
    bool connected = socket->kind == KIND_STREAM ||
                     (socket->kind == KIND_DATAGRAM && state->target != HANDLE_NONE);
    result = connected ? socket_name_write(state ? &state->peer : NULL, address, length)
                       : -LINUX_ENOTCONN;
    file_put(socket);
    return result;
}

/* The other end's process, as procd knows it now; one that is gone has no pid any more. */
static struct linux_ucred peer_of(struct process *process, const struct file *socket)
{
    struct abi_command command;

    if (socket->kind != KIND_STREAM)
        return (struct linux_ucred){.uid = UINT32_MAX, .gid = UINT32_MAX};
    int64_t badge = sys_stream_control(socket->handle, STREAM_PEER, 0);

    memset(&command, 0, sizeof(command));
    command.op = PROC_TERMINAL;
    command.args[0] = (uint64_t)badge;
    if (process->proc == HANDLE_NONE)
        return (struct linux_ucred){.pid = (int32_t)badge};
    if (proc_command(process, &command) < 0)
        return (struct linux_ucred){.uid = NOBODY, .gid = NOBODY};
    return (struct linux_ucred){.pid = (int32_t)command.values[1],
                                .uid = (uint32_t)(command.values[1] >> 32)};
}

static int64_t option_value(const struct file *socket, uint64_t option, uint32_t *value)
{
    switch (option) {
    case LINUX_SO_TYPE:
        *value = socket_type(socket);
        return 0;
    case LINUX_SO_SNDBUF:
    case LINUX_SO_RCVBUF:
        *value = SOCKET_BUFFER;
        return 0;
    case LINUX_SO_DOMAIN:
        *value = LINUX_AF_UNIX;
        return 0;
    case LINUX_SO_ACCEPTCONN:
        *value = socket->kind == KIND_LISTENER;
        return 0;
    case LINUX_SO_ERROR:
    case LINUX_SO_PROTOCOL:
    case LINUX_SO_REUSEADDR:
    case LINUX_SO_BROADCAST:
    case LINUX_SO_KEEPALIVE:
        *value = 0;
        return 0;
    default:
        return -LINUX_ENOPROTOOPT;
    }
}

int64_t linux_getsockopt(struct thread *thread, uint64_t fd, uint64_t level, uint64_t option,
                         uint64_t value_at, uint64_t length_at)
{
    struct linux_ucred peer;
    struct file *socket;
    const void *from;
    uint32_t value, room, length;
    int64_t result = socket_get(thread, fd, &socket);

    if (result < 0)
        return result;
    if ((uint32_t)level != LINUX_SOL_SOCKET) {
        result = -LINUX_EOPNOTSUPP;
    } else if ((uint32_t)option == LINUX_SO_PEERCRED) {
        peer = peer_of(thread->process, socket);
        from = &peer;
        length = sizeof(peer);
    } else {
        result = option_value(socket, (uint32_t)option, &value);
        from = &value;
        length = sizeof(value);
    }
    file_put(socket);
    if (result < 0)
        return result;
    if (user_read(&room, length_at, sizeof(room)))
        return -LINUX_EFAULT;
    if ((int32_t)room < 0)
        return -LINUX_EINVAL;
    length = MIN(length, room);
    return user_write(value_at, from, length) || user_put_u32(length_at, length) ? -LINUX_EFAULT
                                                                                 : 0;
}

/* A buffer's size is a wish, and ours is what it is; some options mean nothing to a local socket, on Linux too; what would
 * change what is received is refused. */
int64_t linux_setsockopt(struct thread *thread, uint64_t fd, uint64_t level, uint64_t option,
                         uint64_t value_at, uint64_t length)
{
    struct file *socket;
    uint32_t value;
    int64_t result = socket_get(thread, fd, &socket);

    if (result < 0)
        return result;
    file_put(socket);
    if ((uint32_t)level != LINUX_SOL_SOCKET)
        return -LINUX_EOPNOTSUPP;
    switch ((uint32_t)option) {
    case LINUX_SO_SNDBUF:
    case LINUX_SO_RCVBUF:
    case LINUX_SO_REUSEADDR:
    case LINUX_SO_BROADCAST:
    case LINUX_SO_KEEPALIVE:
        break;
    default:
        return -LINUX_ENOPROTOOPT;
    }
    if ((uint32_t)length < sizeof(value))
        return -LINUX_EINVAL;
    return user_read(&value, value_at, sizeof(value)) ? -LINUX_EFAULT : 0;
}
