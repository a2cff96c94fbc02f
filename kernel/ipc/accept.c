/* The service's side of the relay: accept, return, and copying to and from the caller's windows.
 *
 * A worker looks, in this order, for cancellations, closings, notifications and commands (by priority: its server's and the
 * port's queue); finding none it becomes an idle worker of the port and sleeps until it is handed a command or told
 * to look again. What it found is written to its own memory by itself, in its own space, or to its registers when the
 * call is a register call and the command a short one (abi.h).
 */
#include "abi/errors.h"
#include "abi/ops.h"
#include "kernel/account.h"
#include "kernel/handle.h"
#include "kernel/ipc/inherit.h"
#include "kernel/ipc/port.h"
#include "kernel/ipc/short.h"
#include "kernel/proto/file.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/wait.h"
#include "kernel/syscall.h"
#include "kernel/vmm/pager.h"
#include "kernel/vmm/space.h"
#include "lib/base/string.h"

static struct port *port_of(struct object *object)
{
    return container_of(object, struct port, object);
}

/* --- Copying ---------------------------------------------------------------------------------------------- */

/* Between copy_begin and copy_end the caller's request, path and memory stay, and nobody waits for a pager: a page of the
 * caller's that is missing is the caller's to fetch (caller_fetches), one of ours is fetched afterwards
 * (pager_fetch_missed). Port locked for both. */
static void copy_begin(struct command *command)
{
    command->copying++;
    pager_forbid();
}

static bool copy_end(struct command *command, uint32_t generation)
{
    pager_permit();
    return command_copied(command, generation);
}

/* A copy ended at a page of the caller's window that its pager has to bring. The caller does that and sends the
 * command again, which must not be carried out twice. Port locked. The result: what the service is told. */
static int caller_fetches(struct command *command, bool carried_out)
{
    command_complete(command, !carried_out || command_replayable(command) ? STATUS_FETCH : -E_FAULT,
                     0);
    return -E_CANCELLED;
}

static void command_missing(struct command *command, const uaddr_t *window, uint64_t offset)
{
    command->missing = offset;
    command->missing_out = window == &command->request->out;
}

static bool caller_waits(const struct command *command)
{
    return !__atomic_load_n(&command->leaving, __ATOMIC_RELAXED);
}

static uint64_t piece_length(uint64_t wanted, uint64_t there)
{
    uint64_t length = MIN(wanted, there);

    return MIN(length, (uint64_t)COPY_PIECE);
}

/* Of an exception: the registers lie in front of the thread's memory, whose first page is nobody's. */
static int copy_registers(const struct request *request, uint64_t offset, uaddr_t buffer,
                          uint64_t length, bool in, uint64_t *done)
{
    char *registers = (char *)request->registers + offset;
    struct abi_frame copy; /* all that is written, or nothing */
    int error;

    if (offset >= sizeof(copy))
        return 0;
    length = MIN(length, sizeof(copy) - offset);
    error = in ? user_copy_out(buffer, registers, length) : user_copy_in(&copy, buffer, length);
    if (error)
        return error;
    if (!in)
        memcpy(registers, &copy, length);
    *done = length;
    return 0;
}

/* Where a window ends. */
static uint64_t copy_window(const struct request *request, uint64_t length)
{
    return unlikely(request->registers) ? SPACE_END : length;
}

/* From the in bytes: the path first, then the in window. */
static int copy_in(struct command *command, uint64_t offset, uaddr_t buffer, uint64_t length,
                   uint64_t *done)
{
    const struct request *request = command->request;
    uint64_t end = copy_window(request, request->in_length);
    int error = 0;

    *done = 0;
    if (offset < request->path_length) {
        uint64_t part = MIN(length, request->path_length - offset);

        error = user_copy_out(buffer, request->path + offset, part);
        if (error)
            return error;
        *done = part;
    }
    offset = offset + *done - request->path_length;
    if (unlikely(request->registers && offset < PAGE_SIZE))
        return copy_registers(request, offset, buffer, length, true, done);
    while (*done < length && offset < end && !error && caller_waits(command)) {
        uint64_t piece = piece_length(length - *done, end - offset);
        uint64_t copied = 0;

        error = space_copy_from(command->space, UADDR(request->in.value + offset),
                                UADDR(buffer.value + *done), piece, &copied);
        *done += copied;
        offset += copied;
    }
    if (unlikely(error == -E_AGAIN))
        command_missing(command, &request->in, offset);
    return error;
}

