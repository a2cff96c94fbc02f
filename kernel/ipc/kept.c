/* Handles that a port keeps: what a service has promised, and what it must find again, outlives it here. Memory above
 * all; processes that procd and initd watch; the ports that initd holds.
 *
 *     memory_paged(port, size, key)       new memory with the port's service as its pager; kept
 *     port_keep(port, key, handle)        keep this, too; HANDLE_NONE: let go of what is kept under key
 *     port_kept(port, &kept)              one after the other, by key: what a new instance finds
 *
 * Only holders of the port with RIGHT_ACCEPT come to it: its services and their supervisor. A kept object counts as held
 * by a handle. When the port's last handle is gone nobody can come to serve any more, and what it keeps goes.
 * A port that keeps ports is kept by none, and what holds handles itself is not kept: namespaces, and the ends of streams
 * and listeners that receive; those that only send or connect are. So there are no circles of kept handles but through
 * processes (circle.c), and no chain of them ends on one kernel stack.
 * Locks: port->lock; role_lock, a leaf, for what a port is once and for all, PORT_KEEPER or PORT_KEPT.
 */
#include "abi/errors.h"
#include "kernel/account.h"
#include "kernel/handle.h"
#include "kernel/ipc/port.h"
#include "kernel/ipc/stream_listen.h"
#include "kernel/syscall.h"
#include "kernel/types.h"
#include "kernel/vmm/heap.h"
#include "kernel/vmm/pager.h"

struct kept {
    struct rb_node node;     /* port->kept */
    struct account *account; /* of who left it here: a reference */
    uint64_t key;
    struct transfer what;
};

static struct cache kept_cache = CACHE_INIT("kept", sizeof(struct kept), 16);
static struct lock role_lock = LOCK_INIT(RANK_NOTIFY, "ports that keep ports");

#define PAGED_RIGHTS \
    (RIGHT_READ | RIGHT_WRITE | RIGHT_EXECUTE | RIGHT_CONTROL | RIGHT_DUPLICATE | RIGHT_TRANSFER)

static struct port *port_of(struct object *object)
{
    return container_of(object, struct port, object);
}

/* The first with at least that key. Port locked. */
static struct kept *find_from(const struct port *port, uint64_t key)
{
    struct rb_node *node = port->kept.root;
    struct kept *best = NULL;

    while (node) {
        struct kept *kept = container_of(node, struct kept, node);

        if (key <= kept->key) {
            best = kept;
            node = node->left;
        } else {
            node = node->right;
        }
    }
    return best;
}

/* 0: it is in the tree. Port locked. */
static int insert(struct port *port, struct kept *kept)
{
    struct rb_node **place = &port->kept.root, *parent = NULL;

    if (port->closed)
        return -E_CLOSED;
    if (port->kept_count == PORT_KEPT_MAX)
        return -E_QUOTA;
    while (*place) {
        const struct kept *other = container_of(*place, struct kept, node);

        if (other->key == kept->key)
            return -E_EXISTS;
        parent = *place;
        place = kept->key < other->key ? &parent->left : &parent->right;
    }
    rb_insert(&port->kept, &kept->node, parent, place);
    port->kept_count++;
    return 0;
}

static void take_out(struct port *port, struct kept *kept)
{
    rb_remove(&port->kept, &kept->node);
    port->kept_count--;
}

static void kept_free(struct kept *kept)
{
    struct account *account = kept->account;

    transfer_drop(&kept->what, 1);
    cache_free(&kept_cache, kept);
    account_give(account, QUOTA_KEPT, 1);
    account_put(account);
}

static int become_keeper(struct port *keeper, struct port *other)
{
    lock_acquire(&role_lock);

    bool allowed = keeper != other && keeper->role != PORT_KEPT && other->role != PORT_KEEPER;

    if (allowed) {
        keeper->role = PORT_KEEPER;
        other->role = PORT_KEPT;
    }
    lock_release(&role_lock);
    return allowed ? 0 : -E_INVALID;
}

static int may_keep(struct port *port, struct object *object)
{
    switch (object->type) {
    case OBJECT_STREAM:
        return stream_only_sends(object) ? 0 : -E_NOT_SUPPORTED;
    case OBJECT_LISTENER:
        return listener_vessel(object) ? -E_NOT_SUPPORTED : 0;
    case OBJECT_NAMESPACE:
        return -E_NOT_SUPPORTED;
    case OBJECT_PORT:
        return become_keeper(port, port_of(object));
    default:
        return 0;
    }
}

