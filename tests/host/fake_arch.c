/* CPUs, clock, log and physical memory for host tests: see fake_arch.h. */
#include "tests/host/fake_arch.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kernel/boot.h"
#include "kernel/cpu.h"
#include "kernel/log.h"
#include "kernel/panic.h"

#define WEAK __attribute__((weak))

static struct cpu fake_cpus[FAKE_CPUS];

WEAK struct cpu *cpus[CPU_MAX];
WEAK uint32_t cpu_count = FAKE_CPUS;
WEAK struct boot_info boot_info;
static __thread struct cpu *fake_cpu = &fake_cpus[0];
char *fake_memory;
uint64_t fake_clock, fake_flushes;
bool fake_log;
void (*fake_spin)(void);

struct cpu *cpu_self(void)
{
    return fake_cpu;
}

void fake_cpu_enter(uint32_t index)
{
    fake_cpu = &fake_cpus[index];
}

void fake_init(void)
{
    if (!fake_memory) {
        fake_memory = mmap(NULL, FAKE_MEMORY_SIZE, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (fake_memory == MAP_FAILED)
            panic("fake_init: no address space");
    }
    memset(&boot_info, 0, sizeof(boot_info));
    for (uint32_t i = 0; i < FAKE_CPUS; i++) {
        memset(&fake_cpus[i], 0, sizeof(fake_cpus[i]));
        fake_cpus[i].self = cpus[i] = &fake_cpus[i];
        fake_cpus[i].index = i;
        fake_cpus[i].online = true;
    }
    fake_cpu_enter(0);
    fake_clock = 0;
}

void fake_ram(uint64_t base, uint64_t length)
{
    if (base + length > FAKE_MEMORY_SIZE)
        panic("fake_ram: beyond FAKE_MEMORY_SIZE");
    /* Whatever an earlier test left there: RAM is not zero after a boot. */
    madvise(fake_memory + base, length, MADV_DONTNEED);
    boot_info.ranges[boot_info.range_count++] = (struct boot_range){PADDR(base), length, BOOT_RAM};
}

WEAK void panic(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("panic: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    abort();
}

WEAK bool log_tell(void)
{
    return false;
}

WEAK void log_line(enum log_level level, const char *format, ...)
{
    va_list arguments;

    if (!fake_log)
        return;
    va_start(arguments, format);
    fprintf(stderr, "log %d: ", (int)level);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

WEAK uint64_t arch_clock(void)
{
    return fake_clock;
}

WEAK uint64_t arch_cycles(void)
{
    return fake_clock;
}

WEAK uint64_t arch_cycles_hz(void)
{
    return UINT64_C(1000000000);
}

WEAK void arch_timer_set(uint64_t deadline)
{
    cpu_self()->arch.timer_deadline = deadline;
}

WEAK void arch_cpu_kick(struct cpu *cpu)
{
    __atomic_fetch_add(&cpu->arch.kicks, 1, __ATOMIC_RELAXED);
}

WEAK void arch_idle(void)
{
}

WEAK void arch_preempt_window(void)
{
}

WEAK void arch_spin_wait(void)
{
    if (fake_spin)
        fake_spin();
    fake_yield();
}

WEAK void arch_halt_all(void)
{
    abort();
}

/* There is no screen here. */
WEAK void arch_screen_write(const char *text, size_t length)
{
    (void)text, (void)length;
}

WEAK void arch_screen_show_text(void)
{
}

WEAK void arch_screen_taken(void)
{
}

WEAK void arch_console_write(const char *text, size_t length)
{
    fwrite(text, 1, length, stderr);
}
