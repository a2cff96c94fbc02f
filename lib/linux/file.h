/* Open files and the descriptor table.
 *
 *     file_new(kind, handle, flags, uri, length) -> a file with one reference, which owns the handle; uri is copied
 *     file_install(process, file, lowest, cloexec) -> a descriptor; takes the reference over
 *     file_get(process, fd) ... file_put(file)         around every use, so that a close elsewhere does no harm
 *
 * Several descriptors of a process (dup) share one struct file and its handle; offset, O_APPEND and O_NONBLOCK belong
 * to the kernel's object behind the handle, which forked processes share too. Close-on-exec belongs to the slot.
 * The last reference closes the handle. Lock: process->lock for the table; the count is atomic.
 */
#pragma once

#include "lib/linux/thread.h"

enum file_kind {
    KIND_NONE = 0,
    KIND_FILE = 1,
    KIND_STREAM, /* a pipe or socket end */
    KIND_LOG,    /* 1 and 2 of a process that was given no descriptors */
    /* what is read and written in a way of its own: */
    KIND_SOCKET,   /* a unix socket that is neither connected nor listens (socket.h) */
    KIND_LISTENER, /* one that listens: the accepting end */
    KIND_DATAGRAM, /* one of datagrams: the end where they arrive */
    KIND_EVENT,    /* eventfd: a timer that is never set */
    KIND_TIMER,    /* timerfd */
    KIND_EPOLL,    /* a port (epoll.c) */
};

struct interest; /* epoll.c */

struct file {
    uint32_t references;
    handle_t handle; /* HANDLE_NONE: KIND_LOG */
    enum file_kind kind;
    uint32_t
        flags; /* O_ACCMODE, O_PATH, O_DIRECTORY as opened; O_NONBLOCK where the handle has no place for it */
    const char *uri; /* canonical, terminated, behind this structure; NULL: not known */
    void *more;      /* the kind's own, on the heap; `end` frees it */
    void (*end)(struct file *file);
    struct interest *interests; /* epolls that watch it; process->lock */
};

struct slot {
    struct file *file; /* NULL: free */
    bool cloexec;
};

struct file *file_new(enum file_kind kind, handle_t handle, uint32_t flags, const char *uri,
                      size_t length) MUST_CHECK;
/* For a handle that came from elsewhere: its kind and access from what it names. */
struct file *file_of_handle(handle_t handle) MUST_CHECK;
/* A descriptor for a new file (NULL: -ENOMEM); its reference is gone if there is none. flags: O_CLOEXEC, O_NONBLOCK. -errno. */
int64_t file_open(struct process *process, struct file *file, uint64_t flags) MUST_CHECK;
/* O_NONBLOCK, wherever it is kept. */
int64_t file_set_nonblock(struct file *file, bool on) MUST_CHECK;

/* NULL: no such descriptor. process->lock held. */
static inline MUST_CHECK struct file *file_get_locked(struct process *process, uint64_t fd)
{
    struct file *file = likely(fd < process->slot_count) ? process->slots[fd].file : NULL;

    if (likely(file))
        __atomic_fetch_add(&file->references, 1, __ATOMIC_RELAXED);
    return file;
}

static inline MUST_CHECK struct file *file_get(struct process *process, uint64_t fd)
{
    lock(&process->lock);
    struct file *file = file_get_locked(process, fd);
    unlock(&process->lock);
    return file;
}

void file_last(struct file *file); /* file_put's */

/* NULL allowed. */
static inline void file_put(struct file *file)
{
    if (likely(file) && unlikely(!__atomic_sub_fetch(&file->references, 1, __ATOMIC_ACQ_REL)))
        file_last(file);
}

/* The descriptor, or -EMFILE, -ENOMEM, -EINVAL (then the reference stays the caller's). */
int64_t file_install(struct process *process, struct file *file, uint64_t lowest,
                     bool cloexec) MUST_CHECK;
/* Puts file at fd exactly, closing what was there. For dup2 and the start. */
int64_t file_install_at(struct process *process, struct file *file, uint64_t fd,
                        bool cloexec) MUST_CHECK;
void file_close_on_exec(struct process *process);
