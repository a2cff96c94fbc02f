/* The loop of a service: accept, look the operation up, call its handler, return and accept the next.
 *
 *     static int64_t read(void *context, struct command *command)
 *     {
 *         command->reply.data = (uintptr_t)bytes;            -- copied into the caller's window on return
 *         command->reply.data_length = MIN(count, command->message.out_length);
 *         command->reply.values[0] = command->reply.data_length;
 *         return 0;                                          -- or -E_*, or COMMAND_HELD
 *     }
 *     static command_handler *const operations[SERVICE_OPERATIONS] = {[SERVICE_INDEX(OP_READ)] = read};
 *     struct service service = {.port = port, .operations = operations};
 *     service_run(&service, 2);
 *
 * A handler that cannot answer yet notes command->message.token, returns COMMAND_HELD, and answers later, from
 * any thread, with command_return(). Whoever holds commands must give `cancelled`, which returns the command at
 * once with what was done (E_CANCELLED or E_INTERRUPTED when nothing was). The loop of one thread never runs
 * two handlers at once; with several threads handlers lock what they share.
 *
 * Handles that came with a command are closed after the handler unless it took them (set to HANDLE_NONE).
 * Operations without a handler answer E_NO_CALL, OP_CONTROL E_NOT_TERMINAL.
 */
#pragma once

#include "abi/ops.h"
#include "lib/sys/syscall.h"

struct command {
    struct abi_message message;
    const char *path; /* of an OPEN or path call: what stands behind "scheme://", not terminated */
    size_t path_length;
    const uint8_t *data; /* the caller's bytes behind the path, as far as they came along */
    size_t data_length;
    uint64_t in_length; /* all of them; what did not come along is fetched by command_read */
    struct abi_return reply;
    handle_t port;
};

#define COMMAND_HELD INT64_C(1) /* a handler's result: answered later */

typedef int64_t command_handler(void *context, struct command *command);

/* The shared operations have numbers below SERVICE_COMMON, a protocol's own start at OP_PROTOCOL and OP_PROTOCOL_REPLAY. */
#define SERVICE_COMMON     32
#define SERVICE_REPLAY     64
#define SERVICE_OPERATIONS 80
#define SERVICE_INDEX(op)                                                                  \
    ((int)(op) < (int)OP_PROTOCOL          ? (int)(op)                                     \
     : (int)(op) < (int)OP_PROTOCOL_REPLAY ? SERVICE_COMMON + (int)(op) - (int)OP_PROTOCOL \
                                           : SERVICE_REPLAY + (int)(op) - (int)OP_PROTOCOL_REPLAY)

struct service {
    handle_t port;
    void *context;
    command_handler *const *operations; /* SERVICE_OPERATIONS of them, by SERVICE_INDEX */
    void (*notified)(void *context, uint64_t key, uint64_t signals);
    void (*cancelled)(void *context, uint64_t token);
    void (*closed)(void *context, uint64_t cookie);
    int64_t (*deadline)(void *context); /* when `expired` is due; DEADLINE_NEVER: not */
    void (*expired)(void *context);
    void (*stopping)(
        void *context); /* the system stops: the process exits when this has returned */
    size_t buffer_size; /* for what comes along with a command; 0: 64 KiB */
};

/* Serves with this many threads, the caller among them. Returns only when the port fails: -E_*. */
int64_t service_run(struct service *service, unsigned threads);

/* Copies [offset, offset + length) of the caller's bytes (behind the path); the count. */
MUST_CHECK int64_t command_read(const struct command *command, uint64_t offset, void *buffer,
                                size_t length);

/* All of the caller's bytes, which must be exactly length: else E_INVALID. */
MUST_CHECK int64_t command_read_exactly(const struct command *command, void *buffer, size_t length);

/* The path without the slashes around it; its length. */
size_t command_name(const struct command *command, const char **name);
bool command_names(const struct command *command, const char *name);

/* Answers with a handle, which is the caller's from then on; or passes on the error in its place. */
int64_t command_answer_handle(struct command *command, int64_t handle);

/* Answers with a copy of this structure; E_INVALID where the caller's window is too small. The structure
 * must live until the handler has returned (static, or in the context). */
static inline int64_t command_answer(struct command *command, const void *structure, size_t length)
{
    if (command->message.out_length < length)
        return -E_INVALID;
    command->reply.data = (uintptr_t)structure;
    command->reply.data_length = length;
    return 0;
}

/* Answers a READ of a file that holds these bytes: as many as the caller asks for from args[0] on, none behind
 * the end. They must live as long as command_answer's structure. */
int64_t command_answer_part(struct command *command, const void *bytes, size_t length);

/* Completes a held command. reply->token is set from token. A caller that is gone is no error. */
void command_return(handle_t port, uint64_t token, int64_t status, struct abi_return *reply);

/* Completes a held command with a status and one value. */
void command_return_value(handle_t port, uint64_t token, int64_t status, uint64_t value);
