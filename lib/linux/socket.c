/* Unix sockets: streams with Linux's manners. A socket is a KIND_STREAM file that reads and writes (pipes do one of it).
 *
 *     sendmsg: the vector as one piece; descriptors of SCM_RIGHTS as copies of their handles
 *     recvmsg: one piece; the handles that came as new descriptors, at most as many as there is room for
 */
#include "lib/linux/socket_abi.h"

#include "abi/proc.h"
#include "lib/base/string.h"
#include "lib/linux/answer.h"
#include "lib/linux/calls.h"
#include "lib/linux/file.h"
#include "lib/linux/heap.h"
#include "lib/linux/process.h"
#include "lib/linux/signal.h"
#include "lib/linux/user.h"

#define BUFFER_SIZE   65536u /* what a stream holds: no piece is longer */
#define NOBODY        65534u
#define FAMILY_LENGTH 2u
#define CMSG_ALIGN(n) ALIGN_UP((uint64_t)(n), UINT64_C(8))

static bool is_socket(const struct file *file)
{
    return file->kind == KIND_STREAM && (file->flags & LINUX_O_ACCMODE) == LINUX_O_RDWR;
}

static int64_t socket_get(struct thread *thread, uint64_t fd, struct file **socket)
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

static int64_t deadline_of(uint64_t flags)
{
    return flags & LINUX_MSG_DONTWAIT ? DEADLINE_NOW : DEADLINE_NEVER;
}

static bool keeps_packets(const struct file *socket)
{
    return sys_stream_control(socket->handle, STREAM_KIND, 0) & STREAM_PACKETS;
}

/* --- socketpair ------------------------------------------------------------------------------------------------- */

