/* Streams: two connected ends, the kernel object behind pipes and unix sockets.
 *
 * Each direction is a channel: a byte ring made of pages that come with the first byte and go when it is empty and
 * closed. Bytes are copied from the sender into the ring and from there to the receiver. A packet stream keeps
 * boundaries by a length in front of each packet. Handles ride on the byte (or packet) they were sent with.
 *
 *     send: room? (STREAM_ATOMIC bytes at once or none) copy in, signal READABLE there
 *     receive: bytes? copy out, signal WRITABLE there; none and the peer is gone: 0
 *
 * Both ends' state is under one lock, pair->lock (RANK_STREAM). User memory is copied outside it: the ring's head
 * and tail are claimed by one thread at a time (channel->sender, ->receiver), which may sleep while it holds the claim.
 * A few bytes whose pages are there are copied under the lock, without a claim. A sender that found no room is woken
 * when STREAM_ATOMIC bytes are free, not at every byte.
 */
#include "kernel/ipc/stream.h"

#include "abi/errors.h"
#include "kernel/handle.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/wait.h"
#include "kernel/syscall.h"
#include "kernel/types.h"
#include "kernel/vmm/frame.h"
#include "kernel/vmm/heap.h"
#include "lib/base/string.h"

#define CHANNEL_PAGES 16u
#define CHANNEL_SIZE  (CHANNEL_PAGES * PAGE_SIZE)

/* Up to this many bytes are copied under the lock. */
#define SMALL_COPY 512u

/* Handles on their way, at a position of the byte stream. */
struct passing {
    struct list link;
    uint64_t position;
    uint32_t count;
    struct transfer transfers[COMMAND_HANDLES];
};

struct stream_waiter {
    struct list link;
    struct thread *thread;
};

struct channel {
    uint64_t head, tail; /* bytes ever received and sent */
    struct frame *pages[CHANNEL_PAGES];
    struct thread *sender, *receiver; /* the claims */
    struct list send_waiters, receive_waiters;
    struct list passing;
    bool closed_in, closed_out; /* the sending end is gone; the receiving end is */
};

struct stream {
    struct object object;
    struct stream_pair *pair;
    uint32_t side;
    uint32_t flags; /* HANDLE_FLAG_* */
};

struct stream_pair {
    struct lock lock;
    uint32_t flags; /* STREAM_* of stream_pair */
    uint32_t ends;  /* alive */
    struct stream end[2];
    struct channel to[2]; /* to[i]: what end[i] receives */
};

static struct cache passing_cache = CACHE_INIT("passing", sizeof(struct passing), 16);

static uint64_t channel_used(const struct channel *channel)
{
    return channel->tail - channel->head;
}

/* Signals of both ends of a channel from its state. Pair locked. */
static void update(struct stream_pair *pair, uint32_t to)
{
    struct channel *channel = &pair->to[to];
    struct object *receiver = &pair->end[to].object, *sender = &pair->end[!to].object;
    bool readable = channel_used(channel) || channel->closed_in;
    bool writable = channel->closed_out || CHANNEL_SIZE - channel_used(channel) >= STREAM_ATOMIC;
    uint32_t receives = (readable ? SIGNAL_READABLE : 0) | (channel->closed_in ? SIGNAL_HANGUP : 0);
    uint32_t sends = (writable ? SIGNAL_WRITABLE : 0) | (channel->closed_out ? SIGNAL_ERROR : 0);

    if ((receiver->signals & (SIGNAL_READABLE | SIGNAL_HANGUP)) != receives)
        object_signal(receiver, receives, (SIGNAL_READABLE | SIGNAL_HANGUP) & ~receives);
    if ((sender->signals & (SIGNAL_WRITABLE | SIGNAL_ERROR)) != sends)
        object_signal(sender, sends, (SIGNAL_WRITABLE | SIGNAL_ERROR) & ~sends);
}

/* The other side stays on this CPU: it is sooner done than another CPU woken, and many small pieces become one. */
static void wake_all(struct list *waiters)
{
    list_for_each (struct stream_waiter, waiter, waiters, link)
        thread_wake(waiter->thread, 0, SCHED_SYNC);
}

