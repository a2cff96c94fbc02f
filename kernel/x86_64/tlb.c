/* Translations that CPUs have cached, and making them forget.
 *
 * space->cpus is the set of CPUs with the space in CR3; only they are interrupted. A CPU that has left a space keeps
 * nothing of it without PCIDs (loading CR3 flushes), and with them finds on coming back that space->flushes has
 * moved on, and flushes then. An idle CPU keeps its last space loaded; asked to flush it, it leaves it instead.
 *
 *     flush (arch_tlb_flush)             load (tlb_load, machine.h)
 *     page tables changed                set own bit in space->cpus
 *     space->flushes += 1                read space->flushes
 *     read space->cpus, interrupt those  load CR3 (flush if the count is another than last time)
 *
 * Both are sequentially consistent read-modify-writes first and reads after: either the flush sees the bit, or the
 * load sees the count, and with it the tables.
 *
 * A request lies in the asking CPU's arch_cpu.shootdown, one at a time; it sets its bit in each target's `incoming`
 * and sends an interrupt. Whoever waits, for this or for a lock, serves its own `incoming` meanwhile (arch_spin_wait):
 * interrupts are off, and two CPUs may be asking each other. So no lock is needed, and any may be held.
 */
#include "kernel/x86_64/machine.h"

#define PAGES_ONE_BY_ONE 32u /* more than that: everything */

static uint64_t mask_bit(uint32_t cpu)
{
    return BIT(cpu % 64);
}

/* --- This CPU --- */

static void flush_all(void)
{
    if (cpu_features
            .pge) { /* a write that changes PGE flushes global and all PCIDs' translations */
        uint64_t cr4 = cr4_read();

        cr4_write(cr4 & ~CR4_PGE);
        cr4_write(cr4);
    } else {
        cr3_write(cr3_read());
    }
}

static inline bool few_pages(uint64_t start, uint64_t end)
{
    return end && end - start <= PAGES_ONE_BY_ONE * PAGE_SIZE;
}

static inline void flush_pages(uint64_t start, uint64_t end)
{
    for (uint64_t address = start; address < end; address += PAGE_SIZE)
        tlb_invalidate_page(address);
}

static void leave(struct cpu *cpu)
{
    struct arch_space *space = cpu->arch.space;

    cr3_write(kernel_root.value);
    cpu->arch.space = NULL;
    __atomic_fetch_and(&space->cpus[cpu->index / 64], ~mask_bit(cpu->index), __ATOMIC_RELEASE);
}

static void flush_whole_space(struct cpu *cpu, struct arch_space *space)
{
    if (cpu_features.pcid)
        pcid_in_step(&cpu->arch.pcids, space->id,
                     __atomic_load_n(&space->flushes, __ATOMIC_SEQ_CST));
    cr3_write(cr3_read()); /* bit 63 reads as 0: not "no flush" */
}

/* flushes: the count that the flush to be done made. The space is in CR3. */
static inline void flush_space(struct cpu *cpu, struct arch_space *space, uint64_t start,
                               uint64_t end, uint64_t flushes)
{
    bool in_step = !cpu_features.pcid || pcid_step(&cpu->arch.pcids, space->id, flushes);

    if (likely(in_step && few_pages(start, end)))
        flush_pages(start, end);
    else
        flush_whole_space(cpu, space);
}

uint64_t tlb_tagged_cr3(struct cpu *cpu, struct arch_space *space)
{
    bool flush;
    uint64_t flushes = __atomic_load_n(&space->flushes, __ATOMIC_SEQ_CST);
    unsigned pcid = pcid_choose(&cpu->arch.pcids, space->id, flushes, &flush);

    return space->root.value | pcid | (flush ? 0 : CR3_NOFLUSH);
}

/* --- Other CPUs --- */

static void serve_one(struct cpu *cpu, struct shootdown *request)
{
    struct arch_space *space = request->space;

    if (!space) {
        if (few_pages(request->start, request->end))
            flush_pages(request->start, request->end);
        else
            flush_all();
    } else if (cpu->arch.space == space) {
        if (request->leave || cpu->current == cpu->idle)
            leave(cpu);
        else
            flush_space(cpu, space, request->start, request->end, request->flushes);
    }
    __atomic_fetch_sub(&request->pending, 1, __ATOMIC_RELEASE); /* the request may be reused now */
}

void tlb_serve(void)
{
    struct cpu *cpu = cpu_self();

    for (uint32_t word = 0; word < CPU_WORDS; word++) {
        if (likely(!__atomic_load_n(&cpu->arch.incoming[word], __ATOMIC_RELAXED)))
            continue;
        /* Acquire: pairs with the release in ask(), which made the request visible before the bit. */
        uint64_t bits = __atomic_exchange_n(&cpu->arch.incoming[word], 0, __ATOMIC_ACQUIRE);
        for (; bits; bits &= bits - 1)
            serve_one(cpu, &cpus[word * 64 + (uint32_t)__builtin_ctzll(bits)]->arch.shootdown);
    }
}

