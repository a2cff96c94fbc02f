/* epoll: a port, to which each watched handle is bound.
 *
 *     epoll_ctl ADD      port_bind: the kernel notes every edge, and the state it finds
 *     epoll_wait         notifications --> interests that may be ready --> what they show now --> events
 *                                                                      |
 *                         level: stays among those while it shows something; edge: waits for the next notification
 *
 * Nothing is asked of what nothing has happened to, however much is watched. An interest may be in the list of the ready
 * without being so, never the other way round. A file that has no handle to bind (an unconnected socket) is always in it.
 *
 * Interests are found by descriptor in the epoll's tree, and by file in file->interests, which go with the file (as on Linux
 * not with the descriptor). A forked child has a copy: the port is the parent's, so at the first use it makes one of its
 * own, and it takes nothing off the parent's. Lock: process->lock for all of it.
 */
#include "lib/linux/epoll.h"

#include "lib/base/list.h"
#include "lib/base/rbtree.h"
#include "lib/base/string.h"
#include "lib/linux/answer.h"
#include "lib/linux/calls.h"
#include "lib/linux/heap.h"
#include "lib/linux/poll.h"
#include "lib/linux/user.h"

#define EPOLL_ADD 1
#define EPOLL_DEL 2
#define EPOLL_MOD 3

#define EPOLL_ONESHOT (1u << 30)
#define EPOLL_EDGE    (1u << 31)
#define ALWAYS        (LINUX_POLLERR | LINUX_POLLHUP)
#define EVENTS_MAX    64 /* in one call: the rest come with the next */

struct linux_epoll_event {
    uint32_t events;
    uint64_t data;
} __attribute__((packed));

struct epoll {
    struct rb_tree interests;
    struct list ready;
    uint32_t serial;     /* of the last interest */
    uint32_t generation; /* of the process that made the port */
};

struct interest {
    struct rb_node node;
    uint64_t key; /* descriptor << 32 | serial: what the notification says */
    struct list ready_link;
    struct interest *next; /* file->interests */
    struct file *file, *epoll;
    uint32_t events; /* 0 but for ALWAYS: a ONESHOT that has fired */
    uint64_t data;
};

static uint32_t generation;

void epoll_forked(void)
{
    generation++;
}

static struct epoll *epoll_of(const struct file *file)
{
    return file->more;
}

static bool is_own(const struct file *epoll)
{
    return epoll_of(epoll)->generation == generation;
}

/* --- Bindings. process->lock held ------------------------------------------------------------------------------------- */

static void mark_ready(struct interest *interest)
{
    if (!list_linked(&interest->ready_link))
        list_append(&epoll_of(interest->epoll)->ready, &interest->ready_link);
}

static int64_t interest_bind(struct interest *interest)
{
    const struct file *file = interest->file;
    int16_t wanted = (int16_t)interest->events;

    if (poll_now(file, wanted))
        mark_ready(interest);
    if (!poll_waits(file))
        return 0;

    int64_t result =
        sys_port_bind(interest->epoll->handle, file->handle,
                      poll_signals(file, wanted) | SIGNAL_HANGUP | SIGNAL_ERROR, interest->key, 0);

    return result == -E_QUOTA ? -LINUX_ENOSPC : answer(result); /* as max_user_watches */
}

/* The port knows a source, not who has bound it: all of one file's are bound again. */
static int64_t file_bind(const struct file *file, const struct file *epoll)
{
    int64_t result = 0;

    if (poll_waits(file))
        while (sys_port_bind(epoll->handle, file->handle, 0, 0, 0) >= 0)
            ;
    for (struct interest *i = file->interests; i && result >= 0; i = i->next)
        if (i->epoll == epoll && i->events)
            result = interest_bind(i);
    return result;
}

static struct interest *interest_first(const struct epoll *epoll, uint64_t key)
{
    struct rb_node *node = epoll->interests.root;
    struct interest *best = NULL;

    while (node) {
        struct interest *interest = container_of(node, struct interest, node);

        if (interest->key >= key)
            best = interest;
        node = interest->key >= key ? node->left : node->right;
    }
    return best;
}

