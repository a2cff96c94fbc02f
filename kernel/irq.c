/* Interrupt objects: binding lines and messages, telling drivers, waiting for them to acknowledge. See irq.h.
 *
 *     sys_irq_bind(resource, line, flags, message)   a line, or with IRQ_MESSAGE a vector that a device writes to
 *     irq_interrupt(line)                            sets SIGNAL_READABLE of everybody bound
 *     sys_irq_ack(irq, flags)                        handled: the next one may come
 *
 * Level lines may be shared by any number of drivers that agree on the polarity. The line is masked when it fires and
 * unmasked when every one of them has acknowledged, or gone:
 *
 *     OPEN --irq_interrupt--> MASKED, waiting = n --sys_irq_ack, unbind--> waiting = 0 --claimed--> OPEN
 *                                                                            \--nobody's, STUCK_LIMIT times--> STUCK
 *     STUCK --sys_irq_ack without IRQ_NOT_MINE--> OPEN
 *
 * Edge lines and messages belong to one driver. An edge that comes before the last one is acknowledged is remembered
 * (irq->again), and acknowledging then sets the signal once more instead of clearing it: whether a driver acknowledges
 * before or after it looks at its device, no edge is lost. The line is masked meanwhile: what fires without end costs
 * two interrupts for each acknowledgement. A message cannot be masked here, only at its device: one that is not
 * acknowledged for STORM_LIMIT times is reported by SIGNAL_ERROR, for whoever looks after the device.
 *
 * Locks: irq_lock (RANK_IRQ_LINES) for the list of lines, references and routes; line->lock (RANK_IRQ), taken by
 * interrupts, too, for who is bound and what they have been told. The machine calls irq_interrupt under a lock of its
 * own that arch_irq_unroute takes as well: a line that is not routed is not in any interrupt's hands.
 */
#include "kernel/irq.h"

#include "abi/errors.h"
#include "kernel/handle.h"
#include "kernel/log.h"
#include "kernel/resource.h"
#include "kernel/syscall.h"
#include "kernel/types.h"
#include "kernel/vmm/heap.h"

#define STUCK_LIMIT 1000u   /* a chip set's stray interrupts come singly */
#define STORM_LIMIT 100000u /* far more than a driver ever leaves waiting */

struct irq {
    struct object object;
    struct irq_line *line; /* from its making to its end */
    struct list link;      /* line->bound, while it is bound */
    bool pending;          /* told, and not acknowledged */
    bool again;            /* edge: it has fired since */
};

static struct cache irq_cache = CACHE_INIT("irq", sizeof(struct irq), 16);
static struct cache line_cache = CACHE_INIT("irq line", sizeof(struct irq_line), 16);
static struct list lines = LIST_INIT(lines);
static struct lock irq_lock = LOCK_INIT(RANK_IRQ_LINES, "interrupt lines");

static struct irq *irq_of(struct object *object)
{
    return container_of(object, struct irq, object);
}

/* --- Firing and acknowledging; the line's lock is held ------------------------------------------------------- */

static void unmask(struct irq_line *line)
{
    if (!line->masked || !line->routed)
        return;
    line->masked = false;
    arch_irq_unmask(line);
}

static void mask(struct irq_line *line)
{
    line->masked = true;
    arch_irq_mask(line);
}

static void fire_level(struct irq_line *line)
{
    mask(line);
    line->waiting = 0;
    line->claimed = false;
    list_for_each (struct irq, irq, &line->bound, link) {
        irq->pending = true;
        line->waiting++;
        object_signal(&irq->object, SIGNAL_READABLE, 0);
    }
}

static void fire_edge(struct irq_line *line, struct irq *irq)
{
    if (!irq->pending) {
        irq->pending = true;
        object_signal(&irq->object, SIGNAL_READABLE, 0);
        return;
    }
    irq->again = true;
    if (line->number != IRQ_NUMBER_MESSAGE) {
        mask(line);
    } else if (++line->unheeded == STORM_LIMIT) {
        log_warning("irq: message 0x%x of CPU %u: %u times, and nobody acknowledges", line->vector,
                    line->cpu, STORM_LIMIT);
        object_signal(&irq->object, SIGNAL_ERROR, 0);
    }
}

void irq_interrupt(struct irq_line *line)
{
    lock_acquire(&line->lock);
    if (line->level)
        fire_level(line);
    else
        list_for_each (struct irq, irq, &line->bound, link)
            fire_edge(line, irq);
    lock_release(&line->lock);
}

