/* Snapshots: made at open, read at any offset, freed at close. The cookie is the snapshot's address. */
#include "sbin/initd/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sbin/initd/launch.h"
#include "sbin/initd/supervise.h"

#define PIECE 4096u

struct snapshot {
    char *text;
    size_t length;
};

static void log_write_all(FILE *stream)
{
    static char piece[PIECE];
    struct abi_log_read read = {.buffer = (uintptr_t)piece};
    for (;;) {
        read.length = sizeof(piece);
        if (sys_log_read(launch_own("resource"), &read, 0) < 0 || read.length == 0)
            return;
        fwrite(piece, 1, read.length, stream);
    }
}

typedef void snapshot_writer(FILE *stream);

static const struct {
    const char *path;
    snapshot_writer *write;
} files[] = {
    {"", log_write_all},          {"/", log_write_all},          {"/status", supervise_status},
    {"status", supervise_status}, {"/quotas", supervise_quotas}, {"quotas", supervise_quotas},
};

static snapshot_writer *file_of(const struct command *command)
{
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        if (command->path_length == strlen(files[i].path) &&
            memcmp(command->path, files[i].path, command->path_length) == 0)
            return files[i].write;
    return NULL;
}

static int64_t snapshot_create(snapshot_writer *write, struct snapshot **result)
{
    struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
    FILE *stream = snapshot ? open_memstream(&snapshot->text, &snapshot->length) : NULL;
    if (!stream) {
        free(snapshot);
        return -E_NO_MEMORY;
    }
    write(stream);
    if (fclose(stream)) {
        free(snapshot->text);
        free(snapshot);
        return -E_NO_MEMORY;
    }
    *result = snapshot;
    return 0;
}

static int64_t log_open(void *context, struct command *command)
{
    (void)context;
    snapshot_writer *write = file_of(command);
    struct snapshot *snapshot;
    if (!write)
        return -E_NOT_FOUND;
    if (command->message.args[0] & OPEN_DIRECTORY)
        return -E_NOT_DIRECTORY;
    if (command->message.args[0] & (OPEN_WRITE | OPEN_TRUNCATE))
        return -E_READ_ONLY;
    int64_t result = snapshot_create(write, &snapshot);
    if (result < 0)
        return result;
    command->reply.values[0] = (uintptr_t)snapshot;
    command->reply.values[1] = HANDLE_FLAG_SEEKABLE;
    command->reply.values[2] = SIGNAL_READABLE;
    return 0;
}

static int64_t log_read(void *context, struct command *command)
{
    (void)context;
    const struct snapshot *snapshot = (const struct snapshot *)(uintptr_t)command->message.cookie;
    if (command->message.file == 0)
        return -E_INVALID;
    return command_answer_part(command, snapshot->text, snapshot->length);
}

static int64_t log_stat(void *context, struct command *command)
{
    (void)context;
    static struct abi_stat stat;
    const struct snapshot *snapshot = (const struct snapshot *)(uintptr_t)command->message.cookie;
    if (command->message.file == 0 && !file_of(command))
        return -E_NOT_FOUND;
    stat = (struct abi_stat){
        .size = command->message.file ? snapshot->length : 0,
        .inode = 1,
        .device = 1,
        .type = FILE_REGULAR,
        .mode = 0444,
        .links = 1,
        .block_size = PAGE_SIZE,
    };
    return command_answer(command, &stat, sizeof(stat));
}

void log_closed(void *context, uint64_t cookie)
{
    (void)context;
    struct snapshot *snapshot = (struct snapshot *)(uintptr_t)cookie;
    if (!snapshot)
        return;
    free(snapshot->text);
    free(snapshot);
}

command_handler *const log_operations[SERVICE_OPERATIONS] = {
    [OP_OPEN] = log_open,
    [OP_READ] = log_read,
    [OP_STAT] = log_stat,
};
