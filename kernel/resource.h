/* Resources: the right to a range of interrupts, I/O ports, physical memory, message vectors or DMA memory. The first
 * process gets all of it and hands narrower ones on. See resource.c. */
#pragma once

#include "kernel/object.h"

struct resource {
    struct object object;
    enum resource_kind kind;
    uint64_t base, count;
};

int resource_new(enum resource_kind kind, uint64_t base, uint64_t count,
                 struct resource **resource) MUST_CHECK;
bool resource_covers(const struct resource *resource, enum resource_kind kind, uint64_t base,
                     uint64_t count);

static inline struct resource *resource_of(struct object *object)
{
    return container_of(object, struct resource, object);
}
