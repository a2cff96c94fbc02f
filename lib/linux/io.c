/* read, write and their kin: one command to the file's service, or one call on the stream. The data never
 * passes through here: the program's buffer is the command's window. */
#include "lib/linux/io.h"

#include "abi/ops.h"
#include "lib/base/string.h"
#include "lib/linux/answer.h"
#include "lib/linux/calls.h"
#include "lib/linux/count.h"
#include "lib/linux/heap.h"
#include "lib/linux/log.h"
#include "lib/linux/process.h"
#include "lib/linux/signal.h"
#include "lib/linux/socket.h"
#include "lib/linux/stat.h"
#include "lib/linux/user.h"

#define IO_MAX     UINT64_C(0x7ffff000) /* as Linux: a longer transfer is cut */
#define GATHER_MAX 4096u

static int64_t stream_io(struct file *file, bool receive, uint64_t data, uint64_t length,
                         bool nonblock)
{
    int64_t deadline = nonblock ? DEADLINE_NOW : DEADLINE_NEVER;

    if (receive)
        return sys_stream_receive(file->handle, (void *)data, length, 0, deadline, NULL);
    return sys_stream_send(file->handle, (const void *)data, length, 0, deadline, NULL);
}

static inline int64_t file_io(struct file *file, uint32_t op, uint64_t data, uint64_t length,
                              uint64_t offset, bool nonblock)
{
    uint32_t flags = (op == OP_READ ? COMMAND_OUT : COMMAND_IN) |
                     (offset == IO_POSITION ? COMMAND_POSITION : 0) |
                     (nonblock ? COMMAND_NONBLOCK : 0);
    struct short_completion completion;
    uint64_t number = op == OP_WRITE ? command_number() : 0;
    int64_t result =
        sys_file_call_short(file->handle, op, flags, offset == IO_POSITION ? 0 : offset, number,
                            data, length, &completion);

    return result < 0 ? result : (int64_t)completion.values[0];
}

/* The kinds with a way of their own. */
static int64_t own_read(struct file *file, uint64_t data, uint64_t length, bool nonblock)
{
    if (file->kind == KIND_EVENT || file->kind == KIND_TIMER)
        return count_read(file, data, length, nonblock);
    return file->kind == KIND_EPOLL ? -LINUX_EINVAL : socket_read(file, data, length, nonblock);
}

static int64_t own_write(struct file *file, uint64_t data, uint64_t length)
{
    if (file->kind == KIND_EVENT)
        return event_write(file, data, length);
    return file->kind == KIND_EPOLL || file->kind == KIND_TIMER ? -LINUX_EINVAL
                                                                : socket_write(file, data, length);
}

static inline int64_t read_any(struct file *file, uint64_t data, uint64_t length, uint64_t offset,
                               bool nonblock)
{
    if (file->flags & (LINUX_O_WRONLY | LINUX_O_PATH))
        return -LINUX_EBADF;
    length = MIN(length, IO_MAX);
    if (likely(file->kind == KIND_FILE)) {
        int64_t result = file_io(file, OP_READ, data, length, offset, nonblock);

        return likely(result >= 0) ? result : answer(result);
    }
    if (offset != IO_POSITION)
        return -LINUX_ESPIPE;
    if (file->kind > KIND_LOG)
        return own_read(file, data, length, nonblock);
    if (file->kind == KIND_LOG || !length)
        return 0;
    return answer(stream_io(file, true, data, length, nonblock));
}

int64_t io_read(struct file *file, uint64_t data, uint64_t length, uint64_t offset, bool nonblock)
{
    return read_any(file, data, length, offset, nonblock);
}

int64_t io_write(struct file *file, uint64_t data, uint64_t length, uint64_t offset)
{
    if (!(file->flags & LINUX_O_ACCMODE) || (file->flags & LINUX_O_PATH))
        return -LINUX_EBADF;
    length = MIN(length, IO_MAX);
    if (file->kind == KIND_FILE)
        return answer(file_io(file, OP_WRITE, data, length, offset, false));
    if (offset != IO_POSITION)
        return -LINUX_ESPIPE;
    if (file->kind > KIND_LOG)
        return own_write(file, data, length);
    if (!length)
        return 0;
    return answer(stream_io(file, false, data, length, false));
}

static int64_t pipe_checked(struct thread *thread, int64_t result)
{
    if (unlikely(result == -LINUX_EPIPE))
        signal_raise(thread, LINUX_SIGPIPE, LINUX_SI_KERNEL);
    return result;
}

