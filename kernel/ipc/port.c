/* Ports, their servers and workers: see port.h. */
#include "kernel/ipc/port.h"

#include "abi/errors.h"
#include "kernel/account.h"
#include "kernel/ipc/inherit.h"
#include "kernel/panic.h"
#include "kernel/proto/file.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/wait.h"
#include "kernel/syscall.h"
#include "kernel/types.h"
#include "kernel/vmm/heap.h"

static struct cache port_cache = CACHE_INIT("port", sizeof(struct port), 64);
static struct cache server_cache = CACHE_INIT("server", sizeof(struct server), 64);

/* --- Queues of commands ------------------------------------------------------------------------------ */

void command_queue_init(struct command_queue *queue)
{
    for (uint32_t i = 0; i < ARRAY_SIZE(queue->commands); i++)
        list_init(&queue->commands[i]);
}

void port_queue_command(struct port *port, struct command *command, bool front)
{
    struct server *server = command->server;
    struct command_queue *queue = server ? &server->queue : &port->queue;
    struct list *level = &queue->commands[command->priority];

    command->state = COMMAND_QUEUED;
    if (front)
        list_prepend(level, &command->link);
    else
        list_append(level, &command->link);
    queue->levels |= 1u << command->priority;
    queue->length++;
    if (port->queued++ == 0)
        object_signal(&port->object, SIGNAL_READABLE, 0);
    if (unlikely(command->priority != PRIORITY_FAIR))
        __atomic_store_n(&port->repress, true, __ATOMIC_RELAXED);
    if (server)
        server->unseen = true;
    else
        port_set_unseen(port);
}

void command_queue_remove(struct command_queue *queue, struct command *command)
{
    struct port *port = command->port;

    list_remove(&command->link);
    if (--port->queued == 0)
        object_signal(&port->object, 0, SIGNAL_READABLE);
    if (unlikely(command->priority != PRIORITY_FAIR))
        __atomic_store_n(&port->repress, true, __ATOMIC_RELAXED);
    if (list_empty(&queue->commands[command->priority]))
        queue->levels &= ~(1u << command->priority);
    queue->length--;
}

void command_queue_leave(struct command *command)
{
    struct server *server = command->server;

    command_queue_remove(server ? &server->queue : &command->port->queue, command);
    account_give(command->thread->process->account, QUOTA_COMMANDS, 1);
}

struct command *command_queue_first(const struct command_queue *queue)
{
    if (!queue->levels)
        return NULL;

    const struct list *level = &queue->commands[31 - __builtin_clz(queue->levels)];

    return list_first(level, struct command, link);
}

/* --- Workers ------------------------------------------------------------------------------------------- */

/* notify_lock held. */
static struct worker *take_worker(struct port *port, struct server *server)
{
    struct worker *chosen = NULL;

    list_for_each (struct worker, worker, &port->workers, link) {
        if (server && worker->server != server)
            continue;
        chosen = worker;
        if (thread_cpu(worker_thread(worker)) == cpu_self())
            break;
    }
    if (chosen)
        list_remove(&chosen->link);
    return chosen;
}

void worker_wake(struct worker *worker, struct command *command)
{
    struct thread *thread = worker_thread(worker);

    worker_give(worker, command);
    worker->generation = command->generation;
    inherit_wake(thread, command->priority);
    thread_wake(thread, 0, SCHED_HANDOFF);
}

bool port_deliver(struct port *port, struct server *server, struct command *command)
{
    lock_acquire(&port->notify_lock);
    struct worker *worker = take_worker(port, server);

    if (worker) {
        command->state = COMMAND_DELIVERED;
        command->server = worker->server;
        list_append(&worker->server->accepted, &command->link);
        worker_wake(worker, command);
    }
    lock_release(&port->notify_lock);
    return worker != NULL;
}

void port_wake_worker_locked(struct port *port, struct server *server)
{
    struct worker *worker;

    /* One whose wait has just ended otherwise leaves without looking: the next. */
    do
        worker = take_worker(port, server);
    while (worker && !thread_wake(worker_thread(worker), 0, 0));
}

void port_wake_worker(struct port *port, struct server *server)
{
    lock_acquire(&port->notify_lock);
    port_wake_worker_locked(port, server);
    lock_release(&port->notify_lock);
}

/* --- Servers ------------------------------------------------------------------------------------------- */

bool port_served(const struct port *port)
{
    return !list_empty(&port->servers);
}

bool server_there(const struct port *port, const struct server *server)
{
    list_for_each (struct server, other, &port->servers, port_link)
        if (other == server)
            return true;
    return false;
}

bool port_serves(struct port *port, const struct process *process)
{
    if (list_empty(
            &process->servers)) /* as nearly every process: it may be about to, as after our look */
        return false;
    lock_acquire(&port->lock);

    bool serves = server_of(port, process) != NULL;

    lock_release(&port->lock);
    return serves;
}

int server_get(struct port *port, struct process *process, struct server **result)
{
    lock_acquire(&port->lock);
    *result = server_of(port, process);
    lock_release(&port->lock);
    if (likely(*result))
        return 0;

    struct server *server = cache_alloc(&server_cache);

    if (!server)
        return -E_NO_MEMORY;
    object_get(&port->object);
    server->port = port;
    server->process = process;
    command_queue_init(&server->queue);
    list_init(&server->accepted);
    list_init(&server->cancels);
    list_init(&server->closings);

    lock_acquire(&process->lock);
    lock_acquire(&port->lock);
    bool closed = port->closed != 0;
    *result = server_of(port, process); /* another thread of the process may have come first */
    if (!*result && !closed) {
        *result = server;
        list_append(&port->servers, &server->port_link);
        list_append(&process->servers, &server->process_link);
        port->served_until = 0;
        object_signal(&port->object, SIGNAL_WRITABLE, 0);
        server = NULL;
    }
    lock_release(&port->lock);
    lock_release(&process->lock);
    if (server) {
        object_put(&port->object);
        cache_free(&server_cache, server);
    }
    return closed ? -E_CLOSED : 0;
}

