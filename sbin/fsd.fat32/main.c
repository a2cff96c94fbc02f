/* fsd.fat32: a FAT volume that vfsd has mounted; a process for each. docs/files.md, docs/fat.md
 *
 *     volumes:///3 (argv[1])     vfsd says what is to be served, and hears by which port (lib/fsd/connection.h)
 *     lib/fat                    names, and where the bytes of files lie
 *     cache.c                    the bytes, in memory that clients map
 *
 * What was written and is not on the disk yet lies in memory that the port keeps, so who is killed loses nothing. One thread
 * serves; another one talks to vfsd (volume.h).
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/fsd/numbers.h"
#include "lib/sys/error.h"
#include "lib/sys/startup.h"
#include "sbin/fsd.fat32/cache.h"
#include "sbin/fsd.fat32/commands.h"

#define BUFFER_SIZE (2 * PATH_LENGTH_MAX + 4096u)

static command_handler *const handlers[SERVICE_OPERATIONS] = {
    [OP_OPEN] = names_open,
    [OP_READ] = bytes_read,
    [OP_WRITE] = bytes_write,
    [OP_STAT] = attributes_stat,
    [OP_LIST] = attributes_list,
    [OP_TRUNCATE] = bytes_truncate,
    [OP_SYNC] = bytes_sync,
    [OP_MAP] = bytes_map,
    [OP_READLINK] = attributes_readlink,
    [OP_UNLINK] = names_unlink,
    [OP_MKDIR] = names_make,
    [OP_RENAME] = names_rename,
    [OP_SYMLINK] = names_no_link,
    [OP_LINK] = names_no_link,
    [OP_CHMOD] = attributes_chmod,
    [OP_CHOWN] = attributes_chown,
    [OP_UTIME] = attributes_utime,
    [OP_STATFS] = attributes_statfs,
    [OP_PAGE_IN] = cache_page_in,
    [OP_PAGE_OUT] = cache_page_out,
};

/* Unless it could not be mounted again. */
static int64_t mounted(void *context, struct command *command)
{
    return likely(volume) ? handlers[SERVICE_INDEX(command->message.op)](context, command) : -E_IO;
}

/* What changes names, once. */
static int64_t numbered(void *context, struct command *command)
{
    uint64_t number = command->message.args[3];
    if (numbers_known(number))
        return 0;
    if (volume)
        fat_number(volume, &(struct numbered){.number = number});
    return mounted(context, command);
}

static void closed(void *context, uint64_t cookie)
{
    (void)context;
    opens_closed((struct open *)(uintptr_t)cookie);
    volume_changed(); /* that one had no name: its clusters are free */
    volume_closed();
}

static void stopping(void *context)
{
    (void)context;
    volume_stop();
}

int main(int argc, char **argv)
{
    static command_handler *operations[SERVICE_OPERATIONS];
    handle_t port = startup_require("port:volume");
    if (argc != 2) {
        fprintf(stderr, "volumes:///<number> is wanted\n");
        return 2;
    }
    int64_t result = volume_start(port, argv[1]);
    for (size_t i = 0; i < SERVICE_OPERATIONS; i++)
        operations[i] = !handlers[i] ? NULL : numbers_meant((uint32_t)i) ? numbered : mounted;
    operations[OP_READ] = bytes_read; /* ask nothing of the library where they need not */
    operations[OP_STAT] = attributes_stat;
    struct service service = {
        .port = port,
        .operations = operations,
        .closed = closed,
        .notified = volume_notified,
        .stopping = stopping,
        .buffer_size = BUFFER_SIZE,
    };
    if (result >= 0)
        result = service_run(&service, 1);
    fprintf(stderr, "cannot serve %s: %s\n", argv[1], error_text(result));
    return 1;
}
