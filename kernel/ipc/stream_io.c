/* Sending and receiving. See stream.h.
 *
 * Most of what goes through streams is a few bytes without cargo: the calls first try that, under the lock alone
 * (send_small, receive_small). What they cannot do goes the long way, with a claim and the copy outside the lock.
 *
 * Bytes and handles that were sent together are received together; who sent is known to the byte. So a piece that is
 * received starts at the latest where the next cargo rides. A pipe does not tell its senders apart.
 */
#include "abi/errors.h"
#include "kernel/ipc/stream.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/wait.h"
#include "kernel/syscall.h"
#include "kernel/vmm/heap.h"

static uint64_t own_id(void)
{
    return process_current()->object.id;
}

/* --- What both change; pair locked ------------------------------------------------------------------------------ */

/* `length` more bytes are in the ring. */
static void sent(struct stream_pair *pair, struct channel *channel, uint64_t length)
{
    struct object *receiver = &channel->to->object;

    channel->tail += length;
    if (!list_empty(&channel->receive_waiters))
        stream_wake_one(&channel->receive_waiters);
    if (likely(channel_room(channel) >= STREAM_ATOMIC && channel->cargo_count < CHANNEL_CARGO))
        object_show(receiver, receiver->signals | SIGNAL_READABLE);
    else
        stream_update(pair);
}

/* Nothing comes any more; or another thread has closed this end. */
static bool ended(const struct channel *channel)
{
    return channel->closed_in || channel->closed_out;
}

/* The claim is free: the next one takes what is left; if that was all for ever, whoever waited for the claim learns it. */
static NOINLINE void wake_receivers(struct channel *channel)
{
    if (channel_used(channel))
        stream_wake_one(&channel->receive_waiters);
    else if (ended(channel))
        stream_wake_all(&channel->receive_waiters);
}

/* The claim is free, there is more room, or another is the first in line: it may be its turn. */
static NOINLINE void wake_sender(struct channel *channel)
{
    struct stream_waiter *first = list_first(&channel->send_waiters, struct stream_waiter, link);

    if (first && !channel->sender && channel_room(channel) >= first->wanted)
        thread_wake(first->thread, 0, SCHED_SYNC);
}

/* `length` bytes are taken out of it. */
static void received(struct stream_pair *pair, struct channel *channel, uint64_t length)
{
    struct object *receiver = &channel->to->object;

    channel->head += length;
    if (channel->head == channel->tail && !channel->sender) {
        if (channel->tail > CHANNEL_SIZE / 4)
            ring_free(channel, CHANNEL_PAGES / 4);
        channel->head = channel->tail = 0;
    }
    if (!list_empty(&channel->receive_waiters))
        wake_receivers(channel);
    if (!list_empty(&channel->send_waiters) &&
        ((pair->flags & STREAM_PACKETS) || channel_room(channel) >= STREAM_ATOMIC))
        wake_sender(channel);
    if (unlikely(!(channel->from->object.signals & SIGNAL_WRITABLE)))
        stream_update(pair);
    else if (!channel_used(channel) && !channel->closed_in)
        object_show(receiver, receiver->signals & ~SIGNAL_READABLE);
}

/* --- Calls ------------------------------------------------------------------------------------------------------- */

struct stream_call {
    struct stream *end;
    struct stream_pair *pair;
    struct channel *channel;
    uint32_t flags;
    uaddr_t data;
    uint64_t length;
    uint64_t deadline;
    bool nonblock;
    uaddr_t message_at; /* 0: there is none */
    struct abi_stream_message message;
    handle_t handles[STREAM_HANDLES];
};

static bool waits_not(const struct stream *end, int64_t deadline)
{
    return deadline == DEADLINE_NOW ||
           (__atomic_load_n(&end->flags, __ATOMIC_RELAXED) & HANDLE_FLAG_NONBLOCK);
}

/* end, channel, data, length and message_at are set. */
static int call_begin(struct stream_call *call, uint32_t flags, int64_t deadline)
{
    int error = 0;

    if (call->length && !user_range_ok(call->data, call->length))
        return -E_FAULT;
    call->pair = call->end->pair;
    call->flags = flags;
    call->deadline = wait_deadline(deadline);
    call->nonblock = waits_not(call->end, deadline);
    call->message.handle_count = 0;
    if (call->message_at.value)
        error = user_copy_in(&call->message, call->message_at, sizeof(call->message));
    if (!error && call->message.handle_count > STREAM_HANDLES)
        error = -E_TOO_LONG;
    return error;
}

/* --- Sending ------------------------------------------------------------------------------------------------------ */

