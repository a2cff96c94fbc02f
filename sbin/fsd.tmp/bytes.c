/* Files' bytes. See commands.h. */
#include "lib/fsd/numbers.h"
#include "sbin/fsd.tmp/commands.h"
#include "sbin/fsd.tmp/data.h"

/* A regular file, or why it is none. */
static int64_t regular(struct command *command, struct inode **inode, struct open **open)
{
    int64_t result = command_inode(command, WALK_FOLLOW, inode, open);
    if (result < 0 || (*inode)->type == FILE_REGULAR)
        return result;
    return (*inode)->type == FILE_DIRECTORY ? -E_IS_DIRECTORY : -E_INVALID;
}

/* Linux's relatime: often enough for whoever asks whether it was read since it was written. */
static void accessed(struct inode *inode)
{
    if (unlikely(inode->accessed <= inode->modified))
        arena_set(&inode->accessed, MAX(time_now(), inode->modified + 1));
}

/* What is mapped already and was read since it was written changes nothing. */
int64_t bytes_read_again(void *context, struct command *command)
{
    const struct open *open = arena_at((ref_t)command->message.cookie);
    const struct inode *inode = arena_at(open->inode);
    uint64_t offset = command->message.args[0];
    if (unlikely(!command->message.file || inode->epoch != arena->epoch || !inode->address ||
                 offset >= inode->size || inode->size > inode->room ||
                 inode->accessed <= inode->modified))
        return transaction(context, command);
    command->reply.data = (uintptr_t)inode->address + offset;
    command->reply.data_length = MIN(inode->size - offset, command->message.out_length);
    command->reply.values[0] = command->reply.data_length;
    return 0;
}

int64_t bytes_read(void *context, struct command *command)
{
    (void)context;
    struct inode *inode;
    struct open *open;
    const void *bytes;
    int64_t result = regular(command, &inode, &open);
    if (result < 0)
        return result;
    uint64_t offset = command->message.args[0];
    accessed(inode);
    if (offset >= inode->size || !command->message.out_length)
        return 0;
    result = data_view(inode, offset, &bytes);
    if (result < 0)
        return result;
    command->reply.data = (uintptr_t)bytes;
    command->reply.data_length = MIN(inode->size - offset, command->message.out_length);
    command->reply.values[0] = command->reply.data_length;
    return 0;
}

/* [done, done + length) of what is written goes to offset: small things came along, the rest is put into its place. */
static int64_t fetch(struct command *command, struct inode *inode, uint64_t offset, uint64_t done,
                     uint64_t length)
{
    void *where;
    if (done + length <= command->data_length)
        return data_write(inode, offset, command->data + done, length);
    int64_t result = data_window(inode, offset, length, &where);
    for (uint64_t got = 0; result >= 0 && got < length; got += (uint64_t)result) {
        result = sys_cmd_read(command->port, command->message.token,
                              command->path_length + done + got, (char *)where + got, length - got);
        if (result == 0)
            result = -E_FAULT;
    }
    return result;
}

/* From *done on, as much as there is room for; *offset moves on, too. An append that has a number is known by it as far as it came. */
static int64_t write_pieces(struct command *command, struct inode *inode, uint64_t *offset,
                            uint64_t *done)
{
    uint64_t number = numbers_of_append(&command->message);
    int64_t result = 0;
    while (*done < command->in_length) {
        uint64_t length = command->in_length - *done;
        result = data_reach(inode, *offset, &length);
        if (result >= 0)
            result = fetch(command, inode, *offset, *done, length);
        if (result >= 0)
            result = data_written(inode, *offset, length);
        if (result < 0)
            return *done ? 0 : result;
        *done += length;
        *offset += length;
        if (*offset > inode->size)
            arena_set(&inode->size, *offset);
        if (number)
            arena_number(number, *done, *offset);
        arena_commit(); /* pieces may be many */
    }
    return 0;
}

/* Where the bytes go, and how many of them are there already: an append's that a predecessor began. */
static uint64_t write_begin(const struct command *command, const struct inode *inode,
                            uint64_t *done)
{
    const struct numbered *before = numbers_find(numbers_of_append(&command->message));
    *done = before ? MIN(before->done, command->in_length) : 0;
    if (before && *done == command->in_length)
        return before->offset;
    return command->message.flags & COMMAND_APPEND ? inode->size : command->message.args[0];
}

int64_t bytes_write(void *context, struct command *command)
{
    (void)context;
    struct inode *inode;
    struct open *open;
    uint64_t done;
    int64_t result = regular(command, &inode, &open);
    if (result < 0)
        return result;
    uint64_t offset = write_begin(command, inode, &done);
    if (!open)
        return -E_INVALID;
    if (offset > (uint64_t)INT64_MAX)
        return -E_INVALID;
    result = write_pieces(command, inode, &offset, &done);
    if (result < 0)
        return result == -E_NO_MEMORY ? -E_NO_SPACE : result;
    int64_t when = time_now();
    arena_set(&inode->modified, when);
    arena_set(&inode->changed, when);
    command->reply.values[0] = done;
    command->reply.values[1] = offset;
    return 0;
}

int64_t bytes_truncate(void *context, struct command *command)
{
    (void)context;
    struct inode *inode;
    struct open *open;
    int64_t result = regular(command, &inode, &open);
    if (result >= 0 && inode->size != command->message.args[0])
        result = data_resize(inode, command->message.args[0]);
    if (result < 0)
        return result;
    int64_t when = time_now();
    arena_set(&inode->modified, when);
    arena_set(&inode->changed, when);
    return 0;
}

int64_t bytes_map(void *context, struct command *command)
{
    (void)context;
    const uint64_t *args = command->message.args;
    struct inode *inode;
    struct open *open;
    int64_t result = regular(command, &inode, &open);
    if (result < 0)
        return result;
    bool write = args[2] & PROT_WRITE_;
    if (!open || !IS_ALIGNED(args[0], (uint64_t)PAGE_SIZE))
        return -E_INVALID;
    if (!(open->flags & OPEN_READ) || (write && !(open->flags & OPEN_WRITE)))
        return -E_ACCESS;
    if (args[0] >= inode->size)
        return -E_RANGE;
    accessed(inode);
    command->reply.values[0] = args[0];
    command->reply.values[1] = MIN(args[1], inode->size - args[0]);
    return command_answer_handle(command, data_share(inode, write));
}
