/* Listeners: where streams are connected to.
 *
 *     stream_listen(flags, backlog, handles)    handles[0] accepts, handles[1] connects
 *     stream_connect(handles[1], deadline)      a stream; the other end waits to be accepted
 *     stream_accept(handles[0], deadline)       that other end
 *
 * Names are a service's affair: whoever wants to be connected to gives the connecting handle to a service (unixd for
 * unix://), which hands out copies to those who open the name. Who has one may connect, and only that; and it is he
 * himself who connects, so each end knows the other's process.
 *
 *     accepting end gone:  connect is E_CLOSED, connections that were not accepted are closed, HANGUP | ERROR is shown
 *     connecting end gone: those that wait are still accepted, then accept is E_CLOSED and HANGUP is shown
 *
 * Lock: listener->lock (RANK_STREAM). A thread that connects has counted itself in `pending` before its connection is
 * made, so the backlog holds.
 */
#include "kernel/ipc/stream_listen.h"

#include "abi/errors.h"
#include "kernel/account.h"
#include "kernel/sched/wait.h"
#include "kernel/syscall.h"
#include "kernel/types.h"
#include "kernel/vmm/heap.h"

enum { ACCEPTS, CONNECTS };

struct listener_end {
    struct object object;
    struct listener *listener;
    uint32_t side;
};

struct listener {
    struct lock lock;
    struct listener_end end[2];
    struct account *account; /* of who listens, and pays for it */
    uint32_t ends;           /* alive; atomic */
    uint32_t flags;          /* STREAM_* of the streams */
    uint32_t accept_flags;   /* HANDLE_FLAG_* of the accepting end */
    uint64_t process;        /* id, of who listens */
    uint32_t backlog, pending;
    bool closed[2];
    struct list waiting; /* struct cargo: server's ends */
    struct list waiters[2];
    struct vessel vessel;
};

static struct listener_end *end_of(struct object *object)
{
    return container_of(object, struct listener_end, object);
}

struct vessel *listener_vessel(struct object *object)
{
    struct listener_end *end = end_of(object);

    return end->side == ACCEPTS ? &end->listener->vessel : NULL;
}

/* Listener locked. */
static void show(struct listener *listener)
{
    bool waiting = !list_empty(&listener->waiting), over = listener->closed[CONNECTS] && !waiting;
    bool refused = listener->closed[ACCEPTS], room = listener->pending < listener->backlog;

    object_show(&listener->end[ACCEPTS].object,
                (waiting ? SIGNAL_READABLE : 0) | (over ? SIGNAL_READABLE | SIGNAL_HANGUP : 0));
    object_show(&listener->end[CONNECTS].object, (room || refused ? SIGNAL_WRITABLE : 0) |
                                                     (refused ? SIGNAL_HANGUP | SIGNAL_ERROR : 0));
}

int64_t sys_stream_listen(uint32_t flags, uint32_t backlog, uaddr_t handles)
{
    const uint32_t rights = RIGHT_WAIT | RIGHT_DUPLICATE | RIGHT_TRANSFER;

    if (flags & ~STREAM_PACKETS)
        return -E_INVALID;

    struct account *account = account_current();
    bool paid = account_take(account, QUOTA_MEMORY, sizeof(struct listener));
    struct listener *listener = paid ? heap_alloc(sizeof(*listener)) : NULL;

    if (!listener) {
        if (paid)
            account_give(account, QUOTA_MEMORY, sizeof(*listener));
        return -E_NO_MEMORY;
    }
    listener->account = account;
    lock_init(&listener->lock, RANK_STREAM, "listener");
    listener->ends = 2;
    listener->flags = flags;
    listener->process = process_current()->object.id;
    listener->backlog = MIN(MAX(backlog, 1u), STREAM_BACKLOG_MAX);
    list_init(&listener->waiting);
    vessel_init(&listener->vessel);
    for (uint32_t i = 0; i < 2; i++) {
        object_init(&listener->end[i].object, OBJECT_LISTENER);
        listener->end[i].listener = listener;
        listener->end[i].side = i;
        list_init(&listener->waiters[i]);
    }
    lock_acquire(&listener->lock);
    show(listener);
    lock_release(&listener->lock);
    return handle_return_two(&listener->end[ACCEPTS].object, rights | RIGHT_ACCEPT,
                             &listener->end[CONNECTS].object, rights | RIGHT_SEND, handles);
}

int64_t listener_flags(struct object *object, uint32_t mask, uint32_t value)
{
    struct listener_end *end = end_of(object);
    struct listener *listener = end->listener;

    uint32_t packets = listener->flags & STREAM_PACKETS ? HANDLE_FLAG_PACKETS : 0;

    if (end->side != ACCEPTS)
        return mask ? -E_WRONG_TYPE : (int64_t)packets;
    lock_acquire(&listener->lock);
    uint32_t old = listener->accept_flags;
    listener->accept_flags = (old & ~mask) | (value & mask);
    lock_release(&listener->lock);
    return old | packets;
}

/* Until it may go on; `ready` says whether. Listener locked. */
static int wait_until(struct listener *listener, uint32_t side,
                      bool (*ready)(const struct listener *listener), int64_t deadline)
{
    while (!ready(listener)) {
        if (listener->closed[ACCEPTS] || (side == ACCEPTS && listener->closed[CONNECTS]))
            return -E_CLOSED;
        if (deadline == DEADLINE_NOW)
            return -E_AGAIN;
        int error = stream_wait(&listener->lock, &listener->waiters[side], wait_deadline(deadline));
        if (error)
            return error;
    }
    return 0;
}