/* Takes the handle over. */
static int64_t socket_install(struct process *process, handle_t handle, uint64_t flags)
{
    struct file *file = file_new(KIND_STREAM, handle, LINUX_O_RDWR, NULL);

    if (!file) {
        handle_drop(handle);
        return -LINUX_ENOMEM;
    }
    if (flags & LINUX_O_NONBLOCK)
        sys_ignore(sys_handle_flags(handle, HANDLE_FLAG_NONBLOCK, HANDLE_FLAG_NONBLOCK));
    int64_t fd = file_install(process, file, 0, flags & LINUX_O_CLOEXEC);
    if (fd < 0)
        file_put(file);
    return fd;
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
        result = answer(sys_stream_pair(kind, handles));
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

/* --- Vectors: the program's pieces and the one that goes through the stream ---------------------------------------- */

struct vector {
    uint64_t at, count;
    uint64_t total; /* bytes, at most BUFFER_SIZE */
    uint64_t first; /* of a vector of one: the program's own buffer */
};

static int64_t vector_read(const struct linux_msghdr *header, struct vector *vector)
{
    struct linux_iovec element;

    *vector = (struct vector){.at = header->vector, .count = header->vector_length};
    if (vector->count > LINUX_IOV_MAX)
        return -LINUX_EMSGSIZE;
    for (uint64_t i = 0; i < vector->count; i++) {
        if (user_read(&element, vector->at + i * sizeof(element), sizeof(element)))
            return -LINUX_EFAULT;
        if ((int64_t)element.length < 0)
            return -LINUX_EINVAL;
        vector->total += MIN(element.length, UINT64_C(1) << 40);
        if (i == 0)
            vector->first = element.base;
    }
    return 0;
}

/* Between the elements and a buffer, `length` bytes from the start. */
static int64_t vector_copy(const struct vector *vector, char *buffer, uint64_t length, bool out)
{
    struct linux_iovec element;

    for (uint64_t i = 0; i < vector->count && length; i++) {
        if (user_read(&element, vector->at + i * sizeof(element), sizeof(element)))
            return -LINUX_EFAULT;
        uint64_t part = MIN(element.length, length);
        if (out ? user_write(element.base, buffer, part) : user_read(buffer, element.base, part))
            return -LINUX_EFAULT;
        buffer += part;
        length -= part;
    }
    return 0;
}

/* --- Descriptors in messages --------------------------------------------------------------------------------------- */

static void handles_drop(const handle_t *handles, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        handle_drop(handles[i]);
}

/* Copies of what the descriptors name. */
static int64_t rights_read(struct process *process, uint64_t at, uint64_t count, handle_t *handles,
                           uint32_t *used)
{
    for (uint64_t i = 0; i < count; i++) {
        int32_t fd;

        if (*used == STREAM_HANDLES)
            return -LINUX_EINVAL;
        if (user_read(&fd, at + i * sizeof(fd), sizeof(fd)))
            return -LINUX_EFAULT;
        struct file *file = file_get(process, (uint32_t)fd);
        if (!file)
            return -LINUX_EBADF;
        int64_t copy = sys_handle_duplicate(file->handle, RIGHT_ALL);
        file_put(file);
        if (copy < 0)
            return answer(copy);
        handles[(*used)++] = (handle_t)copy;
    }
    return 0;
}

static int64_t control_read(struct process *process, const struct linux_msghdr *header,
                            handle_t *handles, uint32_t *used)
{
    struct linux_cmsghdr control;
    uint64_t at = header->control, end = at + header->control_length;

    while (header->control && at + sizeof(control) <= end) {
        if (user_read(&control, at, sizeof(control)))
            return -LINUX_EFAULT;
        if (control.length < sizeof(control) || control.length > end - at ||
            control.level != LINUX_SOL_SOCKET || control.type != LINUX_SCM_RIGHTS)
            return -LINUX_EINVAL;
        int64_t result =
            rights_read(process, at + sizeof(control),
                        (control.length - sizeof(control)) / sizeof(int32_t), handles, used);
        if (result < 0)
            return result;
        at += CMSG_ALIGN(control.length);
    }
    return 0;
}

/* A handle that came; takes it over. */
static int64_t descriptor_new(struct process *process, handle_t handle, bool cloexec)
{
    struct abi_handle_info info = {.type = OBJECT_FILE};

    sys_ignore(sys_handle_info(handle, &info));
    uint32_t access = !(info.rights & RIGHT_WRITE) ? LINUX_O_RDONLY
                      : info.rights & RIGHT_READ   ? LINUX_O_RDWR
                                                   : LINUX_O_WRONLY;
    struct file *file =
        file_new(info.type == OBJECT_STREAM ? KIND_STREAM : KIND_FILE, handle, access, NULL);
    if (!file) {
        handle_drop(handle);
        return -LINUX_ENOMEM;
    }
    int64_t fd = file_install(process, file, 0, cloexec);
    if (fd < 0)
        file_put(file);
    return fd;
}

/* One SCM_RIGHTS, and msg_controllen; *cut: not all became descriptors. */
static int64_t rights_write(struct process *process, struct linux_msghdr *header,
                            const handle_t *handles, uint32_t count, bool cloexec, bool *cut)
{
    uint64_t at = header->control + sizeof(struct linux_cmsghdr);
    uint32_t done = 0;

    header->control_length = 0;
    for (; done < count; done++) {
        int64_t fd = descriptor_new(process, handles[done], cloexec);

        if (fd < 0) {
            handles_drop(handles + done + 1, count - done - 1);
            *cut = true;
            break;
        }
        if (user_put_u32(at + done * sizeof(int32_t), (uint32_t)fd)) {
            handles_drop(handles + done + 1, count - done - 1);
            return -LINUX_EFAULT;
        }
    }
    if (!done)
        return 0;
    struct linux_cmsghdr control = {
        .length = sizeof(control) + done * sizeof(int32_t),
        .level = LINUX_SOL_SOCKET,
        .type = LINUX_SCM_RIGHTS,
    };
    header->control_length = CMSG_ALIGN(control.length);
    return user_write(header->control, &control, sizeof(control)) ? -LINUX_EFAULT : 0;
}

/* --- Sending --------------------------------------------------------------------------------------------------------- */

static int64_t send_piece(struct thread *thread, struct file *socket, uint64_t data,
                          uint64_t length, uint64_t flags, const struct abi_stream_message *message)
{
    int64_t result =
        sys_stream_send(socket->handle, (const void *)data, length, 0, deadline_of(flags), message);

    if (result == -E_CLOSED && !(flags & LINUX_MSG_NOSIGNAL))
        signal_raise(thread, LINUX_SIGPIPE, LINUX_SI_KERNEL);
    if (result == -E_LOOP)
        return -LINUX_ETOOMANYREFS;
    return result == -E_TOO_LONG ? -LINUX_EMSGSIZE : answer(result);
}

static int64_t send_vector(struct thread *thread, struct file *socket, const struct vector *vector,
                           uint64_t flags, const struct abi_stream_message *message)
{
    if (vector->count == 1)
        return send_piece(thread, socket, vector->first, vector->total, flags, message);

    /* A longer one of a byte stream is cut: the program goes on from there. */
    uint64_t length = vector->total;
    if (length > BUFFER_SIZE && keeps_packets(socket))
        return -LINUX_EMSGSIZE;
    length = MIN(length, (uint64_t)BUFFER_SIZE);
    char *buffer = pages_alloc(BUFFER_SIZE);
    if (!buffer)
        return -LINUX_ENOMEM;
    int64_t result = vector_copy(vector, buffer, length, false);
    if (!result)
        result = send_piece(thread, socket, (uint64_t)buffer, length, flags, message);
    pages_free(buffer, BUFFER_SIZE);
    return result;
}

static int64_t send_message(struct thread *thread, struct file *socket,
                            const struct linux_msghdr *header, uint64_t flags)
{
    handle_t handles[STREAM_HANDLES];
    uint32_t count = 0;
    struct vector vector;
    int64_t result = vector_read(header, &vector);

    if (header->name && header->name_length)
        return -LINUX_EISCONN;
    if (!result)
        result = control_read(thread->process, header, handles, &count);
    struct abi_stream_message message = {.handles = (uint64_t)handles, .handle_count = count};
    if (!result)
        result = send_vector(thread, socket, &vector, flags, count ? &message : NULL);
    if (result < 0)
        handles_drop(handles, count); /* they are still here */
    return result;
}

int64_t linux_sendmsg(struct thread *thread, uint64_t fd, uint64_t header_at, uint64_t flags)
{
    struct linux_msghdr header;
    struct file *socket;

    if (user_read(&header, header_at, sizeof(header)))
        return -LINUX_EFAULT;
    int64_t result = socket_get(thread, fd, &socket);
    if (result < 0)
        return result;
    result = send_message(thread, socket, &header, flags);
    file_put(socket);
    return result;
}

int64_t linux_sendto(struct thread *thread, uint64_t fd, uint64_t data, uint64_t length,
                     uint64_t flags, uint64_t address, uint64_t address_length)
{
    struct file *socket;
    int64_t result = socket_get(thread, fd, &socket);

    if (result < 0)
        return result;
    result = address && address_length ? -LINUX_EISCONN
                                       : send_piece(thread, socket, data, length, flags, NULL);
    file_put(socket);
    return result;
}

/* --- Receiving ------------------------------------------------------------------------------------------------------- */

static int64_t receive_once(struct file *socket, uint64_t data, uint64_t length, uint64_t flags,
                            struct abi_stream_message *message)
{
    return answer(sys_stream_receive(socket->handle, (void *)data, length,
                                     flags & LINUX_MSG_PEEK ? STREAM_PEEK : 0, deadline_of(flags),
                                     message));
}

/* MSG_WAITALL of a byte stream: until all is there, the end, or an error behind the first piece. */
static int64_t receive_piece(struct file *socket, uint64_t data, uint64_t length, uint64_t flags,
                             struct abi_stream_message *message)
{
    int64_t done = receive_once(socket, data, length, flags, message);

    if (!(flags & LINUX_MSG_WAITALL) || (flags & LINUX_MSG_PEEK) || keeps_packets(socket))
        return done;
    while (done > 0 && (uint64_t)done < length && !message->handle_count) {
        int64_t more =
            receive_once(socket, data + (uint64_t)done, length - (uint64_t)done, flags, NULL);
        if (more <= 0)
            break;
        done += more;
    }
    return done;
}

static int64_t receive_vector(struct file *socket, const struct vector *vector, uint64_t flags,
                              struct abi_stream_message *message)
{
    if (vector->count == 1)
        return receive_piece(socket, vector->first, vector->total, flags, message);

    char *buffer = pages_alloc(BUFFER_SIZE);
    if (!buffer)
        return -LINUX_ENOMEM;
    int64_t result = receive_piece(socket, (uint64_t)buffer,
                                   MIN(vector->total, (uint64_t)BUFFER_SIZE), flags, message);
    if (result > 0 && vector_copy(vector, buffer, (uint64_t)result, true)) {
        handles_drop((handle_t *)message->handles, message->handle_count);
        result = -LINUX_EFAULT;
    }
    pages_free(buffer, BUFFER_SIZE);
    return result;
}

static uint32_t room_for_rights(const struct linux_msghdr *header)
{
    uint64_t room = header->control ? header->control_length : 0;

    room = room > sizeof(struct linux_cmsghdr) ? room - sizeof(struct linux_cmsghdr) : 0;
    return (uint32_t)MIN(room / sizeof(int32_t), (uint64_t)STREAM_HANDLES);
}

static int64_t receive_message(struct thread *thread, struct file *socket,
                               struct linux_msghdr *header, uint64_t flags)
{
    handle_t handles[STREAM_HANDLES];
    struct abi_stream_message message = {
        .handles = (uint64_t)handles,
        .handle_count = room_for_rights(header),
    };
    struct vector vector;
    int64_t result = vector_read(header, &vector);
    bool cut = false;

    if (!result)
        result = receive_vector(socket, &vector, flags, &message);
    if (result < 0)
        return result;
    int64_t error = rights_write(thread->process, header, handles, message.handle_count,
                                 flags & LINUX_MSG_CMSG_CLOEXEC, &cut);
    bool short_of = keeps_packets(socket) && message.length > (uint64_t)result;
    header->name_length = 0;
    header->flags = (cut || message.lost ? LINUX_MSG_CTRUNC : 0) | (short_of ? LINUX_MSG_TRUNC : 0);
    if (error < 0)
        return error;
    return short_of && (flags & LINUX_MSG_TRUNC) ? (int64_t)message.length : result;
}

int64_t linux_recvmsg(struct thread *thread, uint64_t fd, uint64_t header_at, uint64_t flags)
{
    struct linux_msghdr header;
    struct file *socket;

    if (user_read(&header, header_at, sizeof(header)))
        return -LINUX_EFAULT;
    int64_t result = socket_get(thread, fd, &socket);
    if (result < 0)
        return result;
    result = receive_message(thread, socket, &header, flags);
    file_put(socket);
    if (result >= 0 && user_write(header_at, &header, sizeof(header)))
        result = -LINUX_EFAULT;
    return result;
}

int64_t linux_recvfrom(struct thread *thread, uint64_t fd, uint64_t data, uint64_t length,
                       uint64_t flags, uint64_t address, uint64_t address_length)
{
    struct abi_stream_message message = {.handle_count = 0};
    struct file *socket;
    int64_t result = socket_get(thread, fd, &socket);

    if (result < 0)
        return result;
    result = receive_piece(socket, data, length, flags, &message);
    if (result >= 0 && (flags & LINUX_MSG_TRUNC) && keeps_packets(socket))
        result = MAX(result, (int64_t)message.length);
    file_put(socket);
    if (result >= 0 && address && address_length && user_put_u32(address_length, 0))
        result = -LINUX_EFAULT;
    return result;
}

/* --- The rest -------------------------------------------------------------------------------------------------------- */

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
    result = how < ARRAY_SIZE(directions)
                 ? answer(sys_stream_control(socket->handle, STREAM_SHUTDOWN, directions[how]))
                 : -LINUX_EINVAL;
    file_put(socket);
    return result;
}

