/* A thread's part in proto_accept. While it waits there it is in port->workers; whoever takes it out of there wakes
 * it, under the port's notify_lock: with a command that is now its own, or with none, to look at the queues again. */
#pragma once

#include <stdint.h>

#include "lib/base/list.h"

struct command;
struct port;
struct server;

struct worker {
    struct list link; /* port->workers */
    struct port *port;
    struct server *server; /* gone when port->closed */
    struct command *delivered;
    uint32_t generation; /* of delivered, then */
};

/* inherit.c looks, without a lock, whom it works for and what it was woken with. */
static inline void worker_serve(struct worker *worker, struct port *port, struct server *server)
{
    worker->port = port;
    __atomic_store_n(&worker->server, server, __ATOMIC_RELAXED);
}

static inline void worker_give(struct worker *worker, struct command *command)
{
    __atomic_store_n(&worker->delivered, command, __ATOMIC_RELAXED);
}
