/* poll and select: one wait_many over the handles behind the descriptors. Nothing is registered anywhere. */
#include "lib/linux/poll.h"

#include "lib/base/string.h"
#include "lib/linux/answer.h"
#include "lib/linux/calls.h"
#include "lib/linux/epoll.h"
#include "lib/linux/heap.h"
#include "lib/linux/signal.h"
#include "lib/linux/time.h"
#include "lib/linux/user.h"

#define FD_BITS 64u

struct polled_file {
    struct file *file; /* NULL: not open, or none was meant */
    uint64_t waits;    /* how many of polled.waits are its */
};

struct polled {
    struct linux_pollfd *fds;
    struct polled_file *files; /* beside fds */
    struct abi_wait *waits;
    uint64_t count, wait_count;
    int64_t ready; /* that need no waiting */
};

int16_t poll_now(const struct file *file, int16_t wanted)
{
    const int out = LINUX_POLLOUT | LINUX_POLLWRNORM, in = LINUX_POLLIN | LINUX_POLLRDNORM;

    switch (file->kind) {
    case KIND_LOG:
        return (int16_t)(wanted & (in | out));
    case KIND_DATAGRAM: /* what it sends goes to others' queues */
        return (int16_t)(wanted & out);
    case KIND_SOCKET:
        return (int16_t)((wanted & out) | LINUX_POLLHUP);
    default:
        return 0;
    }
}

bool poll_waits(const struct file *file)
{
    return file->kind != KIND_LOG && file->kind != KIND_SOCKET && file->kind != KIND_EPOLL;
}

uint32_t poll_signals(const struct file *file, int16_t wanted)
{
    bool writable = wanted & (LINUX_POLLOUT | LINUX_POLLWRNORM) && file->kind != KIND_TIMER;

    return (wanted & (LINUX_POLLIN | LINUX_POLLRDNORM) ? SIGNAL_READABLE : 0) |
           (writable ? SIGNAL_WRITABLE : 0) |
           (wanted & (LINUX_POLLPRI | LINUX_POLLRDBAND) ? SIGNAL_PRIORITY : 0) |
           (wanted & LINUX_POLLRDHUP ? SIGNAL_ENDED : 0);
}

int16_t poll_events(uint32_t signals, const struct file *file, int16_t wanted)
{
    int events = 0;

    if (signals & SIGNAL_READABLE)
        events |= LINUX_POLLIN | LINUX_POLLRDNORM;
    if (signals & SIGNAL_WRITABLE)
        events |= LINUX_POLLOUT | LINUX_POLLWRNORM;
    if (signals & SIGNAL_PRIORITY)
        events |= LINUX_POLLPRI;
    if (signals & SIGNAL_ENDED)
        events |= LINUX_POLLRDHUP;
    events &= wanted;
    /* A socket whose other end is gone has hung up, no more. */
    if (signals & SIGNAL_ERROR &&
        !(file->kind == KIND_STREAM && (file->flags & LINUX_O_ACCMODE) == LINUX_O_RDWR))
        events |= LINUX_POLLERR;
    if (signals & SIGNAL_HANGUP) /* to a pipe's writer Linux calls it an error */
        events |= (file->flags & LINUX_O_ACCMODE) == LINUX_O_WRONLY
                      ? LINUX_POLLERR | (wanted & LINUX_POLLOUT)
                      : LINUX_POLLHUP;
    return (int16_t)events;
}

/* The handles of one file: its own, or those that an epoll watches. */
static uint64_t file_waits(struct process *process, const struct file *file, int16_t wanted,
                           struct abi_wait *waits, uint64_t room)
{
    if (file->kind == KIND_EPOLL) {
        lock(&process->lock);
        uint64_t count = epoll_waits_locked(file, waits, room);
        unlock(&process->lock);
        return count;
    }
    if (poll_waits(file) && room)
        *waits = (struct abi_wait){.handle = file->handle, .signals = poll_signals(file, wanted)};
    return poll_waits(file);
}

