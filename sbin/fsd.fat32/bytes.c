/* Files' bytes. See commands.h. */
#include <string.h>

#include "lib/fsd/numbers.h"
#include "sbin/fsd.fat32/cache.h"
#include "sbin/fsd.fat32/commands.h"

#define READ_MAX  (UINT64_C(16) << 20) /* of one command: so much is in memory at once */
#define PIECE_MAX (UINT64_C(1) << 20)

/* An open regular file, or why it is none. */
static int64_t opened(const struct command *command, uint64_t wanted, struct open **open)
{
    *open = (struct open *)(uintptr_t)command->message.cookie;
    if (!command->message.file)
        return -E_INVALID;
    if (!(*open)->file)
        return -E_IS_DIRECTORY;
    return wanted & ~(*open)->flags ? -E_ACCESS : 0;
}

static int64_t read_slowly(struct command *command)
{
    struct open *open;
    uint8_t *bytes;
    uint64_t offset = command->message.args[0];
    int64_t result = opened(command, OPEN_READ, &open);
    if (result < 0)
        return result;
    struct file *file = open->file;
    uint64_t size = fat_size(file->node);
    if (offset >= size || !command->message.out_length)
        return 0;
    uint64_t length = MIN(size - offset, command->message.out_length);
    length = MIN(length, READ_MAX);
    file->used = true;
    result = cache_read(file, offset, &length);
    if (result >= 0)
        result = cache_map(file, offset, &bytes);
    if (result < 0)
        return result;
    cache_view(file, offset, length);
    command->reply.data = (uintptr_t)bytes;
    command->reply.data_length = command->reply.values[0] = length;
    return 0;
}

/* What was looked at lately, or a file that is there as a whole, is not looked for. */
int64_t bytes_read(void *context, struct command *command)
{
    const struct open *open = (struct open *)(uintptr_t)command->message.cookie;
    struct file *file = likely(command->message.file) ? open->readable : NULL;
    uint64_t offset = command->message.args[0];
    (void)context;
    if (unlikely(!file || offset - file->view >= file->view_length ||
                 command->message.out_length > file->view + file->view_length - offset))
        return read_slowly(command);
    file->used = true;
    command->reply.data = (uintptr_t)file->address + offset;
    command->reply.data_length = command->reply.values[0] = command->message.out_length;
    return 0;
}

/* [done, done + length) of what is written. */
static int64_t fetch(struct command *command, uint64_t done, uint8_t *bytes, uint64_t length)
{
    int64_t result = 0;
    if (done + length <= command->data_length) {
        memcpy(bytes, command->data + done, length);
        return 0;
    }
    for (uint64_t got = 0; result >= 0 && got < length; got += (uint64_t)result) {
        result = sys_cmd_read(command->port, command->message.token,
                              command->path_length + done + got, bytes + got, length - got);
        if (result == 0)
            result = -E_FAULT;
    }
    return MIN(result, INT64_C(0));
}

/* ... goes to offset. */
static int64_t fetch_all(struct command *command, struct file *file, uint64_t offset, uint64_t done,
                         uint64_t length)
{
    struct cache_place place;
    int64_t result = 0;
    for (uint64_t at = 0; result >= 0 && at < length; at += place.length) {
        result = cache_place(file, offset + at, length - at, &place);
        if (result < 0)
            break;
        result = fetch(command, done + at, place.bytes, place.length);
        result = cache_placed(file, offset + at, &place, result);
    }
    return result;
}

/* The file grows first, so there is room for all that is taken. An append's number comes with that: who finds it does this piece again. */
static int64_t write_piece(struct command *command, struct file *file, uint64_t offset,
                           uint64_t done, uint64_t length)
{
    struct numbered number = {numbers_of_append(&command->message), done, offset};
    uint64_t old = fat_size(file->node);
    int64_t result = offset > old ? cache_zero_tail(file) : 0;
    if (result >= 0 && offset + length > old) {
        fat_number(volume, &number);
        result = fat_resize(file->node, offset + length, time_now());
        if (result >= 0)
            result = cache_resize(file);
    }
    if (result >= 0)
        result = cache_prepare(file, offset, length, old);
    if (result >= 0)
        result = fetch_all(command, file, offset, done, length);
    if (result < 0 && fat_size(file->node) > old)
        sys_ignore(bytes_resize(file->node, old));
    return result;
}

