/* nulld: null:// takes everything and gives nothing; zero:// takes everything and gives zeros without end; zero:///full, Linux's
 * /dev/full, gives zeros and has no room for anything.
 *
 * Two ports, a thread for each. Writes are answered without looking at the bytes.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/error.h"
#include "lib/sys/service.h"
#include "lib/sys/startup.h"

#define ZEROS_SIZE \
    (UINT64_C(1) << 20) /* given per read: pages of zeros that nobody writes stay one page */

struct device {
    struct service service;
    uint32_t minor;       /* Linux's device numbers 1:3, 1:5 (and 1:7) */
    const uint8_t *zeros; /* NULL: reads are at the end at once, and there is no `full` */
    struct abi_stat stat;
};

enum file { FILE_ITSELF, FILE_FULL }; /* a cookie */

/* What the command's path names. */
static int64_t find_path(const struct device *device, const struct command *command,
                         enum file *file)
{
    const char *name;
    *file = device->zeros && command_names(command, "full") ? FILE_FULL : FILE_ITSELF;
    return *file == FILE_ITSELF && command_name(command, &name) != 0 ? -E_NOT_FOUND : 0;
}

/* ... or the open file. */
static int64_t find(const struct device *device, const struct command *command, enum file *file)
{
    *file = (enum file)command->message.cookie;
    return command->message.file ? 0 : find_path(device, command, file);
}

static int64_t device_open(void *context, struct command *command)
{
    enum file file;
    int64_t result = find_path(context, command, &file);
    if (result < 0)
        return result;
    if (command->message.args[0] & OPEN_DIRECTORY)
        return -E_NOT_DIRECTORY;
    command->reply.values[0] = file;
    command->reply.values[2] = SIGNAL_READABLE | SIGNAL_WRITABLE;
    return 0;
}

static int64_t device_read(void *context, struct command *command)
{
    const struct device *device = context;
    if (!device->zeros)
        return 0;
    command->reply.data = (uintptr_t)device->zeros;
    command->reply.data_length = MIN(command->message.out_length, ZEROS_SIZE);
    command->reply.values[0] = command->reply.data_length;
    return 0;
}

static int64_t device_write(void *context, struct command *command)
{
    enum file file;
    int64_t result = find(context, command, &file);
    if (result < 0)
        return result;
    if (file == FILE_FULL)
        return command->in_length ? -E_NO_SPACE : 0;
    command->reply.values[0] = command->in_length;
    return 0;
}

static int64_t device_stat(void *context, struct command *command)
{
    struct device *device = context;
    enum file file;
    int64_t result = find(device, command, &file);
    if (result < 0)
        return result;
    uint32_t minor = file == FILE_FULL ? 7 : device->minor;
    device->stat = (struct abi_stat){
        .inode = minor,
        .device = 1,
        .type = FILE_CHARACTER,
        .mode = 0666,
        .links = 1,
        .block_size = PAGE_SIZE,
        .rdev = 1 << 8 | minor,
    };
    return command_answer(command, &device->stat, sizeof(device->stat));
}

static int64_t device_accept(void *context, struct command *command)
{
    (void)context;
    (void)command;
    return 0;
}

static command_handler *const operations[SERVICE_OPERATIONS] = {
    [OP_OPEN] = device_open, [OP_READ] = device_read,       [OP_WRITE] = device_write,
    [OP_STAT] = device_stat, [OP_TRUNCATE] = device_accept, [OP_SYNC] = device_accept,
};

static void device_prepare(struct device *device, const char *port, uint32_t minor)
{
    device->service.port = startup_require(port);
    device->service.context = device;
    device->service.operations = operations;
    device->minor = minor;
}

static void *zero_serve(void *argument)
{
    struct device *device = argument;
    fprintf(stderr, "cannot serve zero://: %s\n", error_text(service_run(&device->service, 1)));
    exit(1);
}

int main(void)
{
    static struct device null, zero;
    static uint8_t zeros[ZEROS_SIZE]; /* not const: those would lie in the file */
    pthread_t thread;
    device_prepare(&null, "port:null", 3);
    device_prepare(&zero, "port:zero", 5);
    zero.zeros = zeros;
    int error = pthread_create(&thread, NULL, zero_serve, &zero);
    if (error) {
        fprintf(stderr, "cannot start a thread for zero://: %s\n", strerror(error));
        return 1;
    }
    fprintf(stderr, "cannot serve null://: %s\n", error_text(service_run(&null.service, 1)));
    return 1;
}
