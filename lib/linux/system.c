/* What programs ask about the system and their limits, and randomness. */
#include "abi/power.h"
#include "lib/base/string.h"
#include "lib/linux/answer.h"
#include "lib/linux/calls.h"
#include "lib/linux/heap.h"
#include "lib/linux/path.h"
#include "lib/linux/random.h"
#include "lib/linux/user.h"

#define RELEASE        "6.1.0-protos"
#define GRND_NONBLOCK_ 1u
#define GRND_KNOWN     7u

int64_t linux_uname(struct thread *thread, uint64_t address)
{
    static const struct linux_utsname name = {
        .system = "Linux",
        .node = "protos",
        .release = RELEASE,
        .version = "#1 SMP",
        .machine = "x86_64",
        .domain = "(none)",
    };

    (void)thread;
    return user_write(address, &name, sizeof(name)) ? -LINUX_EFAULT : 0;
}

int64_t linux_umask(struct thread *thread, uint64_t mask)
{
    return __atomic_exchange_n(&thread->process->umask, (uint32_t)mask & 0777, __ATOMIC_RELAXED);
}

/* What the account (docs/quotas.md) allows of it, all its processes together: none of them gets more. */
static uint64_t account_limit(uint64_t which)
{
    struct abi_quota quotas[QUOTA_COUNT];

    if (sys_process_quotas(HANDLE_SELF, quotas, QUOTA_COUNT) < 0)
        return LINUX_RLIM_INFINITY;
    switch (which) {
    case LINUX_RLIMIT_DATA:
    case LINUX_RLIMIT_RSS:
    case LINUX_RLIMIT_AS:
        return quotas[QUOTA_MEMORY].limit;
    case LINUX_RLIMIT_NPROC: /* threads, in Linux's words */
        return MIN(quotas[QUOTA_THREADS].limit, quotas[QUOTA_PROCESSES].limit);
    case LINUX_RLIMIT_NOFILE:
        return quotas[QUOTA_HANDLES].limit;
    default:
        return LINUX_RLIM_INFINITY;
    }
}

int64_t linux_getrlimit(struct thread *thread, uint64_t which, uint64_t address)
{
    if (which >= LINUX_RLIMIT_COUNT)
        return -LINUX_EINVAL;

    struct linux_rlimit limit = thread->process->limits[which];
    uint64_t most = account_limit(which);

    limit.current = MIN(limit.current, most);
    limit.maximum = MIN(limit.maximum, most);
    return user_write(address, &limit, sizeof(limit)) ? -LINUX_EFAULT : 0;
}

int64_t linux_setrlimit(struct thread *thread, uint64_t which, uint64_t address)
{
    struct process *process = thread->process;
    struct linux_rlimit new;

    if (which >= LINUX_RLIMIT_COUNT)
        return -LINUX_EINVAL;
    if (user_read(&new, address, sizeof(new)))
        return -LINUX_EFAULT;
    if (new.current > new.maximum)
        return -LINUX_EINVAL;
    if (which == LINUX_RLIMIT_NOFILE && new.maximum > UINT32_MAX / 2)
        return -LINUX_EPERM;
    lock(&process->lock);
    bool allowed = new.maximum <= process->limits[which].maximum || !process->uid;
    if (allowed)
        process->limits[which] = new;
    unlock(&process->lock);
    return allowed ? 0 : -LINUX_EPERM;
}

int64_t linux_prlimit64(struct thread *thread, uint64_t pid, uint64_t which, uint64_t new,
                        uint64_t old)
{
    int64_t result = 0;

    if (pid && (int64_t)pid != linux_getpid(thread))
        return -LINUX_ESRCH;
    if (which >= LINUX_RLIMIT_COUNT)
        return -LINUX_EINVAL;
    if (old)
        result = linux_getrlimit(thread, which, old);
    return result < 0 || !new ? result : linux_setrlimit(thread, which, new);
}

int64_t linux_sysinfo(struct thread *thread, uint64_t address)
{
    struct abi_system_info info;
    int64_t result = answer(sys_system_info(&info, sizeof(info)));

    (void)thread;
    if (result < 0)
        return result;
    struct linux_sysinfo out = {
        .uptime = (int64_t)info.uptime / NS_PER_SECOND,
        .total_memory = info.frames_total * PAGE_SIZE,
        .free_memory = info.frames_free * PAGE_SIZE,
        .processes = (uint16_t)info.objects[OBJECT_PROCESS],
        .unit = 1,
    };
    return user_write(address, &out, sizeof(out)) ? -LINUX_EFAULT : 0;
}