static void interest_insert(struct epoll *epoll, struct interest *interest)
{
    struct rb_node **place = &epoll->interests.root, *parent = NULL;

    while (*place) {
        parent = *place;
        place = interest->key < container_of(parent, struct interest, node)->key ? &parent->left
                                                                                 : &parent->right;
    }
    rb_insert(&epoll->interests, &interest->node, parent, place);
}

/* Of this descriptor for this file: another may have had the number before. */
static struct interest *interest_find(const struct epoll *epoll, uint32_t fd,
                                      const struct file *file)
{
    struct interest *interest = interest_first(epoll, (uint64_t)fd << 32);

    while (interest && interest->key >> 32 == fd && interest->file != file)
        interest = rb_entry(rb_next(&interest->node), struct interest, node);
    return interest && interest->key >> 32 == fd ? interest : NULL;
}

static void interest_remove(struct interest *interest)
{
    struct interest **place = &interest->file->interests;

    while (*place != interest)
        place = &(*place)->next;
    *place = interest->next;
    list_remove(&interest->ready_link);
    rb_remove(&epoll_of(interest->epoll)->interests, &interest->node);
    heap_free(interest);
}

void epoll_forget(struct file *file)
{
    struct process *process = thread_current()->process;

    lock(&process->lock);
    while (file->interests) {
        struct file *epoll = file->interests->epoll;

        interest_remove(file->interests);
        if (is_own(epoll))
            sys_ignore(file_bind(file, epoll)); /* what is left of it: takes away, needs nothing */
    }
    unlock(&process->lock);
}

void epoll_changed_locked(struct file *file)
{
    for (struct interest *i = file->interests; i; i = i->next)
        if (is_own(i->epoll))
            sys_ignore(file_bind(file, i->epoll));
}

/* --- The descriptor ------------------------------------------------------------------------------------------------------ */

static void epoll_end(struct file *file)
{
    struct process *process = thread_current()->process;
    struct epoll *epoll = epoll_of(file);
    struct rb_node *node;

    lock(&process->lock);
    while ((node = rb_first(&epoll->interests)))
        interest_remove(container_of(node, struct interest, node));
    unlock(&process->lock);
    heap_free(epoll);
}

int64_t linux_epoll_create1(struct thread *thread, uint64_t flags)
{
    if (flags & ~(uint64_t)LINUX_O_CLOEXEC)
        return -LINUX_EINVAL;
    int64_t port = sys_proto_create(HANDLE_SELF, NULL, 0);
    if (port < 0)
        return answer_descriptor(port);
    struct file *file = file_new(KIND_EPOLL, (handle_t)port, LINUX_O_RDWR, NULL, 0);
    struct epoll *epoll = file ? heap_alloc(sizeof(*epoll)) : NULL;
    if (!epoll) {
        if (!file)
            handle_drop((handle_t)port);
        file_put(file);
        return -LINUX_ENOMEM;
    }
    *epoll = (struct epoll){.generation = generation};
    list_init(&epoll->ready);
    file->more = epoll;
    file->end = epoll_end;
    return file_open(thread->process, file, flags);
}

int64_t linux_epoll_create(struct thread *thread, uint64_t size)
{
    return (int32_t)size <= 0 ? -LINUX_EINVAL : linux_epoll_create1(thread, 0);
}

/* A child's: a port of its own, with everything bound to it. process->lock held. */
static int64_t make_own(struct file *file)
{
    struct epoll *epoll = epoll_of(file);
    int64_t result = sys_proto_create(HANDLE_SELF, NULL, 0);

    if (result < 0)
        return answer(result);
    handle_drop(file->handle);
    file->handle = (handle_t)result;
    epoll->generation = generation;
    result = 0;
    for (struct rb_node *node = rb_first(&epoll->interests); node && result >= 0;
         node = rb_next(node))
        result = file_bind(container_of(node, struct interest, node)->file, file);
    return MIN(result, INT64_C(0));
}