static int copy_out(struct command *command, uint64_t offset, uaddr_t buffer, uint64_t length,
                    uint64_t *done)
{
    const struct request *request = command->request;
    uint64_t end = copy_window(request, request->out_length);
    int error = 0;

    *done = 0;
    if (unlikely(request->registers && offset < PAGE_SIZE))
        return copy_registers(request, offset, buffer, length, false, done);
    while (*done < length && offset < end && !error && caller_waits(command)) {
        uint64_t piece = piece_length(length - *done, end - offset);
        uint64_t copied = 0;

        error = space_copy_to(command->space, UADDR(request->out.value + offset),
                              UADDR(buffer.value + *done), piece, &copied);
        *done += copied;
        offset += copied;
    }
    if (unlikely(error == -E_AGAIN))
        command_missing(command, &request->out, offset);
    return error;
}

/* --- Delivering ------------------------------------------------------------------------------------------- */

static void fill_message(struct abi_message *message, const struct command *command)
{
    const struct request *request = command->request;

    message->token = command_token(command);
    message->kind = MESSAGE_COMMAND;
    message->op = request->op;
    message->cookie = command_cookie(command);
    message->file = command->file ? command->file->object.id : 0;
    memcpy(message->args, request->args, sizeof(message->args));
    message->deadline =
        command->deadline == UINT64_MAX ? DEADLINE_NEVER : (int64_t)command->deadline;
    message->flags = request->flags;
    message->priority = command->priority;
    message->caller = command->caller;
    message->trace = command->trace;
    message->in_length = request->path_length + request->in_length;
    message->out_length = request->out_length;
    message->path_length = request->path_length;
}

/* Port unlocked, the command, of which the message is, is this server's. On error it goes back to the front of its queue. *short_form: in, whether
 * it may be; out, whether the message is in the registers. */
static int deliver(struct port *port, struct command *command, struct abi_message *message,
                   const struct accept *where, bool *short_form)
{
    struct thread *self = thread_current();
    struct request *request = command->request;
    uint64_t copied = 0, in_length = request->path_length + request->in_length;
    uint32_t generation = (uint32_t)(message->token >> 32); /* the caller may have left */
    bool lost = false; /* handles that another thread of the service closed meanwhile */
    int error = 0;

    if (in_length && where->size)
        error = copy_in(command, 0, where->buffer, MIN(where->size, in_length), &copied);
    message->data_length = (uint32_t)copied;
    if (error == -E_NO_MEMORY || (error == -E_FAULT && !pager_missed() &&
                                  user_zero(UADDR(where->buffer.value + copied), 1) == 0))
        error = 0; /* the caller's memory, not the buffer: the service sees how much there was */
    if (!error && request->send_count) {
        error = transfer_install(self->process->handles, request->send, request->send_count,
                                 message->handles);
        message->handle_count = error ? 0 : request->send_count;
    }
    *short_form = *short_form && !request->send_count && command->deadline == UINT64_MAX &&
                  copied == MIN(where->size, in_length) &&
                  (in_length | request->out_length) <= UINT32_MAX;
    if (!error && !*short_form) {
        error = user_copy_out(where->message, message, sizeof(*message));
        for (uint32_t i = 0; i < message->handle_count; i++) {
            request->send[i].object = NULL; /* the table's */
            if (error &&
                handle_take(self->process->handles, message->handles[i], &request->send[i]))
                lost = true;
        }
    }

    lock_acquire(&port->lock);
    bool there = copy_end(command, generation);
    if (there)
        command->delivering = false;
    if (lost && there) {
        command_complete(command, -E_RESTARTED, 0);
    } else if (!error && *short_form && there) {
        short_message(where->frame, command);
    } else if (error == -E_AGAIN && there) {
        error = caller_fetches(command, false);
    } else if (error && there) {
        list_remove(&command->link);
        if (!command->file || request->op == OP_OPEN)
            command->server = NULL;
        account_overdraw(command->thread->process->account, QUOTA_COMMANDS, 1);
        port_queue_command(port, command, true);
    }
    if (!error && there && !lost)
        inherit_begin(command->server, command);
    lock_release(&port->lock);
    if (!there) {
        for (uint32_t i = 0; i < message->handle_count && !error; i++)
            (void)!handle_remove(self->process->handles, message->handles[i]);
        return error ? error : -E_CANCELLED;
    }
    return error;
}

