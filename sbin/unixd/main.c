/* unixd: unix://, the names under which listeners are found (abi/unix.h).
 *
 * It gives out copies of handles and is asked nothing more: who opens a name connects himself, so each end of a stream
 * knows the other's process, and no byte passes here. A name is free again when its listener has gone, which a binding
 * tells; one thread serves. Who may name and find at all is a matter of namespaces.
 */
#include <stdio.h>
#include <string.h>

#include "lib/sys/error.h"
#include "lib/sys/service.h"
#include "lib/sys/startup.h"
#include "sbin/unixd/names.h"

#define GIVEN (RIGHT_SEND | RIGHT_WRITE | RIGHT_WAIT | RIGHT_DUPLICATE | RIGHT_TRANSFER)

static struct abi_stat stat_answer;

static bool is_root(const struct command *command)
{
    return command->path_length == 1 && command->path[0] == '/';
}

static struct name *find(const struct command *command)
{
    return name_find(command->path, command->path_length);
}

static int64_t unix_open(void *context, struct command *command)
{
    (void)context;
    const struct name *name = find(command);
    if (!name && !is_root(command))
        return -E_NOT_FOUND;
    if (command->message.args[0] & OPEN_DIRECTORY)
        return -E_NOT_DIRECTORY;
    if (!name) {
        command->reply.values[1] = HANDLE_FLAG_SEEKABLE;
        command->reply.values[2] = SIGNAL_READABLE;
        return 0;
    }
    if (name_state(name) != NAME_LISTENS)
        return -E_CLOSED;
    int64_t copy = sys_handle_duplicate(name_handle(name), GIVEN);
    if (copy < 0)
        return copy;
    command->reply.handles[0] = (handle_t)copy;
    command->reply.handle_count = 1;
    return 0;
}

/* Whether it can be given out: somebody connects or sends with it, and nothing else. */
static int64_t check(handle_t handle, uint64_t *object)
{
    struct abi_handle_info info;
    int64_t result = sys_handle_info(handle, &info);
    if (result < 0)
        return result;
    *object = info.id;
    bool connects = info.type == OBJECT_LISTENER && info.rights & RIGHT_SEND;
    bool sends = info.type == OBJECT_STREAM && info.rights & RIGHT_WRITE;
    if (!connects && !sends)
        return -E_INVALID;
    if (!(info.rights & RIGHT_DUPLICATE) || !(info.rights & RIGHT_WAIT))
        return -E_ACCESS;
    return 0;
}

static int64_t bind_name(void *context, struct command *command)
{
    const struct abi_message *message = &command->message;
    uint64_t object;
    (void)context;
    if (message->handle_count != 1 || (message->args[0] & ~(uint64_t)UNIX_RESERVE) ||
        !command->path_length || is_root(command))
        return -E_INVALID;
    if (command->path_length > UNIX_NAME_MAX)
        return -E_TOO_LONG;
    int64_t result = check(message->handles[0], &object);
    if (result < 0)
        return result;
    const struct name *name = find(command);
    if (name) /* sent again after our death? */
        return name->object == object && name->owner == message->caller ? 0 : -E_EXISTS;
    return name_add(command->path, command->path_length, message->caller,
                    message->args[0] & UNIX_RESERVE ? NAME_RESERVED : NAME_LISTENS,
                    message->handles[0]);
}

static int64_t listen_name(void *context, struct command *command)
{
    const struct abi_message *message = &command->message;
    uint64_t reserved, object;
    (void)context;
    if (message->handle_count != 2)
        return -E_INVALID;
    int64_t result = check(message->handles[0], &reserved);
    if (result >= 0)
        result = check(message->handles[1], &object);
    if (result < 0)
        return result;
    struct name *name = find(command);
    if (!name)
        return -E_NOT_FOUND;
    if (name_state(name) == NAME_LISTENS && name->object == object)
        return 0;
    if (name_state(name) != NAME_RESERVED || name->object != reserved)
        return -E_ACCESS;
    return name_replace(name, message->handles[1]);
}

static int64_t unix_unlink(void *context, struct command *command)
{
    (void)context;
    struct name *name = find(command);
    if (!name)
        return -E_NOT_FOUND;
    if (name->owner != command->message.caller)
        return -E_PERMISSION;
    name_remove(name);
    return 0;
}

static int64_t unix_stat(void *context, struct command *command)
{
    (void)context;
    const struct name *name = find(command);
    bool root = command->message.file || is_root(command);
    if (!name && !root)
        return -E_NOT_FOUND;
    stat_answer = (struct abi_stat){
        .inode = name ? name->object : 1,
        .type = name ? FILE_SOCKET : FILE_REGULAR,
        .mode = name ? 0666 : 0444,
        .links = 1,
        .block_size = PAGE_SIZE,
    };
    return command_answer(command, &stat_answer, sizeof(stat_answer));
}

/* One line for people: who has the name, and whether he listens. */
static size_t line_put(char *to, const struct name *name)
{
    int used = sprintf(to, "%8llu %-8s ", (unsigned long long)name->owner,
                       name_state(name) == NAME_LISTENS ? "listens" : "reserved");
    char *end = to + used;
    for (uint32_t i = 0; i < name->length; i++)
        *end++ = name->bytes[i] > ' ' && name->bytes[i] < 0x7f ? name->bytes[i] : '?';
    *end++ = '\n';
    return (size_t)(end - to);
}

/* unix:/// is the list of all names. */
static int64_t unix_read(void *context, struct command *command)
{
    static char text[16384];
    char line[UNIX_NAME_MAX + 64];
    uint64_t slot = 0, skip = command->message.args[0];
    size_t used = 0, room = MIN(command->message.out_length, sizeof(text));
    const struct name *name;
    (void)context;
    while (used < room && (name = name_next(&slot))) {
        size_t length = line_put(line, name);
        size_t from = MIN(skip, length), part = MIN(length - from, room - used);
        memcpy(text + used, line + from, part);
        used += part;
        skip -= from;
    }
    command->reply.data = (uintptr_t)text;
    command->reply.data_length = used;
    command->reply.values[0] = used;
    return 0;
}

static void unix_notified(void *context, uint64_t key, uint64_t signals)
{
    (void)context;
    (void)signals;
    name_gone(key);
}

static command_handler *const operations[SERVICE_OPERATIONS] = {
    [OP_OPEN] = unix_open,
    [OP_STAT] = unix_stat,
    [OP_READ] = unix_read,
    [OP_UNLINK] = unix_unlink,
    [SERVICE_INDEX(UNIX_BIND)] = bind_name,
    [SERVICE_INDEX(UNIX_LISTEN)] = listen_name,
};

int main(void)
{
    struct service service = {
        .port = startup_require("port:unix"),
        .operations = operations,
        .notified = unix_notified,
    };
    int64_t result = names_open(service.port);
    if (result < 0) {
        fprintf(stderr, "cannot keep names: %s\n", error_text(result));
        return 1;
    }
    fprintf(stderr, "cannot serve: %s\n", error_text(service_run(&service, 1)));
    return 1;
}