/* Sleep in a list of waiters. Pair locked, and locked again on return. */
static int wait_in(struct stream_pair *pair, struct list *waiters, uint64_t deadline)
{
    struct stream_waiter waiter = {.thread = thread_current()};

    list_append(waiters, &waiter.link);
    wait_prepare(WAIT_INTERRUPTIBLE);
    lock_release(&pair->lock);
    int error = wait_block(deadline);
    lock_acquire(&pair->lock);
    list_remove(&waiter.link);
    return error;
}

/* Copy between the ring at position and user memory; no lock, the caller has the claim of that side. Pages on
 * the sender's side are made here. */
static int ring_copy(struct channel *channel, uint64_t position, uaddr_t user, uint64_t length,
                     bool in)
{
    while (length) {
        uint64_t offset = position % PAGE_SIZE, piece = MIN(length, PAGE_SIZE - offset);
        struct frame **page = &channel->pages[position / PAGE_SIZE % CHANNEL_PAGES];

        if (in && !*page && frame_alloc(0, page))
            return -E_NO_MEMORY;

        uint8_t *data = (uint8_t *)frame_data(*page) + offset;
        int error = in ? user_copy_in(data, user, piece) : user_copy_out(user, data, piece);

        if (error)
            return error;
        position += piece;
        user.value += piece;
        length -= piece;
    }
    return 0;
}

/* A few bytes under the lock: only if they are on one page of the ring and nothing faults. */
static bool ring_copy_small(struct channel *channel, uint64_t position, uaddr_t user,
                            uint64_t length, bool in)
{
    uint64_t offset = position % PAGE_SIZE;
    struct frame *page = channel->pages[position / PAGE_SIZE % CHANNEL_PAGES];

    if (length > SMALL_COPY || length > PAGE_SIZE - offset || !page)
        return false;

    uint8_t *data = (uint8_t *)frame_data(page) + offset;

    return (in ? user_copy_in_nofault(data, user, length)
               : user_copy_out_nofault(user, data, length)) == 0;
}

static void ring_free(struct channel *channel)
{
    for (uint32_t i = 0; i < CHANNEL_PAGES; i++) {
        if (channel->pages[i])
            frame_put(channel->pages[i]);
        channel->pages[i] = NULL;
    }
}

/* --- Sending ---------------------------------------------------------------------------------------------- */

struct stream_call {
    struct abi_stream_io io;
    struct stream_pair *pair;
    struct channel *channel;
    uint32_t to; /* channel index */
    uint64_t deadline;
    bool nonblock;
};

static int call_begin(struct stream_call *call, struct object *object, uaddr_t argument, bool send)
{
    struct stream *stream = container_of(object, struct stream, object);
    int error = user_copy_in(&call->io, argument, sizeof(call->io));

    if (error)
        return error;
    if (call->io.handle_count > COMMAND_HANDLES)
        return -E_INVALID;
    if (call->io.length && !user_range_ok(UADDR(call->io.data), call->io.length))
        return -E_FAULT;
    call->pair = stream->pair;
    call->to = send ? !stream->side : stream->side;
    call->channel = &stream->pair->to[call->to];
    call->deadline = wait_deadline_or_never(call->io.deadline);
    call->nonblock = (call->io.flags & STREAM_NONBLOCK) || (stream->flags & HANDLE_FLAG_NONBLOCK);
    return 0;
}

/* Until `wanted` bytes of room and the sending claim are there. Pair locked. */
static int claim_send(struct stream_call *call, uint64_t wanted)
{
    struct channel *channel = call->channel;

    for (;;) {
        /* The other end, or by another thread this one. */
        if (channel->closed_out || channel->closed_in)
            return -E_CLOSED;
        if (!channel->sender && CHANNEL_SIZE - channel_used(channel) >= wanted) {
            channel->sender = thread_current();
            return 0;
        }
        if (call->nonblock)
            return -E_AGAIN;
        int error = wait_in(call->pair, &channel->send_waiters, call->deadline);
        if (error)
            return error;
    }
}

/* The end that receives: sent through its own stream nobody would ever find it. */
static bool sends_receiver(const struct stream_call *call)
{
    struct object *receiver = &call->pair->end[call->to].object;
    bool found = false;

    for (uint32_t i = 0; i < call->io.handle_count && !found; i++) {
        struct object *object;

        if (handle_lookup(process_current()->handles, call->io.handles[i], OBJECT_STREAM, 0,
                          &object, NULL))
            continue;
        found = object == receiver;
        object_put(object);
    }
    return found;
}

