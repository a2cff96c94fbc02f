/* Files: disks, ranges of them, and the list of disks, as clients and diskd have them open (abi/disk.h). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/disk/internal.h"
#include "lib/sys/keep.h"
#include "lib/sys/listing.h"
#include "lib/sys/pager.h"

static struct disk_host *host_of(void *context)
{
    return context;
}

/* The file of a command; NULL: it is about none. */
static struct disk_file *file_of(const struct command *command)
{
    return command->message.file ? (struct disk_file *)(uintptr_t)command->message.cookie : NULL;
}

int64_t file_find(const struct command *command, struct disk_file **file)
{
    *file = file_of(command);
    if (!*file)
        return -E_NO_CALL;
    if (!(*file)->disk)
        return -E_IS_DIRECTORY;
    return (*file)->disk->gone ? -E_NO_DEVICE : 0;
}

uint64_t file_length(const struct disk_file *file)
{
    uint64_t size = file->disk->geometry.size;
    return size < file->start ? 0 : MIN(file->length, size - file->start);
}

/* --- Open and closed --- */

/* "vd0", or "vd0/2048+409600": the disk, and the range in bytes. */
static int64_t path_read(struct disk_host *host, const char *path, size_t length,
                         struct disk_file *file)
{
    char text[DISK_NAME_MAX + 48];
    uint64_t first, count;
    if (length >= sizeof(text))
        return -E_NOT_FOUND;
    memcpy(text, path, length);
    text[length] = '\0';
    char *range = strchr(text, '/'), end;
    if (range)
        *range++ = '\0';
    list_for_each (struct disk, disk, &host->disks, link)
        if (!disk->gone && strcmp(disk->name, text) == 0)
            file->disk = disk;
    if (!file->disk)
        return -E_NOT_FOUND;
    file->length = UINT64_MAX;
    if (!range)
        return 0;
    uint64_t sectors = file->disk->geometry.size / file->disk->geometry.sector;
    if (sscanf(range, "%" SCNu64 "+%" SCNu64 "%c", &first, &count, &end) != 2)
        return -E_NOT_FOUND;
    if (first > sectors || count > sectors - first)
        return -E_RANGE;
    file->start = first * file->disk->geometry.sector;
    file->length = count * file->disk->geometry.sector;
    return 0;
}

/* What the file had under the driver before. */
static void memory_find(struct disk_file *file)
{
    handle_t kept = keep_get(file->host->port, file->id);
    if (kept == HANDLE_NONE)
        return;
    int64_t result = memory_of(file->host)->again(file->host, kept, &file->memory);
    if (result < 0)
        fprintf(stderr, "the memory of a file of %s is lost: error %" PRId64 "\n", file->disk->name,
                -result);
}

static int64_t disk_open(void *context, struct command *command)
{
    struct disk_host *host = host_of(context);
    const char *path;
    size_t length = command_name(command, &path);
    struct disk_file *file = calloc(1, sizeof(*file));
    if (!file)
        return -E_NO_MEMORY;
    *file = (struct disk_file){.host = host,
                               .id = command->message.file,
                               .flags = (uint32_t)command->message.args[0],
                               .memory.memory = HANDLE_NONE};
    int64_t result = length ? path_read(host, path, length, file) : 0;
    if (result >= 0 && file->disk && file->flags & OPEN_WRITE &&
        file->disk->geometry.flags & DISK_IS_READ_ONLY)
        result = -E_READ_ONLY;
    if (result >= 0 && file->disk && host->driver->opens)
        result = host->driver->opens(file->disk, file->id);
    if (result >= 0 && file->disk)
        result = hold_open(file);
    if (result < 0) {
        free(file);
        return result;
    }
    list_init(&file->asking);
    if (file->disk)
        memory_find(file);
    list_append(file->disk ? &file->disk->files : &host->watchers, &file->link);
    command->reply.values[0] = (uintptr_t)file;
    command->reply.values[1] = file->disk ? HANDLE_FLAG_SEEKABLE : 0;
    command->reply.values[2] = file->disk ? SIGNAL_WRITABLE | SIGNAL_READABLE : SIGNAL_READABLE;
    return 0;
}

/* --- Memory that may be in use: commands of a client that died are under way until they are done --- */

static bool job_before(const struct disk_file *file, uint64_t number)
{
    list_for_each (struct disk_job, job, &file->disk->jobs, link)
        if (job->file == file && job->number < number)
            return true;
    return false;
}

