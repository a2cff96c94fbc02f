/* The ends of streams: making and closing them, their state, and what can be asked of one. See stream.h.
 *
 * Each direction is closed on its own (STREAM_SHUTDOWN), and both when the last handle of an end goes:
 *
 *     closed_in    nothing is sent any more (E_CLOSED): what is there is received, then 0 comes
 *     closed_out   the receiving end is gone, and what was there with it
 *
 * An end shows READABLE (bytes, or the end of them), WRITABLE (STREAM_ATOMIC bytes go, or E_CLOSED comes), ENDED
 * (closed_in) and, when nothing can come and nothing can go, HANGUP, and ERROR if it could once send. A change of the
 * state that an end shows is made under the pair's lock, and exact when that is free.
 */
#include "kernel/ipc/stream.h"

#include "abi/errors.h"
#include "kernel/account.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/wait.h"
#include "kernel/syscall.h"
#include "kernel/types.h"
#include "kernel/vmm/heap.h"

/* --- Waiting -------------------------------------------------------------------------------------------------- */

int stream_wait(struct lock *lock, struct list *waiters, uint64_t deadline)
{
    struct stream_waiter waiter = {.thread = thread_current()};

    list_append(waiters, &waiter.link);
    wait_prepare(WAIT_INTERRUPTIBLE);
    lock_release(lock);
    int error = wait_block(deadline);
    lock_acquire(lock);
    list_remove(&waiter.link);
    return error;
}

/* One that just gives up waiting does not look again: then it is the next one's turn. */
static inline void wake_first(struct list *waiters, unsigned sched_flags)
{
    struct stream_waiter *waiter;

    while ((waiter = list_first(waiters, struct stream_waiter, link))) {
        list_remove(&waiter->link);
        if (thread_wake(waiter->thread, 0, sched_flags))
            return;
    }
}

/* The other side stays on this CPU: it is sooner done than another CPU woken, and many small pieces become one. */
void stream_wake_one(struct list *waiters)
{
    wake_first(waiters, SCHED_SYNC);
}

void stream_wake_next(struct list *waiters, unsigned sched_flags)
{
    wake_first(waiters, sched_flags);
}

void stream_wake_all(struct list *waiters)
{
    list_for_each (struct stream_waiter, waiter, waiters, link) {
        list_remove(&waiter->link);
        thread_wake(waiter->thread, 0, SCHED_SYNC);
    }
}

/* --- State ---------------------------------------------------------------------------------------------------- */

static bool dead(const struct channel *channel)
{
    return channel->closed_in || channel->closed_out;
}

static void show(struct stream *end)
{
    const struct channel *in = end->in, *out = end->out;
    bool gone = dead(in) && dead(out);
    bool one_way = end->pair->flags & STREAM_ONE_WAY;
    bool first = end == &end->pair->end[0], reads = !one_way || first, sends = !one_way || !first;
    bool room = channel_room(out) >= STREAM_ATOMIC && out->cargo_count < CHANNEL_CARGO;

    object_show(&end->object, (reads && (channel_used(in) || in->closed_in) ? SIGNAL_READABLE : 0) |
                                  (reads && in->closed_in ? SIGNAL_ENDED : 0) |
                                  (sends && (room || dead(out)) ? SIGNAL_WRITABLE : 0) |
                                  (sends && gone ? SIGNAL_ERROR : 0) | (gone ? SIGNAL_HANGUP : 0));
}

void stream_update(struct stream_pair *pair)
{
    show(&pair->end[0]);
    show(&pair->end[1]);
}

void stream_discard(struct channel *channel, struct list *dropped)
{
    if (channel->sender || channel->receiver)
        return; /* who has a claim does it in the end */
    channel->head = channel->tail = 0;
    channel->cargo_count = 0;
    list_splice(dropped, &channel->cargo);
    ring_free(channel, 0);
    stream_wake_all(&channel->receive_waiters); /* those who waited for the claim */
}

static void close_in(struct channel *channel)
{
    channel->closed_in = true;
    stream_wake_all(&channel->send_waiters);
    stream_wake_all(&channel->receive_waiters);
}

static void close_out(struct channel *channel, struct list *dropped)
{
    channel->closed_out = true;
    stream_discard(channel, dropped);
    stream_wake_all(&channel->send_waiters);
    stream_wake_all(&channel->receive_waiters);
}

/* --- The object ----------------------------------------------------------------------------------------------- */

struct stream_pair *stream_pair_new(uint32_t flags)
{
    struct account *account = account_current();
    uint64_t self = process_current()->object.id;

    if (!account_take(account, QUOTA_MEMORY, sizeof(struct stream_pair)))
        return NULL;

    struct stream_pair *pair = heap_alloc(sizeof(*pair));