/* Room for the call's handles. They stay in the caller's table until nothing else can fail. */
static int passing_new(const struct stream_call *call, struct passing **passing)
{
    *passing = NULL;
    if (!call->io.handle_count)
        return 0;
    if (sends_receiver(call))
        return -E_INVALID;
    *passing = cache_alloc(&passing_cache);
    return *passing ? 0 : -E_NO_MEMORY;
}

static int passing_take(const struct stream_call *call, struct passing *passing)
{
    int error = transfer_take(process_current()->handles, call->io.handles, call->io.handle_count,
                              passing->transfers);

    if (!error)
        passing->count = call->io.handle_count;
    return error;
}

static void passing_free(struct passing *passing)
{
    if (!passing)
        return;
    transfer_drop(passing->transfers, passing->count);
    cache_free(&passing_cache, passing);
}

/* Among the handles may be the last of a stream that has handles in it, and so on: what comes while this runs is left
 * to it, for a chain of streams can be longer than the stack is deep. */
static void passing_free_all(struct list *passings)
{
    struct thread *self = thread_current();
    struct passing *passing;

    if (self->passings) {
        list_splice(self->passings, passings);
        return;
    }
    self->passings = passings;
    while ((passing = list_first(passings, struct passing, link))) {
        list_remove(&passing->link);
        passing_free(passing);
    }
    self->passings = NULL;
}

/* Pair locked: `length` bytes more are in the ring. */
static void sent_locked(struct stream_call *call, uint64_t length)
{
    call->channel->tail += length;
    wake_all(&call->channel->receive_waiters);
    update(call->pair, call->to);
}

/* One piece: all of a packet or of an atomic write, else what there is room for. */
static int send_piece(struct stream_call *call, uaddr_t data, uint64_t length, uint64_t *sent,
                      struct passing **passing)
{
    struct stream_pair *pair = call->pair;
    struct channel *channel = call->channel;
    bool packets = pair->flags & STREAM_PACKETS;
    uint32_t header = packets ? sizeof(uint32_t) : 0;
    uint64_t wanted = packets ? length + header : MIN(length, (uint64_t)STREAM_ATOMIC);

    if (!packets && length > STREAM_ATOMIC)
        wanted = 1; /* not atomic: any room will do */
    lock_acquire(&pair->lock);
    int error = claim_send(call, wanted);
    uint64_t room = CHANNEL_SIZE - channel_used(channel), start = channel->tail;
    if (!error && !packets && !*passing && length <= room &&
        ring_copy_small(channel, start, data, length, true)) {
        channel->sender = NULL;
        sent_locked(call, length);
        lock_release(&pair->lock);
        *sent = length;
        return 0;
    }
    lock_release(&pair->lock);
    if (error)
        return error;

    uint64_t piece = packets ? length : MIN(length, room);

    for (uint32_t i = 0; i < header && !error; i++) { /* byte by byte: it may cross a page */
        struct frame **page = &channel->pages[(start + i) / PAGE_SIZE % CHANNEL_PAGES];

        if (!*page && frame_alloc(0, page))
            error = -E_NO_MEMORY;
        else
            ((uint8_t *)frame_data(*page))[(start + i) % PAGE_SIZE] = (uint8_t)(piece >> 8 * i);
    }
    if (!error)
        error = ring_copy(channel, start + header, data, piece, true);
    if (!error && *passing)
        error = passing_take(call, *passing);

    lock_acquire(&pair->lock);
    channel->sender = NULL;
    if (!error) {
        if (*passing) {
            (*passing)->position = start;
            list_append(&channel->passing, &(*passing)->link);
            *passing = NULL;
        }
        sent_locked(call, header + piece);
        *sent = piece;
    }
    wake_all(&channel->send_waiters); /* the claim is free */
    lock_release(&pair->lock);
    return error;
}