/* The files and what is so already; how many handles there are to wait for. */
static uint64_t polled_open(struct process *process, struct polled *polled)
{
    uint64_t waits = 0;

    for (uint64_t i = 0; i < polled->count; i++) {
        struct linux_pollfd *fd = &polled->fds[i];
        struct file *file = fd->fd < 0 ? NULL : file_get(process, (uint64_t)fd->fd);

        fd->revents = file ? poll_now(file, fd->events) : fd->fd < 0 ? 0 : LINUX_POLLNVAL;
        polled->ready += fd->revents != 0;
        polled->files[i] = (struct polled_file){file, 0};
        if (file)
            waits += file_waits(process, file, 0, NULL, 0);
    }
    return waits;
}

/* An epoll that watches more by now is looked at with those it had. */
static void polled_fill(struct process *process, struct polled *polled, uint64_t room)
{
    for (uint64_t i = 0; i < polled->count; i++) {
        struct polled_file *polled_file = &polled->files[i];
        uint64_t left = room - polled->wait_count;

        if (!polled_file->file)
            continue;
        uint64_t count = file_waits(process, polled_file->file, polled->fds[i].events,
                                    polled->waits + polled->wait_count, left);
        polled_file->waits = MIN(count, left);
        polled->wait_count += polled_file->waits;
    }
}

static int16_t file_events(const struct polled_file *polled, const struct abi_wait *waits,
                           int16_t wanted)
{
    uint32_t ready = 0;

    for (uint64_t i = 0; i < polled->waits; i++)
        ready |= waits[i].ready;
    if (polled->file->kind == KIND_EPOLL)
        return ready ? (int16_t)(wanted & (LINUX_POLLIN | LINUX_POLLRDNORM)) : 0;
    return poll_events(ready, polled->file, wanted);
}

static int64_t polled_finish(struct polled *polled)
{
    const struct abi_wait *waits = polled->waits;
    int64_t ready = 0;

    for (uint64_t i = 0; i < polled->count; i++) {
        struct linux_pollfd *fd = &polled->fds[i];
        struct polled_file *file = &polled->files[i];

        if (file->file) {
            fd->revents |= file_events(file, waits, fd->events);
            waits += file->waits;
            file_put(file->file);
        }
        ready += fd->revents != 0;
    }
    return ready;
}

/* fds is the personality's; their revents are filled in. How many have some, or -errno. */
static int64_t poll_wait(struct process *process, struct linux_pollfd *fds, uint64_t count,
                         int64_t deadline)
{
    struct polled_file few[16];
    struct abi_wait few_waits[16];
    struct polled polled = {.fds = fds, .count = count, .files = few, .waits = few_waits};
    int64_t result = 0;

    if (count > ARRAY_SIZE(few) && !(polled.files = heap_alloc(count * sizeof(few[0]))))
        return -LINUX_ENOMEM;
    uint64_t room = polled_open(process, &polled);
    if (room > ARRAY_SIZE(few_waits) && !(polled.waits = heap_alloc(room * sizeof(few_waits[0]))))
        result = -E_NO_MEMORY;
    if (!result)
        polled_fill(process, &polled, room);
    if (!result && (polled.wait_count || !polled.ready))
        result =
            sys_wait_many(polled.waits, polled.wait_count, polled.ready ? DEADLINE_NOW : deadline);
    if (result < 0)
        for (uint64_t i = 0; i < polled.wait_count; i++)
            polled.waits[i].ready = 0;
    int64_t ready = polled_finish(&polled);
    if (polled.waits != few_waits)
        heap_free(polled.waits);
    if (polled.files != few)
        heap_free(polled.files);
    return result < 0 && result != -E_TIMED_OUT ? answer(result) : ready;
}

/* A poll that is begun anew after a kick keeps its first deadline. */
int64_t poll_restartable(struct thread *thread, int64_t result, int64_t deadline)
{
    if (result != -RESTART_ALWAYS)
        return result;
    thread->restart_deadline = deadline;
    thread->restart_deadline_set = true;
    return -RESTART_UNLESS_HANDLER;
}

/* ns: from now; negative: for ever. */
int64_t poll_deadline(struct thread *thread, int64_t ns)
{
    if (thread->restart_deadline_set) {
        thread->restart_deadline_set = false;
        return thread->restart_deadline;
    }
    return ns < 0 ? DEADLINE_NEVER : ns == 0 ? DEADLINE_NOW : deadline_in(ns);
}