/* With its own port, the lock held; -errno without. */
static int64_t epoll_enter(struct thread *thread, uint64_t fd, struct file **file)
{
    struct process *process = thread->process;

    *file = file_get(process, (uint32_t)fd);
    if (!*file)
        return -LINUX_EBADF;
    if ((*file)->kind != KIND_EPOLL) {
        file_put(*file);
        return -LINUX_EINVAL;
    }
    lock(&process->lock);
    int64_t result = is_own(*file) ? 0 : make_own(*file);
    if (result < 0) {
        unlock(&process->lock);
        file_put(*file);
    }
    return result;
}

/* --- epoll_ctl ----------------------------------------------------------------------------------------------------------- */

static int64_t interest_add(struct file *file, struct file *epoll, uint32_t fd,
                            const struct linux_epoll_event *event)
{
    struct interest *interest = heap_alloc(sizeof(*interest));

    if (!interest)
        return -LINUX_ENOMEM;
    *interest = (struct interest){
        .key = (uint64_t)fd << 32 | ++epoll_of(epoll)->serial,
        .next = file->interests,
        .file = file,
        .epoll = epoll,
        .events = event->events | ALWAYS,
        .data = event->data,
    };
    list_init(&interest->ready_link);
    file->interests = interest;
    interest_insert(epoll_of(epoll), interest);
    int64_t result = interest_bind(interest);
    if (result < 0)
        interest_remove(interest);
    return result;
}

/* process->lock held. */
static int64_t control(struct file *epoll, struct file *file, uint64_t op, uint32_t fd,
                       const struct linux_epoll_event *event)
{
    struct interest *interest = interest_find(epoll_of(epoll), fd, file);

    if (op == EPOLL_ADD)
        return interest ? -LINUX_EEXIST : interest_add(file, epoll, fd, event);
    if (!interest)
        return -LINUX_ENOENT;
    if (op == EPOLL_DEL) {
        interest_remove(interest);
    } else {
        interest->events = event->events | ALWAYS;
        interest->data = event->data;
        list_remove(&interest->ready_link);
    }
    return file_bind(file, epoll);
}

/* What is always ready cannot be watched, on Linux either. */
static bool watchable(const struct file *file)
{
    int64_t flags = file->kind == KIND_FILE ? sys_handle_flags(file->handle, 0, 0) : 0;

    return file->kind != KIND_LOG && !(flags & HANDLE_FLAG_SEEKABLE);
}

int64_t linux_epoll_ctl(struct thread *thread, uint64_t epfd, uint64_t op, uint64_t fd,
                        uint64_t event_at)
{
    struct linux_epoll_event event = {0};
    struct file *epoll;

    op = (uint32_t)op;
    if (op != EPOLL_DEL && user_read(&event, event_at, sizeof(event)))
        return -LINUX_EFAULT;
    struct file *file = file_get(thread->process, (uint32_t)fd);
    if (!file)
        return -LINUX_EBADF;
    int64_t result = op < EPOLL_ADD || op > EPOLL_MOD || file->kind == KIND_EPOLL ? -LINUX_EINVAL
                     : !watchable(file)                                           ? -LINUX_EPERM
                                        : epoll_enter(thread, epfd, &epoll);
    if (!result) {
        result = control(epoll, file, op, (uint32_t)fd, &event);
        unlock(&thread->process->lock);
        file_put(epoll);
    }
    file_put(file);
    return MIN(result, INT64_C(0));
}

/* --- epoll_wait ---------------------------------------------------------------------------------------------------------- */

/* A notification's interest, unless it has gone meanwhile. process->lock held. */
static void note(struct file *file, const struct abi_message *message)
{
    struct interest *interest = interest_first(epoll_of(file), message->cookie);

    if (message->kind == MESSAGE_NOTIFY && interest && interest->key == message->cookie)
        mark_ready(interest);
}

static void note_all(struct file *file)
{
    struct abi_message message;

    while (sys_proto_accept(file->handle, &message, NULL, 0, DEADLINE_NOW) >= 0)
        note(file, &message);
}

/* Of each in turn what it shows now. */
static int16_t state_of(const struct interest *interest)
{
    const struct file *file = interest->file;
    int16_t wanted = (int16_t)interest->events;
    int16_t events = poll_now(file, wanted);

    if (poll_waits(file)) {
        struct abi_wait wait = {.handle = file->handle, .signals = poll_signals(file, wanted)};
        if (sys_wait_many(&wait, 1, DEADLINE_NOW) >= 0)
            events |= poll_events(wait.ready, file, wanted);
    }
    return (int16_t)(events & (wanted | ALWAYS));
}

