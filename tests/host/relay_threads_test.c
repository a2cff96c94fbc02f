/* The relay, stormed: client processes call and notify, in every form, services of two instances with two workers each, which may
 * call another service for that, on four CPUs (fake_cpus.h), while a root kicks, suspends, moves, ranks and kills them. Every command is in a ledger: it completes once, with the
 * answer to its own question; one that must not be repeated is carried out once if it succeeded, and never twice; two calls
 * never get the same position of a file; the last notification comes. At the end nobody has a priority that he was lent, and nothing
 * is left. */
// sources: kernel/ipc/short.c kernel/ipc/command.c kernel/ipc/accept.c kernel/ipc/port.c kernel/ipc/notify.c
// sources: kernel/proto/file.c kernel/proto/calls.c kernel/proto/namespace.c kernel/handle.c kernel/object.c kernel/account.c kernel/account_members.c
// sources: kernel/process.c kernel/syscall.c kernel/calls_handle.c kernel/circle.c kernel/ipc/inherit.c
// sources: kernel/ipc/hand_over.c
// sources: kernel/sched/sched.c kernel/sched/idle.c kernel/sched/queue.c kernel/sched/wait.c kernel/sched/timer.c kernel/sched/futex.c
// sources: kernel/sched/thread.c kernel/sched/return.c kernel/vmm/heap.c kernel/vmm/frame.c kernel/vmm/ram.c
// sources: kernel/vmm/fail.c kernel/lock.c lib/base/rbtree.c
// sources: tests/host/fake_arch.c tests/host/fake_cpus.c tests/host/fake_kernel.c
// libs: pthread
#include "kernel/handle.h"
#include "kernel/ipc/command.h"
#include "kernel/ipc/inherit.h"
#include "kernel/ipc/port.h"
#include "kernel/panic.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/wait.h"
#include "tests/host/fake_user.h"
#include "tests/host/test.h"

#define MS        UINT64_C(1000000)
#define COMMANDS  20000u                /* of a storm; */
#define STORM_NS  UINT64_C(60000000000) /* ... or as many as there are by then: 3 s of the host */
#define OP_COUNT  OP_PROTOCOL           /* ONCE */
#define INSTANCES 2u
#define WORKERS   2u
#define CLIENTS   3u /* processes */
#define CALLERS   2u /* threads of each */
#define WINDOW    200u
#define BUFFER    64u /* a worker's: smaller than windows */

/* What a storm does besides calling. */
#define KICKS        0x01u /* callers and workers */
#define DEADLINES    0x02u
#define SERVICES_DIE 0x04u
#define CLIENTS_DIE  0x08u
#define SUSPENSIONS  0x10u
#define MOVES        0x20u /* affinities */
#define PRIORITIES   0x40u
#define CHAINS       0x80u /* the services call another one for their commands */

/* --- The ledger ------------------------------------------------------------------------------------------------ */

#define LEDGER 0x200000u

enum outcome { UNKNOWN, DONE, FAILED }; /* UNKNOWN: its caller was killed */

static uint8_t outcomes[LEDGER], once[LEDGER];
static uint32_t carried_out[LEDGER], ledger_used;
static unsigned chaos;
static uint32_t storm_over, opened, closed, short_messages;
static uint32_t sent[CLIENTS], noted[CLIENTS]; /* notifications, of which several may come as one */

