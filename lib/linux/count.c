/* eventfd and timerfd. The count, O_NONBLOCK and a semaphore's manner are the kernel object's; what a timer was set to,
 * which timerfd_gettime tells, is this process's. */
#include "lib/linux/count.h"

#include "lib/linux/answer.h"
#include "lib/linux/calls.h"
#include "lib/linux/heap.h"
#include "lib/linux/time.h"
#include "lib/linux/user.h"

#define COUNT_SIZE    sizeof(uint64_t)
#define EFD_SEMAPHORE 1u
#define PERIOD_MIN    1000 /* the kernel's: a shorter one is this */

int64_t count_read(struct file *file, uint64_t data, uint64_t length, bool nonblock)
{
    if (length < COUNT_SIZE)
        return -LINUX_EINVAL;
    int64_t result =
        sys_timer_take(file->handle, (uint64_t *)data, nonblock ? DEADLINE_NOW : DEADLINE_NEVER);
    if (unlikely(result == -E_CANCELLED))
        return -LINUX_ECANCELED;
    return unlikely(result < 0) ? answer(result) : (int64_t)COUNT_SIZE;
}

int64_t event_write(struct file *file, uint64_t data, uint64_t length)
{
    uint64_t value;

    if (length < COUNT_SIZE)
        return -LINUX_EINVAL;
    if (user_get_u64(data, &value))
        return -LINUX_EFAULT;
    int64_t result = sys_timer_add(file->handle, value, DEADLINE_NEVER);
    return unlikely(result < 0) ? answer(result) : (int64_t)COUNT_SIZE;
}

/* A new timer object's file; its flags are set before anybody else has it. */
static int64_t count_open(struct thread *thread, enum file_kind kind, uint64_t flags, bool single,
                          uint64_t value, void *more, void (*end)(struct file *file))
{
    int64_t handle = sys_timer_create();

    if (handle < 0) {
        heap_free(more);
        return answer_descriptor(handle);
    }
    struct file *file = file_new(kind, (handle_t)handle, LINUX_O_RDWR, NULL, 0);
    if (file) {
        file->more = more;
        file->end = end;
    } else {
        heap_free(more);
        handle_drop((handle_t)handle);
    }
    if (file && single)
        sys_ignore(sys_handle_flags(file->handle, HANDLE_FLAG_SINGLE, HANDLE_FLAG_SINGLE));
    if (file && value)
        sys_ignore(sys_timer_add(file->handle, value, DEADLINE_NOW));
    return file_open(thread->process, file, flags);
}

int64_t linux_eventfd2(struct thread *thread, uint64_t value, uint64_t flags)
{
    if (flags & ~(uint64_t)(LINUX_O_CLOEXEC | LINUX_O_NONBLOCK | EFD_SEMAPHORE))
        return -LINUX_EINVAL;
    return count_open(thread, KIND_EVENT, flags, flags & EFD_SEMAPHORE, (uint32_t)value, NULL,
                      NULL);
}

int64_t linux_eventfd(struct thread *thread, uint64_t value)
{
    return linux_eventfd2(thread, value, 0);
}

/* --- timerfd ---------------------------------------------------------------------------------------------------------- */

#define TFD_ABSTIME       1u
#define TFD_CANCEL_ON_SET 2u

struct setting {
    int32_t clock;
    uint32_t flags;   /* HANDLE_FLAG_REAL: the deadline is real time; HANDLE_FLAG_CANCEL */
    int64_t deadline; /* of the first time; 0: not set */
    int64_t period;
};

static void setting_end(struct file *file)
{
    heap_free(file->more);
}

