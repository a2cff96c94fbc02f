/* Snapshots: made at open, read at any offset, freed at close; and files that follow. The cookie is the file's address. */
#include "sbin/initd/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/log.h"
#include "lib/sys/error.h"
#include "lib/sys/held.h"
#include "sbin/initd/launch.h"
#include "sbin/initd/supervise.h"

#define PIECE 4096u

struct file {
    struct list link; /* of followers */
    uint64_t id;
    bool ready; /* a follower's: SIGNAL_READABLE is published */
    char *text; /* NULL: it follows */
    size_t length;
};

static struct list followers = LIST_INIT(followers), held_reads = LIST_INIT(held_reads);
static handle_t port;

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

static int64_t snapshot_create(snapshot_writer *write, struct file **result)
{
    struct file *file = calloc(1, sizeof(*file));
    FILE *stream = file ? open_memstream(&file->text, &file->length) : NULL;
    if (!stream) {
        free(file);
        return -E_NO_MEMORY;
    }
    list_init(&file->link);
    write(stream);
    if (fclose(stream)) {
        free(file->text);
        free(file);
        return -E_NO_MEMORY;
    }
    *result = file;
    return 0;
}

/* --- Following ------------------------------------------------------------------------------------------------- */

static bool follows(const struct command *command)
{
    return command_names(command, "console");
}

static int64_t follower_create(uint64_t id, struct file **result)
{
    struct file *file = calloc(1, sizeof(*file));
    if (!file)
        return -E_NO_MEMORY;
    file->id = id;
    file->ready = true;
    list_append(&followers, &file->link);
    *result = file;
    return 0;
}

static void ready_set(struct file *file, bool ready)
{
    if (file->ready == ready)
        return;
    file->ready = ready;
    sys_ignore(
        sys_file_ready(port, file->id, ready ? SIGNAL_READABLE : 0, ready ? 0 : SIGNAL_READABLE));
}

/* Lines for a console behind *sequence, which moves; 0: there are none. */
static size_t lines_read(uint64_t *sequence, char *text, size_t room)
{
    struct abi_log_read read = {
        .sequence = *sequence, .buffer = (uintptr_t)text, .length = MIN(room, (size_t)PIECE)};
    if (sys_log_read(launch_own("resource"), &read, LOG_READ_CONSOLE) < 0)
        return 0;
    *sequence = read.sequence;
    return read.length;
}

static int64_t follower_read(struct file *file, struct command *command)
{
    static char text[PIECE];
    uint64_t sequence = command->message.args[0];
    size_t length = lines_read(&sequence, text, command->message.out_length);
    if (length) {
        command->reply.data = (uintptr_t)text;
        command->reply.data_length = command->reply.values[0] = length;
        command->reply.values[1] = sequence;
        return 0;
    }
    ready_set(file, false);
    if (command->message.flags & COMMAND_NONBLOCK)
        return -E_AGAIN;
    struct held *held = held_add(&held_reads, command, 0);
    if (!held)
        return -E_NO_MEMORY;
    held->argument = sequence;
    return COMMAND_HELD;
}

void log_grown(void)
{
    static char text[PIECE];
    list_for_each (struct file, file, &followers, link)
        ready_set(file, true);
    list_for_each (struct held, held, &held_reads, link) {
        size_t length = lines_read(&held->argument, text, held->length);
        struct abi_return reply = {
            .values = {length, held->argument}, .data = (uintptr_t)text, .data_length = length};
        if (length)
            held_reply(held, 0, &reply);
    }
}

static int64_t log_end(void *context, struct command *command)
{
    const struct file *file = (const struct file *)(uintptr_t)command->message.cookie;
    struct abi_log_read read = {.sequence = UINT64_MAX};
    (void)context;
    if (command->message.file == 0 || file->text)
        return -E_INVALID;
    int64_t result = sys_log_read(launch_own("resource"), &read, 0);
    command->reply.values[0] = read.sequence;
    return MIN(result, INT64_C(0));
}

void log_cancelled(void *context, uint64_t token)
{
    struct held *held = held_find(&held_reads, token);
    (void)context;
    if (held)
        held_return(held, -E_INTERRUPTED, 0, NULL, 0);
}

void log_start(handle_t own)
{
    port = own;
    int64_t result = sys_port_bind(port, launch_own("resource"), SIGNAL_READABLE, LOG_KEY, 0);
    if (result < 0)
        fprintf(stderr, "cannot follow the log: %s\n", error_text(result));
}

/* --- Files ----------------------------------------------------------------------------------------------------- */

static int64_t log_open(void *context, struct command *command)
{
    (void)context;
    snapshot_writer *write = file_of(command);
    struct file *file;
    bool follower = follows(command);
    if (!write && !follower)
        return -E_NOT_FOUND;
    if (command->message.args[0] & OPEN_DIRECTORY)
        return -E_NOT_DIRECTORY;
    if (command->message.args[0] & (OPEN_WRITE | OPEN_TRUNCATE))
        return -E_READ_ONLY;
    int64_t result =
        follower ? follower_create(command->message.file, &file) : snapshot_create(write, &file);
    if (result < 0)
        return result;
    command->reply.values[0] = (uintptr_t)file;
    command->reply.values[1] = follower ? 0 : HANDLE_FLAG_SEEKABLE;
    command->reply.values[2] = SIGNAL_READABLE;
    return 0;
}

static int64_t log_read(void *context, struct command *command)
{
    (void)context;
    struct file *file = (struct file *)(uintptr_t)command->message.cookie;
    if (command->message.file == 0)
        return -E_INVALID;
    return file->text ? command_answer_part(command, file->text, file->length)
                      : follower_read(file, command);
}

static int64_t log_stat(void *context, struct command *command)
{
    (void)context;
    static struct abi_stat stat;
    const struct file *file = (const struct file *)(uintptr_t)command->message.cookie;
    bool open = command->message.file != 0;
    if (!open && !file_of(command) && !follows(command))
        return -E_NOT_FOUND;
    stat = (struct abi_stat){
        .size = open ? file->length : 0,
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
    struct file *file = (struct file *)(uintptr_t)cookie;
    if (!file)
        return;
    held_forget(&held_reads, cookie);
    list_remove(&file->link);
    free(file->text);
    free(file);
}

command_handler *const log_operations[SERVICE_OPERATIONS] = {
    [OP_OPEN] = log_open,
    [OP_READ] = log_read,
    [OP_STAT] = log_stat,
    [SERVICE_INDEX(LOG_END)] = log_end,
};