/* What lies there for this worker; false: nothing. Port locked. A command is marked copying: deliver() follows. */
static bool find_work(struct port *port, struct server *server, struct abi_message *message,
                      struct command **command, struct file **closed, struct binding **finished)
{
    struct command *cancel = list_first(&server->cancels, struct command, cancel_link);

    if (unlikely(cancel)) {
        bool abandoned = cancel->state == COMMAND_ABANDONED;

        message->kind = MESSAGE_CANCEL;
        message->token = abandoned ? cancel->abandoned.token : command_token(cancel);
        message->op = abandoned ? cancel->abandoned.op : cancel->request->op;
        message->cookie = abandoned ? cancel->abandoned.cookie : command_cookie(cancel);
        command_cancelled(cancel);
        return true;
    }

    struct file *file = list_first(&server->closings, struct file, close_link);

    if (file) {
        list_remove(&file->close_link);
        message->kind = MESSAGE_CLOSE;
        message->cookie = file->cookie;
        message->file = file->object.id;
        *closed = file;
        return true;
    }
    lock_acquire(&port->notify_lock);
    bool notified = notify_take_locked(port, message, finished);
    lock_release(&port->notify_lock);
    if (notified)
        return true;

    struct command *own = command_queue_first(&server->queue);
    struct command *any = command_queue_first(&port->queue);
    struct command *next = own && (!any || own->priority >= any->priority) ? own : any;

    if (!next)
        return false;
    command_queue_leave(next);
    next->state = COMMAND_DELIVERED;
    next->server = server;
    list_append(&server->accepted, &next->link);
    if (unlikely(next->unwanted) && !list_linked(&next->cancel_link)) {
        list_append(&server->cancels, &next->cancel_link);
        server->unseen = true;
    }
    *command = next;
    return true;
}

/* Sleep as an idle worker, or not if there are notifications; the result of the wait. Port locked on entry, unlocked on
 * return. */
static int sleep_idle(struct port *port, struct server *server, const struct accept *where)
{
    struct thread *self = thread_current();

    lock_acquire(&port->notify_lock);
    if (notifications_wait(port)) {
        lock_release(&port->notify_lock);
        lock_release(&port->lock);
        return 0;
    }
    server->unseen = port->unseen = false; /* find_work found nothing */
    inherit_idle(self);
    worker_enlist(self, port, server);
    /* Before the wait is armed, as in wait_park: who ends it clears this. */
    thread_set_parked_call(self, where->deadline == UINT64_MAX ? where->frame : NULL);
    wait_prepare(WAIT_INTERRUPTIBLE);
    lock_release(&port->notify_lock);
    lock_release(&port->lock);
    return wait_block(where->deadline);
}

/* After the sleep: the command that was handed over, if any. Port unlocked; if there is one it is locked on return. */
static struct command *take_delivered(struct port *port)
{
    struct worker *self = &thread_current()->worker;

    lock_acquire(&port->notify_lock);
    list_remove(&self->link);
    struct command *command = self->delivered;
    uint32_t generation = self->generation;
    worker_give(self, NULL);
    lock_release(&port->notify_lock);
    if (!command)
        return NULL;
    lock_acquire(&port->lock);
    if (command->generation == generation && command->state == COMMAND_DELIVERED)
        return command;
    lock_release(&port->lock); /* its caller left before we ran */
    return NULL;
}

