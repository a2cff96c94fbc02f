/* vfsd: fs://, the mount tree, and mounts://, which changes it. docs/files.md
 *
 * It hands out what is mounted: files of the services behind, and the table by which programs go there themselves. No byte
 * of a file passes here. Threads: fs:// has several, since each waits for whom it asks; mounts:// one, volumes:// one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/error.h"
#include "lib/sys/service.h"
#include "lib/sys/startup.h"
#include "sbin/vfsd/begin.h"
#include "sbin/vfsd/mounting.h"
#include "sbin/vfsd/tree.h"
#include "sbin/vfsd/types.h"
#include "sbin/vfsd/volumes.h"
#include "sbin/vfsd/walk.h"

#define THREADS  4u
#define TEXT_MAX (4u * PATH_LENGTH_MAX)

/* What a thread answers with, until it accepts the next command. */
static _Thread_local struct {
    struct walk walk, second;
    uint8_t in[2 * PATH_LENGTH_MAX], out[65536];
} own;

static int64_t begin(struct command *command)
{
    return walk_begin(&own.walk, command->path, command->path_length);
}

/* A walk that ended outside: the client goes on, in its own namespace. */
static int64_t answer(struct command *command, int64_t result)
{
    if (result != -E_LINK)
        return result;
    if (own.walk.length > command->message.out_length)
        return -E_TOO_LONG;
    command->reply.data = (uintptr_t)own.walk.uri;
    command->reply.data_length = command->reply.values[0] = own.walk.length;
    return result;
}

static int64_t fs_open(void *context, struct command *command)
{
    (void)context;
    int64_t result = begin(command);
    if (result >= 0)
        result = walk_open(&own.walk, (uint32_t)command->message.args[0],
                           (uint32_t)command->message.args[1]);
    return result < 0 ? answer(command, result) : command_answer_handle(command, result);
}

/* Any command on a path. second: its in bytes are another path. */
static int64_t forward(struct command *command, bool second)
{
    if (command->message.file)
        return -E_BAD_HANDLE; /* no file is ours */
    int64_t result = begin(command);
    if (result >= 0 && command->in_length > sizeof(own.in))
        result = -E_TOO_LONG;
    if (result >= 0 && command->in_length)
        result = command_read_exactly(command, own.in, command->in_length);
    if (result >= 0 && second)
        result = walk_begin(&own.second, (const char *)own.in, command->in_length);
    if (result < 0)
        return answer(command, result);
    struct abi_command passed = {
        .op = command->message.op,
        .in = (uintptr_t)own.in,
        .in_length = command->in_length,
        .out = (uintptr_t)own.out,
        .out_length = MIN(command->message.out_length, sizeof(own.out)),
    };
    memcpy(passed.args, command->message.args, sizeof(passed.args));
    result = walk_call(&own.walk, second ? &own.second : NULL, &passed);
    if (result < 0)
        return answer(command, result);
    memcpy(command->reply.values, passed.values, sizeof(passed.values));
    command->reply.data = (uintptr_t)own.out;
    command->reply.data_length =
        passed.op == OP_STAT     ? MIN(passed.out_length, sizeof(struct abi_stat))
        : passed.op == OP_STATFS ? MIN(passed.out_length, sizeof(struct abi_statfs))
        : passed.op == OP_LIST || passed.op == OP_READLINK
            ? MIN(passed.out_length, passed.values[0])
            : 0;
    return 0;
}

static int64_t fs_forward(void *context, struct command *command)
{
    (void)context;
    return forward(command, false);
}

static int64_t fs_two_paths(void *context, struct command *command)
{
    (void)context;
    return forward(command, true);
}

static int64_t fs_table(void *context, struct command *command)
{
    (void)context;
    pthread_rwlock_rdlock(&tree_lock);
    int64_t result = tree_share(command->reply.handles);
    tree_table(&command->reply.values[0]);
    pthread_rwlock_unlock(&tree_lock);
    command->reply.handle_count = result < 0 ? 0 : 2;
    return result;
}

static command_handler *const fs_operations[SERVICE_OPERATIONS] = {
    [OP_OPEN] = fs_open,        [OP_STAT] = fs_forward,
    [OP_LIST] = fs_forward,     [OP_TRUNCATE] = fs_forward,
    [OP_SYNC] = fs_forward,     [OP_READLINK] = fs_forward,
    [OP_UNLINK] = fs_forward,   [OP_MKDIR] = fs_forward,
    [OP_RENAME] = fs_two_paths, [OP_SYMLINK] = fs_forward,
    [OP_LINK] = fs_two_paths,   [OP_CHMOD] = fs_forward,
    [OP_CHOWN] = fs_forward,    [OP_UTIME] = fs_forward,
    [OP_STATFS] = fs_forward,   [SERVICE_INDEX(FS_TABLE)] = fs_table,
};

/* --- mounts:// --- */

struct open_text {
    size_t length;
    char text[];
};

/* proc(5): as /proc/mounts has it; blanks in names are spelled in octal. */
static void text_put(FILE *stream, const char *text)
{
    for (; *text; text++)
        if (strchr(" \t\n\\", *text))
            fprintf(stream, "\\%03o", (unsigned)(unsigned char)*text);
        else
            fputc(*text, stream);
}

static void mounts_put(FILE *stream)
{
    for (size_t i = 0; i < tree_count; i++) {
        const struct mount *mount = &tree_mounts[i];
        text_put(stream, mount->source);
        fputs(" /", stream);
        text_put(stream, mount->point);
        fputc(' ', stream);
        text_put(stream, mount->type);
        fputc(' ', stream);
        text_put(stream, mount->options);
        fputs(" 0 0\n", stream);
    }
}

