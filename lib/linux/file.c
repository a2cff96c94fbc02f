/* See file.h; and the calls on descriptors themselves. */
#include "lib/linux/file.h"

#include "lib/base/string.h"
#include "lib/linux/answer.h"
#include "lib/linux/calls.h"
#include "lib/linux/epoll.h"
#include "lib/linux/heap.h"
#include "lib/linux/user.h"

#define SLOTS_FIRST         32u
#define CLOSE_RANGE_CLOEXEC 4u

struct file *file_new(enum file_kind kind, handle_t handle, uint32_t flags, const char *uri,
                      size_t length)
{
    struct file *file = heap_alloc(sizeof(*file) + (uri ? length + 1 : 0));

    if (!file)
        return NULL;
    *file =
        (struct file){.references = 1, .handle = handle, .kind = kind, .flags = flags, .uri = NULL};
    if (uri) {
        char *copy = memcpy(file + 1, uri, length);
        copy[length] = '\0';
        file->uri = copy;
    }
    return file;
}

struct file *file_of_handle(handle_t handle)
{
    struct abi_handle_info info = {.type = OBJECT_FILE, .rights = RIGHT_READ | RIGHT_WRITE};
    enum file_kind kind = KIND_FILE;

    sys_ignore(sys_handle_info(handle, &info));
    uint32_t access = !(info.rights & RIGHT_WRITE) ? LINUX_O_RDONLY
                      : info.rights & RIGHT_READ   ? LINUX_O_RDWR
                                                   : LINUX_O_WRONLY;
    if (info.type == OBJECT_STREAM)
        kind = KIND_STREAM;
    else if (info.type == OBJECT_TIMER)
        kind = KIND_EVENT;
    else if (info.type == OBJECT_LISTENER)
        kind = KIND_LISTENER;
    return file_new(kind, handle, kind == KIND_LISTENER ? LINUX_O_RDWR : access, NULL, 0);
}

int64_t file_open(struct process *process, struct file *file, uint64_t flags)
{
    if (!file)
        return -LINUX_ENOMEM;
    int64_t fd = flags & LINUX_O_NONBLOCK ? file_set_nonblock(file, true) : 0;
    if (fd >= 0)
        fd = file_install(process, file, 0, flags & LINUX_O_CLOEXEC);
    if (fd < 0)
        file_put(file);
    return fd;
}

void file_last(struct file *file)
{
    if (unlikely(file->interests))
        epoll_forget(file);
    if (unlikely(file->end))
        file->end(file);
    handle_drop(file->handle);
    heap_free(file);
}

/* process->lock held. */
static int table_grow_locked(struct process *process, uint64_t fd)
{
    uint32_t count = process->slot_count ? process->slot_count : SLOTS_FIRST;

    while (count <= fd)
        count *= 2;
    struct slot *slots = heap_alloc(count * sizeof(*slots));
    if (!slots)
        return -LINUX_ENOMEM;
    memset(slots, 0, count * sizeof(*slots));
    if (process->slot_count)
        memcpy(slots, process->slots, process->slot_count * sizeof(*slots));
    heap_free(process->slots);
    process->slots = slots;
    process->slot_count = count;
    return 0;
}

int64_t file_install(struct process *process, struct file *file, uint64_t lowest, bool cloexec)
{
    int64_t result;

    lock(&process->lock);
    uint64_t limit = process->limits[LINUX_RLIMIT_NOFILE].current;
    uint64_t fd = MAX(lowest, (uint64_t)process->slot_hint);
    while (fd < process->slot_count && process->slots[fd].file)
        fd++;
    if (fd >= limit) {
        result = -LINUX_EMFILE;
    } else if (fd < process->slot_count || !(result = table_grow_locked(process, fd))) {
        process->slots[fd] = (struct slot){file, cloexec};
        if (fd == process->slot_hint)
            process->slot_hint = (uint32_t)fd + 1;
        result = (int64_t)fd;
    }
    unlock(&process->lock);
    return result;
}

int64_t file_install_at(struct process *process, struct file *file, uint64_t fd, bool cloexec)
{
    struct file *old = NULL;
    int64_t result = 0;

    lock(&process->lock);
    if (fd >= process->limits[LINUX_RLIMIT_NOFILE].current)
        result = -LINUX_EBADF;
    else if (fd >= process->slot_count)
        result = table_grow_locked(process, fd);
    if (!result) {
        old = process->slots[fd].file;
        process->slots[fd] = (struct slot){file, cloexec};
        result = (int64_t)fd;
    }
    unlock(&process->lock);
    file_put(old);
    return result;
}