static uint64_t mix(uint64_t id)
{
    return (id + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t ledger_open(bool only_once)
{
    uint32_t id = __atomic_fetch_add(&ledger_used, 1, __ATOMIC_RELAXED);

    if (id >= LEDGER)
        panic("the ledger is full");
    once[id] = only_once;
    return id;
}

static void ledger_check(void)
{
    for (uint32_t i = 0; i < ledger_used; i++)
        if (once[i] && (outcomes[i] == DONE ? carried_out[i] != 1 : carried_out[i] > 1))
            fake_fail("command %u was carried out %u times", i, carried_out[i]);
}

static void pattern(uint8_t *bytes, uint64_t id, uint64_t length)
{
    for (uint64_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(mix(id) + i);
}

static void pattern_check(const char *what, const uint8_t *bytes, uint64_t id, uint64_t offset,
                          uint64_t length)
{
    for (uint64_t i = 0; i < length; i++)
        if (bytes[i] != (uint8_t)(mix(id) + offset + i))
            fake_fail("%s: byte %u is another command's", what, (unsigned)(offset + i));
}

/* --- Services ------------------------------------------------------------------------------------------------------ */

struct job {
    struct abi_message message;
    uint8_t in[BUFFER], out[WINDOW];
};

/* The rest of the in bytes, which did not fit into the buffer; false: its caller has left. */
static bool read_rest(int64_t port, const struct job *job, uint64_t id)
{
    const struct abi_message *message = &job->message;
    uint8_t rest[BUFFER];

    for (uint64_t at = message->data_length; at < message->in_length;) {
        int64_t count =
            user_call(CALL_cmd_read, (uint64_t)port, message->token, at, USER(rest), sizeof(rest));

        if (count == -E_CANCELLED)
            return false;
        if (count <= 0) {
            fake_fail("cmd_read: %d", (int)count);
            return false;
        }
        pattern_check("in window", rest, id, at - message->path_length, (uint64_t)count);
        at += (uint64_t)count;
    }
    return true;
}

static void dawdle(void)
{
    uint64_t random = user_random();

    if (random % 32 == 0)
        user_sleep(random / 32 % (2 * MS));
    else if (random % 8 == 0)
        user_yield();
    else
        user_point();
}

/* A worker's own question to the service behind: with registers, a structure or a path. */
static void ask_behind(const struct abi_message *message, int64_t *file)
{
    uint64_t random = user_random(), question = random >> 8, args[4] = {question}, values[3] = {0};
    struct abi_path_call path = {
        .uri = USER("back://x"), .uri_length = 8, .command = {.op = OP_READ, .args = {question}}};
    struct abi_command *command = &path.command;
    int64_t status;

    if (*file <= 0) {
        struct abi_open open = {.uri = USER("back://x"), .uri_length = 8, .flags = OPEN_READ};

        *file = user_call(CALL_open, (uint64_t)HANDLE_SELF, USER(&open), 0, 0, 0);
    }
    if (*file <= 0)
        status = *file;
    else if (random % 4 < 2)
        status = user_file_call_short(*file, OP_READ, 0, args, values, NULL);
    else if (random % 4 == 2)
        status = user_file_call(*file, command);
    else
        status = user_call(CALL_path_call, (uint64_t)HANDLE_SELF, USER(&path), 0, 0, 0);
    if (random % 4 >= 2)
        values[0] = command->values[0];
    if (!status && values[0] != mix(question))
        fake_fail("the service behind answered another question");
    if (status && !(status == -E_INTERRUPTED && (chaos & KICKS)) &&
        !(status == -E_TIMED_OUT && message->deadline != DEADLINE_NEVER))
        fake_fail("a call to the service behind failed: %d", (int)status);
}

static uint64_t recent; /* a token somebody has, or had */

/* Copies from whatever command there is, while its worker returns it and its caller leaves. */
static void meddler(uint64_t port)
{
    uint8_t bytes[WINDOW];

    for (;;) {
        uint64_t token = __atomic_load_n(&recent, __ATOMIC_RELAXED);
        int64_t count = user_call(CALL_cmd_read, port, token, 0, USER(bytes), sizeof(bytes));

        if (count < 0 && count != -E_CANCELLED)
            fake_fail("cmd_read: %d", (int)count);
        if (count < 0)
            user_sleep(user_random() % 50000);
    }
}

/* What a command's return is to say. */
static void work(int64_t port, struct job *job, struct abi_return *result, int64_t *behind)
{
    const struct abi_message *message = &job->message;
    uint64_t id = message->args[1];

    *result = (struct abi_return){.token = message->token};
    for (uint32_t i = 0; i < message->handle_count; i++)
        user_close(message->handles[i]);
    if (message->op == OP_OPEN) {
        result->values[0] = mix(message->file);
        result->values[1] = HANDLE_FLAG_SEEKABLE;
        return;
    }
    if (message->file && message->cookie != mix(message->file))
        fake_fail("another file's cookie");
    __atomic_store_n(&recent, message->token, __ATOMIC_RELAXED);
    if (message->op == OP_COUNT)
        __atomic_fetch_add(&carried_out[id], 1, __ATOMIC_RELAXED);
    if (message->data_length > message->path_length)
        pattern_check("in window", job->in + message->path_length, id, 0,
                      message->data_length - message->path_length);
    dawdle();
    if ((chaos & CHAINS) && user_random() % 2)
        ask_behind(message, behind);
    if (!read_rest(port, job, id))
        return;
    result->values[0] = 1; /* how far a position moves */
    result->values[1] = mix(id);
    result->values[2] = message->args[0];
    if (message->out_length) {
        pattern(job->out, id, message->out_length);
        result->data = USER(job->out);
        result->data_length = message->out_length;
    }
    if (message->op == OP_COUNT && !message->file) {
        int64_t handle = user_call(CALL_proto_create, (uint64_t)HANDLE_SELF, 0, 0, 0, 0);

        if (handle > 0) {
            result->handles[0] = (handle_t)handle;
            result->handle_count = 1;
        }
    }
}

/* What was sent until now has come. */
static void note(uint64_t bits)
{
    for (uint32_t i = 0; i < CLIENTS; i++)
        if (bits & BIT(i))
            __atomic_store_n(&noted[i], __atomic_load_n(&sent[i], __ATOMIC_RELAXED),
                             __ATOMIC_RELAXED);
}

/* By proto_return; a second one must find nothing. */
static void complete(int64_t port, struct abi_return *result)
{
    int64_t error = user_complete(port, result);

    if (error && error != -E_CANCELLED)
        fake_fail("proto_return: %d", (int)error);
    if (error == -E_CANCELLED && result->handle_count)
        user_close(result->handles[0]);
    if (!error && user_random() % 16 == 0) {
        result->handle_count = 0;
        if (user_complete(port, result) != -E_CANCELLED)
            fake_fail("a command was returned twice");
    }
    result->token = 0;
}

static void worker(uint64_t port_number)
{
    int64_t port = (int64_t)port_number, error, behind = 0;
    struct abi_return result = {0};
    struct job job;

    for (;;) {
        uint64_t random = user_random();

        if (result.token && (random % 4 == 0 || result.handle_count))
            complete(port, &result);
        if (result.token || random % 8)
            error = user_return_accept(port, &result, &job.message, job.in, sizeof(job.in),
                                       DEADLINE_NEVER);
        else
            error = user_accept(port, &job.message, job.in, sizeof(job.in),
                                random % 16 ? DEADLINE_NEVER : (int64_t)arch_clock() + 100000);
        if (error == 1)
            __atomic_fetch_add(&short_messages, 1, __ATOMIC_RELAXED);
        result.token = 0;
        if (error == -E_CLOSED)
            return;
        if (error < 0 && error != -E_INTERRUPTED && error != -E_TIMED_OUT)
            fake_fail("proto_accept: %d", (int)error);
        if (error < 0)
            continue;
        if (job.message.kind == MESSAGE_CLOSE)
            __atomic_fetch_add(&closed, 1, __ATOMIC_RELAXED);
        if (job.message.kind == MESSAGE_NOTIFY)
            note(job.message.args[0]);
        if (job.message.kind == MESSAGE_NOTIFY && user_random() % 8 == 0)
            user_call(CALL_port_notify, port_number, BIT(CLIENTS), 0, 0, 0);
        if (job.message.kind == MESSAGE_COMMAND)
            work(port, &job, &result, &behind);
    }
}

/* Of the service behind. */
static void worker_behind(uint64_t port)
{
    struct abi_message message;
    struct abi_return result = {0};

    for (;;) {
        int64_t error =
            user_return_accept((int64_t)port, &result, &message, NULL, 0, DEADLINE_NEVER);

        result.token = 0;
        if (error == -E_CLOSED)
            return;
        if (error < 0 && error != -E_INTERRUPTED)
            fake_fail("proto_accept: %d", (int)error);
        if (error < 0 || message.kind != MESSAGE_COMMAND)
            continue;
        dawdle();
        result = (struct abi_return){.token = message.token, .values = {mix(message.args[0])}};
    }
}

/* --- Clients ------------------------------------------------------------------------------------------------------- */

#define POSITIONS 0x10000u

struct client {
    struct process *process;
    struct thread *callers[CALLERS];
    int64_t port;          /* to notify */
    int64_t shared;        /* a file of all its callers */
    uint32_t shared_state; /* 0: nobody opens it; 1: somebody does; 2: it is open */
    uint8_t *taken;        /* positions of it */
};

struct question {
    uint64_t id;
    bool only_once;
    int64_t status;
    uint64_t values[3];
};

static bool excused(const struct question *question, bool deadline)
{
    int64_t status = question->status;

    return (status == -E_INTERRUPTED && (chaos & KICKS)) || (status == -E_TIMED_OUT && deadline) ||
           (status == -E_SERVICE_DOWN && (chaos & SERVICES_DIE)) ||
           (status == -E_RESTARTED && question->only_once && (chaos & SERVICES_DIE));
}

static void judge(const struct question *question, uint64_t first, bool deadline)
{
    outcomes[question->id] = question->status ? FAILED : DONE;
    if (question->status && !excused(question, deadline))
        fake_fail("a call failed: %d", (int)question->status);
    if (!question->status &&
        (question->values[1] != mix(question->id) || question->values[2] != first))
        fake_fail("the answer to another question");
}

static struct question ask(bool only_once)
{
    return (struct question){.id = ledger_open(only_once), .only_once = only_once};
}

static void call_registers(int64_t file, uint64_t random)
{
    struct question question = ask(random & 1);
    uint32_t op = question.only_once ? OP_COUNT : OP_READ,
             flags = random & 2 ? COMMAND_RESTARTABLE : 0;
    uint64_t args[4] = {random, question.id, 3, 4};

    question.status = user_file_call_short(file, op, flags, args, question.values, NULL);
    judge(&question, random, false);
}

static void call_window(int64_t file, uint64_t random)
{
    struct question question = ask(random & 1);
    uint8_t window[WINDOW] = {0};
    bool in = random & 2;
    uint32_t op = question.only_once ? OP_COUNT : in ? OP_WRITE : OP_READ;
    uint64_t length = random / 4 % WINDOW, args[4] = {random, question.id, USER(window), length};

    if (in)
        pattern(window, question.id, length);
    question.status =
        user_file_call_short(file, op, in ? COMMAND_IN : COMMAND_OUT, args, question.values, NULL);
    judge(&question, random, false);
    if (!question.status && !in)
        pattern_check("out window", window, question.id, 0, length);
}

static void call_structure(int64_t file, uint64_t random)
{
    struct question question = ask(random & 1);
    uint8_t in[WINDOW], out[WINDOW] = {0};
    struct abi_command command = {
        .op = question.only_once ? OP_COUNT : OP_READ,
        .args = {random, question.id},
        .in = USER(in),
        .in_length = random / 4 % WINDOW,
        .out = USER(out),
        .out_length = random / 1024 % WINDOW,
    };

    if ((chaos & DEADLINES) && (random & 2))
        command.deadline = (int64_t)(arch_clock() + random / 4 % (2 * MS));
    pattern(in, question.id, command.in_length);
    question.status = user_file_call(file, &command);
    memcpy(question.values, command.values, sizeof(question.values));
    judge(&question, random, command.deadline);
    if (!question.status)
        pattern_check("out window", out, question.id, 0, command.out_length);
}

/* A handle there and one back. */
static void call_path(uint64_t random)
{
    struct question question = ask(true);
    uint8_t in[WINDOW];
    int64_t port = user_call(CALL_proto_create, (uint64_t)HANDLE_SELF, 0, 0, 0, 0);
    struct abi_path_call call = {
        .uri = USER("test://x"),
        .uri_length = 8,
        .command = {.op = OP_COUNT,
                    .args = {random, question.id},
                    .in = USER(in),
                    .in_length = random / 4 % WINDOW,
                    .send = {(handle_t)port},
                    .send_count = 1},
    };
    struct abi_command *command = &call.command;

    pattern(in, question.id, command->in_length);
    question.status = user_call(CALL_path_call, (uint64_t)HANDLE_SELF, USER(&call), 0, 0, 0);
    memcpy(question.values, command->values, sizeof(question.values));
    judge(&question, random, false);
    if (!question.status && command->receive_count)
        user_close(command->receive[0]);
}

static void call_position(struct client *client)
{
    struct question question = ask(false);
    uint64_t args[4] = {0, question.id, 0, 0};

    question.status = user_file_call_short(client->shared, OP_READ, COMMAND_POSITION, args,
                                           question.values, NULL);
    judge(&question, question.values[2], false);
    if (question.status)
        return;
    if (question.values[2] >= POSITIONS)
        fake_fail("a position nobody got to");
    else if (__atomic_exchange_n(&client->taken[question.values[2]], 1, __ATOMIC_RELAXED))
        fake_fail("position %u twice", (unsigned)question.values[2]);
}

static struct client clients[CLIENTS];

static void notify(struct client *client)
{
    uint32_t index = (uint32_t)(client - clients);

    __atomic_fetch_add(&sent[index], 1, __ATOMIC_RELAXED);
    if (user_call(CALL_port_notify, (uint64_t)client->port, BIT(index), 0, 0, 0))
        fake_fail("port_notify");
}

static int64_t open_file(void)
{
    int64_t file = user_open(OPEN_READ | OPEN_WRITE);

    if (file > 0) {
        __atomic_fetch_add(&opened, 1, __ATOMIC_RELAXED);
        return file;
    }
    if (!excused(&(struct question){.status = file}, false))
        fake_fail("open: %d", (int)file);
    return 0;
}

static void share_file(struct client *client)
{
    uint32_t nobody = 0;

    if (!__atomic_compare_exchange_n(&client->shared_state, &nobody, 1, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED))
        return;
    client->shared = open_file();
    __atomic_store_n(&client->shared_state, client->shared ? 2 : 0, __ATOMIC_RELEASE);
}

static void caller(uint64_t argument)
{
    struct client *client = (struct client *)(uintptr_t)argument;
    int64_t file = 0;

    while (!__atomic_load_n(&storm_over, __ATOMIC_RELAXED) && !fake_failed()) {
        uint64_t random = user_random(), rest = random >> 8;

        if (!file) {
            file = open_file();
            continue;
        }
        switch (random % 16) {
        case 0:
            user_close(file);
            file = 0;
            break;
        case 1:
            call_path(rest);
            break;
        case 2:
        case 3:
            if (__atomic_load_n(&client->shared_state, __ATOMIC_ACQUIRE) == 2)
                call_position(client);
            else
                share_file(client);
            break;
        case 4:
            notify(client);
            break;
        case 5:
        case 9:
            call_structure(file, rest);
            break;
        case 6:
        case 7:
        case 8:
            call_window(file, rest);
            break;
        default:
            call_registers(file, rest);
        }
    }
    if (file)
        user_close(file);
}

/* --- The root ------------------------------------------------------------------------------------------------------ */

struct instance {
    struct process *process;
    struct thread *workers[WORKERS], *meddler;
};

static struct instance instances[INSTANCES];
static struct instance behind;
static struct port *service_port, *port_behind;

static uint64_t give(struct process *process, struct port *port)
{
    handle_t handle;

    object_handle_get(&port->object);
    if (handle_install(process->handles, &port->object, RIGHT_ALL, &handle))
        abort();
    return (uint64_t)handle;
}

static void instance_start(struct instance *instance)
{
    bool front = instance != &behind;
    uint64_t port;

    instance->process = user_process();
    port = give(instance->process, front ? service_port : port_behind);
    for (uint32_t i = 0; i < WORKERS; i++)
        instance->workers[i] =
            user_thread(instance->process, front ? worker : worker_behind, port, 0);
    instance->meddler = front ? user_thread(instance->process, meddler, port, 0) : NULL;
}

static void client_start(struct client *client)
{
    client->process = user_process();
    client->port = (int64_t)give(client->process, service_port);
    client->shared_state = 0;
    client->taken = calloc(POSITIONS, 1);
    for (uint32_t i = 0; i < CALLERS; i++)
        client->callers[i] = user_thread(client->process, caller, USER(client), 0);
}

static void threads_put(struct process *process, struct thread **threads, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        object_put(&threads[i]->object);
    object_put(&process->object);
}

/* Without a deadline: if its threads have lost their wakes, all CPUs are idle for good, and fake_cpus.c sees that. */
static void wait_for_end(struct process *process)
{
    handle_t handle;

    object_handle_get(&process->object);
    if (handle_install(process_current()->handles, &process->object, RIGHT_ALL, &handle))
        abort();

    struct abi_wait wait = {.handle = handle, .signals = SIGNAL_EXITED};

    if (user_call(CALL_wait_many, USER(&wait), 1, (uint64_t)DEADLINE_NEVER, 0, 0) != 1)
        fake_fail("wait_many");
    user_close(handle);
}

static void client_end(struct client *client)
{
    wait_for_end(client->process);
    threads_put(client->process, client->callers, CALLERS);
    free(client->taken);
}

static void instance_end(struct instance *instance)
{
    process_end(instance->process, 0);
    wait_for_end(instance->process);
    if (instance->meddler)
        object_put(&instance->meddler->object);
    threads_put(instance->process, instance->workers, WORKERS);
}

static struct thread *anybody(uint64_t random)
{
    if ((chaos & CHAINS) && random % 8 == 6)
        return behind.workers[random / 64 % WORKERS];
    if (random & 1)
        return clients[random / 2 % CLIENTS].callers[random / 64 % CALLERS];
    return instances[random / 2 % INSTANCES].workers[random / 64 % WORKERS];
}

static void suspend(struct thread *thread)
{
    thread_post_work(thread, WORK_SUSPEND);
    user_sleep(user_random() % MS);
    thread_resume(thread);
}

/* One blow at somebody; chaos says which are allowed. */
static void strike(void)
{
    uint64_t random = user_random(), rest = random >> 8;

    switch (random % 8) {
    case 0:
        if (chaos & SERVICES_DIE) {
            instance_end(&instances[rest % INSTANCES]);
            instance_start(&instances[rest % INSTANCES]);
        }
        break;
    case 1:
        if (chaos & CLIENTS_DIE) {
            process_end(clients[rest % CLIENTS].process, 0);
            client_end(&clients[rest % CLIENTS]);
            client_start(&clients[rest % CLIENTS]);
        }
        break;
    case 2:
        if (chaos & SUSPENSIONS)
            suspend(anybody(rest));
        break;
    case 3:
        if (chaos & MOVES)
            sched_set_affinity(anybody(rest), user_random() % (1u << RUN_CPUS));
        break;
    case 4:
        if (chaos & PRIORITIES)
            inherit_set_own(anybody(rest), (uint32_t)(user_random() % 4));
        break;
    default:
        if (chaos & KICKS)
            thread_post_work(anybody(rest), WORK_KICK);
    }
}

/* Kicked, each worker accepts again: whatever it was lent is over. */
static void rest(struct thread *thread)
{
    thread_post_work(thread, WORK_KICK);
    for (uint32_t i = 0; i < 1000; i++) {
        user_sleep(MS);
        if (!thread_has_work(thread, WORK_KICK) && thread_waits(thread) &&
            thread_priority(thread) == thread_own_priority(thread))
            return;
    }
    fake_fail("priority %u, its own %u, served %u, pressed %u", thread_priority(thread),
              thread_own_priority(thread), thread_served(thread), thread_pressed(thread));
}

/* No client is left. */
static void check_rest(void)
{
    for (uint32_t i = 0; i < INSTANCES * WORKERS; i++)
        rest(instances[i / WORKERS].workers[i % WORKERS]);
    for (uint32_t i = 0; i < WORKERS; i++)
        rest(behind.workers[i]);
    for (uint32_t i = 0; i < CLIENTS && !(chaos & SERVICES_DIE); i++)
        if (noted[i] != sent[i])
            fake_fail("notifications of %u were lost", i);
}

static struct port *protocol(const char *name)
{
    int64_t handle = user_call(CALL_proto_create, (uint64_t)HANDLE_SELF, USER(name), 4, 0, 0);
    struct object *object;

    if (handle <= 0 ||
        handle_lookup(process_current()->handles, (handle_t)handle, OBJECT_PORT, 0, &object, NULL))
        abort();
    return container_of(object, struct port, object);
}

static void root(uint64_t argument)
{
    uint64_t end = arch_clock() + STORM_NS;

    (void)argument;
    service_port = protocol("test");
    port_behind = protocol("back");
    instance_start(&behind);
    for (uint32_t i = 0; i < INSTANCES; i++)
        instance_start(&instances[i]);
    for (uint32_t i = 0; i < CLIENTS; i++)
        client_start(&clients[i]);
    while (__atomic_load_n(&ledger_used, __ATOMIC_RELAXED) < COMMANDS && arch_clock() < end &&
           !fake_failed()) {
        strike();
        user_sleep(user_random() % MS);
    }
    __atomic_store_n(&storm_over, 1, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < CLIENTS; i++)
        client_end(&clients[i]);
    /* Closings reach services that live. */
    while (!chaos && __atomic_load_n(&closed, __ATOMIC_RELAXED) < opened && !fake_failed())
        user_sleep(MS);
    check_rest();
    for (uint32_t i = 0; i < INSTANCES; i++)
        instance_end(&instances[i]);
    instance_end(&behind);
    object_put(&service_port->object);
    object_put(&port_behind->object);
}

static void storm(unsigned with)
{
    chaos = with;
    storm_over = opened = closed = ledger_used = short_messages = 0;
    memset(sent, 0, sizeof(sent));
    memset(noted, 0, sizeof(noted));
    fake_miss_every = 16;
    memset(outcomes, 0, sizeof(outcomes));
    memset(carried_out, 0, sizeof(carried_out));
    fake_cpus_run(root, 0);
    ledger_check();
    CHECK_STRING(fake_failure, "");
    CHECK(opened > 0 && short_messages > 0);
    CHECK_EQUAL(command_count(), 0);
    CHECK_EQUAL(handle_count_all(), 0);
    CHECK_EQUAL(object_count(OBJECT_FILE), 0);
    CHECK_EQUAL(object_count(OBJECT_PORT), 0);
    CHECK_EQUAL(object_count(OBJECT_PROCESS), 0);
    CHECK_EQUAL(object_count(OBJECT_NAMESPACE), 0);
    if (getenv("STORM_FIGURES"))
        fprintf(stderr, "%u commands, %u short, %u opened, %u closed\n", ledger_used,
                short_messages, opened, closed);
}

TEST(calm)
{
    storm(0);
    CHECK_EQUAL(closed, opened);
}

TEST(kicks_and_deadlines)
{
    storm(KICKS | DEADLINES);
}

TEST(threads_that_move)
{
    storm(MOVES | PRIORITIES | SUSPENSIONS);
}

TEST(chains_of_many_priorities)
{
    storm(PRIORITIES | CHAINS | MOVES | KICKS | DEADLINES);
}

TEST(callers_of_many_priorities_die)
{
    storm(PRIORITIES | CHAINS | CLIENTS_DIE);
}

TEST(services_die)
{
    storm(SERVICES_DIE);
}

TEST(everybody_dies)
{
    storm(SERVICES_DIE | CLIENTS_DIE | KICKS | DEADLINES | SUSPENSIONS | MOVES | PRIORITIES |
          CHAINS);
}