/* What the program asks for: the log for KIND_LOG, and SIGPIPE for a pipe nobody reads. */
static int64_t program_write(struct thread *thread, struct file *file, uint64_t data,
                             uint64_t length, uint64_t offset)
{
    if (file->kind == KIND_LOG)
        return answer(log_bytes(thread->process, data, length));
    return pipe_checked(thread, io_write(file, data, length, offset));
}

/* Of a pipe or socket, that way, and a length that is neither 0 nor cut: the shortest way, for it is gone often. */
static bool plain(const struct file *file, uint32_t other_way, uint64_t length)
{
    return likely(file->kind == KIND_STREAM) && (file->flags & LINUX_O_ACCMODE) != other_way &&
           length - 1 < IO_MAX;
}

int64_t linux_read(struct thread *thread, uint64_t fd, uint64_t data, uint64_t length)
{
    struct file *file = file_get(thread->process, (uint32_t)fd);
    int64_t result;

    if (unlikely(!file))
        return -LINUX_EBADF;
    if (plain(file, LINUX_O_WRONLY, length)) {
        result = sys_stream_receive(file->handle, (void *)data, length, 0, DEADLINE_NEVER, NULL);
        if (unlikely(result < 0))
            result = answer(result);
    } else {
        result = io_read(file, data, length, IO_POSITION, false);
    }
    file_put(file);
    return result;
}

int64_t linux_write(struct thread *thread, uint64_t fd, uint64_t data, uint64_t length)
{
    struct file *file = file_get(thread->process, (uint32_t)fd);
    int64_t result;

    if (unlikely(!file))
        return -LINUX_EBADF;
    if (plain(file, LINUX_O_RDONLY, length)) {
        result = sys_stream_send(file->handle, (const void *)data, length, 0, DEADLINE_NEVER, NULL);
        if (unlikely(result < 0))
            result = pipe_checked(thread, answer(result));
    } else {
        result = program_write(thread, file, data, length, IO_POSITION);
    }
    file_put(file);
    return result;
}

int64_t linux_pread64(struct thread *thread, uint64_t fd, uint64_t data, uint64_t length,
                      uint64_t offset)
{
    struct file *file = file_get(thread->process, (uint32_t)fd);
    int64_t result;

    if (unlikely(!file))
        return -LINUX_EBADF;
    if (unlikely((int64_t)offset < 0))
        result = -LINUX_EINVAL;
    else
        result = read_any(file, data, length, offset, false);
    file_put(file);
    return result;
}

int64_t linux_pwrite64(struct thread *thread, uint64_t fd, uint64_t data, uint64_t length,
                       uint64_t offset)
{
    struct file *file = file_get(thread->process, (uint32_t)fd);

    if (!file)
        return -LINUX_EBADF;
    int64_t result =
        (int64_t)offset < 0 ? -LINUX_EINVAL : program_write(thread, file, data, length, offset);
    file_put(file);
    return result;
}

/* A vector in the program's memory, read one element at a time; *total: the sum of all lengths. */
static int64_t vector_check(uint64_t vector, uint64_t count, uint64_t *total)
{
    struct linux_iovec element;

    *total = 0;
    if (count > LINUX_IOV_MAX)
        return -LINUX_EINVAL;
    for (uint64_t i = 0; i < count; i++) {
        if (user_read(&element, vector + i * sizeof(element), sizeof(element)))
            return -LINUX_EFAULT;
        if ((int64_t)element.length < 0 || (int64_t)(*total += element.length) < 0)
            return -LINUX_EINVAL;
    }
    return 0;
}

/* Small vectors are written as one piece: one command, and atomic on a pipe. */
static int64_t write_gathered(struct thread *thread, struct file *file, uint64_t vector,
                              uint64_t count, uint64_t offset)
{
    char buffer[GATHER_MAX];
    size_t used = 0;

    for (uint64_t i = 0; i < count; i++) {
        struct linux_iovec element;

        if (user_read(&element, vector + i * sizeof(element), sizeof(element)) ||
            element.length > sizeof(buffer) - used ||
            user_read(buffer + used, element.base, element.length))
            return -LINUX_EFAULT;
        used += element.length;
    }
    return program_write(thread, file, (uint64_t)buffer, used, offset);
}

