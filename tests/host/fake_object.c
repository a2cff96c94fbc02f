/* Reference counts of memory objects, for tests that link no other kind of object. */
#include "kernel/object.h"
#include "kernel/types.h"

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

void object_destroy(struct object *object)
{
    __atomic_fetch_sub(&alive, 1, __ATOMIC_RELAXED);
    memory_destroy(object);
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