static int64_t memory_give(const struct disk_file *file, struct abi_return *reply)
{
    int64_t copy = handle_copy(file->memory.memory,
                               RIGHT_READ | RIGHT_WRITE | RIGHT_DUPLICATE | RIGHT_TRANSFER);
    if (copy < 0)
        return copy;
    reply->values[0] = file->memory.length;
    reply->handles[0] = (handle_t)copy;
    reply->handle_count = 1;
    return 0;
}

static void memory_retry(struct disk_file *file)
{
    list_for_each (struct held, held, &file->asking, link) {
        if (job_before(file, held->argument))
            continue;
        struct abi_return reply = {.token = held->token};
        reply.status = memory_give(file, &reply);
        if (sys_proto_return(held->port, &reply) < 0 && reply.handle_count)
            handle_drop(reply.handles[0]); /* who asked is gone */
        held_drop(held);
    }
}

void file_cancel(struct disk_host *host, uint64_t token)
{
    list_for_each (struct disk, disk, &host->disks, link)
        list_for_each (struct disk_file, file, &disk->files, link) {
            struct held *held = held_find(&file->asking, token);
            if (!held)
                continue;
            held_return(held, -E_INTERRUPTED, 0, NULL, 0);
            return;
        }
}

/* When it is closed and no job uses it. */
static void file_end(struct disk_file *file)
{
    struct disk *disk = file->disk;
    if (!file->closed || file->jobs)
        return;
    list_for_each (struct held, held, &file->asking, link) /* of clients that are gone */
        held_return(held, -E_CANCELLED, 0, NULL, 0);
    hold_drop(file);
    if (file->memory.memory != HANDLE_NONE)
        sys_ignore(sys_port_keep(file->host->port, file->id, HANDLE_NONE));
    memory_of(file->host)->free(file->host, &file->memory);
    list_remove(&file->link);
    free(file);
    if (disk)
        disk_release(disk);
}

void file_put(struct disk_file *file)
{
    file->jobs--;
    memory_retry(file);
    file_end(file);
}

void file_closed(void *context, uint64_t cookie)
{
    struct disk_file *file = (struct disk_file *)(uintptr_t)cookie;
    (void)context;
    file->closed = true;
    file_end(file);
}

/* --- Memory --- */

/* KEPT_USED: some client has the memory. Else its file was closed while there was no driver. */
static int64_t file_recover(void *context, const struct abi_kept *kept)
{
    struct disk_host *host = context;
    handle_drop(kept->handle);
    if (kept->key >= DISK_KEPT)
        return 0;
    if (kept->key & DISK_HELD)
        hold_recover(host, kept->key);
    else if (!(kept->flags & KEPT_USED))
        sys_ignore(sys_port_keep(host->port, kept->key, HANDLE_NONE));
    return 0;
}

void files_recover(struct disk_host *host)
{
    sys_ignore(kept_each(host->port, file_recover, host));
}

static int64_t memory_make(struct disk_file *file, uint64_t length)
{
    int64_t result;
    if (file->memory.memory != HANDLE_NONE)
        return 0;
    do
        result = memory_of(file->host)->lend(file->host, length, &file->memory);
    while (result == -E_RESTARTED); /* the bus; what it had given already goes with our claim */
    if (result < 0)
        return result;
    result = keep_handle(file->host->port, file->id, file->memory.memory);
    if (result < 0)
        memory_of(file->host)->free(file->host, &file->memory);
    return result;
}

static int64_t disk_memory(void *context, struct command *command)
{
    struct disk_file *file;
    uint64_t length = command->message.args[0];
    int64_t result = file_find(command, &file);
    if (result < 0)
        return result;
    if (length == 0 || length > DISK_MEMORY_MAX)
        return -E_RANGE;
    result = memory_make(file, length);
    if (result < 0)
        return result;
    uint64_t next = host_of(context)->jobs;
    if (!job_before(file, next))
        return memory_give(file, &command->reply);
    struct held *held = held_add(&file->asking, command, 0);
    if (!held)
        return -E_NO_MEMORY;
    held->argument = next;
    return COMMAND_HELD;
}

/* --- Data --- */

