/* Device interrupts: which vector of which CPU a line or a message has, and what happens when it comes.
 *
 *     arch_irq_route    the CPU with fewest vectors in use, a free one of them; the IO-APIC's entry, or the address and
 *                       data of a message
 *     on_device         vector of this CPU -> line -> irq_interrupt(line) -> acknowledged
 *
 * A message is a write to the local APICs' range of addresses: nothing but the vector in it says whose it is, and
 * without interrupt remapping nothing keeps a device from writing another. An interrupt that was on its way while its
 * vector was given back finds it nobody's, and is acknowledged and dropped, or another's, who must bear a stray one.
 *
 * Lock: a CPU's vectors (RANK_VECTORS), held by on_device until irq_interrupt is done: so arch_irq_unroute, which takes it,
 * leaves no interrupt that still holds the line.
 */
#include "kernel/x86_64/interrupts.h"

#include "abi/errors.h"
#include "kernel/irq.h"
#include "kernel/vmm/heap.h"
#include "kernel/x86_64/ioapic.h"
#include "kernel/x86_64/machine.h"
#include "kernel/x86_64/routing.h"

struct vectors {
    struct lock lock;
    struct vector_map map;
};

static struct routes routes;
static struct vectors *vectors[CPU_MAX]; /* made when a CPU gets its first line, for good */

static void on_device(struct abi_frame *frame)
{
    struct vectors *mine = __atomic_load_n(&vectors[cpu_self()->index], __ATOMIC_ACQUIRE);

    if (mine) {
        lock_acquire(&mine->lock);
        struct irq_line *line = vectors_find(&mine->map, (uint8_t)frame->vector);
        if (line)
            irq_interrupt(line);
        lock_release(&mine->lock);
    }
    lapic_eoi();
}

/* --- Routes ---------------------------------------------------------------------------------------------- */

int arch_irq_describe(uint32_t number, uint32_t flags, struct irq_line *line)
{
    struct line found;

    if (!routing_resolve(&routes, number, flags, &found) || !ioapic_has(found.gsi))
        return -E_RANGE;
    line->number = found.gsi;
    line->level = found.level;
    line->low = found.low;
    return 0;
}

/* The CPU of these with the fewest vectors in use. Their maps are read without locks: a guess is good enough. */
static struct cpu *choose_cpu(const struct irq_cpus *among)
{
    struct cpu *best = NULL;
    uint32_t fewest = VECTOR_COUNT;

    for (uint32_t i = among->first; i < cpu_count && i - among->first < among->count; i++) {
        const struct vectors *used = __atomic_load_n(&vectors[i], __ATOMIC_ACQUIRE);
        uint32_t count = used ? __atomic_load_n(&used->map.used, __ATOMIC_RELAXED) : 0;

        if (!cpus[i] || cpus[i]->arch.apic_id >= MESSAGE_APIC_LIMIT || count >= fewest)
            continue;
        fewest = count;
        best = cpus[i];
    }
    return best;
}

/* One caller at a time: kernel/irq.c has a lock. */
static struct vectors *vectors_of(const struct cpu *cpu)
{
    struct vectors *fresh;

    if (vectors[cpu->index])
        return vectors[cpu->index];
    fresh = heap_alloc(sizeof(*fresh));
    if (!fresh)
        return NULL;
    lock_init(&fresh->lock, RANK_VECTORS, "vectors");
    __atomic_store_n(&vectors[cpu->index], fresh, __ATOMIC_RELEASE);
    return fresh;
}

int arch_irq_route(struct irq_line *line, const struct irq_cpus *among,
                   struct abi_irq_message *message)
{
    struct cpu *cpu = choose_cpu(among);
    struct vectors *of;
    bool taken;

    if (!cpu)
        return -E_BUSY;
    of = vectors_of(cpu);
    if (!of)
        return -E_NO_MEMORY;
    lock_acquire(&of->lock);
    taken = vectors_take(&of->map, line, &line->vector);
    lock_release(&of->lock);
    if (!taken)
        return -E_BUSY;
    line->cpu = cpu->index;
    if (line->number == IRQ_NUMBER_MESSAGE)
        message_encode(message, cpu->arch.apic_id, line->vector);
    else
        ioapic_bind(line, cpu->arch.apic_id);
    return 0;
}

void arch_irq_unroute(struct irq_line *line)
{
    struct vectors *of = vectors[line->cpu];

    if (line->number != IRQ_NUMBER_MESSAGE)
        ioapic_unbind(line->number);
    lock_acquire(&of->lock);
    vectors_give(&of->map, line->vector);
    lock_release(&of->lock);
}

void arch_irq_mask(struct irq_line *line)
{
    ioapic_set_masked(line->number, true);
}

void arch_irq_unmask(struct irq_line *line)
{
    if (line->number != IRQ_NUMBER_MESSAGE)
        ioapic_set_masked(line->number, false);
}

void interrupts_start(const struct acpi *acpi)
{
    ioapic_start(acpi, &routes);
    for (unsigned vector = VECTOR_DEVICE_FIRST; vector <= VECTOR_DEVICE_LAST; vector++)
        trap_set_handler((uint8_t)vector, on_device);
}
