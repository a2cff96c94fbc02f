/* The caller's side of the relay: see command.h for the states.
 *
 *     send ----> wait ----> collect
 *       ^          | deadline or kick
 *       |          +--> withdraw: out of the queue; or cancellation, grace, abandon
 *       +-- the service died and the command can be sent again; its file is opened again first
 */
#include "kernel/ipc/command.h"

#include "abi/errors.h"
#include "abi/ops.h"
#include "kernel/account.h"
#include "kernel/ipc/hand_over.h"
#include "kernel/ipc/inherit.h"
#include "kernel/panic.h"
#include "kernel/proto/file.h"
#include "kernel/sched/wait.h"
#include "kernel/vmm/heap.h"
#include "kernel/vmm/space.h"

/* How long an interrupted caller waits for the service's answer to its cancellation. */
#define CANCEL_GRACE_NS UINT64_C(1000000000)

#define OP_REPLAY true
#define OP_ONCE   false

static const bool op_replays[] = {
#define OP(number, name, replay, meaning) [number] = (replay),
#include "abi/ops.def"
#undef OP
};

static struct cache command_cache = {
    .name = "command",
    .size = sizeof(struct command),
    .alignment = 64,
    .flags = CACHE_STABLE,
    .lock = LOCK_INIT(RANK_HEAP, "command"),
};

/* --- Slots: the numbers in tokens -------------------------------------------------------------------------
 * Lock: slots_lock, a leaf. */

static struct lock slots_lock = LOCK_INIT(RANK_NOTIFY, "command slots");
static struct command nobody, *first_chunk[SLOT_CHUNK] = {&nobody};
struct command **command_slots[SLOT_CHUNKS] = {first_chunk};
uint32_t command_slots_used = 1;
static uint32_t slots_free = UINT32_MAX; /* the first unused command, by slot */
static uint32_t slots_spare;             /* how many there are of those */

uint64_t command_spare_bytes(void)
{
    return __atomic_load_n(&slots_spare, __ATOMIC_RELAXED) * sizeof(struct command);
}

uint64_t command_count(void)
{
    int64_t count = 0;

    for (uint32_t i = 0; i < cpu_count; i++)
        count += __atomic_load_n(&cpus[i]->commands, __ATOMIC_RELAXED);
    return (uint64_t)count;
}

/* A freed command stays in its slot and is used again: type-stable in the strictest sense. */
struct command *command_new(struct thread *thread, const struct process *process)
{
    struct command *command = NULL;

    lock_acquire(&slots_lock);
    if (slots_free != UINT32_MAX) {
        command = command_slots[slots_free / SLOT_CHUNK][slots_free % SLOT_CHUNK];
        slots_free = command->next_free;
        slots_spare--;
    } else if (command_slots_used < SLOT_CHUNK * SLOT_CHUNKS) {
        struct command ***chunk = &command_slots[command_slots_used / SLOT_CHUNK];

        if (!*chunk)
            *chunk = heap_alloc(sizeof(struct command *) * SLOT_CHUNK);
        if (*chunk)
            command = cache_alloc(&command_cache);
        if (command) {
            command->slot = command_slots_used;
            (*chunk)[command_slots_used % SLOT_CHUNK] = command;
            __atomic_store_n(&command_slots_used, command_slots_used + 1, __ATOMIC_RELEASE);
        }
    }
    lock_release(&slots_lock);
    if (command) {
        command->thread = thread;
        command->owners = 1;
        list_init(&command->link);
        list_init(&command->cancel_link);
        command->space = process->space;
        command->caller = process->object.id;
        command->own_request = (struct request){.deadline = UINT64_MAX};
        command->request = &command->own_request;
        command->completion = &command->own_completion;
    }
    return command;
}

void command_put(struct command *command)
{
    lock_acquire(&slots_lock);
    if (--command->owners == 0) {
        ASSERT(command->state == COMMAND_IDLE);
        command->thread = NULL;
        command->next_free = slots_free;
        slots_free = command->slot;
        slots_spare++;
    }
    lock_release(&slots_lock);
}

/* --- States; port locked ---------------------------------------------------------------------------------- */

static bool op_is_replay(uint32_t op)
{
    return op < ARRAY_SIZE(op_replays) ? op_replays[op] : op >= OP_PROTOCOL_REPLAY;
}

bool command_replayable(const struct command *command)
{
    return op_is_replay(command->request->op) &&
           (command->state != COMMAND_ACCEPTED || command->request->send_count == 0);
}

void command_unlink(struct command *command)
{
    if (command->state == COMMAND_QUEUED)
        command_queue_leave(command);
    else
        list_remove(&command->link);
    list_remove(&command->cancel_link);
}

