/* Which I/O ports a process may use: the permission bitmap of the TSS (SDM volume 1, 18.5.2).
 *
 * A process with ports has a bitmap of its own (process->arch_ports); the TSS of a CPU holds a copy of one such
 * bitmap, and TSS.ports_offset switches it on while a thread of that process runs. So going back and forth between a
 * driver and its clients costs two stores; only another driver's bitmap is copied, and of that only the part in use.
 *
 * Every state of a bitmap has a version, unique in the system. A CPU that runs another thread of the process while it
 * gets more ports keeps the old copy; its first IN or OUT there raises #GP, and ports_refresh brings the copy up to
 * date. Ports are never taken away from a living process.
 * Lock: ports_lock for changes of bitmaps. Copies are taken without: the version is read first, so a change that comes
 * meanwhile makes the copy an old one, and a bit may be missing in it, no more.
 */
#include "abi/errors.h"
#include "kernel/sched/thread.h"
#include "kernel/vmm/heap.h"
#include "kernel/x86_64/machine.h"
#include "lib/base/string.h"

struct ports {
    uint64_t version;
    uint32_t low, high; /* bytes [low, high) have bits that are 0 */
    uint8_t denied[PORTS_BYTES];
};

#define PORT_COUNT (PORTS_BYTES * 8)

static struct lock ports_lock = LOCK_INIT(RANK_ARCH, "ports");
static uint64_t last_version;

_Static_assert(sizeof(struct tss) == 104, "hardware's");

static void enable(struct cpu *cpu, bool on)
{
    uint16_t beyond = sizeof(struct tss) + sizeof(cpu->arch.port_bitmap);

    cpu->arch.tss.ports_offset = on ? sizeof(struct tss) : beyond;
    cpu->arch.ports_open = on;
}

static void copy(struct cpu *cpu, const struct ports *ports)
{
    uint64_t version = __atomic_load_n(&ports->version, __ATOMIC_ACQUIRE);

    if (cpu->arch.ports_version == version)
        return;
    /* Acquire: whoever sees the new low sees the high that was stored before it (arch_ports_grant). */
    uint32_t low = __atomic_load_n(&ports->low, __ATOMIC_ACQUIRE);
    uint32_t high = __atomic_load_n(&ports->high, __ATOMIC_RELAXED);
    memset(cpu->arch.port_bitmap + cpu->arch.ports_low, 0xff,
           cpu->arch.ports_high - cpu->arch.ports_low);
    memcpy(cpu->arch.port_bitmap + low, ports->denied + low, high - low);
    cpu->arch.ports_low = low;
    cpu->arch.ports_high = high;
    cpu->arch.ports_version = version;
}

void ports_switch(struct cpu *cpu, struct process *process)
{
    const struct ports *ports = process->arch_ports;

    if (ports)
        copy(cpu, ports);
    enable(cpu, ports);
}

bool ports_refresh(struct cpu *cpu, struct process *process)
{
    const struct ports *ports = __atomic_load_n(&process->arch_ports, __ATOMIC_ACQUIRE);

    if (!ports || cpu->arch.ports_version == __atomic_load_n(&ports->version, __ATOMIC_ACQUIRE))
        return false;
    ports_switch(cpu, process);
    return true;
}

static int create(struct process *process)
{
    struct ports *fresh = heap_alloc(sizeof(*fresh));

    if (!fresh)
        return -E_NO_MEMORY;
    memset(fresh->denied, 0xff, sizeof(fresh->denied));
    lock_acquire(&ports_lock);
    if (!process->arch_ports) {
        __atomic_store_n(&process->arch_ports, fresh, __ATOMIC_RELEASE);
        fresh = NULL;
    }
    lock_release(&ports_lock);
    heap_free(fresh);
    return 0;
}

int arch_ports_grant(struct process *process, uint64_t base, uint64_t count)
{
    if (base >= PORT_COUNT || !count || count > PORT_COUNT - base)
        return -E_RANGE;
    if (!process->arch_ports) {
        int error = create(process);

        if (error)
            return error;
    }

    struct ports *ports = process->arch_ports;
    uint32_t low = (uint32_t)(base / 8), high = (uint32_t)((base + count - 1) / 8 + 1);

    lock_acquire(&ports_lock);
    for (uint64_t port = base; port < base + count; port++)
        ports->denied[port / 8] &= (uint8_t) ~(1u << port % 8);
    bool first = !ports->high;
    __atomic_store_n(&ports->high, MAX(ports->high, high), __ATOMIC_RELAXED);
    __atomic_store_n(&ports->low, first ? low : MIN(ports->low, low), __ATOMIC_RELEASE);
    __atomic_store_n(&ports->version, ++last_version, __ATOMIC_RELEASE);
    lock_release(&ports_lock);
    if (process == process_current())
        ports_switch(cpu_self(), process);
    return 0;
}

void arch_ports_free(struct process *process)
{
    heap_free(process->arch_ports);
    process->arch_ports = NULL;
}

void arch_ports_copy_none(struct process *child)
{
    child->arch_ports = NULL;
}