static int64_t disk_read(void *context, struct command *command)
{
    struct disk_file *file;
    uint64_t offset = command->message.args[0];
    int64_t result = file_find(command, &file);
    (void)context;
    if (result < 0)
        return result;
    uint64_t length = file_length(file);
    length = offset < length ? MIN(length - offset, command->message.out_length) : 0;
    return length ? job_begin(file, command, offset, length, 0, NULL) : 0;
}

static int64_t write_flags(const struct disk_file *file, uint64_t flags)
{
    if (flags & ~(uint64_t)(DISK_FIRST | DISK_THROUGH))
        return -E_INVALID;
    return file->flags & OPEN_WRITE ? 0 : -E_ACCESS;
}

static int64_t disk_write(void *context, struct command *command)
{
    struct disk_file *file;
    uint64_t offset = command->message.args[0], more = command->message.args[1];
    uint64_t flags = more & COMMAND_NUMBER ? 0 : more;
    int64_t result = file_find(command, &file);
    (void)context;
    if (result >= 0)
        result = write_flags(file, flags);
    if (result < 0 || command->in_length == 0)
        return result;
    uint64_t length = file_length(file);
    if (offset >= length || command->message.flags & COMMAND_APPEND)
        return -E_NO_SPACE;
    length = MIN(length - offset, command->in_length);
    result = hold_check(file, offset, length);
    return result < 0 ? result : job_begin(file, command, offset, length, (uint32_t)flags, NULL);
}

int64_t disk_sync(void *context, struct command *command)
{
    struct disk_file *file;
    int64_t result = file_find(command, &file);
    (void)context;
    return result < 0 ? result : job_begin(file, command, 0, 0, 0, NULL);
}

static bool on_sectors(const struct disk_file *file, uint64_t number)
{
    return number % file->disk->geometry.sector == 0;
}

static int64_t range_check(const struct disk_file *file, uint64_t offset, uint64_t length)
{
    uint64_t size = file_length(file);
    if (!on_sectors(file, offset) || !on_sectors(file, length))
        return -E_INVALID;
    return offset > size || length > size - offset ? -E_RANGE : 0;
}

static int64_t piece_check(const struct disk_file *file, const struct disk_piece *piece)
{
    uint64_t room = file->memory.memory == HANDLE_NONE ? 0 : file->memory.length;
    if (!on_sectors(file, piece->place) || !on_sectors(file, piece->length) || !piece->length)
        return -E_INVALID;
    return piece->place > room || piece->length > room - piece->place ? -E_RANGE : 0;
}

/* The caller's list; *length is what its pieces have together. */
static int64_t pieces_read(const struct disk_file *file, const struct command *command,
                           struct disk_piece **pieces, uint64_t *length)
{
    size_t count = command->in_length / sizeof(**pieces);
    if (count > DISK_PIECES_MAX)
        return -E_INVALID;
    *pieces = malloc(count * sizeof(**pieces));
    int64_t result =
        *pieces ? command_read_exactly(command, *pieces, count * sizeof(**pieces)) : -E_NO_MEMORY;
    *length = 0;
    for (size_t i = 0; i < count && result >= 0; i++) {
        result = piece_check(file, &(*pieces)[i]);
        *length += (*pieces)[i].length;
    }
    if (result < 0)
        free(*pieces);
    return result;
}

static int64_t transfer(const struct command *command, struct disk_file *file, uint64_t flags)
{
    const uint64_t *args = command->message.args;
    struct disk_piece piece = {args[2], args[3]}, *pieces = NULL;
    uint64_t length = piece.length;
    int64_t result = command->in_length ? pieces_read(file, command, &pieces, &length)
                                        : piece_check(file, &piece);
    if (result < 0)
        return result;
    result = range_check(file, args[0], length);
    if (result >= 0 && command->message.op == DISK_WRITE)
        result = hold_check(file, args[0], length);
    if (result < 0) {
        free(pieces);
        return result;
    }
    return job_begin(file, command, args[0], length, (uint32_t)flags, pieces);
}

static int64_t disk_read_memory(void *context, struct command *command)
{
    struct disk_file *file;
    int64_t result = file_find(command, &file);
    (void)context;
    if (result < 0)
        return result;
    if (!(file->flags & OPEN_READ))
        return -E_ACCESS;
    return command->message.args[1] ? -E_INVALID : transfer(command, file, 0);
}

static int64_t disk_write_memory(void *context, struct command *command)
{
    struct disk_file *file;
    int64_t result = file_find(command, &file);
    (void)context;
    if (result >= 0)
        result = write_flags(file, command->message.args[1]);
    return result < 0 ? result : transfer(command, file, command->message.args[1]);
}

