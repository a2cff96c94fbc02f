/* ioctl: what a terminal or a disk is asked goes to its service under the same number (abi/tty.h, abi/disk.h), with a window
 * as large as the structure. */
#include "abi/disk.h"
#include "abi/ops.h"
#include "abi/tty.h"
#include "lib/base/string.h"
#include "lib/linux/answer.h"
#include "lib/linux/calls.h"
#include "lib/linux/file.h"
#include "lib/linux/header.h"
#include "lib/linux/user.h"

struct control {
    uint32_t code;
    uint32_t in, out; /* bytes at the argument */
    enum { ARGUMENT_NONE, ARGUMENT_VALUE, RESULT_I32 } kind;
};

/* Linux's struct termios ends at its 19 control characters: 36 bytes, as struct tty_attributes. */
_Static_assert(sizeof(struct tty_attributes) == 36, "");

static const struct control controls[] = {
    {TTY_GET_ATTRIBUTES, 0, sizeof(struct tty_attributes), ARGUMENT_NONE},
    {TTY_SET_ATTRIBUTES, sizeof(struct tty_attributes), 0, ARGUMENT_NONE},
    {TTY_SET_ATTRIBUTES_DRAIN, sizeof(struct tty_attributes), 0, ARGUMENT_NONE},
    {TTY_SET_ATTRIBUTES_FLUSH, sizeof(struct tty_attributes), 0, ARGUMENT_NONE},
    {TTY_SEND_BREAK, 0, 0, ARGUMENT_VALUE},
    {TTY_FLOW, 0, 0, ARGUMENT_VALUE},
    {TTY_FLUSH, 0, 0, ARGUMENT_VALUE},
    {TTY_CONTROLLING, 0, 0, ARGUMENT_VALUE},
    {TTY_GET_GROUP, 0, 0, RESULT_I32},
    {TTY_SET_GROUP, sizeof(int32_t), 0, ARGUMENT_NONE},
    {TTY_GET_SIZE, 0, sizeof(struct tty_size), ARGUMENT_NONE},
    {TTY_SET_SIZE, sizeof(struct tty_size), 0, ARGUMENT_NONE},
    {TTY_PENDING, 0, 0, RESULT_I32},
    {TTY_GET_SESSION, 0, 0, RESULT_I32},
    {TTY_OUTPUT_PENDING, 0, 0, RESULT_I32},
    {TTY_SEND_BREAK_LONG, 0, 0, ARGUMENT_VALUE},
    {TTY_BREAK_ON, 0, 0, ARGUMENT_NONE},
    {TTY_BREAK_OFF, 0, 0, ARGUMENT_NONE},
    {TTY_EXCLUSIVE, 0, 0, ARGUMENT_NONE},
    {TTY_SHARED, 0, 0, ARGUMENT_NONE},
    {TTY_DETACH, 0, 0, ARGUMENT_NONE},
    {TTY_MODEM_GET, 0, 0, RESULT_I32},
    {TTY_MODEM_RAISE, sizeof(uint32_t), 0, ARGUMENT_NONE},
    {TTY_MODEM_DROP, sizeof(uint32_t), 0, ARGUMENT_NONE},
    {TTY_MODEM_SET, sizeof(uint32_t), 0, ARGUMENT_NONE},
    {TTY_PACKET, sizeof(int32_t), 0, ARGUMENT_NONE},
    {TTY_NUMBER, 0, 0, RESULT_I32},
    {TTY_LOCK, sizeof(int32_t), 0, ARGUMENT_NONE},
    {TTY_GET_PACKET, 0, 0, RESULT_I32},
    {TTY_GET_LOCK, 0, 0, RESULT_I32},
    {DISK_CONTROL_READ_ONLY, 0, 0, RESULT_I32},
    {DISK_CONTROL_RESCAN, 0, 0, ARGUMENT_NONE},
    {DISK_CONTROL_SECTORS, 0, sizeof(uint64_t), ARGUMENT_NONE},
    {DISK_CONTROL_SYNC, 0, 0, ARGUMENT_NONE},
    {DISK_CONTROL_SECTOR, 0, 0, RESULT_I32},
    {DISK_CONTROL_DISCARD, 2 * sizeof(uint64_t), 0, ARGUMENT_NONE},
    {DISK_CONTROL_PHYSICAL_SECTOR, 0, 0, RESULT_I32},
    {DISK_CONTROL_ZERO, 2 * sizeof(uint64_t), 0, ARGUMENT_NONE},
    {DISK_CONTROL_BLOCK, 0, 0, RESULT_I32},
    {DISK_CONTROL_SIZE, 0, sizeof(uint64_t), ARGUMENT_NONE},
};

static int64_t terminal_control(struct file *file, const struct control *control, uint64_t argument)
{
    struct abi_command command;

    memset(&command, 0, sizeof(command));
    command.op = OP_CONTROL;
    command.args[0] = control->code;
    command.args[1] = control->kind == ARGUMENT_VALUE ? argument : 0;
    command.in = control->in ? argument : 0;
    command.in_length = control->in;
    command.out = control->out ? argument : 0;
    command.out_length = control->out;
    /* Each control says what is to be, so one that a terminal took before it died may be sent again. */
    int64_t result;
    do
        result = sys_file_call(file->handle, &command);
    while (result == -E_RESTARTED);
    result = answer(result);
    if (result == -LINUX_EOPNOTSUPP || result == -LINUX_ENOSYS)
        return -LINUX_ENOTTY;
    if (result >= 0 && control->kind == RESULT_I32)
        return user_put_u32(argument, (uint32_t)command.values[0]) ? -LINUX_EFAULT : 0;
    return result;
}

/* FIONREAD of a pipe or socket. */
static int64_t stream_pending(const struct file *file, uint64_t argument)
{
    int64_t result = sys_stream_control(file->handle, STREAM_PENDING, 0);

    if (result < 0)
        return answer(result);
    return user_put_u32(argument, (uint32_t)result) ? -LINUX_EFAULT : 0;
}

static int64_t set_nonblocking(struct file *file, uint64_t argument)
{
    uint32_t on;

    if (user_read(&on, argument, sizeof(on)))
        return -LINUX_EFAULT;
    return file_set_nonblock(file, on);
}

int64_t linux_ioctl(struct thread *thread, uint64_t fd, uint64_t code, uint64_t argument)
{
    struct file *file;
    int64_t result = -LINUX_ENOTTY;

    code = (uint32_t)code;
    if (code == LINUX_FIOCLEX || code == LINUX_FIONCLEX)
        return linux_fcntl(thread, fd, LINUX_F_SETFD, code == LINUX_FIOCLEX);
    if (!(file = file_get(thread->process, (uint32_t)fd)))
        return -LINUX_EBADF;
    if (code == PERSONALITY_HANDLE_OF && file->handle != HANDLE_NONE)
        result = file->handle;
    else if (code == LINUX_FIONBIO && file->kind != KIND_LOG)
        result = set_nonblocking(file, argument);
    else if (code == LINUX_FIONREAD && (file->kind == KIND_STREAM || file->kind == KIND_DATAGRAM))
        result = stream_pending(file, argument);
    for (size_t i = 0; file->kind == KIND_FILE && i < ARRAY_SIZE(controls); i++)
        if (controls[i].code == code)
            result = terminal_control(file, &controls[i], argument);
    file_put(file);
    return result;
}
