/* proto_return_accept with structures, over the call with registers. */
#include "lib/sys/syscall.h"

int64_t sys_proto_return_accept(handle_t port, struct abi_return *result,
                                struct abi_message *message, void *buffer, uint64_t size,
                                int64_t deadline)
{
    struct short_return completed = {0};

    if (likely(result && short_return_fits(result))) {
        completed = short_return_from(result);
    } else if (result) {
        int64_t error = sys_proto_return(port, result);

        if (error && error != -E_CANCELLED)
            return error;
    }

    struct short_message got =
        sys_proto_return_accept_short(port, completed, message, buffer, size, deadline);

    if (got.result <= 0)
        return got.result;
    short_message_fill(message, &got, size);
    return 0;
}
