/* Resources and what drivers make of them: device memory, DMA memory, port access. See resource.h; interrupts: irq.c.
 *
 * Device memory is what neither RAM nor a device of the kernel's own lies in: whoever holds a resource for all of it
 * still cannot reach the kernel through it. DMA memory is RAM of one's own whose addresses may be known and do not
 * change; without an IOMMU a device reaches all of RAM, so what its driver tells it is a matter of trust (docs/devices.md).
 */
#include "kernel/resource.h"

#include "abi/errors.h"
#include "kernel/handle.h"
#include "kernel/log.h"
#include "kernel/sched/thread.h"
#include "kernel/syscall.h"
#include "kernel/types.h"
#include "kernel/vmm/heap.h"
#include "kernel/vmm/memory.h"
#include "kernel/vmm/ram.h"

static struct cache resource_cache = CACHE_INIT("resource", sizeof(struct resource), 16);

int resource_new(enum resource_kind kind, uint64_t base, uint64_t count, struct resource **result)
{
    struct resource *resource = object_alloc(&resource_cache, OBJECT_RESOURCE, 0);

    if (!resource)
        return -E_NO_MEMORY;
    resource->kind = kind;
    resource->base = base;
    resource->count = count;
    *result = resource;
    return 0;
}

void resource_destroy(struct object *object)
{
    cache_free(&resource_cache, resource_of(object));
}

bool resource_covers(const struct resource *resource, enum resource_kind kind, uint64_t base,
                     uint64_t count)
{
    if (count == 0 || base + count < base)
        return false;
    if (resource->kind == RESOURCE_ROOT)
        return true;
    return resource->kind == kind && base >= resource->base &&
           base - resource->base <= resource->count &&
           count <= resource->count - (base - resource->base);
}

int64_t sys_resource_create(struct object *object, uint32_t kind, uint64_t base, uint64_t count)
{
    struct resource *resource;

    if (kind < RESOURCE_IRQ || kind > RESOURCE_CLOCK)
        return -E_INVALID;
    if (!resource_covers(resource_of(object), kind, base, count))
        return -E_RANGE;
    if (kind == RESOURCE_IOPORT && base + count > 0x10000)
        return -E_RANGE;

    int error = resource_new(kind, base, count, &resource);

    if (error)
        return error;
    return handle_return(&resource->object, RIGHT_CONTROL | RIGHT_DUPLICATE | RIGHT_TRANSFER);
}

#define MEMORY_PHYSICAL_RIGHTS \
    (RIGHT_READ | RIGHT_WRITE | RIGHT_CONTROL | RIGHT_DUPLICATE | RIGHT_TRANSFER)

static int device_memory(const struct resource *resource, uint64_t base, uint64_t length,
                         uint32_t cache, struct memory **memory)
{
    if (cache > CACHE_COMBINING || !IS_ALIGNED(base, PAGE_SIZE) || !IS_ALIGNED(length, PAGE_SIZE))
        return -E_INVALID;
    if (!resource_covers(resource, RESOURCE_MEMORY, base, length) || base + length > BIT(46))
        return -E_RANGE;
    if (ram_overlaps(base, length) || arch_memory_reserved(base, length))
        return -E_ACCESS;
    return memory_new_physical(PADDR(base), length, cache, memory);
}

static int dma_memory(const struct resource *resource, uint64_t base, uint64_t length,
                      uint32_t flags, struct memory **memory)
{
    if (base || flags & ~MEMORY_PINNED)
        return -E_INVALID;
    if (!resource_covers(resource, RESOURCE_DMA, 0, flags & MEMORY_DMA32 ? BIT(32) : UINT64_MAX))
        return -E_RANGE;
    return memory_new(length, flags, memory);
}

int64_t sys_memory_physical(struct object *object, uint64_t base, uint64_t length, uint32_t flags)
{
    const struct resource *resource = resource_of(object);
    struct memory *memory;
    int error = flags & MEMORY_PINNED ? dma_memory(resource, base, length, flags, &memory)
                                      : device_memory(resource, base, length, flags, &memory);

    if (error)
        return error;
    return handle_return(&memory->object, MEMORY_PHYSICAL_RIGHTS);
}

int64_t sys_ioport_grant(struct object *object)
{
    struct resource *resource = resource_of(object);

    if (resource->kind != RESOURCE_IOPORT)
        return -E_WRONG_TYPE;

    int error = arch_ports_grant(process_current(), resource->base, resource->count);

    if (!error && arch_console_port(resource->base, resource->count))
        log_console_taken();
    return error;
}