/* A command, port locked. *short_form as for deliver. E_CANCELLED: its caller left. */
static int take_command(struct port *port, struct command *command, const struct accept *where,
                        bool *short_form)
{
    struct abi_message message = {0};

    command->state = COMMAND_ACCEPTED;
    command->delivering = true;
    fill_message(&message, command);
    copy_begin(command);
    lock_release(&port->lock);
    inherit_settle(port);
    return deliver(port, command, &message, where, short_form);
}

static int64_t accept_loop(struct port *port, struct server *server, const struct accept *where,
                           bool slept, int woken)
{
    for (;;) {
        struct abi_message message;
        struct command *command = NULL;
        struct binding *finished = NULL;
        struct file *closed = NULL;
        bool short_form = where->frame != NULL;
        int error;

        if (slept) {
            slept = false;
            command = take_delivered(port);
            if (!command && woken)
                return woken;
            if (!command)
                continue;
        } else {
            lock_acquire(&port->lock);
            if (unlikely(port->closed)) { /* and server is gone */
                lock_release(&port->lock);
                return -E_CLOSED;
            }
            message = (struct abi_message){0};
            if (!find_work(port, server, &message, &command, &closed, &finished)) {
                if (where->deadline == 0) {
                    lock_release(&port->lock);
                    return -E_AGAIN;
                }
                woken = sleep_idle(port, server, where);
                slept = true;
                continue;
            }
        }
        if (command) {
            error = take_command(port, command, where, &short_form);
            if (error == -E_CANCELLED)
                continue;
            if (unlikely(error == -E_FAULT) && pager_missed()) {
                port_wake_worker(port, server); /* the command need not wait with us */
                if (pager_fetch_missed())
                    continue;
            }
            return error ? error : short_form;
        }
        lock_release(&port->lock);
        error = user_copy_out(where->message, &message, sizeof(message));
        binding_free(finished);
        if (closed)
            object_put(&closed->object);
        return error;
    }
}

int64_t port_accept(struct port *port, const struct accept *where)
{
    struct thread *self = thread_current();
    struct server *server;
    int error = server_get(port, self->process, &server);

    if (error)
        return error;
    if (!user_range_ok(where->message, sizeof(struct abi_message)) ||
        (where->size && !user_range_ok(where->buffer, where->size)))
        return -E_FAULT;
    inherit_end(self);
    worker_serve(&self->worker, port, server);
    return accept_loop(port, server, where, false, 0);
}

int64_t port_accept_resume(struct port *port, const struct accept *where, int woken)
{
    return accept_loop(port, thread_current()->worker.server, where, true, woken);
}

int64_t sys_proto_accept(struct object *object, uaddr_t message, uaddr_t buffer, uint64_t size,
                         int64_t deadline)
{
    struct accept where = {
        .message = message, .buffer = buffer, .size = size, .deadline = wait_deadline(deadline)};

    return port_accept(port_of(object), &where);
}

/* --- Returning --------------------------------------------------------------------------------------------- */

/* The service's data into the caller's window. *status becomes the caller's error if its window is bad or no memory is
 * left for it; what is returned is the service's own. */
static int return_data(struct command *command, const struct abi_return *result, int64_t *status)
{
    uint64_t done;
    int error = copy_out(command, 0, UADDR(result->data), result->data_length, &done);
    uint8_t probe;

    if (error == -E_NO_MEMORY ||
        (error == -E_FAULT && !pager_missed() && done < result->data_length &&
         user_copy_in(&probe, UADDR(result->data + done), 1) == 0)) {
        *status = error;
        return 0;
    }
    return error;
}

static int64_t try_return(struct port *port, const struct abi_return *result,
                          struct transfer *transfers, int64_t *status, struct command **command)
{
    struct process *process = process_current();
    int error = 0;

