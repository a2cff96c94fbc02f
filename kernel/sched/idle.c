/* Idle CPUs: see idle.h. */
#include "kernel/sched/idle.h"

#include "kernel/circle.h"
#include "kernel/log.h"
#include "kernel/sched/sched.h"

static uint64_t idle_mask[CPU_MAX / 64];
static uint64_t idle_poll_ns = IDLE_POLL_NS;

uint64_t idle_set_poll(uint64_t ns)
{
    return __atomic_exchange_n(&idle_poll_ns, ns, __ATOMIC_RELAXED);
}

bool idle_is(const struct cpu *cpu)
{
    return __atomic_load_n(&idle_mask[cpu->index / 64], __ATOMIC_RELAXED) & BIT(cpu->index % 64);
}

struct cpu *idle_find(uint64_t affinity)
{
    for (uint32_t word = 0; word * 64 < cpu_count; word++) {
        uint64_t idle = __atomic_load_n(&idle_mask[word], __ATOMIC_RELAXED);

        if (affinity)
            idle &= word == 0 ? affinity : 0;
        if (idle)
            return cpus[word * 64 + (uint32_t)__builtin_ctzll(idle)];
    }
    return NULL;
}

static void idle_enter(const struct cpu *cpu)
{
    __atomic_fetch_or(&idle_mask[cpu->index / 64], BIT(cpu->index % 64), __ATOMIC_SEQ_CST);
}

static void idle_leave(const struct cpu *cpu)
{
    if (idle_is(cpu))
        __atomic_fetch_and(&idle_mask[cpu->index / 64], ~BIT(cpu->index % 64), __ATOMIC_SEQ_CST);
}

void sched_nudge(struct cpu *cpu)
{
    idle_leave(cpu);
    if (!__atomic_fetch_or(&cpu->need_resched, RESCHED_WANTED, __ATOMIC_SEQ_CST))
        arch_cpu_kick(cpu);
}

void sched_rouse(void)
{
    struct cpu *cpu = idle_find(0);

    if (cpu)
        sched_nudge(cpu);
}

/* Whether a CPU is at work. The caller idles: it is another. */
static bool others_work(void)
{
    for (uint32_t first = 0; first < cpu_count; first += 64) {
        uint64_t all = cpu_count - first < 64 ? BIT(cpu_count - first) - 1 : UINT64_MAX;

        if (__atomic_load_n(&idle_mask[first / 64], __ATOMIC_RELAXED) != all)
            return true;
    }
    return false;
}

static bool has_work(const struct cpu *cpu)
{
    return cpu->handed || __atomic_load_n(&cpu->queue->length, __ATOMIC_SEQ_CST) ||
           __atomic_load_n(&cpu->need_resched, __ATOMIC_SEQ_CST) & RESCHED_WANTED;
}

/* True: work has come. */
static bool poll(struct cpu *cpu)
{
    uint64_t ns = __atomic_load_n(&idle_poll_ns, __ATOMIC_RELAXED), start;

    if (!ns || !others_work())
        return false;
    start = arch_clock();
    __atomic_fetch_or(&cpu->need_resched, RESCHED_POLLED, __ATOMIC_SEQ_CST);
    do {
        arch_preempt_window();
        arch_pause();
    } while (!has_work(cpu) && others_work() && arch_clock() - start < ns);
    __atomic_fetch_and(&cpu->need_resched, ~RESCHED_POLLED, __ATOMIC_SEQ_CST);
    return has_work(cpu);
}

static void rest(struct cpu *cpu)
{
    if (log_tell() || circle_step())
        arch_preempt_window();
    else if (!poll(cpu))
        arch_idle();
}

void sched_idle(void)
{
    struct cpu *cpu = cpu_self();

    for (;;) {
        sched_looking(cpu);
        idle_enter(cpu);
        /* Work queued before the bit was seen is found here; later work comes with a nudge. */
        if (!has_work(cpu)) {
            cpu_hand(cpu, sched_steal(cpu));
            if (!cpu->handed)
                rest(cpu);
        }
        idle_leave(cpu);
        if (cpu->handed) /* a whole slice goes with it */
            cpu->queue->slice_end = arch_clock() + SLICE_NS;
        if (cpu->handed || queue_length(cpu->queue))
            sched_switch();
    }
}
