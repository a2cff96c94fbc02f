/* For tests of the relay: one command on a path, from a thread of its own (helper_thread(call_it, &caller)). */
#pragma once

#include "tests/guest/protocol.h"

struct caller {
    struct protocol *protocol;
    struct abi_command command;
    int64_t result, took;
    uint32_t started;
};

static inline struct caller caller_new(struct protocol *protocol, uint32_t op)
{
    return (struct caller){.protocol = protocol, .command = command_of(op)};
}

static inline void call_it(void *argument)
{
    struct caller *caller = argument;
    int64_t start = now();

    word_set(&caller->started, 1);
    caller->result = path_op(caller->protocol->names, "test://", &caller->command);
    caller->took = now() - start;
}
