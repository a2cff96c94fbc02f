/* Streams: two connected ends, the kernel object behind pipes and unix sockets.
 *
 *     stream_pair --------------------------------------> end 0 <==> end 1
 *     stream_listen -> accepting end, connecting end
 *         stream_connect on the one -> client's end <==> server's end <- stream_accept on the other
 *     stream_send, stream_receive, stream_control         on an end
 *
 * A pair has two channels, one for each direction. A channel is a ring of bytes (stream_ring.c) and a list of cargo:
 * what rides on a position of the bytes, handles on their way (stream_cargo.c) and changes of the sender. Sending
 * and receiving are in stream_io.c, the ends' life and state in stream.c, listeners in stream_listen.c.
 *
 *     send:     room? (STREAM_ATOMIC bytes at once or none) copy in, READABLE there, wake one receiver
 *     receive:  bytes? copy out, WRITABLE there, wake one sender; none and the sending end is closed: 0
 *
 * Both ends' state is under one lock, pair->lock (RANK_STREAM). A few bytes whose pages are there are copied under it.
 * Others are copied outside by whoever has the claim of that side of the channel (channel->sender, ->receiver) and may
 * sleep with it; what a closed end leaves behind goes when nobody has a claim any more.
 *
 * A waiter that is woken looks again, and wakes the next of its kind when it is through: so one wake is enough
 * whatever came, and no waiter is left behind while there is something for it.
 *
 * Senders that wait stand in line: the first to come is the first to send, whoever behind it would need less room. It keeps
 * its place until it has sent or gives up. Who would not wait, and a few bytes where there are no packets, go past the line if there
 * is room for them: an end that is WRITABLE takes them.
 */
#pragma once

#include "kernel/handle.h"
#include "kernel/object.h"
#include "kernel/sched/thread.h"

#define CHANNEL_PAGES 16u
#define CHANNEL_SIZE  (CHANNEL_PAGES * PAGE_SIZE)
#define CHANNEL_CARGO 64u /* pieces of cargo under way in a channel: more wait as bytes do */

/* --- Cargo -------------------------------------------------------------------------------------------------- */

/* What can hold cargo: an end (what it is to receive), a listener's accepting end (connections). Lock: cargo_lock. */
struct vessel {
    struct list cargo; /* struct cargo.vessel_link: those with handles of what holds handles */
    struct list search_link;
    uint64_t searched;
};

struct cargo {
    struct list link;        /* channel->cargo in order of position, or listener->waiting */
    struct list vessel_link; /* cargo_lock */
    uint64_t position;       /* of the byte (packet) it rides on */
    uint64_t sender;         /* process id, of the bytes from here on */
    struct account *account; /* of who sent it, and pays `bytes` for it */
    uint32_t bytes, count;
    struct transfer transfers[];
};

/* --- Ends --------------------------------------------------------------------------------------------------- */

struct channel {
    struct stream *from, *to;
    uint64_t head, tail;              /* bytes received and sent since it was last empty */
    struct thread *sender, *receiver; /* the claims */
    struct frame *pages[CHANNEL_PAGES];
    struct list send_waiters, receive_waiters;
    struct list cargo;
    uint32_t cargo_count;
    bool closed_in, closed_out; /* nobody will send any more; nobody will receive */
    uint64_t first_sender,
        last_sender; /* process ids: of the bytes at head, and of those before tail */
};

struct stream {
    struct object object;
    struct stream_pair *pair;
    struct channel *in, *out; /* of the pair's */
    uint32_t flags;           /* HANDLE_FLAG_* */
    uint64_t peer;            /* process id of the other end's, when they were connected */
    struct vessel vessel;
};

struct stream_pair {
    struct lock lock;
    struct account *account; /* of who made it; it pays for the bytes in it, too */
    uint32_t flags;          /* STREAM_* of stream_pair */
    uint32_t ends;           /* alive; atomic */
    struct stream end[2];
    struct channel to[2]; /* to[i]: end[!i] -> end[i] */
};

static inline struct stream *stream_of(struct object *object)
{
    return container_of(object, struct stream, object);
}

static inline uint64_t channel_used(const struct channel *channel)
{
    return channel->tail - channel->head;
}

