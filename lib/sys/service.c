/* The accept loop. One command is in a thread's hands at a time; its result and the wait for the next one
 * are a single system call. */
#include "lib/sys/service.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/startup.h"
#include "lib/sys/error.h"

#define BUFFER_SIZE 65536u

static int64_t missing_operation(const struct command *command)
{
    return command->message.op == OP_CONTROL ? -E_NOT_TERMINAL : -E_NO_CALL;
}

static command_handler *operation_find(const struct service *service, uint32_t op)
{
    uint32_t index = op, end = SERVICE_COMMON;
    if (op >= OP_PROTOCOL_REPLAY) {
        index = op - OP_PROTOCOL_REPLAY + SERVICE_REPLAY;
        end = SERVICE_OPERATIONS;
    } else if (op >= OP_PROTOCOL) {
        index = op - OP_PROTOCOL + SERVICE_COMMON;
        end = SERVICE_REPLAY;
    }
    return index < end ? service->operations[index] : NULL;
}

/* Whether there is something to return: command->reply. */
static bool command_serve(struct service *service, struct command *command, const uint8_t *buffer)
{
    struct abi_message *message = &command->message;
    size_t path_length = MIN(message->path_length, message->data_length);
    command->path = (const char *)buffer;
    command->path_length = path_length;
    command->data = buffer + path_length;
    command->data_length = message->data_length - path_length;
    command->in_length = message->in_length - path_length;
    command->reply.token = message->token;
    command->reply.values[0] = command->reply.values[1] = command->reply.values[2] = 0;
    command->reply.data = command->reply.data_length = 0;
    command->reply.handle_count = 0;
    command_handler *handler = operation_find(service, message->op);
    int64_t status = handler ? handler(service->context, command) : missing_operation(command);
    for (uint32_t i = 0; i < message->handle_count && i < COMMAND_HANDLES; i++)
        handle_drop(message->handles[i]);
    if (status == COMMAND_HELD)
        return false;
    command->reply.status = status;
    if (message->op == OP_OPEN && !service->closed)
        command->reply.values[1] |= HANDLE_FLAG_SILENT;
    return true;
}

static void notification_serve(struct service *service, const struct abi_message *message)
{
    if (message->args[0] & PORT_STOP) {
        if (service->stopping)
            service->stopping(service->context);
        exit(0);
    }
    if (service->notified)
        service->notified(service->context, message->cookie, message->args[0]);
}

/* Whether there is something to return. */
static bool message_serve(struct service *service, struct command *command, const uint8_t *buffer)
{
    struct abi_message *message = &command->message;
    switch ((enum message_kind)message->kind) {
    case MESSAGE_COMMAND:
        return command_serve(service, command, buffer);
    case MESSAGE_NOTIFY:
        notification_serve(service, message);
        return false;
    case MESSAGE_CANCEL:
        if (service->cancelled)
            service->cancelled(service->context, message->token);
        return false;
    case MESSAGE_CLOSE:
        if (service->closed)
            service->closed(service->context, message->cookie);
        return false;
    }
    return false;
}

/* A reply that carries a handle or a cookie: when its caller has left meanwhile, they are still ours. */
static bool reply_owns(const struct service *service, const struct command *command)
{
    bool cookie = command->message.op == OP_OPEN && service->closed && command->reply.values[0] &&
                  !(command->reply.values[1] & HANDLE_FLAG_SILENT);
    return command->reply.handle_count || (cookie && command->reply.status == 0);
}

static void reply_return(struct service *service, struct command *command)
{
    struct abi_return *reply = &command->reply;
    int64_t result = sys_proto_return(service->port, reply);
    if (result >= 0)
        return;
    for (uint32_t i = 0; i < reply->handle_count; i++)
        handle_drop(reply->handles[i]);
    if (command->message.op == OP_OPEN && service->closed && reply->status == 0 &&
        !reply->handle_count)
        service->closed(service->context, reply->values[0]);
    if (result !=
        -E_CANCELLED) /* the reply itself was refused: the caller must not wait for ever */
        command_return_value(service->port, reply->token, result, 0);
}

