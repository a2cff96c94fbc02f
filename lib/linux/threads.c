/* clone's threads, and what each of them may set for itself.
 *
 *     FREE --clone--> RUNS --exit--> ENDING --the kernel's last word--> FREE
 *
 * A thread cannot give back the stack it runs on, so its area is taken over by a later clone, once the
 * kernel, off that stack, has written so: thread_exit's word is `life`. The program's own word, by which it knows that its
 * stack is free, is cleared before: the personality does not run on that one. Areas are numbered; the first is the first thread's.
 */
#include "lib/linux/threads.h"

#include "abi/startup.h"
#include "lib/base/string.h"
#include "lib/linux/answer.h"
#include "lib/linux/calls.h"
#include "lib/linux/process.h"
#include "lib/linux/signal.h"
#include "lib/linux/user.h"

#define CLONE_THREAD_FLAGS \
    (LINUX_CLONE_VM | LINUX_CLONE_FS | LINUX_CLONE_FILES | LINUX_CLONE_SIGHAND | LINUX_CLONE_THREAD)

__attribute__((visibility("hidden"))) void personality_thread_entry(void);

_Static_assert(THREAD_FREE == 0 && sizeof(enum thread_life) == sizeof(uint32_t),
               "what thread_exit writes");

/* An area nobody runs on: an old one, or a new one behind the last. process->lock held. */
static struct thread *area_find_locked(struct process *process)
{
    struct thread *thread;
    uint64_t areas = 0;

    for (thread = process->threads; thread; thread = thread->next, areas++)
        if (__atomic_load_n(&thread->life, __ATOMIC_ACQUIRE) == THREAD_FREE)
            return thread;
    uint64_t area = PERSONALITY_AREAS + areas * PERSONALITY_AREA_SIZE;
    struct abi_map map = {
        .address = area + PAGE_SIZE,
        .length = PERSONALITY_AREA_SIZE - PAGE_SIZE,
        .memory = HANDLE_NONE,
        .protection = PROT_READ_ | PROT_WRITE_,
        .flags = MAP_FIXED_ | MAP_NOREPLACE_,
    };
    if (sys_space_map(HANDLE_SELF, &map) < 0)
        return NULL;
    thread = (struct thread *)(area + PERSONALITY_BLOCK);
    struct thread **last = &process->threads; /* by address: the count is the next one's number */
    while (*last)
        last = &(*last)->next;
    *last = thread;
    return thread;
}

struct thread *thread_find_locked(struct process *process, int32_t tid)
{
    for (struct thread *thread = process->threads; thread; thread = thread->next)
        if (thread->life == THREAD_RUNS && (thread->tid ? thread->tid : process->pid) == tid)
            return thread;
    return NULL;
}

void threads_only(struct thread *thread)
{
    struct process *process = thread->process;

    for (struct thread *other = process->threads; other; other = other->next)
        if (other != thread) {
            handle_drop(other->handle);
            other->handle = HANDLE_NONE;
            other->life = THREAD_FREE;
        }
    process->thread_count = 1;
}

void thread_kick(struct thread *self, struct thread *target)
{
    if (target == self)
        self->kick = 1;
    else if (target->handle != HANDLE_NONE)
        sys_ignore(sys_thread_control(target->handle, THREAD_INTERRUPT, 0, NULL));
    else
        sys_ignore(sys_process_control(HANDLE_SELF, PROCESS_INTERRUPT, 0));
}

/* Each of the others, kicked, finds process->survivor set (signal.c) and leaves. So does the later of two that want to be
 * it. */
void threads_end_others(struct thread *thread)
{
    struct process *process = thread->process;
    struct thread *none = NULL;

    if (process->thread_count == 1)
        return;
    if (!__atomic_compare_exchange_n(&process->survivor, &none, thread, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE))
        thread_end(thread, 0);
    for (struct thread *other = process->threads; other; other = other->next) {
        if (other == thread || other->life == THREAD_FREE)
            continue;
        while (other->life == THREAD_RUNS) {
            uint32_t count = __atomic_load_n(&process->thread_count, __ATOMIC_ACQUIRE);
            if (count == 1)
                break;
            thread_kick(thread, other);
            futex_sleep(&process->thread_count, count);
        }
    }
    process->survivor = NULL;
}

