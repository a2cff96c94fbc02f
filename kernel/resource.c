/* Resources and what drivers make of them: device memory, port access, interrupts. See resource.h.
 *
 * An interrupt object's life: irq_bind routes and unmasks the line; an interrupt sets SIGNAL_READABLE (level
 * lines are masked by the machine until irq_ack); the last close unroutes it.
 * Lock: irq_lock, taken by interrupts too, for the table of lines.
 */
#include "kernel/resource.h"

#include "abi/errors.h"
#include "kernel/handle.h"
#include "kernel/log.h"
#include "kernel/sched/thread.h"
#include "kernel/syscall.h"
#include "kernel/types.h"
#include "kernel/vmm/frame.h"
#include "kernel/vmm/heap.h"
#include "kernel/vmm/memory.h"

static struct cache resource_cache = CACHE_INIT("resource", sizeof(struct resource), 16);

int resource_new(enum resource_kind kind, uint64_t base, uint64_t count, struct resource **result)
{
    struct resource *resource = cache_alloc(&resource_cache);

    if (!resource)
        return -E_NO_MEMORY;
    object_init(&resource->object, OBJECT_RESOURCE);
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

    if (kind < RESOURCE_IRQ || kind > RESOURCE_MEMORY)
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

/* Device memory: never RAM that the kernel hands out. */
int64_t sys_memory_physical(struct object *object, uint64_t base, uint64_t length, uint32_t cache)
{
    struct memory *memory;

    if (cache > CACHE_COMBINING || !IS_ALIGNED(base, PAGE_SIZE) || !IS_ALIGNED(length, PAGE_SIZE))
        return -E_INVALID;
    if (!resource_covers(resource_of(object), RESOURCE_MEMORY, base, length) ||
        base + length > BIT(46))
        return -E_RANGE;
    for (uint64_t page = base; page < base + length; page += PAGE_SIZE)
        if (frame_of(PADDR(page)))
            return -E_ACCESS;

    int error = memory_new_physical(PADDR(base), length, cache, &memory);

    if (error)
        return error;
    return handle_return(&memory->object, RIGHT_READ | RIGHT_WRITE | RIGHT_CONTROL |
                                              RIGHT_DUPLICATE | RIGHT_TRANSFER);
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

/* --- Interrupts ----------------------------------------------------------------------------------------- */

struct irq {
    struct object object;
    uint32_t gsi;
    bool bound;
};

#define IRQ_LINES 1024u

static struct cache irq_cache = CACHE_INIT("irq", sizeof(struct irq), 16);
static struct irq *lines[IRQ_LINES]; /* by gsi; a slot is set while its line is routed */
static struct lock irq_lock = LOCK_INIT(LOCK_INTERRUPT_SAFE, "interrupt lines");

int64_t sys_irq_bind(struct object *object, uint32_t line, uint32_t flags)
{
    if (flags & ~(IRQ_LEVEL | IRQ_LOW | IRQ_ISA))
        return -E_INVALID;
    if (!resource_covers(resource_of(object), RESOURCE_IRQ, line, 1))
        return -E_RANGE;

    struct irq *irq = cache_alloc(&irq_cache);

    if (!irq)
        return -E_NO_MEMORY;
    object_init(&irq->object, OBJECT_IRQ);

    int error = arch_irq_bind(line, flags, &irq->gsi);

    if (!error && irq->gsi >= IRQ_LINES) {
        arch_irq_unbind(irq->gsi);
        error = -E_RANGE;
    }
    if (error) {
        object_put(&irq->object);
        return error;
    }
    lock_acquire(&irq_lock);
    lines[irq->gsi] = irq;
    irq->bound = true;
    lock_release(&irq_lock);

    uint32_t gsi = irq->gsi;
    int64_t handle =
        handle_return(&irq->object, RIGHT_CONTROL | RIGHT_WAIT | RIGHT_DUPLICATE | RIGHT_TRANSFER);

    if (handle > 0)
        arch_irq_unmask(gsi);
    return handle;
}

/* From the machine's interrupt handler. */
void irq_interrupt(uint32_t gsi)
{
    lock_acquire(&irq_lock);
    struct irq *irq = gsi < IRQ_LINES ? lines[gsi] : NULL;
    if (irq)
        object_get(&irq->object);
    lock_release(&irq_lock);
    if (!irq) {
        arch_irq_mask(gsi);
        return;
    }
    object_signal(&irq->object, SIGNAL_READABLE, 0);
    object_put(&irq->object);
}

int64_t sys_irq_ack(struct object *object)
{
    object_signal(object, 0, SIGNAL_READABLE);
    arch_irq_unmask(container_of(object, struct irq, object)->gsi);
    return 0;
}

static void unroute(struct irq *irq)
{
    lock_acquire(&irq_lock);
    bool bound = irq->bound;
    irq->bound = false;
    if (bound)
        lines[irq->gsi] = NULL;
    lock_release(&irq_lock);
    if (bound)
        arch_irq_unbind(irq->gsi);
}

void irq_closed(struct object *object)
{
    unroute(container_of(object, struct irq, object));
}

void irq_destroy(struct object *object)
{
    struct irq *irq = container_of(object, struct irq, object);

    unroute(irq);
    cache_free(&irq_cache, irq);
}
