/* nulld: null:// takes everything and gives nothing; zero:// takes everything and gives zeros without end.
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
    uint32_t minor;       /* Linux's device numbers 1:3 and 1:5 */
    const uint8_t *zeros; /* NULL: reads are at the end at once */
    struct abi_stat stat;
};

static int64_t device_open(void *context, struct command *command)
{
    (void)context;
    const char *name;
    if (command_name(command, &name) != 0)
        return -E_NOT_FOUND;
    if (command->message.args[0] & OPEN_DIRECTORY)
        return -E_NOT_DIRECTORY;
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
    (void)context;
    command->reply.values[0] = command->in_length;
    return 0;
}

static int64_t device_stat(void *context, struct command *command)
{
    struct device *device = context;
    device->stat = (struct abi_stat){
        .inode = device->minor,
        .device = 1,
        .type = FILE_CHARACTER,
        .mode = 0666,
        .links = 1,
        .block_size = PAGE_SIZE,
        .rdev = 1 << 8 | device->minor,
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
