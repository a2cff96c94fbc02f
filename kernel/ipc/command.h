/* Commands: one request on its way through the relay.
 *
 * Every thread has one command, made with it, so sending allocates nothing. Its memory is type-stable and its token
 * carries a generation, so a service that returns it late, or twice, or makes a token up, finds nothing.
 *
 *          command_call           a worker is woken        it accepts             proto_return
 *     IDLE ------------> QUEUED -----------------> DELIVERED ---------> ACCEPTED -------------> DONE --> IDLE
 *       ^                  |  deadline, kill: taken out        |           | server died: RESEND or E_RESTARTED
 *       |                  v                                   v           | deadline, kick: cancellation, then grace
 *       +------------------+-----------------------------------+-----------+ killed, grace over: abandoned
 *
 * A killed caller leaves at once, and its service hears of that if it has the command in its hands: the command of a dead
 * thread is the cancellation. It stays on server->cancels, ABANDONED, until that is accepted or the server is gone,
 * and belongs to the thread as well until that is gone (`owners`); a surviving thread needs its command for the next call.
 *
 * A kick ends waiting, not work, so a command that is queued is still given out, with its cancellation behind it: what its
 * service does at once is done. Only the grace ends it in the queue.
 *
 * Each command completes exactly once: whoever moves it to DONE under the port's lock completes it.
 * While `copying` is set a service is copying to or from the caller's memory, and the caller waits for that
 * (bounded by the copy) before it leaves.
 * Lock: the lock of the port it was sent to.
 */
#pragma once

#include "abi/ops.h"
#include "kernel/handle.h"
#include "kernel/sched/thread.h"
#include "kernel/vmm/space.h"

struct port;
struct server;
struct file;

enum command_state {
    COMMAND_IDLE,
    COMMAND_QUEUED,
    COMMAND_DELIVERED, /* a worker was woken with it */
    COMMAND_ACCEPTED,  /* ... and has it in its hands: proto_accept answered with it */
    COMMAND_DONE,
    COMMAND_ABANDONED /* the killed caller has left, its service has yet to hear of it */
};

/* What is asked. The caller's; the same for every try. */
struct request {
    uint32_t op, flags;
    uint64_t args[4];
    uint64_t deadline; /* arch_clock(); UINT64_MAX: none */
    uaddr_t in, out;
    uint64_t in_length, out_length;
    const char *path; /* kernel memory; NULL: none */
    uint32_t path_length;
    uint32_t send_count;
    struct abi_frame *registers; /* OP_EXCEPTION: what is lent in front of the memory; else NULL */
    struct transfer send[COMMAND_HANDLES];
};

/* Nothing but an operation and arguments. */
static inline void request_empty(struct request *request)
{
    request->deadline = UINT64_MAX;
    request->in_length = request->out_length = 0;
    request->path = NULL;
    request->registers = NULL;
    request->path_length = request->send_count = 0;
}

struct completion {
    uint64_t values[3];
    struct transfer receive[COMMAND_HANDLES];
    uint32_t receive_count;
};

struct command {
    uint32_t slot, generation; /* the token */
    uint32_t next_free;        /* slot of the next unused command */
    enum command_state state;
    struct thread *thread; /* the caller */
    struct port *port;
    struct server
        *server;      /* DELIVERED, ACCEPTED: who has it; QUEUED: whose queue, NULL: the port's */
    struct list link; /* queue, or server->accepted */
    struct list cancel_link;
    uint32_t owners; /* the thread, and server->cancels if ABANDONED; slots_lock */
    struct {
        uint64_t token, cookie;
        uint32_t op;
    } abandoned;         /* what the cancellation says */
    bool unwanted;       /* QUEUED: cancelled as soon as somebody has it */
    bool delivering;     /* a worker accepts it just now, and may yet not get it */
    bool leaving;        /* the caller waits for copying to become 0 */
    uint32_t copying;    /* services' copies under way */
    struct space *space; /* the caller's windows are in; its process's, for ever */
    struct file *file;   /* open file, or for OP_OPEN the one being made; NULL: path call */
    uint64_t caller;     /* process id */
    uint32_t priority;   /* its caller's at all times (inherit.c) */
    uint64_t deadline;   /* the request's, or that of what its caller works on if that is sooner */
    uint64_t trace;
    struct request *request; /* own_request, or during command_call on the caller's stack */
    int64_t status;
    uint64_t missing;              /* STATUS_FETCH: where in the in window */
    bool missing_out;              /* or in the out window */
    struct completion *completion; /* likewise */
    bool positioned;               /* a short call that holds its file's position */
    struct request own_request;    /* of short calls, which keep nothing on their stack */
    struct completion own_completion;
};

