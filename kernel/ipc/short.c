/* The register path of call, return and accept: see short.h. */
#include "kernel/ipc/short.h"

#include "abi/errors.h"
#include "abi/ops.h"
#include "kernel/handle.h"
#include "kernel/ipc/hand_over.h"
#include "kernel/proto/file.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/wait.h"
#include "kernel/types.h"
#include "kernel/vmm/space.h"

#include ARCH_HAND_OVER

/* The thread that called leaves, answered. */
static struct leave leave_answered(struct register_frame *frame)
{
    return (struct leave){frame, &cpu_self()->unread};
}

static struct leave leave_self(struct register_frame *frame, int64_t result)
{
    frame->rax = (uint64_t)result;
    return leave_answered(frame);
}

/* The CPU goes to `next`, claimed and answered; the caller is parked. */
static inline struct leave leave_to(struct cpu *cpu, struct thread *self,
                                    struct register_frame *frame, struct thread *next,
                                    struct register_frame *answer)
{
    next->on_cpu = 1;
    cpu->current = next;
    cpu->context_switches++;
    arch_hand_over(cpu, self, frame, next);
    return (struct leave){answer, &self->on_cpu};
}

/* --- Calling ------------------------------------------------------------------------------------------- */

/* The open file a handle names, which must allow the operation; it stays open until object_handle_put_leaf. */
static inline int file_find_open(struct handle_table *table, handle_t handle, uint32_t op,
                                 struct file **file)
{
    uint32_t rights = op_rights(op);
    int error = 0;

    lock_acquire(&table->lock);
    struct handle_entry *entry = handle_entry_find(table, handle);

    if (unlikely(!entry)) {
        error = -E_BAD_HANDLE;
    } else if (unlikely(entry->object->type != OBJECT_FILE)) {
        error = -E_WRONG_TYPE;
    } else if (unlikely((entry->rights & rights) != rights)) {
        error = op_refused(op);
    } else {
        *file = container_of(entry->object, struct file, object);
        object_handle_get_leaf(entry->object);
    }
    lock_release(&table->lock);
    return error;
}

/* COMMAND_IN, COMMAND_OUT of what rsi says: memory is lent. */
static inline uint32_t window_flags(uint64_t operation)
{
    return operation >> 32 & (COMMAND_IN | COMMAND_OUT);
}

/* The request of the registers: what is looked at while a worker has the command. What never changes in it was set when the
 * command was made; the arguments stay in the frame (request_arguments). */