/* Events of those that are ready; who is not leaves the list. process->lock held. */
static int64_t collect(struct file *file, struct linux_epoll_event *events, int64_t room)
{
    struct list again = LIST_INIT(again);
    struct epoll *epoll = epoll_of(file);
    struct interest *interest;
    int64_t count = 0;

    while (count < room && (interest = list_first(&epoll->ready, struct interest, ready_link))) {
        int16_t state = interest->events ? state_of(interest) : 0;

        list_remove(&interest->ready_link);
        if (!state)
            continue;
        events[count++] = (struct linux_epoll_event){(uint16_t)state, interest->data};
        if (interest->events & EPOLL_ONESHOT) {
            interest->events = 0;
            sys_ignore(file_bind(interest->file, file)); /* takes away */
        } else if (!(interest->events & EPOLL_EDGE)) {
            list_append(&again, &interest->ready_link);
        }
    }
    list_splice(&epoll->ready, &again); /* behind those that had no turn */
    return count;
}

static int64_t wait_for(struct thread *thread, uint64_t epfd, struct linux_epoll_event *events,
                        int64_t room, int64_t deadline)
{
    struct process *process = thread->process;
    struct abi_message message;
    struct file *file;
    int64_t result = 0;

    for (;;) {
        int64_t count = epoll_enter(thread, epfd, &file);
        if (count < 0)
            return count;
        if (result > 0)
            note(file, &message);
        note_all(file);
        count = collect(file, events, room);
        unlock(&process->lock);
        result = count ? 0 : sys_proto_accept(file->handle, &message, NULL, 0, deadline);
        file_put(file);
        if (count)
            return count;
        if (result < 0)
            return result == -E_TIMED_OUT || result == -E_AGAIN ? 0 : answer(result);
        result = 1;
    }
}

static int64_t epoll_program(struct thread *thread, uint64_t epfd, uint64_t events_at, uint64_t max,
                             uint64_t timeout)
{
    struct linux_epoll_event events[EVENTS_MAX];
    int64_t ns = (int32_t)timeout < 0 ? -1 : (int64_t)(int32_t)timeout * 1000000;

    if ((int32_t)max <= 0)
        return -LINUX_EINVAL;
    int64_t deadline = poll_deadline(thread, ns);
    int64_t count =
        wait_for(thread, epfd, events, MIN((int64_t)(int32_t)max, INT64_C(EVENTS_MAX)), deadline);
    if (count > 0 && user_write(events_at, events, (size_t)count * sizeof(events[0])))
        return -LINUX_EFAULT;
    return poll_restartable(thread, count, deadline);
}

int64_t linux_epoll_wait(struct thread *thread, uint64_t epfd, uint64_t events, uint64_t max,
                         uint64_t timeout)
{
    return epoll_program(thread, epfd, events, max, timeout);
}

int64_t linux_epoll_pwait(struct thread *thread, uint64_t epfd, uint64_t events, uint64_t max,
                          uint64_t timeout, uint64_t mask, uint64_t mask_size)
{
    int64_t result;

    if (mask && (result = poll_mask_begin(thread, mask, mask_size)) < 0)
        return result;
    result = mask && thread->kick ? -RESTART_UNLESS_HANDLER
                                  : epoll_program(thread, epfd, events, max, timeout);
    if (mask)
        poll_mask_end(thread, result);
    return result;
}

/* --- poll of an epoll ---------------------------------------------------------------------------------------------------- */

uint64_t epoll_waits_locked(const struct file *file, struct abi_wait *waits, uint64_t room)
{
    uint64_t count = 0;

    for (struct rb_node *node = rb_first(&epoll_of(file)->interests); node; node = rb_next(node)) {
        const struct interest *interest = container_of(node, struct interest, node);

        if (!interest->events || !poll_waits(interest->file))
            continue;
        if (count < room)
            waits[count] = (struct abi_wait){
                .handle = interest->file->handle,
                .signals = poll_signals(interest->file, (int16_t)interest->events),
            };
        count++;
    }
    return count;
}
