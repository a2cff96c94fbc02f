/* A command that came whole with what it brings, as lib/sys/service.h has it for handlers. */
#pragma once

#include <string.h>

#include "lib/sys/service.h"

int64_t command_read_exactly(const struct command *command, void *buffer, size_t length)
{
    if (command->in_length != length)
        return -E_INVALID;
    memcpy(buffer, command->data, length);
    return 0;
}

int64_t command_answer_handle(struct command *command, int64_t handle)
{
    (void)command;
    return handle < 0 ? handle : 0;
}
