/* The relay's calls for programs of fake_cpus.h, as lib/sys has them for real ones. */
#pragma once

#include "abi/errors.h"
#include "abi/ops.h"
#include "tests/host/fake_cpus.h"

/* The port is listed as "test"; its number in the caller's table. */
static inline int64_t user_protocol(void)
{
    return user_call(CALL_proto_create, (uint64_t)HANDLE_SELF, USER("test"), 4, 0, 0);
}

static inline int64_t user_open(uint32_t flags)
{
    struct abi_open open = {.uri = USER("test://x"), .uri_length = 8, .flags = flags};

    return user_call(CALL_open, (uint64_t)HANDLE_SELF, USER(&open), 0, 0, 0);
}

static inline int64_t user_file_call(int64_t file, struct abi_command *command)
{
    return user_call(CALL_file_call, (uint64_t)file, USER(command), 0, 0, 0);
}

static inline int64_t user_path_call(const struct abi_command *command, uint64_t values[3])
{
    struct abi_path_call call = {.uri = USER("test://x"), .uri_length = 8, .command = *command};
    int64_t status = user_call(CALL_path_call, (uint64_t)HANDLE_SELF, USER(&call), 0, 0, 0);

    for (int i = 0; i < 3; i++)
        values[i] = call.command.values[i];
    return status;
}

static inline void user_close(int64_t handle)
{
    user_call(CALL_handle_close, (uint64_t)handle, 0, 0, 0, 0);
}

/* flags with COMMAND_IN or COMMAND_OUT: args[2] and args[3] are the window. handle may be NULL. */
static inline int64_t user_file_call_short(int64_t file, uint32_t op, uint32_t flags,
                                           const uint64_t args[4], uint64_t values[3],
                                           handle_t *handle)
{
    struct register_frame registers = {
        .rdi = (uint64_t)file,
        .rsi = op | (uint64_t)flags << 32,
        .rdx = args[0],
        .r10 = args[1],
        .r8 = args[2],
        .r9 = args[3],
    };

    user_short(SYSCALL_FILE_CALL_SHORT, &registers);
    values[0] = registers.rdx;
    values[1] = registers.r10;
    values[2] = registers.r8;
    if (handle)
        *handle = (handle_t)registers.r9;
    return (int64_t)registers.rax;
}

static inline int64_t user_accept(int64_t port, struct abi_message *message, void *buffer,
                                  uint64_t size, int64_t deadline)
{
    return user_call(CALL_proto_accept, (uint64_t)port, USER(message), USER(buffer), size,
                     (uint64_t)deadline);
}

static inline int64_t user_complete(int64_t port, const struct abi_return *result)
{
    return user_call(CALL_proto_return, (uint64_t)port, USER(result), 0, 0, 0);
}

/* *message is filled in either way. 1: it came in registers; 0: it came in memory; or -E_*. */
static inline int64_t user_return_accept(int64_t port, const struct abi_return *result,
                                         struct abi_message *message, void *buffer, uint64_t size,
                                         int64_t deadline)
{
    struct register_frame registers = {
        .rdi = (uint64_t)port,
        .rsi = result->token,
        .rdx = (uint32_t)result->status | result->data_length << 32,
        .r10 = result->values[0],
        .r8 = result->values[1],
        .r9 = result->data,
        .rbx = result->values[2],
        .r12 = USER(buffer),
        .r13 = size,
        .r14 = (uint64_t)deadline,
        .r15 = USER(message),
    };

    user_short(SYSCALL_PROTO_RETURN_ACCEPT, &registers);
    if ((int64_t)registers.rax <= 0)
        return (int64_t)registers.rax;
    *message = (struct abi_message){
        .token = registers.rdi,
        .kind = (uint32_t)registers.rax & 0xff,
        .op = (uint32_t)registers.rdx,
        .flags = (uint32_t)(registers.rdx >> 32),
        .cookie = registers.rsi,
        .args = {registers.r10, registers.r8, registers.r14, registers.r15},
        .caller = registers.r9,
        .file = registers.rbx,
        .in_length = (uint32_t)registers.r12,
        .out_length = registers.r12 >> 32,
        .trace = registers.r13,
        .priority = (uint8_t)(registers.rax >> 8),
        .path_length = (uint32_t)(registers.rax >> 32),
        .deadline = DEADLINE_NEVER,
    };
    message->data_length = (uint32_t)(message->in_length < size ? message->in_length : size);
    return 1;
}