void command_cancelled(struct command *command)
{
    list_remove(&command->cancel_link);
    if (command->state == COMMAND_ABANDONED) {
        command->state = COMMAND_IDLE;
        command_put(command);
    }
}

void command_complete(struct command *command, int64_t status, unsigned sched_flags)
{
    command_unlink(command);
    command->status = status;
    command->state = COMMAND_DONE;
    thread_wake(command->thread, 0, sched_flags);
}

/* The service has what a killed caller leaves behind: the cancellation. NULL: it has not. */
static struct server *leaves_behind(struct command *command)
{
    if (command->state != COMMAND_ACCEPTED || !thread_has_work(command->thread, WORK_KILL))
        return NULL;
    command->abandoned.token = command_token(command);
    command->abandoned.cookie = command_cookie(command);
    command->abandoned.op = command->request->op;
    return command->server;
}

/* Unless it found out meanwhile. Port locked. */
static void abandon(struct command *command, struct port *port, struct server *server)
{
    command->state = COMMAND_ABANDONED;
    lock_acquire(&slots_lock);
    command->owners++;
    lock_release(&slots_lock);
    list_append(&server->cancels, &command->cancel_link);
    server->unseen = true;
    port_wake_worker(port, server);
}

/* The caller leaves: tokens of this try are void, and copies under way end first. */
static void leave(struct command *command, struct port *port)
{
    struct server *server = leaves_behind(command);

    if (command->state != COMMAND_DONE)
        command_unlink(command);
    command_retire(command, cpu_self());
    while (command->copying) {
        __atomic_store_n(&command->leaving, true, __ATOMIC_RELAXED);
        wait_prepare(WAIT_UNKILLABLE);
        lock_release(&port->lock);
        if (wait_block(UINT64_MAX)) { /* only the copy's end wakes it */
        }
        lock_acquire(&port->lock);
    }
    command->leaving = false;
    if (unlikely(server) && !command->delivering && server_there(port, server))
        abandon(command, port, server);
    command->delivering = false;
}

/* --- Sending ---------------------------------------------------------------------------------------------- */

/* When to give up waiting: the request's deadline, or for a port that nobody serves the end of its grace. Port
 * locked. */
static uint64_t patience(const struct port *port, uint64_t deadline, bool *parked)
{
    *parked = false;
    if (likely(port_served(port)))
        return deadline;

    uint64_t since = port->served_until ? port->served_until : arch_clock();

    *parked = since + PORT_GRACE_NS < deadline;
    return *parked ? since + PORT_GRACE_NS : deadline;
}

static uint32_t wait_flags(const struct request *request)
{
    return request->flags & COMMAND_RESTARTABLE ? 0 : WAIT_INTERRUPTIBLE;
}

/* A command lasts no longer than what its caller works on. Pages are not a service's to do without. */
static uint64_t limited(const struct thread *self, const struct request *request)
{
    bool page = request->op == OP_PAGE_IN || request->op == OP_PAGE_OUT;

    if (likely(self->limit >= request->deadline || page))
        return request->deadline;
    return self->limit;
}

/* Whether a command may wait in a queue. What comes back because its service died was admitted before, and a page that a
 * program waits for comes or its memory is broken. */
static bool admit(struct account *account, const struct request *request, bool again)
{
    if (account_take(account, QUOTA_COMMANDS, 1))
        return true;
    if (!again && request->op != OP_PAGE_IN && request->op != OP_PAGE_OUT)
        return false;
    account_overdraw(account, QUOTA_COMMANDS, 1);
    return true;
}

/* Port locked; not any more on return. */
static COLD int64_t refuse(struct command *command, struct port *port)
{
    (void)wait_abandon(); /* a kill or a kick is seen to on the way out */
    command_retire(command, cpu_self());
    lock_release(&port->lock);
    return -E_QUOTA;
}

/* 0: it is on its way, to be waited for until *deadline. */
static int64_t send(struct command *command, struct request *request, struct port *port,
                    struct file *file, bool again, uint64_t *deadline, bool *parked)
{
    struct thread *self = command->thread;
    struct server *server = NULL;