/* what's interest is the callee's. */
static int keep(struct port *port, uint64_t key, struct transfer what)
{
    struct account *account = account_current();
    bool allowed = account_take(account, QUOTA_KEPT, 1);
    struct kept *kept = allowed ? cache_alloc(&kept_cache) : NULL;

    if (!kept) {
        transfer_drop(&what, 1);
        if (allowed)
            account_give(account, QUOTA_KEPT, 1);
        return allowed ? -E_NO_MEMORY : -E_QUOTA;
    }
    kept->account = account_get(account);
    kept->key = key;
    kept->what = what;
    lock_acquire(&port->lock);

    int error = insert(port, kept);

    lock_release(&port->lock);
    if (error)
        kept_free(kept);
    return error;
}

void port_drop_kept(struct port *port)
{
    struct rb_node *node;

    do {
        lock_acquire(&port->lock);
        node = rb_first(&port->kept);
        if (node)
            take_out(port, container_of(node, struct kept, node));
        lock_release(&port->lock);
        if (node)
            kept_free(container_of(node, struct kept, node));
    } while (node);
}

#define HELD_PIECE 128u

/* By key: what is kept or let go of meanwhile moves no other. */
bool port_held(struct object *object, uint64_t *position, object_visitor *visit)
{
    struct port *port = port_of(object);
    struct kept *kept;

    lock_acquire(&port->lock);
    kept = find_from(port, *position);
    for (uint32_t i = 0; i < HELD_PIECE && kept; i++) {
        visit(kept->what.object);
        *position = kept->key + 1;
        kept = *position ? find_from(port, *position) : NULL;
    }
    lock_release(&port->lock);
    return !kept;
}

/* --- Calls ------------------------------------------------------------------------------------------------ */

int64_t sys_memory_paged(struct object *object, uint64_t size, uint64_t key, uint32_t flags)
{
    struct memory *memory;

    if (flags)
        return -E_INVALID;

    int error = memory_new_paged(size, object, key, &memory);

    if (error)
        return error;
    object_handle_get(&memory->object);
    error = keep(port_of(object), key, (struct transfer){&memory->object, PAGED_RIGHTS});
    if (error) {
        object_put(&memory->object);
        return error;
    }

    int64_t handle = handle_return(&memory->object, PAGED_RIGHTS);

    if (handle < 0)
        (void)!sys_port_keep(object, key, HANDLE_NONE);
    return handle;
}

static int let_go(struct port *port, uint64_t key)
{
    lock_acquire(&port->lock);

    struct kept *kept = find_from(port, key);

    if (kept && kept->key != key)
        kept = NULL;
    if (kept)
        take_out(port, kept);
    lock_release(&port->lock);
    if (!kept)
        return -E_NOT_FOUND;
    kept_free(kept);
    return 0;
}

int64_t sys_port_keep(struct object *object, uint64_t key, handle_t handle)
{
    struct transfer what;

    if (handle == HANDLE_NONE)
        return let_go(port_of(object), key);

    int error = transfer_copy(process_current()->handles, handle, &what);

    if (error)
        return error;
    error = may_keep(port_of(object), what.object);
    if (!error)
        return keep(port_of(object), key, what);
    transfer_drop(&what, 1);
    return error;
}

static void describe_memory(struct object *object, struct abi_kept *answer)
{
    struct memory *memory = container_of(object, struct memory, object);

    lock_acquire(&memory->lock);
    if (!list_empty(&memory->regions))
        answer->flags |= KEPT_USED;
    lock_release(&memory->lock);
    if (memory->pager) {
        pager_restart(memory);
        answer->flags |= KEPT_PAGED;
    }
    answer->size = memory_size(memory);
}

/* KEPT_USED: others than the port hold it. Nobody can begin to without the service or one who does already. */
static void describe(struct object *object, struct abi_kept *answer)
{
    answer->size = 0;
    answer->flags = __atomic_load_n(&object->handles, __ATOMIC_RELAXED) > 1 ? KEPT_USED : 0;
    if (object->type == OBJECT_MEMORY)
        describe_memory(object, answer);
}

int64_t sys_port_kept(struct object *object, uaddr_t argument)
{
    struct port *port = port_of(object);
    struct abi_kept answer;
    int error = user_copy_in(&answer, argument, sizeof(answer));

    if (error)
        return error;
    if (answer.flags & ~KEPT_EXACT)
        return -E_INVALID;
    lock_acquire(&port->lock);

    struct kept *kept = find_from(port, answer.key);
    struct object *found = NULL;
    uint32_t rights = 0;

    if (kept && !(answer.flags & KEPT_EXACT && kept->key != answer.key)) {
        found = kept->what.object;
        rights = kept->what.rights;
        answer.key = kept->key;
        object_get(found);
    }
    lock_release(&port->lock);
    if (!found)
        return -E_NOT_FOUND;

    describe(found, &answer);

    int64_t handle = handle_return(found, rights);

    if (handle < 0)
        return handle;
    answer.handle = (handle_t)handle;
    error = user_copy_out(argument, &answer, sizeof(answer));
    if (error)
        (void)!handle_remove(process_current()->handles, answer.handle);
    return error;
}
