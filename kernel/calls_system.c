/* System calls on the system as a whole: log, clock, counters, power. */
#include "abi/errors.h"
#include "kernel/ipc/command.h"
#include "kernel/ipc/port.h"
#include "kernel/keeper.h"
#include "kernel/log.h"
#include "kernel/resource.h"
#include "kernel/sched/idle.h"
#include "kernel/sched/sched.h"
#include "kernel/syscall.h"
#include "kernel/time.h"
#include "kernel/vmm/fail.h"
#include "kernel/vmm/frame.h"
#include "kernel/vmm/heap.h"

#define LOG_LINE_MAX  1024u
#define LOG_PIECE_MAX 4096u

/* A longer text is cut: a line is a line. */
int64_t sys_log_write(uaddr_t text, uint64_t length)
{
    char line[LOG_LINE_MAX];

    length = MIN(length, (uint64_t)LOG_LINE_MAX);

    int error = user_copy_in(line, text, length);

    if (error)
        return error;
    log_user(process_current()->name, line, length);
    log_tell();
    return (int64_t)length;
}

int64_t sys_log_read(struct object *object, uaddr_t argument, uint32_t flags)
{
    struct abi_log_read read;
    int error = user_copy_in(&read, argument, sizeof(read));

    if (error)
        return error;
    if (flags & ~LOG_READ_CONSOLE)
        return -E_INVALID;
    if (resource_of(object)->kind != RESOURCE_ROOT)
        return -E_ACCESS;
    if (flags & LOG_READ_CONSOLE)
        object_signal(object, 0,
                      SIGNAL_READABLE); /* before it looks: what comes later is told again */

    uint64_t room = MIN(read.length, (uint64_t)LOG_PIECE_MAX);
    char *buffer = heap_alloc(LOG_PIECE_MAX);

    if (!buffer)
        return -E_NO_MEMORY;
    enum log_level least = flags & LOG_READ_CONSOLE ? log_console_level() : LOG_DEBUG;
    read.length = log_read(&read.sequence, buffer, room, least);
    error = user_copy_out(UADDR(read.buffer), buffer, read.length);
    heap_free(buffer);
    if (!error)
        error = user_copy_out(argument, &read, sizeof(read));
    return error ? error : (int64_t)read.length;
}

int64_t sys_clock_get(uint32_t clock)
{
    switch (clock) {
    case CLOCK_MONOTONIC_:
        return (int64_t)arch_clock();
    case CLOCK_REALTIME_:
        return time_real();
    case CLOCK_THREAD_:
        return (int64_t)sched_cpu_time(thread_current());
    case CLOCK_PROCESS_: {
        struct process *process = process_current();

        lock_acquire(&process->lock);
        uint64_t time = process->cpu_time;
        list_for_each (struct thread, thread, &process->threads, sibling)
            time += sched_cpu_time(thread);
        lock_release(&process->lock);
        return (int64_t)time;
    }
    default:
        return -E_INVALID;
    }
}

/* size: as much of the structure as the caller knows. */
int64_t sys_system_info(uaddr_t to, uint64_t size)
{
    struct abi_system_info info = {
        .frames_total = frame_count_total(),
        .frames_free = frame_count_free(),
        .handles = handle_count_all(),
        .commands = command_count(),
        .bindings = binding_count(),
        .kernel_bytes = heap_bytes() - command_spare_bytes(),
        .cpus = cpu_count,
        .uptime = arch_clock(),
        .tsc_hz = arch_cycles_hz(),
        .features = arch_features(),
        .xsave_size = arch_xsave_size(),
        .frames_kept = heap_frames() + arch_frames_cached(),
    };

#define OBJECT(number, name, rights, meaning) info.objects[number] = object_count(number);
#include "abi/objects.def"
#undef OBJECT
    for (uint32_t i = 0; i < cpu_count; i++) {
        info.context_switches += cpus[i]->context_switches;
        info.interrupts += cpus[i]->interrupts;
        info.page_faults += cpus[i]->page_faults;
        info.shootdowns += cpus[i]->shootdowns;
        info.shootdown_interrupts += cpus[i]->shootdown_interrupts;
        info.reschedule_interrupts += cpus[i]->reschedule_interrupts;
        info.huge_pages += (uint64_t)cpus[i]->huge_pages;
        info.page_tables += (uint64_t)cpus[i]->page_tables;
    }
    arch_pci_segments(info.pci);
    arch_rtc(&info.rtc_century, &info.rtc_absent);
    return user_copy_out(to, &info, MIN(size, (uint64_t)sizeof(info)));
}

static int64_t keep(uint64_t handle)
{
    struct object *process;
    int error = handle > INT32_MAX ? -E_BAD_HANDLE
                                   : handle_lookup(process_current()->handles, (handle_t)handle,
                                                   OBJECT_PROCESS, RIGHT_CONTROL, &process, NULL);

    if (error)
        return error;
    error = keeper_set(container_of(process, struct process, object));
    object_put(process);
    return error;
}

static bool system_allowed(const struct resource *resource, uint32_t op)
{
    if (resource->kind == RESOURCE_POWER)
        return op == SYSTEM_POWER_OFF || op == SYSTEM_RESET;
    return resource->kind == RESOURCE_ROOT;
}

int64_t sys_system_control(struct object *object, uint32_t op, uint64_t value)
{
    if (!system_allowed(resource_of(object), op))
        return -E_ACCESS;
    switch (op) {
    case SYSTEM_POWER_OFF:
        arch_power_off();
    case SYSTEM_RESET:
        arch_reset();
    case SYSTEM_FAIL_ALLOCATION:
        fail_set(value);
        return 0;
    case SYSTEM_DEBUG_EXIT:
        arch_debug_exit((uint32_t)value);
        return -E_NOT_SUPPORTED; /* no such device */
    case SYSTEM_KEEP:
        return keep(value);
    case SYSTEM_SCREEN:
        log_screen_taken();
        return 0;
    case SYSTEM_IDLE_POLL:
        return value > INT64_MAX ? -E_INVALID : (int64_t)idle_set_poll(value);
    case SYSTEM_CONSOLE:
        log_console_back();
        return 0;
    default:
        return -E_INVALID;
    }
}
