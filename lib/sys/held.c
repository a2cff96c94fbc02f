#include "lib/sys/held.h"

#include <stdlib.h>

struct held *held_add(struct list *list, const struct command *command, size_t more)
{
    struct held *held = calloc(1, sizeof(*held) + more);
    if (!held)
        return NULL;
    held->token = command->message.token;
    held->caller = command->message.caller;
    held->cookie = command->message.cookie;
    held->port = command->port;
    held->length = command->message.out_length;
    held->in_offset = command->path_length;
    held->deadline = DEADLINE_NEVER;
    list_append(list, &held->link);
    return held;
}

void held_drop(struct held *held)
{
    list_remove(&held->link);
    free(held);
}

void held_reply(struct held *held, int64_t status, struct abi_return *reply)
{
    command_return(held->port, held->token, status, reply);
    held_drop(held);
}

void held_return(struct held *held, int64_t status, uint64_t value, const void *data, size_t length)
{
    struct abi_return reply = {
        .values = {value}, .data = (uintptr_t)data, .data_length = data ? length : 0};
    held_reply(held, status, &reply);
}

struct held *held_find(struct list *list, uint64_t token)
{
    list_for_each (struct held, held, list, link)
        if (held->token == token)
            return held;
    return NULL;
}

void held_forget(struct list *list, uint64_t cookie)
{
    list_for_each (struct held, held, list, link)
        if (held->cookie == cookie)
            held_drop(held);
}