/* Takes the file out of its slot; NULL: nothing was there. */
static struct file *slot_clear(struct process *process, uint64_t fd)
{
    struct file *file = NULL;

    lock(&process->lock);
    if (fd < process->slot_count && (file = process->slots[fd].file)) {
        process->slots[fd].file = NULL;
        process->slot_hint = MIN(process->slot_hint, (uint32_t)fd);
    }
    unlock(&process->lock);
    return file;
}

void file_close_on_exec(struct process *process)
{
    for (uint64_t fd = 0; fd < process->slot_count; fd++)
        if (process->slots[fd].cloexec)
            file_put(slot_clear(process, fd));
}

int64_t linux_close(struct thread *thread, uint64_t fd)
{
    struct file *file = slot_clear(thread->process, (uint32_t)fd);

    if (!file)
        return -LINUX_EBADF;
    file_put(file);
    return 0;
}

int64_t linux_close_range(struct thread *thread, uint64_t first, uint64_t last, uint64_t flags)
{
    struct process *process = thread->process;

    first = (uint32_t)first;
    last = (uint32_t)last;
    if (first > last || (flags & ~(uint64_t)CLOSE_RANGE_CLOEXEC))
        return -LINUX_EINVAL;
    for (uint64_t fd = first; fd <= last && fd < process->slot_count; fd++)
        if (flags & CLOSE_RANGE_CLOEXEC)
            process->slots[fd].cloexec = true;
        else
            file_put(slot_clear(process, fd));
    return 0;
}

static int64_t duplicate(struct process *process, uint64_t fd, uint64_t lowest, bool cloexec)
{
    struct file *file = file_get(process, (uint32_t)fd);

    if (!file)
        return -LINUX_EBADF;
    int64_t result = file_install(process, file, lowest, cloexec);
    if (result < 0)
        file_put(file);
    return result;
}

int64_t linux_dup(struct thread *thread, uint64_t fd)
{
    return duplicate(thread->process, fd, 0, false);
}

static int64_t duplicate_at(struct process *process, uint64_t old, uint64_t new, bool cloexec)
{
    struct file *file = file_get(process, (uint32_t)old);

    if (!file)
        return -LINUX_EBADF;
    int64_t result = file_install_at(process, file, (uint32_t) new, cloexec);
    if (result < 0)
        file_put(file);
    return result;
}

int64_t linux_dup2(struct thread *thread, uint64_t old, uint64_t new)
{
    if ((uint32_t)old != (uint32_t) new)
        return duplicate_at(thread->process, old, new, false);
    struct file *file = file_get(thread->process, (uint32_t)old);
    if (!file)
        return -LINUX_EBADF;
    file_put(file);
    return (int64_t)(uint32_t) new;
}

int64_t linux_dup3(struct thread *thread, uint64_t old, uint64_t new, uint64_t flags)
{
    if ((uint32_t)old == (uint32_t) new || (flags & ~(uint64_t)LINUX_O_CLOEXEC))
        return -LINUX_EINVAL;
    return duplicate_at(thread->process, old, new, flags != 0);
}

/* F_GETFD, F_SETFD */
static int64_t slot_flags(struct process *process, uint64_t fd, bool set, bool cloexec)
{
    int64_t result = -LINUX_EBADF;

    lock(&process->lock);
    if (fd < process->slot_count && process->slots[fd].file) {
        result = set ? 0 : process->slots[fd].cloexec;
        if (set)
            process->slots[fd].cloexec = cloexec;
    }
    unlock(&process->lock);
    return result;
}

/* The handle's object has flags; else O_NONBLOCK is in the file's. */
static bool has_handle_flags(const struct file *file)
{
    return file->kind != KIND_LOG && file->kind != KIND_SOCKET && file->kind != KIND_DATAGRAM &&
           file->kind != KIND_EPOLL;
}