    *status = result->status;
    if (result->handle_count > COMMAND_HANDLES || result->status > 0 ||
        result->status <= STATUS_RESEND)
        return -E_INVALID;
    lock_acquire(&port->lock);
    *command = command_find(port, process, result->token);
    if (!*command) {
        lock_release(&port->lock);
        return -E_CANCELLED;
    }
    if (result->data_length || result->handle_count) {
        uint32_t generation = (*command)->generation;

        copy_begin(*command);
        lock_release(&port->lock);
        if (result->data_length)
            error = return_data(*command, result, status);
        if (!error && result->handle_count)
            error =
                transfer_take(process->handles, result->handles, result->handle_count, transfers);
        lock_acquire(&port->lock);
        bool there = copy_end(*command, generation);

        if (unlikely(there && error == -E_AGAIN))
            error = caller_fetches(*command, true);
        if (!there || error) {
            lock_release(&port->lock);
            transfer_drop(transfers, result->handle_count);
            return error ? error : -E_CANCELLED;
        }
    }
    return 0;
}

int64_t return_begin(struct port *port, const struct abi_return *result, struct transfer *transfers,
                     int64_t *status, struct command **command)
{
    int64_t error;

    do
        error = try_return(port, result, transfers, status, command);
    while (unlikely(error == -E_FAULT) && pager_fetch_missed());
    return error;
}

void return_end(struct port *port, struct command *command, const struct abi_return *result,
                const struct transfer *transfers, int64_t status, unsigned sched_flags)
{
    return_fill(command, result, transfers, status);
    command_complete(command, status, sched_flags);
    lock_release(&port->lock);
}

int64_t sys_proto_return(struct object *object, uaddr_t from)
{
    struct port *port = port_of(object);
    struct transfer transfers[COMMAND_HANDLES] = {{0}};
    struct abi_return result;
    struct command *command;
    int64_t status, error = user_copy_in(&result, from, sizeof(result));

    if (!error)
        error = return_begin(port, &result, transfers, &status, &command);
    if (error)
        return error;

    bool last = command_trace(command->thread, command) == thread_trace(thread_current());

    return_end(port, command, &result, transfers, status, 0);
    if (last)
        inherit_end(thread_current());
    return 0;
}

/* --- Pieces of the windows ----------------------------------------------------------------------------------- */

typedef int copy_function(struct command *command, uint64_t offset, uaddr_t buffer, uint64_t length,
                          uint64_t *done);

static int64_t try_piece(struct port *port, uint64_t token, uint64_t offset, uaddr_t buffer,
                         uint64_t length, copy_function *copy)
{
    uint64_t done = 0;

    lock_acquire(&port->lock);
    struct command *command = command_find(port, process_current(), token);
    if (!command) {
        lock_release(&port->lock);
        return -E_CANCELLED;
    }

    uint32_t generation = command->generation;

    copy_begin(command);
    lock_release(&port->lock);
    int error = copy(command, offset, buffer, length, &done);
    lock_acquire(&port->lock);
    bool there = copy_end(command, generation);
    if (unlikely(there && error == -E_AGAIN))
        error = caller_fetches(command, true);
    lock_release(&port->lock);
    if (!there || error == -E_CANCELLED)
        return -E_CANCELLED;
    if (error == -E_FAULT && pager_missed())
        return error; /* from the start: what is missing is ours */
    return done || !error ? (int64_t)done : error;
}

static int64_t copy_piece(struct port *port, uint64_t token, uint64_t offset, uaddr_t buffer,
                          uint64_t length, copy_function *copy)
{
    int64_t result;

    if (length && !user_range_ok(buffer, length))
        return -E_FAULT;
    do
        result = try_piece(port, token, offset, buffer, length, copy);
    while (unlikely(result == -E_FAULT) && pager_fetch_missed());
    return result;
}

int64_t sys_cmd_read(struct object *object, uint64_t token, uint64_t offset, uaddr_t buffer,
                     uint64_t length)
{
    return copy_piece(port_of(object), token, offset, buffer, length, copy_in);
}

int64_t sys_cmd_write(struct object *object, uint64_t token, uint64_t offset, uaddr_t buffer,
                      uint64_t length)
{
    return copy_piece(port_of(object), token, offset, buffer, length, copy_out);
}
