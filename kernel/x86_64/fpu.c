/* FPU, SSE and AVX state of threads. The kernel itself uses none (-mgeneral-regs-only).
 *
 *     first use after a switch   #NM (CR0.TS is set) --> fpu_enter: load, TS clear, fpu_live
 *     switch away                fpu_leave: if fpu_live: save, set TS
 *
 * A thread that does not use the FPU costs nothing. What was saved stays in the registers, too, until another
 * thread's is loaded (fpu_owner); the thread coming back finds it there if it has not been loaded elsewhere since
 * (arch_thread.fpu_cpu).
 *
 * XSAVEOPT, XSAVE or FXSAVE, whatever the CPU has; XSAVEOPT skips what did not change since this CPU loaded it from
 * the same memory, which is why an area is written by nothing else while it is loaded somewhere.
 */
#include "abi/errors.h"
#include "kernel/sched/thread.h"
#include "kernel/vmm/heap.h"
#include "kernel/x86_64/machine.h"
#include "lib/base/string.h"

/* The legacy area all three formats begin with (SDM volume 1, 10.5.1). */
#define FXSAVE_SIZE   512u
#define FXSAVE_FCW    0u
#define FXSAVE_MXCSR  24u
#define INITIAL_FCW   0x37fu  /* all x87 exceptions masked, extended precision */
#define INITIAL_MXCSR 0x1f80u /* all SSE exceptions masked */

static struct cache fpu_cache = CACHE_INIT("fpu", FXSAVE_SIZE, 64);

void fpu_init(void)
{
    cpu_features.fpu_size = FXSAVE_SIZE;
    if (cpu_features.xsave)
        cpu_features.fpu_size = cpuid(0xd, 0).ebx; /* for what XCR0 has now */
    fpu_cache.size = cpu_features.fpu_size;
}

int fpu_create(struct arch_thread *thread)
{
    uint16_t fcw = INITIAL_FCW;
    uint32_t mxcsr = INITIAL_MXCSR;
    uint8_t *area = cache_alloc(&fpu_cache); /* all zero: XSAVE's "initial state" for everything */

    if (!area)
        return -E_NO_MEMORY;
    memcpy(area + FXSAVE_FCW, &fcw, sizeof(fcw));
    memcpy(area + FXSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
    thread->fpu = area;
    thread->fpu_cpu = NULL;
    return 0;
}

void fpu_destroy(struct arch_thread *thread)
{
    if (thread->fpu)
        cache_free(&fpu_cache, thread->fpu);
    thread->fpu = NULL;
}

static void save(void *area)
{
    uint32_t low = (uint32_t)cpu_features.xcr0, high = (uint32_t)(cpu_features.xcr0 >> 32);

    if (cpu_features.xsaveopt)
        __asm__ volatile("xsaveopt64 (%0)" : : "r"(area), "a"(low), "d"(high) : "memory");
    else if (cpu_features.xsave)
        __asm__ volatile("xsave64 (%0)" : : "r"(area), "a"(low), "d"(high) : "memory");
    else
        __asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

static void load(const void *area)
{
    uint32_t low = (uint32_t)cpu_features.xcr0, high = (uint32_t)(cpu_features.xcr0 >> 32);

    if (cpu_features.xsave)
        __asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"(low), "d"(high) : "memory");
    else
        __asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
}

void fpu_leave(struct cpu *cpu, struct thread *from)
{
    save(from->arch.fpu);
    cr0_write(cr0_read() | CR0_TS);
    cpu->arch.fpu_live = false;
}

void fpu_enter(struct cpu *cpu, struct thread *thread)
{
    __asm__ volatile("clts");
    if (cpu->arch.fpu_owner != thread || thread->arch.fpu_cpu != cpu) {
        load(thread->arch.fpu);
        cpu->arch.fpu_owner = thread;
        thread->arch.fpu_cpu = cpu;
    }
    cpu->arch.fpu_live = true;
}

void arch_thread_copy_fpu(struct thread *to, struct thread *from)
{
    if (from == thread_current() && cpu_self()->arch.fpu_live)
        save(from->arch.fpu);
    memcpy(to->arch.fpu, from->arch.fpu, cpu_features.fpu_size);
    to->arch.fpu_cpu = NULL;
}