int64_t file_set_nonblock(struct file *file, bool on)
{
    if (has_handle_flags(file)) {
        int64_t old = answer(
            sys_handle_flags(file->handle, HANDLE_FLAG_NONBLOCK, on ? HANDLE_FLAG_NONBLOCK : 0));
        return MIN(old, INT64_C(0));
    }
    if (on)
        __atomic_fetch_or(&file->flags, LINUX_O_NONBLOCK, __ATOMIC_RELAXED);
    else
        __atomic_fetch_and(&file->flags, ~(uint32_t)LINUX_O_NONBLOCK, __ATOMIC_RELAXED);
    return 0;
}

static int64_t status_flags(struct file *file, bool set, uint64_t wanted)
{
    uint32_t mask = set ? HANDLE_FLAG_NONBLOCK | HANDLE_FLAG_APPEND : 0;
    uint32_t value = (wanted & LINUX_O_NONBLOCK ? HANDLE_FLAG_NONBLOCK : 0) |
                     (wanted & LINUX_O_APPEND ? HANDLE_FLAG_APPEND : 0);
    int64_t old = 0;

    if (!has_handle_flags(file) && set)
        return file_set_nonblock(file, wanted & LINUX_O_NONBLOCK);
    if (file->kind != KIND_FILE)
        mask &= HANDLE_FLAG_NONBLOCK;
    if (has_handle_flags(file))
        old = answer(sys_handle_flags(file->handle, mask, value & mask));
    if (old < 0 || set)
        return MIN(old, INT64_C(0));
    return (int64_t)(file->flags | LINUX_O_LARGEFILE |
                     (old & HANDLE_FLAG_NONBLOCK ? LINUX_O_NONBLOCK : 0) |
                     (old & HANDLE_FLAG_APPEND ? LINUX_O_APPEND : 0));
}

int64_t linux_fcntl(struct thread *thread, uint64_t fd, uint64_t command, uint64_t argument)
{
    struct process *process = thread->process;
    int64_t result = -LINUX_EINVAL;

    fd = (uint32_t)fd;
    command = (uint32_t)command;
    if (command == LINUX_F_GETFD)
        return slot_flags(process, fd, false, false);
    if (command == LINUX_F_SETFD)
        return slot_flags(process, fd, true, argument & LINUX_FD_CLOEXEC);
    struct file *file = file_get(process, fd);
    if (!file)
        return -LINUX_EBADF;
    if (command == LINUX_F_DUPFD || command == LINUX_F_DUPFD_CLOEXEC) {
        if (argument < process->limits[LINUX_RLIMIT_NOFILE].current)
            result = duplicate(process, fd, argument, command == LINUX_F_DUPFD_CLOEXEC);
    } else if (command == LINUX_F_GETFL || command == LINUX_F_SETFL) {
        result = status_flags(file, command == LINUX_F_SETFL, argument);
    }
    file_put(file);
    return result;
}

static int64_t pipe_install(struct process *process, handle_t handle, uint32_t access,
                            uint64_t flags, int64_t *fd)
{
    struct file *file = file_new(KIND_STREAM, handle, access, NULL, 0);

    if (!file)
        handle_drop(handle);
    *fd = file_open(process, file, flags);
    return MIN(*fd, INT64_C(0));
}

int64_t linux_pipe2(struct thread *thread, uint64_t fds, uint64_t flags)
{
    struct process *process = thread->process;
    handle_t handles[2];
    int64_t reader, writer;

    if (flags & ~(uint64_t)(LINUX_O_CLOEXEC | LINUX_O_NONBLOCK))
        return -LINUX_EINVAL;
    int64_t result = answer_descriptor(sys_stream_pair(STREAM_ONE_WAY, handles));
    if (result < 0)
        return result;
    if ((result = pipe_install(process, handles[0], 0, flags, &reader)) < 0) {
        handle_drop(handles[1]);
        return result;
    }
    if ((result = pipe_install(process, handles[1], LINUX_O_WRONLY, flags, &writer)) < 0) {
        file_put(slot_clear(process, (uint64_t)reader));
        return result;
    }
    int32_t pair[2] = {(int32_t)reader, (int32_t)writer};
    if (user_write(fds, pair, sizeof(pair))) {
        file_put(slot_clear(process, (uint64_t)reader));
        file_put(slot_clear(process, (uint64_t)writer));
        return -LINUX_EFAULT;
    }
    return 0;
}

int64_t linux_pipe(struct thread *thread, uint64_t fds)
{
    return linux_pipe2(thread, fds, 0);
}