    if (unlikely(thread_has_work(
            self, WORK_KILL))) /* its command may still be with the last one's service */
        return -E_INTERRUPTED;
    lock_acquire(&port->lock);
    if (unlikely(port->closed)) {
        int64_t ended = -(int64_t)port->closed;

        lock_release(&port->lock);
        return ended;
    }
    if (file && request->op != OP_OPEN) {
        server = file->server;
        if (unlikely(!server)) {
            lock_release(&port->lock);
            return STATUS_RESEND;
        }
    }
    command->port = port;
    command->server = server;
    command->file = file;
    command->request = request;
    command->priority = thread_priority(self);
    command->deadline = limited(self, request);
    command->trace = command_trace(self, command);
    cpu_self()->commands++;
    *deadline = patience(port, command->deadline, parked);

    wait_prepare(wait_flags(request));
    if (!port_deliver(port, server, command)) {
        if (!admit(self->process->account, request, again))
            return refuse(command, port);
        port_queue_command(port, command, false);
    }
    lock_release(&port->lock);
    inherit_settle(port);
    /* The fence of inherit.c: port_deliver locks. */
    if (unlikely(thread_priority(self) != __atomic_load_n(&command->priority, __ATOMIC_RELAXED)))
        inherit_follow(self);
    return 0;
}

/* Port locked; false: there is nobody to tell, and nothing to be waited for. */
static bool ask_back(struct command *command, struct port *port, int reason)
{
    if (thread_has_work(command->thread, WORK_KILL))
        return false;
    if (command->state == COMMAND_DELIVERED || command->state == COMMAND_ACCEPTED) {
        list_append(&command->server->cancels, &command->cancel_link);
        command->server->unseen = true;
        port_wake_worker(port, command->server);
        return true;
    }
    /* A kick ends waiting, not work: whoever takes it from the queue may yet carry it out. */
    command->unwanted = command->state == COMMAND_QUEUED && reason == -E_INTERRUPTED;
    return command->unwanted;
}

/* The caller wants it back: `reason` unless the service answers in time. Port locked. */
static int64_t withdraw(struct command *command, struct port *port, int reason)
{
    if (ask_back(command, port, reason)) {
        wait_prepare(0);
        lock_release(&port->lock);
        int woken = wait_block(arch_clock() + CANCEL_GRACE_NS);
        lock_acquire(&port->lock);
        command->unwanted = false;
        if (woken != 0 && command->state != COMMAND_DONE)
            return reason;
    }
    if (command->state != COMMAND_DONE)
        return reason;
    return command->status == -E_CANCELLED ? reason : command->status;
}

/* Whose workers go on with a command that they were lent a priority for; referred to. NULL: nobody's. Port locked. */
static struct process *in_vain(const struct command *command, uint64_t *trace)
{
    if (likely(command->state == COMMAND_DONE || command->state == COMMAND_QUEUED ||
               thread_priority(command->thread) == PRIORITY_FAIR))
        return NULL;
    *trace = command_trace(command->thread, command);
    object_get(&command->server->process->object);
    return command->server->process;
}

/* The caller does not wait any longer, though nothing was returned yet. Port locked; unlocked on return. */
static __attribute__((noinline)) int64_t give_up(struct command *command, struct port *port,
                                                 int woken, bool parked)
{
    uint64_t trace = 0;

    if (woken == -E_TIMED_OUT && parked && port_served(port) && command->state != COMMAND_DONE) {
        /* A new instance came meanwhile: on with the caller's own deadline. */
        parked = false;
        wait_prepare(wait_flags(command->request));
        lock_release(&port->lock);
        woken = wait_block(command->deadline);
        lock_acquire(&port->lock);
    }
    int64_t status =
        command->state == COMMAND_DONE
            ? command->status
            : withdraw(command, port, woken == -E_TIMED_OUT && parked ? -E_SERVICE_DOWN : woken);
    struct process *process = in_vain(command, &trace);

    leave(command, port);
    lock_release(&port->lock);
    inherit_settle(port);
    if (process) {
        inherit_left(process, trace, command);
        object_put(&process->object);
    }
    return status;
}

/* woken: the result of the wait. parked: it was for a port that nobody served. */
static int64_t conclude(struct command *command, struct port *port, int woken, bool parked)
{
    lock_acquire(&port->lock);
    if (unlikely(command->state != COMMAND_DONE || command->copying))
        return give_up(command, port, woken, parked);

    int64_t status = command->status;

    command_retire(command, cpu_self());
    lock_release(&port->lock);
    return status;
}

static int64_t try_once(struct command *command, struct request *request, struct port *port,
                        struct file *file, bool again)
{
    bool parked;
    uint64_t deadline;
    int64_t status = send(command, request, port, file, again, &deadline, &parked);

    if (unlikely(status))
        return status;
    return conclude(command, port, wait_block(deadline), parked);
}

/* --- Windows in memory with a pager ------------------------------------------------------------------------ */

