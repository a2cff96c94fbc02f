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
