/* The register path of call, return and accept: see short.h. */
#include "kernel/ipc/short.h"

#include "abi/errors.h"
#include "abi/ops.h"
#include "kernel/handle.h"
#include "kernel/proto/file.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/wait.h"
#include "kernel/types.h"
#include "kernel/vmm/space.h"

/* The thread that called leaves, with this result unless its frame has one already. */
static struct leave leave_self(struct register_frame *frame, int64_t result)
{
    frame->rax = (uint64_t)result;
    return (struct leave){frame, NULL};
}

/* The CPU goes to `next`, claimed and answered; the caller is BLOCKED. */
static struct leave leave_to(struct thread *self, struct thread *next, struct register_frame *frame)
{
    sched_hand_over(self, next);
    return (struct leave){frame, &self->on_cpu};
}

/* Nothing of this CPU wants to be seen to before another thread runs. */
static bool cpu_quiet(void)
{
    const struct cpu *cpu = cpu_self();

    return !(cpu->need_resched | (cpu->queue->next != NULL));
}

/* The thread is ours if it waits in a short call on this CPU, ranks as the caller does, and nobody was faster: its frame.
 * RUNNING from here on, so that whoever has work for it interrupts this CPU. */
static struct register_frame *claim(struct thread *thread, const struct thread *self)
{
    struct register_frame *frame = NULL;

    lock_acquire(&thread->lock);
    if (likely(thread->waiting && thread->state == THREAD_BLOCKED && thread->parked_call &&
               !__atomic_load_n(&thread->on_cpu, __ATOMIC_ACQUIRE) && thread->cpu == self->cpu &&
               thread->priority == self->priority && sched_allowed(thread, self->cpu))) {
        frame = thread->parked_call;
        thread->waiting = 0;
        thread->state = THREAD_RUNNING;
    }
    lock_release(&thread->lock);
    return frame;
}

/* Claimed, but it is to take its slow road after all: as if woken. */
static void unclaim(struct thread *thread)
{
    lock_acquire(&thread->lock);
    thread->wait_result = 0;
    sched_ready(thread, SCHED_HANDOFF);
    lock_release(&thread->lock);
}

/* --- Calling ------------------------------------------------------------------------------------------- */

/* The request of the registers; what never changes in it was set when the command was made. */
static int request_read(struct request *request, const struct register_frame *frame,
                        const struct file *file)
{
    uint32_t flags = (uint32_t)(frame->rsi >> 32);

    request->op = (uint32_t)frame->rsi;
    request->flags = (flags & (COMMAND_POSITION | COMMAND_NONBLOCK | COMMAND_RESTARTABLE)) |
                     file_call_flags(file);
    request->args[0] = frame->rdx;
    request->args[1] = frame->r10;
    request->in_length = request->out_length = 0;
    if (likely(!(flags & (COMMAND_IN | COMMAND_OUT)))) {
        request->args[2] = frame->r8;
        request->args[3] = frame->r9;
        return 0;
    }
    request->args[2] = request->args[3] = 0;
    if (!user_range_ok(UADDR(frame->r8), frame->r9))
        return -E_FAULT;
    if (flags & COMMAND_IN) {
        request->in = UADDR(frame->r8);
        request->in_length = frame->r9;
    }
    if (flags & COMMAND_OUT) {
        request->out = UADDR(frame->r8);
        request->out_length = frame->r9;
    }
    return command_window_prepare(request);
}

/* The caller's results into its frame, its hold on the file's position and the file back. */
static void call_finish(struct register_frame *frame, struct file *file, bool positioned,
                        const struct request *request, int64_t status, const uint64_t values[3])
{
    frame->rax = (uint64_t)status;
    frame->rdx = values[0];
    frame->r10 = values[1];
    frame->r8 = values[2];
    frame->r9 = 0;
    if (positioned)
        file_position_done(file, request, status, values);
    object_handle_put(&file->object);
}

/* After the slow road. */
static struct leave call_answer(struct register_frame *frame, struct command *command,
                                struct file *file, int64_t status)
{
    struct completion *completion = &command->own_completion;
    handle_t handle = 0;