/* The reply on its way: what registers carry goes with the next accept; the rest now, by itself. */
static struct short_return reply_begin(struct service *service, struct command *command)
{
    if (likely(short_return_fits(&command->reply) && !reply_owns(service, command)))
        return short_return_from(&command->reply);
    reply_return(service, command);
    return (struct short_return){0};
}

static int64_t service_loop(struct service *service)
{
    size_t size = service->buffer_size ? service->buffer_size : BUFFER_SIZE;
    uint8_t *buffer = malloc(size);
    struct command *command = calloc(1, sizeof(*command));
    int64_t result = -E_NO_MEMORY;
    struct short_return reply = {0};
    if (!buffer || !command)
        goto out;
    command->port = service->port;
    for (;;) {
        int64_t deadline = service->deadline ? service->deadline(service->context) : DEADLINE_NEVER;
        struct short_message got = sys_proto_return_accept_short(
            service->port, reply, &command->message, buffer, size, deadline);
        reply.token = 0;
        result = got.result;
        if (likely(result > 0))
            short_message_fill(&command->message, &got, size);
        if (likely(result >= 0)) {
            if (message_serve(service, command, buffer))
                reply = reply_begin(service, command);
        } else if ((result == -E_TIMED_OUT || result == -E_AGAIN) && service->expired)
            service->expired(service->context);
        else if (result != -E_INTERRUPTED)
            break;
    }
out:
    free(command);
    free(buffer);
    return result;
}

static void *service_thread(void *argument)
{
    int64_t result = service_loop(argument);
    fprintf(stderr, "cannot accept: %s\n", error_text(result));
    return NULL;
}

int64_t service_run(struct service *service, unsigned threads)
{
    for (unsigned i = 1; i < threads; i++) {
        pthread_t thread;
        int error = pthread_create(&thread, NULL, service_thread, service);
        if (error) {
            fprintf(stderr, "serves with %u threads instead of %u: %s\n", i, threads,
                    strerror(error));
            break;
        }
        pthread_detach(thread);
    }
    return service_loop(service);
}

int64_t command_read(const struct command *command, uint64_t offset, void *buffer, size_t length)
{
    if (offset >= command->in_length)
        return 0;
    length = MIN(length, command->in_length - offset);
    if (offset + length <= command->data_length) {
        memcpy(buffer, command->data + offset, length);
        return (int64_t)length;
    }
    return sys_cmd_read(command->port, command->message.token, offset + command->path_length,
                        buffer, length);
}

int64_t command_read_exactly(const struct command *command, void *buffer, size_t length)
{
    if (command->in_length != length)
        return -E_INVALID;
    int64_t result = command_read(command, 0, buffer, length);
    if (result < 0)
        return result;
    return (size_t)result == length ? 0 : -E_FAULT;
}

size_t command_name(const struct command *command, const char **name)
{
    size_t start = 0, end = command->path_length;
    while (start < end && command->path[start] == '/')
        start++;
    while (end > start && command->path[end - 1] == '/')
        end--;
    *name = command->path + start;
    return end - start;
}

bool command_names(const struct command *command, const char *name)
{
    const char *path;
    size_t length = command_name(command, &path);
    return length == strlen(name) && memcmp(path, name, length) == 0;
}

int64_t command_answer_handle(struct command *command, int64_t handle)
{
    if (handle < 0)
        return handle;
    command->reply.handles[0] = (handle_t)handle;
    command->reply.handle_count = 1;
    return 0;
}

int64_t command_answer_part(struct command *command, const void *bytes, size_t length)
{
    uint64_t offset = command->message.args[0];
    if (offset >= length)
        return 0;
    command->reply.data = (uintptr_t)bytes + offset;
    command->reply.data_length = MIN(length - offset, command->message.out_length);
    command->reply.values[0] = command->reply.data_length;
    return 0;
}

void command_return(handle_t port, uint64_t token, int64_t status, struct abi_return *reply)
{
    reply->token = token;
    reply->status = status;
    sys_ignore(sys_proto_return(port, reply));
}

void command_return_value(handle_t port, uint64_t token, int64_t status, uint64_t value)
{
    struct abi_return reply = {.values = {value}};
    command_return(port, token, status, &reply);
}