int64_t linux_timerfd_create(struct thread *thread, uint64_t clock, uint64_t flags)
{
    if (clock != LINUX_CLOCK_MONOTONIC && clock != LINUX_CLOCK_REALTIME &&
        clock != LINUX_CLOCK_BOOTTIME)
        return -LINUX_EINVAL;
    if (flags & ~(uint64_t)(LINUX_O_CLOEXEC | LINUX_O_NONBLOCK))
        return -LINUX_EINVAL;
    struct setting *setting = heap_alloc(sizeof(*setting));
    if (!setting)
        return -LINUX_ENOMEM;
    *setting = (struct setting){.clock = (int32_t)clock};
    return count_open(thread, KIND_TIMER, flags, false, 0, setting, setting_end);
}

static int64_t timer_get(struct thread *thread, uint64_t fd, struct file **timer)
{
    struct file *file = file_get(thread->process, (uint32_t)fd);

    if (!file)
        return -LINUX_EBADF;
    if (file->kind != KIND_TIMER) {
        file_put(file);
        return -LINUX_EINVAL;
    }
    *timer = file;
    return 0;
}

/* period and time until the next, as struct itimerspec has them. */
static int64_t setting_write(const struct setting *setting, uint64_t address)
{
    int64_t now = setting->flags & HANDLE_FLAG_REAL ? clock_realtime() : clock_monotonic();
    int64_t left = 0;

    if (setting->deadline) {
        left = setting->deadline - now;
        if (left <= 0 && setting->period)
            left += (-left / setting->period + 1) * setting->period;
        left = MAX(left, INT64_C(0));
    }
    int64_t result = time_write(address, setting->period);
    return result < 0 ? result : time_write(address + sizeof(struct linux_timespec), left);
}

static int64_t setting_read(uint64_t flags, uint64_t address, struct setting *setting)
{
    int64_t value;
    int64_t result = time_read(address, &setting->period);

    if (!result)
        result = time_read(address + sizeof(struct linux_timespec), &value);
    if (result < 0)
        return result;
    setting->deadline = 0;
    setting->flags = 0;
    if (flags & TFD_ABSTIME && setting->clock == LINUX_CLOCK_REALTIME)
        setting->flags = HANDLE_FLAG_REAL | (flags & TFD_CANCEL_ON_SET ? HANDLE_FLAG_CANCEL : 0);
    if (!value)
        return 0;
    if (setting->period)
        setting->period = MAX(setting->period, (int64_t)PERIOD_MIN);
    if (!(flags & TFD_ABSTIME))
        value = deadline_in(value);
    setting->deadline = MAX(value, INT64_C(1)); /* 0 and less are long ago */
    return 0;
}

static int64_t setting_apply(const struct file *file, const struct setting *setting)
{
    int64_t result =
        sys_handle_flags(file->handle, HANDLE_FLAG_REAL | HANDLE_FLAG_CANCEL, setting->flags);

    if (result >= 0)
        result = sys_timer_set(file->handle, setting->deadline,
                               setting->deadline ? (uint64_t)setting->period : 0);
    return result < 0 ? answer(result) : 0;
}

int64_t linux_timerfd_settime(struct thread *thread, uint64_t fd, uint64_t flags, uint64_t new,
                              uint64_t old)
{
    struct file *file;

    if ((uint32_t)flags & ~(TFD_ABSTIME | TFD_CANCEL_ON_SET))
        return -LINUX_EINVAL;
    int64_t result = timer_get(thread, fd, &file);
    if (result < 0)
        return result;
    struct setting *kept = file->more, next = *kept;
    result = setting_read(flags, new, &next);
    if (!result && old)
        result = setting_write(kept, old);
    if (!result)
        result = setting_apply(file, &next);
    if (!result) {
        lock(&thread->process->lock);
        *kept = next;
        unlock(&thread->process->lock);
    }
    file_put(file);
    return result;
}

int64_t linux_timerfd_gettime(struct thread *thread, uint64_t fd, uint64_t address)
{
    struct file *file;
    int64_t result = timer_get(thread, fd, &file);

    if (result < 0)
        return result;
    result = setting_write(file->more, address);
    file_put(file);
    return result;
}