static inline uint64_t channel_room(const struct channel *channel)
{
    return CHANNEL_SIZE - channel_used(channel);
}

/* --- stream.c ----------------------------------------------------------------------------------------------- */

/* A pair whose ends have one reference each, the caller's. */
struct stream_pair *stream_pair_new(uint32_t flags) MUST_CHECK;
/* The rights of a new handle to that end. */
uint32_t stream_rights(const struct stream_pair *pair, uint32_t side);
/* The signals of both ends, from the channels' state. Pair locked. */
void stream_update(struct stream_pair *pair);
/* Nobody will receive from the channel: its bytes go, its cargo goes to *dropped for cargo_free_all. Pair locked. */
void stream_discard(struct channel *channel, struct list *dropped);
/* The end of a pipe that never receives. */
bool stream_only_sends(struct object *object);
/* HANDLE_FLAG_* of one end: the old ones; those under mask are set to value. */
uint32_t stream_flags(struct object *object, uint32_t mask, uint32_t value);

struct stream_waiter {
    struct list link; /* whoever wakes it takes it out; but for a sender, which stays in line */
    struct thread *thread;
    uint64_t wanted; /* a sender: bytes of room */
};

/* Sleep in a list of waiters, E_INTERRUPTED and E_TIMED_OUT like wait_block. `lock` is released meanwhile. */
int stream_wait(struct lock *lock, struct list *waiters, uint64_t deadline) MUST_CHECK;
void stream_wake_one(struct list *waiters);
void stream_wake_next(struct list *waiters, unsigned sched_flags); /* not by the other side */
void stream_wake_all(struct list *waiters);

/* --- stream_ring.c: the bytes. The caller has the pair's lock or the claim of that side ----------------------- */

enum ring_way { RING_IN, RING_OUT };

/* Between the ring at position and the current space, faults resolved; pages are made for RING_IN. E_FAULT,
 * E_NO_MEMORY. Not under a lock. */
int ring_copy(struct channel *channel, uint64_t position, uaddr_t user, uint64_t length,
              enum ring_way way) MUST_CHECK;
/* The same under a lock: false unless it is a few bytes, on a page that is there, and nothing faults. */
bool ring_copy_small(struct channel *channel, uint64_t position, uaddr_t user, uint64_t length,
                     enum ring_way way) MUST_CHECK;
#define RING_SMALL 512u
/* A packet's length, in front of its bytes. */
int ring_write_length(struct channel *channel, uint64_t position, uint32_t length) MUST_CHECK;
uint32_t ring_read_length(const struct channel *channel, uint64_t position);
/* Pages from index `first` on go. */
void ring_free(struct channel *channel, uint32_t first);

/* --- stream_cargo.c ------------------------------------------------------------------------------------------- */

void vessel_init(struct vessel *vessel);
struct cargo *cargo_new(uint32_t count) MUST_CHECK; /* NULL: no memory */
/* As object_held: what lies in it. NULL: nothing. */
bool vessel_held(struct vessel *vessel, object_visitor *visit);
/* Moves the current process's handles into cargo that is to lie in `to`. They stay where they are if it fails: E_LOOP if
 * `to` can be reached from one of them, or what lies in them is too much to look through. */
int cargo_load(struct cargo *cargo, const handle_t *handles, uint32_t count,
               struct vessel *to) MUST_CHECK;
/* The same with one object that nothing lies in yet; takes over the caller's handle interest. */
void cargo_load_new(struct cargo *cargo, struct object *object, uint32_t rights, struct vessel *to);
/* The first *count of its handles, or all if there are fewer, become the current process's; then cargo_unload_done or
 * _undo. E_QUOTA, E_NO_MEMORY. */
int cargo_unload(struct cargo *cargo, handle_t *handles, uint32_t *count) MUST_CHECK;
void cargo_unload_done(struct cargo *cargo,
                       uint32_t count); /* the cargo is freed, the rest closed */
void cargo_unload_undo(struct cargo *cargo, const handle_t *handles, uint32_t count);
void cargo_free(struct cargo *cargo); /* NULL allowed; closes what is in it */
void cargo_free_all(struct list *cargos);