/* Whether the bytes need cargo that says who sent them. */
static bool sender_changes(const struct stream_pair *pair, const struct channel *channel)
{
    return !(pair->flags & STREAM_ONE_WAY) && channel_used(channel) &&
           channel->last_sender != own_id();
}

static void note_sender(struct channel *channel)
{
    channel->last_sender = own_id();
    if (!channel_used(channel))
        channel->first_sender = channel->last_sender;
}

/* All of it, or nothing if it cannot be done like this. */
static bool send_small(struct stream *end, uaddr_t data, uint64_t length)
{
    struct stream_pair *pair = end->pair;
    struct channel *channel = end->out;
    bool done = false;

    lock_acquire(&pair->lock);
    if (likely(!(pair->flags & STREAM_PACKETS) && !channel->closed_in && !channel->closed_out &&
               !channel->sender && channel_room(channel) >= length &&
               !sender_changes(pair, channel)) &&
        ring_copy_small(channel, channel->tail, data, length, RING_IN)) {
        note_sender(channel);
        sent(pair, channel, length);
        done = true;
    }
    lock_release(&pair->lock);
    return done;
}

/* Whether it may claim the channel now: pair locked. */
static bool may_send(const struct stream_call *call, const struct stream_waiter *place)
{
    struct channel *channel = call->channel;
    bool cargo = call->message.handle_count || sender_changes(call->pair, channel);
    bool first = list_linked(&place->link) ? channel->send_waiters.next == &place->link
                                           : list_empty(&channel->send_waiters) || call->nonblock;

    return first && !channel->sender && channel_room(channel) >= place->wanted &&
           (!cargo || channel->cargo_count < CHANNEL_CARGO);
}

static int wait_in_line(struct stream_call *call, struct stream_waiter *place)
{
    if (!list_linked(&place->link))
        list_append(&call->channel->send_waiters, &place->link);
    wait_prepare(WAIT_INTERRUPTIBLE);
    lock_release(&call->pair->lock);
    int error = wait_block(call->deadline);
    lock_acquire(&call->pair->lock);
    return error;
}

/* Until `wanted` bytes of room and the sending claim are there, and room for cargo. Pair locked. */
static int claim_send(struct stream_call *call, uint64_t wanted)
{
    struct channel *channel = call->channel;
    struct stream_waiter place = {.thread = thread_current(), .wanted = wanted};
    int error = 0;

    list_init(&place.link);
    while (!error) {
        if (ended(channel)) {
            error = -E_CLOSED;
        } else if (may_send(call, &place)) {
            channel->sender = thread_current();
            break;
        } else {
            error = call->nonblock ? -E_AGAIN : wait_in_line(call, &place);
        }
    }
    if (list_linked(&place.link)) {
        list_remove(&place.link);
        wake_sender(channel); /* not if it has the claim now */
    }
    return error;
}

/* With the claim: the piece and its cargo, still unseen. */
static int piece_in(struct stream_call *call, uaddr_t data, uint64_t piece, struct cargo **cargo)
{
    struct channel *channel = call->channel;
    uint32_t handles = call->message.handle_count;
    uint64_t at = channel->tail;
    int error = 0;

    *cargo = NULL;
    if (call->pair->flags & STREAM_PACKETS) {
        error = ring_write_length(channel, at, (uint32_t)piece);
        at += sizeof(uint32_t);
    }
    if (!error)
        error = ring_copy(channel, at, data, piece, RING_IN);
    if (error || !(handles || sender_changes(call->pair, channel)))
        return error;
    *cargo = cargo_new(handles);
    if (!*cargo)
        return -E_NO_MEMORY;
    (*cargo)->position = channel->tail;
    (*cargo)->sender = own_id();
    if (handles)
        error = cargo_load(*cargo, call->handles, handles, &call->channel->to->vessel);
    return error;
}

/* One piece: all of a packet or of an atomic write, else what there is room for. */
static int send_piece(struct stream_call *call, uaddr_t data, uint64_t length, uint64_t *done)
{
    struct stream_pair *pair = call->pair;
    struct channel *channel = call->channel;
    bool packets = pair->flags & STREAM_PACKETS;
    uint32_t header = packets ? sizeof(uint32_t) : 0;
    uint64_t wanted = packets || length <= STREAM_ATOMIC ? length + header : 1;
    struct list dropped = LIST_INIT(dropped);
    struct cargo *cargo;

    lock_acquire(&pair->lock);
    int error = claim_send(call, wanted);
    uint64_t piece = packets ? length : MIN(length, channel_room(channel));
    lock_release(&pair->lock);
    if (error)
        return error;

    error = piece_in(call, data, piece, &cargo);

    lock_acquire(&pair->lock);
    channel->sender = NULL;
    if (!error) {
        if (cargo) {
            list_append(&channel->cargo, &cargo->link);
            channel->cargo_count++;
            cargo = NULL;
            call->message.handle_count = 0; /* they go with the first piece */
        }
        note_sender(channel);
        sent(pair, channel, header + piece);
        *done = piece;
    } else if (!channel_used(channel)) {
        channel->head = channel->tail = 0;
    }
    wake_sender(channel);
    if (channel->closed_out)
        stream_discard(channel, &dropped);
    lock_release(&pair->lock);
    cargo_free(cargo);
    cargo_free_all(&dropped);
    return error;
}