static void report_stuck(struct irq_line *line)
{
    line->stuck = true;
    log_warning("irq: line %u fires and is nobody's: masked", line->number);
    list_for_each (struct irq, irq, &line->bound, link)
        object_signal(&irq->object, SIGNAL_ERROR, 0);
}

static void recover(struct irq_line *line)
{
    line->stuck = false;
    line->nobody = 0;
    list_for_each (struct irq, irq, &line->bound, link)
        object_signal(&irq->object, 0, SIGNAL_ERROR);
}

/* One of those that were told has acknowledged, or has gone. */
static void settle_level(struct irq_line *line)
{
    if (--line->waiting)
        return;
    if (line->claimed)
        line->nobody = 0;
    else if (++line->nobody == STUCK_LIMIT)
        report_stuck(line);
    if (!line->stuck)
        unmask(line);
}

static void ack_level(struct irq_line *line, struct irq *irq, bool mine)
{
    if (mine && line->stuck) {
        recover(line);
        if (!line->waiting)
            unmask(line);
    }
    if (!irq->pending)
        return;
    irq->pending = false;
    line->claimed |= mine;
    object_signal(&irq->object, 0, SIGNAL_READABLE);
    settle_level(line);
}

static void ack_edge(struct irq_line *line, struct irq *irq)
{
    line->unheeded = 0;
    irq->pending = irq->again;
    irq->again = false;
    unmask(line);
    object_signal(&irq->object, irq->pending ? SIGNAL_READABLE : 0,
                  SIGNAL_ERROR | (irq->pending ? 0 : SIGNAL_READABLE));
}

int64_t sys_irq_ack(struct object *object, uint32_t flags)
{
    struct irq *irq = irq_of(object);
    struct irq_line *line = irq->line;

    if (flags & ~IRQ_NOT_MINE)
        return -E_INVALID;
    lock_acquire(&line->lock);
    if (!list_linked(&irq->link)) {
        /* its last handle went meanwhile */
    } else if (line->level) {
        ack_level(line, irq, !(flags & IRQ_NOT_MINE));
    } else {
        ack_edge(line, irq);
    }
    lock_release(&line->lock);
    return 0;
}

/* --- Binding ------------------------------------------------------------------------------------------------- */

static struct irq_line *line_find(uint32_t number)
{
    list_for_each (struct irq_line, line, &lines, link)
        if (line->number == number)
            return line;
    return NULL;
}

/* The caller's reference goes; the line with the last one. irq_lock is held; the line is the caller's to free. */
static struct irq_line *line_put(struct irq_line *line)
{
    if (--line->references)
        return NULL;
    list_remove(&line->link);
    return line;
}

/* The line of that number, by now or from before; E_BUSY: bound in another way, or not to be shared. irq_lock. */
static int line_join(struct irq *irq, struct irq_line **fresh)
{
    bool message = (*fresh)->number == IRQ_NUMBER_MESSAGE;
    struct irq_line *line = message ? NULL : line_find((*fresh)->number);

    if (line && !list_empty(&line->bound) &&
        (!line->level || !(*fresh)->level || line->low != (*fresh)->low))
        return -E_BUSY;
    if (!line) {
        line = *fresh;
        *fresh = NULL;
        if (!message)
            list_append(&lines, &line->link);
    } else if (list_empty(&line->bound)) {
        line->level = (*fresh)->level;
        line->low = (*fresh)->low;
    }
    line->references++;
    irq->line = line;
    return 0;
}

static int route(struct irq_line *line, const struct irq_cpus *among,
                 struct abi_irq_message *message)
{
    if (line->routed)
        return 0;

    int error = arch_irq_route(line, among, message);

    if (error)
        return error;
    lock_acquire(&line->lock);
    line->routed = line->masked = true;
    line->claimed = line->stuck = false;
    line->waiting = line->nobody = line->unheeded = 0;
    lock_release(&line->lock);
    return 0;
}

/* *fresh: a line that is described and not yet known; NULL afterwards if it was needed. On error the irq has no line. */
static int attach(struct irq *irq, struct irq_line **fresh, const struct irq_cpus *among,
                  struct abi_irq_message *message)
{
    lock_acquire(&irq_lock);

    int error = line_join(irq, fresh);

    if (!error) {
        error = route(irq->line, among, message);
        if (error) {
            struct irq_line *unused = line_put(irq->line);

            irq->line = NULL;
            if (unused)
                *fresh = unused;
        }
    }
    if (!error) {
        lock_acquire(&irq->line->lock);
        list_append(&irq->line->bound, &irq->link);
        lock_release(&irq->line->lock);
    }
    lock_release(&irq_lock);
    return error;
}