static int64_t vector_io(struct thread *thread, struct file *file, bool receive, uint64_t vector,
                         uint64_t count, uint64_t offset)
{
    int64_t done = 0;

    for (uint64_t i = 0; i < count; i++) {
        struct linux_iovec element;
        uint64_t at = offset == IO_POSITION ? IO_POSITION : offset + (uint64_t)done;

        if (user_read(&element, vector + i * sizeof(element), sizeof(element)))
            return done ? done : -LINUX_EFAULT;
        if (!element.length)
            continue;
        int64_t result = receive ? io_read(file, element.base, element.length, at, done > 0)
                                 : program_write(thread, file, element.base, element.length, at);
        if (result < 0)
            return done ? done : result;
        done += result;
        if ((uint64_t)result < element.length)
            break;
    }
    return done;
}

static int64_t vector_call(struct thread *thread, bool receive, uint64_t fd, uint64_t vector,
                           uint64_t count, uint64_t offset)
{
    struct file *file = file_get(thread->process, (uint32_t)fd);
    uint64_t total;

    if (!file)
        return -LINUX_EBADF;
    int64_t result = vector_check(vector, count, &total);
    if (!result && !receive && file->kind != KIND_LOG && file->kind != KIND_EVENT && count > 1 &&
        total <= GATHER_MAX)
        result = write_gathered(thread, file, vector, count, offset);
    else if (!result)
        result = vector_io(thread, file, receive, vector, count, offset);
    file_put(file);
    return result;
}

int64_t linux_readv(struct thread *thread, uint64_t fd, uint64_t vector, uint64_t count)
{
    return vector_call(thread, true, fd, vector, count, IO_POSITION);
}

int64_t linux_writev(struct thread *thread, uint64_t fd, uint64_t vector, uint64_t count)
{
    return vector_call(thread, false, fd, vector, count, IO_POSITION);
}

int64_t linux_preadv(struct thread *thread, uint64_t fd, uint64_t vector, uint64_t count,
                     uint64_t offset)
{
    return (int64_t)offset < 0 ? -LINUX_EINVAL
                               : vector_call(thread, true, fd, vector, count, offset);
}

int64_t linux_pwritev(struct thread *thread, uint64_t fd, uint64_t vector, uint64_t count,
                      uint64_t offset)
{
    return (int64_t)offset < 0 ? -LINUX_EINVAL
                               : vector_call(thread, false, fd, vector, count, offset);
}

static int64_t seek(struct file *file, int64_t offset, uint64_t whence)
{
    struct abi_stat stat;

    if (file->kind != KIND_FILE || (file->flags & LINUX_O_PATH))
        return file->kind == KIND_FILE ? -LINUX_EBADF : -LINUX_ESPIPE;
    if (whence == LINUX_SEEK_END) {
        int64_t result = stat_file(file, &stat);
        if (result < 0)
            return result;
        if (__builtin_add_overflow((int64_t)stat.size, offset, &offset))
            return -LINUX_EINVAL;
        whence = LINUX_SEEK_SET;
    }
    if (whence > LINUX_SEEK_CUR || (whence == LINUX_SEEK_SET && offset < 0))
        return -LINUX_EINVAL;
    return answer(
        sys_file_seek(file->handle, offset, whence == LINUX_SEEK_SET ? SEEK_SET_ : SEEK_CUR_));
}

int64_t linux_lseek(struct thread *thread, uint64_t fd, uint64_t offset, uint64_t whence)
{
    struct file *file = file_get(thread->process, (uint32_t)fd);

    if (!file)
        return -LINUX_EBADF;
    int64_t result = seek(file, (int64_t)offset, (uint32_t)whence);
    file_put(file);
    return result;
}

/* The position of a directory is what OP_LIST says it is; it is kept in the kernel's file as offsets are. */
int64_t linux_getdents64(struct thread *thread, uint64_t fd, uint64_t data, uint64_t length)
{
    struct file *file = file_get(thread->process, (uint32_t)fd);
    struct abi_command command;

    if (!file)
        return -LINUX_EBADF;
    int64_t result = file->kind == KIND_FILE ? answer(sys_file_seek(file->handle, 0, SEEK_CUR_))
                                             : -LINUX_ENOTDIR;
    if (result == -LINUX_ESPIPE)
        result = -LINUX_ENOTDIR;
    if (result >= 0) {
        memset(&command, 0, sizeof(command));
        command.op = OP_LIST;
        command.args[0] = (uint64_t)result;
        command.out = data;
        command.out_length = MIN((uint32_t)length, IO_MAX);
        result = answer(sys_file_call(file->handle, &command));
    }
    if (result == -LINUX_EOPNOTSUPP || result == -LINUX_ENOSYS)
        result = -LINUX_ENOTDIR;
    if (result >= 0) {
        result = answer(sys_file_seek(file->handle, (int64_t)command.values[1], SEEK_SET_));
        if (result >= 0)
            result = (int64_t)command.values[0];
    }
    file_put(file);
    return result;
}

