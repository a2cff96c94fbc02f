/* Ports: where services receive. A port with a name in a namespace is a protocol.
 *
 * A port outlives its services: its supervisor holds it. Each process that accepts on it is a `server` of the port, from its
 * first accept to its death. Commands wait in the port's queue (whoever is free takes them) or, when they concern
 * an open file, in the queue of the server that opened it. Workers are threads of servers that wait in
 * proto_accept.
 *
 *     port->queue ----------------+
 *     server->queue --------------+--> a worker of that server, by priority, then in order
 *     server->cancels, ->closings +
 *     port->notifications --------+
 *
 * When a server dies its commands go back to their callers, who send them again if that is harmless (command.c): to
 * another server, or to the port's queue until a new instance accepts. Its files are opened again by their next
 * use. See docs/ipc.md.
 * Locks: port->lock (RANK_PORT) for everything here and for the state of commands sent to the port;
 * port->notify_lock (RANK_NOTIFY) for notifications, which interrupts post, and for the idle workers they wake.
 */
#pragma once

#include "kernel/ipc/command.h"
#include "kernel/process.h"
#include "lib/base/rbtree.h"

/* Commands by priority: a FIFO per level, like the run queue's. */
struct command_queue {
    uint32_t levels;
    struct list commands[PRIORITY_MAX + 1];
    uint32_t length;
};

/* Once and for all: a port that keeps ports is kept by none (kept.c). */
enum port_role { PORT_PLAIN, PORT_KEEPER, PORT_KEPT };

struct port {
    struct object object;
    struct lock lock;
    struct command_queue queue;
    uint32_t queued; /* commands there and in the queues of all its servers: SIGNAL_READABLE */
    struct list servers;
    struct rb_tree files; /* struct file.port_node, by id */
    struct rb_tree kept;  /* struct kept, by key (kept.c) */
    uint32_t kept_count;
    enum port_role role; /* role_lock (kept.c) */
    uint32_t closed;     /* nobody can serve it any more: the error its commands end with; else 0 */
    bool unseen;  /* set with everything that a worker of any server may have to see to: commands in
                              `queue`, notifications, `closed`; cleared by a worker that finds nothing (both locks) */
    bool repress; /* the queues' highest priority may have changed: inherit_settle, which
                              looks without the lock */
    uint64_t served_until; /* when its last server died; 0: never had one or has one */

    struct lock notify_lock;
    struct list workers;       /* idle ones of every server, struct worker.link */
    struct list bindings;      /* every struct binding of the port */
    struct list notifications; /* bindings that fired */
    uint64_t soft_bits;        /* port_notify */
};

struct server {
    struct list port_link;    /* port->servers */
    struct list process_link; /* process->servers */
    struct port *port;        /* a reference */
    struct process *process;
    struct command_queue queue;
    struct list accepted; /* commands it has and has not returned */
    struct list cancels;  /* of those: cancellations it has not seen */
    struct list closings; /* files */
    uint32_t pressed;     /* the priority its workers have for what waits (inherit.c); port->lock */
    bool unseen;          /* as the port's, for what is this server's alone; port->lock */
};

/* One of the locks held: two may say so at once. */
static inline void port_set_unseen(struct port *port)
{
    __atomic_store_n(&port->unseen, true, __ATOMIC_RELAXED);
}

/* How long callers wait for a service that died. */
#define PORT_GRACE_NS UINT64_C(10000000000)

int port_new(struct port **port) MUST_CHECK;
/* The process is dead: nothing of it serves any port any more. */
void port_process_gone(struct process *process);

void command_queue_init(struct command_queue *queue);
/* port locked: into its server's queue, or the port's. Its account has QUOTA_COMMANDS charged until it is out again. */
void port_queue_command(struct port *port, struct command *command, bool front);
void command_queue_leave(struct command *command);
void command_queue_remove(struct command_queue *queue,
                          struct command *command); /* to be queued again: still charged */
struct command *command_queue_first(const struct command_queue *queue);

/* Give a command to an idle worker (of server; NULL: of any), best one of this CPU; false: all are busy. */
bool port_deliver(struct port *port, struct server *server, struct command *command);
/* An idle worker, out of port->workers, gets a command that is on its server's list. notify_lock held. */
void worker_wake(struct worker *worker, struct command *command);
static inline struct thread *worker_thread(struct worker *worker)
{
    return container_of(worker, struct thread, worker);
}
/* Make an idle worker (of server; NULL: of any) look at the queues. notify_lock held. */
void port_wake_worker_locked(struct port *port, struct server *server);
void port_wake_worker(struct port *port, struct server *server);
/* The process's server of the port, made if there is none. */
int server_get(struct port *port, struct process *process, struct server **server) MUST_CHECK;
bool port_served(const struct port *port);                               /* port locked */
bool server_there(const struct port *port, const struct server *server); /* port locked */

/* Port locked. NULL: it has not accepted yet. */
static inline struct server *server_of(const struct port *port, const struct process *process)
{
    list_for_each (struct server, server, &port->servers, port_link)
        if (likely(server->process == process))
            return server;
    return NULL;
}

/* Does the process accept on it? */
bool port_serves(struct port *port, const struct process *process);

/* kept.c: what the port keeps for its services to come. */
#define PORT_KEPT_MAX 65536u
void port_drop_kept(struct port *port);

/* port locked: what a token names, if a server of this process has it. */
static inline struct command *command_find(struct port *port, struct process *process,
                                           uint64_t token)
{
    uint32_t slot = (uint32_t)token;

    if (unlikely(slot >= __atomic_load_n(&command_slots_used, __ATOMIC_ACQUIRE)))
        return NULL;

    struct command *command = command_slots[slot / SLOT_CHUNK][slot % SLOT_CHUNK];

    /* port and state of a command change only under the lock of its port, which we hold if it is ours. */
    if (unlikely(__atomic_load_n(&command->port, __ATOMIC_RELAXED) != port ||
                 command->state != COMMAND_ACCEPTED || command->generation != token >> 32 ||
                 command->server->process != process))
        return NULL;
    return command;
}

/* notify.c */
struct binding;
struct abi_message;
bool notify_take_locked(struct port *port, struct abi_message *message, struct binding **finished);
void binding_free(struct binding *binding); /* NULL allowed */
void notify_port_closed(struct port *port);
void notify_process_gone(struct port *port, const struct process *process);
uint64_t binding_count(void);