/* --- Connecting ----------------------------------------------------------------------------------------------- */

static bool has_room(const struct listener *listener)
{
    return listener->pending < listener->backlog && !listener->closed[ACCEPTS];
}

/* One place in the backlog is free again. Listener locked. */
static void leave_backlog(struct listener *listener)
{
    listener->pending--;
    stream_wake_one(&listener->waiters[CONNECTS]);
    show(listener);
}

static int enter_backlog(struct listener *listener, int64_t deadline)
{
    lock_acquire(&listener->lock);
    int error = wait_until(listener, CONNECTS, has_room, deadline);
    if (!error) {
        listener->pending++;
        show(listener);
    }
    lock_release(&listener->lock);
    return error;
}

/* Both ends of a new stream: the client's, with one reference, and the server's in cargo. */
static int connection_new(struct listener *listener, struct stream **client, struct cargo **server)
{
    *server = cargo_new(1);

    struct stream_pair *pair = *server ? stream_pair_new(listener->flags) : NULL;

    if (!pair) {
        cargo_free(*server);
        return -E_NO_MEMORY;
    }

    struct object *accepted = &pair->end[1].object;

    pair->end[0].peer = listener->process;
    *client = &pair->end[0];
    object_handle_get(accepted);
    cargo_load_new(*server, accepted, stream_rights(pair, 1), &listener->vessel);
    object_put(accepted); /* the cargo's handle has a reference of its own */
    return 0;
}

/* The server's end waits to be accepted; false: nobody will. */
static bool enqueue(struct listener *listener, struct cargo *server)
{
    lock_acquire(&listener->lock);
    bool open = !listener->closed[ACCEPTS];
    if (open) {
        list_append(&listener->waiting, &server->link);
        stream_wake_one(&listener->waiters[ACCEPTS]);
        show(listener);
    }
    lock_release(&listener->lock);
    return open;
}

int64_t sys_stream_connect(struct object *object, int64_t deadline)
{
    struct listener *listener = end_of(object)->listener;
    struct stream *client;
    struct cargo *server;
    int64_t result = enter_backlog(listener, deadline);

    if (result)
        return result;
    result = connection_new(listener, &client, &server);
    if (!result) {
        /* The handle first: from when it is queued the connection can be accepted, and must be there. */
        result = handle_return(&client->object, stream_rights(client->pair, 0));
        if (result > 0 && enqueue(listener, server))
            return result;
        if (result > 0) {
            (void)!handle_remove(process_current()->handles, (handle_t)result);
            result = -E_CLOSED;
        }
        cargo_free(server);
    }
    lock_acquire(&listener->lock);
    leave_backlog(listener);
    lock_release(&listener->lock);
    return result;
}

/* --- Accepting ------------------------------------------------------------------------------------------------- */

static bool has_connection(const struct listener *listener)
{
    return !list_empty(&listener->waiting);
}

int64_t sys_stream_accept(struct object *object, int64_t deadline)
{
    struct listener *listener = end_of(object)->listener;
    uint32_t count = 1;
    handle_t handle;

    lock_acquire(&listener->lock);
    if (listener->accept_flags & HANDLE_FLAG_NONBLOCK)
        deadline = DEADLINE_NOW;
    int error = wait_until(listener, ACCEPTS, has_connection, deadline);
    struct cargo *server = error ? NULL : list_first(&listener->waiting, struct cargo, link);
    if (server) {
        list_remove(&server->link);
        show(listener);
    }
    lock_release(&listener->lock);
    if (!server)
        return error;

    error = cargo_unload(server, &handle, &count);

    lock_acquire(&listener->lock);
    bool back = error && !listener->closed[ACCEPTS];
    if (back) { /* no room in the caller's table: it stays the first */
        list_prepend(&listener->waiting, &server->link);
        stream_wake_one(&listener->waiters[ACCEPTS]);
        show(listener);
    } else {
        leave_backlog(listener);
    }
    lock_release(&listener->lock);
    if (!error)
        cargo_unload_done(server, 1);
    else if (!back)
        cargo_free(server);
    return error ? error : handle;
}

/* --- The end ------------------------------------------------------------------------------------------------------ */

void listener_closed(struct object *object)
{
    struct listener_end *end = end_of(object);
    struct listener *listener = end->listener;
    struct list dropped = LIST_INIT(dropped);

    lock_acquire(&listener->lock);
    listener->closed[end->side] = true;
    if (end->side == ACCEPTS)
        list_splice(&dropped, &listener->waiting);
    stream_wake_all(&listener->waiters[ACCEPTS]);
    stream_wake_all(&listener->waiters[CONNECTS]);
    show(listener);
    lock_release(&listener->lock);
    cargo_free_all(&dropped);
}

bool listener_held(struct object *object, uint64_t *position, object_visitor *visit)
{
    (void)position;
    return vessel_held(listener_vessel(object), visit);
}

void listener_destroy(struct object *object)
{
    struct listener *listener = end_of(object)->listener;

    if (__atomic_fetch_sub(&listener->ends, 1, __ATOMIC_ACQ_REL) != 1)
        return;

    struct account *account = listener->account;

    heap_free(listener);
    account_give(account, QUOTA_MEMORY, sizeof(*listener));
}