int64_t disk_discard(void *context, struct command *command)
{
    const uint64_t *args = command->message.args;
    struct disk_file *file;
    int64_t result = file_find(command, &file);
    (void)context;
    if (result < 0)
        return result;
    const struct disk_geometry *geometry = &file->disk->geometry;
    if (args[2] & ~(uint64_t)DISK_ZERO)
        return -E_INVALID;
    if (!(file->flags & OPEN_WRITE))
        return -E_ACCESS;
    if (args[2] & DISK_ZERO ? !(geometry->flags & DISK_HAS_ZERO) : !geometry->discard)
        return -E_NOT_SUPPORTED;
    result = range_check(file, args[0], args[1]);
    if (result >= 0)
        result = hold_check(file, args[0], args[1]);
    return result < 0 || !args[1]
               ? result
               : job_begin(file, command, args[0], args[1], (uint32_t)args[2], NULL);
}

/* --- What there is --- */

static int64_t disk_stat(void *context, struct command *command)
{
    static struct abi_stat stat;
    struct disk_file *file = file_of(command);
    (void)context;
    if (!file)
        return -E_NO_CALL;
    stat = (struct abi_stat){.type = FILE_DIRECTORY,
                             .mode = 0555,
                             .links = 2,
                             .block_size = PAGE_SIZE,
                             .inode = 1,
                             .device = 1};
    if (file->disk)
        stat = (struct abi_stat){
            .size = file->disk->gone ? 0 : file_length(file),
            .inode = file->start / file->disk->geometry.sector + 2,
            .device = file->disk->number,
            .rdev = file->disk->number,
            .type = FILE_BLOCK,
            .mode = file->disk->geometry.flags & DISK_IS_READ_ONLY ? 0400 : 0600,
            .links = 1,
            .block_size = file->disk->geometry.physical_sector,
        };
    stat.blocks = stat.size / 512;
    return command_answer(command, &stat, sizeof(stat));
}

static int64_t disk_geometry(void *context, struct command *command)
{
    static struct disk_geometry geometry;
    struct disk_file *file;
    int64_t result = file_find(command, &file);
    (void)context;
    if (result < 0)
        return result;
    geometry = file->disk->geometry;
    geometry.size = file_length(file);
    geometry.start = file->start;
    geometry.flags |= file->length == UINT64_MAX ? 0 : DISK_HAS_PARTITION;
    return command_answer(command, &geometry, sizeof(geometry));
}

static int64_t disk_list(void *context, struct command *command)
{
    static uint8_t buffer[4096];
    struct disk_host *host = host_of(context);
    struct disk_file *file = file_of(command);
    uint64_t at = 0;
    if (!file || file->disk)
        return file ? -E_NOT_DIRECTORY : -E_NO_CALL;
    struct listing listing = listing_begin(command, buffer, sizeof(buffer));
    if (listing.position == 0)
        sys_ignore(sys_file_ready(host->port, file->id, 0, SIGNAL_READABLE));
    list_for_each (struct disk, disk, &host->disks, link) {
        if (at++ < listing.position)
            continue;
        listing.position = at - 1;
        if (!disk->gone && !listing_add(&listing, disk->name, at + 1, FILE_BLOCK))
            break;
    }
    return listing_end(&listing);
}

void files_tell(struct disk_host *host)
{
    list_for_each (struct disk_file, file, &host->watchers, link)
        sys_ignore(sys_file_ready(host->port, file->id, SIGNAL_READABLE, 0));
}

command_handler *const disk_file_operations[SERVICE_OPERATIONS] = {
    [OP_OPEN] = disk_open,
    [OP_READ] = disk_read,
    [OP_WRITE] = disk_write,
    [OP_SYNC] = disk_sync,
    [OP_STAT] = disk_stat,
    [OP_LIST] = disk_list,
    [OP_CONTROL] = disk_control,
    [SERVICE_INDEX(DISK_GEOMETRY)] = disk_geometry,
    [SERVICE_INDEX(DISK_MEMORY)] = disk_memory,
    [SERVICE_INDEX(DISK_READ)] = disk_read_memory,
    [SERVICE_INDEX(DISK_WRITE)] = disk_write_memory,
    [SERVICE_INDEX(DISK_DISCARD)] = disk_discard,
};
