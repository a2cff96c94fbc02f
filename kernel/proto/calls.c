/* open, path_call, file_call and the rest a client says to a service. */
#include "abi/errors.h"
#include "abi/ops.h"
#include "kernel/handle.h"
#include "kernel/proto/file.h"
#include "kernel/proto/namespace.h"
#include "kernel/sched/wait.h"
#include "kernel/syscall.h"
#include "kernel/types.h"
#include "kernel/vmm/heap.h"

#define TARGET_ROOM   256u
#define READY_SIGNALS 0x1fu

/* A URI in kernel memory and the protocol it names. */
struct target {
    char *uri; /* room, or on the heap */
    struct port *port;
    const char *path;
    size_t path_length;
    char room[TARGET_ROOM];
};

static void target_free(struct target *target)
{
    if (unlikely(target->uri != target->room))
        heap_free(target->uri);
}

static int target_get(struct target *target, struct object *names, uint64_t uri, uint64_t length)
{
    if (length > PATH_LENGTH_MAX)
        return -E_TOO_LONG;
    target->uri = likely(length <= TARGET_ROOM) ? target->room : heap_alloc(length);
    if (!target->uri)
        return -E_NO_MEMORY;

    int error = user_copy_in(target->uri, UADDR(uri), length);

    if (!error)
        error = namespace_resolve(container_of(names, struct namespace, object), target->uri,
                                  length, &target->port, &target->path, &target->path_length);
    if (error)
        target_free(target);
    return error;
}

static void target_put(struct target *target)
{
    object_put(&target->port->object);
    target_free(target);
}

/* --- open ------------------------------------------------------------------------------------------------- */

int64_t sys_open(struct object *names, uaddr_t argument)
{
    struct abi_open open;
    struct target target;
    struct request request;
    struct completion completion;
    struct file *file;
    int64_t error = user_copy_in(&open, argument, sizeof(open));

    if (!error)
        error = target_get(&target, names, open.uri, open.uri_length);
    if (error)
        return error;
    error = file_new(target.port, target.path, (uint32_t)target.path_length, open.flags, open.mode,
                     &file);
    if (error) {
        target_put(&target);
        return error;
    }
    request_empty(&request);
    request.op = OP_OPEN;
    request.flags = open.flags & OPEN_NONBLOCK ? COMMAND_NONBLOCK : 0;
    request.args[0] = open.flags;
    request.args[1] = open.mode;
    request.args[2] = request.args[3] = 0;
    request.deadline = wait_deadline_or_never(open.deadline);
    request.in = UADDR(0);
    request.out = UADDR(open.link);
    request.out_length = open.link_length;
    request.path = target.path;
    request.path_length = (uint32_t)target.path_length;
    error = command_call(&request, target.port, file, &completion);
    if (error == -E_LINK) {
        open.link_length = MIN(completion.values[0], open.link_length);
        int fault = user_copy_out(argument, &open, sizeof(open));
        if (fault)
            error = fault;
    }
    target_free(&target);
    return file_open_end(file, &completion, error);
}

/* --- Commands --------------------------------------------------------------------------------------------- */

static int request_make(struct request *request, const struct abi_command *command)
{
    if (op_of_kernel(command->op) || command->send_count > COMMAND_HANDLES)
        return -E_INVALID;
    if ((command->in_length && !user_range_ok(UADDR(command->in), command->in_length)) ||
        (command->out_length && !user_range_ok(UADDR(command->out), command->out_length)))
        return -E_FAULT;
    request_empty(request);
    request->op = command->op;
    request->flags = command->flags & (COMMAND_POSITION | COMMAND_NONBLOCK | COMMAND_RESTARTABLE);
    __builtin_memcpy(request->args, command->args, sizeof(request->args));
    request->deadline = wait_deadline_or_never(command->deadline);
    request->in = UADDR(command->in);
    request->out = UADDR(command->out);
    request->in_length = command->in_length;
    request->out_length = command->out_length;
    if (likely(!command->send_count))
        return 0;

    int error = transfer_take(process_current()->handles, command->send, command->send_count,
                              request->send);

    if (!error) {
        request->send_count = command->send_count;
        thread_current()->sending = request;
    }
    return error;
}

