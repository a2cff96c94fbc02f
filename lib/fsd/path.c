/* See path.h. */
#include "lib/fsd/path.h"

int64_t open_check(enum file_type type, uint64_t flags)
{
    bool folder = type == FILE_DIRECTORY;
    if (flags & OPEN_CREATE && flags & OPEN_EXCLUSIVE)
        return -E_EXISTS;
    if (flags & OPEN_DIRECTORY && !folder)
        return -E_NOT_DIRECTORY;
    if (folder && flags & (OPEN_WRITE | OPEN_CREATE | OPEN_TRUNCATE))
        return -E_IS_DIRECTORY;
    return type == FILE_LINK && !(flags & OPEN_PATH) ? -E_LOOP : 0;
}

int64_t unlink_check(enum file_type type, uint64_t flags)
{
    bool folder = type == FILE_DIRECTORY;
    if (folder == !!(flags & UNLINK_DIRECTORY))
        return 0;
    return folder ? -E_IS_DIRECTORY : -E_NOT_DIRECTORY;
}

int64_t second_read(struct command *command, const char **text)
{
    static char buffer[PATH_LENGTH_MAX + 8];
    if (command->in_length == 0)
        return -E_NOT_FOUND;
    if (command->in_length > PATH_LENGTH_MAX)
        return -E_TOO_LONG;
    *text = buffer;
    return command_read_exactly(command, buffer, command->in_length);
}
