/* The relay's short form: commands whose every word is in registers (abi.h lists them).
 *
 *     SYSCALL --> relay_call(frame)            client  --+   each returns the frame to leave with: the caller's own,
 *     SYSCALL --> relay_return_accept(frame)   service --+   or that of the thread the CPU was handed to
 *     woken by anybody else --> relay_resume(frame): the rest of the call, on the thread's own stack
 *
 * A thread that waits in a short call needs nothing on its kernel stack but its frame at the top (thread->parked_call).
 * So the one who answers it (the client that finds a worker idle on this CPU, the service that returns to a client on
 * this CPU) writes the answer to that frame, makes the thread current and leaves to user mode as that thread: no
 * scheduler, no queue, no switch of C stacks. Everything else (nobody idle, another CPU, another priority, work to see
 * to, memory to fault in, kills, deadlines, services that die) takes the roads of command.c, accept.c and wait.c.
 *
 * Parking and claiming. A thread parks itself by parked_call, BLOCKED and `waiting`, in this order and without its lock:
 * until the last one nobody looks at the others. Then it goes on to the switch; woken meanwhile, it is queued on
 * this CPU like any thread that is still on its stack. Claiming a parked thread, by another thread of the same CPU, is
 * under thread->lock; so is waking it: whoever clears parked_call and `waiting` there owns the thread until it
 * made it current, or ready.
 *
 *     CPU 0: client C calls worker W                   CPU 1: kills C, or W
 *       parks C: waiting = 1                             C->work |= KILL
 *       lock W (a full fence); claims W                  lock C; waiting: woken, READY; unlock
 *       C->work? then W is woken the slow way,           (or not waiting yet: nothing; C sees its work)
 *         and C looks after itself                       W->work |= KILL; lock W; claimed: RUNNING: interrupt CPU 0
 *       switch; W sees its work on its way out
 */
#pragma once

#include "kernel/ipc/port.h"
#include "kernel/proto/file.h"
#include "kernel/sched/wait.h"

/* The registers of a short call at the top of the thread's kernel stack, as syscall.S pushes them. `number` holds the
 * call's until it is answered. */
struct register_frame;

/* What the way out to user mode needs: the frame to load, and the flag to clear once the stack in use is left: on_cpu of the
 * thread it is of, if that is another. */
struct leave {
    struct register_frame *frame;
    uint32_t *left;
};

/* The first arguments are what the program passed in rdi, rsi, rdx: as it stands in the frame. */
struct leave relay_call(uint64_t handle, uint64_t operation, struct register_frame *frame);
struct leave relay_return_accept(uint64_t handle, uint64_t token, uint64_t status,
                                 struct register_frame *frame);
struct leave relay_resume(struct register_frame *frame);

/* A command into a worker's registers. Port locked, or the worker claimed. */
static inline void short_message(struct register_frame *frame, const struct command *command)
{
    const struct request *request = command->request;

    /* Which may change (inherit.c). */
    uint32_t priority = __atomic_load_n(&command->priority, __ATOMIC_RELAXED);

    frame->rax = MESSAGE_COMMAND | (uint64_t)priority << 8 | (uint64_t)request->path_length << 32;
    frame->rdi = command_token(command);
    frame->rsi = command_cookie(command);
    frame->rdx = request->op | (uint64_t)request->flags << 32;
    frame->r10 = request->args[0];
    frame->r8 = request->args[1];
    frame->r14 = request->args[2];
    frame->r15 = request->args[3];
    frame->r9 = command->caller;
    frame->rbx = command->file ? command->file->object.id : 0;
    frame->r12 = (request->path_length + request->in_length) | request->out_length << 32;
    frame->r13 = command->trace;
}

/* port_notify's bits likewise. */
static inline void short_notification(struct register_frame *frame, uint64_t bits)
{
    frame->rax = MESSAGE_NOTIFY;
    frame->r10 = bits;
    frame->rdi = frame->rsi = frame->rdx = frame->r8 = frame->r9 = frame->rbx = 0;
    frame->r12 = frame->r13 = frame->r14 = frame->r15 = 0;
}

/* --- accept.c, for both forms --- */

struct accept {
    uaddr_t message, buffer;      /* struct abi_message; where the in bytes go */
    uint64_t size;                /* of buffer */
    uint64_t deadline;            /* arch_clock(); UINT64_MAX: never; 0: do not wait */
    struct register_frame *frame; /* of a register call; NULL: memory only */
};

/* 0: *message is written; 1: the frame is; or -E_*. */
int64_t port_accept(struct port *port, const struct accept *where);
/* The rest of it for a worker that slept parked: woken with this result of its wait. */
int64_t port_accept_resume(struct port *port, const struct accept *where, int woken);

/* A copy goes in pieces, so that a caller who leaves waits for one piece at most. */
#define COPY_PIECE 65536u

/* A copy for which command->copying was raised is over. False: the caller has left meanwhile. Port locked. */
static inline bool command_copied(struct command *command, uint32_t generation)
{
    command->copying--;
    if (likely(command->generation == generation && command->state == COMMAND_ACCEPTED))
        return true;
    if (!command->copying && command->leaving)
        thread_wake(command->thread, 0, 0);
    return false;
}

/* Finds the command of result->token and moves its data and handles. After 0 the port is locked, and return_end
 * completes the command and unlocks. *status: what the caller gets. */
int64_t return_begin(struct port *port, const struct abi_return *result, struct transfer *transfers,
                     int64_t *status, struct command **command);
void return_end(struct port *port, struct command *command, const struct abi_return *result,
                const struct transfer *transfers, int64_t status, unsigned sched_flags);
/* The completion. Port locked. */
static inline void return_fill(struct command *command, const struct abi_return *result,
                               const struct transfer *transfers, int64_t status)
{
    struct completion *completion = command->completion;

    for (uint32_t i = 0; i < ARRAY_SIZE(completion->values); i++)
        completion->values[i] = result->values[i];
    for (uint32_t i = 0; i < result->handle_count; i++)
        completion->receive[i] = transfers[i];
    completion->receive_count = result->handle_count;
    if (command->request->op == OP_OPEN && command->file && !status && !result->handle_count)
        file_opened(command->file, command->server, result->values);
}

/* notify_lock held. */
static inline bool notifications_wait(const struct port *port)
{
    return !list_empty(&port->notifications) || port->soft_bits;
}

/* The caller becomes an idle worker. notify_lock held. */
static inline void worker_enlist(struct thread *self, struct port *port, struct server *server)
{
    worker_serve(&self->worker, port, server);
    worker_give(&self->worker, NULL);
    list_prepend(&port->workers, &self->worker.link);
}