    if (!status && completion->receive_count) {
        int error = transfer_install(process_current()->handles, completion->receive, 1, &handle);

        transfer_drop(completion->receive + !error, completion->receive_count - !error);
        status = error;
    }
    if (status && status != -E_LINK)
        completion->values[0] = completion->values[1] = completion->values[2] = 0;
    call_finish(frame, file, command->positioned, &command->own_request, status,
                completion->values);
    frame->r9 = (uint64_t)handle;
    return (struct leave){frame, NULL};
}

/* The command in the hands of an idle worker of the file's server, claimed, its frame in *frame; NULL: nothing was done. */
static struct thread *send_short(struct command *command, struct file *file,
                                 struct register_frame **frame)
{
    struct thread *self = command->thread, *thread = NULL;
    struct port *port = file->port;

    lock_acquire(&port->lock);
    struct server *server = file->server;
    lock_acquire(&port->notify_lock);
    struct worker *worker = list_first(&port->workers, struct worker, link);

    if (likely(worker && worker->server == server &&
               (*frame = claim(worker_thread(worker), self)))) {
        thread = worker_thread(worker);
        list_remove(&worker->link);
        worker->delivered = command;
        worker->generation = command->generation;
        command->port = port;
        command->server = server;
        command->file = file;
        command->cookie = file->cookie;
        command->request = &command->own_request;
        command->completion = &command->own_completion;
        command->space = self->process->space;
        command->priority = self->priority;
        command->caller = self->process->object.id;
        command->trace = command_trace(self);
        command->seen = true;
        command->state = COMMAND_ACCEPTED;
        list_append(&server->accepted, &command->link);
        command_counted(1);
        wait_prepare(command->own_request.flags & COMMAND_RESTARTABLE ? 0 : WAIT_INTERRUPTIBLE);
    }
    lock_release(&port->notify_lock);
    lock_release(&port->lock);
    return thread;
}

/* The caller's bytes into the worker's buffer, all that fit; false: the worker must see to it. */
static bool window_copy(struct thread *worker, const struct register_frame *frame,
                        const struct request *request)
{
    uint64_t length = MIN(request->in_length, frame->r13);

    return !length || space_copy_to_nofault(worker->process->space, UADDR(frame->r12), request->in,
                                            length) == 0;
}

struct leave relay_call(struct register_frame *frame)
{
    struct thread *self = thread_current();
    struct command *command = self->command;
    struct request *request = &command->own_request;
    uint32_t op = (uint32_t)frame->rsi;
    struct object *object;
    int error = handle_lookup_open(self->process->handles, (handle_t)frame->rdi, OBJECT_FILE,
                                   op_rights(op), &object);

    if (unlikely(error))
        return leave_self(frame, error);

    struct file *file = container_of(object, struct file, object);

    error = op_of_kernel(op) ? -E_INVALID : request_read(request, frame, file);
    command->positioned = !error && file_positioned(file, request);
    if (unlikely(command->positioned)) {
        error = file_hold(file);
        request->args[0] = file->position;
    }
    if (unlikely(error)) {
        object_handle_put(object);
        return leave_self(frame, error);
    }

    struct register_frame *answer;
    struct thread *worker = cpu_quiet() ? send_short(command, file, &answer) : NULL;
    int64_t status;

    if (likely(worker)) {
        bool copied = window_copy(worker, answer, request);

        self->parked_call = frame;
        if (likely(copied && wait_fall_asleep())) {
            worker->parked_call = NULL;
            worker->trace = command->trace;
            short_message(answer, command);
            object_put(&file->port->object); /* the worker's hold: its call is over */
            return leave_to(self, worker, answer);
        }
        unclaim(worker);
        int woken = copied ? self->wait_result : wait_block(UINT64_MAX);
        self->parked_call = NULL;
        status = command_resume(command, woken);
    } else {
        status = command_call(request, file->port, file, &command->own_completion);
    }
    return call_answer(frame, command, file, status);
}

/* --- Returning and accepting --------------------------------------------------------------------------- */

/* Nothing waits for a worker of this server but what it will be woken for. Port and notify_lock held. */
static bool worker_idle(const struct port *port, const struct server *server)
{
    return !(server->queue.levels | port->queue.levels) && list_empty(&server->cancels) &&
           list_empty(&server->closings) && !notifications_wait(port);
}

