/* proto_return_accept with structures, over the call with registers. */
#include "lib/sys/syscall.h"

static void message_fill(struct abi_message *message, const struct short_message *from,
                         uint64_t size)
{
    uint64_t in_length = (uint32_t)from->lengths;

    message->token = from->token;
    message->kind = from->result & 0xff;
    message->op = (uint32_t)from->op_flags;
    message->cookie = from->cookie;
    message->file = from->file;
    for (int i = 0; i < 4; i++)
        message->args[i] = from->args[i];
    message->deadline = DEADLINE_NEVER;
    message->flags = (uint32_t)(from->op_flags >> 32);
    message->priority = (uint32_t)(from->result >> 8);
    message->caller = from->caller;
    message->trace = from->trace;
    message->in_length = in_length;
    message->out_length = from->lengths >> 32;
    message->path_length = 0;
    message->data_length = (uint32_t)MIN(in_length, size);
    message->handle_count = 0;
}

/* What the registers have no room for: handles, or more than 4 GiB of data. */
static bool fits(const struct abi_return *result)
{
    return !result->handle_count && result->data_length == (uint32_t)result->data_length &&
           result->status == (int32_t)result->status;
}

int64_t sys_proto_return_accept(handle_t port, struct abi_return *result,
                                struct abi_message *message, void *buffer, uint64_t size,
                                int64_t deadline)
{
    struct short_return completed = {0};

    if (likely(result && fits(result))) {
        completed = (struct short_return){
            .token = result->token,
            .status = (int32_t)result->status,
            .data_length = (uint32_t)result->data_length,
            .values = {result->values[0], result->values[1], result->values[2]},
            .data = (const void *)(uintptr_t)result->data,
        };
    } else if (result) {
        int64_t error = sys_proto_return(port, result);

        if (error && error != -E_CANCELLED)
            return error;
    }

    struct short_message got =
        sys_proto_return_accept_short(port, completed, message, buffer, size, deadline);

    if (got.result <= 0)
        return got.result;
    message_fill(message, &got, size);
    return 0;
}
