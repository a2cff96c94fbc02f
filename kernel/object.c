/* Objects: reference counts, signals, and the table of types. See object.h.
 *
 * What one object's end puts may end others, in chains as long as programs care to make them (a stream that carries a
 * stream that carries ...). A kernel stack is short: so on each CPU one object is destroyed at a time, and the others
 * queue behind it. No destroy waits, so it stays on its CPU.
 */
#include "kernel/object.h"

#include "kernel/account.h"
#include "kernel/cpu.h"
#include "kernel/panic.h"
#include "kernel/types.h"
#include "kernel/vmm/heap.h"

struct object_type_entry {
    const char *name;
    void (*closed)(struct object *object); /* the last handle is gone; may be NULL */
    void (*destroy)(struct object *object);
    bool (*held)(struct object *object, uint64_t *position, object_visitor *visit); /* or NULL */
};

static const struct object_type_entry object_types[] = {
    [OBJECT_MEMORY] = {"memory", NULL, memory_destroy, NULL},
    [OBJECT_PROCESS] = {"process", process_closed, process_destroy, process_held},
    [OBJECT_THREAD] = {"thread", thread_closed, thread_destroy, thread_held},
    [OBJECT_PORT] = {"port", port_closed, port_destroy, port_held},
    [OBJECT_FILE] = {"file", file_closed, file_destroy, NULL},
    [OBJECT_NAMESPACE] = {"namespace", NULL, namespace_destroy, namespace_held},
    [OBJECT_STREAM] = {"stream", stream_closed, stream_destroy, stream_held},
    [OBJECT_TIMER] = {"timer", timer_object_closed, timer_object_destroy, NULL},
    [OBJECT_RESOURCE] = {"resource", NULL, resource_destroy, NULL},
    [OBJECT_IRQ] = {"irq", irq_closed, irq_destroy, NULL},
    [OBJECT_LISTENER] = {"listener", listener_closed, listener_destroy, listener_held},
};

static uint64_t alive[ARRAY_SIZE(object_types)];
static uint64_t next_id = 1;

static struct {
    struct object *first;
    bool busy;
} dying[CPU_MAX]; /* the CPU's own */

static inline void init(struct object *object, enum object_type type, struct account *account,
                        uint32_t charged)
{
    object->type = (uint8_t)type;
    object->references = 1;
    object->handles = 0;
    object->look = 0;
    object->charged = charged;
    object->account = account; /* what is charged is its reference */
    object->signals = 0;
    object->id = __atomic_fetch_add(&next_id, 1, __ATOMIC_RELAXED);
    lock_init(&object->lock, RANK_BINDING, object_types[type].name);
    list_init(&object->watchers);
    __atomic_fetch_add(&alive[type], 1, __ATOMIC_RELAXED);
}

void object_init(struct object *object, enum object_type type)
{
    init(object, type, NULL, 0);
}

void *object_alloc_for(struct account *account, struct cache *cache, enum object_type type,
                       uint32_t more)
{
    struct object *object = cache_alloc(cache);
    uint32_t bytes = (uint32_t)cache->size + more;

    if (unlikely(!object))
        return NULL;
    if (unlikely(!account_take(account, QUOTA_MEMORY, bytes))) {
        cache_free(cache, object);
        return NULL;
    }
    init(object, type, account, bytes);
    return object;
}

void *object_alloc(struct cache *cache, enum object_type type, uint32_t more)
{
    return object_alloc_for(account_current(), cache, type, more);
}

/* What it was given is given back when it is gone. */
static void destroy(struct object *object)
{
    struct account *account = object->account;
    uint32_t charged = object->charged;

    object_types[object->type].destroy(object);
    account_give(account, QUOTA_MEMORY, charged);
}

void object_destroy(struct object *object)
{
    ASSERT(object->handles == 0);
    __atomic_fetch_sub(&alive[object->type], 1, __ATOMIC_RELAXED);

    uint32_t cpu = cpu_self()->index;

    object->next_dying = dying[cpu].first;
    dying[cpu].first = object;
    if (dying[cpu].busy)
        return;
    dying[cpu].busy = true;
    while ((object = dying[cpu].first)) {
        dying[cpu].first = object->next_dying;
        destroy(object);
    }
    dying[cpu].busy = false;
}

bool object_holds(const struct object *object)
{
    return object_types[object->type].held != NULL;
}

bool object_held(struct object *object, uint64_t *position, object_visitor *visit)
{
    return object_types[object->type].held(object, position, visit);
}

bool object_hold_open(struct object *object)
{
    uint32_t handles = __atomic_load_n(&object->handles, __ATOMIC_RELAXED);

    do {
        if (handles == 0)
            return false;
    } while (!__atomic_compare_exchange_n(&object->handles, &handles, handles + 1, true,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return true;
}

void object_last_handle(struct object *object)
{
    if (object_types[object->type].closed)
        object_types[object->type].closed(object);
}

static void fire_locked(struct object *object, uint32_t signals)
{
    list_for_each (struct watcher, watcher, &object->watchers, link)
        if (signals & watcher->signals)
            watcher->fire(watcher, signals & watcher->signals);
}

void object_show_locked(struct object *object, uint32_t signals, uint32_t again)
{
    uint32_t fresh = signals & (~object->signals | again);

    __atomic_store_n(&object->signals, signals, __ATOMIC_RELAXED);
    fire_locked(object, fresh);
}

void object_signal(struct object *object, uint32_t set, uint32_t clear)
{
    lock_acquire(&object->lock);
    object->signals = (object->signals & ~clear) | set;
    fire_locked(object, set);
    lock_release(&object->lock);
}

void object_fire(struct object *object, uint32_t fresh)
{
    lock_acquire(&object->lock);
    fire_locked(object, fresh);
    lock_release(&object->lock);
}

uint32_t object_watch_locked(struct watcher *watcher)
{
    struct object *object = watcher->object;

    list_append(&object->watchers, &watcher->link);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* pairs with the store in object_show */
    return __atomic_load_n(&object->signals, __ATOMIC_RELAXED) & watcher->signals;
}

uint64_t object_count(enum object_type type)
{
    return __atomic_load_n(&alive[type], __ATOMIC_RELAXED);
}