void thread_started(struct thread *thread)
{
    if (thread->set_tid)
        sys_ignore(user_put_u32(thread->set_tid, (uint32_t)thread->tid));
}

static int64_t thread_clone(struct thread *thread, uint64_t flags, uint64_t stack,
                            uint64_t parent_tid, uint64_t child_tid, uint64_t tls)
{
    struct process *process = thread->process;

    lock(&process->lock);
    struct thread *child = area_find_locked(process);
    if (!child) {
        unlock(&process->lock);
        return -LINUX_EAGAIN;
    }
    struct thread *next = child->next;
    struct signal_info *infos = child->infos;
    memset(child, 0, sizeof(*child));
    child->next = next;
    child->infos = infos;
    child->process = process;
    child->frame = thread->frame;
    child->frame.rax = 0;
    child->frame.rsp = stack ? stack : thread->frame.rsp;
    child->full = 1;
    child->mask = thread->mask;
    child->altstack.flags = LINUX_SS_DISABLE;
    child->clear_tid = flags & LINUX_CLONE_CHILD_CLEARTID ? child_tid : 0;
    child->set_tid = flags & LINUX_CLONE_CHILD_SETTID ? child_tid : 0;
    memcpy(child->name, thread->name, sizeof(child->name));
    struct abi_thread start = {
        .entry = (uint64_t)personality_thread_entry,
        .stack = (uint64_t)child,
        .argument = (uint64_t)child,
        .fs_base = flags & LINUX_CLONE_SETTLS ? tls : thread_fs_base(thread),
        .gs_base = thread_gs_base(thread),
        .block = (uint64_t)child,
        .flags = THREAD_CREATE_SUSPENDED, /* it must know its tid first */
    };
    child->fs_base = start.fs_base;
    child->gs_base = start.gs_base;
    int64_t handle = sys_thread_create(HANDLE_SELF, &start);
    if (handle < 0) {
        unlock(&process->lock);
        return handle == -E_QUOTA ? -LINUX_EAGAIN : answer(handle);
    }
    child->handle = (handle_t)handle;
    child->tid = (int32_t)sys_thread_control(child->handle, THREAD_ID, 0, NULL);
    child->life = THREAD_RUNS;
    __atomic_fetch_add(&process->thread_count, 1, __ATOMIC_RELAXED);
    int64_t tid = child->tid;
    if (flags & LINUX_CLONE_PARENT_SETTID)
        sys_ignore(user_put_u32(parent_tid, (uint32_t)tid));
    sys_ignore(sys_thread_control(child->handle, THREAD_RESUME, 0, NULL));
    unlock(&process->lock);
    return tid;
}

int64_t linux_clone(struct thread *thread, uint64_t flags, uint64_t stack, uint64_t parent_tid,
                    uint64_t child_tid, uint64_t tls)
{
    if (flags & LINUX_CLONE_NEW_ANY)
        return -LINUX_EINVAL;
    if (flags & LINUX_CLONE_THREAD) {
        if ((flags & CLONE_THREAD_FLAGS) != CLONE_THREAD_FLAGS)
            return -LINUX_EINVAL;
        return thread_clone(thread, flags, stack, parent_tid, child_tid, tls);
    }
    /* Another process in the same memory is only known with VFORK, where a copy will do. */
    if ((flags & LINUX_CLONE_VM) && !(flags & LINUX_CLONE_VFORK))
        return -LINUX_EINVAL;
    return process_fork(thread, stack, flags, parent_tid, child_tid, tls);
}

/* Who waits for the word may free the program's stack now. The word may be gone: then nobody waits. */
static void tid_clear(const struct thread *thread)
{
    if (thread->clear_tid && user_put_u32(thread->clear_tid, 0) == 0)
        sys_ignore(sys_futex_wake((uint32_t *)thread->clear_tid, UINT32_MAX, 0, FUTEX_ANY));
}

/* status: of the process, if this was the last thread. */
NORETURN void thread_end(struct thread *thread, uint32_t status)
{
    struct process *process = thread->process;

    lock(&process->lock);
    if (process->thread_count == 1) {
        unlock(&process->lock);
        process_exit(process, status);
    }
    thread->life = THREAD_ENDING;
    handle_drop(thread->handle);
    thread->handle = HANDLE_NONE;
    __atomic_fetch_sub(&process->thread_count, 1, __ATOMIC_RELEASE);
    unlock(&process->lock);
    sys_ignore(sys_futex_wake(&process->thread_count, 1, 0, FUTEX_ANY));
    tid_clear(thread);
    for (;;)
        sys_ignore(sys_thread_exit((uint64_t)&thread->life));
}

