/* Open files: see file.h. */
#include "kernel/proto/file.h"

#include "abi/errors.h"
#include "abi/ops.h"
#include "kernel/sched/wait.h"
#include "kernel/types.h"
#include "kernel/vmm/heap.h"
#include "lib/base/string.h"

#define FLAGS_OF_SERVICE (HANDLE_FLAG_SEEKABLE | HANDLE_FLAG_SILENT)

static struct cache file_cache = CACHE_INIT("file", sizeof(struct file), 64);

/* What opening a second time must not do again. */
#define OPEN_FIRST_ONLY (OPEN_CREATE | OPEN_EXCLUSIVE | OPEN_TRUNCATE)

int file_new(struct port *port, const char *path, uint32_t path_length, uint32_t open_flags,
             uint32_t mode, struct file **result)
{
    bool in_itself = likely(path_length <= FILE_OWN_PATH);
    char *copy = in_itself ? NULL : heap_alloc(path_length);
    struct file *file = NULL;

    if (in_itself || copy)
        file = object_alloc(&file_cache, OBJECT_FILE, in_itself ? 0 : path_length);
    if (!file) {
        heap_free(copy);
        return -E_NO_MEMORY;
    }
    file->path = in_itself ? file->own_path : copy;
    memcpy(file->path, path, path_length);
    file->path_length = path_length;
    lock_init(&file->lock, RANK_FILE, "file");
    list_init(&file->close_link);
    list_init(&file->waiting);
    file->port = port;
    file->open_flags = open_flags;
    file->mode = mode;
    file->flags = (open_flags & OPEN_NONBLOCK ? HANDLE_FLAG_NONBLOCK : 0) |
                  (open_flags & OPEN_APPEND ? HANDLE_FLAG_APPEND : 0);
    *result = file;
    return 0;
}

static void list_in_port(struct file *file)
{
    struct rb_node **place = &file->port->files.root, *parent = NULL;

    while (*place) {
        parent = *place;
        place = file->object.id < container_of(parent, struct file, port_node)->object.id
                    ? &parent->left
                    : &parent->right;
    }
    rb_insert(&file->port->files, &file->port_node, parent, place);
    file->listed = true;
}

uint32_t file_change_flags(struct file *file, uint32_t mask, uint32_t value)
{
    uint32_t old = __atomic_load_n(&file->flags, __ATOMIC_RELAXED);

    while (!__atomic_compare_exchange_n(&file->flags, &old, (old & ~mask) | (value & mask), true,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    return old;
}

void file_opened(struct file *file, struct server *server, const uint64_t values[3])
{
    file->server = server;
    file->cookie = values[0];
    file_change_flags(file, FLAGS_OF_SERVICE, (uint32_t)values[1]);
    if (likely(!file->listed)) { /* nobody else has it yet */
        file->object.signals = (uint32_t)values[2] & 0x1f;
        list_in_port(file);
    } else {
        object_signal(&file->object, (uint32_t)values[2] & 0x1f, 0x1f);
    }
}

int64_t file_open_end(struct file *file, struct completion *completion, int64_t status)
{
    if (likely(!status && !completion->receive_count))
        return handle_return(&file->object, file_open_rights(file));
    if (file->server) /* killed as it was opened: its service is to hear of the end */
        file_closed(&file->object);
    object_put(&file->object);
    return status ? status : transfer_install_first(completion->receive, completion->receive_count);
}

int file_tell(struct file *file)
{
    return file_change_flags(file, HANDLE_FLAG_SILENT, 0) & FILE_CLOSED ? -E_NOT_FOUND : 0;
}

void file_lost(struct file *file)
{
    file->server = NULL;
    /* Whoever waits for it tries again, and thereby opens it again. */
    object_signal(&file->object, SIGNAL_READABLE | SIGNAL_WRITABLE, 0);
}

struct file *file_find(struct port *port, uint64_t id)
{
    struct rb_node *node = port->files.root;

    while (node) {
        struct file *file = container_of(node, struct file, port_node);

        if (file->object.id == id) {
            object_get(&file->object);
            return file;
        }
        node = id < file->object.id ? node->left : node->right;
    }
    return NULL;
}

struct file_waiter {
    struct list link;
    struct thread *thread;
};

int file_hold(struct file *file)
{
    struct file_waiter waiter = {.thread = thread_current()};

    for (;;) {
        lock_acquire(&file->lock);
        if (!file->holder) {
            file->holder = waiter.thread;
            lock_release(&file->lock);
            return 0;
        }
        list_append(&file->waiting, &waiter.link);
        wait_prepare(WAIT_INTERRUPTIBLE);
        lock_release(&file->lock);
        int error = wait_block(UINT64_MAX);
        lock_acquire(&file->lock);
        list_remove(&waiter.link);
        lock_release(&file->lock);
        if (error)
            return error;
    }
}

void file_release(struct file *file)
{
    lock_acquire(&file->lock);
    file->holder = NULL;
    list_for_each (struct file_waiter, waiter, &file->waiting, link)
        if (thread_wake(waiter->thread, 0, 0))
            break; /* one that was interrupted just now leaves: the next */
    lock_release(&file->lock);
}

void file_position_done(struct file *file, const struct request *request, int64_t status,
                        uint64_t first, uint64_t second)
{
    if (status == 0) {
        if (request->op == OP_LIST ||
            (request->op == OP_WRITE && (request->flags & COMMAND_APPEND)))
            file->position = second;
        else
            file->position += first;
    }
    file_release(file);
}

int64_t file_reopen(struct file *file, uint64_t deadline)
{
    bool held = file->holder == thread_current();
    struct completion completion;
    struct request request = {
        .op = OP_OPEN,
        .args = {file->open_flags & ~OPEN_FIRST_ONLY, file->mode},
        .deadline = deadline,
        .path = file->path,
        .path_length = file->path_length,
    };
    int64_t error = held ? 0 : file_hold(file);

    if (error)
        return error;
    if (!__atomic_load_n(&file->server, __ATOMIC_ACQUIRE)) {
        error = command_call(&request, file->port, file, &completion);
        if (!error && completion.receive_count) {
            /* It was a file of the service's own before: a handle to something else cannot take its place. */
            transfer_drop(completion.receive, completion.receive_count);
            error = -E_RESTARTED;
        }
    }
    if (!held)
        file_release(file);
    return error;
}

/* The last handle is gone: its server hears of it, if it has one that cares. */
void file_closed(struct object *object)
{
    struct file *file = container_of(object, struct file, object);
    struct port *port = file->port;

    if (__atomic_fetch_or(&file->flags, FILE_CLOSED, __ATOMIC_RELAXED) & HANDLE_FLAG_SILENT)
        return;
    lock_acquire(&port->lock);
    if (file->server && !port->closed) {
        object_get(&file->object);
        list_append(&file->server->closings, &file->close_link);
        file->server->unseen = true;
        port_wake_worker(port, file->server);
    }
    lock_release(&port->lock);
}

void file_destroy(struct object *object)
{
    struct file *file = container_of(object, struct file, object);

    if (file->listed) {
        lock_acquire(&file->port->lock);
        rb_remove(&file->port->files, &file->port_node);
        lock_release(&file->port->lock);
    }
    object_put(&file->port->object);
    if (file->path != file->own_path)
        heap_free(file->path);
    cache_free(&file_cache, file);
}