/* PAUSE on every turn would be right for a real CPU; an emulator leaves its fast path for it (QEMU: several
 * microseconds and a global lock), and most waits are over in a few turns. */
#define TURNS_PER_PAUSE 64u

void arch_spin_wait(void)
{
    struct cpu *cpu = cpu_self();

    if (++cpu->arch.spin_turns % TURNS_PER_PAUSE == 0)
        arch_pause();
    tlb_serve();
}

static void shootdown_interrupt(struct abi_frame *frame)
{
    (void)frame;
    lapic_eoi();
    tlb_serve();
}

void tlb_init(void)
{
    trap_set_handler(VECTOR_SHOOTDOWN, shootdown_interrupt);
}

/* Have the CPUs of the mask carry out the request; returns when all have. */
static void ask(struct cpu *cpu, const uint64_t mask[CPU_WORDS], struct shootdown request)
{
    uint32_t count = 0;

    for (uint32_t word = 0; word < CPU_WORDS; word++)
        for (uint64_t bits = mask[word]; bits; bits &= bits - 1)
            count++;
    if (!count)
        return;
    cpu->shootdowns++;
    cpu->shootdown_interrupts += count;
    request.pending = count;
    cpu->arch.shootdown = request;
    for (uint32_t word = 0; word < CPU_WORDS; word++) {
        for (uint64_t bits = mask[word]; bits; bits &= bits - 1) {
            struct cpu *target = cpus[word * 64 + (uint32_t)__builtin_ctzll(bits)];

            __atomic_fetch_or(&target->arch.incoming[cpu->index / 64], mask_bit(cpu->index),
                              __ATOMIC_RELEASE);
            lapic_send(target->arch.apic_id, VECTOR_SHOOTDOWN);
        }
    }
    /* Acquire: pairs with the release in serve_one. */
    while (__atomic_load_n(&cpu->arch.shootdown.pending, __ATOMIC_ACQUIRE))
        arch_spin_wait();
}

static inline bool loaded_elsewhere(struct cpu *cpu, struct arch_space *space)
{
    uint64_t others = __atomic_load_n(tlb_mask(cpu, space), __ATOMIC_SEQ_CST);

    others &= ~cpu->arch.space_bit;
    for (uint32_t word = 0; unlikely(cpu_count > 64) && word * 64 < cpu_count; word++)
        if (&space->cpus[word] != tlb_mask(cpu, space))
            others |= __atomic_load_n(&space->cpus[word], __ATOMIC_SEQ_CST);
    return others;
}

static COLD void ask_others(struct cpu *cpu, const struct shootdown *request)
{
    uint64_t mask[CPU_WORDS];

    for (uint32_t word = 0; word < CPU_WORDS; word++)
        mask[word] = __atomic_load_n(&request->space->cpus[word], __ATOMIC_SEQ_CST);
    mask[cpu->index / 64] &= ~mask_bit(cpu->index);
    ask(cpu, mask, *request);
}

static COLD void flush_elsewhere(struct cpu *cpu, struct arch_space *space, uint64_t start,
                                 uint64_t end, uint64_t flushes)
{
    ask_others(cpu, &(struct shootdown){space, start, end, flushes, false, 0});
}

void arch_tlb_flush(struct arch_space *space, uint64_t start, uint64_t end)
{
    struct cpu *cpu = cpu_self();
    uint64_t flushes = __atomic_add_fetch(&space->flushes, 1, __ATOMIC_SEQ_CST);

    if (likely(cpu->arch.space == space))
        flush_space(cpu, space, start, end, flushes);
    if (unlikely(loaded_elsewhere(cpu, space)))
        flush_elsewhere(cpu, space, start, end, flushes);
}

void tlb_forget(struct arch_space *space)
{
    struct cpu *cpu = cpu_self();

    if (cpu->arch.space == space)
        leave(cpu);
    if (loaded_elsewhere(cpu, space))
        ask_others(cpu, &(struct shootdown){.space = space, .leave = true});
}

void tlb_flush_kernel(uint64_t start, uint64_t end)
{
    struct cpu *cpu = cpu_self();
    uint64_t mask[CPU_WORDS] = {0};

    if (few_pages(start, end))
        flush_pages(start, end);
    else
        flush_all();
    for (uint32_t i = 0; i < CPU_MAX; i++)
        if (cpus[i] && cpus[i] != cpu && __atomic_load_n(&cpus[i]->online, __ATOMIC_ACQUIRE))
            mask[i / 64] |= mask_bit(i);
    ask(cpu, mask, (struct shootdown){.start = start, .end = end});
}