static NOINLINE int64_t send_long(struct stream *end, uaddr_t data, uint64_t length, uint32_t flags,
                                  int64_t deadline, uaddr_t message)
{
    struct stream_call call;
    uint64_t done = 0;

    if (flags)
        return -E_INVALID;
    call.end = end;
    call.channel = end->out;
    call.data = data;
    call.length = length;
    call.message_at = message;

    int error = call_begin(&call, flags, deadline);

    if (error)
        return error;

    uint32_t handles = call.message.handle_count;
    bool packets = call.pair->flags & STREAM_PACKETS;

    if (packets && length > CHANNEL_SIZE - sizeof(uint32_t))
        return -E_TOO_LONG;
    if (!packets && !length)
        return handles ? -E_INVALID : 0;
    if (handles)
        error = user_copy_in(call.handles, UADDR(call.message.handles),
                             handles * sizeof(call.handles[0]));
    if (error)
        return error;
    do {
        uint64_t piece = 0;

        error = send_piece(&call, UADDR(data.value + done), length - done, &piece);
        done += piece;
        arch_preempt_window();
    } while (!error && done < length && !thread_has_work(thread_current(), WORK_KILL));
    return done ? (int64_t)done : error;
}

int64_t sys_stream_send(struct object *object, uaddr_t data, uint64_t length, uint32_t flags,
                        int64_t deadline, uaddr_t message)
{
    struct stream *end = stream_of(object);

    if (likely(!flags && !message.value && length - 1 < RING_SMALL) &&
        likely(send_small(end, data, length)))
        return (int64_t)length;
    return send_long(end, data, length, flags, deadline, message);
}

/* --- Receiving ---------------------------------------------------------------------------------------------------- */

#define TRY_LONG INT64_MAX

/* Bytes without cargo among them, now or when they come; TRY_LONG: it cannot be done like this. */
static int64_t receive_small(struct stream *end, uaddr_t data, uint64_t length, int64_t deadline)
{
    struct stream_pair *pair = end->pair;
    struct channel *channel = end->in;
    int64_t result = TRY_LONG;

    lock_acquire(&pair->lock);
    while (!channel_used(channel) && !ended(channel) && !waits_not(end, deadline)) {
        int error = stream_wait(&pair->lock, &channel->receive_waiters, wait_deadline(deadline));

        if (error) {
            lock_release(&pair->lock);
            return error;
        }
    }

    uint64_t few = MIN(channel_used(channel), length);

    if (likely(few && !(pair->flags & STREAM_PACKETS) && !channel->receiver &&
               list_empty(&channel->cargo)) &&
        ring_copy_small(channel, channel->head, data, few, RING_OUT)) {
        received(pair, channel, few);
        result = (int64_t)few;
    } else if (!few) {
        result = ended(channel) ? 0 : -E_AGAIN;
    }
    lock_release(&pair->lock);
    return result;
}

/* Pair locked. */
static int claim_receive(struct stream_call *call)
{
    struct channel *channel = call->channel;

    for (;;) {
        if (!channel->receiver && channel_used(channel)) {
            channel->receiver = thread_current();
            return 0;
        }
        if (!channel_used(channel) && ended(channel))
            return -E_CLOSED;
        if (call->nonblock)
            return -E_AGAIN;
        int error = stream_wait(&call->pair->lock, &channel->receive_waiters, call->deadline);
        if (error)
            return error;
    }
}

/* What is received in one go, from channel->head. */
struct piece {
    uint64_t skip, length; /* the header's bytes, and those behind it */
    struct cargo *cargo;   /* that rides on the first of them */
    uint64_t sender;
};

/* Pair locked, the claim is ours. */
static struct piece find_piece(struct stream_call *call)
{
    struct channel *channel = call->channel;
    struct piece piece = {.length = channel_used(channel), .sender = channel->first_sender};
    struct cargo *first = list_first(&channel->cargo, struct cargo, link), *next = first;

