/* Handing over with a stack that stays: see hand_over.h. */
#include "kernel/ipc/hand_over.h"

#include "kernel/ipc/short.h"

#include ARCH_HAND_OVER

/* The worker is woken with the command, unless that has completed: its server died, or another thread of it guessed the token. */
static void deliver_claimed(struct thread *thread, struct command *command)
{
    struct port *port = command->port;

    lock_acquire(&port->lock);
    if (command->state == COMMAND_ACCEPTED) {
        command->state = COMMAND_DELIVERED;
        command->priority = thread_priority(command->thread);
        command->deadline = UINT64_MAX;
        command->trace = command_trace(command->thread, command);
        worker_give(&thread->worker, command);
        thread->worker.generation = command->generation;
    }
    lock_release(&port->lock);
    list_init(&thread->worker.link); /* it will take itself off the list */
}

void unclaim(struct thread *thread, struct command *command)
{
    if (command)
        deliver_claimed(thread, command);
    lock_acquire(&thread->lock);
    thread->wait_result = 0;
    sched_ready(thread, SCHED_HANDOFF);
    lock_release(&thread->lock);
}

static void become(struct cpu *cpu, struct thread *next)
{
    next->on_cpu = 1;
    cpu->current = next;
    cpu->context_switches++;
}

/* Whether its message is one of registers. */
static bool is_short(const struct request *request)
{
    return !request->send_count && request->deadline == UINT64_MAX &&
           (request->path_length + request->in_length) <= UINT32_MAX &&
           request->out_length <= UINT32_MAX;
}

/* The first idle worker, if it is parked here and serves what the command concerns. Port and notify_lock held. */
static struct thread *worker_here(const struct port *port, const struct cpu *cpu,
                                  const struct request *request, const struct file *file)
{
    struct worker *worker = list_first(&port->workers, struct worker, link);

    if (!worker || thread_cpu(worker_thread(worker)) != cpu ||
        !thread_parked_call(worker_thread(worker)))
        return NULL;
    return !file || request->op == OP_OPEN || worker->server == file->server ? worker_thread(worker)
                                                                             : NULL;
}

/* Port and notify_lock held. The worker's frame, claimed; NULL: it is awake and finds the command by itself. */
static struct register_frame *send_to(struct thread *thread, struct command *command,
                                      struct port *port, struct file *file, uint32_t wait_flags)
{
    struct cpu *cpu = cpu_self();
    struct thread *self = command->thread;
    struct worker *worker = &thread->worker;

    list_remove(&worker->link);
    command->port = port;
    command->server = worker->server;
    command->file = file;
    command->priority = thread_priority(self);
    command->deadline = UINT64_MAX; /* who is lent one is not quiet */
    command->trace = command_trace(self, command);
    thread_set_trace(thread, command->trace);
    list_append(&worker->server->accepted, &command->link);
    cpu->commands++;
    wait_park(self, NULL, wait_flags);

    struct register_frame *frame = claim(thread, self, cpu);

    command->state = frame ? COMMAND_ACCEPTED : COMMAND_DELIVERED;
    if (unlikely(!frame)) {
        /* Once more, behind the fence of the claim, as inherit.c wants it of who sends. */
        command->priority = thread_priority(self);
        list_init(&worker->link); /* likewise */
        worker_wake(worker, command);
    }
    return frame;
}

/* The caller's bytes into the worker's buffer, as short.c does it: the path first, then the in window. */
static bool windows_ready(const struct thread *worker, const struct register_frame *frame,
                          const struct request *request)
{
    struct space *space = worker->process->space;
    uint64_t path = MIN(request->path_length, frame->r13);
    uint64_t length = MIN(request->in_length, frame->r13 - path);
    uaddr_t to = UADDR(frame->r12 + path);

    if (path && unlikely(space_write_nofault(space, UADDR(frame->r12), request->path, path)))
        return false;
    if (likely(!length))
        return true;
    if (request->registers)
        return space_write_nofault(space, to, request->registers, length) == 0;
    return space_copy_to_nofault(space, to, request->in, length) == 0;
}

bool hand_over_command(struct command *command, struct request *request, struct port *port,
                       struct file *file, uint32_t wait_flags, int *woken)
{
    struct cpu *cpu = cpu_self();
    struct thread *self = command->thread, *worker;
    struct register_frame *frame = NULL;

    if (unlikely(!quiet(cpu, self)) || !is_short(request))
        return false;
    lock_acquire(&port->lock);
    lock_acquire(&port->notify_lock);
    worker = worker_here(port, cpu, request, file);
    if (worker) {
        command->request = request;
        frame = send_to(worker, command, port, file, wait_flags);
    }
    lock_release(&port->notify_lock);
    lock_release(&port->lock);
    if (!worker)
        return false;
    /* work: once more, behind the fence of the claim. */
    if (likely(frame && !thread_has_work(self, WORK_ANY) &&
               windows_ready(worker, frame, request))) {
        short_message(frame, command);
        object_put(&port->object); /* the worker's hold: its call is over */
        become(cpu, worker);
        arch_hand_over_stack(cpu, self, worker, frame);
        *woken = self->wait_result;
        return true;
    }
    if (frame)
        unclaim(worker, command);
    *woken = wait_parked_call();
    return true;
}

bool hand_over_notification(struct port *port, uint64_t bits)
{
    const struct cpu *cpu = cpu_self();
    struct worker *worker = list_first(&port->workers, struct worker, link);
    struct thread *thread = worker ? worker_thread(worker) : NULL;

    if (!thread || thread_cpu(thread) != cpu)
        return false;
    lock_acquire(&thread->lock);

    struct register_frame *frame = thread_parked_call(thread);
    bool mine = frame && sched_allowed(thread, cpu);

    if (likely(mine)) {
        list_remove(&worker->link);
        thread_set_parked_call(thread, NULL);
        thread_wait_over(thread);
        short_notification(frame, bits);
        thread->answered = frame;
        arch_park(thread, frame);
        sched_ready(thread, SCHED_SYNC);
    }
    lock_release(&thread->lock);
    if (likely(mine))
        object_put(&port->object);
    return mine;
}

/* As claim, for a thread that waits in the kernel. */
static bool claim_waiting(struct thread *thread, const struct thread *self, const struct cpu *cpu)
{
    lock_acquire(&thread->lock);
    bool mine = thread_waits(thread) &&
                __atomic_load_n(&thread->state, __ATOMIC_RELAXED) == THREAD_BLOCKED &&
                thread_cpu(thread) == cpu && claimable(thread, self, cpu);
    if (likely(mine)) {
        thread_set_parked_call(thread, NULL);
        thread_wait_over(thread);
        thread->wait_result = 0;
        thread_set_state(thread, THREAD_RUNNING);
    }
    lock_release(&thread->lock);
    return mine;
}

bool hand_over_answer(struct port *port, struct command *command, struct register_frame *frame,
                      const struct abi_return *result, int64_t status)
{
    struct cpu *cpu = cpu_self();
    struct thread *self = thread_current(), *client = command->thread;

    if (!claim_waiting(client, self, cpu))
        return false;
    return_fill(command, result, NULL, status);
    command_done(command, status);
    lock_release(&port->lock);
    if (unlikely(thread_has_work(self, WORK_ANY))) { /* once more, behind the fence of the claim */
        unclaim(client, NULL);
        return true;
    }
    become(cpu, client);
    arch_hand_over(cpu, self, frame, client);
    arch_resume_stack(client, &self->on_cpu);
}
