/* Inheritance along chains of calls: see inherit.h.
 *
 *     thread->priority = the highest of  own_priority   what it was given
 *                                        served         that of the command it accepted last, until it returned it
 *                                        pressed        the highest that waits for it: in its server's queue, or the port's
 *     thread->limit    = the deadline of the command it accepted last; none of its own commands outlasts it
 *
 * So who has a high priority waits for no one of middle priority: not with its command in a worker's hands, not in a queue behind
 * others (each worker that could take it next is pressed), and not when those workers wait for another service in their turn, for
 * the command of a thread that waits has the thread's priority at all times:
 *
 *     client 20 --queued--> worker of A, pressed to 20 --its command, accepted--> worker of B, served 20
 *
 * A change ripples along such a chain, thread by thread: it is applied to a thread under its lock, and the command that the thread
 * waits with follows. What raised a priority lowers it again when it goes: the command is taken, withdrawn, or changes itself.
 *
 *     the thread sends                       another changes its priority
 *     command->priority = priority           priority = new; thread->lock
 *     waiting = armed; full fence            waiting? then the command follows
 *     priority != command->priority?
 *       then the command follows
 *
 * Which thread works on a command is found by the trace id that both bear: those who bear the same one work for the same client.
 * What is `borrowed` keeps a thread from short calls (thread->attention), so these know nothing of all this.
 *
 * Locks: inherit_lock (RANK_INHERIT), one ripple at a time; served, pressed, limit and borrowed under thread->lock.
 */
#include "kernel/ipc/inherit.h"

#include "kernel/sched/sched.h"
#include "kernel/sched/wait.h"

/* Threads in a ripple: more come together only where calls wait for each other in a circle, which nothing helps. */
#define RIPPLE_MAX 4096u

static struct lock inherit_lock = LOCK_INIT(RANK_INHERIT, "inheritance");
static struct list ripple =
    LIST_INIT(ripple); /* struct thread.ripple_link, each with a reference */

static uint32_t queue_top(const struct command_queue *queue)
{
    return queue->levels ? 31u - (uint32_t)__builtin_clz(queue->levels) : PRIORITY_FAIR;
}

/* The highest priority of the commands that wait for one of the server's workers. Port locked. */
static uint32_t pressure(const struct port *port, const struct server *server)
{
    uint32_t own = queue_top(&server->queue), any = queue_top(&port->queue);

    return MAX(own, any);
}

/* --- One thread; its lock held ------------------------------------------------------------------------------- */

static void set_served(struct thread *thread, uint32_t priority)
{
    __atomic_store_n(&thread->served, priority, __ATOMIC_RELAXED);
}

static void set_pressed(struct thread *thread, uint32_t priority)
{
    __atomic_store_n(&thread->pressed, priority, __ATOMIC_RELAXED);
}

/* Whether its priority changed. */
static bool apply(struct thread *thread)
{
    uint32_t lent = MAX(thread->served, thread->pressed);
    uint32_t priority = MAX(thread->own_priority, lent);
    bool changed = priority != thread_priority(thread);

    /* Even what its own priority covers: that may be lowered, and no short call gives back. */
    __atomic_store_n(&thread->borrowed, lent || thread->limit != UINT64_MAX, __ATOMIC_RELAXED);
    if (changed)
        sched_set_priority(thread, priority, thread_weight(thread));
    return changed;
}

/* What presses the server and has not pressed its workers yet is about to (inherit_settle). */
void inherit_lend(const struct server *server, const struct command *command)
{
    struct thread *self = thread_current();

    lock_acquire(&self->lock);
    set_served(self, command->priority);
    set_pressed(self, server->pressed);
    self->limit = command->deadline;
    apply(self);
    lock_release(&self->lock);
}

void inherit_take_back(struct thread *self)
{
    lock_acquire(&self->lock);
    set_served(self, PRIORITY_FAIR);
    self->limit = UINT64_MAX;
    apply(self);
    lock_release(&self->lock);
}

void inherit_relieve(struct thread *self)
{
    lock_acquire(&self->lock);
    set_pressed(self, PRIORITY_FAIR);
    apply(self);
    lock_release(&self->lock);
}

void inherit_raise(struct thread *thread, uint32_t priority)
{
    lock_acquire(&thread->lock);
    set_served(thread, priority);
    apply(thread);
    lock_release(&thread->lock);
}

/* --- Ripples; inherit_lock held ------------------------------------------------------------------------------- */

/* Its lock held. */
static void changed(struct thread *thread)
{
    if (list_linked(&thread->ripple_link))
        return;
    object_get(&thread->object);
    list_append(&ripple, &thread->ripple_link);
}

/* Sleeps in a short accept: it must stay claimable, and gets what is due with its next command. A parked caller has sent its own
 * before it waits. Its lock held. */
static bool idle(const struct thread *thread)
{
    return thread_waits(thread) && thread_parked_call(thread) &&
           !__atomic_load_n(&thread->command->port, __ATOMIC_RELAXED);
}

