/* The files of proc://, as they are opened, read and listed. */
#include <stdlib.h>
#include <string.h>

#include "sbin/procd/commands.h"
#include "sbin/procd/files.h"

#define STATFS_MAGIC 0x9fa0u /* Linux's PROC_SUPER_MAGIC */

/* An open file of files.h. Its address is the file's cookie; proc:// itself has cookie 0. */
struct open_file {
    struct place place;
    char *text; /* NULL: a directory that is only listed */
    size_t length;
};

/* A path that ends at a link leads to another protocol, unless the link itself is meant. */
static int64_t link_answer(struct command *command, const struct place *place, bool itself)
{
    const char *target = place_link(place);
    if (!target || itself)
        return 0;
    if (strlen(target) > command->message.out_length)
        return -E_TOO_LONG;
    command->reply.data = (uintptr_t)target;
    command->reply.data_length = command->reply.values[0] = strlen(target);
    return -E_LINK;
}

int64_t proc_open(void *context, struct command *command)
{
    (void)context;
    uint64_t flags = command->message.args[0];
    struct open_file *file;
    struct place place;
    if (command->path_length == 0)
        return 0; /* proc:// itself: cookie 0 */
    int64_t result =
        place_find(&table, caller_of(command), command->path, command->path_length, &place);
    if (result >= 0)
        result = link_answer(command, &place, flags & OPEN_NOFOLLOW);
    if (result < 0)
        return result;
    if (place_link(&place))
        return -E_LOOP;
    if ((flags & OPEN_DIRECTORY) && place.kind)
        return -E_NOT_DIRECTORY;
    if (flags & (OPEN_WRITE | OPEN_TRUNCATE))
        return place.kind ? -E_READ_ONLY : -E_IS_DIRECTORY;
    file = calloc(1, sizeof(*file));
    if (!file)
        return -E_NO_MEMORY;
    file->place = place;
    result = place_text(&table, &place, &file->text, &file->length);
    if (result < 0 && result != -E_IS_DIRECTORY) {
        free(file);
        return result;
    }
    command->reply.values[0] = (uintptr_t)file;
    command->reply.values[1] = HANDLE_FLAG_SEEKABLE;
    command->reply.values[2] = SIGNAL_READABLE;
    return 0;
}

static const struct open_file *file_of(const struct command *command)
{
    return (const struct open_file *)(uintptr_t)(command->message.file ? command->message.cookie
                                                                       : 0);
}

int64_t proc_read(void *context, struct command *command)
{
    (void)context;
    const struct open_file *file = file_of(command);
    if (!file)
        return -E_INVALID;
    if (!file->text)
        return -E_IS_DIRECTORY;
    return command_answer_part(command, file->text, file->length);
}

/* What a command is about: the open file, or what its path names. */
static int64_t place_of(const struct command *command, struct place *place)
{
    const struct open_file *file = file_of(command);
    *place = file ? file->place : (struct place){NULL, 0};
    if (command->message.file)
        return 0;
    return place_find(&table, caller_of(command), command->path, command->path_length, place);
}

int64_t proc_stat(void *context, struct command *command)
{
    (void)context;
    static struct abi_stat stat;
    const struct open_file *file = file_of(command);
    struct place place;
    int64_t result = place_of(command, &place);
    if (result >= 0)
        result = link_answer(command, &place, command->message.args[0] & OPEN_NOFOLLOW);
    if (result < 0)
        return result;
    place_stat(&table, &place, file && place.kind ? file->length : 0, &stat);
    return command_answer(command, &stat, sizeof(stat));
}

int64_t proc_statfs(void *context, struct command *command)
{
    (void)context;
    static struct abi_statfs statfs = {
        .type = STATFS_MAGIC, .block_size = PAGE_SIZE, .name_max = PROCESS_NAME_MAX};
    return command_answer(command, &statfs, sizeof(statfs));
}

int64_t proc_readlink(void *context, struct command *command)
{
    (void)context;
    struct place place;
    int64_t result = place_of(command, &place);
    if (result < 0)
        return result;
    const char *target = place_link(&place);
    if (!target)
        return -E_INVALID;
    command->reply.data = (uintptr_t)target;
    command->reply.data_length = MIN(strlen(target), command->message.out_length);
    command->reply.values[0] = command->reply.data_length;
    return 0;
}

int64_t proc_directory(void *context, struct command *command)
{
    (void)context;
    static uint8_t entries[16384] ALIGNED(8);
    struct listing listing = listing_begin(command, entries, sizeof(entries));
    struct place place;
    int64_t result = place_of(command, &place);
    if (result < 0)
        return result;
    if (place.kind)
        return -E_NOT_DIRECTORY;
    place_list(&table, &place, &listing);
    return listing_end(&listing);
}

void proc_closed(void *context, uint64_t cookie)
{
    (void)context;
    struct open_file *file = (struct open_file *)(uintptr_t)cookie;
    if (!file)
        return;
    free(file->text);
    free(file);
}