static int64_t poll_program(struct thread *thread, uint64_t fds_at, uint64_t count, int64_t ns)
{
    struct linux_pollfd few[16], *fds = few;

    if (count > thread->process->limits[LINUX_RLIMIT_NOFILE].current)
        return -LINUX_EINVAL;
    if (count > ARRAY_SIZE(few) && !(fds = heap_alloc(count * sizeof(*fds))))
        return -LINUX_ENOMEM;
    int64_t result = count && user_read(fds, fds_at, count * sizeof(*fds)) ? -LINUX_EFAULT : 0;
    if (!result) {
        int64_t deadline = poll_deadline(thread, ns);
        result =
            poll_restartable(thread, poll_wait(thread->process, fds, count, deadline), deadline);
    }
    for (uint64_t i = 0; result >= 0 && i < count; i++)
        if (user_write(fds_at + i * sizeof(*fds) + offsetof(struct linux_pollfd, revents),
                       &fds[i].revents, sizeof(fds[i].revents)))
            result = -LINUX_EFAULT;
    if (fds != few)
        heap_free(fds);
    return result;
}

int64_t linux_poll(struct thread *thread, uint64_t fds, uint64_t count, uint64_t timeout)
{
    int64_t ns = (int32_t)timeout < 0 ? -1 : (int64_t)(int32_t)timeout * 1000000;

    return poll_program(thread, fds, (uint32_t)count, ns);
}

int64_t poll_mask_begin(struct thread *thread, uint64_t mask_at, uint64_t size)
{
    uint64_t mask;

    if (size != sizeof(mask))
        return -LINUX_EINVAL;
    if (user_get_u64(mask_at, &mask))
        return -LINUX_EFAULT;
    signal_mask_swap(thread, mask);
    return 0;
}

/* An interrupted call keeps its mask until the handler's frame took the old one along. */
void poll_mask_end(struct thread *thread, int64_t result)
{
    if (result > -RESTART_FIRST)
        signal_mask_back(thread);
}

int64_t linux_ppoll(struct thread *thread, uint64_t fds, uint64_t count, uint64_t timeout,
                    uint64_t mask, uint64_t mask_size)
{
    int64_t ns = -1, result;

    if (timeout && (result = time_read(timeout, &ns)) < 0)
        return result;
    if (mask && (result = poll_mask_begin(thread, mask, mask_size)) < 0)
        return result;
    result = mask && thread->kick ? -RESTART_UNLESS_HANDLER
                                  : poll_program(thread, fds, (uint32_t)count, ns);
    if (mask)
        poll_mask_end(thread, result);
    return result;
}

struct fd_set {
    uint64_t address;
    int16_t events;
    uint64_t bits[1024 / FD_BITS];
};

#define READ_EVENTS  (LINUX_POLLIN | LINUX_POLLRDNORM)
#define WRITE_EVENTS (LINUX_POLLOUT | LINUX_POLLWRNORM)

static int64_t set_read(struct fd_set *set, uint64_t count)
{
    memset(set->bits, 0, sizeof(set->bits));
    if (set->address && user_read(set->bits, set->address, (count + FD_BITS - 1) / FD_BITS * 8))
        return -LINUX_EFAULT;
    return 0;
}

static bool set_has(const struct fd_set *set, uint64_t fd)
{
    return set->bits[fd / FD_BITS] & BIT(fd % FD_BITS);
}

/* What counts as ready for each set, as Linux has it: an end is readable, an error both. */
static bool set_ready(const struct fd_set *set, int16_t revents)
{
    int also = set->events & LINUX_POLLIN    ? LINUX_POLLHUP | LINUX_POLLERR
               : set->events & LINUX_POLLOUT ? LINUX_POLLERR
                                             : 0;

    return revents & (set->events | also);
}