/* The completion into the caller's structure; its handles into its table. */
static int64_t answer(uaddr_t to, struct abi_command *command, struct completion *completion,
                      int64_t status)
{
    if (status && status != -E_LINK)
        return status;
    command->receive_count = 0;
    __builtin_memcpy(command->values, completion->values, sizeof(command->values));
    if (!status && completion->receive_count) {
        int error = transfer_install(process_current()->handles, completion->receive,
                                     completion->receive_count, command->receive);

        if (error) {
            transfer_drop(completion->receive, completion->receive_count);
            return error;
        }
        command->receive_count = completion->receive_count;
    }

    int error = user_copy_out(UADDR(to.value + offsetof(struct abi_command, receive_count)),
                              &command->receive_count,
                              sizeof(*command) - offsetof(struct abi_command, receive_count));

    return error ? error : status;
}

int64_t sys_path_call(struct object *names, uaddr_t argument)
{
    struct abi_path_call call;
    struct target target;
    struct request request;
    struct completion completion = {0};
    int64_t status = user_copy_in(&call, argument, sizeof(call));

    if (!status)
        status = target_get(&target, names, call.uri, call.uri_length);
    if (status)
        return status;
    status = request_make(&request, &call.command);
    if (!status) {
        request.flags &= ~COMMAND_POSITION;
        request.path = target.path;
        request.path_length = (uint32_t)target.path_length;
        status = command_call(&request, target.port, NULL, &completion);
        status = answer(UADDR(argument.value + offsetof(struct abi_path_call, command)),
                        &call.command, &completion, status);
    }
    target_put(&target);
    return status;
}

static int64_t file_call(struct object *object, uaddr_t argument)
{
    struct file *file = container_of(object, struct file, object);
    struct abi_command command;
    struct request request;
    struct completion completion = {0};
    int64_t status = user_copy_in(&command, argument, sizeof(command));

    if (status)
        return status;

    uint32_t rights = op_rights(command.op);

    if ((thread_current()->call_rights & rights) != rights)
        return op_refused(command.op);
    status = request_make(&request, &command);
    if (status)
        return status;

    request.flags |= file_call_flags(file);

    bool positioned = file_positioned(file, &request);

    if (positioned) {
        status = file_hold(file);
        if (status) {
            thread_current()->sending = NULL;
            transfer_drop(request.send, request.send_count);
            return status;
        }
        request.args[0] = file->position;
    }
    status = command_call(&request, file->port, file, &completion);
    if (positioned)
        file_position_done(file, &request, status, completion.values[0], completion.values[1]);
    return answer(argument, &command, &completion, status);
}

/* The service hears of the last close only when no call is under way. */
int64_t sys_file_call(struct object *object, uaddr_t argument)
{
    if (!object_hold_open(object))
        return -E_BAD_HANDLE; /* closed since it was looked up */

    int64_t status = file_call(object, argument);

    object_release_leaf(object);
    return status;
}

int64_t sys_file_seek(struct object *object, int64_t offset, uint32_t whence)
{
    struct file *file = container_of(object, struct file, object);
    int64_t position;
    int error = file_hold(file);

    if (error)
        return error;
    if (whence > SEEK_CUR_)
        error = -E_INVALID;
    else if (!(__atomic_load_n(&file->flags, __ATOMIC_RELAXED) & HANDLE_FLAG_SEEKABLE) &&
             !(file->open_flags & OPEN_DIRECTORY))
        error = -E_NOT_SEEKABLE;
    else if (__builtin_add_overflow(offset, whence == SEEK_CUR_ ? (int64_t)file->position : 0,
                                    &position) ||
             position < 0)
        error = -E_INVALID;
    else
        file->position = (uint64_t)position;
    file_release(file);
    return error ? error : position;
}

int64_t sys_file_ready(struct object *object, uint64_t id, uint32_t set, uint32_t clear)
{
    struct port *port = container_of(object, struct port, object);

    if ((set & ~(READY_SIGNALS | READY_TELL)) | (clear & ~READY_SIGNALS))
        return -E_INVALID;
    lock_acquire(&port->lock);
    struct file *file = file_find(port, id);
    lock_release(&port->lock);
    if (!file)
        return -E_NOT_FOUND;

    int error = set & READY_TELL ? file_tell(file) : 0;

    object_signal(&file->object, set & READY_SIGNALS, clear);
    object_put(&file->object);
    return error;
}