/* Whoever of the process works for the command with this trace, or was woken with it. */
static void serve(struct process *process, uint64_t trace, const struct command *command,
                  uint32_t priority)
{
    lock_acquire(&process->lock);
    list_for_each (struct thread, thread, &process->threads, sibling) {
        if (thread_trace(thread) != trace &&
            __atomic_load_n(&thread->worker.delivered, __ATOMIC_RELAXED) != command)
            continue;
        lock_acquire(&thread->lock);
        set_served(thread, idle(thread) ? PRIORITY_FAIR : priority);
        if (apply(thread))
            changed(thread);
        lock_release(&thread->lock);
    }
    lock_release(&process->lock);
}

static void press_workers(struct process *process, const struct server *server, uint32_t priority)
{
    lock_acquire(&process->lock);
    list_for_each (struct thread, thread, &process->threads, sibling) {
        if (__atomic_load_n(&thread->worker.server, __ATOMIC_RELAXED) != server)
            continue;
        lock_acquire(&thread->lock);
        set_pressed(thread, idle(thread) ? PRIORITY_FAIR : priority);
        if (apply(thread))
            changed(thread);
        lock_release(&thread->lock);
    }
    lock_release(&process->lock);
}

/* A server of the port that is pressed otherwise than it should be; its process, referred to. Port locked. */
static struct server *find_unsettled(struct port *port, struct process **process)
{
    list_for_each (struct server, server, &port->servers, port_link) {
        uint32_t priority = pressure(port, server);

        if (server->pressed == priority)
            continue;
        server->pressed = priority;
        *process = server->process;
        object_get(&(*process)->object);
        return server;
    }
    return NULL;
}

static void press(struct port *port)
{
    struct server *server;

    do {
        struct process *process;
        uint32_t priority = 0;

        lock_acquire(&port->lock);
        __atomic_store_n(&port->repress, false, __ATOMIC_RELAXED);
        server = find_unsettled(port, &process);
        if (server)
            priority = server->pressed;
        lock_release(&port->lock);
        if (server) {
            press_workers(process, server, priority);
            object_put(&process->object);
        }
    } while (server);
}

/* Where the thread's command is, while it waits there; referred to. */
static struct port *waits_at(struct thread *thread, uint32_t *priority)
{
    struct port *port = NULL;

    lock_acquire(&thread->lock);
    if (thread_waits(thread))
        port = __atomic_load_n(&thread->command->port, __ATOMIC_RELAXED);
    if (port) /* its caller keeps it, and cannot go on while its lock is held */
        object_get(&port->object);
    *priority = thread_priority(thread);
    lock_release(&thread->lock);
    return port;
}

static void follow(struct thread *thread)
{
    struct command *command = thread->command;
    struct process *process = NULL;
    uint64_t trace = 0;
    uint32_t priority;
    struct port *port = waits_at(thread, &priority);

    if (!port)
        return;
    lock_acquire(&port->lock);
    if (command->port == port && command->state == COMMAND_QUEUED &&
        command->priority != priority) {
        command_queue_remove(command->server ? &command->server->queue : &port->queue, command);
        __atomic_store_n(&command->priority, priority, __ATOMIC_RELAXED);
        port_queue_command(port, command, false);
    } else if (command->port == port &&
               (command->state == COMMAND_DELIVERED || command->state == COMMAND_ACCEPTED)) {
        __atomic_store_n(&command->priority, priority, __ATOMIC_RELAXED);
        trace = command_trace(thread, command);
        process = command->server->process;
        object_get(&process->object);
    }
    lock_release(&port->lock);
    if (process) {
        serve(process, trace, command, priority);
        object_put(&process->object);
    }
    press(port);
    object_put(&port->object);
}

static void run_ripple(void)
{
    struct thread *thread;

    for (uint32_t i = 0; (thread = list_first(&ripple, struct thread, ripple_link)); i++) {
        list_remove(&thread->ripple_link);
        if (i < RIPPLE_MAX)
            follow(thread);
        object_put(&thread->object);
        arch_preempt_window();
    }
}

/* --- What starts them ------------------------------------------------------------------------------------------ */

void inherit_press(struct port *port)
{
    lock_acquire(&inherit_lock);
    press(port);
    run_ripple();
    lock_release(&inherit_lock);
}

void inherit_follow(struct thread *thread)
{
    lock_acquire(&inherit_lock);
    follow(thread);
    run_ripple();
    lock_release(&inherit_lock);
}

void inherit_left(struct process *process, uint64_t trace, const struct command *command)
{
    lock_acquire(&inherit_lock);
    serve(process, trace, command, PRIORITY_FAIR);
    run_ripple();
    lock_release(&inherit_lock);
}

void inherit_set_own(struct thread *thread, uint32_t priority)
{
    lock_acquire(&thread->lock);
    __atomic_store_n(&thread->own_priority, priority, __ATOMIC_RELAXED);
    bool changed = apply(thread);
    lock_release(&thread->lock);
    if (changed)
        inherit_follow(thread);
}
