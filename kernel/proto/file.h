/* Open files: connections to services. What `open` returns.
 *
 * The file keeps what is needed to open it again (URI, flags) when its service was replaced: `server` is then NULL, and the
 * next command on the file opens it first. The position is the kernel's, so reads and writes carry explicit offsets
 * and can be replayed.
 * Lock: file->lock (RANK_FILE) for the position's holder; port->lock for server, cookie and the links.
 */
#pragma once

#include "abi/errors.h"
#include "abi/ops.h"
#include "kernel/ipc/port.h"

#define FILE_OWN_PATH 48u

/* In flags, the kernel's own: the last handle is gone. One word with HANDLE_FLAG_SILENT, so that either who closes sees that
 * the service wants to hear of it, or who says so for the service (file_tell) sees that it is closed. */
#define FILE_CLOSED 0x80000000u

struct file {
    struct object object;
    struct lock lock;
    struct port *port;        /* a reference */
    struct server *server;    /* who has it open; NULL: nobody, any more */
    struct rb_node port_node; /* in port->files once open */
    bool listed;
    struct list close_link; /* in server->closings; holds a reference then */
    uint64_t cookie;
    char *path; /* what stands behind scheme://: own_path, or on the heap */
    char own_path[FILE_OWN_PATH];
    uint32_t path_length;
    uint32_t open_flags; /* OPEN_* */
    uint32_t mode;
    uint32_t flags; /* HANDLE_FLAG_*, atomic: its users' (handle_flags) and its service's (open) */
    uint64_t position;
    struct thread *holder; /* who may use the position, or is opening the file again */
    struct list waiting;   /* for that: struct file_waiter */
};

/* port: the caller's reference is the file's afterwards. */
int file_new(struct port *port, const char *path, uint32_t path_length, uint32_t open_flags,
             uint32_t mode, struct file **file) MUST_CHECK;
/* The end of open: the file, or what the service handed out instead, becomes a handle of the caller. That, or -E_*. The
 * caller's reference to the file is gone. */
int64_t file_open_end(struct file *file, struct completion *completion, int64_t status) MUST_CHECK;
/* port locked: a service answered OP_OPEN; the file is its now. */
void file_opened(struct file *file, struct server *server, const uint64_t values[3]);
/* Those under mask become as in value; what all were. */
uint32_t file_change_flags(struct file *file, uint32_t mask, uint32_t value);
/* Its service hears of its closing although it said HANDLE_FLAG_SILENT. E_NOT_FOUND: it is closed. */
int file_tell(struct file *file) MUST_CHECK;
/* The server died. port locked. */
void file_lost(struct file *file);
struct file *file_find(struct port *port, uint64_t id); /* port locked; adds a reference */
/* Open it again with the stored URI if no server has it. */
int64_t file_reopen(struct file *file, uint64_t deadline) MUST_CHECK;
/* One thread at a time: for the position, and for opening again. E_INTERRUPTED. */
int file_hold(struct file *file) MUST_CHECK;
void file_release(struct file *file);

/* The cookie of the file a command concerns, if it has one already. Port locked. */
static inline uint64_t command_cookie(const struct command *command)
{
    return command->file && command->request->op != OP_OPEN ? command->file->cookie : 0;
}

/* Of the handle that open returns. */
static inline uint32_t file_open_rights(const struct file *file)
{
    return RIGHT_CONTROL | RIGHT_WAIT | RIGHT_DUPLICATE | RIGHT_TRANSFER |
           (file->open_flags & OPEN_READ ? RIGHT_READ : 0) |
           (file->open_flags & OPEN_WRITE ? RIGHT_WRITE : 0);
}

/* What the handle must allow for an operation; of the kernel's own (op_of_kernel) it is more than any file's handle does. */
#define OP_RIGHTS_KERNEL 0xffu
static inline uint32_t op_rights(uint32_t op)
{
    static const uint8_t rights[] = {
        [OP_OPEN] = OP_RIGHTS_KERNEL,
        [OP_PAGE_IN] = OP_RIGHTS_KERNEL,
        [OP_PAGE_OUT] = OP_RIGHTS_KERNEL,
        [OP_EXCEPTION] = OP_RIGHTS_KERNEL,
        [OP_READ] = RIGHT_READ,
        [OP_LIST] = RIGHT_READ,
        [OP_WRITE] = RIGHT_WRITE,
        [OP_TRUNCATE] = RIGHT_WRITE,
        [OP_PROTOCOL - 1] = 0, /* none */
    };
    _Static_assert((RIGHT_READ | RIGHT_WRITE) < 0x100, "they fit");

    return likely(op < ARRAY_SIZE(rights)) ? rights[op] : 0;
}

/* To who has not these rights. */
static inline int op_refused(uint32_t op)
{
    return op_of_kernel(op) ? -E_INVALID : -E_ACCESS;
}

/* COMMAND_* that come with the file. */
static inline uint32_t file_call_flags(const struct file *file)
{
    _Static_assert(COMMAND_NONBLOCK == HANDLE_FLAG_NONBLOCK << 1 &&
                       COMMAND_APPEND == HANDLE_FLAG_APPEND << 1,
                   "one shift for both");
    return (__atomic_load_n(&file->flags, __ATOMIC_RELAXED) &
            (HANDLE_FLAG_NONBLOCK | HANDLE_FLAG_APPEND))
           << 1;
}

/* Whether the call starts at the file's position: then it is held, args[0] set from it, and after the call: */
static inline bool file_positioned(const struct file *file, const struct request *request)
{
    return unlikely(request->flags & COMMAND_POSITION) &&
           ((__atomic_load_n(&file->flags, __ATOMIC_RELAXED) & HANDLE_FLAG_SEEKABLE) ||
            request->op == OP_LIST);
}
/* ... moved on by what was done (the first two values), and released. */
void file_position_done(struct file *file, const struct request *request, int64_t status,
                        uint64_t first, uint64_t second);