static inline int request_read(struct request *request, uint64_t operation,
                               const struct register_frame *frame, const struct file *file)
{
    uint32_t flags = (uint32_t)(operation >> 32);

    request->op = (uint32_t)operation;
    request->flags = (flags & (COMMAND_POSITION | COMMAND_NONBLOCK | COMMAND_RESTARTABLE)) |
                     file_call_flags(file);
    request->in_length = request->out_length = 0;
    if (likely(!window_flags(operation)))
        return 0;
    if (unlikely(!user_range_ok(UADDR(frame->r8), frame->r9)))
        return -E_FAULT;
    if (unlikely(frame->r9 > UINT32_MAX)) /* message_write has no room for it */
        return -E_INVALID;
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

/* The rest of it, before anybody but the caller writes a message from it. */
static void request_arguments(struct command *command, const struct register_frame *frame,
                              const struct file *file)
{
    uint64_t *args = command->own_request.args;
    bool window = window_flags(frame->rsi);

    args[0] = command->positioned ? file->position : frame->rdx;
    args[1] = frame->r10;
    args[2] = window ? 0 : frame->r8;
    args[3] = window ? 0 : frame->r9;
}

/* The caller's results into its frame; its hold on the file's position, and the file, back. */
static inline void call_finish(struct register_frame *frame, struct command *command,
                               struct file *file, int64_t status, uint64_t first, uint64_t second,
                               uint64_t third)
{
    frame->rax = (uint64_t)status;
    frame->rdx = first;
    frame->r10 = second;
    frame->r8 = third;
    frame->r9 = 0;
    if (unlikely(command->positioned))
        file_position_done(file, &command->own_request, status, first, second);
    object_handle_put_leaf(&file->object);
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
    completion->receive_count = 0; /* a call that is woken without an answer drops what is here */
    if (status && status != -E_LINK)
        completion->values[0] = completion->values[1] = completion->values[2] = 0;
    call_finish(frame, command, file, status, completion->values[0], completion->values[1],
                completion->values[2]);
    frame->r9 = (uint64_t)handle;
    return leave_answered(frame);
}

/* The worker is not to be claimed: it is woken, and finds the command by itself. Port and notify_lock held. */
static __attribute__((noinline)) void send_unclaimed(struct worker *worker, struct command *command,
                                                     struct file *file,
                                                     const struct register_frame *frame,
                                                     uint64_t trace)
{
    request_arguments(command, frame, file);
    command->priority = thread_priority(command->thread);
    command->deadline = UINT64_MAX;
    command->trace = trace;
    list_init(&worker->link); /* it will take itself off the list */
    worker_wake(worker, command);
}

/* An idle worker of the file's server gets the command, and the caller is parked; NULL: there is none on this CPU, nothing
 * was done. *answer: the worker's frame if it is claimed; else it is awake and finds the command by itself. */
static inline struct worker *send_short(struct cpu *cpu, struct thread *self,
                                        struct command *command, struct file *file,
                                        struct register_frame *frame, uint64_t trace,
                                        struct register_frame **answer)
{
    struct port *port = file->port;

    lock_acquire(&port->lock);
    struct server *server = file->server;
    lock_acquire(&port->notify_lock);
    struct worker *worker = container_of(port->workers.next, struct worker, link);

    if (likely(&worker->link != &port->workers && worker->server == server &&
               thread_cpu(worker_thread(worker)) == cpu)) {
        struct thread *thread = worker_thread(worker);

        list_remove(&worker->link);
        command->port = port;
        command->server = server;
        command->file = file;
        list_append(&server->accepted, &command->link);
        cpu->commands++;
        wait_park(self, frame,
                  command->own_request.flags & COMMAND_RESTARTABLE ? 0 : WAIT_INTERRUPTIBLE);
        *answer = claim(thread, self, cpu);
        command->state = likely(*answer) ? COMMAND_ACCEPTED : COMMAND_DELIVERED;
        /* With the port locked: inherit.c finds it. */
        thread_set_trace(thread, trace);
        if (unlikely(!*answer))
            send_unclaimed(worker, command, file, frame, trace);
    } else {
        worker = NULL;
    }
    lock_release(&port->notify_lock);
    lock_release(&port->lock);
    return worker;
}

/* The caller's bytes into the worker's buffer, all that fit; false: the worker must see to it. */
static bool window_copy(struct thread *worker, const struct register_frame *frame,
                        const struct request *request)
{
    uint64_t length = MIN(request->in_length, frame->r13);

    return likely(!length) || space_copy_to_nofault(worker->process->space, UADDR(frame->r12),
                                                    request->in, length) == 0;
}

/* No worker idle here, or one that must see to the command by itself; claimed: it is to be told so. */
static __attribute__((noinline)) struct leave call_slowly(struct register_frame *frame,
                                                          struct command *command,
                                                          struct file *file, struct worker *worker,
                                                          bool claimed)
{
    int64_t status;

    if (!worker || claimed)
        request_arguments(command, frame, file);
    if (claimed)
        unclaim(worker_thread(worker), command);
    status = worker ? command_resume(command, wait_parked_call())
                    : command_call_queued(&command->own_request, file->port, file,
                                          &command->own_completion);
    return call_answer(frame, command, file, status);
}

/* As short_message, from registers to registers, if no memory is lent and the file's position does not matter. */
static inline void message_write(struct register_frame *to, const struct register_frame *from,
                                 const struct command *command, const struct file *file,
                                 uint32_t priority, uint64_t trace)
{
    const struct request *request = &command->own_request;

    to->rax = MESSAGE_COMMAND | (uint64_t)priority << 8;
    to->rdi = command_token(command);
    to->rsi = file->cookie;
    to->rdx = request->op | (uint64_t)request->flags << 32;
    to->r10 = from->rdx;
    to->r8 = from->r10;
    to->r14 = from->r8;
    to->r15 = from->r9;
    to->r9 = command->caller;
    to->rbx = file->object.id;
    to->r12 = 0;
    to->r13 = trace;
}

/* ... or if they do. False: the worker must see to the window. */
static __attribute__((noinline)) bool
message_write_more(struct worker *worker, struct register_frame *to,
                   const struct register_frame *from, const struct command *command,
                   const struct file *file, uint32_t priority, uint64_t trace)
{
    const struct request *request = &command->own_request;

    if (unlikely(!window_copy(worker_thread(worker), to, request)))
        return false;
    message_write(to, from, command, file, priority, trace);
    if (command->positioned)
        to->r10 = file->position;
    if (window_flags(from->rsi)) {
        to->r12 = request->in_length | request->out_length << 32;
        to->r14 = to->r15 = 0;
    }
    return true;
}

/* Nothing was sent. */
static __attribute__((noinline)) struct leave call_refused(struct register_frame *frame,
                                                           struct file *file, int error)
{
    object_handle_put_leaf(&file->object);
    return leave_self(frame, error);
}

struct leave relay_call(uint64_t handle, uint64_t operation, struct register_frame *frame)
{
    struct thread *self = thread_current();
    struct command *command = self->command;
    struct request *request = &command->own_request;
    struct file *file;
    int error =
        file_find_open(self->process->handles, (handle_t)handle, (uint32_t)operation, &file);

    if (unlikely(error))
        return leave_self(frame, error);
    error = request_read(request, operation, frame, file);

    uint32_t more = window_flags(operation);

    command->positioned = !error && file_positioned(file, request);
    if (unlikely(command->positioned)) {
        more |= COMMAND_POSITION;
        error = file_hold(file);
    }
    if (unlikely(error))
        return call_refused(frame, file, error);

    struct cpu *cpu = cpu_self(); /* here: what is above may sleep, and go on on another */
    struct register_frame *answer = NULL;
    struct worker *worker = NULL;
    bool written = true;
    uint64_t trace = command_trace(self, command);

    if (quiet(cpu, self))
        worker = send_short(cpu, self, command, file, frame, trace, &answer);
    /* work: once more, behind the fence of the claim. */
    if (likely(answer && !thread_has_work(self, WORK_ANY))) {
        if (likely(!more))
            message_write(answer, frame, command, file, thread_priority(self), trace);
        else
            written = message_write_more(worker, answer, frame, command, file,
                                         thread_priority(self), trace);
        if (likely(written)) {
            object_put(&file->port->object); /* the worker's hold: its call is over */
            return leave_to(cpu, self, frame, worker_thread(worker), answer);
        }
    }
    return call_slowly(frame, command, file, worker, answer != NULL);
}

/* --- Returning and accepting --------------------------------------------------------------------------- */

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
        return leave_answered(frame);
    return leave_self(frame, result);
}