int64_t sys_stream_send(struct object *object, uaddr_t argument)
{
    struct stream_call call;
    struct passing *passing;
    uint64_t done = 0;
    int error = call_begin(&call, object, argument, true);

    if (error)
        return error;

    bool packets = call.pair->flags & STREAM_PACKETS;

    if (packets && call.io.length > CHANNEL_SIZE - sizeof(uint32_t))
        return -E_TOO_LONG;
    if (!packets && !call.io.length)
        return call.io.handle_count ? -E_INVALID : 0;
    error = passing_new(&call, &passing);
    if (error)
        return error;
    do {
        uint64_t sent = 0;

        error =
            send_piece(&call, UADDR(call.io.data + done), call.io.length - done, &sent, &passing);
        done += sent;
        arch_preempt_window();
    } while (!error && done < call.io.length && !(thread_current()->work & WORK_KILL));
    passing_free(passing);
    return done ? (int64_t)done : error;
}

/* --- Receiving -------------------------------------------------------------------------------------------- */

static int claim_receive(struct stream_call *call)
{
    struct channel *channel = call->channel;

    for (;;) {
        if (!channel->receiver && channel_used(channel)) {
            channel->receiver = thread_current();
            return 0;
        }
        if (!channel_used(channel) && (channel->closed_in || channel->closed_out))
            return -E_CLOSED;
        if (call->nonblock)
            return -E_AGAIN;
        int error = wait_in(call->pair, &channel->receive_waiters, call->deadline);
        if (error)
            return error;
    }
}

static uint32_t packet_length(struct channel *channel, uint64_t position)
{
    uint32_t length = 0;

    for (uint32_t i = 0; i < sizeof(length); i++) {
        struct frame *page = channel->pages[(position + i) / PAGE_SIZE % CHANNEL_PAGES];

        length |= (uint32_t)((uint8_t *)frame_data(page))[(position + i) % PAGE_SIZE] << 8 * i;
    }
    return length;
}

/* Bytes up to `used` that may be received as one piece: handles start a piece of their own. Pair locked. */
static uint64_t piece_end(const struct channel *channel, uint64_t start, uint64_t used,
                          struct passing **first)
{
    *first = list_first(&channel->passing, struct passing, link);
    if (*first && (*first)->position != start) {
        used = MIN(used, (*first)->position - start);
        *first = NULL;
    } else if (*first && (*first)->link.next != &channel->passing) {
        used = MIN(used, container_of((*first)->link.next, struct passing, link)->position - start);
    }
    return used;
}

/* Pair locked: `length` bytes are taken from the ring. */
static void received_locked(struct stream_call *call, uint64_t length)
{
    struct channel *channel = call->channel;

    channel->head += length;
    if ((call->pair->flags & STREAM_PACKETS) ||
        CHANNEL_SIZE - channel_used(channel) >= STREAM_ATOMIC)
        wake_all(&channel->send_waiters);
    update(call->pair, call->to);
}

int64_t sys_stream_receive(struct object *object, uaddr_t argument)
{
    struct stream_call call;
    int error = call_begin(&call, object, argument, false);

    if (error)
        return error;

    struct stream_pair *pair = call.pair;
    struct channel *channel = call.channel;
    bool packets = pair->flags & STREAM_PACKETS;
    struct passing *handles = NULL;

    if (!call.io.length && !packets)
        return 0;
    lock_acquire(&pair->lock);
    error = claim_receive(&call);
    uint64_t start = channel->head;
    uint64_t used = error ? 0 : piece_end(channel, start, channel_used(channel), &handles);
    uint64_t few = MIN(used, call.io.length);
    if (!error && !packets && !handles && !call.io.handle_count && !(call.io.flags & STREAM_PEEK) &&
        ring_copy_small(channel, start, UADDR(call.io.data), few, false)) {
        channel->receiver = NULL;
        received_locked(&call, few);
        lock_release(&pair->lock);
        return (int64_t)few;
    }
    lock_release(&pair->lock);
    if (error)
        return error == -E_CLOSED ? 0 : error;

    uint32_t header = packets ? sizeof(uint32_t) : 0;
    uint64_t whole = packets ? packet_length(channel, start) : used;
    uint64_t count = MIN(whole, call.io.length);
    bool peek = call.io.flags & STREAM_PEEK;

    error = ring_copy(channel, start + header, UADDR(call.io.data), count, false);
    call.io.handle_count = 0;
    if (!error && handles && !peek) {
        error = transfer_install(process_current()->handles, handles->transfers, handles->count,
                                 call.io.handles);
        if (!error) {
            call.io.handle_count = handles->count;
            handles->count = 0; /* the table has them */
        }
    }
    if (!error)
        error = user_copy_out(argument, &call.io, sizeof(call.io));

    lock_acquire(&pair->lock);
    channel->receiver = NULL;
    if (!error && !peek) {
        if (handles)
            list_remove(&handles->link);
        received_locked(&call, header + (packets ? whole : count));
    } else {
        handles = NULL;
    }
    wake_all(&channel->receive_waiters); /* the claim is free */
    lock_release(&pair->lock);
    passing_free(handles);
    return error ? error : (int64_t)count;
}