static void unbind(struct irq *irq)
{
    struct irq_line *line = irq->line;

    lock_acquire(&irq_lock);
    if (line && list_linked(&irq->link)) {
        lock_acquire(&line->lock);
        list_remove(&irq->link);

        bool last = list_empty(&line->bound);

        if (last)
            line->routed = false;
        else if (irq->pending && line->level)
            settle_level(line);
        irq->pending = false;
        lock_release(&line->lock);
        if (last)
            arch_irq_unroute(line);
    }
    lock_release(&irq_lock);
}

void irq_closed(struct object *object)
{
    unbind(irq_of(object));
}

void irq_destroy(struct object *object)
{
    struct irq *irq = irq_of(object);
    struct irq_line *unused = NULL;

    unbind(irq);
    lock_acquire(&irq_lock);
    if (irq->line)
        unused = line_put(irq->line);
    lock_release(&irq_lock);
    if (unused)
        cache_free(&line_cache, unused);
    cache_free(&irq_cache, irq);
}

static int irq_new(struct irq **irq, struct irq_line **line)
{
    *line = cache_alloc(&line_cache);
    *irq = *line ? object_alloc(&irq_cache, OBJECT_IRQ, sizeof(struct irq_line)) : NULL;
    if (!*irq) {
        if (*line)
            cache_free(&line_cache, *line);
        return -E_NO_MEMORY;
    }
    list_init(&(*irq)->link);
    list_init(&(*line)->link);
    list_init(&(*line)->bound);
    lock_init(&(*line)->lock, RANK_IRQ, "interrupt line");
    return 0;
}

/* What is asked for, checked: into *line. For a message, the CPUs it may go to. */
static int describe(const struct resource *resource, uint32_t number, uint32_t flags,
                    struct irq_line *line, struct irq_cpus *among)
{
    if (flags & IRQ_MESSAGE) {
        line->number = IRQ_NUMBER_MESSAGE;
        if (number != IRQ_ANY_CPU) {
            *among = (struct irq_cpus){number, 1};
            return resource_covers(resource, RESOURCE_MESSAGE, number, 1) ? 0 : -E_RANGE;
        }
        *among = (struct irq_cpus){0, UINT32_MAX};
        if (resource->kind == RESOURCE_ROOT)
            return 0;
        *among = (struct irq_cpus){(uint32_t)resource->base, (uint32_t)resource->count};
        return resource->kind == RESOURCE_MESSAGE ? 0 : -E_RANGE;
    }
    if (!resource_covers(resource, RESOURCE_IRQ, number, 1))
        return -E_RANGE;
    *among = (struct irq_cpus){0, UINT32_MAX};
    return arch_irq_describe(number, flags, line);
}

static int bind(const struct resource *resource, uint32_t number, uint32_t flags, struct irq *irq,
                struct irq_line **line, uaddr_t user_message)
{
    struct abi_irq_message message = {0};
    struct irq_cpus among;
    int error = describe(resource, number, flags, *line, &among);

    if (!error)
        error = attach(irq, line, &among, &message);
    if (!error && flags & IRQ_MESSAGE)
        error = user_copy_out(user_message, &message, sizeof(message));
    return error;
}

int64_t sys_irq_bind(struct object *object, uint32_t number, uint32_t flags, uaddr_t message)
{
    struct irq_line *line;
    struct irq *irq;

    if (flags & ~(IRQ_LEVEL | IRQ_LOW | IRQ_ISA | IRQ_MESSAGE) ||
        (flags & IRQ_MESSAGE && flags != IRQ_MESSAGE))
        return -E_INVALID;

    int error = irq_new(&irq, &line);

    if (error)
        return error;
    error = bind(resource_of(object), number, flags, irq, &line, message);
    if (line)
        cache_free(&line_cache, line);
    if (error) {
        object_put(&irq->object);
        return error;
    }
    object_get(&irq->object);

    int64_t handle =
        handle_return(&irq->object, RIGHT_CONTROL | RIGHT_WAIT | RIGHT_DUPLICATE | RIGHT_TRANSFER);

    /* It is known by now that the driver will hear of it. A line that others are bound to is open, or waits for them. */
    lock_acquire(&irq->line->lock);
    if (handle > 0 && !irq->line->waiting && !irq->line->stuck)
        unmask(irq->line);
    lock_release(&irq->line->lock);
    object_put(&irq->object);
    return handle;
}