static int64_t mounts_open(void *context, struct command *command)
{
    (void)context;
    char *text = NULL;
    size_t length = 0;
    const char *name;
    bool types = command_names(command, "filesystems");
    if (!types && command_name(command, &name) != 0)
        return -E_NOT_FOUND;
    if (command->message.args[0] & OPEN_DIRECTORY)
        return -E_NOT_DIRECTORY;
    if (command->message.args[0] & (OPEN_WRITE | OPEN_TRUNCATE))
        return -E_READ_ONLY;
    FILE *stream = open_memstream(&text, &length);
    if (!stream)
        return -E_NO_MEMORY;
    if (types)
        types_write(stream);
    else
        mounts_put(stream);
    bool whole = !ferror(stream);
    whole = !fclose(stream) && whole;
    struct open_text *file = whole ? malloc(sizeof(*file) + length) : NULL;
    if (file) {
        file->length = length;
        memcpy(file->text, text, length);
        command->reply.values[0] = (uintptr_t)file;
        command->reply.values[1] = HANDLE_FLAG_SEEKABLE;
        command->reply.values[2] = SIGNAL_READABLE;
    }
    free(text);
    return file ? 0 : -E_NO_MEMORY;
}

static void mounts_closed(void *context, uint64_t cookie)
{
    (void)context;
    free((struct open_text *)(uintptr_t)cookie);
}

static int64_t mounts_read(void *context, struct command *command)
{
    (void)context;
    const struct open_text *file = (const struct open_text *)(uintptr_t)command->message.cookie;
    uint64_t offset = command->message.args[0];
    if (!command->message.file)
        return -E_INVALID;
    if (offset >= file->length)
        return 0;
    command->reply.data = (uintptr_t)file->text + offset;
    command->reply.data_length = MIN(file->length - offset, command->message.out_length);
    command->reply.values[0] = command->reply.data_length;
    return 0;
}

static int64_t mounts_stat(void *context, struct command *command)
{
    static struct abi_stat stat = {.inode = 1,
                                   .device = 2,
                                   .type = FILE_REGULAR,
                                   .mode = 0444,
                                   .links = 1,
                                   .block_size = PAGE_SIZE};
    (void)context;
    return command_answer(command, &stat, sizeof(stat));
}

/* The in bytes: count texts, each terminated. */
static int64_t texts_read(struct command *command, char *buffer, const char **texts, size_t count)
{
    if (command->in_length > TEXT_MAX)
        return -E_TOO_LONG;
    int64_t result = command_read_exactly(command, buffer, command->in_length);
    char *at = buffer, *end = buffer + command->in_length;
    for (size_t i = 0; result >= 0 && i < count; i++) {
        char *zero = memchr(at, '\0', (size_t)(end - at));
        if (!zero)
            return -E_INVALID;
        texts[i] = at;
        at = zero + 1;
    }
    return result < 0 ? result : at == end ? 0 : -E_INVALID;
}

static struct tree_change change_of(const struct command *command)
{
    return (struct tree_change){command->message.caller, command->message.args[3]};
}

static int64_t mounts_mount(void *context, struct command *command)
{
    static char buffer[TEXT_MAX];
    const char *texts[4];
    struct tree_change change = change_of(command);
    (void)context;
    int64_t result = texts_read(command, buffer, texts, 4);
    if (result < 0 || tree_has(&change))
        return result;
    struct fstab_line line = {texts[0], texts[1], texts[2], texts[3]};
    return mounting_mount(&line, (uint32_t)command->message.args[0], &change);
}

static int64_t mounts_umount(void *context, struct command *command)
{
    static char buffer[TEXT_MAX];
    struct tree_change change = change_of(command);
    (void)context;
    if (command->in_length > sizeof(buffer))
        return -E_TOO_LONG;
    int64_t result = command_read_exactly(command, buffer, command->in_length);
    if (result < 0 || tree_has(&change))
        return result;
    return mounting_umount(buffer, command->in_length, (uint32_t)command->message.args[0], &change);
}

static command_handler *const mounts_operations[SERVICE_OPERATIONS] = {
    [OP_OPEN] = mounts_open,
    [OP_READ] = mounts_read,
    [OP_STAT] = mounts_stat,
    [SERVICE_INDEX(MOUNTS_MOUNT)] = mounts_mount,
    [SERVICE_INDEX(MOUNTS_UMOUNT)] = mounts_umount,
};

static void *mounts_serve(void *argument)
{
    static struct service service = {.operations = mounts_operations, .closed = mounts_closed};
    service.port = *(const handle_t *)argument;
    fprintf(stderr, "cannot serve mounts://: %s\n", error_text(service_run(&service, 1)));
    exit(1);
}

static void thread_start(void *(*run)(void *), handle_t *port)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, run, port);
    if (!error)
        return;
    fprintf(stderr, "no thread: %s\n", strerror(error));
    exit(1);
}

/* volumes:// is served before anything is mounted, since what is mounted may lie on one. */
int main(void)
{
    static handle_t mounts, volumes;
    handle_t port = startup_require("port:fs");
    mounts = startup_require("port:mounts");
    volumes = startup_require("port:volumes");
    mounting_prepare(port);
    bool again = begin_recover(port);
    volumes_recover(port);
    thread_start(volumes_serve, &volumes);
    volumes_await();
    int64_t result = again ? tree_publish(NULL) : begin_mount();
    if (result < 0) {
        fprintf(stderr, "there is no root: %s\n", error_text(result));
        return 1;
    }
    thread_start(mounts_serve, &mounts);
    struct service service = {
        .port = port, .operations = fs_operations, .buffer_size = 4 * PATH_LENGTH_MAX};
    fprintf(stderr, "cannot serve fs://: %s\n", error_text(service_run(&service, THREADS)));
    return 1;
}