static __attribute__((noinline)) struct leave accept_slowly(struct register_frame *frame,
                                                            struct port *port, bool parked)
{
    struct accept where = accept_where(frame);

    return accept_answer(frame, port,
                         parked ? port_accept_resume(port, &where, wait_parked_call())
                                : port_accept(port, &where));
}

/* The port a handle names; a reference to it, that of the call that waits there. */
static inline int64_t port_find(struct handle_table *table, handle_t handle, struct port **port)
{
    int64_t error = 0;

    lock_acquire(&table->lock);
    struct handle_entry *entry = handle_entry_find(table, handle);

    if (unlikely(!entry)) {
        error = -E_BAD_HANDLE;
    } else if (unlikely(entry->object->type != OBJECT_PORT)) {
        error = -E_WRONG_TYPE;
    } else if (unlikely(!(entry->rights & RIGHT_ACCEPT))) {
        error = -E_ACCESS;
    } else {
        *port = container_of(entry->object, struct port, object);
        object_get(entry->object);
    }
    lock_release(&table->lock);
    return error;
}

/* The worker becomes idle and is parked, and the command's caller is claimed: its frame. NULL: it was not to be claimed;
 * the worker is parked all the same if *parked. Port locked. */
static inline struct register_frame *exchange(struct cpu *cpu, struct thread *self,
                                              struct port *port, struct command *command,
                                              struct register_frame *frame, bool *parked)
{
    struct server *server = command->server;
    struct register_frame *answer = NULL;

