/* Records of held commands. */
#include "sbin/outputd/held.h"

#include <stdlib.h>

struct held *held_add(struct list *list, const struct command *command)
{
    struct held *held = calloc(1, sizeof(*held));
    if (!held)
        return NULL;
    held->token = command->message.token;
    held->caller = command->message.caller;
    held->port = command->port;
    held->deadline = DEADLINE_NEVER;
    held->in_offset = command->path_length;
    list_append(list, &held->link);
    return held;
}

void held_return(struct held *held, int64_t status, uint64_t value, const void *data, size_t length)
{
    struct abi_return reply = {
        .values = {value}, .data = (uintptr_t)data, .data_length = data ? length : 0};
    list_remove(&held->link);
    command_return(held->port, held->token, status, &reply);
    free(held);
}

struct held *held_find(struct list *list, uint64_t token)
{
    list_for_each (struct held, held, list, link)
        if (held->token == token)
            return held;
    return NULL;
}
