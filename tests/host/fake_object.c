/* Reference counts of memory objects, for tests that link no other kind of object. */
#include "kernel/account.h"
#include "kernel/object.h"
#include "kernel/types.h"
#include "kernel/vmm/heap.h"

static uint64_t alive;
uint32_t circles_watched; /* never anything to look for */

void object_touched(struct object *object)
{
    (void)object;
}

void object_given_up(struct object *object)
{
    (void)object;
}

void object_init(struct object *object, enum object_type type)
{
    object->type = (uint8_t)type;
    object->references = 1;
    lock_init(&object->lock, RANK_BINDING, "object");
    list_init(&object->watchers);
    __atomic_fetch_add(&alive, 1, __ATOMIC_RELAXED);
}

void *object_alloc(struct cache *cache, enum object_type type, uint32_t more)
{
    struct account *account = account_current();
    uint32_t bytes = (uint32_t)cache->size + more;

    if (!account_take(account, QUOTA_MEMORY, bytes))
        return NULL;

    struct object *object = cache_alloc(cache);

    if (!object) {
        account_give(account, QUOTA_MEMORY, bytes);
        return NULL;
    }
    object_init(object, type);
    object->charged = bytes;
    object->account = account;
    return object;
}

void object_destroy(struct object *object)
{
    struct account *account = object->account;
    uint32_t charged = object->charged;

    __atomic_fetch_sub(&alive, 1, __ATOMIC_RELAXED);
    memory_destroy(object);
    account_give(account, QUOTA_MEMORY, charged);
}

uint64_t object_count(enum object_type type)
{
    (void)type;
    return __atomic_load_n(&alive, __ATOMIC_RELAXED);
}

void object_last_handle(struct object *object)
{
    (void)object;
}