/* Where the bytes go, and how many of them are there already: an append's that a predecessor began. */
static uint64_t write_begin(const struct command *command, const struct file *file, uint64_t *done)
{
    const struct numbered *before = numbers_find(numbers_of_append(&command->message));
    *done = before ? MIN(before->done, command->in_length) : 0;
    if (before)
        return before->offset;
    return command->message.flags & COMMAND_APPEND ? fat_size(file->node)
                                                   : command->message.args[0];
}

int64_t bytes_write(void *context, struct command *command)
{
    (void)context;
    struct open *open;
    uint64_t done, length = command->in_length;
    int64_t result = opened(command, OPEN_WRITE, &open);
    if (result < 0)
        return result;
    struct file *file = open->file;
    if (volume_read_only())
        return -E_READ_ONLY;
    uint64_t offset = write_begin(command, file, &done);
    if (offset > (uint64_t)INT64_MAX)
        return -E_INVALID;
    if (offset >= FAT_FILE_MAX && length)
        return -E_FILE_TOO_BIG;
    while (done < length && offset < FAT_FILE_MAX) {
        uint64_t piece = MIN(length - done, PIECE_MAX);
        piece = MIN(piece, FAT_FILE_MAX - offset);
        result = write_piece(command, file, offset, done, piece);
        if (result < 0)
            break;
        done += piece;
        offset += piece;
        if (command->message.flags & COMMAND_APPEND)
            offset = fat_size(file->node); /* somebody may have, since a predecessor's piece */
    }
    if (done) {
        file_dirty(file);
        sys_ignore(fat_set_times(file->node, INT64_MIN, INT64_MIN, time_now()));
        volume_wrote(done);
    }
    command->reply.values[0] = done;
    command->reply.values[1] = offset;
    return done ? 0 : result;
}

int64_t bytes_resize(struct fat_node *node, uint64_t size)
{
    struct file *file = file_known(node);
    int64_t result = file && size > fat_size(node) ? cache_zero_tail(file) : 0;
    if (result >= 0)
        result = fat_resize(node, size, time_now());
    if (result >= 0 && file) {
        result = cache_resize(file);
        file_dirty(file);
    }
    return result;
}

int64_t bytes_truncate(void *context, struct command *command)
{
    (void)context;
    struct fat_node *node;
    struct open *open;
    int64_t result = command_node(command, &node, &open);
    if (result < 0)
        return result;
    if (fat_is_directory(node))
        result = -E_IS_DIRECTORY;
    else if (open && !(open->flags & OPEN_WRITE))
        result = -E_INVALID;
    else if (volume_read_only())
        result = -E_READ_ONLY;
    else
        result = bytes_resize(node, command->message.args[0]);
    volume_changed();
    fat_put(node);
    return result;
}

int64_t bytes_map(void *context, struct command *command)
{
    (void)context;
    const uint64_t *args = command->message.args;
    bool write = args[2] & PROT_WRITE_;
    struct open *open;
    handle_t memory;
    int64_t result = opened(command, OPEN_READ | (write ? OPEN_WRITE : 0), &open);
    if (result < 0)
        return result;
    struct file *file = open->file;
    uint64_t size = fat_size(file->node);
    if (!IS_ALIGNED(args[0], (uint64_t)PAGE_SIZE))
        return -E_INVALID;
    if (args[0] >= size)
        return -E_RANGE;
    if (write && volume_read_only())
        return -E_READ_ONLY;
    result = cache_attach(file);
    if (result >= 0 && write)
        result = cache_writable(file);
    if (result >= 0)
        result = paged_share(&file->pages, RIGHT_READ | RIGHT_EXECUTE | (write ? RIGHT_WRITE : 0),
                             &memory);
    if (result < 0)
        return result;
    file->shared = true;
    if (write)
        file_dirty(file);
    command->reply.values[0] = args[0];
    command->reply.values[1] = MIN(args[1], size - args[0]);
    return command_answer_handle(command, memory);
}

int64_t bytes_sync(void *context, struct command *command)
{
    const struct open *open = (const struct open *)(uintptr_t)command->message.cookie;
    (void)context;
    return command->message.file && open->file ? volume_sync_file(open->file) : volume_sync();
}