int64_t io_command(struct thread *thread, uint64_t fd, uint32_t op, uint64_t first, uint64_t second)
{
    struct file *file = file_get(thread->process, (uint32_t)fd);
    struct abi_command command;

    if (!file)
        return -LINUX_EBADF;
    memset(&command, 0, sizeof(command));
    command.op = op;
    command.args[0] = first;
    command.args[1] = second;
    int64_t result =
        file->kind == KIND_FILE ? answer(sys_file_call(file->handle, &command)) : -LINUX_EINVAL;
    file_put(file);
    return result;
}

int64_t linux_ftruncate(struct thread *thread, uint64_t fd, uint64_t length)
{
    return (int64_t)length < 0 ? -LINUX_EINVAL : io_command(thread, fd, OP_TRUNCATE, length, 0);
}

int64_t linux_fsync(struct thread *thread, uint64_t fd)
{
    int64_t result = io_command(thread, fd, OP_SYNC, 0, 0);

    return result == -LINUX_EOPNOTSUPP || result == -LINUX_ENOSYS ? -LINUX_EINVAL : result;
}

/* Advice: taken note of, and nothing more. */
int64_t linux_fadvise64(struct thread *thread, uint64_t fd, uint64_t offset, uint64_t length,
                        uint64_t advice)
{
    enum { LAST = 5 };
    struct file *file = file_get(thread->process, (uint32_t)fd);

    (void)offset;
    if (!file)
        return -LINUX_EBADF;
    bool has_place = file->kind == KIND_FILE;
    file_put(file);
    if (!has_place)
        return -LINUX_ESPIPE;
    return (int64_t)length < 0 || (uint32_t)advice > LAST ? -LINUX_EINVAL : 0;
}

int64_t linux_fdatasync(struct thread *thread, uint64_t fd)
{
    return linux_fsync(thread, fd);
}

static int64_t send_loop(struct thread *thread, struct file *out, struct file *in, uint64_t offset,
                         uint64_t length, uint64_t buffer, uint64_t room)
{
    int64_t done = 0;

    while ((uint64_t)done < length) {
        uint64_t at = offset == IO_POSITION ? IO_POSITION : offset + (uint64_t)done;
        int64_t got = io_read(in, buffer, MIN(room, length - (uint64_t)done), at, false);
        if (got <= 0)
            return done ? done : got;
        for (int64_t sent = 0; sent < got;) {
            int64_t put = program_write(thread, out, buffer + (uint64_t)sent,
                                        (uint64_t)(got - sent), IO_POSITION);
            if (put <= 0) { /* what was read and not sent goes back */
                if (offset == IO_POSITION)
                    sys_ignore(sys_file_seek(in->handle, sent - got, SEEK_CUR_));
                return done + sent ? done + sent : put;
            }
            sent += put;
        }
        done += got;
    }
    return done;
}

/* From a file with a position, as on Linux; anything else is EINVAL and the program reads and writes itself. */
int64_t linux_sendfile(struct thread *thread, uint64_t out_fd, uint64_t in_fd, uint64_t offset_at,
                       uint64_t length)
{
    enum { ROOM = 65536 };
    struct file *in = file_get(thread->process, (uint32_t)in_fd);
    struct file *out = file_get(thread->process, (uint32_t)out_fd);
    uint64_t offset = IO_POSITION;
    char *buffer = NULL;
    int64_t result;

    if (!in || !out)
        result = -LINUX_EBADF;
    else if (in->kind != KIND_FILE || sys_file_seek(in->handle, 0, SEEK_CUR_) < 0)
        result = -LINUX_EINVAL;
    else if (offset_at && user_get_u64(offset_at, &offset))
        result = -LINUX_EFAULT;
    else if ((int64_t)offset < 0 && offset != IO_POSITION)
        result = -LINUX_EINVAL;
    else if (!(buffer = pages_alloc(ROOM)))
        result = -LINUX_ENOMEM;
    else
        result = send_loop(thread, out, in, offset, MIN(length, IO_MAX), (uint64_t)buffer, ROOM);
    pages_free(buffer, ROOM);
    if (result > 0 && offset_at && user_put_u64(offset_at, offset + (uint64_t)result))
        result = -LINUX_EFAULT;
    file_put(in);
    file_put(out);
    return result;
}
