/* Notifications: what a port is told without a caller. Bound sources (port_bind) and software bits (port_notify).
 *
 *     port_bind ---> IDLE --source signals--> FIRED (in port->notifications) --accepted--> IDLE
 *                                                                            BIND_ONCE --> freed
 *
 * Firing allocates nothing: the binding itself is the queue entry. It runs under the source's lock, in interrupts
 * too. Locks: the source's object lock (RANK_BINDING) for the watcher link, then port->notify_lock for the rest.
 */
#include "abi/errors.h"
#include "kernel/account.h"
#include "kernel/handle.h"
#include "kernel/ipc/hand_over.h"
#include "kernel/ipc/port.h"
#include "kernel/syscall.h"
#include "kernel/vmm/heap.h"

struct binding {
    struct watcher watcher;
    struct port *port;       /* no reference: the port frees its bindings when it closes */
    struct account *account; /* of that process: a reference */
    uint64_t owner;          /* id of the process that made it: it ends with its service */
    struct list port_link;   /* port->bindings */
    struct list fired_link;  /* port->notifications */
    uint32_t signals;        /* seen since it was last accepted */
    uint32_t flags;          /* BIND_* */
    uint64_t key;
};

static struct cache binding_cache = CACHE_INIT("binding", sizeof(struct binding), 16);
static uint64_t bindings_alive;

uint64_t binding_count(void)
{
    return __atomic_load_n(&bindings_alive, __ATOMIC_RELAXED);
}

static void binding_fire(struct watcher *watcher, uint32_t signals)
{
    struct binding *binding = container_of(watcher, struct binding, watcher);
    struct port *port = binding->port;

    lock_acquire(&port->notify_lock);
    if (list_linked(&binding->port_link)) { /* else it is being freed */
        binding->signals |= signals;
        if (!list_linked(&binding->fired_link))
            list_append(&port->notifications, &binding->fired_link);
        port_set_unseen(port);
        port_wake_worker_locked(port, NULL);
    }
    lock_release(&port->notify_lock);
}

/* After this it does not fire any more, and the port does not know it. */
static void binding_detach(struct binding *binding)
{
    struct object *source = binding->watcher.object;

    lock_acquire(&source->lock);
    list_remove(&binding->watcher.link);
    lock_acquire(&binding->port->notify_lock);
    list_remove(&binding->port_link);
    list_remove(&binding->fired_link);
    lock_release(&binding->port->notify_lock);
    lock_release(&source->lock);
}

void binding_free(struct binding *binding)
{
    if (!binding)
        return;

    struct account *account = binding->account;

    binding_detach(binding);
    object_put(binding->watcher.object);
    cache_free(&binding_cache, binding);
    account_give(account, QUOTA_BINDINGS, 1);
    account_put(account);
    __atomic_fetch_sub(&bindings_alive, 1, __ATOMIC_RELAXED);
}

/* The next notification into *message; a binding that is thereby done with goes to *finished for binding_free. */
bool notify_take_locked(struct port *port, struct abi_message *message, struct binding **finished)
{
    struct binding *binding = list_first(&port->notifications, struct binding, fired_link);

    if (binding) {
        list_remove(&binding->fired_link);
        message->kind = MESSAGE_NOTIFY;
        message->cookie = binding->key;
        message->args[0] = binding->signals;
        binding->signals = 0;
        if (binding->flags & BIND_ONCE && list_linked(&binding->port_link)) {
            list_remove(&binding->port_link); /* who takes it off the list frees it */
            *finished = binding;
        }
        return true;
    }
    if (port->soft_bits) {
        message->kind = MESSAGE_NOTIFY;
        message->cookie = 0;
        message->args[0] = port->soft_bits;
        port->soft_bits = 0;
        return true;
    }
    return false;
}

#define ANY_OWNER 0u

/* Takes one binding with this source and owner (NULL, ANY_OWNER: any) off the port's list for the caller to free. */
static struct binding *take_binding(struct port *port, const struct object *source, uint64_t owner)
{
    struct binding *found = NULL;

    lock_acquire(&port->notify_lock);
    list_for_each (struct binding, binding, &port->bindings, port_link) {
        if ((!source || binding->watcher.object == source) &&
            (owner == ANY_OWNER || binding->owner == owner)) {
            found = binding;
            list_remove(&binding->port_link);
            break;
        }
    }
    lock_release(&port->notify_lock);
    return found;
}

void notify_port_closed(struct port *port)
{
    struct binding *binding;

    while ((binding = take_binding(port, NULL, ANY_OWNER)))
        binding_free(binding);
}

void notify_process_gone(struct port *port, const struct process *process)
{
    struct binding *binding;

    while ((binding = take_binding(port, NULL, process->object.id)))
        binding_free(binding);
}

int64_t sys_port_bind(struct object *object, handle_t source_handle, uint32_t signals, uint64_t key,
                      uint32_t flags)
{
    struct port *port = container_of(object, struct port, object);
    struct object *source;

    if (flags & ~BIND_ONCE)
        return -E_INVALID;
    int error = handle_lookup(process_current()->handles, source_handle, OBJECT_ANY, RIGHT_WAIT,
                              &source, NULL);

    if (error)
        return error;
    if (source == object) {
        object_put(source);
        return -E_INVALID;
    }
    if (!signals) {
        struct binding *old = take_binding(port, source, ANY_OWNER);

        binding_free(old);
        object_put(source);
        return old ? 0 : -E_NOT_FOUND;
    }

    struct account *account = account_current();
    bool allowed = account_take(account, QUOTA_BINDINGS, 1);
    struct binding *binding = allowed ? cache_alloc(&binding_cache) : NULL;

    if (!binding) {
        object_put(source);
        if (allowed)
            account_give(account, QUOTA_BINDINGS, 1);
        return allowed ? -E_NO_MEMORY : -E_QUOTA;
    }
    binding->account = account_get(account);
    __atomic_fetch_add(&bindings_alive, 1, __ATOMIC_RELAXED);
    binding->watcher = (struct watcher){.object = source, .signals = signals, .fire = binding_fire};
    binding->port = port;
    binding->owner = process_current()->object.id;
    binding->key = key;
    binding->flags = flags;
    list_init(&binding->fired_link);

    lock_acquire(&source->lock);
    lock_acquire(&port->notify_lock);
    list_append(&port->bindings, &binding->port_link);
    lock_release(&port->notify_lock);
    uint32_t now = object_watch_locked(&binding->watcher);
    if (now)
        binding_fire(&binding->watcher, now);
    lock_release(&source->lock);
    return 0;
}

int64_t sys_port_notify(struct object *object, uint64_t bits)
{
    struct port *port = container_of(object, struct port, object);

    if (!bits)
        return 0;
    lock_acquire(&port->notify_lock);
    if (!hand_over_notification(port, bits)) {
        port->soft_bits |= bits;
        port_set_unseen(port);
        port_wake_worker_locked(port, NULL);
    }
    lock_release(&port->notify_lock);
    return 0;
}