static int64_t select_wait(struct thread *thread, struct fd_set sets[3], uint64_t count,
                           int64_t deadline)
{
    uint64_t used = 0;
    struct linux_pollfd *fds = heap_alloc(count * sizeof(*fds) + 1);
    int64_t result = 0, ready = 0;

    if (!fds)
        return -LINUX_ENOMEM;
    for (uint64_t fd = 0; fd < count; fd++) {
        int events = 0;
        for (int i = 0; i < 3; i++)
            events |= set_has(&sets[i], fd) ? sets[i].events : 0;
        if (events)
            fds[used++] = (struct linux_pollfd){(int32_t)fd, (int16_t)events, 0};
    }
    result = poll_wait(thread->process, fds, used, deadline);
    for (uint64_t i = 0; i < used && result >= 0; i++) {
        uint64_t fd = (uint64_t)fds[i].fd;
        if (fds[i].revents & LINUX_POLLNVAL)
            result = -LINUX_EBADF;
        for (int s = 0; s < 3; s++) {
            if (!set_has(&sets[s], fd))
                continue;
            if (set_ready(&sets[s], fds[i].revents))
                ready++;
            else
                sets[s].bits[fd / FD_BITS] &= ~BIT(fd % FD_BITS);
        }
    }
    heap_free(fds);
    return result < 0 ? result : ready;
}

static int64_t select_program(struct thread *thread, uint64_t count, uint64_t in, uint64_t out,
                              uint64_t except, int64_t deadline)
{
    struct fd_set sets[3] = {
        {.address = in, .events = READ_EVENTS},
        {.address = out, .events = WRITE_EVENTS},
        {.address = except, .events = LINUX_POLLPRI},
    };
    int64_t result = 0;

    if ((int32_t)count < 0 || count > sizeof(sets[0].bits) * 8)
        return -LINUX_EINVAL;
    for (int i = 0; i < 3 && !result; i++)
        result = set_read(&sets[i], count);
    if (result < 0)
        return result;
    result = poll_restartable(thread, select_wait(thread, sets, count, deadline), deadline);
    for (int i = 0; i < 3 && result >= 0; i++)
        if (sets[i].address &&
            user_write(sets[i].address, sets[i].bits, (count + FD_BITS - 1) / FD_BITS * 8))
            result = -LINUX_EFAULT;
    return result;
}

static int64_t time_left(int64_t deadline)
{
    return deadline == DEADLINE_NOW ? 0 : MAX(deadline - clock_monotonic(), INT64_C(0));
}

int64_t linux_select(struct thread *thread, uint64_t count, uint64_t in, uint64_t out,
                     uint64_t except, uint64_t timeout)
{
    struct linux_timeval value;
    int64_t ns = -1;

    if (timeout) {
        if (user_read(&value, timeout, sizeof(value)))
            return -LINUX_EFAULT;
        if (value.seconds < 0 || value.microseconds < 0)
            return -LINUX_EINVAL;
        if (__builtin_mul_overflow(value.seconds, NS_PER_SECOND, &ns) ||
            __builtin_add_overflow(ns, value.microseconds * 1000, &ns))
            ns = INT64_MAX;
    }
    int64_t deadline = poll_deadline(thread, ns);
    int64_t result = select_program(thread, count, in, out, except, deadline);
    if (timeout && result >= 0) {
        int64_t left = time_left(deadline);
        value = (struct linux_timeval){left / NS_PER_SECOND, left % NS_PER_SECOND / 1000};
        sys_ignore(user_write(timeout, &value, sizeof(value))); /* as Linux: a courtesy */
    }
    return result;
}

int64_t linux_pselect6(struct thread *thread, uint64_t count, uint64_t in, uint64_t out,
                       uint64_t except, uint64_t timeout, uint64_t mask_at)
{
    uint64_t mask[2] = {0, 0}; /* address, size */
    int64_t ns = -1, result;

    if (timeout && (result = time_read(timeout, &ns)) < 0)
        return result;
    if (mask_at && user_read(mask, mask_at, sizeof(mask)))
        return -LINUX_EFAULT;
    if (mask[0] && (result = poll_mask_begin(thread, mask[0], mask[1])) < 0)
        return result;
    int64_t deadline = poll_deadline(thread, ns);
    result = mask[0] && thread->kick ? -RESTART_UNLESS_HANDLER
                                     : select_program(thread, count, in, out, except, deadline);
    if (mask[0])
        poll_mask_end(thread, result);
    if (timeout && result >= 0)
        sys_ignore(time_write(timeout, time_left(deadline)));
    return result;
}