    if (first && first->position == channel->head) {
        piece.cargo = first;
        piece.sender = first->sender;
        next = first->link.next == &channel->cargo
                   ? NULL
                   : container_of(first->link.next, struct cargo, link);
    }
    if (next)
        piece.length = next->position - channel->head;
    if (call->pair->flags & STREAM_PACKETS) {
        piece.skip = sizeof(uint32_t);
        piece.length = ring_read_length(channel, channel->head);
    }
    return piece;
}

/* The answer beside the bytes: written before anything is taken, so that a bad address costs nothing. */
static int message_out(const struct stream_call *call)
{
    int error = 0;

    if (!call->message_at.value)
        return 0;
    if (call->message.handle_count)
        error = user_copy_out(UADDR(call->message.handles), call->handles,
                              call->message.handle_count * sizeof(call->handles[0]));
    return error ? error : user_copy_out(call->message_at, &call->message, sizeof(call->message));
}

/* With the claim: bytes to the caller, handles to its table. */
static int piece_out(struct stream_call *call, const struct piece *piece, uint64_t count,
                     uint32_t *handles)
{
    bool peek = call->flags & STREAM_PEEK;
    int error =
        ring_copy(call->channel, call->channel->head + piece->skip, call->data, count, RING_OUT);

    call->message.sender = call->pair->flags & STREAM_ONE_WAY ? 0 : piece->sender;
    call->message.length = piece->length;
    call->message.lost = 0;
    *handles = call->message_at.value && !peek ? call->message.handle_count : 0;
    call->message.handle_count = 0;
    if (!error && piece->cargo && !peek) {
        error = cargo_unload(piece->cargo, call->handles, handles);
        call->message.handle_count = *handles;
        call->message.lost = piece->cargo->count - *handles;
    } else {
        *handles = 0;
    }
    if (error)
        return error;
    error = message_out(call);
    if (error && piece->cargo && !peek)
        cargo_unload_undo(piece->cargo, call->handles, *handles);
    return error;
}

/* One piece, or what is of it in the caller's buffer. */
static int64_t receive_piece(struct stream_call *call)
{
    struct stream_pair *pair = call->pair;
    struct channel *channel = call->channel;
    bool take = !(call->flags & STREAM_PEEK);
    struct list dropped = LIST_INIT(dropped);
    struct piece piece;
    uint32_t handles;

    lock_acquire(&pair->lock);
    int error = claim_receive(call);
    if (!error)
        piece = find_piece(call);
    lock_release(&pair->lock);
    if (error)
        return error;

    uint64_t count = MIN(piece.length, call->length);

    error = piece_out(call, &piece, count, &handles);

    lock_acquire(&pair->lock);
    channel->receiver = NULL;
    if (!error && take) {
        if (piece.cargo) {
            list_remove(&piece.cargo->link);
            channel->cargo_count--;
            channel->first_sender = piece.sender;
        }
        received(pair, channel, piece.skip ? piece.skip + piece.length : count);
    } else {
        stream_wake_one(&channel->receive_waiters); /* the claim is free */
    }
    if (channel->closed_out)
        stream_discard(channel, &dropped);
    lock_release(&pair->lock);
    if (!error && take && piece.cargo)
        cargo_unload_done(piece.cargo, handles);
    cargo_free_all(&dropped);
    return error ? error : (int64_t)count;
}

static NOINLINE int64_t receive_long(struct stream *end, uaddr_t data, uint64_t length,
                                     uint32_t flags, int64_t deadline, uaddr_t message)
{
    struct stream_call call;

    if (flags & ~STREAM_PEEK)
        return -E_INVALID;
    call.end = end;
    call.channel = end->in;
    call.data = data;
    call.length = length;
    call.message_at = message;

    int error = call_begin(&call, flags, deadline);

    if (error)
        return error;
    if (!length && !(call.pair->flags & STREAM_PACKETS))
        return 0;

    int64_t result = receive_piece(&call);

    if (result != -E_CLOSED)
        return result;
    call.message = (struct abi_stream_message){.handles = call.message.handles};
    return message_out(&call);
}

int64_t sys_stream_receive(struct object *object, uaddr_t data, uint64_t length, uint32_t flags,
                           int64_t deadline, uaddr_t message)
{
    struct stream *end = stream_of(object);

    if (likely(!flags && !message.value && length) && likely(user_range_ok(data, length))) {
        int64_t result = receive_small(end, data, length, deadline);

        if (likely(result != TRY_LONG))
            return result;
    }
    return receive_long(end, data, length, flags, deadline, message);
}