/* The command's caller gets the CPU, and its worker, the calling thread, waits for the next. Port locked, unlocked if the
 * frame to answer is returned; NULL: nothing was done. */
static struct register_frame *exchange(struct port *port, struct command *command,
                                       struct register_frame *frame)
{
    struct thread *self = thread_current();
    struct server *server = command->server;
    struct register_frame *answer = NULL;

    if (unlikely(!cpu_quiet() || command->copying || port->closed))
        return NULL;
    lock_acquire(&port->notify_lock);
    if (likely(worker_idle(port, server)))
        answer = claim(command->thread, self);
    if (likely(answer)) {
        worker_enlist(port, server);
        self->parked_call = frame;
    }
    lock_release(&port->notify_lock);
    return answer;
}

static struct accept accept_where(struct register_frame *frame)
{
    return (struct accept){
        .message = UADDR(frame->r15),
        .buffer = UADDR(frame->r12),
        .size = frame->r13,
        .deadline = wait_deadline((int64_t)frame->r14),
        .frame = frame,
    };
}

/* result: port_accept's. */
static struct leave accept_answer(struct register_frame *frame, struct port *port, int64_t result)
{
    object_put(&port->object);
    if (result == 1)
        return (struct leave){frame, NULL};
    return leave_self(frame, result);
}

/* The caller may rest after all: the command completes as by proto_return. Port locked. */
static void complete_claimed(struct port *port, struct command *command,
                             const struct abi_return *result, int64_t status)
{
    struct thread *client = command->thread;

    return_end(port, command, result, NULL, status, 0);
    unclaim(client);
}

struct leave relay_return_accept(struct register_frame *frame)
{
    struct thread *self = thread_current();
    struct object *object;
    int64_t error = handle_lookup(self->process->handles, (handle_t)frame->rdi, OBJECT_PORT,
                                  RIGHT_ACCEPT, &object, NULL);

    if (unlikely(error))
        return leave_self(frame, error);

    struct port *port = container_of(object, struct port, object);
    struct abi_return result = {
        .token = frame->rsi,
        .status = (int64_t)frame->rdx,
        .values = {frame->r10, frame->r8, frame->rbx},
        .data = frame->r9,
        .data_length = frame->rbp,
    };
    struct command *command;
    struct accept where;
    int64_t status;

    if (!result.token)
        goto accept;
    error = return_begin(port, &result, NULL, &status, &command);
    if (unlikely(error == -E_CANCELLED))
        goto accept;
    if (unlikely(error)) {
        object_put(object);
        return leave_self(frame, error);
    }

    struct thread *client = command->thread;
    struct register_frame *answer = NULL;

    if (likely(frame->r14 == (uint64_t)DEADLINE_NEVER && self->priority == self->own_priority))
        answer = exchange(port, command, frame);
    if (likely(answer)) {
        if (unlikely(!wait_fall_asleep())) {
            complete_claimed(port, command, &result, status);
            self->parked_call = NULL;
            where = accept_where(frame);
            return accept_answer(frame, port, port_accept_resume(port, &where, self->wait_result));
        }

        struct file *file = command->file;

        command_unlink(command);
        command_retire(command);
        lock_release(&port->lock);
        client->parked_call = NULL;
        call_finish(answer, file, command->positioned, &command->own_request, status,
                    result.values);
        return leave_to(self, client, answer);
    }
    return_end(port, command, &result, NULL, status, SCHED_HANDOFF);
accept:
    where = accept_where(frame);
    return accept_answer(frame, port, port_accept(port, &where));
}

/* --- Woken by others ----------------------------------------------------------------------------------- */

struct leave relay_resume(struct register_frame *frame)
{
    struct thread *self = thread_current();
    struct command *command = self->command;

    self->parked_call = NULL;
    if ((uint32_t)frame->rax == SYSCALL_BASE + SYSCALL_FILE_CALL_SHORT) {
        struct file *file = command->file;

        return call_answer(frame, command, file, command_resume(command, self->wait_result));
    }

    struct port *port = self->worker.port;
    struct accept where = accept_where(frame);

    return accept_answer(frame, port, port_accept_resume(port, &where, self->wait_result));
}