    if (!pair) {
        account_give(account, QUOTA_MEMORY, sizeof(*pair));
        return NULL;
    }
    pair->account = account;
    lock_init(&pair->lock, RANK_STREAM, "stream");
    pair->flags = flags;
    pair->ends = 2;
    for (uint32_t i = 0; i < 2; i++) {
        struct channel *channel = &pair->to[i];

        object_init(&pair->end[i].object, OBJECT_STREAM);
        vessel_init(&pair->end[i].vessel);
        pair->end[i].pair = pair;
        pair->end[i].in = channel;
        pair->end[i].out = &pair->to[!i];
        channel->to = &pair->end[i];
        channel->from = &pair->end[!i];
        pair->end[i].peer = self;
        list_init(&channel->send_waiters);
        list_init(&channel->receive_waiters);
        list_init(&channel->cargo);
    }
    lock_acquire(&pair->lock);
    if (flags & STREAM_ONE_WAY) /* end 0 never sends */
        pair->to[1].closed_in = pair->to[1].closed_out = true;
    stream_update(pair);
    lock_release(&pair->lock);
    return pair;
}

uint32_t stream_rights(const struct stream_pair *pair, uint32_t side)
{
    uint32_t both = RIGHT_WAIT | RIGHT_DUPLICATE | RIGHT_TRANSFER;

    if (pair->flags & STREAM_ONE_WAY)
        return both | (side == 0 ? RIGHT_READ : RIGHT_WRITE);
    return both | RIGHT_READ | RIGHT_WRITE;
}

int64_t sys_stream_pair(uint32_t flags, uaddr_t handles)
{
    if (flags & ~(STREAM_PACKETS | STREAM_ONE_WAY))
        return -E_INVALID;

    struct stream_pair *pair = stream_pair_new(flags);

    if (!pair)
        return -E_NO_MEMORY;
    return handle_return_two(&pair->end[0].object, stream_rights(pair, 0), &pair->end[1].object,
                             stream_rights(pair, 1), handles);
}

/* The last handle of an end is gone: nobody sends to the other, nobody receives from it. */
void stream_closed(struct object *object)
{
    struct stream *end = stream_of(object);
    struct stream_pair *pair = end->pair;
    struct list dropped = LIST_INIT(dropped);

    lock_acquire(&pair->lock);
    close_out(end->in, &dropped);
    close_in(end->out);
    stream_update(pair);
    lock_release(&pair->lock);
    cargo_free_all(&dropped);
}

bool stream_held(struct object *object, uint64_t *position, object_visitor *visit)
{
    (void)position;
    return vessel_held(&stream_of(object)->vessel, visit);
}

void stream_destroy(struct object *object)
{
    struct stream_pair *pair = stream_of(object)->pair;

    if (__atomic_fetch_sub(&pair->ends, 1, __ATOMIC_ACQ_REL) != 1)
        return;

    struct list dropped = LIST_INIT(dropped);

    stream_discard(&pair->to[0], &dropped);
    stream_discard(&pair->to[1], &dropped);
    struct account *account = pair->account;

    heap_free(pair);
    account_give(account, QUOTA_MEMORY, sizeof(*pair));
    cargo_free_all(&dropped);
}

bool stream_only_sends(struct object *object)
{
    const struct stream *end = stream_of(object);

    return end->pair->flags & STREAM_ONE_WAY && end == &end->pair->end[1];
}

uint32_t stream_flags(struct object *object, uint32_t mask, uint32_t value)
{
    struct stream *end = stream_of(object);

    lock_acquire(&end->pair->lock);
    uint32_t old = end->flags;
    __atomic_store_n(&end->flags, (old & ~mask) | (value & mask), __ATOMIC_RELAXED);
    lock_release(&end->pair->lock);
    return old;
}

/* --- stream_control --------------------------------------------------------------------------------------------- */

/* rights: the directions of this end, RIGHT_READ and RIGHT_WRITE. */
static int64_t shut_down(struct stream *end, uint64_t rights)
{
    struct stream_pair *pair = end->pair;

    if (!rights || (rights & ~(uint64_t)(RIGHT_READ | RIGHT_WRITE)))
        return -E_INVALID;
    if ((thread_current()->call_rights & rights) != rights)
        return -E_ACCESS;
    lock_acquire(&pair->lock);
    if (rights & RIGHT_READ)
        close_in(end->in); /* what is there already is still received */
    if (rights & RIGHT_WRITE)
        close_in(end->out);
    stream_update(pair);
    lock_release(&pair->lock);
    return 0;
}

/* What one receive could have at most: all bytes, or the first packet. */
static int64_t pending(struct stream *end)
{
    struct stream_pair *pair = end->pair;
    struct channel *in = end->in;

    lock_acquire(&pair->lock);
    uint64_t length = channel_used(in);
    if (length && (pair->flags & STREAM_PACKETS))
        length = ring_read_length(in, in->head);
    lock_release(&pair->lock);
    return (int64_t)length;
}

int64_t sys_stream_control(struct object *object, uint32_t op, uint64_t value)
{
    struct stream *end = stream_of(object);

    switch (op) {
    case STREAM_SHUTDOWN:
        return shut_down(end, value);
    case STREAM_PENDING:
        return pending(end);
    case STREAM_PEER:
        return (int64_t)end->peer;
    case STREAM_KIND:
        return end->pair->flags;
    default:
        return -E_INVALID;
    }
}
