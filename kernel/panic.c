/* The end, as readable as it can be made.
 *
 * The first CPU to panic stops the others (NMI) and reports; a CPU that panics meanwhile just stops. Nothing
 * here takes a lock, allocates or trusts a pointer it can do without: the state is known to be broken. A
 * panic within a panic says so in one line and stops. `panic=reset` or `panic=exit` (QEMU's debug-exit device)
 * on the command line decides what follows; otherwise the machine halts with the report on its screen.
 */
#include "kernel/panic.h"

#include <stdarg.h>

#include "kernel/boot.h"
#include "kernel/cpu.h"
#include "kernel/lock.h"
#include "kernel/log.h"
#include "kernel/process.h"
#include "kernel/sched/thread.h"
#include "kernel/symbols.h"
#include "lib/base/string.h"

#define PANIC_EXIT_CODE 0x7fu

static uint32_t panicking; /* 0, or 1 + index of the CPU that reports */
static char line[512];     /* of that CPU only */

void panic_print(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int length = format_text(line, sizeof(line), format, arguments);
    va_end(arguments);
    arch_console_write(line, MIN((size_t)length, sizeof(line) - 1));
}

static void print_address(uint64_t address)
{
    uint64_t offset;
    const char *name = symbol_find(address, &offset);

    if (name)
        panic_print("  %016lx %s+0x%lx\n", address, name, offset);
    else
        panic_print("  %016lx\n", address);
}

static void print_thread(const struct cpu *cpu)
{
    const struct thread *thread = cpu->current;

    if (!thread) {
        panic_print("CPU %u, no thread\n", cpu->index);
        return;
    }
    if (!thread->process) {
        panic_print("CPU %u, %sthread %lu of the kernel\n", cpu->index,
                    thread == cpu->idle ? "idle " : "", thread->object.id);
        return;
    }
    panic_print("CPU %u, thread %lu of process %lu (%.*s)\n", cpu->index, thread->object.id,
                thread->process->object.id, (int)sizeof(thread->process->name),
                thread->process->name);
}

static void print_locks(void)
{
#if DEBUG
    for (uint32_t cpu = 0; cpu < CPU_MAX; cpu++) {
        const struct lock *lock;

        for (uint32_t n = 0; (lock = lock_debug_held(cpu, n)) != NULL; n++)
            panic_print("CPU %u holds lock %s (rank %u)\n", cpu, lock->name, lock->rank);
    }
#endif
}

static NORETURN void finish(void)
{
    size_t length;
    const char *action = boot_option("panic", &length);

    if (action && length == 5 && memcmp(action, "reset", 5) == 0)
        arch_reset();
    if (action && length == 4 && memcmp(action, "exit", 4) == 0)
        arch_debug_exit(PANIC_EXIT_CODE);
    arch_halt_all();
}

/* What the CPUs that were stopped were at. */
static void print_others(void)
{
    for (uint32_t i = 0; i < CPU_MAX; i++) {
        if (!cpus[i] || cpus[i] == cpu_self() || !cpus[i]->online)
            continue;
        print_thread(cpus[i]);
        arch_backtrace_stopped(i, print_address);
    }
}

static NORETURN void report(const struct abi_frame *frame, const char *format, va_list arguments)
{
    uint32_t me = cpu_self()->index + 1, nobody = 0;

    if (!__atomic_compare_exchange_n(&panicking, &nobody, me, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE)) {
        static const char again[] = "\npanic: a second one while reporting the first\n";

        if (nobody == me)
            arch_console_write(again, sizeof(again) - 1);
        arch_halt();
    }
    arch_cpus_stop();
    arch_console_panic();

    panic_print("\npanic: ");
    int length = format_text(line, sizeof(line), format, arguments);
    arch_console_write(line, MIN((size_t)length, sizeof(line) - 1));
    panic_print("\n");
    print_thread(cpu_self());
    print_locks();
    arch_print_state(frame);
    panic_print("backtrace:\n");
    if (frame)
        print_address(frame->rip);
    arch_backtrace(print_address);
    print_others();
    panic_print("end of panic\n");
    finish();
}

void panic(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    report(NULL, format, arguments);
}

void panic_frame(const struct abi_frame *frame, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    report(frame, format, arguments);
}
