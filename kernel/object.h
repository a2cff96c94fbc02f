/* What every kernel object starts with, and waiting for its signals.
 *
 *     object_alloc(&port_cache, OBJECT_PORT, 0)      zeroed, with one reference, the caller's; its account pays for it
 *     object_init(&port->object, OBJECT_PORT);       the same for one that nobody pays for
 *     object_get / object_put                        the last put calls the type's destroy
 *     object_signal(&object, set, clear)             change state bits; wakes waiters, fires bindings
 *     object_show(&object, signals)                  the same for what its type changes under a lock of its own
 *
 * Each object type has an entry in object_types[] (object.c): name, destroy, and `closed`, called when the last
 * *handle* (not reference) goes away: files then send their closing, ports their service's end; and `held`, which goes
 * through the handles it holds.
 * Lock: RANK_BINDING for signals, waiters and bindings; reference counts are atomic.
 */
#pragma once

#include "abi/abi.h"
#include "kernel/lock.h"
#include "lib/base/list.h"

struct account;
struct cache;

struct object {
    uint8_t type; /* enum object_type */
    uint8_t look; /* circle.c */
    uint32_t references;
    uint32_t handles;        /* in tables and in flight: at 0 the type's `closed` runs */
    uint32_t inside;         /* circle.c */
    uint32_t charged;        /* bytes that account pays for it */
    struct account *account; /* there as long as it pays (account.h); NULL: nobody does */
    uint64_t id;             /* unique for the life of the system */
    struct lock lock;        /* RANK_BINDING: signals, watchers */
    uint32_t signals;        /* SIGNAL_* */
    struct list watchers;    /* struct watcher: waiting threads and port bindings */
    union {
        struct object *next_dying; /* object.c */
        struct list passing;       /* circle.c, with a reference */
    };
};

/* Somebody who wants to know. `fire` runs under the object's lock. */
struct watcher {
    struct list link; /* in object->watchers */
    struct object *object;
    uint32_t signals; /* wanted */
    void (*fire)(struct watcher *watcher, uint32_t signals);
};

void object_init(struct object *object, enum object_type type);
/* The cache's objects begin with a struct object. `more`: bytes it needs besides itself. The current process's account
 * pays. NULL: no memory, or no more for this account. */
void *object_alloc(struct cache *cache, enum object_type type, uint32_t more) MUST_CHECK;
void *object_alloc_for(struct account *account, struct cache *cache, enum object_type type,
                       uint32_t more) MUST_CHECK;
void object_signal(struct object *object, uint32_t set, uint32_t clear);
/* All its signals, for a type whose state object->lock guards; who wants one of `again` is told even if it was shown before. */
void object_show_locked(struct object *object, uint32_t signals, uint32_t again);
void object_fire(struct object *object, uint32_t fresh); /* tells whoever wants one of these */
uint64_t object_count(enum object_type type);

/* All its signals, for a type that changes them under one lock of its own: no lock here unless somebody watches.
 *
 *     here                               object_watch
 *     signals = new; fence               queue the watcher; fence
 *     any watchers?                      signals?
 */
static inline void object_show(struct object *object, uint32_t signals)
{
    uint32_t fresh = signals & ~object->signals;

    if (object->signals == signals)
        return;
    __atomic_store_n(&object->signals, signals, __ATOMIC_SEQ_CST);
    if (unlikely(!list_empty(&object->watchers)) && fresh)
        object_fire(object, fresh);
}

/* Queues the watcher, `object` set. What it shows now of what is wanted: it has not been told of that. */
uint32_t object_watch_locked(struct watcher *watcher) MUST_CHECK;

/* Shows the visitor a piece of the objects of which it holds handles, from *position on, which is 0 at first; true: there are
 * no more. The visitor is called with locks held and only looks. */
typedef void object_visitor(struct object *held);
bool object_held(struct object *object, uint64_t *position, object_visitor *visit);
bool object_holds(const struct object *object); /* handles, that is its type does */

/* circle.c is told of each handle that is made, moved or goes, while it has anything to look for. */
extern uint32_t circles_watched;
void object_touched(struct object *object);
void object_given_up(struct object *object); /* after it went */

static inline void object_handle_moved(struct object *object)
{
    if (unlikely(__atomic_load_n(&circles_watched, __ATOMIC_RELAXED)))
        object_touched(object);
}

static inline void object_get(struct object *object)
{
    __atomic_fetch_add(&object->references, 1, __ATOMIC_RELAXED);
}

void object_destroy(struct object *object); /* object_put's: nobody refers to it any more */
void object_last_handle(
    struct object *object); /* object_release_open's: `closed`, if the type has one */

static inline void object_put(struct object *object)
{
    if (unlikely(__atomic_fetch_sub(&object->references, 1, __ATOMIC_ACQ_REL) == 1))
        object_destroy(object);
}

/* The same interest for the length of a call, by somebody with a reference: `closed` waits for its end. False if it
 * has run already. */
bool object_hold_open(struct object *object) MUST_CHECK;
static inline bool object_release_leaf(struct object *object)
{
    bool last = __atomic_fetch_sub(&object->handles, 1, __ATOMIC_SEQ_CST) == 1;

    if (unlikely(last))
        object_last_handle(object);
    return last;
}
static inline void object_release_open(struct object *object)
{
    if (!object_release_leaf(object) &&
        unlikely(__atomic_load_n(&circles_watched, __ATOMIC_RELAXED)))
        object_given_up(object);
}

/* A handle's worth of interest in the object: handle tables and messages in flight. Includes a reference. */
static inline void object_handle_get_leaf(struct object *object)
{
    object_get(object);
    __atomic_fetch_add(&object->handles, 1, __ATOMIC_SEQ_CST);
}

static inline void object_handle_get(struct object *object)
{
    object_handle_get_leaf(object);
    object_handle_moved(object);
}

/* The same for what holds no handles, and is therefore in no circle: files. */
static inline void object_handle_put_leaf(struct object *object)
{
    object_release_leaf(object);
    object_put(object);
}

static inline void object_handle_put(struct object *object)
{
    object_release_open(object);
    object_put(object);
}