/* --- The object ------------------------------------------------------------------------------------------- */

int64_t sys_stream_pair(uint32_t flags, uaddr_t handles)
{
    uint32_t rights = RIGHT_WAIT | RIGHT_DUPLICATE | RIGHT_TRANSFER;
    handle_t out[2];

    if (flags & ~(STREAM_PACKETS | STREAM_ONE_WAY))
        return -E_INVALID;

    struct stream_pair *pair = heap_alloc(sizeof(*pair));

    if (!pair)
        return -E_NO_MEMORY;
    lock_init(&pair->lock, RANK_STREAM, "stream");
    pair->flags = flags;
    pair->ends = 2;
    for (uint32_t i = 0; i < 2; i++) {
        object_init(&pair->end[i].object, OBJECT_STREAM);
        pair->end[i].pair = pair;
        pair->end[i].side = i;
        list_init(&pair->to[i].send_waiters);
        list_init(&pair->to[i].receive_waiters);
        list_init(&pair->to[i].passing);
    }
    lock_acquire(&pair->lock);
    if (flags & STREAM_ONE_WAY) /* end 0 never sends */
        pair->to[1].closed_in = pair->to[1].closed_out = true;
    else
        update(pair, 1);
    update(pair, 0);
    lock_release(&pair->lock);

    int64_t first = handle_return(&pair->end[0].object,
                                  rights | RIGHT_READ | (flags & STREAM_ONE_WAY ? 0 : RIGHT_WRITE));

    if (first < 0) {
        object_put(&pair->end[1].object);
        return first;
    }

    int64_t second = handle_return(
        &pair->end[1].object, rights | RIGHT_WRITE | (flags & STREAM_ONE_WAY ? 0 : RIGHT_READ));
    int64_t error = second < 0 ? second : 0;

    if (!error) {
        out[0] = (handle_t)first;
        out[1] = (handle_t)second;
        error = user_copy_out(handles, out, sizeof(out));
        if (error)
            (void)!handle_remove(process_current()->handles, (handle_t)second);
    }
    if (error)
        (void)!handle_remove(process_current()->handles, (handle_t)first);
    return error;
}

/* An end is gone: nobody sends to the other, nobody receives from it. */
void stream_closed(struct object *object)
{
    struct stream *stream = container_of(object, struct stream, object);
    struct stream_pair *pair = stream->pair;

    lock_acquire(&pair->lock);
    for (uint32_t to = 0; to < 2; to++) {
        struct channel *channel = &pair->to[to];

        if (to == stream->side)
            channel->closed_out = true;
        else
            channel->closed_in = true;
        wake_all(&channel->send_waiters);
        wake_all(&channel->receive_waiters);
        update(pair, to);
    }
    lock_release(&pair->lock);
}

void stream_destroy(struct object *object)
{
    struct stream_pair *pair = container_of(object, struct stream, object)->pair;

    if (__atomic_fetch_sub(&pair->ends, 1, __ATOMIC_ACQ_REL) != 1)
        return;

    struct list passings = LIST_INIT(passings);

    for (uint32_t to = 0; to < 2; to++) {
        ring_free(&pair->to[to]);
        list_splice(&passings, &pair->to[to].passing);
    }
    heap_free(pair);
    passing_free_all(&passings);
}

uint32_t stream_flags(struct object *object, uint32_t mask, uint32_t value)
{
    struct stream *stream = container_of(object, struct stream, object);

    lock_acquire(&stream->pair->lock);
    uint32_t old = stream->flags;
    stream->flags = (old & ~mask) | (value & mask);
    lock_release(&stream->pair->lock);
    return old;
}