int64_t linux_prctl(struct thread *thread, uint64_t option, uint64_t a, uint64_t b, uint64_t c,
                    uint64_t d)
{
    char name[sizeof(thread->name)];

    (void)b, (void)c, (void)d;
    switch ((uint32_t)option) {
    case LINUX_PR_SET_NAME: {
        if (!user_range(a, 1))
            return -LINUX_EFAULT;
        int64_t length = user_copy_string(name, (const char *)a, sizeof(name));
        if (length < 0)
            return -LINUX_EFAULT;
        length = MIN(length, (int64_t)sizeof(name) - 1);
        name[length] = '\0';
        memcpy(thread->name, name, sizeof(name));
        if (!thread->tid || thread->tid == thread->process->pid)
            sys_ignore(sys_process_rename(HANDLE_SELF, name, (uint64_t)length));
        return 0;
    }
    case LINUX_PR_GET_NAME:
        return user_write(a, thread->name, sizeof(thread->name)) ? -LINUX_EFAULT : 0;
    case LINUX_PR_GET_DUMPABLE:
        return 1;
    case LINUX_PR_SET_DUMPABLE:
        return a <= 1 ? 0 : -LINUX_EINVAL;
    default:
        return -LINUX_EINVAL;
    }
}

int64_t linux_getcpu(struct thread *thread, uint64_t cpu_at, uint64_t node_at)
{
    int64_t cpu = answer(sys_thread_control(HANDLE_SELF, THREAD_GET_CPU, 0, NULL));

    (void)thread;
    if (cpu < 0)
        return cpu;
    if ((cpu_at && user_put_u32(cpu_at, (uint32_t)cpu)) || (node_at && user_put_u32(node_at, 0)))
        return -LINUX_EFAULT;
    return 0;
}

int64_t linux_getrandom(struct thread *thread, uint64_t address, uint64_t length, uint64_t flags)
{
    if (flags & ~(uint64_t)GRND_KNOWN)
        return -LINUX_EINVAL;
    return random_read(thread, address, length, !(flags & GRND_NONBLOCK_));
}

/* --- reboot(2) --- */

#define POWER_URI     "power:///"
#define POWER_TIME_NS (5 * NS_PER_SECOND)
#define INIT_PID      1

/* powerd may be gone, or hang: then init does it, whose every step has a deadline. */
static int64_t power_switch(struct thread *thread, uint32_t op, uint64_t signal)
{
    struct abi_path_call call = {
        .uri = (uintptr_t)POWER_URI,
        .uri_length = sizeof(POWER_URI) - 1,
        .command = {.op = op, .deadline = sys_clock_get(CLOCK_MONOTONIC_) + POWER_TIME_NS},
    };
    int64_t result = sys_path_call(HANDLE_SELF, &call);

    if (result == -E_PERMISSION)
        return -LINUX_EPERM;
    return linux_kill(thread, INIT_PID, signal);
}

int64_t linux_reboot(struct thread *thread, uint64_t magic, uint64_t magic_too, uint64_t command,
                     uint64_t argument)
{
    (void)argument;
    if (linux_getuid(thread) != 0)
        return -LINUX_EPERM;
    if ((uint32_t)magic != LINUX_REBOOT_MAGIC || (uint32_t)magic_too != LINUX_REBOOT_MAGIC_TOO)
        return -LINUX_EINVAL;
    switch ((uint32_t)command) {
    case LINUX_REBOOT_RESTART:
        return power_switch(thread, POWER_RESET, LINUX_SIGTERM);
    case LINUX_REBOOT_HALT: /* nobody could switch it off but a person */
    case LINUX_REBOOT_POWER_OFF:
        return power_switch(thread, POWER_OFF, LINUX_SIGUSR2);
    case LINUX_REBOOT_CAD_ON:
    case LINUX_REBOOT_CAD_OFF: /* nothing is bound to these keys */
        return 0;
    default:
        return -LINUX_EINVAL;
    }
}