    lock_acquire(&port->notify_lock);
    *parked = likely(!(server->unseen | port->unseen) && !command->copying);
    if (likely(*parked)) {
        worker_enlist(self, port, server);
        wait_park(self, frame, WAIT_INTERRUPTIBLE);
        if (likely(thread_cpu(command->thread) == cpu))
            answer = claim(command->thread, self, cpu);
    }
    lock_release(&port->notify_lock);
    return answer;
}

/* Nothing is returned: the worker parks if nothing waits for it, and leaves to whom it has notified. */
static __attribute__((noinline)) struct leave accept_alone(struct register_frame *frame,
                                                           struct thread *self, struct port *port)
{
    struct cpu *cpu = cpu_self();

    if (unlikely(__atomic_load_n(&cpu->need_resched, __ATOMIC_RELAXED) ||
                 __atomic_load_n(&self->attention, __ATOMIC_RELAXED) ||
                 frame->r14 != (uint64_t)DEADLINE_NEVER ||
                 thread_priority(self) != thread_own_priority(self) ||
                 !user_range_ok(UADDR(frame->r15), sizeof(struct abi_message)) ||
                 !user_range_ok(UADDR(frame->r12), frame->r13)))
        return accept_slowly(frame, port, false); /* which says what is wrong */
    lock_acquire(&port->lock);

    struct server *server = server_of(port, self->process);
    bool parked = false;

    if (likely(server)) {
        lock_acquire(&port->notify_lock);
        parked = likely(!(server->unseen | port->unseen));
        if (likely(parked)) {
            worker_enlist(self, port, server);
            wait_park(self, frame, WAIT_INTERRUPTIBLE);
        }
        lock_release(&port->notify_lock);
    }
    lock_release(&port->lock);
    if (unlikely(!parked))
        return accept_slowly(frame, port, false);
    /* Work: once more, now that whoever brings it sees us wait. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (unlikely(thread_has_work(self, WORK_ANY)))
        return accept_slowly(frame, port, true);

    struct thread *next = answered_next(cpu);

    if (unlikely(!next))
        return accept_slowly(frame, port, true);
    struct register_frame *answer = next->answered;

    next->answered = NULL;
    return leave_to(cpu, self, frame, next, answer);
}

/* What registers say of a return. */
static struct abi_return result_read(const struct register_frame *frame)
{
    return (struct abi_return){
        .token = frame->rsi,
        .status = (int32_t)frame->rdx,
        .values = {frame->r10, frame->r8, frame->rbx},
        .data = frame->r9,
        .data_length = frame->rdx >> 32,
    };
}

/* Port locked: the command completes as by proto_return. */
static __attribute__((noinline)) struct leave return_slowly(struct register_frame *frame,
                                                            struct port *port,
                                                            struct command *command, int64_t status,
                                                            bool parked, bool claimed)
{
    struct abi_return result = result_read(frame);
    struct thread *client = command->thread;

    if (parked && !claimed && hand_over_answer(port, command, frame, &result, status))
        return accept_slowly(frame, port, true);
    return_end(port, command, &result, NULL, status, parked ? 0 : SCHED_HANDOFF);
    if (claimed)
        unclaim(client, NULL);
    return accept_slowly(frame, port, parked);
}

/* Nothing was returned. */
static __attribute__((noinline)) struct leave return_refused(struct register_frame *frame,
                                                             struct port *port, int64_t error)
{
    object_put(&port->object);
    return leave_self(frame, error);
}

/* What there is to return, with the port locked, or why there is not. */
struct begun {
    struct command *command;
    int64_t status; /* the caller's; command NULL: an error */
};

static struct begun begin_slowly(const struct register_frame *frame, struct port *port)
{
    struct abi_return result = result_read(frame);
    struct begun begun = {NULL, 0};
    int64_t error = return_begin(port, &result, NULL, &begun.status, &begun.command);