#define FETCH_MAX 0x100000u /* bytes: what is touched before a command is sent (again) */

/* Have pages [start, end) there, as far as they can be had: what cannot shows when it is copied. E_INTERRUPTED. */
static int fetch(uint64_t start, uint64_t end, unsigned access)
{
    struct space *space = thread_current()->process->space;

    end = MIN(end, start + FETCH_MAX);
    for (uint64_t at = start; at < end; at = ALIGN_DOWN(at, (uint64_t)PAGE_SIZE) + PAGE_SIZE) {
        if (space_fault(space, at, access) == -E_INTERRUPTED)
            return -E_INTERRUPTED;
        arch_preempt_window();
    }
    return 0;
}

/* The waits of a command that kicks leave alone are not to be kicked either. */
static unsigned fetch_access(const struct request *request, bool write)
{
    return (request->flags & COMMAND_RESTARTABLE ? 0 : FAULT_USER) | (write ? FAULT_WRITE : 0);
}

int command_window_fetch(const struct request *request)
{
    uint64_t in = request->in.value, out = request->out.value;

    if (op_is_replay(request->op))
        return 0;

    int error = fetch(in, in + request->in_length, fetch_access(request, false));

    return error ? error : fetch(out, out + request->out_length, fetch_access(request, true));
}

/* What was missing, and what follows it in the window. E_FAULT: it cannot be had. */
static int fetch_missing(const struct command *command, const struct request *request)
{
    bool out = command->missing_out;
    uint64_t start = out ? request->out.value : request->in.value;
    uint64_t end = start + (out ? request->out_length : request->in_length);
    unsigned access = fetch_access(request, out);
    int error = space_fault(thread_current()->process->space, start + command->missing, access);

    if (error)
        return error == -E_INTERRUPTED ? error : -E_FAULT;
    return fetch(start + command->missing, end, access);
}

/* 0: the command may be sent again. */
static int64_t prepare_again(const struct command *command, const struct request *request,
                             struct file *file, int64_t status)
{
    if (status == STATUS_FETCH)
        return fetch_missing(command, request);
    return file && request->op != OP_OPEN ? file_reopen(file, request->deadline) : 0;
}

static int64_t settled(struct command *command, struct request *request,
                       struct completion *completion, int64_t status)
{
    if (unlikely(request->send_count)) {
        command->thread->sending = NULL;
        transfer_drop(request->send, request->send_count); /* what no service took */
    }
    if (unlikely(status))
        transfer_drop(completion->receive, completion->receive_count);
    command->request = &command->own_request;
    command->completion = &command->own_completion;
    return status;
}

/* As long as the command is to be sent again: send it again. */
static int64_t settle(struct command *command, struct request *request, struct port *port,
                      struct file *file, struct completion *completion, int64_t status)
{
    struct thread *self = thread_current();

    for (;;) {
        bool again = false;

        if (unlikely(status <= STATUS_RESEND)) {
            int64_t error = prepare_again(command, request, file, status);

            again = error == 0;
            if (error)
                status = error;
        }
        if (unlikely(thread_has_work(self, WORK_KILL))) {
            status = -E_INTERRUPTED;
            break;
        }
        if (likely(!again))
            break;
        command->completion = completion;
        status = try_once(command, request, port, file, true);
    }
    return settled(command, request, completion, status);
}

int64_t command_call(struct request *request, struct port *port, struct file *file,
                     struct completion *completion)
{
    struct command *command = thread_current()->command;
    int64_t status = command_window_prepare(request);
    int woken;

    completion->receive_count = 0;
    command->completion = completion;
    if (unlikely(status))
        return settle(command, request, port, file, completion, status);
    if (hand_over_command(command, request, port, file, wait_flags(request), &woken)) {
        status = conclude(command, port, woken, false);
        if (likely(status > STATUS_RESEND && !thread_has_work(command->thread, WORK_KILL)))
            return settled(command, request, completion, status);
    } else {
        status = try_once(command, request, port, file, false);
    }
    return settle(command, request, port, file, completion, status);
}

int64_t command_call_queued(struct request *request, struct port *port, struct file *file,
                            struct completion *completion)
{
    struct command *command = thread_current()->command;
    int64_t status = command_window_prepare(request);

    completion->receive_count = 0;
    command->completion = completion;
    if (likely(!status))
        status = try_once(command, request, port, file, false);
    return settle(command, request, port, file, completion, status);
}

int64_t command_resume(struct command *command, int woken)
{
    struct file *file = command->file;

    return settle(command, &command->own_request, file->port, file, &command->own_completion,
                  conclude(command, file->port, woken, false));
}
