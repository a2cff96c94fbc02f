/* The smallest file system on a device: one directory with one file, "device", whose bytes are the device's. For scenarios of
 * mounting (tests/system/scenarios/volumes.py); started by initd as fsd.stub. A device that begins with "broken" it does not
 * take. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/volume.h"
#include "lib/fsd/connection.h"
#include "lib/fsd/path.h"
#include "lib/sys/file.h"
#include "lib/sys/keep.h"
#include "lib/sys/listing.h"
#include "lib/sys/service.h"
#include "lib/sys/startup.h"

#define KEY_DEVICE 1u
#define PIECE      4096u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static handle_t port, device = HANDLE_NONE;
static uint64_t size;
static unsigned opens;
static bool ending, read_only, fixed;

static int64_t serve(handle_t file, uint32_t flags, const char *options)
{
    char begin[6] = "";
    struct abi_stat stat;
    int64_t result = file_read(file, 0, begin, sizeof(begin));
    if (result >= 0)
        result = file_stat(file, &stat);
    if (result >= 0 && (memcmp(begin, "broken", sizeof(begin)) == 0 || strcmp(options, "bad") == 0))
        result = -E_BAD_FORMAT;
    if (result >= 0)
        result = keep_handle(port, KEY_DEVICE, file);
    if (result < 0) {
        handle_drop(file);
        return result;
    }
    device = file;
    size = stat.size;
    read_only = flags & VOLUME_READ_ONLY;
    fixed = flags & VOLUME_FIXED;
    return 0;
}

static int64_t remount(uint32_t flags)
{
    pthread_mutex_lock(&lock);
    int64_t result = flags & VOLUME_READ_ONLY ? (opens ? -E_BUSY : 0) : fixed ? -E_READ_ONLY : 0;
    if (result >= 0)
        read_only = flags & VOLUME_READ_ONLY;
    pthread_mutex_unlock(&lock);
    return result;
}

static int64_t end(uint32_t flags)
{
    (void)flags;
    pthread_mutex_lock(&lock);
    bool busy = ending = opens > 0;
    if (!busy) {
        sys_ignore(sys_port_keep(port, KEY_DEVICE, HANDLE_NONE));
        handle_drop(device);
        device = HANDLE_NONE;
    }
    pthread_mutex_unlock(&lock);
    return busy ? -E_BUSY : 0;
}

static struct volume_server server = {.serve = serve, .remount = remount, .end = end};

/* What a path names: FILE_UNKNOWN is nothing. */
static enum file_type named(const struct command *command)
{
    struct route route = {.path = command->path, .length = command->path_length};
    const char *name;
    size_t length;
    if (!route_next(&route, &name, &length))
        return FILE_DIRECTORY;
    bool is = length == 6 && memcmp(name, "device", 6) == 0 && route_ended(&route);
    return is ? FILE_REGULAR : FILE_UNKNOWN;
}

static int64_t stub_open(void *context, struct command *command)
{
    (void)context;
    enum file_type type = named(command);
    uint64_t flags = command->message.args[0];
    if (type == FILE_UNKNOWN)
        return flags & OPEN_CREATE ? -E_READ_ONLY : -E_NOT_FOUND;
    int64_t result = open_check(type, flags);
    if (result >= 0 && read_only && flags & OPEN_WRITE)
        result = -E_READ_ONLY;
    if (result < 0)
        return result;
    pthread_mutex_lock(&lock);
    opens++;
    pthread_mutex_unlock(&lock);
    command->reply.values[0] = (uint64_t)type;
    command->reply.values[1] = type == FILE_REGULAR ? HANDLE_FLAG_SEEKABLE : 0;
    command->reply.values[2] = SIGNAL_READABLE | SIGNAL_WRITABLE;
    return 0;
}

static void stub_closed(void *context, uint64_t cookie)
{
    (void)context, (void)cookie;
    pthread_mutex_lock(&lock);
    bool last = --opens == 0 && ending;
    pthread_mutex_unlock(&lock);
    if (last)
        volume_unused(&server);
}

static int64_t stub_read(void *context, struct command *command)
{
    static char bytes[PIECE];
    (void)context;
    int64_t result =
        file_read(device, command->message.args[0], bytes, MIN(command->message.out_length, PIECE));
    if (result < 0)
        return result;
    command->reply.data = (uintptr_t)bytes;
    command->reply.data_length = command->reply.values[0] = (uint64_t)result;
    return 0;
}

static int64_t stub_write(void *context, struct command *command)
{
    (void)context;
    int64_t result = file_write(device, command->message.args[0], command->data,
                                MIN(command->data_length, command->in_length));
    if (result < 0)
        return result;
    command->reply.values[0] = (uint64_t)result;
    return 0;
}

static int64_t stub_stat(void *context, struct command *command)
{
    static struct abi_stat stat;
    (void)context;
    enum file_type type =
        command->message.file ? (enum file_type)command->message.cookie : named(command);
    if (type == FILE_UNKNOWN)
        return -E_NOT_FOUND;
    stat = (struct abi_stat){.size = type == FILE_REGULAR ? size : 0,
                             .inode = (uint64_t)type,
                             .device = 0x70000,
                             .type = type,
                             .mode = type == FILE_REGULAR ? 0644 : 0755,
                             .links = 1,
                             .block_size = PAGE_SIZE};
    return command_answer(command, &stat, sizeof(stat));
}

static int64_t stub_list(void *context, struct command *command)
{
    static const char *const names[] = {".", "..", "device"};
    static uint8_t entries[1024] ALIGNED(8);
    (void)context;
    struct listing listing = listing_begin(command, entries, sizeof(entries));
    while (listing.position < ARRAY_SIZE(names) &&
           listing_add(&listing, names[listing.position], 1,
                       listing.position == 2 ? FILE_REGULAR : FILE_DIRECTORY))
        ;
    return listing_end(&listing);
}

int main(int argc, char **argv)
{
    static command_handler *const operations[SERVICE_OPERATIONS] = {
        [OP_OPEN] = stub_open, [OP_READ] = stub_read, [OP_WRITE] = stub_write,
        [OP_STAT] = stub_stat, [OP_LIST] = stub_list,
    };
    struct abi_stat stat;
    if (argc != 2)
        return 2;
    port = server.port = startup_require("port:volume");
    server.uri = argv[1];
    device = keep_get(port, KEY_DEVICE);
    if (device != HANDLE_NONE && file_stat(device, &stat) >= 0)
        size = stat.size;
    if (volume_connect(&server, device != HANDLE_NONE) < 0)
        return 1;
    struct service service = {.port = port, .operations = operations, .closed = stub_closed};
    return service_run(&service, 1) < 0;
}