/* Operations that only the kernel itself sends. */
static inline bool op_of_kernel(uint32_t op)
{
    return op == OP_OPEN || op == OP_PAGE_IN || op == OP_PAGE_OUT || op == OP_EXCEPTION;
}

/* Internal status: the service died; the command may be sent again. Never leaves the kernel. */
#define STATUS_RESEND (-1000)
/* A page of the caller's window, at ->missing, has to come from its pager before the command is sent again. */
#define STATUS_FETCH (-1001)

struct command *command_new(struct thread *thread, const struct process *process) MUST_CHECK;
void command_put(struct command *command); /* the thread's, or the list's */

/* Send and wait until it completed. file: what it concerns, NULL for path calls; if no server has it open it is opened
 * again first. The request's handles are the callee's from here on. Returns 0 or the error; after 0 the completion's
 * handles are the caller's to install or drop. */
int64_t command_call(struct request *request, struct port *port, struct file *file,
                     struct completion *completion);
/* The same for one who knows that no worker waits on this CPU. */
int64_t command_call_queued(struct request *request, struct port *port, struct file *file,
                            struct completion *completion);

/* A request that must not be carried out twice is sent with its windows there: pages that pagers supply are fetched
 * before. 0 or E_INTERRUPTED. No locks held. */
int command_window_fetch(const struct request *request) MUST_CHECK;

static inline int command_window_prepare(const struct request *request)
{
    return unlikely(thread_current()->process->space->paged) &&
                   (request->in_length | request->out_length)
               ? command_window_fetch(request)
               : 0;
}

/* The rest of a short call (short.c) whose caller was switched away from with its command sent, and woken with
 * this result of its wait. */
int64_t command_resume(struct command *command, int woken);

/* port locked: an accepted command moves to DONE; and of any state, with its caller woken. */
static inline void command_done(struct command *command, int64_t status)
{
    list_unlink(&command->link);
    if (unlikely(list_linked(&command->cancel_link)))
        list_remove(&command->cancel_link);
    command->status = status;
    command->state = COMMAND_DONE;
}
void command_complete(struct command *command, int64_t status, unsigned sched_flags);
/* port locked: out of its queue, or its server's hands. */
void command_unlink(struct command *command);
/* port locked: the cancellation is off its server's list. */
void command_cancelled(struct command *command);
bool command_replayable(const struct command *command);
uint64_t command_spare_bytes(void); /* of threads that are gone, for threads to come */
uint64_t command_count(void);       /* sent and not completed */

static inline uint64_t command_token(const struct command *command)
{
    return (uint64_t)command->generation << 32 | command->slot;
}

/* What the caller sends on bears the name of what it was sent, or its own: never 0, and as unique as tokens are. */
static inline uint64_t command_trace(const struct thread *caller, const struct command *command)
{
    uint64_t trace = thread_trace(caller);

    return trace ? trace : command_token(command);
}

/* port locked, nobody copies: back to IDLE; its token names nothing from here on. */
static inline void command_retire(struct command *command, struct cpu *cpu)
{
    command->state = COMMAND_IDLE;
    command->generation++;
    command->port = NULL;
    cpu->commands--; /* each CPU counts for itself: the sum is right */
}

/* The numbers in tokens. Chunks are never freed, so a slot once handed out can always be looked at. */
#define SLOT_CHUNK  256u
#define SLOT_CHUNKS 4096u
extern struct command **command_slots[SLOT_CHUNKS];
extern uint32_t command_slots_used; /* slot 0 is none: no token is 0 */
