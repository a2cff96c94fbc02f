/* Files and paths over the relay's commands. */
#include "lib/sys/file.h"

#include "lib/sys/map.h"

#include <stdlib.h>
#include <string.h>

int64_t file_open(handle_t namespace, const char *uri, uint32_t flags, handle_t *file)
{
    char links[2][PATH_LENGTH_MAX];
    size_t length = strlen(uri);
    for (int depth = 0; depth < FILE_LINKS_MAX; depth++) {
        char *link = links[depth & 1];
        struct abi_open open = {
            .uri = (uintptr_t)uri,
            .uri_length = length,
            .flags = flags,
            .link = (uintptr_t)link,
            .link_length = PATH_LENGTH_MAX,
        };
        int64_t result;
        do
            result = sys_open(namespace, &open);
        while (result == -E_INTERRUPTED);
        if (result != -E_LINK) {
            *file = result < 0 ? HANDLE_NONE : (handle_t)result;
            return result < 0 ? result : 0;
        }
        uri = link;
        length = MIN(open.link_length, PATH_LENGTH_MAX);
    }
    return -E_LOOP;
}

int64_t file_command(handle_t file, struct abi_command *command)
{
    int64_t result;
    command->flags |= COMMAND_RESTARTABLE;
    do
        result = sys_file_call(file, command);
    while (result == -E_INTERRUPTED);
    return result;
}

int64_t path_command(handle_t namespace, const char *uri, struct abi_command *command)
{
    struct abi_path_call call = {
        .uri = (uintptr_t)uri,
        .uri_length = strlen(uri),
        .command = *command,
    };
    int64_t result;
    call.command.flags |= COMMAND_RESTARTABLE;
    do
        result = sys_path_call(namespace, &call);
    while (result == -E_INTERRUPTED);
    *command = call.command;
    return result;
}

int64_t file_stat(handle_t file, struct abi_stat *stat)
{
    struct abi_command command = {
        .op = OP_STAT, .out = (uintptr_t)stat, .out_length = sizeof(*stat)};
    return file_command(file, &command);
}

int64_t file_read(handle_t file, uint64_t offset, void *buffer, size_t length)
{
    size_t done = 0;
    while (done < length) {
        struct abi_command command = {
            .op = OP_READ,
            .args = {offset + done},
            .out = (uintptr_t)buffer + done,
            .out_length = length - done,
        };
        int64_t result = file_command(file, &command);
        if (result < 0)
            return result;
        if (command.values[0] == 0)
            break;
        if (command.values[0] > length - done)
            return -E_IO;
        done += command.values[0];
    }
    return (int64_t)done;
}

int64_t file_write(handle_t file, uint64_t offset, const void *buffer, size_t length)
{
    size_t done = 0;
    while (done < length) {
        struct abi_command command = {
            .op = OP_WRITE,
            .args = {offset + done},
            .in = (uintptr_t)buffer + done,
            .in_length = length - done,
        };
        int64_t result = file_command(file, &command);
        if (result < 0)
            return result;
        if (command.values[0] == 0 || command.values[0] > length - done)
            return -E_IO;
        done += command.values[0];
    }
    return (int64_t)done;
}

/* New memory with a copy of the file. */
static int64_t file_copy(handle_t file, uint64_t size, handle_t *memory)
{
    uint64_t length = size ? ALIGN_UP(size, PAGE_SIZE) : PAGE_SIZE;
    int64_t result = sys_memory_create(length, 0);
    if (result < 0)
        return result;
    *memory = (handle_t)result;
    result = memory_map(*memory, 0, length, PROT_READ_ | PROT_WRITE_);
    if (result >= 0) {
        uint64_t address = (uint64_t)result;
        result = file_read(file, 0, (void *)address, size);
        if (result >= 0)
            result = (uint64_t)result == size ? 0 : -E_IO;
        sys_ignore(sys_space_unmap(HANDLE_SELF, address, length));
    }
    if (result < 0)
        handle_drop(*memory);
    return result;
}

int64_t file_memory(handle_t file, handle_t *memory, uint64_t *offset, uint64_t *size)
{
    struct abi_stat stat;
    int64_t result = file_stat(file, &stat);
    if (result < 0)
        return result;
    if (stat.type == FILE_DIRECTORY)
        return -E_IS_DIRECTORY;
    struct abi_command command = {.op = OP_MAP, .args = {0, stat.size, PROT_READ_ | PROT_EXECUTE_}};
    result = file_command(file, &command);
    *size = stat.size;
    if (result == -E_NOT_SUPPORTED || result == -E_NO_CALL) {
        *offset = 0;
        return file_copy(file, stat.size, memory);
    }
    if (result < 0)
        return result;
    for (uint32_t i = 1; i < command.receive_count; i++)
        handle_drop(command.receive[i]);
    if (command.receive_count == 0)
        return -E_IO;
    *memory = command.receive[0];
    *offset = command.values[0];
    return 0;
}

int64_t file_map(handle_t namespace, const char *uri, const void **bytes, uint64_t *size)
{
    handle_t file, memory;
    uint64_t offset;
    int64_t result = file_open(namespace, uri, OPEN_READ, &file);
    if (result < 0)
        return result;
    result = file_memory(file, &memory, &offset, size);
    handle_drop(file);
    if (result < 0)
        return result;
    result = *size ? memory_map(memory, offset, *size, PROT_READ_) : -E_BAD_FORMAT;
    handle_drop(memory);
    if (result < 0)
        return result;
    *bytes = (const void *)(uintptr_t)result;
    return 0;
}

int64_t file_load(handle_t namespace, const char *uri, size_t limit, char **text, size_t *length)
{
    handle_t file;
    struct abi_stat stat;
    int64_t result = file_open(namespace, uri, OPEN_READ, &file);
    if (result < 0)
        return result;
    *text = NULL;
    result = file_stat(file, &stat);
    if (result >= 0 && stat.size > limit)
        result = -E_TOO_BIG;
    if (result >= 0) {
        *text = malloc(stat.size + 1);
        result = *text ? file_read(file, 0, *text, stat.size) : -E_NO_MEMORY;
    }
    handle_drop(file);
    if (result < 0) {
        free(*text);
        *text = NULL;
        return result;
    }
    (*text)[result] = '\0';
    *length = (size_t)result;
    return 0;
}