/* No end here has a name. */
static int64_t name_write(struct thread *thread, uint64_t fd, uint64_t address, uint64_t length_at)
{
    uint16_t family = LINUX_AF_UNIX;
    struct file *socket;
    uint32_t room;
    int64_t result = socket_get(thread, fd, &socket);

    if (result < 0)
        return result;
    file_put(socket);
    if (user_read(&room, length_at, sizeof(room)))
        return -LINUX_EFAULT;
    if ((int32_t)room < 0)
        return -LINUX_EINVAL;
    if (user_write(address, &family, MIN(room, FAMILY_LENGTH)) ||
        user_put_u32(length_at, FAMILY_LENGTH))
        return -LINUX_EFAULT;
    return 0;
}

int64_t linux_getsockname(struct thread *thread, uint64_t fd, uint64_t address, uint64_t length)
{
    return name_write(thread, fd, address, length);
}

int64_t linux_getpeername(struct thread *thread, uint64_t fd, uint64_t address, uint64_t length)
{
    return name_write(thread, fd, address, length);
}

/* The other end's process, as procd knows it now; one that is gone has no pid any more. */
static struct linux_ucred peer_of(struct process *process, const struct file *socket)
{
    int64_t badge = sys_stream_control(socket->handle, STREAM_PEER, 0);
    struct abi_command command;

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
        *value = keeps_packets(socket) ? LINUX_SOCK_SEQPACKET : LINUX_SOCK_STREAM;
        return 0;
    case LINUX_SO_SNDBUF:
    case LINUX_SO_RCVBUF:
        *value = BUFFER_SIZE;
        return 0;
    case LINUX_SO_DOMAIN:
        *value = LINUX_AF_UNIX;
        return 0;
    case LINUX_SO_ERROR:
    case LINUX_SO_ACCEPTCONN:
    case LINUX_SO_PROTOCOL:
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

/* A buffer's size is a wish, and ours is what it is; what would change what is received is refused. */
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
    if ((uint32_t)option != LINUX_SO_SNDBUF && (uint32_t)option != LINUX_SO_RCVBUF)
        return -LINUX_ENOPROTOOPT;
    if ((uint32_t)length < sizeof(value))
        return -LINUX_EINVAL;
    return user_read(&value, value_at, sizeof(value)) ? -LINUX_EFAULT : 0;
}