/* Port locked. Commands go back to their callers, files are lost. */
static void server_drain(struct port *port, struct server *server)
{
    struct command *command;

    while ((command = list_first(&server->accepted, struct command, link)))
        command_complete(command, command_replayable(command) ? STATUS_RESEND : -E_RESTARTED, 0);
    while ((command = command_queue_first(&server->queue)))
        command_complete(command, STATUS_RESEND, 0);
    while ((command = list_first(&server->cancels, struct command, cancel_link)))
        command_cancelled(command);
    for (struct rb_node *node = rb_first(&port->files); node; node = rb_next(node)) {
        struct file *file = container_of(node, struct file, port_node);

        if (file->server == server)
            file_lost(file);
        arch_preempt_window();
    }
}

/* It is on its process's list no more. */
static void server_gone(struct server *server)
{
    struct port *port = server->port;
    struct command *command;
    struct list closings = LIST_INIT(closings);

    lock_acquire(&port->lock);
    list_remove(&server->port_link);
    server_drain(port, server);
    list_splice(&closings, &server->closings);
    if (!port_served(port)) {
        port->served_until = arch_clock();
        /* They come back at once and wait for the next instance, but no longer than the grace. */
        while ((command = command_queue_first(&port->queue)))
            command_complete(command, STATUS_RESEND, 0);
        object_signal(&port->object, 0, SIGNAL_WRITABLE);
    }
    lock_release(&port->lock);
    inherit_settle(port);

    list_for_each (struct file, file, &closings, close_link) {
        list_remove(&file->close_link);
        object_put(&file->object);
    }
    notify_process_gone(port, server->process);
    object_put(&port->object);
    cache_free(&server_cache, server);
}

void port_process_gone(struct process *process)
{
    for (;;) {
        lock_acquire(&process->lock);
        struct server *server = list_first(&process->servers, struct server, process_link);

        if (server)
            list_remove(&server->process_link);
        lock_release(&process->lock);
        if (!server)
            return;
        server_gone(server);
    }
}

/* --- The object ---------------------------------------------------------------------------------------- */

int port_new(struct port **result)
{
    struct account *account = account_current();

    if (!account_take(account, QUOTA_PORTS, 1))
        return -E_QUOTA;

    struct port *port = object_alloc_for(account, &port_cache, OBJECT_PORT, 0);

    if (!port) {
        account_give(account, QUOTA_PORTS, 1);
        return -E_NO_MEMORY;
    }
    lock_init(&port->lock, RANK_PORT, "port");
    lock_init(&port->notify_lock, RANK_NOTIFY, "notifications");
    command_queue_init(&port->queue);
    list_init(&port->servers);
    list_init(&port->workers);
    list_init(&port->bindings);
    list_init(&port->notifications);
    *result = port;
    return 0;
}

/* Takes one server off its process's list, for server_gone; false: there is none left. */
static bool take_server(struct port *port, struct server **server)
{
    lock_acquire(&port->lock);
    *server = list_first(&port->servers, struct server, port_link);
    struct process *process = *server ? (*server)->process : NULL;
    if (process)
        object_get(&process->object); /* it is not gone while its server is on the list */
    lock_release(&port->lock);
    if (!process)
        return false;

    struct server *mine = NULL;

    lock_acquire(&process->lock);
    list_for_each (struct server, other, &process->servers, process_link)
        if (other == *server)
            mine = other;
    if (mine)
        list_remove(&mine->process_link);
    lock_release(&process->lock);
    object_put(&process->object);
    *server = mine;
    return true;
}

/* Port locked: whatever was sent ends with what the port ended with. */
static void commands_end(struct port *port)
{
    int64_t status = -(int64_t)port->closed;
    struct command *command;

    while ((command = command_queue_first(&port->queue)))
        command_complete(command, status, 0);
    list_for_each (struct server, server, &port->servers, port_link) {
        while ((command = list_first(&server->accepted, struct command, link)))
            command_complete(command, status, 0);
        while ((command = command_queue_first(&server->queue)))
            command_complete(command, status, 0);
    }
}

/* Nobody can serve it again: those that sleep in accept leave it. The first error counts. */
static void port_end(struct port *port, uint32_t error)
{
    struct server *last;

    lock_acquire(&port->lock);
    if (!port->closed)
        port->closed = error;
    port_set_unseen(port);
    commands_end(port);
    lock_release(&port->lock);
    notify_port_closed(port);
    port_drop_kept(port);

    lock_acquire(&port->notify_lock);
    while (!list_empty(&port->workers))
        port_wake_worker_locked(port, NULL);
    lock_release(&port->notify_lock);
    while (take_server(port, &last)) {
        if (last)
            server_gone(last);
        else
            arch_spin_wait(); /* its dying process has it in hand */
    }
}

/* No handle and no namespace names it any more. */
void port_closed(struct object *object)
{
    port_end(container_of(object, struct port, object), E_SERVICE_DOWN);
}

int64_t sys_port_close(struct object *object, uint32_t error)
{
    if (error == 0 || error >= -STATUS_RESEND)
        return -E_INVALID;
    port_end(container_of(object, struct port, object), error);
    return 0;
}

void port_destroy(struct object *object)
{
    struct port *port = container_of(object, struct port, object);

    ASSERT(list_empty(&port->servers) && !port->files.root && !port->kept.root);
    notify_port_closed(port); /* bound while it closed */
    account_give(object->account, QUOTA_PORTS, 1);
    cache_free(&port_cache, port);
}