int64_t linux_exit(struct thread *thread, uint64_t code)
{
    thread_end(thread, (uint32_t)(code & 0xff) << 8);
}

int64_t linux_set_tid_address(struct thread *thread, uint64_t address)
{
    thread->clear_tid = address;
    return linux_gettid(thread);
}

int64_t linux_set_robust_list(struct thread *thread, uint64_t head, uint64_t length)
{
    if (length != 24)
        return -LINUX_EINVAL;
    thread->robust_list = head;
    return 0;
}

static int64_t set_base(struct thread *thread, bool fs, uint64_t base)
{
    if (base >= USER_MEMORY_END)
        return -LINUX_EPERM;
    if (fs)
        thread->fs_base = base;
    else
        thread->gs_base = base;
    if (!(thread->process->features & FEATURE_FSGSBASE))
        return answer(
            sys_thread_control(HANDLE_SELF, fs ? THREAD_SET_FS : THREAD_SET_GS, base, NULL));
    if (fs)
        __asm__ volatile("wrfsbase %0" : : "r"(base));
    else
        __asm__ volatile("wrgsbase %0" : : "r"(base));
    return 0;
}

int64_t linux_arch_prctl(struct thread *thread, uint64_t code, uint64_t address)
{
    switch ((uint32_t)code) {
    case LINUX_ARCH_SET_FS:
    case LINUX_ARCH_SET_GS:
        return set_base(thread, (uint32_t)code == LINUX_ARCH_SET_FS, address);
    case LINUX_ARCH_GET_FS:
        return user_put_u64(address, thread_fs_base(thread)) ? -LINUX_EFAULT : 0;
    case LINUX_ARCH_GET_GS:
        return user_put_u64(address, thread_gs_base(thread)) ? -LINUX_EFAULT : 0;
    default:
        return -LINUX_EINVAL;
    }
}

int64_t linux_sched_yield(struct thread *thread)
{
    (void)thread;
    sys_ignore(sys_thread_control(HANDLE_SELF, THREAD_YIELD, 0, NULL)); /* cannot fail */
    return 0;
}

/* The handle of a thread by its tid (0: the caller); HANDLE_NONE if there is none. */
static handle_t thread_handle(struct thread *thread, uint64_t tid)
{
    struct process *process = thread->process;
    handle_t handle = HANDLE_NONE;

    if (!tid || (int64_t)tid == linux_gettid(thread))
        return HANDLE_SELF;
    lock(&process->lock);
    struct thread *other = thread_find_locked(process, (int32_t)tid);
    if (other)
        handle = other->handle;
    unlock(&process->lock);
    return handle;
}

int64_t linux_sched_setaffinity(struct thread *thread, uint64_t tid, uint64_t length,
                                uint64_t mask_at)
{
    handle_t handle = thread_handle(thread, tid);
    uint64_t mask = 0;

    if (handle == HANDLE_NONE)
        return -LINUX_ESRCH;
    if (user_read(&mask, mask_at, MIN(length, (uint64_t)sizeof(mask))))
        return -LINUX_EFAULT;
    if (!mask)
        return -LINUX_EINVAL;
    return answer(sys_thread_control(handle, THREAD_AFFINITY, mask, NULL));
}

/* The CPUs there are: a narrower mask that was set is the kernel's to know, and it has no call to ask. */
int64_t linux_sched_getaffinity(struct thread *thread, uint64_t tid, uint64_t length,
                                uint64_t mask_at)
{
    struct abi_system_info info;

    if (thread_handle(thread, tid) == HANDLE_NONE)
        return -LINUX_ESRCH;
    if (length < 8 || length % 8)
        return -LINUX_EINVAL;
    int64_t result = answer(sys_system_info(&info, sizeof(info)));
    if (result < 0)
        return result;
    uint64_t mask = info.cpus >= 64 ? UINT64_MAX : BIT(info.cpus) - 1;
    return user_put_u64(mask_at, mask) ? -LINUX_EFAULT : 8;
}
