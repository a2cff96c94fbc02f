/* Messages through sockets: sendmsg, recvmsg and their kin.
 *
 *     sendmsg: the vector as one piece; descriptors of SCM_RIGHTS as copies of their handles
 *     recvmsg: one piece; the handles that came as new descriptors, at most as many as there is room for
 */
#include "lib/linux/answer.h"
#include "lib/linux/calls.h"
#include "lib/linux/heap.h"
#include "lib/linux/signal.h"
#include "lib/linux/socket.h"
#include "lib/linux/user.h"

#define CMSG_ALIGN(n) ALIGN_UP((uint64_t)(n), UINT64_C(8))

static int64_t deadline_of(const struct file *socket, uint64_t flags)
{
    bool now = flags & LINUX_MSG_DONTWAIT ||
               (socket->kind == KIND_DATAGRAM && socket->flags & LINUX_O_NONBLOCK);

    return now ? DEADLINE_NOW : DEADLINE_NEVER;
}

static bool keeps_packets(const struct file *socket)
{
    return socket->kind == KIND_DATAGRAM ||
           sys_stream_control(socket->handle, STREAM_KIND, 0) & STREAM_PACKETS;
}

/* --- Vectors: the program's pieces and the one that goes through the stream ---------------------------------------- */

struct vector {
    uint64_t at, count;
    uint64_t total; /* bytes, at most SOCKET_BUFFER */
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
        int64_t copy = file->kind == KIND_SOCKET || file->kind == KIND_LOG
                           ? -E_NOT_SUPPORTED
                           : sys_handle_duplicate(file->handle, RIGHT_ALL);
        file_put(file);
        if (copy < 0)
            return answer_descriptor(copy);
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
    struct file *file = file_of_handle(handle);