    return error ? (struct begun){NULL, error} : begun;
}

/* What is there is copied at once; where a page is missing, the general way. Port locked, and after an error unlocked. */
static __attribute__((noinline)) struct begun begin_with_data(struct register_frame *frame,
                                                              struct command *command,
                                                              struct port *port, int64_t status)
{
    const struct request *request = command->request;
    uint64_t length = frame->rdx >> 32;
    uint32_t generation = command->generation;
    bool copied = false, there = true;

    if (likely(length <= request->out_length && length <= COPY_PIECE && !request->registers)) {
        command->copying++; /* so the caller stays, and its request */
        lock_release(&port->lock);
        copied = space_copy_to_nofault(command->space, request->out, UADDR(frame->r9), length) == 0;
        lock_acquire(&port->lock);
        there = command_copied(command, generation);
    }
    if (likely(copied && there))
        return (struct begun){command, status};
    lock_release(&port->lock);
    return there ? begin_slowly(frame, port) : (struct begun){NULL, -E_CANCELLED};
}

static inline struct begun command_begin(uint64_t token, uint64_t status_length,
                                         struct register_frame *frame, struct thread *self,
                                         struct port *port)
{
    int64_t status = (int32_t)status_length;

    if (unlikely(status > 0 || status <= STATUS_RESEND))
        return (struct begun){NULL, -E_INVALID};
    lock_acquire(&port->lock);
    struct command *command = command_find(port, self->process, token);
    if (unlikely(!command)) {
        lock_release(&port->lock);
        return (struct begun){NULL, -E_CANCELLED};
    }
    if (status_length >> 32)
        return begin_with_data(frame, command, port, status);
    return (struct begun){command, status};
}

struct leave relay_return_accept(uint64_t handle, uint64_t token, uint64_t status,
                                 struct register_frame *frame)
{
    struct thread *self = thread_current();
    struct port *port;
    int64_t error = port_find(self->process->handles, (handle_t)handle, &port);

    if (unlikely(error))
        return leave_self(frame, error);
    if (unlikely(!token))
        return accept_alone(frame, self, port);

    struct begun begun = command_begin(token, status, frame, self, port);
    struct command *command = begun.command;

    if (unlikely(!command)) {
        if (begun.status == -E_CANCELLED)
            return accept_slowly(frame, port, false);
        return return_refused(frame, port, begun.status);
    }

    struct cpu *cpu = cpu_self(); /* likewise */
    struct thread *client = command->thread;
    struct register_frame *answer = NULL;
    bool parked = false;

    if (quiet(cpu, self) && likely(frame->r14 == (uint64_t)DEADLINE_NEVER))
        answer = exchange(cpu, self, port, command, frame, &parked);
    if (unlikely(!answer || thread_has_work(self, WORK_ANY)))
        return return_slowly(frame, port, command, begun.status, parked, answer != NULL);

    struct file *file = command->file;

    list_unlink(&command->link);
    if (unlikely(list_linked(&command->cancel_link)))
        list_remove(&command->cancel_link);
    command_retire(command, cpu);
    lock_release(&port->lock);
    call_finish(answer, command, file, begun.status, frame->r10, frame->r8, frame->rbx);
    return leave_to(cpu, self, frame, client, answer);
}

/* --- Woken by others ----------------------------------------------------------------------------------- */

struct leave relay_resume(struct register_frame *frame)
{
    struct thread *self = thread_current();
    struct command *command = self->command;

    if (self->answered) {
        self->answered = NULL;
        return leave_answered(frame);
    }
    if ((uint32_t)frame->rax == SYSCALL_BASE + SYSCALL_FILE_CALL_SHORT) {
        struct file *file = command->file;

        request_arguments(command, frame, file);
        return call_answer(frame, command, file, command_resume(command, self->wait_result));
    }

    struct port *port = self->worker.port;
    struct accept where = accept_where(frame);

    return accept_answer(frame, port, port_accept_resume(port, &where, self->wait_result));
}
