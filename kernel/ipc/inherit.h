/* What a worker inherits from those it works for: priority and deadline. See inherit.c.
 *
 *     inherit_begin(server, command)         the caller has accepted it; port locked
 *     inherit_end(self)                      it is returned, or the caller accepts again
 *     inherit_idle(self)                     the caller found nothing to do
 *     inherit_wake(thread, priority)         a worker is woken with a command of that priority
 *     inherit_settle(port)                   after the port was unlocked: if its queues have changed, its workers hear of it
 *     inherit_follow(thread)                 its priority has changed: so does that of what it waits for
 */
#pragma once

#include "kernel/ipc/port.h"

void inherit_lend(const struct server *server, const struct command *command);
void inherit_take_back(struct thread *self);
void inherit_relieve(struct thread *self);
void inherit_raise(struct thread *thread, uint32_t priority);
void inherit_press(struct port *port);
void inherit_follow(struct thread *thread);
/* thread_control: its own priority. */
void inherit_set_own(struct thread *thread, uint32_t priority);

/* The caller leaves a command of this process's unfinished: nobody waits for what works on it. */
void inherit_left(struct process *process, uint64_t trace, const struct command *command);

static inline uint32_t thread_served(const struct thread *thread)
{
    return __atomic_load_n(&thread->served, __ATOMIC_RELAXED);
}

static inline uint32_t thread_pressed(const struct thread *thread)
{
    return __atomic_load_n(&thread->pressed, __ATOMIC_RELAXED);
}

/* No locks held. */
static inline void inherit_settle(struct port *port)
{
    if (unlikely(__atomic_load_n(&port->repress, __ATOMIC_RELAXED)))
        inherit_press(port);
}

static inline void inherit_begin(const struct server *server, const struct command *command)
{
    struct thread *self = thread_current();

    thread_set_trace(self, command->trace);
    if (unlikely(
            (command->priority | server->pressed | thread_served(self) | thread_pressed(self)) ||
            (command->deadline & self->limit) != UINT64_MAX))
        inherit_lend(server, command);
}

static inline void inherit_end(struct thread *self)
{
    if (unlikely(thread_served(self) || self->limit != UINT64_MAX))
        inherit_take_back(self);
}

static inline void inherit_idle(struct thread *self)
{
    if (unlikely(thread_pressed(self)))
        inherit_relieve(self);
}

static inline void inherit_wake(struct thread *thread, uint32_t priority)
{
    if (unlikely(priority > thread_priority(thread)))
        inherit_raise(thread, priority);
}