    if (!file)
        handle_drop(handle);
    return file_open(process, file, cloexec ? LINUX_O_CLOEXEC : 0);
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

/* Where a message goes: the other end, or who is named with it. A handle to be given to target_end, or -errno. */
static int64_t target_begin(struct thread *thread, const struct file *socket, uint64_t address,
                            uint64_t length)
{
    struct socket_name name;
    bool named = address && length;

    if (socket->kind == KIND_STREAM)
        return named ? -LINUX_EISCONN : socket->handle;
    if (socket->kind != KIND_DATAGRAM)
        return named ? -LINUX_EOPNOTSUPP : -LINUX_ENOTCONN;
    if (named)
        return socket_find(thread, address, length, LINUX_SOCK_DGRAM, &name);
    handle_t target = ((const struct socket *)socket->more)->target;
    return target == HANDLE_NONE ? -LINUX_ENOTCONN : target;
}

static void target_end(const struct file *socket, handle_t target, uint64_t address,
                       uint64_t length)
{
    if (socket->kind == KIND_DATAGRAM && address && length)
        handle_drop(target);
}

/* What is sent, and to whom. */
struct sending {
    struct thread *thread;
    struct file *socket;
    handle_t target;
    uint64_t flags;
    const struct abi_stream_message *message;
};

static int64_t send_piece(const struct sending *sending, uint64_t data, uint64_t length)
{
    bool datagram = sending->socket->kind == KIND_DATAGRAM;
    int64_t result =
        sys_stream_send(sending->target, (const void *)data, length, 0,
                        deadline_of(sending->socket, sending->flags), sending->message);

    if (likely(result >= 0))
        return result;
    if (result == -E_CLOSED && datagram)
        return -LINUX_ECONNREFUSED;
    if (result == -E_CLOSED && !(sending->flags & LINUX_MSG_NOSIGNAL))
        signal_raise(sending->thread, LINUX_SIGPIPE, LINUX_SI_KERNEL);
    if (result == -E_LOOP)
        return -LINUX_ETOOMANYREFS;
    return result == -E_TOO_LONG ? -LINUX_EMSGSIZE : answer(result);
}

static int64_t send_vector(const struct sending *sending, const struct vector *vector)
{
    if (vector->count == 1)
        return send_piece(sending, vector->first, vector->total);

    /* A longer one of a byte stream is cut: the program goes on from there. */
    uint64_t length = vector->total;
    if (length > SOCKET_BUFFER && keeps_packets(sending->socket))
        return -LINUX_EMSGSIZE;
    length = MIN(length, (uint64_t)SOCKET_BUFFER);
    char *buffer = pages_alloc(SOCKET_BUFFER);
    if (!buffer)
        return -LINUX_ENOMEM;
    int64_t result = vector_copy(vector, buffer, length, false);
    if (!result)
        result = send_piece(sending, (uint64_t)buffer, length);
    pages_free(buffer, SOCKET_BUFFER);
    return result;
}

static int64_t send_message(struct sending *sending, const struct linux_msghdr *header)
{
    handle_t handles[STREAM_HANDLES];
    uint32_t count = 0;
    struct vector vector;
    int64_t result = vector_read(header, &vector);

    if (!result)
        result = control_read(sending->thread->process, header, handles, &count);
    struct abi_stream_message message = {.handles = (uint64_t)handles, .handle_count = count};
    sending->message = count ? &message : NULL;
    if (!result)
        result = send_vector(sending, &vector);
    sending->message = NULL;
    if (result < 0)
        handles_drop(handles, count); /* they are still here */
    return result;
}

int64_t linux_sendmsg(struct thread *thread, uint64_t fd, uint64_t header_at, uint64_t flags)
{
    struct sending sending = {.thread = thread, .flags = flags};
    struct linux_msghdr header;

    if (user_read(&header, header_at, sizeof(header)))
        return -LINUX_EFAULT;
    int64_t result = socket_get(thread, fd, &sending.socket);
    if (result < 0)
        return result;
    result = target_begin(thread, sending.socket, header.name, header.name_length);
    if (result >= 0) {
        sending.target = (handle_t)result;
        result = send_message(&sending, &header);
        target_end(sending.socket, sending.target, header.name, header.name_length);
    }
    file_put(sending.socket);
    return result;
}

int64_t linux_sendto(struct thread *thread, uint64_t fd, uint64_t data, uint64_t length,
                     uint64_t flags, uint64_t address, uint64_t address_length)
{
    struct sending sending = {.thread = thread, .flags = flags};
    int64_t result = socket_get(thread, fd, &sending.socket);

    if (result < 0)
        return result;
    result = target_begin(thread, sending.socket, address, address_length);
    if (result >= 0) {
        sending.target = (handle_t)result;
        result = send_piece(&sending, data, length);
        target_end(sending.socket, sending.target, address, address_length);
    }
    file_put(sending.socket);
    return result;
}

int64_t socket_write(struct file *socket, uint64_t data, uint64_t length)
{
    struct sending sending = {.socket = socket, .flags = LINUX_MSG_NOSIGNAL};
    int64_t target = target_begin(NULL, socket, 0, 0);

    if (target < 0)
        return target;
    sending.target = (handle_t)target;
    return send_piece(&sending, data, length);
}

/* --- Receiving ------------------------------------------------------------------------------------------------------- */

/* A socket that something can come to. */
static int64_t receiver_get(struct thread *thread, uint64_t fd, struct file **socket)
{
    int64_t result = socket_get(thread, fd, socket);

    if (result < 0 || (*socket)->kind == KIND_STREAM || (*socket)->kind == KIND_DATAGRAM)
        return result;
    result = socket_type(*socket) == LINUX_SOCK_SEQPACKET ? -LINUX_ENOTCONN : -LINUX_EINVAL;
    file_put(*socket);
    return result;
}

static int64_t receive_once(struct file *socket, uint64_t data, uint64_t length, uint64_t flags,
                            struct abi_stream_message *message)
{
    return answer(sys_stream_receive(socket->handle, (void *)data, length,
                                     flags & LINUX_MSG_PEEK ? STREAM_PEEK : 0,
                                     deadline_of(socket, flags), message));
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

    char *buffer = pages_alloc(SOCKET_BUFFER);
    if (!buffer)
        return -LINUX_ENOMEM;
    int64_t result = receive_piece(socket, (uint64_t)buffer,
                                   MIN(vector->total, (uint64_t)SOCKET_BUFFER), flags, message);
    if (result > 0 && vector_copy(vector, buffer, (uint64_t)result, true)) {
        handles_drop((handle_t *)message->handles, message->handle_count);
        result = -LINUX_EFAULT;
    }
    pages_free(buffer, SOCKET_BUFFER);
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
    int64_t result = receiver_get(thread, fd, &socket);
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
    int64_t result = receiver_get(thread, fd, &socket);

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

int64_t socket_read(struct file *socket, uint64_t data, uint64_t length, bool nonblock)
{
    if (socket->kind == KIND_DATAGRAM)
        return receive_once(socket, data, length, nonblock ? LINUX_MSG_DONTWAIT : 0, NULL);
    return socket_type(socket) == LINUX_SOCK_SEQPACKET ? -LINUX_ENOTCONN : -LINUX_EINVAL;
}
